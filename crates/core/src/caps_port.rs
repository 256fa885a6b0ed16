//! What the engine asks of a store about caps: sends counted beside their users, before they are posted.

use crate::caps::{CapAnswer, CapAsk};
use crate::due_send::Lease;
use crate::number::Shard;
use crate::ports::Answer;

pub trait Caps {
    /// Counts each send at the store's now unless a rule stands against it, one after the other. In order. A repeat answers that what was
    /// counted is; at most `limits::CAP_ASKS_MAX`.
    fn reserve_caps<'a>(&'a self, shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>>;

    /// What `reserve_caps` would answer for each alone; counts nothing.
    fn look_at_caps<'a>(&'a self, shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>>;

    /// The sends are not posted after all: what they reserved is free again. Only under a live lease, and not where an earlier holder
    /// may have posted it (`caps::may_release`); others are left as they are.
    fn release_caps<'a>(&'a self, shard: Shard, leases: &'a [Lease]) -> Answer<'a, ()>;
}
