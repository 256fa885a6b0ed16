//! The loop: asks one shard after the other for as many sends as there are free slots, sleeps when there are none anywhere.
//!
//! Told to stop, it claims no more, ends and settles what is under way, and returns. While the store is away it waits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::limits;
use campanile_core::network::Policy;
use campanile_core::number::Shard;
use campanile_core::ports::{Clock, Store, StoreError, Work};
use jiff::Timestamp;
use rustls::RootCertStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::campaigns::Campaigns;
use crate::claim::{Parts, Pass, pass};
use crate::divert::Divert;
use crate::far_ends::FarEnds;
use crate::measure;
use crate::notify;
use crate::send::Means;
use crate::settle::Settler;
use crate::wire::{Wire, WireConfig};

/// The longest sleep: what a lost wake-up costs.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// How often changes of campaigns and secrets are asked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Under load a claim waits for this many free slots, or this long: small claims cost several times as much a send.
const CLAIM_MIN: usize = 64;
const CLAIM_WAIT: Duration = Duration::from_millis(2);
/// How long freed slots of a destination are gathered before more of it is claimed.
const ROOM_WAIT: Duration = Duration::from_millis(3);
const AWAY_WAIT_MIN: Duration = Duration::from_millis(50);
const AWAY_WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// Sends between claim and settlement: as many requests are in flight at most.
    pub slots: usize,
    /// Where requests may go.
    pub policy: Policy,
    /// Where everything goes instead: staging on real data.
    pub divert: Option<Divert>,
    /// What `user-agent` says.
    pub version: String,
    pub connect_timeout: Duration,
    /// From the first connect to the last byte of the answer.
    pub exchange_timeout: Duration,
    /// After the order to stop, what is under way has this long to end.
    pub finish_timeout: Duration,
    /// Certificates to trust; none: the machine's.
    pub roots: Option<RootCertStore>,
}

impl Default for SenderConfig {
    fn default() -> SenderConfig {
        SenderConfig {
            slots: 256,
            policy: Policy::default(),
            divert: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connect_timeout: limits::CONNECT_TIMEOUT,
            exchange_timeout: limits::EXCHANGE_TIMEOUT,
            finish_timeout: limits::EXCHANGE_TIMEOUT + Duration::from_secs(5),
            roots: None,
        }
    }
}

/// What a turn over the shards found.
enum Found {
    Work,
    /// Not before then, as far as is known.
    Nothing {
        next_at: Option<Timestamp>,
        /// But there is work for which destinations have no room.
        passed_over: bool,
    },
}

struct Sender {
    parts: Arc<Parts>,
    campaigns: Campaigns,
    shards: Vec<Shard>,
    /// The place of the shard to be asked next.
    next: usize,
    slots: Arc<Semaphore>,
    slots_max: usize,
    running: JoinSet<()>,
    followed_at: Option<Instant>,
    swept_at: Instant,
}

/// Runs until `shutdown`. `jitter` gives numbers spread over -1 to 1. `Err`: TLS cannot be set up.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: SenderConfig,
    jitter: Box<dyn Fn() -> f64 + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let slots_max = config.slots.clamp(1, Semaphore::MAX_PERMITS);
    let wire = Wire::new(WireConfig {
        policy: config.policy.clone(),
        connect_timeout: config.connect_timeout,
        idle_max: slots_max,
        roots: config.roots,
    })?;
    let mut settling = JoinSet::new();
    let parts = Arc::new(Parts {
        settler: Settler::start(&store, &mut settling),
        means: Arc::new(Means {
            wire,
            far_ends: FarEnds::new(slots_max),
            policy: config.policy,
            divert: config.divert,
            version: config.version,
            jitter,
        }),
        slots: Arc::new(Semaphore::new(slots_max)),
        clock,
        exchange_timeout: config.exchange_timeout,
        shutdown,
        store,
    });
    let mut sender = Sender {
        shards: parts.store.layout().shards().collect(),
        slots: parts.slots.clone(),
        parts,
        campaigns: Campaigns::default(),
        next: 0,
        slots_max,
        running: JoinSet::new(),
        followed_at: None,
        swept_at: Instant::now(),
    };
    let notifying = tokio::spawn(notify::run(sender.parts.clone()));
    sender.work().await;
    // One that is under way is told again by whoever comes next.
    notifying.abort();
    let left = sender.finish(config.finish_timeout).await;
    // The way in to the settlers is closed: they settle what they have.
    drop(sender);
    let settled = timeout(config.finish_timeout, async { while settling.join_next().await.is_some() {} });
    if left > 0 || settled.await.is_err() {
        tracing::warn!(left, "stopped with sends under way; their leases run out and they come again");
    }
    Ok(())
}

impl Sender {
    async fn work(&mut self) {
        let shutdown = self.parts.shutdown.clone();
        let store = self.parts.store.clone();
        let mut seen = store.woken(Work::Send, u64::MAX).await;
        let mut away = Away::default();
        while !shutdown.is_cancelled() {
            self.reap();
            let mut waits_for_room = false;
            let sleep_max = match self.turn(&shutdown).await {
                Ok(None) => return,
                Ok(Some(found)) => {
                    away.is_back();
                    match found {
                        Found::Work => Duration::ZERO,
                        Found::Nothing { next_at: None, passed_over } => {
                            waits_for_room = passed_over;
                            SLEEP_MAX
                        }
                        Found::Nothing { next_at: Some(at), passed_over } => {
                            waits_for_room = passed_over;
                            let wait = at.duration_since(self.parts.clock.now());
                            // To the next millisecond, as fine as the store's clock is.
                            let wait =
                                Duration::try_from(wait).unwrap_or_default() + Duration::from_millis(1);
                            wait.min(SLEEP_MAX)
                        }
                    }
                }
                Err(error) => {
                    let wait = away.is_away(&error, (self.parts.means.jitter)());
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = sleep(wait) => continue,
                    }
                }
            };
            if !sleep_max.is_zero() {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    now = timeout(sleep_max, store.woken(Work::Send, seen)) => seen = now.unwrap_or(seen),
                    // In company: each turn asks every shard.
                    () = self.parts.means.far_ends.freed(), if waits_for_room => sleep(ROOM_WAIT).await,
                }
            }
        }
    }

    /// Asks the shards in turn until one has something. None: it is time to stop.
    async fn turn(&mut self, shutdown: &CancellationToken) -> Result<Option<Found>, StoreError> {
        self.look_around().await?;
        measure::in_flight(self.slots_max - self.slots.available_permits().min(self.slots_max));
        let mut first_at: Option<Timestamp> = None;
        let mut any_passed_over = false;
        for _ in 0..self.shards.len() {
            let slots = tokio::select! {
                () = shutdown.cancelled() => return Ok(None),
                slots = free_slots(&self.slots, self.slots_max) => slots,
            };
            let Some(slots) = slots else { return Ok(None) };
            let place = self.next % self.shards.len();
            self.next = place + 1;
            let Some(&shard) = self.shards.get(place) else { continue };
            let Pass { claimed, more, passed_over, next_at } =
                pass(&self.parts, &mut self.campaigns, shard, slots, &mut self.running).await?;
            if claimed > 0 {
                tracing::debug!(shard = shard.0, claimed, more, "pass");
            }
            if claimed > 0 || more {
                return Ok(Some(Found::Work));
            }
            any_passed_over |= passed_over;
            first_at = first_at.into_iter().chain(next_at).min();
        }
        Ok(Some(Found::Nothing { next_at: first_at, passed_over: any_passed_over }))
    }

    /// What is done every now and then.
    async fn look_around(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.followed_at.is_none_or(|at| now.duration_since(at) >= FOLLOW_EVERY) {
            let store = self.parts.store.as_ref();
            self.campaigns.follow(store).await?;
            self.parts.means.far_ends.follow(store, self.parts.clock.now()).await?;
            self.followed_at = Some(now);
        }
        if now.duration_since(self.swept_at) >= SWEEP_EVERY {
            self.parts.means.wire.sweep();
            self.swept_at = now;
        }
        Ok(())
    }

    /// Forgets sends that have ended. One that panicked is left to its lease.
    fn reap(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a send broke off; its lease runs out and it comes again");
            }
        }
    }

    /// Waits for what is under way; answers how many did not end in time.
    async fn finish(&mut self, within: Duration) -> usize {
        let ended = timeout(within, async { while self.running.join_next().await.is_some() {} });
        let _ = ended.await;
        let left = self.running.len();
        self.running.shutdown().await;
        left
    }
}

/// As many slots as are free, at most a claim's worth. Waits for the first; then, if most are busy, a little for more.
async fn free_slots(slots: &Arc<Semaphore>, slots_max: usize) -> Option<OwnedSemaphorePermit> {
    let enough = CLAIM_MIN.min(slots_max);
    if slots.available_permits() < enough {
        let wait = u32::try_from(enough).unwrap_or(1);
        if let Ok(many) = timeout(CLAIM_WAIT, slots.clone().acquire_many_owned(wait)).await {
            drop(many);
        }
    }
    let mut taken = slots.clone().acquire_owned().await.ok()?;
    let more = slots.available_permits().min(limits::CLAIM_MAX - 1);
    if let Ok(more) = slots.clone().try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
        taken.merge(more);
    }
    Some(taken)
}

/// Says once that the store is away, and once that it is back.
#[derive(Default)]
struct Away {
    tries: u32,
}

impl Away {
    /// How long to wait before the next try.
    fn is_away(&mut self, error: &StoreError, jitter: f64) -> Duration {
        if self.tries == 0 {
            tracing::error!(%error, "the sender waits for the store");
        }
        let wait = AWAY_WAIT_MAX.min(AWAY_WAIT_MIN * 2_u32.saturating_pow(self.tries.min(8)));
        self.tries = self.tries.saturating_add(1);
        wait.mul_f64(1.0 + 0.5 * jitter.clamp(-1.0, 1.0))
    }

    fn is_back(&mut self) {
        if self.tries > 0 {
            tracing::info!("the store is back");
        }
        self.tries = 0;
    }
}
