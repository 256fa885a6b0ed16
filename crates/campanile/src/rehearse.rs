//! The rehearsal before a campaign is started: what it found, and whether somebody agrees.

use campanile_core::limits;
use campanile_proto::v1 as wire;

use crate::cli::ConsentArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm_number};
use crate::table::plain;
use crate::words;

/// Prints what a rehearsal found, and warnings that were not `told` yet. Refuses where nothing of it would be sent or sends would expire,
/// and asks for the number of a large audience.
pub async fn rehearse(
    api: &mut Api,
    id: &str,
    consent: ConsentArgs,
    told: &[wire::Finding],
    output: Output,
) -> Result<(), Fail> {
    let request =
        wire::ActivateCampaignRequest { id: id.to_owned(), validate_only: true, ..Default::default() };
    let answer = api.campaigns.activate_campaign(request).await?.into_inner();
    let Some(rehearsal) = answer.rehearsal else { return Ok(()) };
    output.note(&format!("rehearsal of {id}: {}", plain(&rehearsal.sentence)));
    for warning in answer.warnings.iter().filter(|warning| !told.contains(warning)) {
        output.warning(&words::finding(warning));
    }
    if rehearsal.would_expire > 0 && !consent.yes {
        let sends = words::counted(rehearsal.would_expire, "send");
        let text = format!(
            "{sends} of {id} would expire before the throttle lets them through; add --yes to start it all the same"
        );
        return Err(Fail::refused(text));
    }
    let suppressed: i64 = rehearsal.suppressed.iter().map(|row| row.count).sum();
    if rehearsal.sent == 0 && suppressed > 0 && !consent.yes {
        let text =
            format!("{id} would send nothing: {}; add --yes to start it all the same", rehearsal.sentence);
        return Err(Fail::refused(text));
    }
    match rehearsal.audience {
        Some(audience) if audience > limits::AUDIENCE_UNCONFIRMED_MAX => agree(id, audience, consent),
        _ => Ok(()),
    }
}

fn agree(id: &str, audience: i64, consent: ConsentArgs) -> Result<(), Fail> {
    match consent.audience {
        Some(agreed) if agreed == audience => Ok(()),
        Some(agreed) => {
            let text = format!("--audience {agreed}: the audience of {id} has {audience} users now");
            Err(Fail::refused(text))
        }
        None => {
            let question = format!("{id} is for {}.", words::counted(audience, "user"));
            confirm_number(&question, audience, &format!("add --audience {audience} to start it"))
        }
    }
}
