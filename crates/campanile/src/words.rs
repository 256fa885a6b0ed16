//! Pure. The words of the wire for people: states, reasons, outcomes and instants as tables and sentences show them.

use campanile_proto::v1 as wire;

pub fn campaign_state(state: wire::CampaignState) -> &'static str {
    match state {
        wire::CampaignState::Unspecified => "unknown",
        wire::CampaignState::Draft => "draft",
        wire::CampaignState::Scheduled => "scheduled",
        wire::CampaignState::Active => "active",
        wire::CampaignState::Paused => "paused",
        wire::CampaignState::Ended => "ended",
    }
}

/// Whether users may enter it or sends of it wait: a change of it concerns people.
pub fn is_live(state: wire::CampaignState) -> bool {
    matches!(
        state,
        wire::CampaignState::Scheduled | wire::CampaignState::Active | wire::CampaignState::Paused
    )
}

pub fn delivery(campaign: &wire::Campaign) -> &'static str {
    use wire::delivery::Kind;
    match campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref()) {
        Some(Kind::OneTime(_)) => "one time",
        Some(Kind::Recurring(_)) => "recurring",
        Some(Kind::Triggered(_)) => "triggered",
        Some(Kind::Manual(_)) => "manual",
        None => "",
    }
}

pub fn refusal(reason: wire::RefusalReason) -> String {
    word(reason.as_str_name(), "REFUSAL_REASON_")
}

pub fn suppression(reason: wire::SuppressionReason) -> String {
    word(reason.as_str_name(), "SUPPRESSION_REASON_")
}

/// A send that is told of and pending waits for a retry.
pub fn send_state(state: wire::SendState) -> String {
    match state {
        wire::SendState::Pending => "retrying".to_owned(),
        state => word(state.as_str_name(), "SEND_STATE_"),
    }
}

pub fn entry_end(end: wire::EntryEnd) -> String {
    word(end.as_str_name(), "ENTRY_END_")
}

pub fn outcome(outcome: wire::AttemptOutcome) -> String {
    match outcome {
        wire::AttemptOutcome::Unspecified => String::new(),
        outcome => word(outcome.as_str_name(), "ATTEMPT_OUTCOME_").replace('_', " "),
    }
}

/// How a destination stands, with the instant that matters.
pub fn standing(destination: &wire::Destination) -> String {
    let breaker = destination.breaker.unwrap_or_default();
    let until = breaker.until.map_or_else(String::new, |until| instant(Some(&until)));
    match (breaker.state(), destination.gone_at) {
        (wire::BreakerState::Open, _) => format!("is left alone until {until}"),
        (wire::BreakerState::Probing, _) => "is being tried by one send".to_owned(),
        (_, Some(gone)) => format!("takes sends, and answered 410 (gone) at {}", instant(Some(&gone))),
        _ => "takes sends".to_owned(),
    }
}

pub fn verdict(verdict: wire::Verdict) -> String {
    match verdict {
        wire::Verdict::Unspecified => String::new(),
        verdict => word(verdict.as_str_name(), "VERDICT_").replace('_', " "),
    }
}

fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// An instant to the millisecond, `2026-11-24T08:00:00.250Z`; empty where there is none.
pub fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// `1 send`, `2 sends`.
pub fn counted(n: i64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Findings of one item on a line, each with its field.
pub fn findings(faults: &[wire::Finding]) -> String {
    let lines = faults.iter().map(finding);
    lines.collect::<Vec<_>>().join("; ")
}

pub fn finding(fault: &wire::Finding) -> String {
    if fault.field.is_empty() {
        fault.description.clone()
    } else {
        format!("{}: {}", fault.field, fault.description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_words_of_the_closed_lists() {
        assert_eq!(refusal(wire::RefusalReason::NotInAudience), "not_in_audience");
        assert_eq!(suppression(wire::SuppressionReason::TemplateMissingValue), "template_missing_value");
        assert_eq!(send_state(wire::SendState::Delivered), "delivered");
        assert_eq!(send_state(wire::SendState::Pending), "retrying");
        assert_eq!(outcome(wire::AttemptOutcome::NotConnected), "not connected");
        assert_eq!(verdict(wire::Verdict::GiveUp), "give up");
    }

    #[test]
    fn an_instant_is_told_to_the_millisecond() {
        let at = prost_types::Timestamp { seconds: 1_764_576_000, nanos: 250_999_999 };
        assert_eq!(instant(Some(&at)), "2025-12-01T08:00:00.250Z");
        assert_eq!(instant(None), "");
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!((counted(1, "send").as_str(), counted(0, "send").as_str()), ("1 send", "0 sends"));
    }
}
