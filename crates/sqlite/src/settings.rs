//! The deployment's settings: one row, written over its own revision.

use campanile_core::settings::SettingsRecord;
use rusqlite::params;

use crate::campaigns::{SETTINGS, json, read};
use crate::room::{Done, Room, View};

impl View<'_> {
    pub(crate) fn settings(&self) -> Done<Option<SettingsRecord>> {
        let doc = self.one("SELECT doc FROM settings", [], |row| row.get::<_, String>(0))?;
        doc.map(|doc| read("settings", &doc)).transpose()
    }
}

impl Room<'_> {
    pub(crate) fn save_settings(&self, mut record: SettingsRecord) -> Done<Option<SettingsRecord>> {
        let there = self.one("SELECT revision FROM settings", [], |row| row.get::<_, i64>(0))?;
        if there.unwrap_or(0) != record.revision as i64 {
            return Ok(None);
        }
        record.revision += 1;
        let sql = "INSERT OR REPLACE INTO settings (one, revision, doc) VALUES (1, ?1, ?2)";
        self.run(sql, params![record.revision as i64, json(&record)?])?;
        self.note_change(SETTINGS)?;
        Ok(Some(record))
    }
}
