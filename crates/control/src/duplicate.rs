//! A new draft made of a stored campaign, whatever the state of that one.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use campanile_core::fault::Faults;
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::campaign_life;
use crate::deployment::Deployment;
use crate::read_campaign::read_campaign;
use crate::status;
use crate::write_campaign::write_draft;

/// A copy would need a condition on what users had of the original.
const NOT_YET: &str = "leaving out users who got the original is not in this version: include them, and narrow the audience of the copy";

pub async fn duplicate(
    deployment: &Deployment,
    request: &wire::DuplicateCampaignRequest,
) -> Result<(CampaignRecord, Campaign), Status> {
    if request.new_id.is_empty() {
        return Err(status::invalid_field("new_id", "is missing"));
    }
    if !request.include_received {
        return Err(status::invalid_field("include_received", NOT_YET));
    }
    let original = deployment.campaign(&request.id).await?;
    let copy = copy(&original.draft, request);
    // As if it had been written by hand: the new id and title are checked with all the rest.
    let draft = read_campaign(&write_draft(&copy)).map_err(|faults| status::invalid(&renamed(faults)))?;
    campaign_life::create(deployment, draft, &request.request_id).await
}

fn copy(original: &Draft, request: &wire::DuplicateCampaignRequest) -> Draft {
    let mut copy = Draft { id: request.new_id.clone(), ..original.clone() };
    if !request.title.is_empty() {
        copy.title.clone_from(&request.title);
    }
    copy
}

/// The caller wrote `new_id`, not a campaign.
fn renamed(mut faults: Faults) -> Faults {
    for fault in faults.0.iter_mut().filter(|fault| fault.field == "id") {
        fault.field = "new_id".to_owned();
    }
    faults
}
