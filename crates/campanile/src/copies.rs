//! `campanile campaign duplicate` and `delete`.

use campanile_proto::v1 as wire;

use crate::cli_edits::{DeleteArgs, DuplicateArgs};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm};
use crate::words;

pub async fn duplicate(mut api: Api, args: DuplicateArgs, output: Output) -> Result<(), Fail> {
    let request = wire::DuplicateCampaignRequest {
        id: args.id.clone(),
        new_id: args.new_id,
        title: args.title,
        include_received: args.include_received,
        ..Default::default()
    };
    let answer = api.campaigns.duplicate_campaign(request).await?.into_inner();
    for warning in &answer.warnings {
        output.warning(&words::finding(warning));
    }
    let campaign = answer.campaign.unwrap_or_default();
    if output.is_json() {
        return output.message(&campaign);
    }
    let whom = match args.include_received {
        true => "also for users who got that one",
        false => "without users who got that one",
    };
    output.line(&format!("{} is a new draft like {}, {whom}", campaign.id, args.id));
    output.next(&format!("campanile campaign show {}", campaign.id));
    Ok(())
}

/// Shows first what it would leave unsent, then asks.
pub async fn delete(mut api: Api, args: DeleteArgs, output: Output) -> Result<(), Fail> {
    let mut request =
        wire::DeleteCampaignRequest { id: args.id.clone(), validate_only: true, ..Default::default() };
    let before = api.campaigns.delete_campaign(request.clone()).await?.into_inner();
    if !args.yes {
        let left = match before.pending {
            0 => String::new(),
            n => format!("; {} of it will not be sent", words::counted(n, "planned send")),
        };
        let question = format!("{} goes with its counts, for good{left}. Delete it?", args.id);
        confirm(&question, "add --yes to delete it")?;
    }
    request.validate_only = false;
    let answer = api.campaigns.delete_campaign(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("{} is deleted; its id is never used again", args.id));
    output.next("campanile campaign list");
    Ok(())
}
