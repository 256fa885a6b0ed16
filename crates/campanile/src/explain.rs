//! `campanile explain USER CAMPAIGN`: what happened, what would happen now, and the answer in one sentence.

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;

use crate::cli_trial::ExplainArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::preview::read_event;
use crate::table::{lay_out, plain};
use crate::words;

pub async fn run(mut api: Api, args: ExplainArgs, output: Output) -> Result<(), Fail> {
    let event = args.event.as_deref().map(read_event).transpose()?;
    let next = format!("campanile sends list --user {}", shell_word(&args.user));
    let request = wire::ExplainSendRequest {
        user_id: args.user,
        campaign_id: args.campaign,
        event,
        values: args.values,
    };
    let answer = api.sends.explain_send(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    for past in answer.past.iter().rev() {
        output.line(&plain(&past.sentence));
        for attempt in &past.attempts {
            output.line(&attempt_line(attempt));
        }
    }
    if let Some(if_now) = &answer.if_now {
        show_now(if_now, output);
    }
    output.line("");
    output.line(&output.paint(Tone::Strong, &plain(&answer.sentence)));
    output.next(&next);
    Ok(())
}

fn attempt_line(attempt: &wire::Attempt) -> String {
    let response =
        if attempt.response.is_empty() { String::new() } else { format!(": {}", attempt.response) };
    let at = words::instant(attempt.began_at.as_ref());
    plain(&format!("  attempt {} at {at} {}{response}", attempt.number, attempt.detail))
}

fn show_now(if_now: &wire::IfNow, output: Output) {
    let about = if_now
        .event
        .as_ref()
        .map_or_else(String::new, |event| format!(" on {} {}", event.name, event.properties));
    output.line(&format!("\n{}", output.paint(Tone::Strong, &plain(&format!("If it were now{about}")))));
    let rows: Vec<Vec<String>> = if_now.steps.iter().map(row).collect();
    for line in lay_out(&["STEP", "GATE", "OUTCOME", "SAW"], &rows) {
        output.line(&line);
    }
    output.line(&plain(&if_now.sentence));
}

fn row(step: &wire::DecisionStep) -> Vec<String> {
    let stage = match step.stage() {
        wire::DecisionStage::Sending => "send",
        wire::DecisionStage::Entering | wire::DecisionStage::Unspecified => "enter",
    };
    let outcome = match step.outcome() {
        wire::DecisionOutcome::Passed | wire::DecisionOutcome::Unspecified => "passed".to_owned(),
        wire::DecisionOutcome::Skipped => "passed over".to_owned(),
        wire::DecisionOutcome::Refused => words::refusal(step.refusal()),
        wire::DecisionOutcome::Suppressed => words::suppression(step.suppression()),
        wire::DecisionOutcome::Waits => format!("waits until {}", words::instant(step.waits_until.as_ref())),
    };
    vec![stage.to_owned(), step.gate.clone(), outcome, step.saw.clone()]
}
