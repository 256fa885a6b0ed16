//! Sockets from outside: plain or TLS, bounded in number, closed when nothing moves on them. One kind for gRPC, console and intake.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Open connections of one listener; the next one waits until another ends.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections that are ready and not yet served.
const READY_MAX: usize = 64;
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Nothing read and nothing written for so long closes a connection. Streams write something more often.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// After a failure of the machine to accept, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Connections after their handshake. A slow or broken one does not hold up the others.
pub struct Door {
    ready: mpsc::Receiver<Socket>,
    address: SocketAddr,
}

impl Door {
    /// Accepts from now on, until it is dropped.
    pub fn open(listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<Door> {
        let address = listener.local_addr()?;
        let (tell, ready) = mpsc::channel(READY_MAX);
        tokio::spawn(accept_all(listener, tls, tell));
        Ok(Door { ready, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; `None` never comes while the door is open.
    pub async fn next(&mut self) -> Option<Socket> {
        self.ready.recv().await
    }
}

impl Stream for Door {
    type Item = io::Result<Socket>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|socket| socket.map(Ok))
    }
}

async fn accept_all(listener: TcpListener, tls: Option<TlsAcceptor>, tell: mpsc::Sender<Socket>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            accepted = accepted => match accepted {
                (Ok(place), Ok((stream, _))) => (place, stream),
                _ => {
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            },
            () = tell.closed() => return,
        };
        let (tls, tell) = (tls.clone(), tell.clone());
        tokio::spawn(async move {
            // Nagle's algorithm would hold small answers back for tens of milliseconds.
            let _ = stream.set_nodelay(true);
            let stream = match tls {
                None => Transport::Plain(stream),
                Some(tls) => match tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                    Ok(Ok(stream)) => Transport::Tls(Box::new(stream)),
                    Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => return tracing::debug!("a TLS handshake took too long"),
                },
            };
            let _ = tell.send(Socket::new(stream, place)).await;
        });
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection.
pub struct Socket {
    stream: Transport,
    moved_at: Instant,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Socket {
    fn new(stream: Transport, place: OwnedSemaphorePermit) -> Socket {
        let idle = Box::pin(tokio::time::sleep(IDLE_MAX));
        Socket { stream, moved_at: Instant::now(), idle, _place: place }
    }

    fn moved<T>(&mut self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.moved_at = Instant::now();
        }
        done
    }

    /// Ready once nothing has moved for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.idle.as_mut().poll(cx));
            let until = self.moved_at + IDLE_MAX;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.idle.as_mut().reset(until);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        if done.is_pending() && self.poll_idle(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.moved(done)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        };
        self.moved(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        };
        self.moved(done)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

impl Connected for Socket {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match &self.stream {
            Transport::Plain(stream) => stream.connect_info(),
            Transport::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}
