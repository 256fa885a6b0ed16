//! Keeps right which campaigns tell the event log what became of their sends: those that a live campaign listens to.
//!
//! An activation sees to it before it answers; this makes good what a caller that died left undone, and ends what nobody listens to any more.

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::ports::{Store, StoreError};

use crate::campaigns::{Campaigns, Known};
use crate::shards::{self, Troubles};

/// Answers the records that were changed. Looks only after something has changed.
pub async fn pass(
    store: &dyn Store,
    campaigns: &mut Campaigns,
    troubles: &mut Troubles,
) -> Result<usize, StoreError> {
    if !std::mem::take(&mut campaigns.unheard) {
        return Ok(0);
    }
    let wrong = wrong(campaigns);
    let n = wrong.len();
    for record in wrong {
        let place = format!("who listens to campaign {}", record.id);
        // Nothing saved: somebody else was faster, and the next pass sees what they wrote.
        if let Some(record) = shards::aside(store.save_campaign(record).await, place, troubles)?.flatten() {
            campaigns.replace_record(record);
        } else {
            campaigns.unheard = true;
        }
    }
    Ok(n)
}

fn wrong(campaigns: &Campaigns) -> Vec<CampaignRecord> {
    let heard = campaigns.heard();
    let is_wrong = |known: &&Known| {
        known.record.state != State::Ended && known.record.heard != heard.contains(known.record.id.as_str())
    };
    campaigns.iter().filter(is_wrong).map(|known| known.record.heard(!known.record.heard)).collect()
}

#[cfg(test)]
mod tests {
    use campanile_core::draft::{Kind, TriggerOn};
    use campanile_core::number::CampaignNo;

    use super::*;
    use crate::sample::{activated, at, draft, triggered};

    #[test]
    fn a_campaign_is_heard_while_a_live_one_listens() {
        let of = |no: u32, id: &str, on: Option<TriggerOn>, state: State| {
            let mut delivery = triggered(&["buy"]);
            delivery.when[0].on = on.unwrap_or(TriggerOn::Event("buy".to_owned()));
            let mut record = activated(draft(Kind::Triggered(delivery)), at("2026-02-01T00:00Z"));
            (record.no, record.id, record.state) = (CampaignNo(no), id.to_owned(), state);
            record
        };
        let check = |state: State, heard: bool, expected: Option<bool>| {
            let listener = of(2, "second", Some(TriggerOn::CampaignFailed("first".to_owned())), state);
            let first = CampaignRecord { heard, ..of(1, "first", None, State::Active) };
            let epoch = first.epoch;
            let changed = wrong(&Campaigns::of(vec![first, listener]));
            let told: Vec<(&str, bool, bool)> =
                changed.iter().map(|c| (c.id.as_str(), c.heard, c.epoch == epoch + 1)).collect();
            let expected: Vec<_> = expected.into_iter().map(|heard| ("first", heard, true)).collect();
            assert_eq!(told, expected, "{state:?} {heard}");
        };
        check(State::Active, false, Some(true));
        check(State::Active, true, None);
        check(State::Paused, true, None);
        check(State::Ended, true, Some(false));
        check(State::Draft, true, Some(false));
        check(State::Draft, false, None);
    }
}
