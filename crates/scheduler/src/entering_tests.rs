//! The gates of entering: told in the order of the contract, with what each saw, and never otherwise than decided.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::Kind;
use campanile_core::due_send::Skip;
use campanile_core::reason::Refusal;
use campanile_core::segments::Segments;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::entering::{Entering, Step, refused, steps};
use crate::sample::{activated, at, compiled, draft, event, triggered, user};

const BEGAN: &str = "2026-03-01T12:00:00Z";
const NOW: &str = "2026-03-01T18:00:00Z";

fn purchases() -> (CampaignRecord, Campaign) {
    let mut draft = draft(Kind::Triggered(triggered(&["purchase where properties.total >= 500"])));
    draft.audience.condition = "user.email is set".to_owned();
    let record = activated(draft, at(BEGAN));
    let campaign = compiled(&record);
    (record, campaign)
}

fn told(steps: &[Step]) -> Vec<String> {
    let line = |step: &Step| {
        let end = step.refused.map_or("passed", Refusal::name);
        format!("{}: {end}: {}", step.gate, step.saw)
    };
    steps.iter().map(line).collect()
}

#[track_caller]
fn check_event(total: u32, occurred_at: &str, attributes: Value, expected: &[&str]) {
    let (record, campaign) = purchases();
    let event = event("e", "purchase", at(occurred_at), json!({"total": total}));
    let user = user(1, attributes);
    let of = (&record, Some(&campaign), Some(at(BEGAN)));
    let entering = Entering::by_event(of, Segments::none(), &event, at(NOW), Some(&user.profile), at(NOW));
    assert_eq!(told(&steps(&entering)), expected);
}

#[test]
fn each_step_says_what_it_saw_up_to_the_one_that_stopped() {
    let active = "campaign: passed: the campaign is active";
    let began =
        "start: passed: it happened at 2026-03-01T18:00:00Z, the campaign began at 2026-03-01T12:00:00Z";
    let fresh = "event age: passed: it happened at 2026-03-01T18:00:00Z and arrived at 2026-03-01T18:00:00Z";
    let bought = "trigger: passed: properties.total >= 500 was true: properties.total is 600";
    let known = "user: passed: the user is known since 2026-01-01T00:00:00Z";
    check_event(
        12,
        NOW,
        json!({"email": "m@example.com"}),
        &[
            active,
            began,
            fresh,
            "trigger: condition_false: properties.total >= 500 was false: properties.total is 12",
        ],
    );
    check_event(
        600,
        NOW,
        json!({}),
        &[
            active,
            began,
            fresh,
            bought,
            known,
            "audience: not_in_audience: user.email is set was false: user.email is missing",
        ],
    );
    check_event(
        600,
        NOW,
        json!({"email": "m@example.com"}),
        &[
            active,
            began,
            fresh,
            bought,
            known,
            "audience: passed: user.email is set was true: user.email is \"m@example.com\"",
        ],
    );
    check_event(
        600,
        "2026-03-01T16:00:00Z",
        json!({}),
        &[
            active,
            "start: passed: it happened at 2026-03-01T16:00:00Z, the campaign began at 2026-03-01T12:00:00Z",
            "event age: event_too_old: it happened at 2026-03-01T16:00:00Z and arrived at 2026-03-01T18:00:00Z",
        ],
    );
}

#[test]
fn an_entry_by_hand_is_told_its_own_gates() {
    let mut draft = draft(Kind::Manual);
    draft.requires_values = vec!["cents".to_owned()];
    draft.audience.condition = "user.vip".to_owned();
    let record = activated(draft, at(BEGAN));
    let campaign = compiled(&record);
    let user = user(1, json!({}));
    let check = |values: Value, audience: bool, expected: &[&str]| {
        let values: Map<String, Value> = values.as_object().cloned().unwrap();
        let skip = Skip { audience, ..Skip::default() };
        let profile = Some(&user.profile);
        let entering =
            Entering::by_request((&record, &campaign, Segments::none()), (&values, skip), profile, at(NOW));
        let told = told(&steps(&entering));
        assert_eq!(told[2..], *expected, "{told:?}");
    };
    check(json!({"cents": null}), false, &["values: missing_values: missing: cents"]);
    let given = "values: passed: given: cents";
    let left = "audience: not_in_audience: user.vip was false: user.vip is missing";
    check(json!({"cents": 5}), false, &[given, left]);
    check(json!({"cents": 5}), true, &[given, "audience: passed: skipped, as asked"]);
}

fn states() -> impl Strategy<Value = State> {
    use State::{Active, Draft, Ended, Finishing, Paused, Scheduled};
    prop::sample::select(vec![Active, Active, Active, Draft, Ended, Finishing, Paused, Scheduled])
}

proptest! {
    /// What is explained is what is decided: the last step stops where the decision does, and nowhere before.
    #[test]
    fn the_steps_end_as_the_decision_does(
        state in states(),
        total in 400_u32..700,
        happened_secs in 0_i64..10 * 3_600,
        has_email in any::<bool>(),
        is_known in any::<bool>(),
        kind in 0_u8..3,
    ) {
        let (mut record, campaign) = purchases();
        record.state = state;
        let occurred_at = Timestamp::from_second(at(BEGAN).as_second() - 3_600 + happened_secs).unwrap();
        let event = event("e", "purchase", occurred_at, json!({"total": total}));
        let user = user(1, if has_email { json!({"email": "m"}) } else { json!({}) });
        let profile = is_known.then_some(&user.profile);
        let values = Map::new();
        let entering = match kind {
            0 => Entering::by_occurrence((&record, &campaign, Segments::none()), at(NOW), profile, at(NOW)),
            1 => Entering::by_request((&record, &campaign, Segments::none()), (&values, Skip::default()), profile, at(NOW)),
            _ => {
                let of = (&record, Some(&campaign), Some(at(BEGAN)));
                Entering::by_event(of, Segments::none(), &event, at(NOW), profile, at(NOW))
            }
        };
        let steps = steps(&entering);
        let decided = refused(&entering).map(|(gate, reason)| (gate.name, reason));
        let told = steps.last().and_then(|step| step.refused.map(|reason| (step.gate, reason)));
        prop_assert_eq!(told, decided);
        prop_assert!(steps.iter().rev().skip(1).all(|step| step.refused.is_none()));
        prop_assert!(steps.iter().all(|step| !step.saw.is_empty()));
    }
}
