//! `campanile sends cancel`: shows first how many sends it concerns, then asks.

use campanile_proto::v1 as wire;

use crate::cli_edits::CancelArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm};
use crate::words;

pub async fn run(mut api: Api, args: CancelArgs, output: Output) -> Result<(), Fail> {
    let filter = wire::SendFilter {
        campaign_id: args.campaign.clone(),
        user_id: args.user.clone(),
        ..Default::default()
    };
    let mut request =
        wire::CancelSendsRequest { filter: Some(filter), validate_only: true, ..Default::default() };
    let before = api.sends.cancel_sends(request.clone()).await?.into_inner();
    if !args.yes && before.pending > 0 {
        let which = match before.cancelled {
            Some(n) => format!("{} of {}", words::counted(n, "planned send"), args.campaign),
            None => format!("what {} is owed by {}", args.user, args.campaign),
        };
        confirm(&format!("{which} will not be sent. Cancel?"), "add --yes to cancel")?;
    }
    request.validate_only = false;
    let answer = api.sends.cancel_sends(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&match (answer.cancelled, answer.pending) {
        (_, 0) => format!("{} has nothing planned", args.campaign),
        (Some(n), _) => format!("{} cancelled", words::counted(n, "send")),
        (None, _) => format!("what {} was owed by {} is cancelled", args.user, args.campaign),
    });
    output.next(&format!("campanile campaign stats {}", args.campaign));
    Ok(())
}
