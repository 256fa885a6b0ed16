//! Campaigns that end by themselves: nothing is to come, nobody is inside.

use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::ports::{Store, StoreError};
use jiff::Timestamp;

use crate::campaigns::{Campaigns, Known};
use crate::occurrence::BY_ITSELF;

/// Answers the campaigns that were ended.
pub async fn pass(
    store: &dyn Store,
    campaigns: &Campaigns,
    now: Timestamp,
) -> Result<Vec<CampaignRecord>, StoreError> {
    let mut ended = Vec::new();
    for known in campaigns.iter().filter(|known| may_end(known)) {
        let counters = store.stats(known.record.no).await?;
        let pending =
            counters.iter().filter(|(counter, _)| matches!(counter, Counter::Pending(_))).map(|(_, n)| n);
        if pending.sum::<i64>() > 0 {
            continue;
        }
        let mut record = known.record.clone();
        record.move_to(State::Ended, now, BY_ITSELF, "its last send is settled");
        ended.extend(store.save_campaign(record).await?);
    }
    Ok(ended)
}

fn may_end(known: &Known) -> bool {
    let schedule = &known.record.schedule;
    let is_over = schedule.next_at.is_none() && schedule.open.is_empty();
    let is_finite =
        known.campaign.as_ref().is_some_and(|c| matches!(c.when, When::OneTime(_) | When::Recurring(_)));
    match known.record.state {
        State::Finishing => schedule.open.is_empty(),
        State::Active => is_over && is_finite,
        State::Draft | State::Scheduled | State::Paused | State::Ended => false,
    }
}
