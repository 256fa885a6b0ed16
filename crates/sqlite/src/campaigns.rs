//! Campaign documents, revisions, changes, destinations.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use campanile_core::number::{CampaignNo, DestinationNo};
use campanile_core::ports::{Changed, Changes, StoreError};
use rusqlite::params;
use serde::de::DeserializeOwned;

use crate::room::{Done, Room, View};

/// Changes that are remembered; who missed more reads all.
const CHANGES_MAX: i64 = 10_000;
/// Stands for the secrets among the changes; campaigns count from 1.
pub(crate) const SECRETS: i64 = 0;
/// And this for the deployment's settings.
pub(crate) const SETTINGS: i64 = -1;
/// And this for segments and lists.
pub(crate) const SEGMENTS: i64 = -2;

impl Room<'_> {
    pub(crate) fn create_campaign(&self, mut record: CampaignRecord) -> Done<Option<CampaignRecord>> {
        if self.one("SELECT 1 FROM campaigns WHERE id = ?1", [&record.id], |_| Ok(()))?.is_some() {
            return Ok(None);
        }
        let last =
            self.one("SELECT max(no) FROM campaigns", [], |row| row.get::<_, Option<u32>>(0))?.flatten();
        record.no = CampaignNo(last.unwrap_or(0) + 1);
        record.version = 1;
        let sql = "INSERT INTO campaigns (no, id, version, doc) VALUES (?1, ?2, 1, ?3)";
        self.run(sql, params![record.no.0, record.id, json(&record)?])?;
        self.keep_revision(&record)?;
        self.note_change(i64::from(record.no.0))?;
        Ok(Some(record))
    }

    pub(crate) fn save_campaign(&self, mut record: CampaignRecord) -> Done<Option<CampaignRecord>> {
        let expected = record.version;
        record.version += 1;
        let sql = "UPDATE campaigns SET version = ?3, doc = ?4 WHERE no = ?1 AND version = ?2";
        let params = params![record.no.0, expected as i64, record.version as i64, json(&record)?];
        if self.run(sql, params)? == 0 {
            return Ok(None);
        }
        self.keep_revision(&record)?;
        self.note_change(i64::from(record.no.0))?;
        Ok(Some(record))
    }

    fn keep_revision(&self, record: &CampaignRecord) -> Done<()> {
        let sql = "INSERT OR IGNORE INTO revisions (no, revision, draft) VALUES (?1, ?2, ?3)";
        self.run(sql, params![record.no.0, record.revision, json(&record.draft)?]).map(drop)
    }

    pub(crate) fn note_change(&self, what: i64) -> Done<()> {
        self.run("INSERT INTO changes (campaign) VALUES (?1)", [what])?;
        self.run("DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?1", [CHANGES_MAX])
            .map(drop)
    }

    pub(crate) fn destinations(&self, names: &[String]) -> Done<Vec<DestinationNo>> {
        let sql = "INSERT INTO destinations (name, no) VALUES (?1, (SELECT coalesce(max(no), 0) + 1 FROM destinations))
            ON CONFLICT (name) DO NOTHING";
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            self.run(sql, [name])?;
            let no =
                self.one("SELECT no FROM destinations WHERE name = ?1", [name], |row| row.get::<_, u32>(0))?;
            numbers.push(DestinationNo(no.unwrap_or(0)));
        }
        Ok(numbers)
    }
}

impl View<'_> {
    pub(crate) fn campaign(&self, id: &str) -> Done<Option<CampaignRecord>> {
        let doc = self.one("SELECT doc FROM campaigns WHERE id = ?1", [id], |row| row.get::<_, String>(0))?;
        doc.map(|doc| read("campaign", &doc)).transpose()
    }

    pub(crate) fn campaigns(&self, numbers: &[CampaignNo]) -> Done<Vec<CampaignRecord>> {
        let mut records = Vec::with_capacity(numbers.len());
        for no in numbers {
            let doc =
                self.one("SELECT doc FROM campaigns WHERE no = ?1", [no.0], |row| row.get::<_, String>(0))?;
            records.extend(doc.and_then(|doc| self.readable(no.0, &doc)));
        }
        Ok(records)
    }

    pub(crate) fn list_campaigns(&self, after: &str, limit: usize) -> Done<Vec<CampaignRecord>> {
        let sql = "SELECT no, doc FROM campaigns WHERE id > ?1 ORDER BY id LIMIT ?2";
        let docs = self.all(sql, params![after, limit as i64], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))
        })?;
        Ok(docs.into_iter().filter_map(|(no, doc)| self.readable(no, &doc)).collect())
    }

    /// One foreign document must not hide the others.
    fn readable(&self, no: u32, doc: &str) -> Option<CampaignRecord> {
        match read("campaign", doc) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::error!(campaign = no, %error, "a campaign is left out");
                None
            }
        }
    }

    pub(crate) fn revision(&self, no: CampaignNo, revision: u32) -> Done<Option<Draft>> {
        let sql = "SELECT draft FROM revisions WHERE no = ?1 AND revision = ?2";
        let doc = self.one(sql, params![no.0, revision], |row| row.get::<_, String>(0))?;
        doc.map(|doc| read("revision", &doc)).transpose()
    }

    pub(crate) fn changes(&self, cursor: &str) -> Done<Changes> {
        let last =
            self.one("SELECT max(seq) FROM changes", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
        let last = last.unwrap_or(0);
        let first =
            self.one("SELECT min(seq) FROM changes", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
        // A cursor from before what is remembered, or from another file, has missed something.
        let known = cursor.parse::<i64>().ok().filter(|seen| (first.unwrap_or(1) - 1..=last).contains(seen));
        let Some(seen) = known else {
            let campaigns = Changed::All;
            let cursor = last.to_string();
            return Ok(Changes { cursor, campaigns, secrets: true, settings: true, segments: true });
        };
        let sql = "SELECT DISTINCT campaign FROM changes WHERE seq > ?1 ORDER BY campaign";
        let changed = self.all(sql, [seen], |row| row.get::<_, i64>(0))?;
        let (secrets, settings) = (changed.contains(&SECRETS), changed.contains(&SETTINGS));
        let segments = changed.contains(&SEGMENTS);
        let numbers = changed.into_iter().filter_map(|no| u32::try_from(no).ok()).filter(|no| *no > 0);
        let campaigns = Changed::These(numbers.map(CampaignNo).collect());
        Ok(Changes { cursor: last.to_string(), campaigns, secrets, settings, segments })
    }
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> Done<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Refused(format!("write JSON: {e}")))
}

pub(crate) fn read<T: DeserializeOwned>(place: &str, doc: &str) -> Done<T> {
    serde_json::from_str(doc)
        .map_err(|e| StoreError::Foreign { place: place.to_owned(), text: e.to_string() })
}
