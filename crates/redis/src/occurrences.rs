//! Occurrences: the walk over a shard's users in the order of their numbers, with a cursor that moves by compare and set.

use std::time::Duration;

use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Advance, Advanced, Answer, OccurrenceKey, Occurrences, StoreError, Walk};

use crate::arguments::{Arguments, at_most, occurrence_bytes};
use crate::store::{REPLY_BYTES_MAX, RedisStore};

/// A cursor stays for this after the walk: nobody can hold an old one then.
const CURSOR_KEPT: Duration = Duration::from_secs(48 * 3600);

impl RedisStore {
    async fn walk_on(
        &self,
        shard: Shard,
        occurrence: OccurrenceKey,
        joiners: bool,
        limit: usize,
    ) -> Result<Walk, StoreError> {
        let limit = limit.min(limits::ADVANCE_MAX);
        let arguments = Arguments::new()
            .bytes(occurrence_bytes(occurrence))
            .number(i64::from(joiners))
            .number(limit)
            .number(REPLY_BYTES_MAX);
        let mut reply = self.run(shard, &self.scripts.walk, arguments).await?;
        let (begun, cursor) = (reply.int()? == 1, reply.count()?);
        let (last, until) = (reply.count()?, reply.count()?);
        let (control, at) = (reply.count()?, reply.count()?);
        let mut users = self.users_of(shard, reply).await?;
        if users.len() < limit && at < until {
            users.extend(self.people(shard, at, Some(until), limit - users.len()).await?);
        }
        Ok(Walk { begun, cursor, last, until, control, users })
    }

    async fn move_on(&self, shard: Shard, advance: &Advance) -> Result<Advanced, StoreError> {
        at_most("entries", advance.entries.len(), limits::ADVANCE_MAX)?;
        let arguments = Arguments::new()
            .bytes(occurrence_bytes(advance.occurrence))
            .number(advance.from)
            .number(advance.to)
            .number(limits::LANE_HIGH_WATER)
            .entries(&advance.entries)
            .counts(&advance.counts)
            .rows(&advance.ended);
        Ok(match self.run(shard, &self.scripts.advance, arguments).await?.int()? {
            0 => Advanced::Elsewhere,
            1 => Advanced::Moved,
            _ => Advanced::Busy,
        })
    }
}

impl Occurrences for RedisStore {
    fn walk(&self, shard: Shard, occurrence: OccurrenceKey, joiners: bool, limit: usize) -> Answer<'_, Walk> {
        Box::pin(self.walk_on(shard, occurrence, joiners, limit))
    }

    fn advance<'a>(&'a self, shard: Shard, advance: &'a Advance) -> Answer<'a, Advanced> {
        Box::pin(self.move_on(shard, advance))
    }

    fn close_occurrence(&self, shard: Shard, occurrence: OccurrenceKey) -> Answer<'_, ()> {
        Box::pin(async move {
            let arguments =
                Arguments::new().bytes(occurrence_bytes(occurrence)).number(CURSOR_KEPT.as_millis());
            self.run(shard, &self.scripts.close_occurrence, arguments).await.map(|_| ())
        })
    }
}
