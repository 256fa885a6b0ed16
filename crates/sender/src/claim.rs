//! One bounded pass: claims sends of one shard, and starts each in a slot of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::due_send::Class;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Clock, Job, Settlement, Store, StoreError};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admit::{Decision, UNREADABLE_WAIT, admit_blind};
use crate::campaigns::{Campaigns, Live};
use crate::caps;
use crate::case::Case;
use crate::send::{Means, post, send};
use crate::settle::{Settler, Settling};
use crate::settlement;
use crate::throttle::{Turn, Waiting, reserve, settle, throttle_of, wait_for};

/// With less of a lease left, a send is put back rather than begun.
const LEASE_LEFT_MIN: Duration = Duration::from_secs(2);

/// What a pass works with.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) means: Arc<Means>,
    pub(crate) settler: Settler,
    pub(crate) exchange_timeout: Duration,
    pub(crate) shutdown: CancellationToken,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) claimed: usize,
    /// There is more to claim in this shard.
    pub(crate) more: bool,
    /// When a lane that waits is let go.
    pub(crate) next_at: Option<Timestamp>,
}

type Known = HashMap<(CampaignNo, u32), Result<Arc<Live>, String>>;

/// Claims at most as many sends as `slots` holds.
pub(crate) async fn pass(
    parts: &Arc<Parts>,
    campaigns: &mut Campaigns,
    shard: Shard,
    mut slots: OwnedSemaphorePermit,
    running: &mut JoinSet<()>,
) -> Result<Pass, StoreError> {
    // From before the claim was asked for: the store's lease ends no earlier.
    let asked_at = Instant::now();
    let claimed = parts.store.claim(shard, slots.num_permits()).await?;
    let did = Pass { claimed: claimed.jobs.len(), more: claimed.more, next_at: claimed.next_at };
    let known = match know(parts, campaigns, &claimed.jobs).await {
        Ok(known) => known,
        Err(error) => {
            put_back(parts, shard, claimed.jobs, asked_at).await;
            return Err(error);
        }
    };
    if parts.shutdown.is_cancelled() {
        put_back(parts, shard, claimed.jobs, asked_at).await;
        return Ok(did);
    }
    // Those that share something with others, and are decided together.
    let mut together = Vec::new();
    for job in claimed.jobs {
        let lease_ends = lease_ends(&job, asked_at);
        match known.get(&(job.lease.lane.campaign, job.lease.send.revision)) {
            Some(Ok(live)) if is_shared(live, job.lease.lane.class) => {
                let (live, slot) = (live.clone(), slots.split(1));
                let case = Case::open(job, parts.store.layout(), shard);
                together.push(Waiting { case, live, lease_ends, slot });
            }
            Some(Ok(live)) => {
                let (parts, live, slot) = (parts.clone(), live.clone(), slots.split(1));
                // In a box: a future of some KiB is moved several times on its way into a task.
                running.spawn(Box::pin(async move {
                    let case = Case::open(job, parts.store.layout(), shard);
                    at_once(&parts, shard, Waiting { case, live, lease_ends, slot }).await;
                }));
            }
            unreadable => {
                let text = unreadable.and_then(|live| live.as_ref().err()).map_or("", String::as_str);
                let case = Case::open(job, parts.store.layout(), shard);
                let settlement = blind(&case, text, parts.clock.now());
                let slot = slots.split(1);
                let has_reserved = false;
                parts.settler.put(shard, Settling { settlement, lease_ends, has_reserved, slot }).await;
            }
        }
    }
    if !together.is_empty() {
        decide_together(parts, shard, together, running).await;
    }
    Ok(did)
}

/// Whether its sends draw on what other sends draw on too.
fn is_shared(live: &Live, class: Class) -> bool {
    throttle_of(live, class).is_some() || live.limits.caps_of(&live.compiled.campaign.draft).next().is_some()
}

/// Caps first, then tokens: only what would really be posted takes one.
async fn decide_together(
    parts: &Arc<Parts>,
    shard: Shard,
    together: Vec<Waiting>,
    running: &mut JoinSet<()>,
) {
    let allowed = caps::reserve(parts, shard, together).await;
    let is_throttled = |waiting: &Waiting| throttle_of(&waiting.live, waiting.case.class()).is_some();
    let (throttled, free): (Vec<_>, Vec<_>) = allowed.into_iter().partition(is_throttled);
    for waiting in free {
        let parts = parts.clone();
        running.spawn(Box::pin(async move { at_once(&parts, shard, waiting).await }));
    }
    for turn in reserve(parts, shard, throttled).await {
        let parts = parts.clone();
        running.spawn(async move { in_turn(&parts, shard, turn).await });
    }
}

async fn at_once(parts: &Parts, shard: Shard, waiting: Waiting) {
    let settlement = begin(parts, &waiting.case, &waiting.live, waiting.lease_ends).await;
    settle(parts, shard, waiting, settlement).await;
}

/// Posts when its token's instant has come.
async fn in_turn(parts: &Parts, shard: Shard, turn: Turn) {
    tokio::time::sleep(wait_for(&turn, parts.clock.now())).await;
    let Turn { waiting, ready, .. } = turn;
    let (case, live) = (&waiting.case, &waiting.live);
    let left = waiting.lease_ends.saturating_duration_since(Instant::now());
    let settlement = if left < LEASE_LEFT_MIN {
        settlement::put_back(case.lease.clone())
    } else {
        let within = parts.exchange_timeout.min(left);
        post(&parts.means, parts.clock.as_ref(), case, live, ready, within).await
    };
    settle(parts, shard, waiting, settlement).await;
}

/// Sends, unless the lease has become too short for it.
async fn begin(parts: &Parts, case: &Case, live: &Live, lease_ends: Instant) -> Settlement {
    let left = lease_ends.saturating_duration_since(Instant::now());
    if left < LEASE_LEFT_MIN {
        return settlement::put_back(case.lease.clone());
    }
    let within = parts.exchange_timeout.min(left);
    send(&parts.means, parts.clock.as_ref(), case, live, within).await
}

/// Every campaign of a claim, once.
async fn know(parts: &Parts, campaigns: &mut Campaigns, jobs: &[Job]) -> Result<Known, StoreError> {
    let mut known = Known::new();
    let mut last = None;
    for job in jobs {
        let key = (job.lease.lane.campaign, job.lease.send.revision);
        if last == Some(key) || known.contains_key(&key) {
            continue;
        }
        last = Some(key);
        let live = campaigns.live(parts.store.as_ref(), key.0, key.1, job.control.epoch).await?;
        if let Err(error) = &live {
            tracing::error!(campaign = key.0.0, revision = key.1, "sends have to wait: {error}");
        }
        known.insert(key, live.map(Arc::new));
    }
    Ok(known)
}

/// What is done with a send whose campaign cannot be read: it waits, if nothing else is certain.
fn blind(case: &Case, text: &str, now: Timestamp) -> Settlement {
    match admit_blind(&case.control, case.class(), case.profile.is_some()) {
        Some(Decision::Suppress(reason, why)) => settlement::suppressed(case, reason, why, now),
        _ => {
            tracing::debug!(send = case.id_text, text, "held");
            settlement::held(case.lease.clone(), now.checked_add(UNREADABLE_WAIT).unwrap_or(Timestamp::MAX))
        }
    }
}

async fn put_back(parts: &Parts, shard: Shard, jobs: Vec<Job>, asked_at: Instant) {
    for job in jobs {
        let lease_ends = lease_ends(&job, asked_at);
        let settlement = settlement::put_back(job.lease);
        let settling = Settling { settlement, lease_ends, has_reserved: false, slot: None };
        parts.settler.put(shard, settling).await;
    }
}

fn lease_ends(job: &Job, asked_at: Instant) -> Instant {
    asked_at + Duration::from_secs(u64::from(job.control.lease_secs))
}
