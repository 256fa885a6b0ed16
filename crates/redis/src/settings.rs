//! The deployment's settings: one hash with their JSON and its revision, which tells followers whether they changed.

use campanile_core::ports::{Answer, StoreError};
use campanile_core::settings::SettingsRecord;
use campanile_core::settings_port::SettingsStore;

use crate::arguments::Arguments;
use crate::keys;
use crate::store::RedisStore;

impl RedisStore {
    async fn read_settings(&self) -> Result<Option<SettingsRecord>, StoreError> {
        let read = &self.scripts.read_settings;
        let mut reply = self.run_on(&[keys::SETTINGS], read, Arguments::new()).await?;
        let _revision = reply.int()?;
        let Some(json) = reply.optional()? else { return Ok(None) };
        let foreign = |e: serde_json::Error| StoreError::Foreign {
            place: keys::SETTINGS.to_owned(),
            text: e.to_string(),
        };
        serde_json::from_slice(&json).map(Some).map_err(foreign)
    }

    /// What grows with every change of them.
    pub(crate) async fn settings_revision(&self) -> Result<i64, StoreError> {
        self.run_on(&[keys::SETTINGS], &self.scripts.read_settings, Arguments::new()).await?.int()
    }

    async fn write_settings(&self, mut record: SettingsRecord) -> Result<Option<SettingsRecord>, StoreError> {
        let read = record.revision;
        record.revision += 1;
        let json = serde_json::to_vec(&record)
            .map_err(|e| StoreError::Refused(format!("write {}: {e}", keys::SETTINGS)))?;
        let arguments = Arguments::new().number(read).number(record.revision).bytes(json);
        let mut reply = self.run_on(&[keys::SETTINGS], &self.scripts.save_settings, arguments).await?;
        Ok((reply.int()? == 1).then_some(record))
    }
}

impl SettingsStore for RedisStore {
    fn settings(&self) -> Answer<'_, Option<SettingsRecord>> {
        Box::pin(self.read_settings())
    }

    fn save_settings(&self, record: SettingsRecord) -> Answer<'_, Option<SettingsRecord>> {
        Box::pin(self.write_settings(record))
    }
}
