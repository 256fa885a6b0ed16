//! The wiring: one function builds the program from settings, sockets, store and clock, and takes it down again.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::deployment::Deployment;
use campanile_control::ears::Ears;
use campanile_core::ports::{Clock, Store, StoreError};
use campanile_core::sealing::Sealer;
use campanile_redis::store::RedisStore;
use campanile_scheduler::run::SchedulerConfig;
use campanile_sender::run::SenderConfig;
use campanile_sqlite::store::SqliteStore;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::StoreClock;
use crate::config::Config;
use crate::door::Door;
use crate::faces::{self, Faces};
use crate::keyring::{self, Keyring};
use crate::random::{jitter, random};
use crate::store_watch::{self, Standing};
use crate::{health, http_server, measures};

pub type Failure = Box<dyn Error + Send + Sync>;

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

    /// As the command is called.
    fn name(self) -> &'static str {
        match self {
            Roles::CONTROL => "control",
            Roles::SCHEDULER => "scheduler",
            Roles::SENDER => "sender",
            _ => "serve",
        }
    }
}

/// Runs until SIGTERM or Ctrl-C, or until a part of it fails; then no part takes new work, and each ends what it has under way.
pub async fn run(config: Config, roles: Roles, metrics: PrometheusHandle) -> Result<(), Failure> {
    let place = Place::read(&config.store.url, roles)?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::start());
    let shutdown = CancellationToken::new();
    let (tell, standing) = watch::channel(Standing::Starting(String::new()));
    let mut stop = std::pin::pin!(stop_signal()?);
    let mut parts = JoinSet::new();
    let health = bind_health(&config, roles).await?;
    let at_health = health.as_ref().map(TcpListener::local_addr).transpose()?;
    let store = shown(&config.store.url);
    tracing::info!(parts = roles.name(), store, health = at_health.map(tracing::field::display), "starting");
    if let Some(health) = health {
        let routes = health::routes(standing.clone(), metrics.clone());
        spawn_endless(&mut parts, http_server::serve(Door::open(health, None)?, routes, shutdown.clone()));
    }
    let (seed, shards, sealer) = (random(), config.store.shards, place.sealer(&config)?);
    let store = tokio::select! {
        signal = &mut stop => return Ok(signal?),
        store = store_watch::open(|| place.open(clock.clone(), seed, shards, sealer.clone()), &tell) => store?,
    };
    if roles.control {
        let faces = Faces::open(&config).await?;
        faces.tell(&config);
        let deployment = Arc::new(Deployment {
            store: store.clone(),
            clock: clock.clone(),
            policy: config.policy()?,
            divert: config.divert()?,
            random: Box::new(random),
            stopping: shutdown.clone(),
            test_wire: tokio::sync::OnceCell::new(),
            ears: Ears::default(),
            may_keep_secrets: place.seals(&config) || config.network.dev,
            followed: campanile_control::followed::Followed::default(),
            outcomes: Default::default(),
        });
        if matches!(place, Place::File(_)) {
            // One process alone reads them, and it has the key.
            reseal(&store).await?;
        }
        faces.serve(&config, &deployment, ready(standing.clone()), &mut parts)?;
    } else {
        tracing::info!("working");
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
        let (slots, policy, divert) = (config.sender.slots, config.policy()?, config.divert()?);
        if let Some(divert) = &divert {
            tracing::warn!(to = divert.url(), "every webhook is diverted: none goes where it is meant to");
        }
        let config = SenderConfig { slots, policy, divert, ..SenderConfig::default() };
        parts.spawn(async move {
            campanile_sender::run::run(store, clock, config, Box::new(jitter), shutdown).await
        });
    }
    spawn_endless(&mut parts, store_watch::look(store, tell, shutdown.clone()));
    spawn_endless(&mut parts, measures::upkeep(metrics, shutdown.clone()));
    let ended = tokio::select! {
        signal = &mut stop => signal.map_err(Failure::from),
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

/// Secrets that were stored before there was a key, or by an older one.
async fn reseal(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let done = store.reseal_secrets().await?;
    if done.resealed > 0 {
        tracing::info!(secrets = done.resealed, "sealed anew");
    }
    for text in done.unread {
        tracing::error!("{text}");
    }
    Ok(())
}

/// A part that ends only when it is told to stop.
pub fn spawn_endless(
    parts: &mut JoinSet<Result<(), Failure>>,
    part: impl Future<Output = ()> + Send + 'static,
) {
    parts.spawn(async move {
        part.await;
        Ok(())
    });
}

/// Whether calls can be served, as it changes.
fn ready(mut standing: watch::Receiver<Standing>) -> watch::Receiver<bool> {
    let (tell, is_ready) = watch::channel(true);
    tokio::spawn(async move {
        while standing.changed().await.is_ok() {
            let now = *standing.borrow_and_update() == Standing::Ready;
            tell.send_replace(now);
        }
    });
    is_ready
}

/// Where the store is, as far as its URL can be understood.
enum Place {
    File(PathBuf),
    Redis(String),
}

impl Place {
    fn read(url: &str, roles: Roles) -> Result<Place, Failure> {
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
            return Ok(Place::File(path));
        }
        if url.starts_with("redis") && url.contains("://") {
            return Ok(Place::Redis(url.to_owned()));
        }
        Err(format!("store.url: {url:?} is not known: write sqlite:PATH, redis://HOST:PORT, redis+cluster://HOST:PORT,... or redis+sentinel://HOST:PORT,.../NAME").into())
    }

    async fn open(
        &self,
        clock: Arc<dyn Clock>,
        seed: [u8; 19],
        shards: u16,
        sealer: Option<Arc<dyn Sealer>>,
    ) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Place::File(path) => Ok(Arc::new(SqliteStore::open(path, clock, seed)?.sealed_by(sealer))),
            Place::Redis(url) => {
                let store = RedisStore::connect(url, clock, seed, Some(shards)).await?;
                Ok(Arc::new(store.sealed_by(sealer)))
            }
        }
    }

    /// Whether there is a key for secrets.
    fn seals(&self, config: &Config) -> bool {
        matches!(self, Place::File(_)) || !config.secrets.key_file.is_empty()
    }

    /// The keys of the named file; beside an SQLite file one is made where none is named.
    fn sealer(&self, config: &Config) -> Result<Option<Arc<dyn Sealer>>, Failure> {
        let file = match (config.secrets.key_file.as_str(), self) {
            ("", Place::Redis(_)) => return Ok(None),
            ("", Place::File(path)) => {
                let file = path.with_extension("key");
                match keyring::make_file(&file, &keyring::new_line(random(), random())) {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(format!("make {}: {e}", file.display()).into()),
                }
                file
            }
            (named, _) => PathBuf::from(named),
        };
        let told = |text: String| format!("secrets.key_file: {}: {text}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|e| told(e.to_string()))?;
        Ok(Some(Arc::new(Keyring::read(&text, random).map_err(told)?)))
    }
}

/// A worker does without where the port is taken: on one machine there may be many of them.
async fn bind_health(config: &Config, roles: Roles) -> Result<Option<TcpListener>, Failure> {
    match faces::bind(config.listen.health, "listen.health").await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if roles.control => Err(error),
        Err(error) => {
            tracing::warn!(%error, "health and metrics are not served: --listen-health 127.0.0.1:0 takes a free port");
            Ok(None)
        }
    }
}

/// A store's URL as it may be shown: without user name and password.
fn shown(url: &str) -> String {
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, place)))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}

/// Heard from now on, not from when it is first waited for: whoever reads that this process starts may stop it.
fn stop_signal() -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_shown_without_its_password() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://me:p@ss@cache.example:6379/0", "rediss://cache.example:6379/0"),
            ("redis://:secret@cache.example", "redis://cache.example"),
            ("sqlite:a@b.db", "sqlite:a@b.db"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
