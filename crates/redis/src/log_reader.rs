//! Reads the log of one shard, newest or oldest first, in bounded steps, and hands out the rows that pass a filter.

use std::collections::VecDeque;

use campanile_core::log_row::LogRow;
use campanile_core::number::Shard;
use campanile_core::ports::StoreError;

use crate::arguments::Arguments;
use crate::log_position::{ALL_ROWS, Position};
use crate::store::RedisStore;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    OldestFirst,
    NewestFirst,
}

/// What a reader looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) direction: Direction,
    /// Bytes that every entry of interest holds; empty: all entries.
    pub(crate) needle: Vec<u8>,
    pub(crate) takes: &'a (dyn Fn(&LogRow) -> bool + Sync),
    /// Entries of one step.
    pub(crate) step: usize,
    /// Entries settled before this are of no interest to a reader from new to old.
    pub(crate) since_ms: u64,
}

/// A row, and where its reader stands before it.
pub(crate) struct Placed {
    pub(crate) row: LogRow,
    before: Position,
}

pub(crate) struct LogReader {
    pub(crate) shard: Shard,
    /// Rows read and not yet taken.
    pub(crate) rows: VecDeque<Placed>,
    /// Where reading goes on; none: at the end the direction starts from.
    at: Option<Position>,
    /// The log was read to its end.
    pub(crate) done: bool,
}

impl LogReader {
    pub(crate) fn new(shard: Shard, at: Option<Position>, done: bool) -> LogReader {
        LogReader { shard, rows: VecDeque::new(), at, done }
    }

    /// Whether another step is needed to know what comes next.
    pub(crate) fn is_dry(&self) -> bool {
        self.rows.is_empty() && !self.done
    }

    /// What a token keeps: none if nothing more is to come.
    pub(crate) fn position(&self) -> Option<Position> {
        match self.rows.front() {
            Some(placed) => Some(placed.before),
            None if self.done => None,
            None => self.at,
        }
    }

    /// Where reading goes on after all rows at hand.
    pub(crate) fn frontier(&self) -> Option<Position> {
        self.rows.front().map(|placed| placed.before).or(self.at)
    }

    /// One step.
    pub(crate) async fn step(&mut self, store: &RedisStore, wanted: &Wanted<'_>) -> Result<(), StoreError> {
        let (direction, from) = match wanted.direction {
            Direction::OldestFirst => ("new", "-"),
            Direction::NewestFirst => ("old", "+"),
        };
        let arguments = Arguments::new()
            .bytes(direction)
            .bytes(self.at.map_or_else(|| from.to_owned(), Position::range_start))
            .number(wanted.step)
            .bytes(wanted.needle.as_slice());
        let mut reply = store.run(self.shard, &store.scripts.log, arguments).await?;
        let looked_at = reply.count()?;
        let last = Position::parse_id(&reply.text()?);
        while !reply.is_empty() {
            let (id, bytes) = (reply.text()?, reply.bytes()?);
            if let Some(entry) = Position::parse_id(&id) {
                self.take_entry(entry, &bytes, wanted);
            }
        }
        let ended = looked_at < wanted.step as u64;
        let passed =
            wanted.direction == Direction::NewestFirst && last.is_some_and(|last| last.ms < wanted.since_ms);
        self.done = ended || passed;
        if let Some(last) = last {
            self.at = Some(Position { rows: ALL_ROWS, ..last });
        }
        Ok(())
    }

    fn take_entry(&mut self, entry: Position, bytes: &[u8], wanted: &Wanted<'_>) {
        let mut rows = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            match LogRow::decode(rest) {
                Ok((row, after)) => {
                    rows.push(row);
                    rest = after;
                }
                // A foreign row hides those behind it: rows do not say how long they are.
                Err(e) => {
                    tracing::error!(shard = self.shard.0, error = %e, "rows of the send log are foreign");
                    break;
                }
            }
        }
        if wanted.direction == Direction::NewestFirst {
            rows.reverse();
        }
        let read = self.at.filter(|at| at.same_entry(entry)).map_or(0, |at| at.rows);
        for (row, place) in rows.into_iter().zip(0..ALL_ROWS) {
            if place >= read && (wanted.takes)(&row) {
                self.rows.push_back(Placed { row, before: Position { rows: place, ..entry } });
            }
        }
    }
}
