//! What the engine asks of a store where a user changes and somebody listens. As with all ports, every verb may be repeated.

use crate::number::Shard;
use crate::ports::{Answer, StoredUser};

/// A profile with the version that was read, and what its change makes happen: packed `LogItem`s.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedUser {
    pub user: StoredUser,
    pub happened: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedUsers {
    /// In order: whether it was written.
    Written(Vec<bool>),
    /// Nothing was written: what is known of campaigns must be as new as this control number of the shard.
    Control(u64),
}

pub trait UserChanges {
    /// As `save_users`, if the shard's control number is still `control`; what happened to each user that is written is appended to the
    /// event log in the same step. `Full` as for events.
    fn change_users<'a>(
        &'a self,
        shard: Shard,
        control: u64,
        users: &'a [ChangedUser],
    ) -> Answer<'a, SavedUsers>;
}
