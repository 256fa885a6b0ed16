//! A plan is complete and free of duplicates, and counts what it planned.

use std::collections::BTreeSet;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::due_send::{Class, EntryKind};
use campanile_core::number::{CampaignNo, DestinationNo, UserNo};
use campanile_core::ports::{OccurrenceKey, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::segments::Segments;
use proptest::prelude::*;
use serde_json::json;

use crate::plan::{Chunk, Plan, Planned, plan};
use crate::sample::{activated, at, compiled, draft, layout, one_time, user};

const DUE: &str = "2026-03-02T09:00:00Z";

fn planned_for(audience: &str, users: &[StoredUser]) -> Plan {
    let mut draft = draft(one_time(DUE));
    draft.audience.condition = audience.to_owned();
    let record = activated(draft, at("2026-03-01T09:00:00Z"));
    let record = CampaignRecord { state: State::Active, ..record };
    let campaign = compiled(&record);
    let planned =
        Planned { no: CampaignNo(9), revision: 4, destination: DestinationNo(5), campaign: &campaign };
    let occurrence = OccurrenceKey { campaign: CampaignNo(9), at: at(DUE) };
    let chunk = Chunk { occurrence, users, last: 1_000 };
    plan(&record, &planned, (&layout(), Segments::none()), chunk, at("2026-03-02T09:20Z"))
}

#[track_caller]
fn check(audience: &str, users: &[StoredUser], entered: &[u64], counts: &[(Counter, i64)]) {
    let plan = planned_for(audience, users);
    let found: Vec<u64> = plan.entries.iter().map(|entry| entry.due.send.user.0).collect();
    assert_eq!(found, entered);
    let found: Vec<(Counter, i64)> = plan.counts.iter().map(|count| (count.counter, count.by)).collect();
    assert_eq!(found, counts);
}

#[test]
fn who_belongs_enters_and_everybody_is_counted() {
    use Counter::{Entered, Open, Pending, Planned, Refused, Triggered};
    let users = [user(1, json!({"plan": "pro"})), user(5, json!({})), user(6, json!({"plan": "pro"}))];
    let out = Refused(Refusal::NotInAudience);
    check(
        r#"user.plan == "pro""#,
        &users,
        &[1, 6],
        &[(Triggered, 3), (out, 1), (Entered, 2), (Open, 2), (Planned(0), 2), (Pending(0), 2)],
    );
    check("user.plan == \"no\"", &users, &[], &[(Triggered, 3), (out, 3)]);
    check(
        "everyone",
        &users[..1],
        &[1],
        &[(Triggered, 1), (Entered, 1), (Open, 1), (Planned(0), 1), (Pending(0), 1)],
    );
    check("everyone", &[], &[], &[]);
}

#[test]
fn an_entry_is_due_at_its_occurrence_and_named_by_it() {
    let plan = planned_for("everyone", &[user(7, json!({}))]);
    let [entry] = plan.entries.as_slice() else { panic!("{plan:?}") };
    let send = &entry.due.send;
    assert_eq!((entry.due.at, send.due_at, send.key), (at(DUE), at(DUE), at(DUE).as_millisecond() as u64));
    assert_eq!((send.kind, send.revision, send.user, send.action), (EntryKind::Occurrence, 4, UserNo(7), 0));
    let lane = entry.due.lane;
    assert_eq!(
        (lane.campaign, lane.destination, lane.class),
        (CampaignNo(9), DestinationNo(5), Class::First)
    );
    assert_eq!((send.has_data, entry.data.is_none()), (false, true));
}

#[test]
fn conditions_about_time_are_judged_as_of_the_occurrence() {
    let ends = |text: &str| user(1, json!({ "ends": text }));
    let in_an_hour = r#"user.ends is in_next("1h")"#;
    assert_eq!(planned_for(in_an_hour, &[ends("2026-03-02T09:10:00Z")]).entries.len(), 1);
    assert_eq!(planned_for(in_an_hour, &[ends("2026-03-02T10:10:00Z")]).entries.len(), 0);
}

proptest! {
    #[test]
    fn however_users_are_cut_into_chunks_each_who_belongs_enters_once(
        plans in prop::collection::vec(prop::bool::ANY, 0..60),
        cuts in prop::collection::vec(1usize..20, 1..60),
    ) {
        let plan = |n: usize| if plans[n] { json!({"plan": "pro"}) } else { json!({}) };
        let users: Vec<StoredUser> = (0..plans.len()).map(|n| user(n as u64 + 1, plan(n))).collect();
        let (mut rest, mut entered) = (users.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            entered.extend(planned_for("user.plan == \"pro\"", chunk).entries.into_iter().map(|e| e.due.send.user.0));
            rest = after;
        }
        let expected: Vec<u64> = (0..plans.len()).filter(|n| plans[*n]).map(|n| n as u64 + 1).collect();
        prop_assert_eq!(&entered, &expected);
        prop_assert_eq!(entered.iter().collect::<BTreeSet<_>>().len(), expected.len());
    }
}
