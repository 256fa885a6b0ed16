//! What the engine asks of a store about the deployment's settings: one record, followed through `Campaigns::changes`.

use crate::ports::Answer;
use crate::settings::SettingsRecord;

pub trait SettingsStore {
    /// None: nobody has written any.
    fn settings(&self) -> Answer<'_, Option<SettingsRecord>>;

    /// Writes `record` (with `revision` grown by one) if the stored revision is still `record.revision`, and reports the change.
    /// `None`: it was not; load again and decide again.
    fn save_settings(&self, record: SettingsRecord) -> Answer<'_, Option<SettingsRecord>>;
}
