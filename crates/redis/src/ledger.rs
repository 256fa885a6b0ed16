//! The ledger: what became of sends, read from the logs of all shards and merged by time; counters summed; refusals.

use std::collections::HashMap;

use campanile_core::counter::Counter;
use campanile_core::due_send::SendId;
use campanile_core::limits;
use campanile_core::log_row::LogRow;
use campanile_core::number::{CampaignNo, Shard, UserNo, millis};
use campanile_core::ports::{Answer, Ledger, RecentEvents, RefusedRow, StoreError};
use campanile_core::sends_query::{SendRow, SendTrail, SendsPage, SendsQuery};
use futures_util::future::try_join_all;

use crate::arguments::{Arguments, entry_field, user_bytes};
use crate::log_position::{ALL_ROWS, Position, read_token, write_token};
use crate::log_reader::{Direction, LogReader, Wanted};
use crate::refused_row;
use crate::store::RedisStore;

/// Entries of one step: few where each is shipped, many where the server looks for bytes itself.
const STEP: usize = 16;
const STEP_WITH_NEEDLE: usize = 256;
/// Steps of one page, over all shards: then the page ends short, with a token.
const STEPS_MAX: usize = 512;
/// A row is written this long after its own instant at most.
const LOG_DELAY_MS: u64 = 3_600_000;

impl RedisStore {
    async fn page(&self, query: &SendsQuery) -> Result<SendsPage, StoreError> {
        let shards: Vec<Shard> = match query.user {
            Some((shard, _)) if shard.0 >= self.layout.shards => return Ok(SendsPage::default()),
            Some((shard, _)) => vec![shard],
            None => self.layout.shards().collect(),
        };
        let mut readers: Vec<LogReader> = if query.page.is_empty() {
            shards.into_iter().map(|shard| LogReader::new(shard, None, false)).collect()
        } else {
            let positions = read_token(&query.page, shards.len())?;
            shards
                .into_iter()
                .zip(positions)
                .map(|(shard, at)| LogReader::new(shard, at, at.is_none()))
                .collect()
        };
        let takes = |row: &LogRow| {
            query.campaign.is_none_or(|no| row.campaign == no)
                && query.user.is_none_or(|(_, no)| row.user == no)
                && query.ended.is_none_or(|ended| ended.takes(row.ended))
                && query.since.is_none_or(|since| row.at >= since)
        };
        let needle = needle(query.campaign, query.user.map(|(_, no)| no));
        let wanted = Wanted {
            direction: Direction::NewestFirst,
            step: if needle.is_empty() { STEP } else { STEP_WITH_NEEDLE },
            needle,
            takes: &takes,
            since_ms: query.since.map_or(0, |since| millis(since).saturating_sub(LOG_DELAY_MS)),
        };
        let limit = query.limit.clamp(1, limits::PAGE_MAX);
        let found = self.merge(&mut readers, &wanted, limit).await?;
        let over = readers.iter().all(|reader| reader.done && reader.rows.is_empty());
        let next = if over { String::new() } else { write_token(readers.iter().map(LogReader::position)) };
        Ok(SendsPage { rows: self.with_user_ids(found).await?, next })
    }

    /// Rows of all readers by time, newest first, until there are `limit` or the steps are used up.
    async fn merge(
        &self,
        readers: &mut [LogReader],
        wanted: &Wanted<'_>,
        limit: usize,
    ) -> Result<Vec<(Shard, LogRow)>, StoreError> {
        let (mut found, mut steps) = (Vec::new(), 0);
        while found.len() < limit {
            let dry: Vec<&mut LogReader> = readers.iter_mut().filter(|reader| reader.is_dry()).collect();
            if !dry.is_empty() {
                if steps >= STEPS_MAX {
                    break;
                }
                steps += dry.len();
                try_join_all(dry.into_iter().map(|reader| reader.step(self, wanted))).await?;
                continue;
            }
            let newest =
                readers.iter_mut().max_by_key(|reader| reader.rows.front().map(|placed| placed.row.at));
            let Some((shard, placed)) =
                newest.and_then(|reader| Some((reader.shard, reader.rows.pop_front()?)))
            else {
                break;
            };
            found.push((shard, placed.row));
        }
        Ok(found)
    }

    async fn rows_after(&self, after: &str, limit: usize) -> Result<SendsPage, StoreError> {
        if after.is_empty() {
            let ends = self.shards.each(|shard| self.log_end(shard)).await?;
            return Ok(SendsPage { rows: Vec::new(), next: write_token(ends.into_iter().map(Some)) });
        }
        let positions = read_token(after, usize::from(self.layout.shards))?;
        let mut readers: Vec<LogReader> =
            self.layout.shards().zip(positions).map(|(shard, at)| LogReader::new(shard, at, false)).collect();
        let wanted = Wanted {
            direction: Direction::OldestFirst,
            needle: Vec::new(),
            takes: &|_| true,
            step: STEP,
            since_ms: 0,
        };
        try_join_all(readers.iter_mut().map(|reader| reader.step(self, &wanted))).await?;
        let mut found = Vec::new();
        while found.len() < limit.clamp(1, limits::PAGE_MAX) {
            let oldest = readers
                .iter_mut()
                .filter(|reader| !reader.rows.is_empty())
                .min_by_key(|reader| reader.rows.front().map(|placed| placed.row.at));
            let Some((shard, placed)) =
                oldest.and_then(|reader| Some((reader.shard, reader.rows.pop_front()?)))
            else {
                break;
            };
            found.push((shard, placed.row));
        }
        let next = write_token(readers.iter().map(LogReader::frontier));
        Ok(SendsPage { rows: self.with_user_ids(found).await?, next })
    }

    /// Behind the last entry.
    async fn log_end(&self, shard: Shard) -> Result<Position, StoreError> {
        let arguments = Arguments::new().bytes("old").bytes("+").number(1).bytes("");
        let mut reply = self.run(shard, &self.scripts.log, arguments).await?;
        let _looked_at = reply.int()?;
        let last = Position::parse_id(&reply.text()?).unwrap_or(Position { ms: 0, seq: 0, rows: 0 });
        Ok(Position { rows: ALL_ROWS, ..last })
    }

    async fn trail(&self, id: &SendId) -> Result<SendTrail, StoreError> {
        if id.birth != self.layout.birth || id.shard.0 >= self.layout.shards {
            return Ok(SendTrail::default());
        }
        let mut needle = needle(Some(id.campaign), Some(id.user));
        needle.extend(id.user_hash);
        needle.extend(id.key.to_be_bytes());
        let mut wanted = Wanted {
            direction: Direction::NewestFirst,
            needle,
            takes: &|row| row.is_of(id),
            step: STEP_WITH_NEEDLE,
            since_ms: 0,
        };
        let mut reader = LogReader::new(id.shard, None, false);
        while !reader.done {
            reader.step(self, &wanted).await?;
            if let Some(first) = reader.rows.front() {
                // Nothing was settled before it was due.
                wanted.since_ms = millis(first.row.due_at).saturating_sub(LOG_DELAY_MS);
            }
        }
        let rows = reader.rows.into_iter().map(|placed| (id.shard, placed.row)).collect();
        let field = [entry_field(id.campaign, id.key).as_slice(), &[id.action]].concat();
        let key = [b"r:".as_slice(), &user_bytes(id.user)].concat();
        let kept = self.facts(id.shard, std::iter::once((key, field))).await?.into_iter().next().flatten();
        Ok(SendTrail { rows: self.with_user_ids(rows).await?, kept })
    }

    async fn with_user_ids(&self, rows: Vec<(Shard, LogRow)>) -> Result<Vec<SendRow>, StoreError> {
        let mut asked: HashMap<Shard, Vec<UserNo>> = HashMap::new();
        for (shard, row) in &rows {
            asked.entry(*shard).or_default().push(row.user);
        }
        let loads = asked.into_iter().map(|(shard, mut users)| async move {
            users.sort_unstable();
            users.dedup();
            let mut ids = HashMap::new();
            for some in users.chunks(limits::BATCH_ITEMS_MAX) {
                for user in
                    campanile_core::ports::Users::load_users(self, shard, some).await?.into_iter().flatten()
                {
                    ids.insert((shard, user.no), user.profile.id);
                }
            }
            Ok(ids)
        });
        let ids: HashMap<(Shard, UserNo), String> =
            try_join_all(loads).await?.into_iter().flatten().collect();
        let with_id = |(shard, row): (Shard, LogRow)| SendRow {
            shard,
            user_id: ids.get(&(shard, row.user)).cloned(),
            row,
        };
        Ok(rows.into_iter().map(with_id).collect())
    }

    async fn counters(&self, campaign: CampaignNo) -> Result<Vec<(Counter, i64)>, StoreError> {
        let read = |shard| async move {
            let arguments = Arguments::new().bytes(campaign.0.to_be_bytes());
            let mut reply = self.run(shard, &self.scripts.stats, arguments).await?;
            let mut counters = Vec::new();
            while !reply.is_empty() {
                let (field, value) = (reply.bytes()?, reply.bytes()?);
                // A counter of a later version is none of ours.
                let counter = std::str::from_utf8(&field).ok().and_then(Counter::parse);
                let value = std::str::from_utf8(&value).ok().and_then(|value| value.parse::<i64>().ok());
                counters.extend(counter.zip(value));
            }
            Ok(counters)
        };
        let mut sums = std::collections::BTreeMap::new();
        for (counter, value) in self.shards.each(read).await?.into_iter().flatten() {
            *sums.entry(counter).or_insert(0) += value;
        }
        Ok(sums.into_iter().filter(|(_, value)| *value != 0).collect())
    }

    async fn single_refusals(
        &self,
        campaign: CampaignNo,
        limit: usize,
    ) -> Result<Vec<RefusedRow>, StoreError> {
        let limit = limit.min(limits::REFUSED_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let read = |shard| async move {
            let arguments = Arguments::new().bytes(campaign.0.to_be_bytes()).number(limit);
            let mut reply = self.run(shard, &self.scripts.refusals, arguments).await?;
            let mut rows = Vec::new();
            while !reply.is_empty() {
                rows.extend(refused_row::decode(&reply.bytes()?));
            }
            Ok(rows)
        };
        let mut rows: Vec<RefusedRow> = self.shards.each(read).await?.into_iter().flatten().collect();
        // Stable: those of one shard and instant stay in the order they were kept in.
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        rows.truncate(limit);
        Ok(rows)
    }
}

/// Campaign and user stand side by side in a row.
fn needle(campaign: Option<CampaignNo>, user: Option<UserNo>) -> Vec<u8> {
    let mut needle = Vec::new();
    needle.extend(campaign.iter().flat_map(|no| no.0.to_be_bytes()));
    needle.extend(user.iter().flat_map(|no| user_bytes(*no)));
    needle
}

impl Ledger for RedisStore {
    fn sends<'a>(&'a self, query: &'a SendsQuery) -> Answer<'a, SendsPage> {
        Box::pin(self.page(query))
    }

    fn send<'a>(&'a self, id: &'a SendId) -> Answer<'a, SendTrail> {
        Box::pin(self.trail(id))
    }

    fn sends_after<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, SendsPage> {
        Box::pin(self.rows_after(after, limit))
    }

    fn stats(&self, campaign: CampaignNo) -> Answer<'_, Vec<(Counter, i64)>> {
        Box::pin(self.counters(campaign))
    }

    fn refusals(&self, campaign: CampaignNo, limit: usize) -> Answer<'_, Vec<RefusedRow>> {
        Box::pin(self.single_refusals(campaign, limit))
    }

    fn recent_events(&self, shard: Shard, from: u64, limit: usize) -> Answer<'_, RecentEvents> {
        Box::pin(self.latest_events(shard, from, limit))
    }
}
