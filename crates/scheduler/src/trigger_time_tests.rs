//! When a triggered send is due: windows, delays, zones, and what is late.

use campanile_core::campaign_record::State;
use campanile_core::counter::Counter;
use campanile_core::draft::{Delay, Draft, Kind, OnWindowEnd, Triggered};
use campanile_core::event::{Event, LogItem};
use campanile_core::log_row::Ended;
use campanile_core::number::UserNo;
use campanile_core::ports::{EventCommit, EventPage, LoggedEvent};
use campanile_core::reason::{Refusal, Suppression};
use jiff::Timestamp;
use serde_json::json;

use crate::campaigns::Campaigns;
use crate::occurrence::{Step, first_due};
use crate::sample::{activated, at, compiled, draft, event, layout, record, triggered, user};
use crate::trigger::{Records, decide};

/// When events happen and arrive here.
const NOW: &str = "2026-03-02T18:00:00Z";

fn campaign(change: impl FnOnce(&mut Triggered)) -> Draft {
    let mut triggered = triggered(&["buy"]);
    change(&mut triggered);
    let mut draft = draft(Kind::Triggered(triggered));
    draft.delivery.zone = "Europe/Berlin".to_owned();
    draft
}

fn buy(occurred_at: &str) -> Event {
    event("e", "buy", at(occurred_at), json!({"departs_at": "2026-03-05T10:00:00Z"}))
}

fn met(draft: Draft, event: &Event, zone: Option<&str>) -> EventCommit {
    let record = activated(draft, at("2026-03-01T00:00:00Z"));
    let mut user = user(1, json!({}));
    user.profile.time_zone = zone.map(str::to_owned);
    let logged =
        LoggedEvent { accepted_at: at(NOW), user: UserNo(1), bytes: LogItem::Event(event.clone()).pack() };
    let page = EventPage { head: 0, control: 0, events: vec![logged], users: vec![user] };
    let mut campaigns = Campaigns::of(vec![record.clone()]);
    let active = campanile_core::campaign_record::CampaignRecord { state: State::Active, ..record };
    campaigns.replace_record(active);
    decide(page, Records::new(), &campaigns, &layout(), at(NOW))
}

#[track_caller]
fn check_due(draft: Draft, zone: Option<&str>, expected: &str) {
    let commit = met(draft, &buy(NOW), zone);
    let due: Vec<Timestamp> = commit.entries.iter().map(|entry| entry.due.send.due_at).collect();
    assert_eq!(due, [at(expected)]);
    assert_eq!(commit.entries[0].due.at, at(expected));
}

#[track_caller]
fn check_ends(draft: Draft, event: &Event, zone: Option<&str>, reason: Suppression) {
    let commit = met(draft, event, zone);
    assert!(commit.entries.is_empty());
    let rows: Vec<Ended> = commit.ended.iter().map(|row| row.ended).collect();
    assert_eq!(rows, [Ended::Suppressed(reason)]);
    use Counter::{Entered, Finished, Planned, Suppressed, Triggered};
    let counters: Vec<Counter> = commit.counts.iter().map(|count| count.counter).collect();
    assert_eq!(counters, [Triggered, Entered, Finished, Planned(0), Suppressed(0, reason)]);
}

#[track_caller]
fn check_refused(draft: Draft, event: &Event, reason: Refusal) {
    let commit = met(draft, event, None);
    let reasons: Vec<Refusal> = commit.refused.iter().map(|row| row.reason).collect();
    assert_eq!((commit.entries.len(), reasons), (0, vec![reason]));
}

fn delay(delay: Delay) -> Draft {
    campaign(|triggered| triggered.delay = Some(delay))
}

#[test]
fn delays_follow_the_deliverys_clock_or_the_users_own() {
    let three_days = || Delay { days: 3, at: "10:00".to_owned(), ..Delay::default() };
    check_due(delay(three_days()), Some("America/New_York"), "2026-03-05T09:00:00Z");
    let own = |mut draft: Draft| {
        draft.delivery.zone = "user".to_owned();
        draft.delivery.fallback_zone = "Asia/Tokyo".to_owned();
        draft
    };
    check_due(own(delay(three_days())), Some("America/New_York"), "2026-03-05T15:00:00Z");
    // In Tokyo it is the third of March already.
    check_due(own(delay(three_days())), None, "2026-03-06T01:00:00Z");
    let hour = Some(std::time::Duration::from_secs(3600));
    let before = Delay { before: hour, anchor: "properties.departs_at".to_owned(), ..Delay::default() };
    check_due(delay(before), None, "2026-03-05T09:00:00Z");
}

#[test]
fn a_due_instant_long_past_is_late_and_one_within_the_hour_is_not() {
    let before = |hours: u64| {
        let before = Some(std::time::Duration::from_secs(hours * 3600));
        delay(Delay { before, anchor: "properties.departs_at".to_owned(), ..Delay::default() })
    };
    // Departure is in 64 hours.
    check_due(before(64), None, NOW);
    check_due(before(65), None, "2026-03-02T17:00:00Z");
    check_ends(before(66), &buy(NOW), None, Suppression::Late);
}

#[test]
fn an_anchor_that_is_no_time_lets_nobody_in() {
    let before = Some(std::time::Duration::from_secs(3600));
    let draft = delay(Delay { before, anchor: "user.trial_ends_at".to_owned(), ..Delay::default() });
    check_refused(draft, &buy(NOW), Refusal::ConditionFalse);
}

#[test]
fn a_user_without_a_zone_is_told_where_one_is_required() {
    let mut draft = delay(Delay { days: 1, ..Delay::default() });
    draft.delivery.zone = "user".to_owned();
    draft.delivery.fallback_zone = "none".to_owned();
    check_ends(draft.clone(), &buy(NOW), None, Suppression::NoTimeZone);
    check_due(draft, Some("UTC"), "2026-03-03T18:00:00Z");
}

#[test]
fn nobody_enters_outside_of_the_window_and_its_end_cuts_delays() {
    let window = |start: &str, end: &str| {
        let (start, end) = (start.to_owned(), end.to_owned());
        move |triggered: &mut Triggered| (triggered.start, triggered.end) = (start, end)
    };
    let open = || campaign(window("2026-03-02T19:00", "2026-03-02T19:00"));
    check_due(open(), None, NOW);
    check_refused(open(), &buy("2026-03-02T17:59:59Z"), Refusal::BeforeStart);
    check_refused(campaign(window("", "2026-03-02T18:59")), &buy(NOW), Refusal::AfterEnd);
    let late = |finish: OnWindowEnd| {
        campaign(|triggered| {
            window("", "2026-03-02")(triggered);
            triggered.delay = Some(Delay { days: 1, ..Delay::default() });
            triggered.on_window_end = finish;
        })
    };
    check_ends(late(OnWindowEnd::Stop), &buy(NOW), None, Suppression::CampaignEnded);
    check_ends(late(OnWindowEnd::Unspecified), &buy(NOW), None, Suppression::CampaignEnded);
    check_due(late(OnWindowEnd::Finish), None, "2026-03-03T18:00:00Z");
}

#[test]
fn a_windowed_campaign_begins_and_ends_by_itself() {
    let draft = campaign(|t| (t.start, t.end) = ("2026-03-03".to_owned(), "2026-03-04".to_owned()));
    let campaign = compiled(&record(draft.clone()));
    assert_eq!(first_due(&campaign, at(NOW)).unwrap().state, State::Scheduled);
    let fault = first_due(&campaign, at("2026-03-05T00:00Z")).unwrap_err();
    assert_eq!(fault.field, "delivery.triggered.end");
    let mut record = activated(draft, at(NOW));
    let look = |record: &_, now: &str| match crate::occurrence::decide(record, &campaign, at(now)) {
        Step::Save(stepped) => Ok(stepped.record),
        Step::Wait(until) => Err(until),
    };
    assert_eq!(look(&record, NOW), Err(Some(at("2026-03-02T23:00:00Z"))));
    record = look(&record, "2026-03-02T23:00:00Z").unwrap();
    assert_eq!(record.state, State::Active);
    assert_eq!(look(&record, "2026-03-03T00:00Z"), Err(Some(at("2026-03-04T23:00:00Z"))));
    record = look(&record, "2026-03-04T23:00:00Z").unwrap();
    assert_eq!(record.state, State::Finishing);
    assert_eq!(look(&record, "2026-03-05T00:00Z"), Err(None));
}

#[test]
fn a_first_event_sets_off_once_and_behaviour_decides_whether_it_is_the_first() {
    let first =
        || campaign(|t| t.when[0].on = campanile_core::draft::TriggerOn::FirstEvent("buy".to_owned()));
    check_due(first(), None, NOW);
    let record = activated(first(), at("2026-03-01T00:00:00Z"));
    let mut user = user(1, json!({}));
    user.profile.count(&buy("2026-02-01T00:00:00Z"), at(NOW));
    let bytes = LogItem::Event(buy(NOW)).pack();
    let events = vec![LoggedEvent { accepted_at: at(NOW), user: UserNo(1), bytes }];
    let page = EventPage { head: 0, control: 0, events, users: vec![user] };
    let commit = decide(page, Records::new(), &Campaigns::of(vec![record]), &layout(), at(NOW));
    assert_eq!(commit.entries.len(), 0);
    let refused: Vec<_> = commit.refused.iter().map(|row| (row.reason, row.text.as_str())).collect();
    assert_eq!(refused, [(Refusal::ConditionFalse, "it is not the user's first buy")]);
}
