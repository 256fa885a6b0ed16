//! `campanile receive --tls`: a certificate for this run, signed by itself, and connections that speak it.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections that are ready and not yet served.
const READY_MAX: usize = 64;
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// A certificate and its key; its file goes with it.
pub struct Made {
    config: Arc<ServerConfig>,
    folder: TempDir,
}

impl Made {
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// What a sender must trust, as PEM. It is there until `self` is dropped.
    pub fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// For `localhost` and the addresses of this machine's loopback, and for `address`.
pub fn make(address: IpAddr) -> Result<Made, String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_loopback() && !address.is_unspecified() {
        names.push(address.to_string());
    }
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).map_err(|e| format!("make a certificate: {e}"))?;
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key))
        .map_err(|e| format!("set up TLS: {e}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
    write(&folder.path().join("ca.pem"), &cert.pem()).map_err(|e| format!("write the certificate: {e}"))?;
    Ok(Made { config: Arc::new(config), folder })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    File::create(path)?.write_all(text.as_bytes())
}

/// Connections after their handshake. A slow or broken one does not hold up the others.
pub struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    pub fn start(listener: TcpListener, acceptor: TlsAcceptor, address: SocketAddr) -> TlsListener {
        let (tell, ready) = mpsc::channel(READY_MAX);
        tokio::spawn(async move {
            loop {
                let (stream, from) = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok(accepted) => accepted,
                        Err(_) => {
                            tokio::time::sleep(ACCEPT_AGAIN).await;
                            continue;
                        }
                    },
                    () = tell.closed() => return,
                };
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        let _ = tell.send((stream, from)).await;
                    }
                });
            }
        });
        TlsListener { ready, address }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task above ends only after this receiver.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
