//! Failed sends that are kept: read in the order of their failure, and put back into the queue.

use campanile_core::counter::{Count, Counter, VariantCounter, summed};
use campanile_core::due_send::{Class, DueEntry, DueSend, Lane};
use campanile_core::number::{Shard, instant, millis};
use campanile_core::ports::Answer;
use campanile_core::ports_kept::{FailedSend, FailedSends, Redriven};
use jiff::Timestamp;
use rusqlite::params;

use crate::room::{Done, Room, View};
use crate::store::SqliteStore;

impl FailedSends for SqliteStore {
    fn failed_sends(
        &self,
        _shard: Shard,
        from: Timestamp,
        skip: usize,
        limit: usize,
    ) -> Answer<'_, Vec<FailedSend>> {
        self.read(move |view| view.failed_sends(from, skip, limit))
    }

    fn redrive<'a>(&'a self, _shard: Shard, sends: &'a [Redriven], rerender: bool) -> Answer<'a, Vec<bool>> {
        let sends = sends.to_vec();
        self.write(move |room| room.redrive(&sends, rerender))
    }
}

impl View<'_> {
    fn failed_sends(&self, from: Timestamp, skip: usize, limit: usize) -> Done<Vec<FailedSend>> {
        let sql = "SELECT at, lane, core FROM failed WHERE at >= ?1 AND core IS NOT NULL
            ORDER BY at, seq LIMIT ?2 OFFSET ?3";
        let rows = self.all(sql, params![millis(from) as i64, limit as i64, skip as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        Ok(rows.iter().filter_map(|(at, lane, core)| failed(*at, lane, core)).collect())
    }
}

fn failed(at: i64, lane: &[u8], core: &[u8]) -> Option<FailedSend> {
    let (lane, send) = (Lane::decode(lane).ok()?, DueSend::decode(core).ok()?);
    Some(FailedSend { failed_at: instant(at.max(0).unsigned_abs()), lane, send })
}

impl Room<'_> {
    fn redrive(&mut self, sends: &[Redriven], rerender: bool) -> Done<Vec<bool>> {
        let mut answers = Vec::with_capacity(sends.len());
        let mut counts = Vec::new();
        for Redriven { failed: FailedSend { lane, send, .. }, variant } in sends {
            let (campaign, user, key) = (lane.campaign.0, send.user.0 as i64, send.key as i64);
            let sql = "DELETE FROM failed WHERE lane = ?1 AND core = ?2
                AND seq IN (SELECT seq FROM failed WHERE campaign = ?3 AND user = ?4 AND key = ?5 AND action = ?6)";
            let (whence, core) = (lane.encode(), send.encode());
            let was_there = self
                .run(sql, params![whence.as_slice(), core.as_slice(), campaign, user, key, send.action])?
                > 0;
            answers.push(was_there);
            if !was_there {
                continue;
            }
            let mut again = send.again(self.now);
            if rerender {
                let sql = "DELETE FROM kept WHERE campaign = ?1 AND user = ?2 AND key = ?3 AND action = ?4";
                self.run(sql, params![campaign, user, key, send.action])?;
                again.has_request = false;
            }
            let action = send.action;
            let mut count = |counter, by| counts.push(Count { campaign: lane.campaign, counter, by });
            count(Counter::Failed(action), -1);
            count(Counter::Pending(action), 1);
            count(Counter::Finished, -1);
            count(Counter::Open, 1);
            if let Some(name) = variant {
                count(Counter::Variant(action, *name, VariantCounter::Failed), -1);
            }
            let lane = Lane { class: Class::Resent, ..*lane };
            self.place(&DueEntry { at: self.now, lane, send: again })?;
        }
        self.count(summed(counts))?;
        Ok(answers)
    }
}
