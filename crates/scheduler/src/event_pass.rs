//! The event pass: reads the first events of every shard, lets `trigger` decide, commits. A commit that was refused wrote nothing
//! and is done again from the start.

use std::collections::HashMap;

use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{EventPage, Store, StoreError};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::campaigns::Campaigns;
use crate::trigger;

/// Pages of one shard that one pass reads, so that other work gets its turn.
const ROUNDS_MAX: usize = 8;

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    pub committed: usize,
    /// Campaigns that were found to have changed.
    pub changed: Vec<CampaignNo>,
    /// There is more to read.
    pub more: bool,
}

/// The control number of each shard up to which campaigns are known.
pub type Seen = HashMap<Shard, u64>;

pub async fn pass(
    store: &dyn Store,
    campaigns: &mut Campaigns,
    seen: &mut Seen,
    shards: &[Shard],
    now: Timestamp,
) -> Result<Events, StoreError> {
    let mut did = Events::default();
    let mut busy = shards.to_vec();
    for _ in 0..ROUNDS_MAX {
        let reads = busy.iter().map(|shard| store.read_events(*shard, limits::EVENTS_READ_MAX));
        let pages: Vec<(Shard, EventPage)> = busy.iter().copied().zip(try_join_all(reads).await?).collect();
        if pages.iter().any(|(shard, page)| seen.get(shard) != Some(&page.control)) {
            // The word was shown after the campaign was written, so a refresh now knows at least as much as the page.
            did.changed.extend(campaigns.refresh(store).await?);
            seen.extend(pages.iter().map(|(shard, page)| (*shard, page.control)));
        }
        let known = &*campaigns;
        let full = pages.iter().filter(|(_, page)| !page.events.is_empty());
        let commits = try_join_all(full.map(|(shard, page)| async move {
            let commit = trigger::decide(page, known, store.layout(), now);
            if !commit.foreign.is_empty() {
                tracing::error!(
                    shard = shard.0,
                    events = commit.foreign.len(),
                    "events of foreign bytes are put aside"
                );
            }
            let done = store.commit_events(*shard, &commit).await?;
            Ok((
                *shard,
                if done { page.events.len() } else { 0 },
                !done || page.events.len() >= limits::EVENTS_READ_MAX,
            ))
        }))
        .await?;
        did.committed += commits.iter().map(|(_, n, _)| n).sum::<usize>();
        busy = commits.into_iter().filter(|(_, _, again)| *again).map(|(shard, _, _)| shard).collect();
        if busy.is_empty() {
            return Ok(did);
        }
    }
    did.more = true;
    Ok(did)
}
