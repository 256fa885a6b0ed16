//! The event log of a shard: accepted in order, read with its users, moved on by compare and set.

use std::collections::HashMap;

use campanile_core::conversion::Converted;
use campanile_core::delivery_record::{Mark, StoredRecord};
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo, instant, millis};
use campanile_core::ports::{
    Answer, EventCommit, EventPage, Events, LoggedEvent, NewEvent, RecentEvents, StoreError,
};
use campanile_core::recent_event::RecentRow;
use campanile_core::user::Profile;

use crate::arguments::{Arguments, at_most, next_value, user_bytes, value};
use crate::keys;
use crate::reply::{number, user_no};
use crate::store::{REPLY_BYTES_MAX, RedisStore};

/// In front of an event's bytes: accepted at and user number.
const EVENT_HEAD_BYTES: usize = 11;

impl RedisStore {
    async fn accept(&self, shard: Shard, events: &[NewEvent]) -> Result<Vec<bool>, StoreError> {
        at_most("events", events.len(), limits::ACCEPT_MAX)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut places = HashMap::new();
        let mut users = Vec::new();
        for event in events {
            places.entry(event.user_id.as_str()).or_insert_with(|| {
                users.push(event);
                users.len()
            });
        }
        let mut arguments = Arguments::new().number(limits::EVENT_LOG_MAX).number(users.len());
        for event in users {
            let fresh = value(1, &Profile::new(&event.user_id, event.accepted_at).pack());
            arguments =
                arguments.bytes(self.id_bucket(&event.user_id)).bytes(event.user_id.as_str()).bytes(fresh);
        }
        arguments = arguments.number(events.len());
        for event in events {
            // As a signed decimal a set keeps it in 8 bytes.
            let hash = event.id_hash.cast_signed().to_string();
            arguments = arguments
                .number(places.get(event.user_id.as_str()).copied().unwrap_or_default())
                .bytes(keys::bucket(event.id_hash))
                .bytes(hash)
                .bytes(&millis(event.accepted_at).to_be_bytes()[2..])
                .bytes(event.bytes.as_slice());
        }
        let mut reply = self.run(shard, &self.scripts.accept_events, arguments).await?;
        let answer = reply.bytes()?;
        if answer == b"FULL" {
            return Err(StoreError::Full(format!(
                "shard {} has {} events that wait to be looked at",
                shard.0,
                limits::EVENT_LOG_MAX
            )));
        }
        Ok(answer.into_iter().map(|flag| flag == b'1').collect())
    }

    async fn first_events(&self, shard: Shard, limit: usize) -> Result<EventPage, StoreError> {
        let arguments = Arguments::new().number(limit.min(limits::EVENTS_READ_MAX)).number(REPLY_BYTES_MAX);
        let mut reply = self.run(shard, &self.scripts.read_events, arguments).await?;
        let (head, control, n) = (reply.count()?, reply.count()?, reply.count()?);
        let mut events = Vec::new();
        for _ in 0..n {
            events.push(logged(reply.bytes()?));
        }
        let users = self.users_of(shard, reply).await?;
        Ok(EventPage { head, control, events, users })
    }

    async fn delivery_records(
        &self,
        shard: Shard,
        asked: &[(UserNo, CampaignNo)],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut records = Vec::with_capacity(asked.len());
        for chunk in asked.chunks(limits::MOVE_MAX) {
            let arguments = chunk.iter().fold(Arguments::new(), |arguments, (user, campaign)| {
                arguments.bytes(user_bytes(*user)).bytes(campaign.0.to_be_bytes())
            });
            let mut reply = self.run(shard, &self.scripts.read_records, arguments).await?;
            for _ in chunk {
                let (bytes, marks) = (reply.bytes()?, reply.bytes()?);
                let marks = marks
                    .chunks_exact(9)
                    .filter_map(|mark| Some((number(&mark[..8]), Mark::from_code(mark[8])?)));
                records.push(StoredRecord { bytes, marks: marks.collect() });
            }
        }
        Ok(records)
    }

    async fn commit(&self, shard: Shard, commit: &EventCommit) -> Result<bool, StoreError> {
        let mut arguments = Arguments::new()
            .number(commit.head)
            .number(commit.control)
            .number(commit.read)
            .number(commit.foreign.len());
        for place in &commit.foreign {
            arguments = arguments.number(*place);
        }
        arguments = arguments.number(commit.users.len());
        for user in &commit.users {
            arguments = arguments
                .bytes(user_bytes(user.no))
                .bytes(user.version.to_be_bytes())
                .bytes(next_value(user));
        }
        let newest = commit.recent.len().saturating_sub(limits::RECENT_MAX);
        let recent = commit.recent.get(newest..).unwrap_or_default();
        arguments = arguments.number(recent.len());
        for row in recent {
            arguments = arguments.bytes([row.number.to_be_bytes().as_slice(), &row.bytes].concat());
        }
        let arguments = arguments.entries(&commit.entries).counts(&commit.counts).refused(&commit.refused);
        let mut arguments = arguments.rows(&commit.ended).number(commit.converted.len());
        for Converted { user, campaign, key, action } in &commit.converted {
            let entry = [key.to_be_bytes().as_slice(), &[*action]].concat();
            arguments = arguments.bytes(user_bytes(*user)).bytes(campaign.0.to_be_bytes()).bytes(entry);
        }
        let arguments = arguments.records(&commit.records);
        Ok(self.run(shard, &self.scripts.commit_events, arguments).await?.int()? == 1)
    }
}

impl RedisStore {
    pub(crate) async fn latest_events(
        &self,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<RecentEvents, StoreError> {
        // A number beyond what a script can count is beyond every event.
        let from = from.min(1 << 52);
        let arguments = Arguments::new().number(from).number(limit.min(limits::RECENT_MAX));
        let mut reply = self.run(shard, &self.scripts.recent_events, arguments).await?;
        let mut recent = RecentEvents { head: reply.count()?, rows: Vec::new() };
        while !reply.is_empty() {
            let bytes = reply.bytes()?;
            // Foreign bytes are passed over: nothing depends on them.
            let Some((head, row)) = bytes.split_at_checked(8) else { continue };
            let row = RecentRow { number: number(head), bytes: row.to_vec() };
            if row.number >= from {
                recent.rows.push(row);
            }
        }
        Ok(recent)
    }
}

/// Bytes too short to be ours become an event that nobody can read.
fn logged(bytes: Vec<u8>) -> LoggedEvent {
    match bytes.split_at_checked(EVENT_HEAD_BYTES) {
        Some((head, event)) => LoggedEvent {
            accepted_at: instant(number(&head[..6])),
            user: user_no(&head[6..]),
            bytes: event.to_vec(),
        },
        None => LoggedEvent { accepted_at: instant(0), user: user_no(&[]), bytes: Vec::new() },
    }
}

impl Events for RedisStore {
    fn accept_events<'a>(&'a self, shard: Shard, events: &'a [NewEvent]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.accept(shard, events))
    }

    fn read_events(&self, shard: Shard, limit: usize) -> Answer<'_, EventPage> {
        Box::pin(self.first_events(shard, limit))
    }

    fn read_records<'a>(
        &'a self,
        shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<StoredRecord>> {
        Box::pin(self.delivery_records(shard, asked))
    }

    fn commit_events<'a>(&'a self, shard: Shard, commit: &'a EventCommit) -> Answer<'a, bool> {
        Box::pin(self.commit(shard, commit))
    }
}
