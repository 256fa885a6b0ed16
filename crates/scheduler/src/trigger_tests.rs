//! What events lead to: the order of refusals, behaviour first, stable keys, bounded commits.

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::draft::{Delay, Draft, Kind};
use campanile_core::due_send::EntryKind;
use campanile_core::event::{EntryData, Event, LogItem};
use campanile_core::limits;
use campanile_core::number::{CampaignNo, DestinationNo, UserNo};
use campanile_core::ports::{EventCommit, EventPage, LoggedEvent, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::recent_event::{Decided, RecentEvent};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::campaigns::Campaigns;
use crate::sample::{activated, at, draft, event, layout, triggered, user, webhook};
use crate::trigger::{Records, decide};

/// When campaigns begin here.
const BEGAN: &str = "2026-03-01T12:00:00Z";
/// When events arrive here.
const NOW: &str = "2026-03-01T18:00:00Z";

fn campaign(triggers: &[&str], audience: &str) -> Draft {
    let mut draft = draft(Kind::Triggered(triggered(triggers)));
    draft.audience.condition = audience.to_owned();
    draft
}

fn begun(draft: Draft) -> CampaignRecord {
    activated(draft, at(BEGAN))
}

fn delayed(mut draft: Draft, after: SignedDuration) -> Draft {
    if let Some(Kind::Triggered(triggered)) = &mut draft.delivery.kind {
        let after = Some(after.unsigned_abs());
        triggered.delay = Some(Delay { after, ..Delay::default() });
    }
    draft
}

fn logged(user: u64, event: &Event) -> LoggedEvent {
    LoggedEvent { accepted_at: at(NOW), user: UserNo(user), bytes: LogItem::Event(event.clone()).pack() }
}

fn page(events: Vec<LoggedEvent>, users: Vec<StoredUser>) -> EventPage {
    EventPage { head: 40, control: 6, events, users }
}

fn decided(records: Vec<CampaignRecord>, page: EventPage) -> EventCommit {
    decide(page, Records::new(), &Campaigns::of(records), &layout(), at(NOW))
}

/// One event of one user.
fn met(record: &CampaignRecord, event: &Event, attributes: Value) -> EventCommit {
    decided(vec![record.clone()], page(vec![logged(1, event)], vec![user(1, attributes)]))
}

#[track_caller]
fn check(record: &CampaignRecord, event: &Event, attributes: Value, expected: Option<(Refusal, &str)>) {
    let commit = met(record, event, attributes);
    let found = match (&commit.entries[..], &commit.refused[..]) {
        ([_], []) => None,
        ([], [row]) => {
            assert_eq!(
                (row.campaign, row.user_id.as_str(), row.cause.as_str()),
                (record.no, "u1", event.id.as_str())
            );
            Some((row.reason, row.text.as_str()))
        }
        _ => panic!("{commit:?}"),
    };
    assert_eq!(found, expected);
    use Counter::{Entered, Open, Pending, Planned, Refused, Triggered};
    let counters: Vec<Counter> = commit.counts.iter().map(|count| count.counter).collect();
    match expected {
        Some((reason, _)) => assert_eq!(counters, [Triggered, Refused(reason)]),
        None => assert_eq!(counters, [Triggered, Entered, Open, Planned(0), Pending(0)]),
    }
    assert_eq!(commit.users[0].profile.behaviour[&event.name].count, 1, "it counts, whatever comes of it");
}

#[test]
fn refusals_are_told_in_their_order_and_the_last_cure_lets_the_user_in() {
    let mut record = begun(campaign(&["buy where properties.total >= 500"], "user.plan == \"pro\""));
    let early = event("e", "buy", at("2026-03-01T11:00Z"), json!({"total": 12}));
    for (state, reason, text) in [
        (State::Paused, Refusal::Paused, "the campaign is paused"),
        (State::Scheduled, Refusal::BeforeStart, "the campaign has not started"),
        (State::Finishing, Refusal::AfterEnd, "the campaign has ended"),
        (State::Ended, Refusal::AfterEnd, "the campaign has ended"),
    ] {
        record.state = state;
        record.updated_at = at(NOW);
        check(&record, &early, json!({}), Some((reason, text)));
    }
    record.state = State::Active;
    let text = "it happened at 2026-03-01T11:00:00Z, the campaign began at 2026-03-01T12:00:00Z";
    check(&record, &early, json!({}), Some((Refusal::BeforeStart, text)));
    let old = Event { occurred_at: at("2026-03-01T16:59:59.999Z"), ..early };
    let text = "it happened at 2026-03-01T16:59:59.999Z and arrived at 2026-03-01T18:00:00Z";
    check(&record, &old, json!({}), Some((Refusal::EventTooOld, text)));
    let fresh = Event { occurred_at: at("2026-03-01T17:00Z"), ..old };
    let text = "properties.total >= 500 was false: properties.total is 12";
    check(&record, &fresh, json!({}), Some((Refusal::ConditionFalse, text)));
    let fitting = event("e", "buy", at(NOW), json!({"total": 500}));
    let text = "user.plan == \"pro\" was false: user.plan is missing";
    check(&record, &fitting, json!({}), Some((Refusal::NotInAudience, text)));
    check(&record, &fitting, json!({"plan": "pro"}), None);
}

#[test]
fn an_event_from_before_the_activation_fires_nothing() {
    let record = activated(campaign(&["buy"], "everyone"), at("2026-03-01T17:59:58Z"));
    let reported = |occurred_at: &str, accepted_at: &str| {
        let event = event("e", "buy", at(occurred_at), json!({}));
        let arrived = LoggedEvent { accepted_at: at(accepted_at), ..logged(1, &event) };
        let commit = decided(vec![record.clone()], page(vec![arrived], vec![user(1, json!({}))]));
        commit.refused.first().map(|row| row.reason)
    };
    assert_eq!(reported("2026-03-01T17:59:58Z", "2026-03-01T17:59:58Z"), None);
    assert_eq!(reported("2026-03-01T17:59:57Z", "2026-03-01T17:59:57.999Z"), Some(Refusal::BeforeStart));
    // The clock of who reports it may be a little behind.
    assert_eq!(reported("2026-03-01T17:59:53Z", "2026-03-01T17:59:58Z"), None);
    assert_eq!(reported("2026-03-01T17:59:52Z", "2026-03-01T17:59:58Z"), Some(Refusal::BeforeStart));
}

#[test]
fn an_event_counts_before_triggers_look_at_it_and_events_of_a_user_apply_in_order() {
    let record = begun(campaign(&["buy"], "count(\"buy\") == 2"));
    let events: Vec<LoggedEvent> = ["a", "b", "c"]
        .iter()
        .flat_map(|id| {
            let event = event(id, "buy", at(NOW), json!({}));
            [logged(1, &event), logged(2, &event)]
        })
        .take(5)
        .collect();
    let users = vec![user(1, json!({})), user(2, json!({}))];
    let commit = decided(vec![record], page(events, users));
    let entered: Vec<(u64, u64)> =
        commit.entries.iter().map(|e| (e.due.send.user.0, e.due.send.key)).collect();
    let second = layout().hash64("event", &[b"b"]);
    assert_eq!(entered, [(1, second), (2, second)]);
    let refused: Vec<(&str, &str)> =
        commit.refused.iter().map(|row| (row.user_id.as_str(), row.cause.as_str())).collect();
    assert_eq!(refused, [("u1", "a"), ("u2", "a"), ("u1", "c")]);
    let counts: Vec<u64> = commit.users.iter().map(|user| user.profile.behaviour["buy"].count).collect();
    assert_eq!((counts, commit.users[0].version, commit.read), (vec![3, 2], 3, 5));
}

#[test]
fn an_imported_event_counts_and_fires_nothing() {
    let bought = event("e", "buy", at(NOW), json!({}));
    let imported = LoggedEvent { bytes: LogItem::Imported(bought.clone()).pack(), ..logged(1, &bought) };
    let record = begun(campaign(&["buy"], "count(\"buy\") == 2"));
    let events = vec![imported, logged(1, &bought)];
    let commit = decided(vec![record], page(events, vec![user(1, json!({}))]));
    assert_eq!((commit.read, commit.entries.len(), commit.refused.len()), (2, 1, 0));
    assert_eq!(commit.users[0].profile.behaviour["buy"].count, 2);
}

#[test]
fn one_trigger_of_several_suffices_and_the_first_false_one_is_told() {
    let triggers = ["buy where properties.total > 9", "buy where properties.gift == true", "other"];
    let record = begun(campaign(&triggers, "everyone"));
    let bought = |properties: Value| event("e", "buy", at(NOW), properties);
    check(&record, &bought(json!({"gift": true})), json!({}), None);
    check(&record, &bought(json!({"total": 10})), json!({}), None);
    let text = "properties.total > 9 was false: properties.total is 1";
    check(&record, &bought(json!({"total": 1})), json!({}), Some((Refusal::ConditionFalse, text)));
}

#[test]
fn only_campaigns_that_name_the_event_are_met() {
    let mut records = Vec::new();
    for (no, name) in [(1, "buy"), (2, "sell"), (3, "buy"), (4, "buy"), (5, "buy"), (6, "buy")] {
        records.push(CampaignRecord { no: CampaignNo(no), ..begun(campaign(&[name], "everyone")) });
    }
    records[2].state = State::Draft;
    // Over for longer than a day, over since just now, and one that this version cannot read.
    let over = |record: &mut CampaignRecord, at: Timestamp| {
        record.state = State::Ended;
        record.updated_at = at;
    };
    over(&mut records[3], at("2026-02-28T17:59Z"));
    over(&mut records[4], at("2026-03-01T17:59Z"));
    records[5].draft.audience.condition = "user.plan ==".to_owned();
    let bought = event("e", "buy", at(NOW), json!({}));
    let commit = decided(records, page(vec![logged(1, &bought)], vec![user(1, json!({}))]));
    let [entry] = commit.entries.as_slice() else { panic!("{commit:?}") };
    assert_eq!(entry.due.lane.campaign, CampaignNo(1));
    assert_eq!(entry.due.lane.destination, DestinationNo(101));
    assert_eq!((entry.due.send.kind, entry.due.send.revision), (EntryKind::Event, 1));
    let refused: Vec<_> = commit.refused.iter().map(|row| (row.campaign.0, row.reason)).collect();
    assert_eq!(refused, [(5, Refusal::AfterEnd)]);
}

#[test]
fn a_delay_counts_from_when_it_happened_and_the_audience_is_judged_as_of_then() {
    let draft = campaign(&["buy where user.ends is in_next(\"1h\")"], "user.ends is in_last(\"1h\")");
    let record = begun(delayed(draft, SignedDuration::from_mins(90)));
    let bought = event("e", "buy", at("2026-03-01T17:45Z"), json!({}));
    let commit = met(&record, &bought, json!({"ends": "2026-03-01T18:30:00Z"}));
    let due_at = at("2026-03-01T19:15Z");
    assert_eq!((commit.entries[0].due.at, commit.entries[0].due.send.due_at), (due_at, due_at));
    let future = event("e", "buy", at("2030-01-01T00:00Z"), json!({}));
    let commit = met(&begun(campaign(&["buy"], "everyone")), &future, json!({}));
    assert_eq!(commit.entries[0].due.at, at(NOW), "a clock that runs ahead says nothing about the future");
}

#[test]
fn the_event_is_kept_only_for_a_webhook_that_looks_at_it() {
    let bought = event("e", "buy", at(NOW), json!({"total": 7}));
    let kept = |text: &str| {
        let mut draft = campaign(&["buy"], "everyone");
        draft.webhook = Some(webhook("https://hooks.example/in", text));
        let commit = met(&begun(draft), &bought, json!({}));
        assert_eq!(commit.entries[0].due.send.has_data, commit.entries[0].data.is_some());
        commit.entries[0].data.clone()
    };
    assert_eq!(kept("{{ user_id }}"), None);
    for text in ["{{ properties.total }}", "{{ event.name }}"] {
        let data = kept(text).map(|bytes| EntryData::unpack(&bytes));
        assert_eq!(data, Some(Ok(EntryData::Event(bought.clone()))), "{text}");
    }
}

#[test]
fn the_same_event_makes_the_same_entry_whenever_it_comes() {
    let record = begun(campaign(&["buy"], "everyone"));
    let key = |id: &str, total: u64| {
        met(&record, &event(id, "buy", at(NOW), json!({"total": total})), json!({})).entries[0].due.send.key
    };
    assert_eq!(key("e-1", 1), key("e-1", 2));
    assert_ne!(key("e-1", 1), key("e-2", 1));
}

#[test]
fn foreign_bytes_are_put_aside_and_events_of_people_who_are_gone_are_passed_over() {
    let record = begun(campaign(&["buy"], "everyone"));
    let bought = event("e", "buy", at(NOW), json!({}));
    let foreign = |bytes: &[u8]| LoggedEvent { bytes: bytes.to_vec(), ..logged(1, &bought) };
    let events = vec![foreign(b""), logged(9, &bought), foreign(&[77, 1, 2]), logged(1, &bought)];
    let commit = decided(vec![record], page(events, vec![user(1, json!({})), user(2, json!({}))]));
    assert_eq!((commit.read, commit.foreign), (4, vec![0, 2]));
    assert_eq!((commit.head, commit.control, commit.entries.len()), (40, 6, 1));
    assert_eq!(commit.users.iter().map(|user| user.no.0).collect::<Vec<_>>(), [1], "only who did something");
}

#[test]
fn a_commit_is_bounded_by_sends_refusals_and_bytes_and_takes_at_least_one_event() {
    let records = |n: u32, text: &str| -> Vec<CampaignRecord> {
        let mut draft = campaign(&["buy"], "everyone");
        draft.webhook = Some(webhook("https://hooks.example/in", text));
        (1..=n).map(|no| CampaignRecord { no: CampaignNo(no), ..begun(draft.clone()) }).collect()
    };
    let read = |records: Vec<CampaignRecord>, properties: Value| {
        let bought = event("e", "buy", at(NOW), properties);
        let events = vec![logged(1, &bought); limits::EVENTS_READ_MAX];
        let commit = decided(records, page(events, vec![user(1, json!({}))]));
        assert_eq!(commit.users[0].profile.behaviour["buy"].count as usize, commit.read);
        commit.read
    };
    assert_eq!(read(records(1, "{{ user_id }}"), json!({})), limits::EVENTS_READ_MAX);
    assert_eq!(read(records(100, "{{ user_id }}"), json!({})), limits::MOVE_MAX.div_ceil(100));
    assert_eq!(read(records(600, "{{ user_id }}"), json!({})), 1);
    let large = json!({"text": "x".repeat(60_000)});
    let found = read(records(10, "{{ properties.text }}"), large);
    assert!((6..8).contains(&found), "{found}");
    let paused = records(300, "{{ user_id }}").into_iter();
    let paused = paused.map(|record| CampaignRecord { state: State::Paused, ..record }).collect();
    assert_eq!(read(paused, json!({})), 2);
}

#[test]
fn what_each_campaign_decided_is_kept_for_those_who_watch() {
    let first = begun(campaign(&["buy where properties.n > 1"], "everyone"));
    let mut second = begun(campaign(&["buy"], "everyone"));
    (second.no, second.id) = (CampaignNo(2), "second".to_owned());
    let imported = LogItem::Imported(event("e-2", "buy", at(NOW), json!({})));
    let events = vec![
        logged(1, &event("e-1", "buy", at(NOW), json!({"n": 1}))),
        LoggedEvent { accepted_at: at(NOW), user: UserNo(1), bytes: imported.pack() },
    ];
    let commit = decided(vec![first, second], page(events, vec![user(1, json!({}))]));
    let recent: Vec<RecentEvent> =
        commit.recent.iter().map(|row| RecentEvent::decode(&row.bytes).unwrap()).collect();
    assert_eq!(recent.iter().map(|event| event.number).collect::<Vec<_>>(), [40, 41], "by place in the log");
    assert_eq!(commit.recent.iter().map(|row| row.number).collect::<Vec<_>>(), [40, 41]);
    let [refused, entered] = recent[0].met.as_slice() else { panic!("{recent:?}") };
    assert!(
        matches!(&refused.decided, Decided::Refused(Refusal::ConditionFalse, text) if text.contains("is 1"))
    );
    let send = &commit.entries[0].due.send;
    assert_eq!(entered.decided, Decided::Entered { key: send.key, due_at: send.due_at });
    assert!(recent[1].is_imported && recent[1].met.is_empty());
}
