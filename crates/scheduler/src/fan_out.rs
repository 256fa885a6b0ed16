//! The fan-out: walks open occurrences, and manual entries of whole audiences, over the users of every shard, a chunk at a time, by a stored
//! cursor. Killed anywhere, it is resumed by any scheduler, and everybody enters once.
//!
//! `plan` decides about a chunk. Nobody enters while a campaign is paused; once it is over, what was not walked stays unwalked.

use std::collections::HashMap;

use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::entry_run::EntryRun;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::own_zone;
use campanile_core::ports::{Advance, Advanced, OccurrenceKey, Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::campaigns::{Campaigns, Known};
use crate::entry_runs;
use crate::histories;
use crate::looks::{self, Looked};
use crate::plan::{Chunk, Plan, Planned, plan};
use crate::shards::{self, Troubles};

/// Chunks that one pass walks, about 50 ms of work, so that events and releases get their turn.
const CHUNKS_MAX: usize = 16;
/// How long a shard is left alone whose lane was full: some senders drain it at once, a slow far end in hours.
const FULL_WAIT_MIN: SignedDuration = SignedDuration::from_millis(50);
const FULL_WAIT_MAX: SignedDuration = SignedDuration::from_secs(3);
/// How often an occurrence in users' own zones looks for users who came since: until its last place on earth.
const JOINERS_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What a fan-out remembers between passes.
#[derive(Default)]
pub struct FanOut {
    /// The occurrence that had the last turn.
    last: Option<(CampaignNo, Timestamp)>,
    full: HashMap<(OccurrenceKey, Shard), Full>,
}

/// A shard that is left alone for a while.
#[derive(Clone, Copy)]
struct Full {
    until: Timestamp,
    wait: SignedDuration,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FannedOut {
    pub users: usize,
    pub entered: usize,
    /// Records from which an occurrence was closed.
    pub closed: Vec<CampaignRecord>,
    /// There is more to walk.
    pub more: bool,
    /// When a full lane is looked at again.
    pub next_at: Option<Timestamp>,
}

/// What became of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walked {
    Some {
        users: usize,
        entered: usize,
    },
    /// Everybody who belongs was walked.
    Done,
    /// Another scheduler walks here.
    Elsewhere,
    /// A campaign changed and must be looked at first.
    Stale,
    /// Its lane is full.
    Full,
    /// Everybody was walked, and users may still come.
    Resting,
}

impl FanOut {
    pub async fn pass(
        &mut self,
        store: &dyn Store,
        campaigns: &Campaigns,
        shards: &[Shard],
        now: Timestamp,
        troubles: &mut Troubles,
    ) -> Result<FannedOut, StoreError> {
        let mut did = FannedOut::default();
        let mut chunks = 0;
        let mut turns = self.in_turn(campaigns);
        while !turns.is_empty() {
            let mut again = Vec::new();
            for turn @ (known, open) in turns {
                if chunks >= CHUNKS_MAX {
                    did.more = true;
                    return Ok(did);
                }
                self.last = Some((known.record.no, open.at));
                let before = did.users;
                chunks += self.walk((store, shards), campaigns, turn, now, &mut did, troubles).await?;
                if did.users > before {
                    again.push(turn);
                }
            }
            turns = again;
        }
        Ok(did)
    }

    /// Every open occurrence that may be walked, beginning after the one that had the last turn.
    fn in_turn<'c>(&self, campaigns: &'c Campaigns) -> Vec<(&'c Known, &'c OpenOccurrence)> {
        let live = campaigns.iter().filter(|known| known.record.state != State::Paused);
        let all = live.flat_map(|known| known.record.schedule.open.iter().map(move |open| (known, open)));
        let mut all: Vec<_> = all.collect();
        let first = all.iter().position(|(known, open)| Some((known.record.no, open.at)) > self.last);
        all.rotate_left(first.unwrap_or(0));
        all
    }

    /// A chunk of one occurrence on every shard; answers how many. Closes it where nothing is left to walk.
    async fn walk(
        &mut self,
        (store, shards): (&dyn Store, &[Shard]),
        campaigns: &Campaigns,
        (known, open): (&Known, &OpenOccurrence),
        now: Timestamp,
        did: &mut FannedOut,
        troubles: &mut Troubles,
    ) -> Result<usize, StoreError> {
        let record = &known.record;
        let place = format!("occurrence {} of campaign {}", open.at, record.id);
        let occurrence = OccurrenceKey { campaign: record.no, at: open.at };
        let mut chunks = 0;
        let mut is_done = matches!(record.state, State::Finishing | State::Ended);
        if let (false, Some(planned)) = (is_done, known.planned_as(open.revision)) {
            let free = self.not_full(shards, occurrence, now, did);
            chunks = free.len();
            is_done = free.len() == shards.len();
            let walked = shards::each(&free, |shard| {
                Box::pin(walk_shard(store, campaigns, (record, planned), occurrence, shard, now))
            });
            for (shard, walked) in walked.await {
                let walked = shards::aside(walked, &place, troubles)?;
                is_done &= walked == Some(Walked::Done);
                self.note(walked, (occurrence, shard), now, did);
            }
        }
        // One at a time: the next needs the record as it is then.
        if is_done && !did.closed.iter().any(|closed| closed.no == record.no) {
            let closed = close(store, shards, record, open, now).await;
            did.closed.extend(shards::aside(closed, &place, troubles)?.flatten());
            did.more = true;
            self.full.retain(|(full, _), _| *full != occurrence);
        }
        Ok(chunks)
    }

    /// The shards whose lanes were not found full just now.
    fn not_full(
        &self,
        shards: &[Shard],
        occurrence: OccurrenceKey,
        now: Timestamp,
        did: &mut FannedOut,
    ) -> Vec<Shard> {
        let mut free = Vec::with_capacity(shards.len());
        for &shard in shards {
            match self.full.get(&(occurrence, shard)) {
                Some(full) if full.until > now => did.look_at(full.until),
                _ => free.push(shard),
            }
        }
        free
    }

    fn note(
        &mut self,
        walked: Option<Walked>,
        place: (OccurrenceKey, Shard),
        now: Timestamp,
        did: &mut FannedOut,
    ) {
        match walked {
            Some(Walked::Some { users, entered }) => {
                did.users += users;
                did.entered += entered;
                did.more = true;
                self.full.remove(&place);
            }
            Some(Walked::Stale | Walked::Elsewhere) => did.more = true,
            Some(Walked::Full) => {
                let before = self.full.get(&place).map_or(SignedDuration::ZERO, |full| full.wait);
                let wait = (before * 2).clamp(FULL_WAIT_MIN, FULL_WAIT_MAX);
                let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
                did.look_at(until);
                self.full.insert(place, Full { until, wait });
            }
            Some(Walked::Resting) => {
                let until = now.checked_add(JOINERS_EVERY).unwrap_or(Timestamp::MAX);
                did.look_at(until);
                self.full.insert(place, Full { until, wait: SignedDuration::ZERO });
            }
            Some(Walked::Done) | None => {}
        }
    }
}

impl FannedOut {
    fn look_at(&mut self, at: Timestamp) {
        self.next_at = self.next_at.into_iter().chain([at]).min();
    }
}

/// Walks a chunk of one occurrence on a shard.
async fn walk_shard(
    store: &dyn Store,
    campaigns: &Campaigns,
    (record, planned): (&CampaignRecord, Planned<'_>),
    occurrence: OccurrenceKey,
    shard: Shard,
    now: Timestamp,
) -> Result<Walked, StoreError> {
    let run = record.run_at(occurrence.at);
    let is_look = record.is_look(occurrence.at);
    let takes_joiners = planned.campaign.zones.are_own && run.is_none() && !is_look;
    let limit = run.map_or(limits::ADVANCE_MAX, entry_runs::chunk);
    let mut walk = store.walk(shard, occurrence, takes_joiners, limit).await?;
    if walk.begun && walk.cursor >= walk.until {
        let may_join = takes_joiners && now < own_zone::closes_at(occurrence.at);
        return Ok(if may_join { Walked::Resting } else { Walked::Done });
    }
    if !campaigns.is_fresh(shard, walk.control) {
        return Ok(Walked::Stale);
    }
    let wanted =
        walk.users.iter().flat_map(|user| histories::wanted_by(planned.campaign, campaigns, user.no));
    let wanted: Vec<_> = wanted.collect();
    histories::fill(store, shard, &mut walk.users, &wanted).await?;
    // Numbers may be missing, so a chunk that is not full has reached the last number that belongs.
    let to = match walk.users.last() {
        Some(last) if walk.users.len() >= limit => last.no.0,
        _ => walk.until,
    };
    if is_look {
        let of = (store, campaigns, record);
        match looks::look(of, shard, (walk.control, &walk.users), now).await? {
            Looked::All => {}
            Looked::Stale => return Ok(Walked::Stale),
            Looked::Changed => return Ok(Walked::Elsewhere),
        }
    }
    let Plan { entries, ended, counts } = match run {
        None if is_look => Plan::default(),
        Some(run) => {
            let audience = run.condition().ok_or_else(|| unreadable(run))?;
            let place = (store.layout(), shard);
            let of = (run, &audience);
            entry_runs::walk(record, &planned, place, of, &walk.users, (&campaigns.segments, now))
        }
        None => {
            let chunk = Chunk { occurrence, users: &walk.users, last: walk.last };
            plan(record, &planned, (store.layout(), &campaigns.segments), chunk, now)
        }
    };
    let (users, entered) = (walk.users.len(), entries.len() + ended.len());
    let advance = Advance { occurrence, from: walk.cursor, to, entries, ended, counts };
    Ok(match store.advance(shard, &advance).await? {
        Advanced::Moved => Walked::Some { users, entered },
        Advanced::Elsewhere => Walked::Elsewhere,
        Advanced::Busy => Walked::Full,
    })
}

fn unreadable(run: &EntryRun) -> StoreError {
    let text = "its audience cannot be read".to_owned();
    StoreError::Foreign { place: format!("run {:?}", run.name), text }
}

/// All shards are done: their cursors may go, and the record no longer lists the occurrence. `None`: somebody else changed the record;
/// look again.
async fn close(
    store: &dyn Store,
    shards: &[Shard],
    record: &CampaignRecord,
    open: &OpenOccurrence,
    now: Timestamp,
) -> Result<Option<CampaignRecord>, StoreError> {
    let occurrence = OccurrenceKey { campaign: record.no, at: open.at };
    for (_, closed) in shards::each(shards, |shard| store.close_occurrence(shard, occurrence)).await {
        closed?;
    }
    let mut record = record.clone();
    record.schedule.open.retain(|other| other != open);
    record.close_run(open.at, now);
    record.close_look(open.at);
    store.save_campaign(record).await
}
