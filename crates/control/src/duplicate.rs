//! A new draft made of a stored campaign, whatever the state of that one; those whom the original reached are left out unless asked for.

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

pub async fn duplicate(
    deployment: &Deployment,
    request: &wire::DuplicateCampaignRequest,
) -> Result<(CampaignRecord, Campaign), Status> {
    if request.new_id.is_empty() {
        return Err(status::invalid_field("new_id", "is missing"));
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
    if !request.include_received {
        let condition = &mut copy.audience.condition;
        *condition = without_received(condition, &request.id);
    }
    copy
}

/// Nobody to whom the campaign `id` posted.
fn without_received(condition: &str, id: &str) -> String {
    let not_received = format!("not received({id:?})");
    match condition {
        "" | "everyone" => not_received,
        condition => format!("({condition}) and {not_received}"),
    }
}

/// The caller wrote `new_id`, not a campaign.
fn renamed(mut faults: Faults) -> Faults {
    for fault in faults.0.iter_mut().filter(|fault| fault.field == "id") {
        fault.field = "new_id".to_owned();
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_leaves_out_whom_the_original_reached() {
        for (condition, expected) in [
            ("", "not received(\"a\")"),
            ("everyone", "not received(\"a\")"),
            ("user.x or user.y", "(user.x or user.y) and not received(\"a\")"),
        ] {
            assert_eq!(without_received(condition, "a"), expected);
        }
    }
}
