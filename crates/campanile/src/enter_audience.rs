//! `campanile campaign enter --where`: a whole audience into a campaign by hand. How many that would be is shown and asked first; then
//! the run is watched until everybody was asked.

use std::time::Duration;

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;

use crate::cli_enter::EnterArgs;
use crate::connect::Api;
use crate::enter::skip;
use crate::fail::Fail;
use crate::output::{Output, confirm};
use crate::words;

/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub async fn run(mut api: Api, args: EnterArgs, output: Output) -> Result<(), Fail> {
    let audience = wire::Audience {
        r#where: args.condition.clone().unwrap_or_default(),
        include_segments: args.include_segment.clone(),
        exclude_segments: args.exclude_segment.clone(),
        ..Default::default()
    };
    let request = |request_id: &str, validate_only| wire::EnterUsersRequest {
        campaign_id: args.id.clone(),
        audience: Some(audience.clone()),
        values: args.values.clone(),
        skip: args.skip.iter().map(|gate| skip(*gate) as i32).collect(),
        create_missing: args.create_missing,
        wait: args.wait.and_then(|wait| wait.try_into().ok()),
        request_id: request_id.to_owned(),
        validate_only,
        ..Default::default()
    };
    let would = api.campaigns.enter_users(request("", true)).await?.into_inner();
    if !args.yes {
        let (entered, refused) = (words::counted(would.entered, "user"), would.refused);
        let question = format!("{entered} would enter {} and {refused} would not. Enter them?", args.id);
        confirm(&question, "add --yes to enter them")?;
    }
    let mut run = begun(&mut api, request(&args.request_id, false)).await?;
    // The same request again tells how far it is.
    while run.ended_at.is_none() {
        tokio::time::sleep(LOOK_EVERY).await;
        run = begun(&mut api, request(&run.name, false)).await?;
    }
    if output.is_json() {
        return output.message(&run);
    }
    let asked = words::counted(run.asked, "user");
    output.line(&format!("run {}: of {asked} {} entered, {} did not", run.name, run.entered, run.refused));
    output.next(&format!("campanile campaign stats {}", shell_word(&args.id)));
    Ok(())
}

async fn begun(api: &mut Api, request: wire::EnterUsersRequest) -> Result<wire::EntryRun, Fail> {
    Ok(api.campaigns.enter_users(request).await?.into_inner().run.unwrap_or_default())
}
