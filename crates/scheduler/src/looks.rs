//! Looks at everybody for the campaigns that segments set off: begins one where it is due, and says of a chunk of users what they crossed.
//!
//! `core::watch` decides; a look is walked as an open occurrence of its campaign, so it is bounded, shared, and taken up where it was.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::event::LogItem;
use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Store, StoreError, StoredUser};
use campanile_core::ports_changes::{ChangedUser, SavedUsers};
use campanile_core::watch::{self, Next};
use jiff::Timestamp;

use crate::campaigns::Campaigns;
use crate::shards::{self, Troubles};

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    All,
    /// Campaigns changed and must be looked at first.
    Stale,
    /// Some of the users changed meanwhile: they are looked at again.
    Changed,
}

/// Answers the records in which a look was begun, and when the next one is due.
pub async fn begin(
    store: &dyn Store,
    campaigns: &Campaigns,
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<(Vec<CampaignRecord>, Option<Timestamp>), StoreError> {
    let (mut begun, mut next_at) = (Vec::new(), None::<Timestamp>);
    if campaigns.watches().is_empty() {
        return Ok((begun, next_at));
    }
    for known in campaigns.iter() {
        match watch::next(&known.record, &campaigns.segments, now) {
            Next::Wait(at) => next_at = next_at.into_iter().chain(at).min(),
            Next::Look(record) => {
                let place = format!("look of campaign {}", record.id);
                let saved = store.save_campaign(*record).await;
                // Nothing saved: somebody else was faster, and the next pass sees what they wrote.
                begun.extend(shards::aside(saved, place, troubles)?.flatten());
            }
        }
    }
    Ok((begun, next_at))
}

/// Looks at a chunk of users as of a control number of their shard.
pub async fn look(
    (store, campaigns, record): (&dyn Store, &Campaigns, &CampaignRecord),
    shard: Shard,
    (control, users): (u64, &[StoredUser]),
    now: Timestamp,
) -> Result<Looked, StoreError> {
    let watches = watch::watches(record);
    let mut changed = Vec::new();
    for user in users {
        let mut user = user.clone();
        let marks = user.profile.inside.clone();
        let crossed = watch::look(&watches, None, &mut user.profile, &campaigns.segments, now);
        if user.profile.inside != marks {
            let cause = format!("{}/{}", user.no.0, user.version);
            let happened = crossed.iter().map(|crossing| LogItem::Event(crossing.event(&cause, now)).pack());
            changed.push(ChangedUser { happened: happened.collect(), user });
        }
    }
    for changed in changed.chunks(limits::ACCEPT_MAX) {
        match store.change_users(shard, control, changed).await? {
            SavedUsers::Control(_) => return Ok(Looked::Stale),
            SavedUsers::Written(written) if written.contains(&false) => return Ok(Looked::Changed),
            SavedUsers::Written(_) => {}
        }
    }
    Ok(Looked::All)
}
