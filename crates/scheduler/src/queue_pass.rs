//! Release and reclaim: what is due goes from the wheel into its lanes; what a dead sender held goes back.

use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Store, StoreError};
use futures_util::future::try_join_all;
use jiff::Timestamp;

/// Calls of one shard that one pass makes.
const ROUNDS_MAX: usize = 8;

/// What a release did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    pub moved: usize,
    pub next_at: Option<Timestamp>,
    pub more: bool,
}

pub async fn release(store: &dyn Store, shards: &[Shard]) -> Result<Released, StoreError> {
    let released = try_join_all(shards.iter().map(|shard| release_shard(store, *shard))).await?;
    Ok(Released {
        moved: released.iter().map(|r| r.moved).sum(),
        next_at: released.iter().filter_map(|r| r.next_at).min(),
        more: released.iter().any(|r| r.more),
    })
}

async fn release_shard(store: &dyn Store, shard: Shard) -> Result<Released, StoreError> {
    let mut did = Released::default();
    for _ in 0..ROUNDS_MAX {
        let released = store.release(shard, limits::MOVE_MAX).await?;
        did.moved += released.moved;
        did.next_at = released.next_at;
        did.more = released.moved >= limits::MOVE_MAX;
        if !did.more {
            break;
        }
    }
    Ok(did)
}

/// Takes back what ran out on every shard; answers how much.
pub async fn reclaim(store: &dyn Store, shards: &[Shard]) -> Result<usize, StoreError> {
    let taken = try_join_all(shards.iter().map(|shard| store.reclaim(*shard, limits::RECLAIM_MAX))).await?;
    Ok(taken.into_iter().sum())
}
