//! Campaigns that end by themselves: nothing is to come, nobody is inside.
//!
//! Runs after `reconcile`: every shard knows then that nobody enters any more, so what is counted as pending can only fall.

use std::collections::HashMap;

use campanile_core::campaign_record::{BY_ITSELF, CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::draft::Kind;
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use crate::campaigns::{Campaigns, Known};
use crate::shards::{self, Troubles};

/// Campaigns looked at in one pass.
const LOOKS_MAX: usize = 64;
const LOOK_AGAIN_MIN: SignedDuration = SignedDuration::from_secs(1);
const LOOK_AGAIN_MAX: SignedDuration = SignedDuration::from_secs(30);

/// When to look at which campaign again: the longer it has been waiting for its last retries, the less often.
#[derive(Default)]
pub struct Looks(HashMap<CampaignNo, Look>);

struct Look {
    since: Timestamp,
    next_at: Timestamp,
}

/// Answers the campaigns that were ended.
pub async fn pass(
    store: &dyn Store,
    campaigns: &Campaigns,
    looks: &mut Looks,
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<Vec<CampaignRecord>, StoreError> {
    looks.0.retain(|no, _| campaigns.get(*no).is_some_and(may_end));
    let mut ended = Vec::new();
    let mut looked = 0;
    for known in campaigns.iter().filter(|known| may_end(known)) {
        let no = known.record.no;
        let look = looks.0.entry(no).or_insert(Look { since: now, next_at: now });
        if look.next_at > now || campaigns.unshown.contains(&no) || looked == LOOKS_MAX {
            continue;
        }
        looked += 1;
        let wait = look_again_after(now.duration_since(look.since));
        look.next_at = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let done = end(store, known, now).await;
        let done = shards::aside(done, format_args!("end of campaign {}", known.record.id), troubles)?;
        ended.extend(done.flatten());
    }
    Ok(ended)
}

/// `None`: sends are pending, or somebody else changed the record.
async fn end(store: &dyn Store, known: &Known, now: Timestamp) -> Result<Option<CampaignRecord>, StoreError> {
    let counters = store.stats(known.record.no).await?;
    // An entry may be open between two of its messages.
    let is_inside = |counter: &Counter| matches!(counter, Counter::Pending(_) | Counter::Open);
    let inside = counters.iter().filter(|(counter, _)| is_inside(counter));
    if inside.map(|(_, n)| n).sum::<i64>() > 0 {
        return Ok(None);
    }
    let mut record = known.record.clone();
    record.move_to(State::Ended, now, BY_ITSELF, "its last send is settled");
    store.save_campaign(record).await
}

fn may_end(known: &Known) -> bool {
    let record = &known.record;
    let is_over = record.schedule.next_at.is_none() && record.schedule.open.is_empty();
    let is_finite = matches!(record.draft.delivery.kind, Some(Kind::OneTime(_) | Kind::Recurring(_)));
    match record.state {
        State::Finishing => is_over,
        State::Active => is_over && is_finite,
        State::Draft | State::Scheduled | State::Paused | State::Ended => false,
    }
}

/// An eighth of the time it took so far.
fn look_again_after(waited: SignedDuration) -> SignedDuration {
    (waited / 8).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX)
}
