//! What the engine asks of a store about sends that failed and are kept, and about all that is kept of one person.
//!
//! The rules of `ports` hold here too: verbs take batches, live in one shard, and may be repeated after an error.

use jiff::Timestamp;

use crate::due_send::{DueSend, Lane};
use crate::number::{CampaignNo, Shard};
use crate::ports::Answer;
use crate::slug::Slug;

pub trait FailedSends: Erasure {
    /// Failed sends of a shard in the order of their failure: those of the millisecond `from` or later, but for the first `skip` of
    /// them. Fewer than `limit`: there are no more.
    fn failed_sends(
        &self,
        shard: Shard,
        from: Timestamp,
        skip: usize,
        limit: usize,
    ) -> Answer<'_, Vec<FailedSend>>;

    /// Puts failed sends back into the queue at once, in a lane of class resent: the same id and revision, attempts counted anew.
    /// One that is no longer failed is left alone: `false` in its place. Counts.
    fn redrive<'a>(&'a self, shard: Shard, sends: &'a [Redriven], rerender: bool) -> Answer<'a, Vec<bool>>;
}

/// A send that gave up, as its last settle left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSend {
    pub failed_at: Timestamp,
    pub lane: Lane,
    pub send: DueSend,
}

/// One that is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    pub failed: FailedSend,
    /// The variant it was counted under, if its action has some.
    pub variant: Option<Slug>,
}

pub trait Erasure {
    /// Forgets a person of this id: profile and behaviour, what entries keep, delivery records, histories, failed sends with their
    /// requests, refusals (of these campaigns), latest events, and on SQLite the rows of the send log; what stays in wheel, lanes and on Redis the log
    /// has a number that nobody has any more. An event that waits to be looked at goes when it is.
    fn erase_user<'a>(&'a self, shard: Shard, id: &'a str, campaigns: &'a [CampaignNo])
    -> Answer<'a, Erased>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    Done,
    /// There is no such user.
    Nobody,
    /// A send to the user is leased: its settle would keep things anew. Not erased; ask again.
    UnderWay,
}
