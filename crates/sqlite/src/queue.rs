//! The queue but for claims and settlements: requests, release, reclaim, control words.

use campanile_core::control_word::ControlWord;
use campanile_core::due_send::{DueSend, Lane};
use campanile_core::limits;
use campanile_core::number::{CampaignNo, instant, millis};
use campanile_core::ports::{Add, Added, Released};
use rusqlite::params;

use crate::room::{Done, Room, View};

/// Old requests go a few at a time, the oldest first, faster than new ones come.
pub(crate) const FORGET_REQUESTS: &str =
    "DELETE FROM requests WHERE request IN (SELECT request FROM requests WHERE at < ?1 ORDER BY at LIMIT 10)";

impl Room<'_> {
    pub(crate) fn add(&mut self, add: &Add) -> Done<Added> {
        let now = millis(self.now) as i64;
        let kept = limits::REQUEST_KEPT.as_millis() as i64;
        self.run(
            "DELETE FROM requests WHERE request = ?1 AND at < ?2",
            params![add.request.as_slice(), now - kept],
        )?;
        let sql = "SELECT body, answer FROM requests WHERE request = ?1";
        let found =
            self.one(sql, [add.request.as_slice()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        match found {
            Some((body, answer)) if body == add.body => return Ok(Added::Before(answer)),
            Some(_) => return Ok(Added::OtherBody),
            None => {}
        }
        self.add_entries(&add.entries)?;
        self.count(add.counts.iter().copied())?;
        self.keep_refused(&add.refused)?;
        let sql = "INSERT INTO requests (request, body, answer, at) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![add.request.as_slice(), add.body.as_slice(), add.answer, now])?;
        self.run(FORGET_REQUESTS, [now - kept])?;
        Ok(Added::Now)
    }

    pub(crate) fn release(&mut self, limit: usize) -> Done<Released> {
        let now = millis(self.now) as i64;
        let sql = "SELECT at, seq, lane, core FROM wheel WHERE at <= ?1 ORDER BY at, seq LIMIT ?2";
        let due = self.all(sql, params![now, limit as i64], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, Vec<u8>>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ))
        })?;
        for (at, seq, lane, core) in &due {
            self.run("DELETE FROM wheel WHERE at = ?1 AND seq = ?2", params![at, seq])?;
            match (Lane::decode(lane), DueSend::decode(core)) {
                (Ok(lane), Ok(_)) => self.queue(lane, core, true)?,
                _ => self.put_aside("the wheel", &[lane.as_slice(), core].concat())?,
            }
        }
        let next = self.one("SELECT min(at) FROM wheel", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
        self.memory.is_touched = true;
        self.memory.next_due = next;
        Ok(Released { moved: due.len(), next_at: next.map(|at| instant(at.unsigned_abs())) })
    }

    pub(crate) fn set_control(&mut self, campaign: CampaignNo, word: ControlWord) -> Done<()> {
        let stored = self.memory.ring.word(campaign);
        if stored.is_some_and(|stored| stored.epoch > word.epoch) || stored == Some(word) {
            return Ok(());
        }
        let sql = "INSERT INTO control (campaign, word) VALUES (?1, ?2)
            ON CONFLICT (campaign) DO UPDATE SET word = excluded.word";
        self.run(sql, params![campaign.0, word.encode().as_slice()])?;
        self.raise_meta("control", 1)?;
        self.wake.send |= self.memory.ring().set_word(campaign, word);
        Ok(())
    }
}

impl View<'_> {
    /// A foreign word counts as none: its lanes are passed over.
    pub(crate) fn control_word(&self, campaign: CampaignNo) -> Done<Option<ControlWord>> {
        let sql = "SELECT word FROM control WHERE campaign = ?1";
        let bytes = self.one(sql, [campaign.0], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(bytes.and_then(|bytes| ControlWord::decode(&bytes).ok()))
    }
}
