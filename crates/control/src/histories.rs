//! What users had of the campaigns that a condition asks about (`received`, `failed`): looked up before anything is decided or tried.

use campanile_core::campaign::Campaign;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::StoredUser;
use tonic::Status;

use crate::deployment::Deployment;
use crate::status;

/// Fills in the histories of users of one shard, as far as `campaign` asks for them. Most campaigns ask for none.
pub async fn fill(
    deployment: &Deployment,
    campaign: &Campaign,
    shard: Shard,
    users: &mut [StoredUser],
) -> Result<(), Status> {
    if campaign.looks_back.is_empty() || users.is_empty() {
        return Ok(());
    }
    let mut named: Vec<(&str, CampaignNo)> = Vec::new();
    for id in &campaign.looks_back {
        // One that does not exist was received by nobody.
        let found = deployment.store.campaign(id).await.map_err(status::store)?;
        named.extend(found.map(|record| (id.as_str(), record.no)));
    }
    let asked: Vec<_> = users.iter().flat_map(|user| named.iter().map(|(_, no)| (user.no, *no))).collect();
    let mut histories = deployment.store.histories(shard, &asked).await.map_err(status::store)?.into_iter();
    for user in users {
        for ((id, _), history) in named.iter().zip(&mut histories) {
            user.profile.histories.put(id, history);
        }
    }
    Ok(())
}
