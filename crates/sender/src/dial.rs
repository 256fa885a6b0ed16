//! Makes a connection: resolves the name, vets every address, dials only vetted ones, shakes hands.
//!
//! The network guard stands here, behind the last resolver, so that no name can lead where the policy does not allow.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_core::attempt::{Outcome, Phase};
use campanile_core::limits;
use campanile_core::network::Policy;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::outgoing::Target;
use crate::probe::Timing;
use crate::tls;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// A connection that carries requests and has been silent this long is asked whether it is alive, and given this long to answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Dialer {
    pub(crate) policy: Policy,
    pub(crate) tls: Arc<ClientConfig>,
}

/// An open connection.
pub(crate) enum Connection {
    Http1(Http1),
    /// Shared by any number of requests.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One request at a time. Dropped, it closes, whatever is under way.
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    _task: AbortOnDropHandle<()>,
}

impl Dialer {
    pub(crate) async fn dial(&self, target: &Target, deadline: Instant) -> Result<Connection, Outcome> {
        self.dial_timed(target, deadline, &mut Timing::default()).await
    }

    /// As `dial`; notes how long each phase took that was gone through.
    pub(crate) async fn dial_timed(
        &self,
        target: &Target,
        deadline: Instant,
        timing: &mut Timing,
    ) -> Result<Connection, Outcome> {
        let dialed = timeout_at(deadline, async {
            let began = Instant::now();
            let addresses = self.vetted(target).await?;
            let resolved = Instant::now();
            timing.dns = Some(resolved - began);
            let tcp = connect(&addresses, deadline).await?;
            let connected = Instant::now();
            timing.connect = Some(connected - resolved);
            let _ = tcp.set_nodelay(true);
            if !target.is_https {
                return http1_over(TokioIo::new(tcp)).await;
            }
            let connection = self.secure(target, tcp).await;
            timing.tls = connection.is_ok().then(|| connected.elapsed());
            connection
        });
        dialed.await.unwrap_or(Err(Outcome::TimedOut(Phase::Connect)))
    }

    /// The addresses of a name, all of them allowed.
    async fn vetted(&self, target: &Target) -> Result<Vec<SocketAddr>, Outcome> {
        self.policy.check_host(&target.host, target.port).map_err(Outcome::Forbidden)?;
        let addresses: Vec<SocketAddr> = match target.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, target.port)],
            Err(_) => {
                let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
                found.map_err(|error| Outcome::Dns(error.to_string()))?.collect()
            }
        };
        if addresses.is_empty() {
            return Err(Outcome::Dns("the name has no address".to_owned()));
        }
        for address in &addresses {
            self.policy.check_address(address.ip()).map_err(Outcome::Forbidden)?;
        }
        Ok(addresses)
    }

    async fn secure(&self, target: &Target, tcp: TcpStream) -> Result<Connection, Outcome> {
        let name = target.host.strip_suffix('.').unwrap_or(&target.host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| Outcome::Tls(error.to_string()))?;
        let stream =
            TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(|e| refused(&e))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_http2 { http2_over(TokioIo::new(stream)).await } else { http1_over(TokioIo::new(stream)).await }
    }
}

/// One address after the other, each with its share of the time.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Outcome> {
    let mut last = Outcome::TimedOut(Phase::Connect);
    let tried = addresses.len().min(ADDRESSES_MAX);
    for (i, address) in addresses.iter().take(tried).enumerate() {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(tried - i).unwrap_or(1);
        last = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => Outcome::Connect(error.to_string()),
            Err(_) => Outcome::TimedOut(Phase::Connect),
        };
    }
    Err(last)
}

async fn http1_over<T>(io: T) -> Result<Connection, Outcome>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(limits::RESPONSE_HEADER_BYTES_MAX)
        .max_header_size(limits::RESPONSE_HEADER_BYTES_MAX);
    let (sender, connection) = builder.handshake(io).await.map_err(|error| broken(&error))?;
    // Its error reaches whoever waits for an answer.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Connection::Http1(Http1 { sender, _task: AbortOnDropHandle::new(task) }))
}

async fn http2_over<T>(io: T) -> Result<Connection, Outcome>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let header_bytes_max = u32::try_from(limits::RESPONSE_HEADER_BYTES_MAX).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(header_bytes_max);
    let (sender, connection) = builder.handshake(io).await.map_err(|error| broken(&error))?;
    // It ends when the last sender is dropped and nothing is under way.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection::Http2(sender))
}

fn refused(error: &io::Error) -> Outcome {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner) if tls::is_certificate_refusal(inner) => Outcome::Certificate(inner.to_string()),
        Some(inner) => Outcome::Tls(inner.to_string()),
        None => Outcome::Tls(error.to_string()),
    }
}

/// What an error of an open connection tells.
pub(crate) fn broken(error: &hyper::Error) -> Outcome {
    let text = with_causes(error);
    if error.is_parse() { Outcome::Protocol(text) } else { Outcome::Broken(text) }
}

/// The text of an error and of what caused it.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
