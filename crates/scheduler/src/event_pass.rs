//! The event pass: reads the first events of every shard, lets `trigger` decide, commits. A commit that was refused wrote nothing
//! and is done again from the start: by the next pass, or by the scheduler that was faster.

use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{EventPage, Store, StoreError};
use jiff::Timestamp;

use crate::campaigns::Campaigns;
use crate::histories;
use crate::shards::{self, Troubles};
use crate::standing::Kept;
use crate::trigger::{self, Records};

/// Pages of one shard that one pass reads, so that other work gets its turn.
const ROUNDS_MAX: usize = 4;

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    pub committed: usize,
    pub entered: usize,
    /// There is more to read.
    pub more: bool,
}

pub async fn pass(
    store: &dyn Store,
    campaigns: &mut Campaigns,
    shards: &[Shard],
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<Events, StoreError> {
    let mut did = Events::default();
    let mut busy = shards.to_vec();
    for _ in 0..ROUNDS_MAX {
        let pages = read(store, &busy, troubles).await?;
        let controls: Vec<(Shard, u64)> = pages.iter().map(|(shard, page)| (*shard, page.control)).collect();
        if controls.iter().any(|(shard, control)| !campaigns.is_fresh(*shard, *control)) {
            campaigns.refresh_for(store, &controls).await?;
        }
        busy = commit(store, campaigns, pages, now, &mut did, troubles).await?;
        if busy.is_empty() {
            return Ok(did);
        }
    }
    did.more = true;
    Ok(did)
}

async fn read(
    store: &dyn Store,
    shards: &[Shard],
    troubles: &mut Troubles,
) -> Result<Vec<(Shard, EventPage)>, StoreError> {
    let mut pages = Vec::with_capacity(shards.len());
    for (shard, page) in shards::each(shards, |shard| store.read_events(shard, limits::EVENTS_READ_MAX)).await
    {
        let page = shards::aside(page, format_args!("events of shard {}", shard.0), troubles)?;
        pages.extend(page.map(|page| (shard, page)));
    }
    Ok(pages)
}

async fn records(
    store: &dyn Store,
    shard: Shard,
    wanted: Vec<(UserNo, CampaignNo)>,
) -> Result<Records, StoreError> {
    let mut records = Records::new();
    for wanted in wanted.chunks(limits::MOVE_MAX) {
        let stored = store.read_records(shard, wanted).await?;
        for ((user, campaign), stored) in wanted.iter().zip(stored) {
            records.insert((*user, *campaign), Kept::open(*user, *campaign, stored));
        }
    }
    Ok(records)
}

/// Answers the shards that may have more.
async fn commit(
    store: &dyn Store,
    campaigns: &Campaigns,
    pages: Vec<(Shard, EventPage)>,
    now: Timestamp,
    did: &mut Events,
    troubles: &mut Troubles,
) -> Result<Vec<Shard>, StoreError> {
    let mut commits = std::collections::HashMap::new();
    for (shard, mut page) in pages.into_iter().filter(|(_, page)| !page.events.is_empty()) {
        let read = page.events.len();
        let wanted = trigger::looked_back(&page, campaigns);
        let filled = histories::fill(store, shard, &mut page.users, &wanted).await;
        if shards::aside(filled, format_args!("histories of shard {}", shard.0), troubles)?.is_none() {
            continue;
        }
        let records = records(store, shard, trigger::wanted(&page, campaigns)).await;
        let place = format_args!("delivery records of shard {}", shard.0);
        let Some(records) = shards::aside(records, place, troubles)? else { continue };
        let commit = trigger::decide(page, records, campaigns, store.layout(), now);
        let more = commit.read < read || read >= limits::EVENTS_READ_MAX;
        commits.insert(shard, (commit, more));
    }
    let shards: Vec<Shard> = commits.keys().copied().collect();
    let commits = &commits;
    let committed = shards::each(&shards, |shard| match commits.get(&shard) {
        Some((commit, _)) => store.commit_events(shard, commit),
        None => Box::pin(std::future::ready(Ok(false))),
    });
    let mut busy = Vec::new();
    for (shard, committed) in committed.await {
        let committed = shards::aside(committed, format_args!("events of shard {}", shard.0), troubles)?;
        let (Some(committed), Some((commit, more))) = (committed, commits.get(&shard)) else { continue };
        if !committed {
            // Somebody was faster, or something changed: the next pass looks again.
            did.more = true;
            continue;
        }
        if !commit.foreign.is_empty() {
            let events = commit.foreign.len();
            tracing::error!(shard = shard.0, events, "events of foreign bytes are put aside");
        }
        did.committed += commit.read;
        did.entered += commit.entries.len();
        if *more {
            busy.push(shard);
        }
    }
    Ok(busy)
}
