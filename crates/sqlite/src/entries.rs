//! Due-sends on their way in: into their lane if their time has come, else into the wheel; and what their entries keep.

use campanile_core::due_send::{DueEntry, Lane};
use campanile_core::number::millis;
use campanile_core::ports::{NewEntry, RefusedRow};
use rusqlite::params;

use crate::campaigns::json;
use crate::room::{Done, Room};

impl Room<'_> {
    pub(crate) fn add_entries(&mut self, entries: &[NewEntry]) -> Done<()> {
        let sql = "INSERT OR REPLACE INTO entry_data (campaign, user, key, bytes) VALUES (?1, ?2, ?3, ?4)";
        for entry in entries {
            if let Some(bytes) = &entry.data {
                let send = &entry.due.send;
                let params = params![entry.due.lane.campaign.0, send.user.0 as i64, send.key as i64, bytes];
                self.run(sql, params)?;
            }
            self.place(&entry.due)?;
        }
        Ok(())
    }

    pub(crate) fn place(&mut self, due: &DueEntry) -> Done<()> {
        if due.at <= self.now {
            return self.queue(due.lane, &due.send.encode(), true);
        }
        let sql = "INSERT INTO wheel (at, seq, lane, core) VALUES (?1,
            (SELECT coalesce(max(seq), 0) + 1 FROM wheel WHERE at = ?1), ?2, ?3)";
        let (at, lane, core) = (millis(due.at) as i64, due.lane.encode(), due.send.encode());
        self.run(sql, params![at, lane.as_slice(), core.as_slice()])?;
        self.wake.schedule |= self.memory.note_due(at);
        Ok(())
    }

    /// To the end of a lane, or to its front.
    pub(crate) fn queue(&mut self, lane: Lane, core: &[u8], at_end: bool) -> Done<()> {
        let sql = match at_end {
            true => {
                "INSERT INTO lanes (lane, seq, core)
                VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM lanes WHERE lane = ?1), ?2)"
            }
            false => {
                "INSERT INTO lanes (lane, seq, core)
                VALUES (?1, (SELECT coalesce(min(seq), 0) - 1 FROM lanes WHERE lane = ?1), ?2)"
            }
        };
        self.run(sql, params![lane.encode().as_slice(), core])?;
        self.wake.send |= self.memory.ring().add(lane, 1);
        Ok(())
    }

    /// Keeps refusals singly, the newest of each campaign.
    pub(crate) fn keep_refused(&self, refused: &[RefusedRow]) -> Done<()> {
        let sql = "INSERT INTO refused (campaign, seq, doc)
            VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM refused WHERE campaign = ?1), ?2)";
        let trim = "DELETE FROM refused WHERE campaign = ?1
            AND seq <= (SELECT max(seq) FROM refused WHERE campaign = ?1) - ?2";
        for row in refused {
            let doc = (millis(row.at), &row.user_id, row.reason.code(), &row.cause, &row.text);
            self.run(sql, params![row.campaign.0, json(&doc)?])?;
        }
        let mut campaigns: Vec<u32> = refused.iter().map(|row| row.campaign.0).collect();
        campaigns.sort_unstable();
        campaigns.dedup();
        for campaign in campaigns {
            self.run(trim, params![campaign, campanile_core::limits::REFUSED_MAX as i64])?;
        }
        Ok(())
    }
}
