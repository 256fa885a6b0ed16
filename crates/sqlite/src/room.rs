//! What verbs work with. A `View` reads; a `Room` is a view inside a writing transaction, with what is kept in memory.

use std::ops::Deref;

use campanile_core::counter::Count;
use campanile_core::ports::StoreError;
use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use crate::memory::Memory;
use crate::open::broken;

/// One state of the file: what was committed last, or in a room what has been written there so far.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) connection: &'a Connection,
}

/// One writing verb's view of the store.
pub(crate) struct Room<'a> {
    pub(crate) view: View<'a>,
    pub(crate) now: Timestamp,
    pub(crate) memory: &'a mut Memory,
    /// Who is to be woken once this is committed.
    pub(crate) wake: &'a mut Wake,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wake {
    pub(crate) schedule: bool,
    pub(crate) send: bool,
}

pub(crate) type Done<T> = Result<T, StoreError>;

impl<'a> Deref for Room<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl View<'_> {
    pub(crate) fn statement(&self, sql: &str) -> Done<CachedStatement<'_>> {
        self.connection.prepare_cached(sql).map_err(|e| broken(&e))
    }

    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Done<usize> {
        self.statement(sql)?.execute(params).map_err(|e| broken(&e))
    }

    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Option<T>> {
        self.statement(sql)?.query_row(params, read).optional().map_err(|e| broken(&e))
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Vec<T>> {
        let mut statement = self.statement(sql)?;
        let rows = statement.query_map(params, read).map_err(|e| broken(&e))?;
        rows.collect::<rusqlite::Result<_>>().map_err(|e| broken(&e))
    }

    /// A counter of `meta`.
    pub(crate) fn meta(&self, name: &str) -> Done<u64> {
        let found = self.one("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0))?;
        Ok(found.unwrap_or(0).max(0).unsigned_abs())
    }
}

impl Room<'_> {
    pub(crate) fn raise_meta(&self, name: &str, by: u64) -> Done<()> {
        self.run("UPDATE meta SET value = value + ?2 WHERE name = ?1", params![name, by as i64]).map(drop)
    }

    pub(crate) fn count(&self, counts: impl IntoIterator<Item = Count>) -> Done<()> {
        let sql = "INSERT INTO counters (campaign, field, n) VALUES (?1, ?2, ?3)
            ON CONFLICT (campaign, field) DO UPDATE SET n = n + excluded.n";
        for count in counts {
            self.run(sql, params![count.campaign.0, count.counter.field(), count.by])?;
        }
        Ok(())
    }

    /// Puts bytes aside that this version does not understand, so that the rest goes on.
    pub(crate) fn put_aside(&self, place: &str, bytes: &[u8]) -> Done<()> {
        tracing::error!(place, "foreign bytes are put aside");
        self.run("INSERT INTO foreign_bytes (place, bytes) VALUES (?1, ?2)", params![place, bytes])?;
        self.run("DELETE FROM foreign_bytes WHERE seq <= (SELECT max(seq) FROM foreign_bytes) - 1000", [])
            .map(drop)
    }
}
