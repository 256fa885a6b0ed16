//! The fan-out: walks open occurrences over the users of every shard, a chunk at a time, by a stored cursor. Killed anywhere, it is
//! resumed by any scheduler, and everybody enters once.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Advance, Advanced, OccurrenceKey, Store, StoreError};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::campaigns::{Known, compile};
use crate::event_pass::Seen;
use crate::plan::{Planned, plan};

/// Chunks of one shard that one pass walks, so that other work gets its turn.
const CHUNKS_MAX: usize = 8;

/// Where an occurrence stands after a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    pub users: usize,
    pub entered: usize,
    /// No shard has anything left to walk.
    pub done: bool,
    /// Every shard that is not done waits for its lane to drain.
    pub busy: bool,
}

/// Walks one open occurrence of a campaign on all shards.
pub async fn pass(
    store: &dyn Store,
    known: &Known,
    open: &OpenOccurrence,
    seen: &Seen,
    now: Timestamp,
) -> Result<Walked, StoreError> {
    if known.record.state == State::Ended {
        return Ok(Walked { done: true, ..Default::default() });
    }
    let older;
    let campaign = if open.revision == known.record.revision {
        known.campaign.as_ref()
    } else {
        older = revision(store, &known.record, open.revision).await?;
        older.as_ref()
    };
    let Some(campaign) = campaign else { return Ok(Walked::default()) };
    let planned =
        Planned { no: known.record.no, revision: open.revision, destination: known.destination, campaign };
    let occurrence = OccurrenceKey { campaign: known.record.no, at: open.at };
    let shards =
        store.layout().shards().map(|shard| walk_shard(store, planned, occurrence, shard, seen, now));
    let walked = try_join_all(shards).await?;
    Ok(Walked {
        users: walked.iter().map(|w| w.users).sum(),
        entered: walked.iter().map(|w| w.entered).sum(),
        done: walked.iter().all(|w| w.done),
        busy: walked.iter().all(|w| w.done || w.busy),
    })
}

async fn walk_shard(
    store: &dyn Store,
    planned: Planned<'_>,
    occurrence: OccurrenceKey,
    shard: Shard,
    seen: &Seen,
    now: Timestamp,
) -> Result<Walked, StoreError> {
    let mut walked = Walked::default();
    for _ in 0..CHUNKS_MAX {
        let walk = store.walk(shard, occurrence, limits::ADVANCE_MAX).await?;
        if walk.begun && walk.cursor >= walk.last {
            walked.done = true;
            return Ok(walked);
        }
        if seen.get(&shard) != Some(&walk.control) {
            // A campaign changed: look at it first.
            return Ok(walked);
        }
        // Numbers may be missing, so a chunk that is not full has reached the last number that belongs.
        let to = match walk.users.last() {
            Some(last) if walk.users.len() >= limits::ADVANCE_MAX => last.no.0,
            _ => walk.last,
        };
        let plan = plan(&planned, occurrence, &walk.users, now);
        let entered = plan.entries.len();
        let advance =
            Advance { occurrence, from: walk.cursor, to, entries: plan.entries, counts: plan.counts };
        match store.advance(shard, &advance).await? {
            Advanced::Moved => {
                walked.users += walk.users.len();
                walked.entered += entered;
            }
            Advanced::Elsewhere => {}
            Advanced::Busy => {
                walked.busy = true;
                return Ok(walked);
            }
        }
    }
    Ok(walked)
}

/// An older revision that an occurrence was decided under.
async fn revision(
    store: &dyn Store,
    record: &CampaignRecord,
    revision: u32,
) -> Result<Option<Campaign>, StoreError> {
    let Some(draft) = store.revision(record.no, revision).await? else { return Ok(None) };
    Ok(compile(record, draft))
}

/// All shards are done: their cursors may go, and the record no longer lists the occurrence. `None`: somebody else changed the record;
/// look again.
pub async fn close(
    store: &dyn Store,
    record: &CampaignRecord,
    open: &OpenOccurrence,
) -> Result<Option<CampaignRecord>, StoreError> {
    let occurrence = OccurrenceKey { campaign: record.no, at: open.at };
    try_join_all(store.layout().shards().map(|shard| store.close_occurrence(shard, occurrence))).await?;
    let mut record = record.clone();
    record.schedule.open.retain(|other| other != open);
    store.save_campaign(record).await
}
