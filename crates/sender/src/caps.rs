//! Reserves what caps and the minimum gap allow, for the sends of a claim that they concern: a call for each 64 of them.
//!
//! Only what every other gate lets pass is counted. What is not posted after all gives it back when it is settled.

use campanile_core::limits::CAP_ASKS_MAX;
use campanile_core::number::Shard;

use crate::claim::Parts;
use crate::send::before_caps;
use crate::settlement;
use crate::throttle::Waiting;

/// Settles those that a gate stops, and answers the others, with what their caps said.
pub(crate) async fn reserve(parts: &Parts, shard: Shard, waiting: Vec<Waiting>) -> Vec<Waiting> {
    let now = parts.clock.now();
    let (mut free, mut asking, mut asks) = (Vec::new(), Vec::new(), Vec::new());
    for waiting in waiting {
        match before_caps(&parts.means, &waiting.case, &waiting.live, now) {
            Ok(None) => free.push(waiting),
            Ok(Some(ask)) => {
                asks.push(ask);
                asking.push(waiting);
            }
            Err(settlement) => waiting.settle(parts, shard, *settlement).await,
        }
    }
    let mut asking = asking.into_iter();
    for asks in asks.chunks(CAP_ASKS_MAX) {
        let asked = asking.by_ref().take(asks.len());
        match parts.store.reserve_caps(shard, asks).await {
            Ok(answers) => free.extend(asked.zip(answers).map(|(mut waiting, answer)| {
                waiting.case.counted = Some(answer);
                waiting
            })),
            Err(error) => {
                tracing::error!(shard = shard.0, %error, "caps cannot be reserved; sends go back");
                for waiting in asked {
                    let back = settlement::put_back(waiting.case.lease.clone());
                    waiting.settle(parts, shard, back).await;
                }
            }
        }
    }
    free
}
