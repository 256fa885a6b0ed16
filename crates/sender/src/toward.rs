//! Where a claimed send goes: what the breaker of its destination says, and what is done when its request turns out to go elsewhere.
//!
//! Before: `claim`, or `throttle` for what is reserved first. After: `send`, which posts.

use std::collections::HashMap;
use std::time::Duration;

use campanile_core::breaker::Says;
use campanile_core::limits;
use campanile_core::number::{DestinationNo, Shard};
use campanile_core::ports::Settlement;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::case::Case;
use crate::claim::Parts;
use crate::closed::{Closed, closed};
use crate::send::{Ready, Toward, post};
use crate::settle::Settling;
use crate::settlement;
use crate::throttle::Waiting;

/// With less of a lease left, a send is put back rather than begun.
const LEASE_LEFT_MIN: Duration = Duration::from_secs(2);

/// What breakers say to the sends of one claim: of a destination that may be probed, one send is the probe.
#[derive(Default)]
pub(crate) struct Said(HashMap<DestinationNo, Option<Closed>>);

impl Said {
    /// Closes the case where nothing may be sent there; answers whether its send is the probe.
    pub(crate) async fn ask(&mut self, parts: &Parts, no: DestinationNo, case: &mut Case) -> bool {
        if let Some(closed) = self.0.get(&no) {
            case.closed.clone_from(closed);
            return false;
        }
        let now = parts.clock.now();
        let mut says = parts.means.far_ends.says(no, now);
        let mut is_probe = false;
        if says == Says::Probe {
            is_probe = match parts.means.far_ends.take_probe(parts.store.as_ref(), no, now).await {
                Ok(is_taken) => is_taken,
                Err(error) => {
                    tracing::warn!(destination = no.0, %error, "a probe cannot be taken");
                    false
                }
            };
            // All others, and this one if somebody was faster.
            says = Says::Wait(now.saturating_add(limits::BREAKER_LOOK_AGAIN).unwrap_or(now));
        }
        let closed = closed("its destination", says)
            .map(|closed| Closed { until: waits(now, closed.until), ..closed });
        if !is_probe {
            case.closed.clone_from(&closed);
        }
        self.0.insert(no, closed);
        is_probe
    }
}

/// How long a lane is parked at once.
fn waits(now: Timestamp, until: Timestamp) -> Timestamp {
    until.min(now.saturating_add(limits::BREAKER_PARK_MAX).unwrap_or(until))
}

/// Posts, unless something has to come first.
pub(crate) async fn go(parts: &Parts, shard: Shard, mut waiting: Waiting, ready: Ready) {
    if let Some(settlement) = instead(parts, &mut waiting, &ready).await {
        return waiting.settle(parts, shard, settlement).await;
    }
    let Waiting { case, live, lease_ends, slot, toward, busy } = waiting;
    let left = lease_ends.saturating_duration_since(Instant::now());
    let terms = parts.means.far_ends.terms(toward.no);
    let within = terms.timeout.unwrap_or(parts.exchange_timeout).min(left);
    let clock = parts.clock.as_ref();
    let settlement = post(&parts.means, clock, &case, &live, ready, (toward, within)).await;
    let has_reserved = case.has_reserved();
    parts.settler.put(shard, Settling { settlement, lease_ends, has_reserved, slot }).await;
    drop(busy);
}

/// What is done instead of posting: the lease has become too short for it; or the request goes elsewhere than its lane says, and that
/// destination has to wait or to be asked for something first: then it is moved to that destination's lane.
async fn instead(parts: &Parts, waiting: &mut Waiting, ready: &Ready) -> Option<Settlement> {
    let lease = &waiting.case.lease;
    if waiting.lease_ends.saturating_duration_since(Instant::now()) < LEASE_LEFT_MIN {
        return Some(settlement::put_back(lease.clone()));
    }
    let far_ends = &parts.means.far_ends;
    let no = match far_ends.number(parts.store.as_ref(), &ready.destination()).await {
        Ok(no) => no,
        Err(error) => {
            tracing::warn!(%error, "a destination cannot be looked up; its send goes back");
            return Some(settlement::put_back(lease.clone()));
        }
    };
    if no == waiting.toward.no {
        return None;
    }
    let now = parts.clock.now();
    let free = parts.slots.available_permits() + 1;
    let until = match far_ends.says(no, now) {
        Says::Wait(until) => Some(waits(now, until)),
        Says::Probe => Some(now),
        Says::Send => (far_ends.terms(no).is_limited() || !far_ends.has_room(no, free)).then_some(now),
    };
    if let Some(until) = until {
        return Some(settlement::parked(lease.clone(), until, Some(no)));
    }
    if waiting.toward.is_probe {
        far_ends.not_probed(waiting.toward.no);
    }
    waiting.toward = Toward { no, is_probe: false };
    waiting.busy = far_ends.begin(no, now);
    None
}
