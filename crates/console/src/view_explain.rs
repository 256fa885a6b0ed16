//! Pure. Why a user was or was not sent a campaign: the answer in a sentence, what happened, and every gate as it stands now.

use askama::Template;
use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::frame::Frame;
use crate::reasons::{refusal, suppression};
use crate::view_campaign::{SendLine, UserLink, send_line};
use crate::view_send::RequestView;
use crate::view_trial::Trial;
use crate::words::{Moment, explain_href};

/// What is judged instead of what happened, as it was typed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Judged {
    #[serde(default)]
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) properties: String,
    #[serde(default)]
    pub(crate) values: String,
}

impl Judged {
    pub(crate) fn event(&self) -> Option<wire::Event> {
        let name = self.event.trim().to_owned();
        let properties = self.properties.trim().to_owned();
        (!name.is_empty()).then(|| wire::Event { name, properties, ..Default::default() })
    }

    /// What the command line takes for the same; empty where nothing was typed.
    pub(crate) fn arguments(&self) -> String {
        let mut arguments = String::new();
        if let Some(event) = self.event() {
            let properties = if event.properties.is_empty() { "{}" } else { &event.properties };
            let name = serde_json::Value::from(event.name);
            let event = format!("{{\"name\": {name}, \"properties\": {properties}}}");
            arguments = format!(" --event {}", shell_word(&event));
        }
        match self.values.trim() {
            "" => arguments,
            values => format!("{arguments} --values {}", shell_word(values)),
        }
    }
}

#[derive(Template)]
#[template(path = "explain.html")]
pub(crate) struct ExplainPage {
    pub(crate) frame: Frame,
    pub(crate) user: UserLink,
    pub(crate) campaign: String,
    pub(crate) sentence: String,
    /// Newest first.
    pub(crate) past: Vec<PastLine>,
    pub(crate) now: Option<NowView>,
    /// Where something else is judged, and with what.
    pub(crate) action: String,
    pub(crate) judged: Judged,
    pub(crate) wants_event: bool,
    pub(crate) wants_values: bool,
}

pub(crate) struct PastLine {
    pub(crate) at: Moment,
    pub(crate) sentence: String,
    /// None: it was not let in, so there is no send.
    pub(crate) send: Option<SendLine>,
}

/// What would be decided if the user were to enter now.
pub(crate) struct NowView {
    pub(crate) sentence: String,
    /// The event that is judged; empty where there is none.
    pub(crate) event: String,
    pub(crate) steps: Vec<StepLine>,
    pub(crate) request: Option<RequestView>,
}

pub(crate) struct StepLine {
    pub(crate) stage: &'static str,
    pub(crate) gate: String,
    pub(crate) outcome: &'static str,
    /// passed, stopped or waits: what it looks like.
    pub(crate) mark: &'static str,
    /// Of a gate that waits.
    pub(crate) until: Moment,
    pub(crate) saw: String,
}

pub(crate) fn explain_page(
    frame: Frame,
    user: &str,
    campaign: &wire::Campaign,
    mut judged: Judged,
    answer: &wire::ExplainSendResponse,
) -> ExplainPage {
    let mut trial = Trial::default();
    trial.fit(campaign);
    let met = answer.if_now.as_ref().and_then(|now| now.event.as_ref());
    if judged.event.is_empty() {
        judged.event = met.map_or(trial.event, |event| event.name.clone());
        judged.properties = met.map(|event| event.properties.clone()).unwrap_or_default();
    }
    ExplainPage {
        frame,
        user: UserLink::to(user),
        campaign: campaign.id.clone(),
        sentence: answer.sentence.clone(),
        past: answer.past.iter().map(past_line).collect(),
        now: answer.if_now.as_ref().map(now_view),
        action: explain_href(user, &campaign.id),
        judged,
        wants_event: trial.wants_event,
        wants_values: trial.wants_values,
    }
}

fn past_line(past: &wire::PastDecision) -> PastLine {
    PastLine {
        at: Moment::at(past.at.as_ref()),
        sentence: past.sentence.clone(),
        send: past.send.as_ref().map(send_line),
    }
}

fn now_view(now: &wire::IfNow) -> NowView {
    let event = now.event.as_ref().map(|event| match event.properties.as_str() {
        "" | "{}" => event.name.clone(),
        properties => format!("{} {properties}", event.name),
    });
    NowView {
        sentence: now.sentence.clone(),
        event: event.unwrap_or_default(),
        steps: now.steps.iter().map(step_line).collect(),
        request: now.request.as_ref().map(|request| RequestView::of(request, "")),
    }
}

fn step_line(step: &wire::DecisionStep) -> StepLine {
    let (outcome, mark) = match step.outcome() {
        wire::DecisionOutcome::Passed | wire::DecisionOutcome::Unspecified => ("passed", "passed"),
        wire::DecisionOutcome::Skipped => ("passed over", "stopped"),
        wire::DecisionOutcome::Refused => (refusal(step.refusal()).label, "stopped"),
        wire::DecisionOutcome::Suppressed => (suppression(step.suppression()).label, "stopped"),
        wire::DecisionOutcome::Waits => ("waits", "waits"),
    };
    let until = Moment::at(step.waits_until.as_ref());
    let stage = match step.stage() {
        wire::DecisionStage::Sending => "sending",
        wire::DecisionStage::Entering | wire::DecisionStage::Unspecified => "entering",
    };
    StepLine { stage, gate: step.gate.clone(), outcome, mark, until, saw: step.saw.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_says_how_it_came_out() {
        let check = |step: wire::DecisionStep, outcome: &str, mark: &str| {
            let line = step_line(&step);
            assert_eq!((line.outcome, line.mark), (outcome, mark));
        };
        let step = |outcome: wire::DecisionOutcome| wire::DecisionStep {
            outcome: outcome as i32,
            ..Default::default()
        };
        check(step(wire::DecisionOutcome::Passed), "passed", "passed");
        let refusal = wire::RefusalReason::NotInAudience as i32;
        check(
            wire::DecisionStep { refusal, ..step(wire::DecisionOutcome::Refused) },
            "not in audience",
            "stopped",
        );
        let suppression = wire::SuppressionReason::Expired as i32;
        check(
            wire::DecisionStep { suppression, ..step(wire::DecisionOutcome::Suppressed) },
            "expired",
            "stopped",
        );
        check(step(wire::DecisionOutcome::Waits), "waits", "waits");
    }

    #[test]
    fn what_is_judged_is_what_the_command_line_is_told() {
        let judged = |event: &str, properties: &str, values: &str| Judged {
            event: event.to_owned(),
            properties: properties.to_owned(),
            values: values.to_owned(),
        };
        let check = |judged: Judged, expected: &str| assert_eq!(judged.arguments(), expected);
        check(judged("", "{}", " "), "");
        check(judged("bought", "", ""), r#" --event '{"name": "bought", "properties": {}}'"#);
        check(judged(" b ", r#"{"a": 1}"#, ""), r#" --event '{"name": "b", "properties": {"a": 1}}'"#);
        check(judged("", "", r#"{"a": 1}"#), r#" --values '{"a": 1}'"#);
    }
}
