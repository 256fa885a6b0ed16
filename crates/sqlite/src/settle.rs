//! Settlements: leased sends end or move; attempt, verdict, counters and log in one step. And the leases of the dead.

use std::collections::BTreeMap;

use campanile_core::counter::{Count, Counter, VariantCounter, summed};
use campanile_core::due_send::{Class, DueEntry, DueSend, Lane, Lease, user_hash};
use campanile_core::limits;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{DestinationNo, Layout, millis};
use campanile_core::ports::{Settle, Settlement};
use campanile_core::reason::Failure;
use campanile_core::send_outcome;
use campanile_core::settled;
use rusqlite::params;

use crate::room::{Done, Room};

impl Room<'_> {
    pub(crate) fn settle(&mut self, settlements: &[Settlement]) -> Done<Vec<bool>> {
        let mut answers = Vec::with_capacity(settlements.len());
        let mut counts = Vec::new();
        let mut backs = Vec::new();
        for settlement in settlements {
            let lease = &settlement.lease;
            let sql = "DELETE FROM leases WHERE fence = ?1 AND lane = ?2 AND core = ?3";
            let (lane, core) = (lease.lane.encode(), lease.send.encode());
            let is_live = self.run(sql, params![lease.fence as i64, lane.as_slice(), core.as_slice()])? == 1;
            answers.push(is_live);
            if is_live {
                self.settle_one(settlement, &mut counts, &mut backs)?;
            }
        }
        // From the last to the first, so that the front of a lane keeps its order.
        for (lane, core) in backs.into_iter().rev() {
            self.queue(lane, &core, false)?;
        }
        for (settlement, _) in settlements.iter().zip(&answers).filter(|(_, is_live)| **is_live) {
            if let Settle::Park { until, to } = settlement.settle {
                let lane = moved(settlement.lease.lane, to);
                self.memory.ring().park(&lane, millis(until) as i64);
            }
        }
        self.count(summed(counts))?;
        self.trim_log(answers.len())?;
        Ok(answers)
    }

    fn settle_one(
        &mut self,
        settlement: &Settlement,
        counts: &mut Vec<Count>,
        backs: &mut Vec<(Lane, Vec<u8>)>,
    ) -> Done<()> {
        let lane = settlement.lease.lane;
        let mut send = settlement.lease.send.clone();
        let action = send.action;
        let mut count = |counter, by| counts.push(Count { campaign: lane.campaign, counter, by });
        let of_variant = |what| settlement.variant.map(|name| Counter::Variant(action, name, what));
        if settlement.attempted {
            send.attempts = send.attempts.saturating_add(1);
            count(Counter::Attempts(action), 1);
            of_variant(VariantCounter::Attempts).into_iter().for_each(|counter| count(counter, 1));
        }
        if let Some(bucket) = settled::late(settlement) {
            count(Counter::Latency(action, bucket), 1);
            let of = of_variant(VariantCounter::Latency(bucket));
            of.into_iter().for_each(|counter| count(counter, 1));
        }
        if let Some(happened) = settled::happened(settlement) {
            let news = self.note_history(lane.campaign, &send, happened, settled::is_first(settlement))?;
            let counted = [(news.user, Counter::Users), (news.entry, Counter::Reached)];
            counted.into_iter().filter(|(is_new, _)| *is_new).for_each(|(_, counter)| count(counter, 1));
        }
        let word = self.memory.ring.word(lane.campaign);
        if word.is_some_and(|word| word.keeps_history()) {
            self.mark_settled(lane.campaign, &send, &settlement.settle)?;
        }
        if word.is_some_and(|word| word.emits()) {
            let is_open = word.is_some_and(|word| word.has_steps()) && lane.class != Class::Resent;
            self.emit(settlement, is_open)?;
        }
        let ended = match &settlement.settle {
            Settle::Delivered => Some((Counter::Delivered(action), VariantCounter::Delivered)),
            Settle::Failed { .. } => Some((Counter::Failed(action), VariantCounter::Failed)),
            Settle::Suppressed(reason) => {
                Some((Counter::Suppressed(action, *reason), VariantCounter::Suppressed))
            }
            Settle::Skipped
            | Settle::Dropped
            | Settle::Refused(_)
            | Settle::Retry { .. }
            | Settle::Hold { .. }
            | Settle::Back
            | Settle::Park { .. } => None,
        };
        let was_attempted = settlement.lease.send.attempts > 0;
        let is_over = ended.is_some() || matches!(settlement.settle, Settle::Refused(_) | Settle::Skipped);
        if was_attempted && is_over {
            count(Counter::Retrying(action), -1);
        }
        if let Some((counter, what)) = ended {
            count(Counter::Pending(action), -1);
            count(counter, 1);
            of_variant(what).into_iter().for_each(|counter| count(counter, 1));
        }
        let is_over = ended.is_some() || matches!(settlement.settle, Settle::Skipped);
        // With steps the scheduler ends the entry.
        let stays_open = word.is_some_and(|word| word.has_steps()) && lane.class != Class::Resent;
        if is_over && !stays_open {
            count(Counter::Open, -1);
            count(Counter::Finished, 1);
        }
        match &settlement.settle {
            Settle::Delivered | Settle::Suppressed(_) => self.forget(lane, &send, stays_open)?,
            Settle::Skipped => {
                count(Counter::Pending(action), -1);
                count(Counter::Planned(action), -1);
                self.forget(lane, &send, stays_open)?;
            }
            Settle::Dropped => {}
            Settle::Failed { kept, .. } => self.keep_failed(lane, &send, kept)?,
            Settle::Retry { at, kept } => {
                count(Counter::Retries(action), 1);
                of_variant(VariantCounter::Retries).into_iter().for_each(|counter| count(counter, 1));
                if !was_attempted && send.attempts > 0 {
                    count(Counter::Retrying(action), 1);
                }
                self.keep_request(lane, &send, kept)?;
                send.has_request = true;
                let class = if lane.class == Class::First { Class::Retry } else { lane.class };
                self.place(&DueEntry { at: *at, lane: Lane { class, ..lane }, send })?;
            }
            Settle::Refused(reason) => {
                for counter in
                    [Counter::Pending(action), Counter::Planned(action), Counter::Open, Counter::Entered]
                {
                    count(counter, -1);
                }
                count(Counter::Refused(*reason), 1);
                self.forget(lane, &send, false)?;
            }
            Settle::Hold { at, due_at } => {
                send.due_at = due_at.unwrap_or(send.due_at);
                self.place(&DueEntry { at: *at, lane, send: unpinned(lane, send) })?;
            }
            Settle::Back => backs.push((lane, unpinned(lane, send).encode().to_vec())),
            Settle::Park { to, .. } => {
                backs.push((moved(lane, *to), unpinned(lane, send).encode().to_vec()));
            }
        }
        if let Some(row) = &settlement.row {
            self.log(row)?;
        }
        Ok(())
    }

    /// Tells the event log that the send ended, or that it was posted for the first time.
    fn emit(&mut self, settlement: &Settlement, is_open: bool) -> Done<()> {
        let is_first_post = settled::is_first(settlement);
        let Some(row) = &settlement.row else { return Ok(()) };
        if row.ended == Ended::Retrying && !is_first_post {
            return Ok(());
        }
        let head = send_outcome::head(is_first_post, is_open, settlement.hops, settlement.variant.as_ref());
        self.append(row.user, self.now, &[head, row.encode()].concat())?;
        self.wake.schedule = true;
        Ok(())
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
        let core = DueSend { has_request: send.has_request || !kept.is_empty(), ..send.clone() }.encode();
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

    /// What its entry kept goes with the send, unless the entry goes on.
    fn forget(&self, lane: Lane, send: &DueSend, goes_on: bool) -> Done<()> {
        if goes_on {
            return self.forget_request(lane.campaign.0, send.user.0 as i64, send.key as i64, send.action);
        }
        if send.has_data || send.has_request {
            self.forget_entry(lane.campaign.0, send.user.0 as i64, send.key as i64, send.action)?;
        }
        Ok(())
    }

    fn forget_entry(&self, campaign: u32, user: i64, key: i64, action: u8) -> Done<()> {
        let sql = "DELETE FROM entry_data WHERE campaign = ?1 AND user = ?2 AND key = ?3";
        self.run(sql, params![campaign, user, key])?;
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

/// To the lane of the destination it is known to go to by now.
fn moved(lane: Lane, to: Option<DestinationNo>) -> Lane {
    Lane { destination: to.unwrap_or(lane.destination), ..lane }
}

/// Never attempted, so an edit may still reach it. What is sent again was.
fn unpinned(lane: Lane, mut send: DueSend) -> DueSend {
    if send.attempts == 0 && send.redeliveries == 0 && lane.class != Class::Resent {
        send.pinned = false;
        send.first_claim_after_ms = 0;
    }
    send
}
