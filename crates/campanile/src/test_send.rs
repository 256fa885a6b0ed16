//! `campanile campaign test-send`: posts one webhook and shows what came back.

use campanile_proto::v1 as wire;
use campanile_proto::v1::send_test_request::Subject;

use crate::campaign_files;
use crate::cli_trial::PreviewArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::preview::{imagined, show_request};
use crate::table::{plain, plain_lines};
use crate::words;

pub async fn run(mut api: Api, args: PreviewArgs, output: Output) -> Result<(), Fail> {
    let (profile, event) = imagined(&args)?;
    let mut request = wire::SendTestRequest {
        subject: args.id.map(Subject::CampaignId),
        user_id: args.user,
        profile,
        event,
        values: args.values,
        action: args.action,
    };
    let answer = match args.file {
        None => api.campaigns.send_test(request).await?.into_inner(),
        Some(path) => {
            let written = campaign_files::read_one(path, "test")?;
            request.subject = Some(Subject::Campaign(written.campaign().clone()));
            let answer = api.campaigns.send_test(request).await;
            answer.map_err(|status| written.refused(status))?.into_inner()
        }
    };
    if output.is_json() {
        output.message(&answer)?;
    } else {
        show(&answer, output);
    }
    verdict(&answer)
}

fn show(answer: &wire::SendTestResponse, output: Output) {
    if let Some(request) = &answer.request {
        show_request(request, output);
    }
    if answer.status > 0 {
        output.line(&output.paint(Tone::Strong, &format!("answered {}", answer.status)));
        for header in &answer.headers {
            output.line(&format!("{}: {}", plain(&header.name), plain(&header.value)));
        }
        output.line(&format!("\n{}\n", plain_lines(&answer.body)));
    }
    if let Some(timing) = &answer.timing {
        output.line(&timed(timing));
    }
    if answer.refusal() != wire::RefusalReason::Unspecified {
        let reason = words::refusal(answer.refusal());
        output.warning(&format!(
            "the user would not enter: {reason}: {}; it was posted all the same",
            answer.why
        ));
    }
    if !answer.hint.is_empty() {
        output.warning(&answer.hint);
    }
}

/// `total 12.3 ms: dns 0.1 ms, connect 0.3 ms, first byte 11.8 ms`.
fn timed(timing: &wire::ExchangeTiming) -> String {
    let phases = [
        ("dns", &timing.dns),
        ("connect", &timing.connect),
        ("tls", &timing.tls),
        ("first byte", &timing.first_byte),
    ];
    let phases: Vec<String> = phases
        .iter()
        .filter_map(|(name, took)| took.as_ref().map(|took| format!("{name} {}", millis(took))))
        .collect();
    let total = timing.total.as_ref().map(millis).unwrap_or_default();
    if phases.is_empty() { format!("total {total}") } else { format!("total {total}: {}", phases.join(", ")) }
}

fn millis(took: &prost_types::Duration) -> String {
    format!("{:.1} ms", took.seconds as f64 * 1_000.0 + f64::from(took.nanos) / 1_000_000.0)
}

/// A test that was not taken fails, so that a script can rely on it.
fn verdict(answer: &wire::SendTestResponse) -> Result<(), Fail> {
    if answer.suppression() != wire::SuppressionReason::Unspecified {
        let reason = words::suppression(answer.suppression());
        return Err(Fail::refused(format!("nothing was posted: {reason}: {}", answer.why)));
    }
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(Fail::refused(format!("it was not taken: {}", answer.detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_that_were_not_reached_are_left_out() {
        let took = |nanos| Some(prost_types::Duration { seconds: 0, nanos });
        let timing =
            wire::ExchangeTiming { total: took(12_340_000), dns: took(40_000), ..Default::default() };
        assert_eq!(timed(&timing), "total 12.3 ms: dns 0.0 ms");
        let timing = wire::ExchangeTiming { total: took(1_000_000), ..Default::default() };
        assert_eq!(timed(&timing), "total 1.0 ms");
    }
}
