//! When campaigns fire: at activation, on time, after downtime, while paused, and through a year.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::draft::{Kind, Recurring};
use campanile_core::limits;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::occurrence::{Step, Stepped, decide, first_due};
use crate::sample::{activated, at, compiled, draft, one_time, record, recurring, triggered};

const NOW: &str = "2026-03-01T12:00:00Z";

#[track_caller]
fn check_first(kind: Kind, expected: Result<(Option<&str>, State), &str>) {
    let found = first_due(&compiled(&record(draft(kind))), at(NOW));
    match (found, expected) {
        (Ok(found), Ok((next_at, state))) => {
            assert_eq!((found.next_at, found.state), (next_at.map(at), state));
        }
        (Err(fault), Err(field)) => assert_eq!(fault.field, field),
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn an_activated_campaign_waits_for_its_first_occurrence_or_is_refused() {
    use State::{Active, Scheduled};
    check_first(one_time("now"), Ok((Some(NOW), Active)));
    check_first(one_time("2026-03-01T12:00"), Ok((Some(NOW), Active)));
    check_first(one_time("2026-03-02T09:00"), Ok((Some("2026-03-02T09:00Z"), Scheduled)));
    check_first(one_time("2026-03-01T11:00"), Ok((Some("2026-03-01T11:00Z"), Active)));
    check_first(one_time("2026-03-01T10:59:59"), Err("delivery.one_time.at"));
    let daily = || recurring("0 9 * * *");
    check_first(Kind::Recurring(daily()), Ok((Some("2026-03-02T09:00Z"), Active)));
    let from = |start: &str, end: &str| {
        Kind::Recurring(Recurring { start: start.to_owned(), end: end.to_owned(), ..daily() })
    };
    check_first(from("2026-04-01", ""), Ok((Some("2026-04-01T09:00Z"), Scheduled)));
    check_first(from("2026-02-01", ""), Ok((Some("2026-03-02T09:00Z"), Active)));
    check_first(from("", "2026-02-20"), Err("delivery.recurring"));
    check_first(Kind::Triggered(triggered(&["seen"])), Ok((None, Active)));
    check_first(Kind::Manual, Ok((None, Active)));
}

/// What is waited for, or (fired, missed, next, state).
type Looked<'a> = Result<Option<&'a str>, (Option<&'a str>, u64, Option<&'a str>, State)>;

#[track_caller]
fn check(record: &CampaignRecord, now: &str, expected: Looked<'_>) {
    let found = decide(record, &compiled(record), at(now));
    match (found, expected) {
        (Step::Wait(found), Ok(until)) => assert_eq!(found, until.map(at)),
        (Step::Save(found), Err((fired, missed, next, state))) => {
            let Stepped { record: after, fired: found_fired, missed: found_missed } = *found;
            assert_eq!(
                (found_fired, found_missed, after.schedule.next_at, after.state),
                (fired.map(at), missed, next.map(at), state)
            );
            let open: Vec<Timestamp> = after.schedule.open.iter().map(|open| open.at).collect();
            let before: Vec<Timestamp> = record.schedule.open.iter().map(|open| open.at).collect();
            assert_eq!(open, [before, found_fired.into_iter().collect()].concat());
            assert_eq!(after.schedule.fired - record.schedule.fired, u64::from(found_fired.is_some()));
            assert_eq!(after.schedule.missed - record.schedule.missed, missed);
            assert_eq!(after.version, record.version, "what a save compares stays");
        }
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
}

fn in_state(record: CampaignRecord, state: State) -> CampaignRecord {
    CampaignRecord { state, ..record }
}

#[test]
fn a_one_time_campaign_fires_once_or_is_recorded_as_missed() {
    use State::{Active, Paused};
    let planned = activated(draft(one_time("2026-03-02T09:00")), at(NOW));
    check(&planned, "2026-03-02T08:59:59.999Z", Ok(Some("2026-03-02T09:00Z")));
    let due = "2026-03-02T09:00:00Z";
    check(&planned, due, Err((Some(due), 0, None, Active)));
    check(&planned, "2026-03-02T10:00:00Z", Err((Some(due), 0, None, Active)));
    check(&planned, "2026-03-02T10:00:00.001Z", Err((None, 1, None, Active)));
    check(&in_state(planned.clone(), Paused), due, Err((None, 1, None, Paused)));
    let Step::Save(fired) = decide(&planned, &compiled(&planned), at(due)) else { panic!("it fires") };
    check(&fired.record, "2026-03-03T00:00Z", Ok(None));
    assert_eq!(fired.record.epoch, planned.epoch + 1, "the shards hear that it has begun");
}

#[test]
fn a_recurring_campaign_becomes_active_when_its_start_has_come() {
    let written = Recurring { start: "2026-03-05T06:00".to_owned(), ..recurring("0 9 * * *") };
    let planned = activated(draft(Kind::Recurring(written)), at(NOW));
    let first = Some("2026-03-05T09:00:00Z");
    check(&planned, NOW, Ok(Some("2026-03-05T06:00Z")));
    check(&planned, "2026-03-05T06:00Z", Err((None, 0, first, State::Active)));
    check(&planned, "2026-03-05T09:00:00.02Z", Err((first, 0, Some("2026-03-06T09:00Z"), State::Active)));
}

#[test]
fn after_downtime_the_latest_occurrence_fires_if_it_is_young_and_the_rest_is_missed() {
    let daily = activated(draft(Kind::Recurring(recurring("0 9 * * *"))), at(NOW));
    let active = State::Active;
    check(
        &daily,
        "2026-03-02T09:59Z",
        Err((Some("2026-03-02T09:00Z"), 0, Some("2026-03-03T09:00Z"), active)),
    );
    check(&daily, "2026-03-02T10:00Z", Err((None, 1, Some("2026-03-03T09:00Z"), active)));
    check(
        &daily,
        "2026-03-05T09:30Z",
        Err((Some("2026-03-05T09:00Z"), 3, Some("2026-03-06T09:00Z"), active)),
    );
    check(&daily, "2026-03-05T12:00Z", Err((None, 4, Some("2026-03-06T09:00Z"), active)));
}

#[test]
fn what_comes_due_while_paused_is_missed_and_does_not_use_up_a_number_of_occurrences() {
    let written = Recurring { max_occurrences: 1, ..recurring("0 9 * * *") };
    let once = activated(draft(Kind::Recurring(written)), at(NOW));
    let paused = in_state(once.clone(), State::Paused);
    check(&paused, "2026-03-02T09:00Z", Err((None, 1, Some("2026-03-03T09:00Z"), State::Paused)));
    check(&paused, "2026-03-04T12:00Z", Err((None, 3, Some("2026-03-05T09:00Z"), State::Paused)));
    check(&once, "2026-03-02T09:00Z", Err((Some("2026-03-02T09:00Z"), 0, None, State::Active)));
}

#[test]
fn what_is_over_or_has_nothing_to_come_is_left_alone() {
    let daily = activated(draft(Kind::Recurring(recurring("0 9 * * *"))), at(NOW));
    for state in [State::Draft, State::Finishing, State::Ended] {
        check(&in_state(daily.clone(), state), "2026-04-01T00:00Z", Ok(None));
    }
    check(&activated(draft(Kind::Manual), at(NOW)), "2026-04-01T00:00Z", Ok(None));
}

#[test]
fn occurrences_that_are_never_walked_do_not_pile_up_without_bound() {
    let mut record = activated(draft(Kind::Recurring(recurring("* * * * * *"))), at(NOW));
    let mut now = at(NOW);
    for _ in 0..200 {
        now += SignedDuration::from_secs(1);
        if let Step::Save(stepped) = decide(&record, &compiled(&record), now) {
            record = stepped.record;
        }
    }
    let schedule = record.schedule;
    assert_eq!(
        (schedule.open.len(), schedule.fired, schedule.missed),
        (limits::OPEN_OCCURRENCES_MAX, 100, 100)
    );
    assert_eq!(schedule.next_at, Some(now + SignedDuration::from_secs(1)));
}

/// Drives a record by `decide`, looking at each of the instants; answers what fired and how many were missed.
fn drive(
    record: &mut CampaignRecord,
    campaign: &Campaign,
    looks: impl IntoIterator<Item = Timestamp>,
) -> (Vec<OpenOccurrence>, u64) {
    let mut fired = Vec::new();
    for now in looks {
        // It may begin and fire in two steps; each leaves less to do.
        while let Step::Save(stepped) = decide(record, campaign, now) {
            *record = stepped.record;
            fired.append(&mut record.schedule.open);
        }
    }
    (fired, record.schedule.missed)
}

#[test]
fn a_daily_campaign_fires_every_day_of_a_year_in_a_zone_with_clock_changes() {
    let mut daily = draft(Kind::Recurring(recurring("30 2 * * *")));
    daily.delivery.zone = "Europe/Berlin".to_owned();
    let start = at("2026-01-01T00:00Z");
    let mut record = activated(daily, start);
    let campaign = compiled(&record);
    // A look every ten minutes, now and then a scheduler that was away for 50.
    let mut now = start;
    let looks = std::iter::from_fn(move || {
        now += SignedDuration::from_mins(if now.as_second() / 600 % 7 == 0 { 50 } else { 10 });
        (now < at("2027-01-01T00:00Z")).then_some(now)
    });
    let (fired, missed) = drive(&mut record, &campaign, looks);
    assert_eq!((fired.len(), missed), (365, 0));
    let zone = &campaign.zones.fixed;
    let hours =
        |hour| fired.iter().filter(|open| open.at.to_zoned_datetime(zone.clone()).hour() == hour).count();
    assert_eq!((hours(2), hours(3)), (364, 1), "the spring gap moves one to its end");
    assert!(fired.windows(2).all(|pair| pair[0].at < pair[1].at));
}

proptest! {
    #[test]
    fn however_looks_are_spaced_every_occurrence_fires_once_or_is_missed(
        waits in prop::collection::vec(prop_oneof![4 => 1i64..300, 2 => 300i64..7_200, 1 => 7_200i64..200_000], 1..80),
    ) {
        let start = at("2026-03-27T00:00Z");
        let mut record = activated(draft(Kind::Recurring(recurring("*/20 * * * *"))), start);
        let campaign = compiled(&record);
        let mut looks = Vec::new();
        let mut now = start;
        for wait in waits {
            now += SignedDuration::from_secs(wait);
            looks.push(now);
        }
        let (fired, missed) = drive(&mut record, &campaign, looks.clone());
        let planned = now.duration_since(start).as_secs() / 1_200;
        prop_assert_eq!(fired.len() as u64 + missed, planned as u64);
        prop_assert!(fired.windows(2).all(|pair| pair[0].at < pair[1].at));
        for open in &fired {
            let seen = looks.iter().find(|look| **look >= open.at).unwrap();
            prop_assert!(seen.duration_since(open.at) < SignedDuration::from_hours(1));
            prop_assert_eq!(open.at.as_second() % 1_200, 0);
        }
    }
}
