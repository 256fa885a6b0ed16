//! Settlements: leased sends end or move; attempt, verdict, counters and log in one step. And the leases of the dead.

use std::collections::BTreeMap;

use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{DueSend, Lane, Lease, user_hash};
use campanile_core::limits;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{Layout, millis};
use campanile_core::ports::{Settle, Settlement};
use campanile_core::reason::Failure;
use campanile_core::settled::{self, Effects, Goes};
use rusqlite::params;

use crate::room::{Done, Room};

impl Room<'_> {
    pub(crate) fn settle(&mut self, settlements: &[Settlement]) -> Done<Vec<bool>> {
        let mut answers = Vec::with_capacity(settlements.len());
        let (mut counts, mut backs) = (Vec::new(), Vec::new());
        for settlement in settlements {
            let lease = &settlement.lease;
            let sql = "DELETE FROM leases WHERE fence = ?1 AND lane = ?2 AND core = ?3";
            let (lane, core) = (lease.lane.encode(), lease.send.encode());
            let is_live = self.run(sql, params![lease.fence as i64, lane.as_slice(), core.as_slice()])? == 1;
            answers.push(is_live);
            if !is_live {
                continue;
            }
            let word = self.memory.ring.word(lease.lane.campaign);
            let effects = settled::effects(settlement, word.as_ref());
            if let Goes::Back { lane, ref send, until } = effects.goes {
                backs.push((lane, send.encode(), until));
            }
            self.settle_one(settlement, effects, &mut counts)?;
        }
        // From the last to the first, so that the front of a lane keeps its order.
        for (lane, core, _) in backs.iter().rev() {
            self.queue(*lane, core, false)?;
        }
        for (lane, _, until) in &backs {
            if let Some(until) = until {
                self.memory.ring().park(lane, millis(*until) as i64);
            }
        }
        self.count(summed(counts))?;
        self.trim_log(answers.len())?;
        Ok(answers)
    }

    fn settle_one(
        &mut self,
        settlement: &Settlement,
        effects: Effects<'_>,
        counts: &mut Vec<Count>,
    ) -> Done<()> {
        let (lane, send) = (settlement.lease.lane, &settlement.lease.send);
        counts.extend(effects.counts);
        if let Some(happened) = effects.noted {
            let news = self.note_history(lane.campaign, send, happened, effects.is_first)?;
            let counted = [(news.user, Counter::Users), (news.entry, Counter::Reached)];
            let counted = counted.into_iter().filter(|(is_new, _)| *is_new);
            counts.extend(counted.map(|(_, counter)| Count { campaign: lane.campaign, counter, by: 1 }));
        }
        if let Some(change) = effects.mark {
            self.change_mark(lane.campaign, send, change)?;
        }
        if let Some(outcome) = effects.outcome {
            self.append(send.user, self.now, &outcome)?;
            self.wake.schedule = true;
        }
        match effects.goes {
            Goes::Over { data, request } => self.forget(lane, send, data, request)?,
            Goes::Failed { send, kept } => self.keep_failed(lane, &send, kept)?,
            Goes::On { entry, kept } => {
                if let Some(kept) = kept {
                    self.keep_request(lane, send, kept)?;
                }
                self.place(&entry)?;
            }
            Goes::Back { .. } | Goes::Nowhere => {}
        }
        settlement.row.iter().try_for_each(|row| self.log(row))
    }

    pub(crate) fn log(&self, row: &LogRow) -> Done<()> {
        // By the store's clock, which alone says how long a row is kept.
        let params = params![row.encode(), millis(self.now) as i64];
        self.run("INSERT INTO log (bytes, at) VALUES (?1, ?2)", params).map(drop)
    }

    /// Of sends that ended in being planned.
    pub(crate) fn log_all(&self, rows: &[LogRow]) -> Done<()> {
        for row in rows {
            self.log(row)?;
        }
        if rows.is_empty() { Ok(()) } else { self.trim_log(rows.len()) }
    }

    /// By number, and by age: of the oldest rows more may go than one call adds.
    fn trim_log(&self, added: usize) -> Done<()> {
        let sql = "DELETE FROM log WHERE seq <= (SELECT max(seq) FROM log) - ?1
            OR seq <= (SELECT min(seq) FROM log) + ?2 AND at < ?3";
        let since = millis(self.now) as i64 - limits::LOG_KEPT.as_millis() as i64;
        self.run(sql, params![limits::LOG_ROWS_MAX as i64, 2 * added.max(limits::SETTLE_MAX) as i64, since])
            .map(drop)
    }

    fn keep_request(&self, lane: Lane, send: &DueSend, bytes: &[u8]) -> Done<()> {
        let sql =
            "INSERT OR REPLACE INTO kept (campaign, user, key, action, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.run(sql, params![lane.campaign.0, send.user.0 as i64, send.key as i64, send.action, bytes])
            .map(drop)
    }

    fn keep_failed(&self, lane: Lane, send: &DueSend, kept: &[u8]) -> Done<()> {
        if !kept.is_empty() {
            self.keep_request(lane, send, kept)?;
        }
        let now = millis(self.now) as i64;
        let core = send.encode();
        let sql = "INSERT INTO failed (campaign, user, key, action, at, lane, core) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (user, key) = (send.user.0 as i64, send.key as i64);
        let (whence, core) = (lane.encode(), core.as_slice());
        self.run(sql, params![lane.campaign.0, user, key, send.action, now, whence.as_slice(), core])?;
        // They stand in the order of their time.
        let old = "SELECT seq, campaign, user, key, action FROM failed
            WHERE seq <= (SELECT max(seq) FROM failed) - ?1
               OR seq <= (SELECT min(seq) FROM failed) + 9 AND at < ?2 ORDER BY seq LIMIT 10";
        let since = now - limits::FAILED_KEPT.as_millis() as i64;
        let old = self.all(old, params![limits::FAILED_MAX as i64, since], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        for (seq, campaign, user, key, action) in old {
            let (seq, campaign, user, key, action): (i64, u32, i64, i64, u8) =
                (seq, campaign, user, key, action);
            self.run("DELETE FROM failed WHERE seq = ?1", [seq])?;
            self.forget_entry(campaign, user, key, action)?;
        }
        Ok(())
    }

    fn forget(&self, lane: Lane, send: &DueSend, data: bool, request: bool) -> Done<()> {
        let (campaign, user, key) = (lane.campaign.0, send.user.0 as i64, send.key as i64);
        if data {
            self.forget_data(campaign, user, key)?;
        }
        if request { self.forget_request(campaign, user, key, send.action) } else { Ok(()) }
    }

    fn forget_data(&self, campaign: u32, user: i64, key: i64) -> Done<()> {
        let sql = "DELETE FROM entry_data WHERE campaign = ?1 AND user = ?2 AND key = ?3";
        self.run(sql, params![campaign, user, key]).map(drop)
    }

    fn forget_entry(&self, campaign: u32, user: i64, key: i64, action: u8) -> Done<()> {
        self.forget_data(campaign, user, key)?;
        self.forget_request(campaign, user, key, action)
    }

    fn forget_request(&self, campaign: u32, user: i64, key: i64, action: u8) -> Done<()> {
        let sql = "DELETE FROM kept WHERE campaign = ?1 AND user = ?2 AND key = ?3 AND action = ?4";
        self.run(sql, params![campaign, user, key, action]).map(drop)
    }

    /// Takes back what ran out by now.
    pub(crate) fn reclaim(&mut self, layout: &Layout, limit: usize) -> Done<usize> {
        self.reclaim_before(layout, millis(self.now) as i64, limit)
    }

    /// Takes back every lease: whoever held them is gone.
    pub(crate) fn reclaim_all(&mut self, layout: &Layout) -> Done<usize> {
        self.reclaim_before(layout, i64::MAX, usize::MAX)
    }

    fn reclaim_before(&mut self, layout: &Layout, before: i64, limit: usize) -> Done<usize> {
        let sql = "SELECT fence, lane, core FROM leases WHERE expires_at <= ?1 ORDER BY fence DESC LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let out = self.all(sql, params![before, limit], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        let mut abandoned = BTreeMap::new();
        for (fence, lane, core) in &out {
            let (Ok(lane), Ok(mut send)) = (Lane::decode(lane), DueSend::decode(core)) else {
                self.run("DELETE FROM leases WHERE fence = ?1", [fence])?;
                self.put_aside("a lease", &[lane.as_slice(), core].concat())?;
                continue;
            };
            if send.redeliveries.saturating_add(1) >= limits::REDELIVERIES_MAX {
                abandoned.insert(*fence, Lease { fence: fence.unsigned_abs(), lane, send });
                continue;
            }
            self.run("DELETE FROM leases WHERE fence = ?1", [fence])?;
            send.redeliveries += 1;
            self.queue(lane, &send.encode(), false)?;
        }
        let failed: Vec<Settlement> =
            abandoned.into_values().map(|lease| self.abandoned(layout, lease)).collect::<Done<_>>()?;
        self.settle(&failed)?;
        Ok(out.len())
    }

    /// It probably kills its sender, so it is given up.
    fn abandoned(&self, layout: &Layout, lease: Lease) -> Done<Settlement> {
        let reason = Failure::Abandoned;
        let send = &lease.send;
        let user = self.load_user(send.user)?;
        let row = LogRow {
            ended: Ended::Failed(reason),
            campaign: lease.lane.campaign,
            user: send.user,
            user_hash: user.map(|user| user_hash(layout, &user.profile.id)).unwrap_or_default(),
            key: send.key,
            action: send.action,
            due_at: send.due_at,
            at: self.now,
            revision: send.revision,
            attempts: send.attempts,
            status: 0,
            took_ms: 0,
            text: format!("its sender died {} times", limits::REDELIVERIES_MAX),
        };
        let settle = Settle::Failed { reason, kept: Vec::new() };
        Ok(Settlement { lease, settle, attempted: false, variant: None, hops: 0, row: Some(row) })
    }
}
