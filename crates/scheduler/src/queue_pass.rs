//! Release and reclaim: what is due goes from the wheel into its lanes; what a dead sender held goes back.

use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Store, StoreError};
use jiff::Timestamp;

use crate::shards::{self, Troubles};

/// Calls of one shard that one pass makes, so that other work gets its turn.
const ROUNDS_MAX: usize = 8;

/// What a release did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    pub moved: usize,
    /// When there is something to release again; not later than now where more is due.
    pub next_at: Option<Timestamp>,
}

pub async fn release(
    store: &dyn Store,
    shards: &[Shard],
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<Released, StoreError> {
    let mut all = Released::default();
    for (shard, released) in shards::each(shards, |shard| Box::pin(release_shard(store, shard, now))).await {
        let place = format_args!("release of shard {}", shard.0);
        if let Some(released) = shards::aside(released, place, troubles)? {
            all.moved += released.moved;
            all.next_at = all.next_at.into_iter().chain(released.next_at).min();
        }
    }
    Ok(all)
}

async fn release_shard(store: &dyn Store, shard: Shard, now: Timestamp) -> Result<Released, StoreError> {
    let mut did = Released::default();
    for _ in 0..ROUNDS_MAX {
        let released = store.release(shard, limits::MOVE_MAX).await?;
        did.moved += released.moved;
        did.next_at = released.next_at;
        if did.next_at.is_none_or(|at| at > now) {
            break;
        }
    }
    Ok(did)
}

/// Takes back what ran out on every shard; answers how much.
pub async fn reclaim(
    store: &dyn Store,
    shards: &[Shard],
    troubles: &mut Troubles,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    for (shard, n) in shards::each(shards, |shard| store.reclaim(shard, limits::RECLAIM_MAX)).await {
        let n = shards::aside(n, format_args!("reclaim of shard {}", shard.0), troubles)?;
        taken += n.unwrap_or(0);
    }
    Ok(taken)
}
