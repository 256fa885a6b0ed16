//! Delivery records, and the marks that claims and settlements leave beside them.

use campanile_core::delivery_record::{DeliveryRecord, KeptData, Mark, RecordChange, StoredRecord};
use campanile_core::due_send::DueSend;
use campanile_core::number::{CampaignNo, UserNo};
use campanile_core::settled::MarkChange;
use rusqlite::params;

use crate::room::{Done, Room, View};

impl View<'_> {
    /// No bytes: there is none.
    pub(crate) fn record(&self, user: UserNo, campaign: CampaignNo) -> Done<Vec<u8>> {
        let sql = "SELECT bytes FROM records WHERE campaign = ?1 AND user = ?2";
        Ok(self.one(sql, params![campaign.0, user.0 as i64], |row| row.get(0))?.unwrap_or_default())
    }

    pub(crate) fn stored_record(&self, user: UserNo, campaign: CampaignNo) -> Done<StoredRecord> {
        let bytes = self.record(user, campaign)?;
        let mut marks = Vec::new();
        for entry in DeliveryRecord::decode(&bytes).unwrap_or_default().open {
            marks.extend(self.mark(user, campaign, entry.key)?.map(|mark| (entry.key, mark)));
        }
        Ok(StoredRecord { bytes, marks })
    }

    fn mark(&self, user: UserNo, campaign: CampaignNo, key: u64) -> Done<Option<Mark>> {
        let sql = "SELECT mark FROM marks WHERE campaign = ?1 AND user = ?2 AND key = ?3";
        let params = params![campaign.0, user.0 as i64, key as i64];
        Ok(self.one(sql, params, |row| row.get::<_, u8>(0))?.and_then(Mark::from_code))
    }

    /// Whether the record is still as it was read, and what was taken for waiting waits.
    pub(crate) fn is_as_read(&self, change: &RecordChange) -> Done<bool> {
        if self.record(change.user, change.campaign)? != change.old {
            return Ok(false);
        }
        for key in &change.waiting {
            if self.mark(change.user, change.campaign, *key)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Room<'_> {
    pub(crate) fn save_record(&self, change: &RecordChange) -> Done<()> {
        let (campaign, user) = (change.campaign.0, change.user.0 as i64);
        let sql = "INSERT OR REPLACE INTO records (campaign, user, bytes) VALUES (?1, ?2, ?3)";
        self.run(sql, params![campaign, user, change.new])?;
        for key in &change.folded {
            self.unmark(change.user, change.campaign, *key)?;
        }
        for KeptData { key, bytes, appends } in &change.data {
            if bytes.is_empty() {
                let sql = "DELETE FROM entry_data WHERE campaign = ?1 AND user = ?2 AND key = ?3";
                self.run(sql, params![campaign, user, *key as i64])?;
                continue;
            }
            // Of bytes it makes text, which is read as bytes again.
            let sql = "INSERT INTO entry_data (campaign, user, key, bytes) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (campaign, user, key) DO UPDATE
                SET bytes = CASE WHEN ?5 THEN CAST(bytes || excluded.bytes AS BLOB) ELSE excluded.bytes END";
            self.run(sql, params![campaign, user, *key as i64, bytes, appends])?;
        }
        Ok(())
    }

    fn unmark(&self, user: UserNo, campaign: CampaignNo, key: u64) -> Done<()> {
        let sql = "DELETE FROM marks WHERE campaign = ?1 AND user = ?2 AND key = ?3";
        self.run(sql, params![campaign.0, user.0 as i64, key as i64]).map(drop)
    }

    fn put_mark(&self, user: UserNo, campaign: CampaignNo, key: u64, mark: Mark) -> Done<()> {
        let sql = "INSERT OR REPLACE INTO marks (campaign, user, key, mark) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![campaign.0, user.0 as i64, key as i64, mark as u8]).map(drop)
    }

    /// A claimed send of an entry that its record lists has begun.
    pub(crate) fn mark_begun(&self, campaign: CampaignNo, send: &DueSend) -> Done<()> {
        let record = DeliveryRecord::decode(&self.record(send.user, campaign)?).unwrap_or_default();
        match record.entry(send.key) {
            // Not one that an event has overtaken.
            Some(entry) if entry.inside.is_none() || entry.is_its_send(send) => {
                self.put_mark(send.user, campaign, send.key, Mark::Begun)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How it went on, where a claim has marked it.
    pub(crate) fn change_mark(&self, campaign: CampaignNo, send: &DueSend, change: MarkChange) -> Done<()> {
        if self.mark(send.user, campaign, send.key)?.is_none() {
            return Ok(());
        }
        match change {
            MarkChange::Removed => self.unmark(send.user, campaign, send.key),
            MarkChange::Unsent => self.put_mark(send.user, campaign, send.key, Mark::Unsent),
            MarkChange::Reached => self.put_mark(send.user, campaign, send.key, Mark::Reached),
        }
    }
}
