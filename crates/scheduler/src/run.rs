//! The loop: takes `now`, runs one pass over everything, sleeps until the next thing is due or somebody wakes it.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::number::Shard;
use campanile_core::ports::{Clock, Store, StoreError, Work};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::auto_pause::Watch;
use crate::campaigns::Campaigns;
use crate::fan_out::FanOut;
use crate::finish::Looks;
use crate::occurrence::{Step, decide};
use crate::reconcile::Shown;
use crate::shards::{Troubles, aside};
use crate::{auto_pause, event_pass, finish, listening, looks, queue_pass, reconcile};

/// The longest sleep: what a lost wake-up costs.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// The shortest, where a pass did nothing although something seemed due.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// How often leases are looked at, and campaigns that may end.
const SLOW_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// The waits between two tries while the store is away.
const AWAY_WAIT_MIN: Duration = Duration::from_millis(50);
const AWAY_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub struct SchedulerConfig {
    /// Where this process begins among the shards, so that several do not decide the same thing at the same time.
    pub offset: u64,
}

/// One scheduler's memory between passes. Losing it loses nothing.
pub struct Scheduler {
    store: Arc<dyn Store>,
    shards: Vec<Shard>,
    campaigns: Campaigns,
    fan_out: FanOut,
    shown: Shown,
    looks: Looks,
    watch: Watch,
    slow_at: Option<Timestamp>,
}

/// What a pass did, and when the next one is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Occurrences.
    pub fired: usize,
    pub missed: u64,
    /// Users walked for occurrences.
    pub walked: usize,
    pub events: usize,
    /// By occurrences and events.
    pub entered: usize,
    pub released: usize,
    pub reclaimed: usize,
    /// Control words that a shard lacked.
    pub shown: usize,
    /// Campaigns that ended by themselves.
    pub ended: usize,
    /// There is more to do at once.
    pub more: bool,
    pub next_at: Option<Timestamp>,
    /// What had to be left undone, and why.
    pub troubles: Troubles,
}

impl Pass {
    fn look_at(&mut self, at: Option<Timestamp>) {
        self.next_at = self.next_at.into_iter().chain(at).min();
    }

    /// Whether anything was done.
    pub fn has_work(&self) -> bool {
        self.missed > 0
            || [self.fired, self.walked, self.events, self.released, self.reclaimed, self.shown, self.ended]
                .iter()
                .any(|n| *n > 0)
    }
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
            fan_out: FanOut::default(),
            shown: Shown::new(),
            looks: Looks::default(),
            watch: Watch::default(),
            slow_at: None,
        }
    }

    /// Does everything that is due, in bounded steps. What was done before an error stays done.
    pub async fn pass(&mut self, now: Timestamp) -> Result<Pass, StoreError> {
        let mut did = Pass::default();
        let planned = self.plan(now, &mut did).await;
        aside(planned, "campaigns", &mut did.troubles)?;
        let released = queue_pass::release(self.store.as_ref(), &self.shards, now, &mut did.troubles).await?;
        did.released = released.moved;
        did.look_at(released.next_at);
        if self.slow_at.is_none_or(|at| at <= now) {
            self.slow_at = now.checked_add(SLOW_EVERY).ok();
            did.reclaimed = queue_pass::reclaim(self.store.as_ref(), &self.shards, &mut did.troubles).await?;
        }
        did.more &= did.has_work() || did.troubles.is_empty();
        Ok(did)
    }

    /// Everything that needs to know campaigns.
    async fn plan(&mut self, now: Timestamp, did: &mut Pass) -> Result<(), StoreError> {
        let store = self.store.clone();
        let store = store.as_ref();
        self.campaigns.refresh(store).await?;
        let events =
            event_pass::pass(store, &mut self.campaigns, &self.shards, now, &mut did.troubles).await?;
        did.events = events.committed;
        did.entered = events.entered;
        did.more = events.more;
        self.occurrences(now, did).await?;
        let (begun, look_at) = looks::begin(store, &self.campaigns, now, &mut did.troubles).await?;
        did.look_at(look_at);
        did.more |= !begun.is_empty();
        begun.into_iter().for_each(|record| self.campaigns.replace_record(record));
        let troubles = &mut did.troubles;
        did.more |= listening::pass(store, &mut self.campaigns, troubles).await? > 0;
        did.shown =
            reconcile::pass(store, &mut self.campaigns, &mut self.shown, &self.shards, troubles).await?;
        let fanned = self.fan_out.pass(store, &self.campaigns, &self.shards, now, &mut did.troubles).await?;
        did.walked = fanned.users;
        did.entered += fanned.entered;
        did.more |= fanned.more;
        did.look_at(fanned.next_at);
        for record in fanned.closed {
            self.campaigns.replace_record(record);
        }
        if self.slow_at.is_none_or(|at| at <= now) {
            let troubles = &mut did.troubles;
            for record in finish::pass(store, &self.campaigns, &mut self.looks, now, troubles).await? {
                tracing::info!(campaign = record.id, "ended: its last send is settled");
                did.ended += 1;
                did.more = true;
                self.campaigns.replace_record(record);
            }
            for record in auto_pause::pass(store, &self.campaigns, &mut self.watch, now, troubles).await? {
                let why = record.transitions.last().map_or("", |transition| transition.note.as_str());
                tracing::warn!(campaign = record.id, "{why}");
                did.more = true;
                self.campaigns.replace_record(record);
            }
        }
        Ok(())
    }

    async fn occurrences(&mut self, now: Timestamp, did: &mut Pass) -> Result<(), StoreError> {
        let mut due = Vec::new();
        for known in self.campaigns.iter() {
            let Some(compiled) = &known.compiled else { continue };
            match decide(&known.record, &compiled.campaign, now) {
                Step::Wait(next) => did.look_at(next),
                Step::Save(stepped) => due.push(*stepped),
            }
        }
        for stepped in due {
            let place = format!("occurrence of campaign {}", stepped.record.id);
            let saved = self.store.save_campaign(stepped.record).await;
            // Nothing saved: somebody else was faster, and the next pass sees what they wrote.
            did.more = true;
            let Some(record) = aside(saved, place, &mut did.troubles)?.flatten() else { continue };
            let campaign = record.id.as_str();
            if stepped.missed > 0 {
                let (missed, last_at) = (stepped.missed, record.schedule.last_missed_at);
                tracing::warn!(
                    campaign,
                    missed,
                    last_at = last_at.map(tracing::field::display),
                    "occurrences missed"
                );
            }
            if let Some(at) = stepped.fired {
                tracing::info!(campaign, %at, late_ms = now.duration_since(at).as_millis() as i64, "occurrence fired");
                did.fired += 1;
            }
            did.missed += stepped.missed;
            did.look_at(record.schedule.next_at);
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
    let mut away = None;
    let mut troubles = Troubles::new();
    while !shutdown.is_cancelled() {
        let sleep = match scheduler.pass(clock.now()).await {
            Ok(did) => {
                if away.take().is_some() {
                    tracing::info!("the store is back");
                }
                say(&did, &mut troubles);
                sleep_after(&did, clock.now())
            }
            Err(error) => {
                if away.is_none() {
                    tracing::error!(%error, "the scheduler waits for the store");
                }
                let wait = away.map_or(AWAY_WAIT_MIN, |wait: Duration| (wait * 2).min(AWAY_WAIT_MAX));
                away = Some(wait);
                wait
            }
        };
        if sleep.is_zero() {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(sleep) => {}
            now = store.woken(Work::Schedule, seen), if away.is_none() => seen = now,
        }
    }
}

/// One line for a pass with work; a trouble is said when it comes and when it has gone.
fn say(did: &Pass, before: &mut Troubles) {
    measure(did);
    if did.has_work() {
        tracing::debug!(
            did.fired,
            did.missed,
            did.walked,
            did.events,
            did.entered,
            did.released,
            did.reclaimed,
            did.shown,
            did.ended,
            "pass"
        );
    }
    for trouble in did.troubles.difference(before) {
        tracing::error!(%trouble, "left undone for now");
    }
    for trouble in before.difference(&did.troubles) {
        tracing::info!(%trouble, "done again");
    }
    before.clone_from(&did.troubles);
}

fn measure(did: &Pass) {
    for (name, n) in [
        ("campanile_events_decided_total", did.events),
        ("campanile_entries_total", did.entered),
        ("campanile_sends_released_total", did.released),
        ("campanile_sends_reclaimed_total", did.reclaimed),
        ("campanile_occurrences_fired_total", did.fired),
        ("campanile_occurrences_missed_total", did.missed as usize),
    ] {
        if n > 0 {
            metrics::counter!(name).increment(n as u64);
        }
    }
}

/// Until the next thing is due, at most the longest sleep. A timer fires late rather than early, by a millisecond or two.
fn sleep_after(did: &Pass, now: Timestamp) -> Duration {
    if did.more {
        return Duration::ZERO;
    }
    let until = did.next_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
    let sleep = until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
    if did.has_work() { sleep } else { sleep.max(SLEEP_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_can_be_spawned() {
        fn spawned(_: impl Future<Output = ()> + Send + 'static) {}
        let _ = |store, clock, config, shutdown| spawned(run(store, clock, config, shutdown));
    }
}
