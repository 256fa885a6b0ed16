//! Which campaigns listen to the sends of others: before a campaign is live, those it names are there and tell what becomes of their sends.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use campanile_core::limits;
use campanile_core::watch;
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
    if faults.is_empty() { check_watches(deployment, draft).await } else { Err(status::invalid(&faults)) }
}

/// Every change of a user looks at all that is watched.
async fn check_watches(deployment: &Deployment, draft: &Draft) -> Result<(), Status> {
    let mut watched = watch::watched(draft).len();
    if watched == 0 {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let page = deployment.store.list_campaigns(&after, limits::PAGE_MAX).await.map_err(status::store)?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        let others = page.iter().filter(|record| record.id != draft.id);
        watched += others.map(|record| watch::watches(record).len()).sum::<usize>();
    }
    if watched <= limits::WATCHES_MAX {
        return Ok(());
    }
    let most = limits::WATCHES_MAX;
    let text = format!("live campaigns would be set off by {watched} segments, at most {most} are allowed");
    Err(Status::resource_exhausted(text))
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
