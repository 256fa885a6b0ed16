//! The control words that this process saw last: what a settle reckons with. The script compares, so an old one costs a call and no more.

use std::collections::HashMap;
use std::sync::Mutex;

use campanile_core::control_word::ControlWord;
use campanile_core::number::CampaignNo;

#[derive(Default)]
pub(crate) struct Words(Mutex<HashMap<CampaignNo, ControlWord>>);

impl Words {
    pub(crate) fn saw(&self, campaign: CampaignNo, word: Option<ControlWord>) {
        let mut words = self.0.lock().unwrap_or_else(|e| e.into_inner());
        match word {
            Some(word) => words.insert(campaign, word),
            None => words.remove(&campaign),
        };
    }

    /// Each campaign once.
    pub(crate) fn of(
        &self,
        campaigns: impl Iterator<Item = CampaignNo>,
    ) -> Vec<(CampaignNo, Option<ControlWord>)> {
        let campaigns: std::collections::BTreeSet<CampaignNo> = campaigns.collect();
        let words = self.0.lock().unwrap_or_else(|e| e.into_inner());
        campaigns.into_iter().map(|campaign| (campaign, words.get(&campaign).copied())).collect()
    }
}
