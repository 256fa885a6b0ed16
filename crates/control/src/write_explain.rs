//! Pure. Decisions to wire: steps, and what they come to in one plain sentence.

use campanile_core::event::Event;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::ports::RefusedRow;
use campanile_proto::v1 as wire;
use campanile_scheduler::entering;
use campanile_sender::admit::{self, Decision};
use jiff::Timestamp;

use crate::trial::Steps;
use crate::write_campaign::timestamp;
use crate::write_stats::{refusal, suppression};

pub fn write_steps(steps: &Steps) -> Vec<wire::DecisionStep> {
    let entering = steps.entering.iter().map(write_entering);
    entering.chain(steps.sending.iter().map(write_sending)).collect()
}

fn write_entering(step: &entering::Step) -> wire::DecisionStep {
    let outcome = match step.refused {
        None => wire::DecisionOutcome::Passed,
        Some(_) => wire::DecisionOutcome::Refused,
    };
    wire::DecisionStep {
        gate: step.gate.to_owned(),
        stage: wire::DecisionStage::Entering as i32,
        outcome: outcome as i32,
        saw: step.saw.clone(),
        refusal: step.refused.map_or(0, |reason| refusal(reason) as i32),
        ..Default::default()
    }
}

fn write_sending(step: &admit::Step) -> wire::DecisionStep {
    let written = wire::DecisionStep {
        gate: step.gate.to_owned(),
        stage: wire::DecisionStage::Sending as i32,
        outcome: wire::DecisionOutcome::Passed as i32,
        saw: step.saw.clone(),
        ..Default::default()
    };
    match &step.stopped {
        None | Some(Decision::Send(_)) => written,
        Some(Decision::Suppress(reason, _)) => wire::DecisionStep {
            outcome: wire::DecisionOutcome::Suppressed as i32,
            suppression: suppression(*reason) as i32,
            ..written
        },
        Some(Decision::Refuse(reason, _)) => wire::DecisionStep {
            outcome: wire::DecisionOutcome::Refused as i32,
            refusal: refusal(*reason) as i32,
            ..written
        },
        Some(Decision::Skip(_) | Decision::Miss(_) | Decision::Drop) => {
            wire::DecisionStep { outcome: wire::DecisionOutcome::Skipped as i32, ..written }
        }
        Some(Decision::Hold(until, _) | Decision::Park(until, _) | Decision::Later(until)) => {
            wire::DecisionStep {
                outcome: wire::DecisionOutcome::Waits as i32,
                waits_until: Some(timestamp(*until)),
                ..written
            }
        }
    }
}

/// What would become of the user now; `event` is what was judged, where it was an event.
pub fn if_now(user: &str, campaign: &str, steps: &[wire::DecisionStep], event: Option<&str>) -> String {
    let set_off = event.map_or_else(String::new, |event| format!(" on {event}"));
    let Some(last) = steps.last() else { return String::new() };
    match last.outcome() {
        wire::DecisionOutcome::Refused => {
            format!("{user} would not enter {campaign} now{set_off}: {}.", last.saw)
        }
        wire::DecisionOutcome::Suppressed => {
            format!("{user} would enter {campaign} now{set_off}, but nothing would be sent: {}.", last.saw)
        }
        wire::DecisionOutcome::Waits => {
            format!("{user} would enter {campaign} now{set_off}, and the send would wait: {}.", last.saw)
        }
        wire::DecisionOutcome::Skipped => {
            format!(
                "{user} would enter {campaign} now{set_off}, and this message would be passed over: {}.",
                last.saw
            )
        }
        wire::DecisionOutcome::Passed | wire::DecisionOutcome::Unspecified => {
            format!("{user} would be sent {campaign} now{set_off}: {}.", last.saw)
        }
    }
}

/// A triggered campaign of which no event was judged.
pub fn if_now_without_event(user: &str, campaign: &str, steps: &[wire::DecisionStep], event: &str) -> String {
    match steps.last() {
        Some(last) if last.outcome() == wire::DecisionOutcome::Refused => {
            format!("{user} would not enter {campaign} now, whatever happens: {}.", last.saw)
        }
        _ => format!("{user} may enter {campaign} when {event} happens: give an event to have it judged."),
    }
}

/// What a row of the send log says of its send.
pub fn of_send(row: &LogRow, user: &str, campaign: &str) -> String {
    let tries = match row.attempts {
        0 | 1 => String::new(),
        n => format!(" at attempt {n}"),
    };
    let why = if row.text.is_empty() { String::new() } else { format!(": {}", row.text) };
    match row.ended {
        Ended::Delivered => {
            format!("Sent: {user} got {campaign} at {}, answered {}{tries}.", at(row.at), row.status)
        }
        Ended::Failed(_) => {
            format!("Not sent: it was given up at {} after {}{why}.", at(row.at), attempts(row.attempts))
        }
        Ended::Skipped => format!("Not sent: this message was passed over at {}{why}.", at(row.at)),
        Ended::Missed => format!("Not sent: it waited in vain until {}{why}.", at(row.at)),
        Ended::Suppressed(reason) => format!("Not sent: {} at {}{why}.", reason.name(), at(row.at)),
        Ended::Retrying => {
            format!("Not sent yet: it is tried again after {}{why}.", attempts(row.attempts))
        }
    }
}

/// An entry whose first send is not in the log yet.
pub fn of_entry(user: &str, event: &str, due_at: Timestamp) -> String {
    format!("Not sent yet: {user} entered on {event}, and the send is due at {}.", at(due_at))
}

/// What a refusal says, with what was refused, where that is still known.
pub fn of_refusal(row: &RefusedRow, user: &str, event: Option<&Event>) -> String {
    let why = if row.text.is_empty() { row.reason.name() } else { &row.text };
    match event {
        Some(Event { name, happening: None, .. }) => {
            format!("Not sent: {user} did {name} at {}, and {why}.", at(row.at))
        }
        Some(event) => format!("Not sent: {} came for {user} at {}, and {why}.", event.name, at(row.at)),
        None => format!("Not sent: {user} was refused at {}: {why}.", at(row.at)),
    }
}

/// Nothing of the past is known.
pub fn nothing_yet(if_now: &str) -> String {
    format!("Nothing was sent yet. {if_now}")
}

fn attempts(n: u8) -> String {
    if n == 1 { "1 attempt".to_owned() } else { format!("{n} attempts") }
}

fn at(at: Timestamp) -> String {
    format!("{at:.0}")
}
