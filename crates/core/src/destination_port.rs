//! What the engine asks of a store about destinations: what was set for them, how they stand, and places for requests under way.
//!
//! Policies and breakers are few: policies are what operators set, and a breaker is kept only while there is trouble. Whoever sends
//! follows them by a version.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::destination::{DestinationPolicy, StoredDestination};
use crate::number::{DestinationNo, Shard};
use crate::ports::Answer;

pub trait Destinations {
    /// In the order of names, those after `after`: every one that was ever named.
    fn list_destinations<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<StoredDestination>>;

    /// Those with a policy or a breaker, if anything of them changed since `seen` (of an earlier answer; 0: everything).
    fn follow_destinations(&self, seen: u64) -> Answer<'_, FollowedDestinations>;

    /// Writes the policy if the stored revision is still `revision`: the new one is one more. `false`: it was not. `Full` when
    /// `limits::DESTINATION_POLICIES_MAX` others have one.
    fn save_destination(
        &self,
        no: DestinationNo,
        revision: u64,
        policy: DestinationPolicy,
    ) -> Answer<'_, bool>;

    /// Writes each breaker whose stored version is still the given one; none: removes it. In order: whether it was written. New ones
    /// beyond `limits::BREAKERS_MAX` are not.
    fn save_breakers<'a>(&'a self, breakers: &'a [BreakerChange]) -> Answer<'a, Vec<bool>>;

    /// Takes at most as many places as are free of `limit`, for the first of `places`, each until it is left or `lasts` has passed. A place
    /// that is held already stays held. Answers how many of them are held.
    fn take_places<'a>(
        &'a self,
        no: DestinationNo,
        limit: usize,
        places: &'a [Place],
        lasts: Duration,
    ) -> Answer<'a, usize>;

    fn leave_places<'a>(&'a self, no: DestinationNo, places: &'a [Place]) -> Answer<'a, ()>;
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FollowedDestinations {
    pub version: u64,
    /// None: nothing changed.
    pub destinations: Option<Vec<StoredDestination>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BreakerChange {
    pub no: DestinationNo,
    /// That was read; 0: there was none.
    pub version: u64,
    pub breaker: Option<Breaker>,
}

/// Of a request under way: shard and fence of its send's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub shard: Shard,
    pub fence: u64,
}

/// How many sends a claim may take of each destination's lanes. Lanes whose destination is not known yet are not bounded by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    /// Of a destination that is not listed.
    pub each: usize,
    pub of: Vec<RoomFor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomFor {
    pub no: DestinationNo,
    pub sends: usize,
    /// A lease lasts as long at least; 0: as its campaign says.
    pub lease_secs: u8,
}

impl Rooms {
    /// For as many as are asked for.
    pub const UNBOUNDED: Rooms = Rooms { each: usize::MAX, of: Vec::new() };
}
