//! The loop: takes `now`, runs one pass over everything, sleeps until the next thing is due or somebody wakes it.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Clock, Store, StoreError, Work};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::campaigns::Campaigns;
use crate::event_pass::{self, Seen};
use crate::occurrence::{Step, decide};
use crate::{fan_out, finish, queue_pass, reconcile};

/// The longest sleep: what a lost wake-up costs.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// How often leases are looked at, and campaigns that may end.
const SLOW_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two tries while the store is away.
const AWAY_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub struct SchedulerConfig {
    /// Where this process begins among the shards, so that several do not read the same one at the same time.
    pub offset: u64,
}

/// One scheduler's memory between passes. Losing it loses nothing.
pub struct Scheduler {
    store: Arc<dyn Store>,
    shards: Vec<Shard>,
    campaigns: Campaigns,
    seen: Seen,
    /// Campaigns whose control words are still to be shown.
    unshown: Vec<CampaignNo>,
    slow_at: Option<Timestamp>,
}

/// What a pass did, and when the next one is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Occurrences fired, missed or begun.
    pub stepped: usize,
    pub walked: usize,
    pub entered: usize,
    pub events: usize,
    pub released: usize,
    pub reclaimed: usize,
    pub ended: usize,
    /// There is more to do at once.
    pub more: bool,
    pub next_at: Option<Timestamp>,
}

impl Scheduler {
    pub fn new(store: Arc<dyn Store>, config: &SchedulerConfig) -> Scheduler {
        let mut shards: Vec<Shard> = store.layout().shards().collect();
        let offset = config.offset % shards.len().max(1) as u64;
        shards.rotate_left(offset as usize);
        Scheduler {
            store,
            shards,
            campaigns: Campaigns::default(),
            seen: Seen::new(),
            unshown: Vec::new(),
            slow_at: None,
        }
    }

    /// Does everything that is due, in bounded steps.
    pub async fn pass(&mut self, now: Timestamp) -> Result<Pass, StoreError> {
        let store = self.store.clone();
        let store = store.as_ref();
        let mut did = Pass::default();
        self.unshown.extend(self.campaigns.refresh(store).await?);
        let events = event_pass::pass(store, &mut self.campaigns, &mut self.seen, &self.shards, now).await?;
        did.events = events.committed;
        self.unshown.extend(events.changed);
        reconcile::pass(store, &self.campaigns, &self.unshown).await?;
        self.unshown.clear();
        self.occurrences(now, &mut did).await?;
        self.fan_out(now, &mut did).await?;
        let released = queue_pass::release(store, &self.shards).await?;
        did.released = released.moved;
        did.next_at = did.next_at.into_iter().chain(released.next_at).min();
        did.more |= events.more || released.more || did.events > 0;
        if self.slow_at.is_none_or(|at| at <= now) {
            self.slow_at = now.checked_add(SLOW_EVERY).ok();
            did.reclaimed = queue_pass::reclaim(store, &self.shards).await?;
            for record in finish::pass(store, &self.campaigns, now).await? {
                did.ended += 1;
                self.campaigns.replace_record(record);
            }
        }
        Ok(did)
    }

    async fn occurrences(&mut self, now: Timestamp, did: &mut Pass) -> Result<(), StoreError> {
        let mut stepped = Vec::new();
        for known in self.campaigns.iter() {
            let Some(campaign) = &known.campaign else { continue };
            match decide(&known.record, campaign, now) {
                Step::Wait(next) => did.next_at = did.next_at.into_iter().chain(next).min(),
                Step::Save(record) => stepped.push(*record),
            }
        }
        for record in stepped {
            // Nothing saved: somebody else was faster, and the next pass sees what they wrote.
            if let Some(record) = self.store.save_campaign(record).await? {
                tracing::debug!(campaign = record.id, fired = record.schedule.fired, "occurrence");
                did.stepped += 1;
                did.next_at = did.next_at.into_iter().chain(record.schedule.next_at).min();
                self.unshown.push(record.no);
                self.campaigns.replace_record(record);
            }
            did.more = true;
        }
        Ok(())
    }

    async fn fan_out(&mut self, now: Timestamp, did: &mut Pass) -> Result<(), StoreError> {
        let mut closed = Vec::new();
        for known in self.campaigns.iter() {
            for open in &known.record.schedule.open {
                let walked = fan_out::pass(self.store.as_ref(), known, open, &self.seen, now).await?;
                did.walked += walked.users;
                did.entered += walked.entered;
                if walked.done {
                    closed.extend(fan_out::close(self.store.as_ref(), &known.record, open).await?);
                    did.more = true;
                    // Others of this campaign have their turn when its record is known again.
                    break;
                }
                did.more |= !walked.busy && walked.users > 0;
            }
        }
        for record in closed {
            self.campaigns.replace_record(record);
        }
        Ok(())
    }
}

/// Runs until `shutdown`. While the store is away it waits and says so; nothing is lost by it.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: SchedulerConfig,
    shutdown: CancellationToken,
) {
    let mut scheduler = Scheduler::new(store.clone(), &config);
    let mut seen = store.woken(Work::Schedule, u64::MAX).await;
    let mut away = 0_u32;
    while !shutdown.is_cancelled() {
        let sleep = match scheduler.pass(clock.now()).await {
            Ok(did) => {
                if away > 0 {
                    tracing::info!("the store is back");
                    away = 0;
                }
                if did.stepped + did.walked + did.events + did.released + did.reclaimed + did.ended > 0 {
                    tracing::debug!(
                        did.stepped,
                        did.walked,
                        did.entered,
                        did.events,
                        did.released,
                        did.reclaimed,
                        did.ended,
                        "pass"
                    );
                }
                if did.more { Duration::ZERO } else { sleep_until(did.next_at, clock.now()) }
            }
            Err(error) => {
                if away == 0 {
                    tracing::error!(%error, "the scheduler waits for the store");
                }
                away += 1;
                AWAY_WAIT_MAX.min(Duration::from_millis(50) * 2_u32.saturating_pow(away.min(8)))
            }
        };
        if sleep.is_zero() {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(sleep) => {}
            now = store.woken(Work::Schedule, seen), if away == 0 => seen = now,
        }
    }
}

/// Until `next_at`, at most the longest sleep. A timer fires within a millisecond, late rather than early.
fn sleep_until(next_at: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = next_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
    until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
}
