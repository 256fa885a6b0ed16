//! The three doors people and programs come in by: control API, console, intake. Each has its own guard.

use std::net::SocketAddr;
use std::sync::Arc;

use campanile_control::access::Access;
use campanile_control::deployment::Deployment;
use campanile_control::guard::Guard;
use campanile_core::access::AccessToken;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::door::Door;
use crate::random::random;
use crate::roles::{Failure, spawn_endless};
use crate::{http_server, tls_files};

pub struct Faces {
    grpc: Door,
    console: Door,
    intake: Door,
    /// Taken beside those of the store.
    own_token: Option<AccessToken>,
}

impl Faces {
    /// Binds all three, or says which one cannot be had.
    pub async fn open(config: &Config) -> Result<Faces, Failure> {
        let own_token = own_token(config)?;
        let grpc = bind(config.listen.grpc, "listen.grpc").await?;
        let console = bind(config.listen.console, "listen.console").await?;
        let intake = bind(config.listen.intake, "listen.intake").await?;
        Ok(Faces {
            grpc: Door::open(grpc, tls_files::acceptor(&config.tls, b"h2")?)?,
            console: Door::open(console, tls_files::acceptor(&config.tls, b"http/1.1")?)?,
            intake: Door::open(intake, tls_files::acceptor(&config.tls, b"http/1.1")?)?,
            own_token,
        })
    }

    /// Says where they are, and what is unsafe about them.
    pub fn tell(&self, config: &Config) {
        let (grpc, console, intake) = (self.grpc.address(), self.console.address(), self.intake.address());
        tracing::info!(%grpc, %console, %intake, "listening");
        if config.network.dev {
            tracing::info!("next, in another terminal: campanile receive");
        }
        for address in [grpc, console, intake] {
            if !address.ip().is_loopback() && config.tls.cert_file.is_empty() {
                tracing::warn!(%address, "speaks without TLS: tokens can be read on the way; set tls.cert_file, or put a proxy before it that speaks TLS");
            }
        }
    }

    pub fn serve(
        self,
        config: &Config,
        deployment: &Arc<Deployment>,
        is_ready: watch::Receiver<bool>,
        parts: &mut JoinSet<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let access = Access::new(deployment.store.clone(), deployment.clock.clone(), self.own_token);
        let access = Arc::new(access);
        let guard = |door: &Door| Guard { access: access.clone(), is_open: is_open(config, door.address()) };
        let stopping = || deployment.stopping.clone();
        let routes = campanile_control::serve::routes(deployment, guard(&self.grpc))?;
        let console_guard = guard(&self.console);
        let pages = campanile_console::Console {
            needs_token: !console_guard.is_open,
            is_tls: !config.tls.cert_file.is_empty(),
            api: campanile_control::serve::routes(deployment, console_guard)?,
            clock: deployment.clock.clone(),
            random: Box::new(random),
            hosts: config.listen.console_hosts.clone(),
        };
        let intake = campanile_control::http_intake::router(deployment.clone(), guard(&self.intake));
        parts.spawn(campanile_control::serve::serve(deployment.clone(), routes, self.grpc, is_ready));
        spawn_endless(parts, http_server::serve(self.intake, intake, stopping()));
        spawn_endless(parts, http_server::serve(self.console, campanile_console::router(pages), stopping()));
        Ok(())
    }
}

/// Whether calls without a token are taken.
fn is_open(config: &Config, address: SocketAddr) -> bool {
    address.ip().is_loopback() && !config.auth.require_on_loopback
}

fn own_token(config: &Config) -> Result<Option<AccessToken>, Failure> {
    let file = &config.auth.admin_token_file;
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|e| format!("auth.admin_token_file: {file}: {e}"))?;
    let token = AccessToken::of_text("admin-token-file", text.trim(), Timestamp::UNIX_EPOCH);
    let token = token.ok_or_else(|| {
        format!("auth.admin_token_file: {file} holds no token; `campanile token new` makes the text of one")
    })?;
    Ok(Some(token))
}

pub async fn bind(address: std::net::SocketAddr, name: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound
        .map_err(|e| {
            let flag = name.replace('.', "-");
            format!("{name}: cannot listen on {address}: {e}; is another campanile running? choose another port with --{flag} 127.0.0.1:PORT").into()
        })
}
