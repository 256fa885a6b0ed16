//! Entries by hand: the order of refusals, the ids, what is kept.

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::draft::{Draft, Kind};
use campanile_core::due_send::{EntryKind, SendId, Skip};
use campanile_core::event::EntryData;
use campanile_core::number::{DestinationNo, Shard};
use campanile_core::ports::StoredUser;
use campanile_core::reason::Refusal;
use campanile_core::segments::Segments;
use serde_json::{Value, json};

use crate::manual::{Asked, Entered, ManualPlan, Request, enter};
use crate::plan::Planned;
use crate::sample::{activated, at, compiled, draft, layout, triggered, user, webhook};

const NOW: &str = "2026-03-01T12:00:00Z";

fn credit() -> Draft {
    let mut draft = draft(Kind::Manual);
    draft.audience.condition = "user.plan == \"pro\"".to_owned();
    draft.requires_values = vec!["cents".to_owned(), "why".to_owned()];
    draft.webhook = Some(webhook("https://hooks.example/in", "{{ values.cents }}"));
    draft
}

fn asked(id: &str, user: Option<StoredUser>, values: Value) -> Asked {
    Asked { user_id: id.to_owned(), user, values: values.as_object().cloned().unwrap_or_default() }
}

fn entered(record: &CampaignRecord, asked: &[Asked], skip: Skip) -> ManualPlan {
    let campaign = compiled(record);
    let planned = Planned {
        no: record.no,
        revision: record.revision,
        destination: DestinationNo(2),
        campaign: &campaign,
    };
    enter(record, &planned, (&layout(), Shard(0)), asked, &request(skip))
}

fn request(skip: Skip) -> Request<'static> {
    Request { id: "r-1", skip, segments: Segments::none(), now: at(NOW) }
}

#[track_caller]
fn check(record: &CampaignRecord, asked: &Asked, skip: Skip, expected: Option<(Refusal, &str)>) {
    let plan = entered(record, std::slice::from_ref(asked), skip);
    let found = match &plan.answers[..] {
        [Entered::Accepted(ids)] => {
            assert_eq!((ids.len(), plan.entries.len(), plan.refused.len()), (1, 1, 0));
            None
        }
        [Entered::Refused(reason, text)] => {
            assert_eq!((plan.entries.len(), plan.refused.len()), (0, 1));
            assert_eq!((plan.refused[0].reason, &plan.refused[0].text), (*reason, text));
            assert_eq!((plan.refused[0].cause.as_str(), plan.refused[0].user_id.as_str()), ("r-1", "u1"));
            Some((*reason, text.as_str()))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found, expected);
}

#[test]
fn refusals_are_told_in_their_order_and_the_last_cure_lets_the_user_in() {
    let mut record = activated(credit(), at(NOW));
    let none = Skip::default();
    let mut one = asked("u1", None, json!({}));
    for (state, reason, text) in [
        (State::Draft, Refusal::BeforeStart, "the campaign is a draft: activate it"),
        (State::Scheduled, Refusal::BeforeStart, "the campaign has not started"),
        (State::Paused, Refusal::Paused, "the campaign is paused"),
        (State::Finishing, Refusal::AfterEnd, "the campaign has ended"),
        (State::Ended, Refusal::AfterEnd, "the campaign has ended"),
    ] {
        record.state = state;
        check(&record, &one, none, Some((reason, text)));
    }
    record.state = State::Active;
    check(&record, &one, none, Some((Refusal::UnknownUser, "there is no such user")));
    one.user = Some(user(1, json!({"plan": "free"})));
    check(&record, &one, none, Some((Refusal::MissingValues, "missing: cents, why")));
    one.values = json!({"cents": 5, "why": null}).as_object().cloned().unwrap_or_default();
    check(&record, &one, none, Some((Refusal::MissingValues, "missing: why")));
    one.values = json!({"cents": 5, "why": ""}).as_object().cloned().unwrap_or_default();
    let text = "user.plan == \"pro\" was false: user.plan is \"free\"";
    check(&record, &one, none, Some((Refusal::NotInAudience, text)));
    check(&record, &one, Skip { audience: true, ..none }, None);
    one.user = Some(user(1, json!({"plan": "pro"})));
    check(&record, &one, none, None);
}

#[test]
fn a_campaign_of_another_delivery_is_not_entered_by_hand() {
    let record = activated(draft(Kind::Triggered(triggered(&["seen"]))), at(NOW));
    let one = asked("u1", Some(user(1, json!({}))), json!({}));
    check(&record, &one, Skip::default(), Some((Refusal::ConditionFalse, "its delivery is not manual")));
}

#[test]
fn answers_come_in_the_order_asked_with_ids_that_the_same_request_makes_again() {
    let record = activated(credit(), at(NOW));
    let values = json!({"cents": 5, "why": "late"});
    let pro = |no: u64| asked(&format!("u{no}"), Some(user(no, json!({"plan": "pro"}))), values.clone());
    let all = [pro(3), asked("u9", None, json!({})), pro(1)];
    let plan = entered(&record, &all, Skip::default());
    assert_eq!(plan, entered(&record, &all, Skip::default()));
    let ids: Vec<&SendId> = plan
        .answers
        .iter()
        .flat_map(|answer| match answer {
            Entered::Accepted(ids) => ids.as_slice(),
            Entered::Refused(..) => &[],
        })
        .collect();
    assert!(matches!(plan.answers[1], Entered::Refused(Refusal::UnknownUser, _)));
    assert_eq!(ids.iter().map(|id| id.user.0).collect::<Vec<_>>(), [3, 1]);
    for (id, entry) in ids.iter().zip(&plan.entries) {
        assert_eq!((id.key, id.campaign), (entry.due.send.key, record.no));
        assert_eq!((entry.due.send.kind, entry.due.send.due_at), (EntryKind::Request, at(NOW)));
    }
    assert_ne!(ids[0].key, ids[1].key, "request and user make the key");
    let counts: Vec<(Counter, i64)> = plan.counts.iter().map(|count| (count.counter, count.by)).collect();
    use Counter::{Entered as In, Open, Pending, Planned, Refused, Triggered};
    let refused = Refused(Refusal::UnknownUser);
    assert_eq!(counts, [(Triggered, 3), (refused, 1), (In, 2), (Open, 2), (Planned(0), 2), (Pending(0), 2)]);
}

#[test]
fn values_are_kept_only_for_a_webhook_that_looks_at_them() {
    let values = json!({"cents": 5, "why": "late"});
    let one = asked("u1", Some(user(1, json!({"plan": "pro"}))), values.clone());
    let kept = |text: &str| {
        let mut draft = credit();
        draft.webhook = Some(webhook("https://hooks.example/in", text));
        let plan = entered(&activated(draft, at(NOW)), std::slice::from_ref(&one), Skip::default());
        assert_eq!(plan.entries[0].due.send.has_data, plan.entries[0].data.is_some());
        plan.entries[0].data.clone()
    };
    assert_eq!(kept("{{ user_id }}"), None);
    let expected = EntryData::Values(values.as_object().cloned().unwrap_or_default());
    // Values shadow attributes of the same name.
    for text in ["{{ values.cents }}", "{{ user.cents }}"] {
        assert_eq!(kept(text).map(|bytes| EntryData::unpack(&bytes)), Some(Ok(expected.clone())), "{text}");
    }
}
