//! Reserves tokens for the sends of throttled campaigns: one call a campaign and claim. What gets none parks its lane.
//!
//! Sends are decided first, so that only what would really be posted takes a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::due_send::{Class, Lease};
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Settlement, StoreError};
use campanile_core::throttle::Throttle;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::campaigns::Live;
use crate::case::Case;
use crate::claim::Parts;
use crate::send::{Ready, plan};
use crate::settle::{Settling, give_back};
use crate::settlement;

/// A send on its way through a claim.
pub(crate) struct Waiting {
    pub(crate) case: Case,
    pub(crate) live: Arc<Live>,
    pub(crate) lease_ends: Instant,
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

/// One that may be posted, not before its instant.
pub(crate) struct Turn {
    pub(crate) waiting: Waiting,
    pub(crate) ready: Ready,
    pub(crate) at: Timestamp,
}

/// What a send draws its tokens from. A resent one draws none.
pub(crate) fn throttle_of(live: &Live, class: Class) -> Option<Throttle> {
    live.compiled.campaign.throttle.filter(|_| class != Class::Resent)
}

/// Decides each, takes tokens for those to be posted, and settles all others.
pub(crate) async fn reserve(parts: &Parts, shard: Shard, waiting: Vec<Waiting>) -> Vec<Turn> {
    let now = parts.clock.now();
    let mut asking: BTreeMap<CampaignNo, Vec<(Waiting, Ready)>> = BTreeMap::new();
    for waiting in waiting {
        match plan(&parts.means, &waiting.case, &waiting.live, now) {
            Ok(ready) => {
                asking.entry(waiting.case.lease.lane.campaign).or_default().push((waiting, ready));
            }
            Err(settlement) => settle(parts, shard, waiting, *settlement).await,
        }
    }
    let mut turns = Vec::new();
    for (campaign, asking) in asking {
        let first = asking.first().and_then(|(waiting, _)| throttle_of(&waiting.live, waiting.case.class()));
        let Some(throttle) = first else { continue };
        let taken = match parts.store.take_tokens(campaign, throttle, asking.len()).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(campaign = campaign.0, %error, "tokens cannot be taken; sends go back");
                for (waiting, _) in asking {
                    let back = settlement::put_back(waiting.case.lease.clone());
                    settle(parts, shard, waiting, back).await;
                }
                continue;
            }
        };
        let refused = (asking.len() as u64).saturating_sub(taken.tokens);
        // Shards that all found the bucket empty come back one after the other.
        let shards = parts.store.layout().shards;
        let part = if taken.tokens > 0 { 0.0 } else { f64::from(shard.0) / f64::from(shards.max(1)) };
        let until = throttle.ask_again_at(taken.next_at, refused, part);
        let mut parked = Vec::new();
        for (place, (waiting, ready)) in (0..).zip(asking) {
            if place < taken.tokens {
                turns.push(Turn { at: throttle.at(&taken, place), waiting, ready });
            } else {
                parked.push(waiting);
            }
        }
        park(parts, shard, parked, until).await;
    }
    turns
}

/// At once, before this shard is claimed from again: the next claim is to find the lane parked.
async fn park(parts: &Parts, shard: Shard, parked: Vec<Waiting>, until: Timestamp) {
    let reserved = parked.iter().filter(|waiting| waiting.case.has_reserved());
    let reserved: Vec<Lease> = reserved.map(|waiting| waiting.case.lease.clone()).collect();
    give_back(parts.store.as_ref(), shard, &reserved).await;
    let settlements: Vec<Settlement> =
        parked.iter().map(|waiting| settlement::parked(waiting.case.lease.clone(), until)).collect();
    for (waiting, settlements) in parked
        .chunks(campanile_core::limits::SETTLE_MAX)
        .zip(settlements.chunks(campanile_core::limits::SETTLE_MAX))
    {
        let settled: Result<_, StoreError> = parts.store.settle(shard, settlements).await;
        if let Err(error) = settled {
            let sends = waiting.len();
            tracing::warn!(shard = shard.0, sends, %error, "not parked; their leases run out and they come again");
        }
    }
}

pub(crate) async fn settle(parts: &Parts, shard: Shard, waiting: Waiting, settlement: Settlement) {
    let Waiting { lease_ends, slot, case, .. } = waiting;
    let has_reserved = case.has_reserved();
    parts.settler.put(shard, Settling { settlement, lease_ends, has_reserved, slot }).await;
}

/// How long to wait for the turn.
pub(crate) fn wait_for(turn: &Turn, now: Timestamp) -> Duration {
    Duration::try_from(turn.at.duration_since(now)).unwrap_or_default()
}
