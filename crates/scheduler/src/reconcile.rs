//! Shows shards the control words they lack: the caller that changed a campaign may have died before it had shown all of them.

use campanile_core::control_word::ControlWord;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Store, StoreError};
use futures_util::future::try_join_all;

use crate::campaigns::Campaigns;

/// Answers how many words were shown.
pub async fn pass(
    store: &dyn Store,
    campaigns: &Campaigns,
    changed: &[CampaignNo],
) -> Result<usize, StoreError> {
    let words = changed.iter().filter_map(|no| Some((*no, campaigns.get(*no)?.record.control_word()?)));
    let words: Vec<(CampaignNo, ControlWord)> = words.collect();
    let mut shown = 0;
    for words in words.chunks(limits::PAGE_MAX) {
        let shards = store.layout().shards().map(|shard| show(store, shard, words));
        shown += try_join_all(shards).await?.into_iter().sum::<usize>();
    }
    Ok(shown)
}

async fn show(
    store: &dyn Store,
    shard: Shard,
    words: &[(CampaignNo, ControlWord)],
) -> Result<usize, StoreError> {
    let numbers: Vec<CampaignNo> = words.iter().map(|(no, _)| *no).collect();
    let there = store.control(shard, &numbers).await?;
    let mut shown = 0;
    for ((no, word), there) in words.iter().zip(there) {
        if there.is_none_or(|there| there.epoch < word.epoch) {
            store.set_control(shard, *no, *word).await?;
            shown += 1;
        }
    }
    Ok(shown)
}
