//! One bounded pass: claims sends of one shard, and starts each in a slot of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Clock, Job, Settlement, Store, StoreError};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admit::{Decision, UNREADABLE_WAIT};
use crate::blind::admit_blind;
use crate::campaigns::{Campaigns, Live};
use crate::caps;
use crate::case::Case;
use crate::send::{Means, Toward, plan};
use crate::settle::{Settler, Settling};
use crate::settlement;
use crate::throttle::{Turn, Waiting, reserve, throttle_of, wait_for};
use crate::toward::{Said, go};

/// What a pass works with.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) means: Arc<Means>,
    pub(crate) slots: Arc<Semaphore>,
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
    /// There is more for which destinations have no room.
    pub(crate) passed_over: bool,
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
    let rooms = parts.means.far_ends.rooms(slots.num_permits() + parts.slots.available_permits());
    let mut claimed = parts.store.claim_within(shard, slots.num_permits(), &rooms).await?;
    let did = Pass {
        claimed: claimed.jobs.len(),
        more: claimed.more,
        passed_over: claimed.passed_over,
        next_at: claimed.next_at,
    };
    let known = match know(parts, campaigns, shard, &mut claimed.jobs).await {
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
    let mut said = Said::default();
    // Those that share something with others, and are decided together.
    let mut together = Vec::new();
    for job in claimed.jobs {
        let lease_ends = lease_ends(&job, asked_at);
        let no = job.lease.lane.destination;
        let live = known.get(&(job.lease.lane.campaign, job.lease.send.revision));
        let mut case = Case::open(job, parts.store.layout(), shard);
        let slot = slots.split(1);
        let Some(Ok(live)) = live else {
            let text = live.and_then(|live| live.as_ref().err()).map_or("", String::as_str);
            let settlement = blind(&case, text, parts.clock.now());
            parts.settler.put(shard, Settling { settlement, lease_ends, has_reserved: false, slot }).await;
            continue;
        };
        let is_probe = said.ask(parts, no, &mut case).await;
        let busy = parts.means.far_ends.begin(no, parts.clock.now());
        let toward = Toward { no, is_probe };
        let waiting = Waiting { case, live: live.clone(), lease_ends, slot, toward, busy };
        if has_caps(&waiting) || is_reserved(parts, &waiting) {
            together.push(waiting);
        } else {
            let parts = parts.clone();
            // In a box: a future of some KiB is moved several times on its way into a task.
            running.spawn(Box::pin(async move { begin(&parts, shard, waiting).await }));
        }
    }
    if !together.is_empty() {
        decide_together(parts, shard, together, running).await;
    }
    Ok(did)
}

fn has_caps(waiting: &Waiting) -> bool {
    let live = &waiting.live;
    live.limits.caps_of(&live.compiled.campaign.draft).next().is_some()
}

/// Caps first, then places and tokens: only what would really be posted takes one.
async fn decide_together(
    parts: &Arc<Parts>,
    shard: Shard,
    together: Vec<Waiting>,
    running: &mut JoinSet<()>,
) {
    let allowed = caps::reserve(parts, shard, together).await;
    let (reserved, free): (Vec<_>, Vec<_>) =
        allowed.into_iter().partition(|waiting| is_reserved(parts, waiting));
    for waiting in free {
        let parts = parts.clone();
        running.spawn(Box::pin(async move { begin(&parts, shard, waiting).await }));
    }
    for turn in reserve(parts, shard, reserved).await {
        let parts = parts.clone();
        running.spawn(async move { in_turn(&parts, shard, turn).await });
    }
}

/// Whether tokens or places are taken before it is posted.
fn is_reserved(parts: &Parts, waiting: &Waiting) -> bool {
    throttle_of(&waiting.live, waiting.case.class()).is_some()
        || parts.means.far_ends.terms(waiting.toward.no).is_limited()
}

/// Posts when its token's instant has come.
async fn in_turn(parts: &Parts, shard: Shard, turn: Turn) {
    tokio::time::sleep(wait_for(&turn, parts.clock.now())).await;
    let Turn { waiting, ready, place, .. } = turn;
    go(parts, shard, waiting, ready).await;
    if let Some((no, place)) = place
        && let Err(error) = parts.store.leave_places(no, &[place]).await
    {
        tracing::warn!(destination = no.0, %error, "a place cannot be left; it comes free with its time");
    }
}

/// Decides, and posts if the decision is to send.
async fn begin(parts: &Parts, shard: Shard, waiting: Waiting) {
    match plan(&parts.means, &waiting.case, &waiting.live, parts.clock.now()) {
        Ok(ready) => go(parts, shard, waiting, ready).await,
        Err(settlement) => waiting.settle(parts, shard, *settlement).await,
    }
}

/// Every campaign of a claim, once; and what users had of the campaigns that its conditions ask about.
async fn know(
    parts: &Parts,
    campaigns: &mut Campaigns,
    shard: Shard,
    jobs: &mut [Job],
) -> Result<Known, StoreError> {
    let mut known = Known::new();
    let mut last = None;
    for job in jobs.iter() {
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
    fill_histories(parts.store.as_ref(), shard, &known, jobs).await?;
    Ok(known)
}

async fn fill_histories(
    store: &dyn Store,
    shard: Shard,
    known: &Known,
    jobs: &mut [Job],
) -> Result<(), StoreError> {
    let asked_by = |job: &Job| match known.get(&(job.lease.lane.campaign, job.lease.send.revision)) {
        Some(Ok(live)) => live.looks_back.as_slice(),
        _ => &[],
    };
    let mut asked = Vec::new();
    for job in jobs.iter() {
        asked.extend(asked_by(job).iter().map(|(_, no)| (job.lease.send.user, *no)));
    }
    if asked.is_empty() {
        return Ok(());
    }
    let mut histories = store.histories(shard, &asked).await?.into_iter();
    for job in jobs {
        for ((id, _), history) in asked_by(job).iter().zip(&mut histories) {
            if let Some(profile) = &mut job.profile {
                profile.histories.put(id, history);
            }
        }
    }
    Ok(())
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
