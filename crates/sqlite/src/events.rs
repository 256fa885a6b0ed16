//! The event log: accepted once, read from its head, committed against what was read.

use std::collections::BTreeSet;

use campanile_core::limits;
use campanile_core::number::{UserNo, instant, millis};
use campanile_core::ports::{EventCommit, EventPage, LoggedEvent, NewEvent, RecentEvents, StoreError};
use campanile_core::recent_event::RecentRow;
use jiff::Timestamp;
use rusqlite::params;

use crate::room::{Done, Room, View};

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Room<'_> {
    pub(crate) fn accept_events(&mut self, events: &[NewEvent]) -> Done<Vec<bool>> {
        let waiting = self.have_room(events.len())?;
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            // Days by the clock of arrival: a client's own time never opens a new one.
            let day = (millis(self.now) / DAY_MS) as i64;
            let hash = event.id_hash as i64;
            let yesterday = "SELECT 1 FROM seen WHERE day = ?1 AND hash = ?2";
            let is_new = self.one(yesterday, params![day - 1, hash], |_| Ok(()))?.is_none()
                && self.run("INSERT OR IGNORE INTO seen (day, hash) VALUES (?1, ?2)", params![day, hash])?
                    == 1;
            answers.push(is_new);
            if !is_new {
                continue;
            }
            let user = self.open_user_no(&event.user_id, event.accepted_at)?;
            self.append(user, event.accepted_at, &event.bytes)?;
        }
        self.wake.schedule |= waiting == 0 && answers.contains(&true);
        // A day's ids may be millions: they go a few at a time, more than come.
        let sql =
            "DELETE FROM seen WHERE (day, hash) IN (SELECT day, hash FROM seen WHERE day < ?1 LIMIT 1000)";
        self.run(sql, [(millis(self.now) / DAY_MS) as i64 - 1])?;
        Ok(answers)
    }

    /// How many events wait; `Full` where there is no room for more.
    pub(crate) fn have_room(&self, more: usize) -> Done<usize> {
        // Their places have no gaps.
        let waiting = "SELECT coalesce((SELECT max(seq) FROM events) - (SELECT min(seq) FROM events) + 1, 0)";
        let waiting = self.one(waiting, [], |row| row.get::<_, i64>(0))?.unwrap_or(0).max(0) as usize;
        if waiting + more > limits::EVENT_LOG_MAX {
            return Err(StoreError::Full(format!("{waiting} events are waiting to be looked at")));
        }
        Ok(waiting)
    }

    /// Puts an item at the end of the log.
    pub(crate) fn append(&mut self, user: UserNo, accepted_at: Timestamp, bytes: &[u8]) -> Done<()> {
        let sql = "INSERT INTO events (accepted_at, user, bytes) VALUES (?1, ?2, ?3)";
        self.run(sql, params![millis(accepted_at) as i64, user.0 as i64, bytes]).map(drop)
    }
}

impl View<'_> {
    pub(crate) fn read_events(&self, limit: usize) -> Done<EventPage> {
        let sql = "SELECT accepted_at, user, bytes FROM events ORDER BY seq LIMIT ?1";
        let events = self.all(sql, [limit as i64], |row| {
            Ok(LoggedEvent {
                accepted_at: instant(row.get::<_, i64>(0)?.unsigned_abs()),
                user: UserNo(row.get::<_, i64>(1)?.unsigned_abs()),
                bytes: row.get(2)?,
            })
        })?;
        let numbers: BTreeSet<UserNo> = events.iter().map(|event| event.user).collect();
        let mut users = Vec::with_capacity(numbers.len());
        for no in numbers {
            users.extend(self.load_user(no)?);
        }
        Ok(EventPage { head: self.meta("head")?, control: self.meta("control")?, events, users })
    }

    pub(crate) fn recent_events(&self, from: u64, limit: usize) -> Done<RecentEvents> {
        let sql = "SELECT number, bytes FROM recent WHERE number >= ?1 ORDER BY number DESC LIMIT ?2";
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let mut rows = self.all(sql, params![from, limit as i64], |row| {
            Ok(RecentRow { number: row.get::<_, i64>(0)?.unsigned_abs(), bytes: row.get(1)? })
        })?;
        rows.reverse();
        Ok(RecentEvents { head: self.meta("head")?, rows })
    }
}

impl Room<'_> {
    /// A ring: a row takes the place of the one that is too old.
    fn keep_recent(&mut self, recent: &[RecentRow]) -> Done<()> {
        let newest = recent.len().saturating_sub(limits::RECENT_MAX);
        for row in recent.iter().skip(newest) {
            let slot = row.number % limits::RECENT_MAX as u64;
            let sql = "INSERT OR REPLACE INTO recent (slot, number, bytes) VALUES (?1, ?2, ?3)";
            self.run(sql, params![slot as i64, row.number as i64, row.bytes])?;
        }
        Ok(())
    }

    pub(crate) fn commit_events(&mut self, commit: &EventCommit) -> Done<bool> {
        if self.meta("head")? != commit.head || self.meta("control")? != commit.control {
            return Ok(false);
        }
        for user in &commit.users {
            let sql = "SELECT version FROM users WHERE no = ?1";
            let version = self.one(sql, [user.no.0 as i64], |row| row.get::<_, i64>(0))?;
            if version != Some(user.version as i64) {
                return Ok(false);
            }
        }
        for change in &commit.records {
            if !self.is_as_read(change)? {
                return Ok(false);
            }
        }
        let last =
            self.all("SELECT seq, bytes FROM events ORDER BY seq LIMIT ?1", [commit.read as i64], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
        for user in &commit.users {
            self.save_user(user)?;
        }
        for place in &commit.foreign {
            if let Some((_, bytes)) = last.get(*place) {
                self.put_aside("the event log", bytes)?;
            }
        }
        // Sends may have waited for these events.
        self.wake.send |= self.memory.ring.has_more();
        self.add_entries(&commit.entries)?;
        // After the entries: a newer trigger of the same page has the last word on what is kept.
        for change in &commit.records {
            self.save_record(change)?;
        }
        for converted in &commit.converted {
            self.note_converted(converted)?;
        }
        self.log_all(&commit.ended)?;
        self.count(commit.counts.iter().copied())?;
        self.keep_refused(&commit.refused)?;
        self.keep_recent(&commit.recent)?;
        if let Some((seq, _)) = last.last() {
            self.run("DELETE FROM events WHERE seq <= ?1", [seq])?;
            self.raise_meta("head", last.len() as u64)?;
        }
        Ok(true)
    }
}
