//! The wiring: one function builds the program from settings, sockets, store and clock, and takes it down again.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::deployment::Deployment;
use campanile_core::ports::{Clock, Store};
use campanile_redis::store::RedisStore;
use campanile_scheduler::run::SchedulerConfig;
use campanile_sender::run::SenderConfig;
use campanile_sqlite::store::SqliteStore;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::StoreClock;
use crate::config::Config;

type Failure = Box<dyn Error + Send + Sync>;

/// The parts of the program that one process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// gRPC and the console.
    pub control: bool,
    pub scheduler: bool,
    pub sender: bool,
}

impl Roles {
    pub const ALL: Roles = Roles { control: true, scheduler: true, sender: true };
    const NONE: Roles = Roles { control: false, scheduler: false, sender: false };
    pub const CONTROL: Roles = Roles { control: true, ..Roles::NONE };
    pub const SCHEDULER: Roles = Roles { scheduler: true, ..Roles::NONE };
    pub const SENDER: Roles = Roles { sender: true, ..Roles::NONE };
}

/// Runs until SIGTERM or Ctrl-C, or until a part of it fails; then no part takes new work, and each ends what it has under way.
pub async fn run(config: Config, roles: Roles) -> Result<(), Failure> {
    let policy = config.policy()?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::start());
    let store = open_store(&config, roles, clock.clone()).await?;
    let shutdown = CancellationToken::new();
    let mut parts = JoinSet::new();
    if roles.control {
        let grpc = bind(config.listen.grpc, "listen.grpc").await?;
        let console = bind(config.listen.console, "listen.console").await?;
        let intake = bind(config.listen.intake, "listen.intake").await?;
        let (at_grpc, at_console, at_intake) =
            (grpc.local_addr()?, console.local_addr()?, intake.local_addr()?);
        tracing::info!(grpc = %at_grpc, console = %at_console, intake = %at_intake, "listening");
        let deployment = Arc::new(Deployment {
            store: store.clone(),
            clock: clock.clone(),
            policy: policy.clone(),
            random: Box::new(random),
            stopping: shutdown.clone(),
        });
        parts.spawn(campanile_control::serve::serve(deployment.clone(), grpc));
        parts.spawn(campanile_control::http_intake::serve(deployment, intake));
        parts.spawn(campanile_console::serve(store.clone(), console, shutdown.clone()));
    }
    if roles.scheduler {
        let (store, clock, shutdown) = (store.clone(), clock.clone(), shutdown.clone());
        let config = SchedulerConfig { offset: u64::from_be_bytes(random()) };
        parts.spawn(async move {
            campanile_scheduler::run::run(store, clock, config, shutdown).await;
            Ok(())
        });
    }
    if roles.sender {
        let (store, clock, shutdown) = (store.clone(), clock.clone(), shutdown.clone());
        let config = SenderConfig { slots: config.sender.slots, policy, ..SenderConfig::default() };
        parts.spawn(async move {
            campanile_sender::run::run(store, clock, config, Box::new(jitter), shutdown).await
        });
    }
    let ended = tokio::select! {
        signal = stop_signal() => signal.map_err(Failure::from),
        Some(part) = parts.join_next() => part.map_err(Failure::from).and_then(|part: Result<(), Failure>| part),
    };
    shutdown.cancel();
    tracing::info!("stopping: no new work is taken");
    let grace = Duration::from_secs(config.shutdown.grace_secs);
    let rest = tokio::time::timeout(grace, async {
        while let Some(part) = parts.join_next().await {
            part.map_err(Failure::from)??;
        }
        Ok::<_, Failure>(())
    });
    match rest.await {
        Ok(rest) => ended.and(rest),
        Err(_) => {
            Err(format!("some work did not end within {}s; its leases will run out", grace.as_secs()).into())
        }
    }
}

async fn open_store(config: &Config, roles: Roles, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Failure> {
    let url = config.store.url.as_str();
    let seed = random();
    if let Some(path) = url.strip_prefix("sqlite:") {
        if roles != Roles::ALL {
            return Err(format!(
                "{url} belongs to one process: use `campanile serve`, or --store redis://..."
            )
            .into());
        }
        let path = PathBuf::from(path);
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|e| format!("make {}: {e}", folder.display()))?;
        }
        return Ok(Arc::new(SqliteStore::open(&path, clock, seed)?));
    }
    if url.starts_with("redis://") || url.starts_with("rediss://") {
        return Ok(Arc::new(RedisStore::connect(url, clock, seed, Some(config.store.shards)).await?));
    }
    Err(format!("store.url: {url:?} is not known: write sqlite:PATH or redis://HOST:PORT").into())
}

async fn bind(address: std::net::SocketAddr, name: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound
        .map_err(|e| format!("{name}: cannot listen on {address}: {e}; is another campanile running?").into())
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupt = tokio::signal::ctrl_c() => interrupt,
    }
}

/// Random bytes from the operating system; it never fails once the machine is up.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the operating system has no random bytes");
        std::process::abort();
    }
    bytes
}

/// Even in -1 to 1.
fn jitter() -> f64 {
    let n = u32::from_be_bytes(random());
    f64::from(n) / f64::from(u32::MAX) * 2.0 - 1.0
}
