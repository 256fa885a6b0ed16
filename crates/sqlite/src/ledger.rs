//! Reading what was: sends, attempts, counters, refusals. The log is bounded, so a look through it is too.

use std::ops::ControlFlow;

use campanile_core::counter::Counter;
use campanile_core::due_send::SendId;
use campanile_core::log_row::LogRow;
use campanile_core::number::{CampaignNo, Shard, instant};
use campanile_core::ports::RefusedRow;
use campanile_core::reason::Refusal;
use campanile_core::sends_query::{SendRow, SendTrail, SendsPage, SendsQuery};
use rusqlite::params;

use crate::room::{Done, View};

/// Rows read at once while looking through the log.
const SCAN: usize = 1_000;
const SHARD: Shard = Shard(0);

impl View<'_> {
    pub(crate) fn sends(&self, query: &SendsQuery) -> Done<SendsPage> {
        let mut page = SendsPage::default();
        let from = query.page.parse::<i64>().unwrap_or(i64::MAX);
        self.back_from(from, |seq, row| {
            if query.since.is_some_and(|since| row.at < since) {
                return Ok(ControlFlow::Break(()));
            }
            if takes(query, &row) {
                page.rows.push(self.named(row)?);
            }
            if page.rows.len() < query.limit {
                return Ok(ControlFlow::Continue(()));
            }
            page.next = seq.to_string();
            Ok(ControlFlow::Break(()))
        })?;
        Ok(page)
    }

    pub(crate) fn send(&self, id: &SendId) -> Done<SendTrail> {
        let mut trail = SendTrail::default();
        self.back_from(i64::MAX, |_, row| {
            if row.is_of(id) {
                trail.rows.push(self.named(row)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        trail.kept = self.kept(id.campaign.0, id.user.0 as i64, id.key as i64, id.action)?;
        Ok(trail)
    }

    /// Shows `see` the rows before `before`, newest first, until it has seen enough.
    fn back_from(
        &self,
        mut before: i64,
        mut see: impl FnMut(i64, LogRow) -> Done<ControlFlow<()>>,
    ) -> Done<()> {
        loop {
            let sql = "SELECT seq, bytes FROM log WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
            let rows = self.rows(sql, before, SCAN)?;
            let is_last = rows.len() < SCAN;
            for (seq, row) in rows {
                before = seq;
                let Some(row) = row else { continue };
                if see(seq, row)?.is_break() {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    pub(crate) fn sends_after(&self, after: &str, limit: usize) -> Done<SendsPage> {
        let Ok(after) = after.parse::<i64>() else {
            let last =
                self.one("SELECT max(seq) FROM log", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
            return Ok(SendsPage { rows: Vec::new(), next: last.unwrap_or(0).to_string() });
        };
        let rows =
            self.rows("SELECT seq, bytes FROM log WHERE seq > ?1 ORDER BY seq LIMIT ?2", after, limit)?;
        let next = rows.last().map_or(after, |(seq, _)| *seq).to_string();
        let rows = rows.into_iter().filter_map(|(_, row)| row).map(|row| self.named(row));
        Ok(SendsPage { rows: rows.collect::<Done<_>>()?, next })
    }

    /// Rows with their places; a foreign one is passed over.
    fn rows(&self, sql: &str, from: i64, limit: usize) -> Done<Vec<(i64, Option<LogRow>)>> {
        self.all(sql, params![from, limit as i64], |row| {
            let bytes: Vec<u8> = row.get(1)?;
            Ok((row.get(0)?, LogRow::decode(&bytes).ok().map(|(row, _)| row)))
        })
    }

    fn named(&self, row: LogRow) -> Done<SendRow> {
        let user = self.load_user(row.user)?;
        Ok(SendRow { shard: SHARD, row, user_id: user.map(|user| user.profile.id) })
    }

    pub(crate) fn stats(&self, campaign: CampaignNo) -> Done<Vec<(Counter, i64)>> {
        let sql = "SELECT field, n FROM counters WHERE campaign = ?1 AND n <> 0";
        let rows =
            self.all(sql, [campaign.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        Ok(rows.into_iter().filter_map(|(field, n)| Some((Counter::parse(&field)?, n))).collect())
    }

    pub(crate) fn refusals(&self, campaign: CampaignNo, limit: usize) -> Done<Vec<RefusedRow>> {
        let sql = "SELECT doc FROM refused WHERE campaign = ?1 ORDER BY seq DESC LIMIT ?2";
        let docs = self.all(sql, params![campaign.0, limit as i64], |row| row.get::<_, String>(0))?;
        Ok(docs.iter().filter_map(|doc| refused(campaign, doc)).collect())
    }
}

fn refused(campaign: CampaignNo, doc: &str) -> Option<RefusedRow> {
    let (at, user_id, reason, cause, text) =
        serde_json::from_str::<(u64, String, u8, String, String)>(doc).ok()?;
    Some(RefusedRow { campaign, at: instant(at), user_id, reason: Refusal::from_code(reason)?, cause, text })
}

fn takes(query: &SendsQuery, row: &LogRow) -> bool {
    query.campaign.is_none_or(|no| no == row.campaign)
        && query.user.is_none_or(|(shard, user)| shard == SHARD && user == row.user)
        && query.ended.is_none_or(|ended| ended.takes(row.ended))
}
