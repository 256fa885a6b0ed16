//! Walks of open occurrences: a cursor that is compared, and who belongs.

use std::collections::HashMap;

use campanile_core::due_send::Lane;
use campanile_core::limits;
use campanile_core::number::millis;
use campanile_core::ports::{Advance, Advanced, OccurrenceKey, Walk};
use rusqlite::params;

use crate::room::{Done, Room, View};

/// How long the cursor of a closed occurrence stays, so that nobody can walk it anew with an old one.
const CLOSED_KEPT_MS: i64 = 48 * 3600 * 1000;

impl View<'_> {
    pub(crate) fn walk(&self, occurrence: OccurrenceKey, joiners: bool, limit: usize) -> Done<Walk> {
        let stored = self.cursor(occurrence)?;
        let (cursor, last) = stored.map_or_else(|| Ok((0, self.last_user()?)), Ok)?;
        let until = if joiners { self.last_user()?.max(last) } else { last };
        let users = self.users_between(cursor, until, limit)?;
        Ok(Walk { begun: stored.is_some(), cursor, last, until, control: self.meta("control")?, users })
    }

    fn cursor(&self, occurrence: OccurrenceKey) -> Done<Option<(u64, u64)>> {
        let sql = "SELECT cursor, last FROM occurrences WHERE campaign = ?1 AND at = ?2";
        let params = params![occurrence.campaign.0, millis(occurrence.at) as i64];
        self.one(sql, params, |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()))
        })
    }
}

impl Room<'_> {
    pub(crate) fn advance(&mut self, advance: &Advance) -> Done<Advanced> {
        let stored = self.cursor(advance.occurrence)?;
        if stored.map_or(0, |(cursor, _)| cursor) != advance.from {
            return Ok(Advanced::Elsewhere);
        }
        let mut adding = HashMap::<Lane, usize>::new();
        for entry in advance.entries.iter().filter(|entry| entry.due.at <= self.now) {
            *adding.entry(entry.due.lane).or_default() += 1;
        }
        if adding.keys().any(|lane| self.memory.ring.len(lane) >= limits::LANE_HIGH_WATER) {
            return Ok(Advanced::Busy);
        }
        let last = stored.map_or_else(|| self.last_user(), |(_, last)| Ok(last))?;
        self.add_entries(&advance.entries)?;
        self.log_all(&advance.ended)?;
        self.count(advance.counts.iter().copied())?;
        let sql = "INSERT INTO occurrences (campaign, at, cursor, last) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (campaign, at) DO UPDATE SET cursor = excluded.cursor";
        let at = millis(advance.occurrence.at) as i64;
        self.run(sql, params![advance.occurrence.campaign.0, at, advance.to as i64, last as i64])?;
        Ok(Advanced::Moved)
    }

    pub(crate) fn close_occurrence(&self, occurrence: OccurrenceKey) -> Done<()> {
        let now = millis(self.now) as i64;
        let sql =
            "UPDATE occurrences SET closed_at = ?3 WHERE campaign = ?1 AND at = ?2 AND closed_at IS NULL";
        self.run(sql, params![occurrence.campaign.0, millis(occurrence.at) as i64, now])?;
        self.run("DELETE FROM occurrences WHERE closed_at < ?1", [now - CLOSED_KEPT_MS]).map(drop)
    }
}
