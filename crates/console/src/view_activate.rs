//! Pure. The question before a campaign is activated: what a rehearsal found, and what a person must agree to.

use askama::Template;
use campanile_core::limits;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::reasons::{refusal, suppression};
use crate::view_campaign::ReasonCount;
use crate::words::counted;

#[derive(Template)]
#[template(path = "activate.html")]
pub(crate) struct ActivatePage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) revision: u32,
    /// What the rehearsal found, in a sentence.
    pub(crate) sentence: String,
    /// How many users the campaign is for now; empty where that cannot be said.
    pub(crate) audience: String,
    pub(crate) suppressed: Vec<ReasonCount>,
    pub(crate) refused: Vec<ReasonCount>,
    /// What must be agreed to; empty: nothing.
    pub(crate) wants_yes: String,
    /// What is probably not meant.
    pub(crate) warnings: Vec<String>,
    /// The number of users must be typed.
    pub(crate) wants_number: bool,
    /// Why it was not activated; empty the first time.
    pub(crate) wrong: String,
}

/// What a person agreed to.
pub(crate) struct Agreed {
    pub(crate) yes: bool,
    /// The number of users, as it was typed.
    pub(crate) audience: String,
}

/// The same rules as on the command line.
fn sends_nothing(rehearsal: &wire::Rehearsal) -> bool {
    rehearsal.sent == 0 && rehearsal.suppressed.iter().map(|row| row.count).sum::<i64>() > 0
}

/// The number of users, where it must be agreed to.
fn large_audience(rehearsal: &wire::Rehearsal) -> Option<i64> {
    rehearsal.audience.filter(|audience| *audience > limits::AUDIENCE_UNCONFIRMED_MAX)
}

/// What must be agreed to besides a number: nothing would be sent, or sends would expire. Empty: nothing.
fn agreed_to(rehearsal: &wire::Rehearsal) -> String {
    if sends_nothing(rehearsal) {
        return "None of those that were tried would be sent.".to_owned();
    }
    match rehearsal.would_expire {
        0 => String::new(),
        n => format!("{} would expire before the throttle lets them through.", counted(n, "send")),
    }
}

/// Why the campaign is not activated with this agreement.
pub(crate) fn disagreement(rehearsal: &wire::Rehearsal, agreed: &Agreed) -> Option<String> {
    if sends_nothing(rehearsal) && !agreed.yes {
        return Some(
            "It was not activated: it would send nothing. Say below that it shall start all the same."
                .to_owned(),
        );
    }
    if rehearsal.would_expire > 0 && !agreed.yes {
        return Some("It was not activated: sends would expire before the throttle lets them through. Say below that it shall start all the same.".to_owned());
    }
    let audience = large_audience(rehearsal)?;
    let typed: String = agreed.audience.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    match typed.parse::<i64>() {
        Ok(number) if number == audience => None,
        _ => Some(format!(
            "It was not activated: the audience has {audience} users now, and that number was not typed."
        )),
    }
}

/// `frame` makes the page's frame around the command that does the same.
pub(crate) fn activate_page(
    frame: impl FnOnce(String) -> Frame,
    id: &str,
    revision: u32,
    rehearsal: &wire::Rehearsal,
    warnings: &[wire::Finding],
    wrong: String,
) -> ActivatePage {
    let wants_yes = agreed_to(rehearsal);
    let large = large_audience(rehearsal);
    let yes = if wants_yes.is_empty() { "" } else { " --yes" };
    let number = large.map_or_else(String::new, |number| format!(" --audience {number}"));
    let suppressed = rehearsal.suppressed.iter();
    let refused = rehearsal.refused.iter();
    ActivatePage {
        frame: frame(format!("campaign activate {id}{yes}{number}")),
        id: id.to_owned(),
        revision,
        sentence: rehearsal.sentence.clone(),
        audience: rehearsal.audience.map_or_else(String::new, |audience| counted(audience, "user")),
        suppressed: suppressed
            .map(|row| ReasonCount { reason: suppression(row.reason()), count: row.count })
            .collect(),
        refused: refused.map(|row| ReasonCount { reason: refusal(row.reason()), count: row.count }).collect(),
        wants_yes,
        warnings: warnings.iter().map(|w| format!("{}: {}", w.field, w.description)).collect(),
        wants_number: large.is_some(),
        wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_many_or_nobody_is_agreed_to() {
        let check =
            |sent: i64, suppressed: i64, audience: Option<i64>, yes: bool, typed: &str, expected: &str| {
                let reason = wire::SuppressionReason::TemplateMissingValue as i32;
                let rows = (suppressed > 0).then_some(wire::SuppressionCount { reason, count: suppressed });
                let rehearsal = wire::Rehearsal {
                    sent,
                    suppressed: rows.into_iter().collect(),
                    audience,
                    ..Default::default()
                };
                let why = disagreement(&rehearsal, &Agreed { yes, audience: typed.to_owned() });
                let why = why.unwrap_or_default();
                assert!(why.contains(expected) && why.is_empty() == expected.is_empty(), "{why}");
            };
        check(0, 0, None, false, "", "");
        check(1, 99, Some(1_000), false, "", "");
        check(0, 5, Some(5), false, "", "would send nothing");
        check(0, 5, Some(5), true, "", "");
        check(1, 0, Some(1_001), false, "", "has 1001 users");
        check(1, 0, Some(1_001), true, "1000", "has 1001 users");
        check(1, 0, Some(1_001), false, " 1,001 ", "");
        check(0, 5, Some(1_001), false, "1001", "would send nothing");
        let slow = wire::Rehearsal { sent: 1, would_expire: 7, ..Default::default() };
        let why = |yes| disagreement(&slow, &Agreed { yes, audience: String::new() });
        assert!(why(false).is_some_and(|why| why.contains("would expire")) && why(true).is_none());
    }
}
