//! What users had of the campaigns that conditions ask about (`received`, `failed`): looked up before it is decided who enters. Asked of
//! the store only for campaigns that do ask.

use campanile_core::campaign::Campaign;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{Store, StoreError, StoredUser};

use crate::campaigns::{Campaigns, Known};

/// One campaign's history of one user that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub user: UserNo,
    pub campaign_id: String,
    pub campaign: CampaignNo,
}

/// What a campaign asks about a user.
pub fn wanted(known: &Known, campaigns: &Campaigns, user: UserNo) -> Vec<Wanted> {
    let Some(planned) = known.planned() else { return Vec::new() };
    wanted_by(planned.campaign, campaigns, user)
}

pub fn wanted_by(campaign: &Campaign, campaigns: &Campaigns, user: UserNo) -> Vec<Wanted> {
    let of = |id: &String| Some(Wanted { user, campaign_id: id.clone(), campaign: campaigns.number(id)? });
    // One that does not exist was received by nobody.
    campaign.looks_back.iter().filter_map(of).collect()
}

/// What the user had of this very campaign.
pub fn own(known: &Known, user: UserNo) -> Wanted {
    Wanted { user, campaign_id: known.record.id.clone(), campaign: known.record.no }
}

/// Fills in what is wanted of some users of one shard.
pub async fn fill(
    store: &dyn Store,
    shard: Shard,
    users: &mut [StoredUser],
    wanted: &[Wanted],
) -> Result<(), StoreError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let asked: Vec<(UserNo, CampaignNo)> = wanted.iter().map(|one| (one.user, one.campaign)).collect();
    let places: std::collections::HashMap<UserNo, usize> =
        users.iter().enumerate().map(|(place, user)| (user.no, place)).collect();
    for (one, history) in wanted.iter().zip(store.histories(shard, &asked).await?) {
        if let Some(user) = places.get(&one.user).and_then(|place| users.get_mut(*place)) {
            user.profile.histories.put(&one.campaign_id, history);
        }
    }
    Ok(())
}
