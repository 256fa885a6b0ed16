//! Reserves what sends need before they are posted: places of their destinations, tokens of their campaigns and destinations. One call a
//! bucket and claim; what gets none parks its lane.
//!
//! Sends are decided first, so that only what would really be posted takes a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::destination_port::Place;
use campanile_core::due_send::{Class, Lease};
use campanile_core::limits;
use campanile_core::number::{DestinationNo, Shard};
use campanile_core::ports::{Settlement, StoreError};
use campanile_core::throttle::{Bucket, Throttle};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::campaigns::Live;
use crate::case::Case;
use crate::claim::Parts;
use crate::far_ends::Busy;
use crate::send::{Ready, Toward, plan};
use crate::settle::{Settling, give_back};
use crate::settlement;

/// How long a lane waits whose destination has no place free.
const PLACE_WAIT: Duration = Duration::from_millis(100);

/// A send on its way through a claim.
pub(crate) struct Waiting {
    pub(crate) case: Case,
    pub(crate) live: Arc<Live>,
    pub(crate) lease_ends: Instant,
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    pub(crate) toward: Toward,
    pub(crate) busy: Busy,
}

impl Waiting {
    /// Without a request.
    pub(crate) async fn settle(self, parts: &Parts, shard: Shard, settlement: Settlement) {
        let Waiting { case, lease_ends, slot, toward, busy, .. } = self;
        if toward.is_probe {
            parts.means.far_ends.not_probed(toward.no);
        }
        let has_reserved = case.has_reserved();
        parts.settler.put(shard, Settling { settlement, lease_ends, has_reserved, slot }).await;
        drop(busy);
    }

    fn place(&self, shard: Shard) -> Place {
        Place { shard, fence: self.case.lease.fence }
    }
}

/// One that may be posted, not before its instant.
pub(crate) struct Turn {
    pub(crate) waiting: Waiting,
    pub(crate) ready: Ready,
    pub(crate) at: Timestamp,
    /// To be left when it has ended.
    pub(crate) place: Option<(DestinationNo, Place)>,
}

/// What a send draws its tokens from. A resent one draws none.
pub(crate) fn throttle_of(live: &Live, class: Class) -> Option<Throttle> {
    live.compiled.campaign.throttle.filter(|_| class != Class::Resent)
}

/// Decides each, takes places and tokens for those to be posted, and settles all others.
pub(crate) async fn reserve(parts: &Parts, shard: Shard, waiting: Vec<Waiting>) -> Vec<Turn> {
    let now = parts.clock.now();
    let mut turns: Vec<Turn> = Vec::new();
    for waiting in waiting {
        match plan(&parts.means, &waiting.case, &waiting.live, now) {
            Ok(ready) => turns.push(Turn { waiting, ready, at: now, place: None }),
            Err(settlement) => waiting.settle(parts, shard, *settlement).await,
        }
    }
    let turns = with_places(parts, shard, turns).await;
    let of_campaign = |turn: &Turn| {
        let throttle = throttle_of(&turn.waiting.live, turn.waiting.case.class())?;
        Some((Bucket::Campaign(turn.waiting.case.lease.lane.campaign), throttle))
    };
    let turns = with_tokens(parts, shard, turns, of_campaign).await;
    let of_destination = |turn: &Turn| {
        let no = turn.waiting.toward.no;
        Some((Bucket::Destination(no), parts.means.far_ends.terms(no).rate?))
    };
    with_tokens(parts, shard, turns, of_destination).await
}

/// Where requests under way are counted: those that find no place wait a moment.
async fn with_places(parts: &Parts, shard: Shard, turns: Vec<Turn>) -> Vec<Turn> {
    let mut asking: BTreeMap<DestinationNo, Vec<Turn>> = BTreeMap::new();
    for turn in turns {
        asking.entry(turn.waiting.toward.no).or_default().push(turn);
    }
    let mut placed = Vec::new();
    for (no, mut asking) in asking {
        let terms = parts.means.far_ends.terms(no);
        let Some(limit) = terms.concurrency else {
            placed.append(&mut asking);
            continue;
        };
        let places: Vec<Place> = asking.iter().map(|turn| turn.waiting.place(shard)).collect();
        let lasts = terms.timeout.unwrap_or(parts.exchange_timeout) + limits::LEASE_SLACK;
        let held = match parts.store.take_places(no, limit, &places, lasts).await {
            Ok(held) => held,
            Err(error) => {
                put_back(parts, shard, asking, &error).await;
                continue;
            }
        };
        let without = asking.split_off(held.min(asking.len()));
        for (turn, place) in asking.iter_mut().zip(places) {
            turn.place = Some((no, place));
        }
        placed.append(&mut asking);
        let until = parts.clock.now().saturating_add(PLACE_WAIT).unwrap_or(Timestamp::MAX);
        park(parts, shard, without, until).await;
    }
    placed
}

/// Those that have a bucket take a token of it, or park their lanes.
async fn with_tokens(
    parts: &Parts,
    shard: Shard,
    turns: Vec<Turn>,
    bucket_of: impl Fn(&Turn) -> Option<(Bucket, Throttle)>,
) -> Vec<Turn> {
    let mut ready = Vec::new();
    let mut asking: Vec<(Bucket, Throttle, Vec<Turn>)> = Vec::new();
    for turn in turns {
        let Some((bucket, throttle)) = bucket_of(&turn) else {
            ready.push(turn);
            continue;
        };
        match asking.iter_mut().find(|(known, ..)| *known == bucket) {
            Some((_, _, turns)) => turns.push(turn),
            None => asking.push((bucket, throttle, vec![turn])),
        }
    }
    for (bucket, throttle, asking) in asking {
        let taken = match parts.store.take_tokens(bucket, throttle, asking.len()).await {
            Ok(taken) => taken,
            Err(error) => {
                put_back(parts, shard, asking, &error).await;
                continue;
            }
        };
        let refused = (asking.len() as u64).saturating_sub(taken.tokens);
        // Shards that all found the bucket empty come back one after the other.
        let shards = parts.store.layout().shards;
        let part = if taken.tokens > 0 { 0.0 } else { f64::from(shard.0) / f64::from(shards.max(1)) };
        let until = throttle.ask_again_at(taken.next_at, refused, part);
        let mut parked = Vec::new();
        for (place, mut turn) in (0..).zip(asking) {
            if place < taken.tokens {
                turn.at = turn.at.max(throttle.at(&taken, place));
                ready.push(turn);
            } else {
                parked.push(turn);
            }
        }
        park(parts, shard, parked, until).await;
    }
    ready
}

async fn put_back(parts: &Parts, shard: Shard, turns: Vec<Turn>, error: &StoreError) {
    tracing::error!(sends = turns.len(), %error, "what they need to be sent cannot be taken; sends go back");
    leave(parts, &turns).await;
    for turn in turns {
        let back = settlement::put_back(turn.waiting.case.lease.clone());
        turn.waiting.settle(parts, shard, back).await;
    }
}

/// Places of sends that are not posted after all.
async fn leave(parts: &Parts, turns: &[Turn]) {
    let mut places: BTreeMap<DestinationNo, Vec<Place>> = BTreeMap::new();
    for (no, place) in turns.iter().filter_map(|turn| turn.place) {
        places.entry(no).or_default().push(place);
    }
    for (no, places) in places {
        if let Err(error) = parts.store.leave_places(no, &places).await {
            tracing::warn!(destination = no.0, %error, "places cannot be left; they come free with their time");
        }
    }
}

/// At once, before this shard is claimed from again: the next claim is to find the lane parked.
async fn park(parts: &Parts, shard: Shard, parked: Vec<Turn>, until: Timestamp) {
    leave(parts, &parked).await;
    let reserved = parked.iter().filter(|turn| turn.waiting.case.has_reserved());
    let reserved: Vec<Lease> = reserved.map(|turn| turn.waiting.case.lease.clone()).collect();
    give_back(parts.store.as_ref(), shard, &reserved).await;
    for turn in parked.iter().filter(|turn| turn.waiting.toward.is_probe) {
        parts.means.far_ends.not_probed(turn.waiting.toward.no);
    }
    for parked in parked.chunks(limits::SETTLE_MAX) {
        let settlements: Vec<Settlement> = parked
            .iter()
            .map(|turn| settlement::parked(turn.waiting.case.lease.clone(), until, None))
            .collect();
        if let Err(error) = parts.store.settle(shard, &settlements).await {
            let sends = parked.len();
            tracing::warn!(shard = shard.0, sends, %error, "not parked; their leases run out and they come again");
        }
    }
}

/// How long to wait for the turn.
pub(crate) fn wait_for(turn: &Turn, now: Timestamp) -> Duration {
    Duration::try_from(turn.at.duration_since(now)).unwrap_or_default()
}
