//! Segments and lists of users: documents by name, compared by revision; a list's ids lie beside its document.

use campanile_core::ports::StoreError;
use campanile_core::segment::SegmentRecord;
use campanile_core::user_list::{ListRecord, UserIds};
use rusqlite::params;
use serde::de::DeserializeOwned;

use crate::campaigns::{SEGMENTS, json, read};
use crate::room::{Done, Room, View};

impl Room<'_> {
    pub(crate) fn save_segment(&self, record: &SegmentRecord) -> Done<bool> {
        if !self.follows("segments", &record.name, record.revision)? {
            return Ok(false);
        }
        let sql = "INSERT OR REPLACE INTO segments (name, revision, doc) VALUES (?1, ?2, ?3)";
        self.run(sql, params![record.name, record.revision, json(record)?])?;
        self.note_change(SEGMENTS)?;
        Ok(true)
    }

    pub(crate) fn put_user_list(&self, record: &ListRecord, ids: &UserIds) -> Done<bool> {
        if !self.follows("user_lists", &record.name, record.revision)? {
            return Ok(false);
        }
        let sql = "INSERT OR REPLACE INTO user_lists (name, revision, doc, ids) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![record.name, record.revision, json(record)?, ids.pack()])?;
        self.note_change(SEGMENTS)?;
        Ok(true)
    }

    /// `table`: segments or user_lists.
    pub(crate) fn delete_named(&self, table: &str, name: &str, revision: u32) -> Done<bool> {
        let sql = format!("DELETE FROM {table} WHERE name = ?1 AND revision = ?2");
        let was_there = self.run(&sql, params![name, revision])? > 0;
        if was_there {
            self.note_change(SEGMENTS)?;
        }
        Ok(was_there)
    }

    /// Whether `revision` is the one after the stored one.
    fn follows(&self, table: &str, name: &str, revision: u32) -> Done<bool> {
        let sql = format!("SELECT revision FROM {table} WHERE name = ?1");
        let stored = self.one(&sql, [name], |row| row.get::<_, u32>(0))?;
        Ok(stored.unwrap_or(0).checked_add(1) == Some(revision))
    }
}

impl View<'_> {
    pub(crate) fn segments(&self) -> Done<Vec<SegmentRecord>> {
        self.documents("segment", "SELECT doc FROM segments ORDER BY name")
    }

    pub(crate) fn user_lists(&self) -> Done<Vec<ListRecord>> {
        self.documents("list", "SELECT doc FROM user_lists ORDER BY name")
    }

    pub(crate) fn user_list(&self, name: &str) -> Done<Option<(ListRecord, UserIds)>> {
        let sql = "SELECT doc, ids FROM user_lists WHERE name = ?1";
        let found = self.one(sql, [name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let Some((doc, ids)) = found else { return Ok(None) };
        let ids = UserIds::unpack(&ids)
            .map_err(|text| StoreError::Foreign { place: format!("list {name}"), text })?;
        Ok(Some((read("list", &doc)?, ids)))
    }

    /// One foreign document must not hide the others.
    fn documents<T: DeserializeOwned>(&self, what: &str, sql: &str) -> Done<Vec<T>> {
        let docs = self.all(sql, [], |row| row.get::<_, String>(0))?;
        let read = |doc: String| {
            read(what, &doc).inspect_err(|error| tracing::error!(%error, "a stored {what} is left out")).ok()
        };
        Ok(docs.into_iter().filter_map(read).collect())
    }
}
