//! Shows shards the control words they lack: the caller that changed a campaign may have died before it had shown all of them.

use std::collections::HashMap;

use campanile_core::campaign_record::State;
use campanile_core::control_word::ControlWord;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Store, StoreError};

use crate::campaigns::Campaigns;
use crate::shards::{self, Troubles};

/// The epochs that this process knows to stand in every shard.
pub type Shown = HashMap<CampaignNo, u64>;

/// Shows the words of the campaigns that changed; what could not be shown stays to be. Answers how many words were.
pub async fn pass(
    store: &dyn Store,
    campaigns: &mut Campaigns,
    shown: &mut Shown,
    shards: &[Shard],
    troubles: &mut Troubles,
) -> Result<usize, StoreError> {
    let mut words = Vec::new();
    for no in campaigns.unshown.iter().copied().collect::<Vec<CampaignNo>>() {
        match lacking(campaigns, shown, no) {
            Some(word) => words.push(word),
            None => drop(campaigns.unshown.remove(&no)),
        }
    }
    let mut total = 0;
    for words in words.chunks(limits::PAGE_MAX) {
        let mut everywhere = true;
        for (shard, n) in shards::each(shards, |shard| Box::pin(show(store, shard, words))).await {
            let n = shards::aside(n, format_args!("control words of shard {}", shard.0), troubles)?;
            everywhere &= n.is_some();
            total += n.unwrap_or(0);
        }
        for word in words.iter().filter(|_| everywhere) {
            shown.insert(word.no, word.word.epoch);
            campaigns.unshown.remove(&word.no);
        }
    }
    Ok(total)
}

fn lacking(campaigns: &Campaigns, shown: &Shown, no: CampaignNo) -> Option<Word> {
    let record = &campaigns.get(no)?.record;
    let word = record.control_word()?;
    let again = record.state != State::Ended;
    (shown.get(&no) != Some(&word.epoch)).then_some(Word { no, word, again })
}

struct Word {
    no: CampaignNo,
    word: ControlWord,
    /// A word that is there is shown again: its held lanes may not have been let go to the last.
    again: bool,
}

async fn show(store: &dyn Store, shard: Shard, words: &[Word]) -> Result<usize, StoreError> {
    let numbers: Vec<CampaignNo> = words.iter().map(|word| word.no).collect();
    let there = store.control(shard, &numbers).await?;
    let mut shown = 0;
    for (Word { no, word, again }, there) in words.iter().zip(there) {
        let is_newer = there.is_none_or(|there| there.epoch < word.epoch);
        if is_newer || (*again && there == Some(*word)) {
            store.set_control(shard, *no, *word).await?;
            shown += usize::from(is_newer);
        }
    }
    Ok(shown)
}
