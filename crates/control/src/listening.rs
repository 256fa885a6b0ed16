//! Which campaigns listen to the sends of others: before a campaign is live, those it names are there and tell what becomes of their sends.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use tonic::Status;

use crate::deployment::Deployment;
use crate::status;

/// Somebody else was faster this many times: give up and let the caller decide.
const TRIES_MAX: usize = 16;

/// Every campaign that a draft names is there; the faults are told by field.
pub async fn check(deployment: &Deployment, draft: &Draft) -> Result<(), Status> {
    let mut faults = campanile_core::fault::Faults::default();
    for (i, on) in draft.triggers().enumerate() {
        let Some(id) = on.campaign() else { continue };
        if deployment.store.campaign(id).await.map_err(status::store)?.is_none() {
            faults.add(format!("delivery.triggered.when[{i}]"), format!("there is no campaign {id:?}"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(status::invalid(&faults)) }
}

/// Answers when every shard tells of the sends of the campaigns that `listener`, which is live, names. To be called after its record
/// was saved: whoever ends the telling looks at that first, and saves over what it read.
pub async fn hear(deployment: &Deployment, listener: &CampaignRecord) -> Result<(), Status> {
    for id in listener.draft.triggers().filter_map(|on| on.campaign()) {
        hear_one(deployment, id).await?;
    }
    Ok(())
}

async fn hear_one(deployment: &Deployment, id: &str) -> Result<(), Status> {
    for _ in 0..TRIES_MAX {
        let Some(record) = deployment.store.campaign(id).await.map_err(status::store)? else { return Ok(()) };
        // Saved also where nothing changes, so that nobody who looked before it ends the telling.
        let saved = deployment.store.save_campaign(record.heard(true)).await.map_err(status::store)?;
        if let Some(saved) = saved {
            return deployment.show_control(&saved).await.map_err(status::store);
        }
    }
    Err(Status::aborted(format!("the campaign {id:?} is being changed by others; try again")))
}
