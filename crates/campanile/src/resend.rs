//! `campanile sends resend`: shows first how many failed sends it concerns, then asks.

use campanile_proto::v1 as wire;
use jiff::Timestamp;

use crate::cli_edits::ResendArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm};
use crate::words;

pub async fn run(mut api: Api, args: ResendArgs, output: Output) -> Result<(), Fail> {
    if args.ids.is_empty() && args.campaign.is_empty() && args.user.is_empty() && !args.all {
        return Err(Fail::input("which ones: name sends, give --campaign or --user, or --all"));
    }
    let mode = if args.rerender { wire::RedriveMode::Rerender } else { wire::RedriveMode::Original };
    let filter = wire::SendFilter {
        campaign_id: args.campaign.clone(),
        user_id: args.user.clone(),
        ..Default::default()
    };
    let mut request = wire::RedriveSendsRequest {
        filter: Some(filter),
        send_ids: args.ids,
        failed_from: args.since.map(wire_instant),
        failed_before: args.until.map(wire_instant),
        mode: mode as i32,
        validate_only: true,
        ..Default::default()
    };
    let before = api.sends.redrive_sends(request.clone()).await?.into_inner();
    if !args.yes && before.redriven > 0 {
        let question =
            format!("{} will be sent again. Resend?", words::counted(before.redriven, "failed send"));
        confirm(&question, "add --yes to resend")?;
    }
    request.validate_only = false;
    let answer = api.sends.redrive_sends(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("{} on the way again", words::counted(answer.redriven, "send")));
    if answer.not_failed > 0 {
        output.warning(&format!("{} of those named did not fail, or are no longer kept", answer.not_failed));
    }
    output.next("campanile sends watch");
    Ok(())
}

fn wire_instant(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}
