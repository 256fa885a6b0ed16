//! Behaviour over windows against a naive oracle that keeps every event, and what it costs to keep.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, json};

use crate::behaviour::{Figure, Reading, Window};
use crate::event::Event;
use crate::limits;
use crate::user::Profile;

const DAY: i64 = 86_400_000;
/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn happened(name: &str, ms: i64, value: Option<f64>) -> Event {
    Event {
        name: name.to_owned(),
        value,
        properties: Map::new(),
        occurred_at: at(ms),
        id: "e".to_owned(),
        happening: None,
        collected: Vec::new(),
    }
}

/// An event: how long after the one before it was accepted, how long before that it had happened, its value.
fn events() -> impl Strategy<Value = Vec<(i64, i64, Option<f64>)>> {
    let value = prop::option::of((-500i64..5_000).prop_map(|n| n as f64 / 4.0));
    let late = prop_oneof![4 => Just(0i64), 2 => 0..3 * DAY, 1 => 0..200 * DAY, 1 => -DAY..0];
    prop::collection::vec((0..3 * DAY, late, value), 0..120)
}

/// What the days of the window hold, of all that happened.
fn naive(all: &[(i64, Option<f64>)], days: i64, as_of: i64) -> (u64, Vec<f64>) {
    let from = as_of - days * DAY;
    if all.iter().all(|(ms, _)| *ms < from) {
        return (0, Vec::new());
    }
    let within: Vec<_> = all
        .iter()
        .filter(|(ms, _)| {
            ms.div_euclid(DAY) >= from.div_euclid(DAY) && ms.div_euclid(DAY) <= as_of.div_euclid(DAY)
        })
        .collect();
    (within.len() as u64, within.iter().filter_map(|(_, value)| *value).collect())
}

fn near(reading: Option<Reading>, expected: Option<f64>) -> bool {
    match (reading, expected) {
        (Some(Reading::Number(number)), Some(expected)) => (number - expected).abs() < 1e-6,
        (None, None) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn every_figure_over_every_window_is_what_a_list_of_all_events_says(
        events in events(),
        days in 1i64..=90,
        later in 0..5 * DAY,
    ) {
        let mut profile = Profile::new("mary", at(START));
        let (mut accepted, mut all) = (START, Vec::new());
        for (after, late, value) in events {
            accepted += after;
            profile.count(&happened("buy", accepted - late, value), at(accepted));
            // A clock that runs ahead says nothing about the future.
            all.push(((accepted - late).min(accepted), value));
        }
        let profile = Profile::unpack(&profile.pack()).unwrap();
        let behaviour = profile.behaviour.get("buy");
        let as_of = accepted + later;
        let window = Window::new(Duration::from_secs(days as u64 * 86_400)).unwrap();
        let read = |figure: Figure, window| figure.read(behaviour, window, at(as_of));
        for (window, (count, values)) in [
            (Some(window), naive(&all, days, as_of)),
            (None, (all.len() as u64, all.iter().filter_map(|(_, value)| *value).collect())),
        ] {
            let sum: f64 = values.iter().sum();
            let some = (!values.is_empty()).then_some(());
            prop_assert_eq!(read(Figure::Count, window), Some(Reading::Count(count)));
            prop_assert!(near(read(Figure::Sum, window), Some(sum)));
            prop_assert!(near(read(Figure::Avg, window), some.map(|()| sum / values.len() as f64)));
            prop_assert!(near(read(Figure::Min, window), values.iter().copied().reduce(f64::min)));
            prop_assert!(near(read(Figure::Max, window), values.iter().copied().reduce(f64::max)));
        }
        let times = |pick: fn(i64, i64) -> i64| all.iter().map(|(ms, _)| *ms).reduce(pick).map(|ms| Reading::At(at(ms)));
        prop_assert_eq!(read(Figure::First, None), times(i64::min));
        prop_assert_eq!(read(Figure::Last, None), times(i64::max));
    }

    #[test]
    fn a_packed_profile_reads_back_as_it_was(events in events(), names in prop::collection::vec("\\PC{1,12}", 1..4)) {
        let mut profile = Profile::new("Ünï", at(START));
        let mut accepted = START;
        for (i, (after, late, value)) in events.into_iter().enumerate() {
            accepted += after;
            profile.count(&happened(&names[i % names.len()], accepted - late, value), at(accepted));
        }
        prop_assert_eq!(Profile::unpack(&profile.pack()), Ok(profile));
    }
}

#[test]
fn an_event_of_the_last_n_days_is_never_missed_and_one_before_the_windows_first_day_never_seen() {
    let mut profile = Profile::new("mary", at(START));
    let now = START + 20 * DAY + DAY / 2;
    profile.count(&happened("buy", now - 7 * DAY, Some(1.0)), at(now));
    profile.count(&happened("buy", now - 8 * DAY, Some(1.0)), at(now));
    let count = |days: u64, as_of: i64| {
        let window = Window::new(Duration::from_secs(days * 86_400)).unwrap();
        Figure::Count.read(profile.behaviour.get("buy"), Some(window), at(as_of))
    };
    assert_eq!(count(7, now), Some(Reading::Count(1)));
    assert_eq!(count(8, now), Some(Reading::Count(2)));
    assert_eq!(count(6, now), Some(Reading::Count(0)));
    assert_eq!(count(7, now + 1), Some(Reading::Count(0)), "the last one is known to the millisecond");
    assert_eq!(count(90, now - 9 * DAY), Some(Reading::Count(0)), "nothing had happened by then");
}

#[test]
fn a_window_is_whole_days_up_to_90() {
    for (text, right) in
        [("1d", true), ("90d", true), ("24h", true), ("1w", true), ("36h", false), ("91d", false)]
    {
        let length = crate::duration_text::parse(text).unwrap();
        assert_eq!(Window::new(length).is_ok(), right, "{text}");
    }
    assert!(Window::new(Duration::ZERO).is_err());
    assert!(Window::new(Duration::from_millis(86_400_001)).is_err());
}

#[test]
fn a_clock_that_is_wrong_by_years_loses_nobodys_days() {
    let mut profile = Profile::new("mary", at(START));
    profile.count(&happened("buy", START, None), at(START));
    profile.count(&happened("buy", START + 30_000 * DAY, None), at(START + DAY));
    let behaviour = &profile.behaviour["buy"];
    assert_eq!(behaviour.days.len(), 2);
    assert_eq!(behaviour.last_at, at(START + DAY));
}

#[test]
fn what_is_kept_of_a_user_is_bounded_by_days_not_by_events() {
    let mut profile = Profile::new("mary", at(START));
    let mut packed = 0;
    for hour in 0..24 * 365 {
        let now = at(START) + SignedDuration::from_hours(hour);
        profile.count(&happened("visit", now.as_millisecond(), Some((hour % 977) as f64 / 100.0)), now);
        packed = packed.max(profile.pack().len());
    }
    let behaviour = &profile.behaviour["visit"];
    assert!(behaviour.days.len() <= limits::BEHAVIOUR_DAYS_MAX, "{}", behaviour.days.len());
    assert!(packed < 1_600, "{packed} bytes for a user of 24 events a day");
}

#[test]
fn days_of_an_event_that_no_longer_happens_go_with_the_next_event_of_any_name() {
    let mut profile = Profile::new("mary", at(START));
    for day in 0..90 {
        profile.count(&happened("old", START + day * DAY, None), at(START + day * DAY));
    }
    assert_eq!(profile.behaviour["old"].days.len(), 90);
    profile.count(&happened("new", START + 400 * DAY, None), at(START + 400 * DAY));
    assert_eq!(profile.behaviour["old"].days.len(), 0);
    assert_eq!(profile.behaviour["old"].count, 90);
}

/// Ten attributes of ordinary lengths and five events: 430 bytes of data.
#[test]
fn a_user_of_ten_attributes_and_five_events_is_packed_within_its_data() {
    let mut profile = Profile::new("0f8b1c2d-7a5e-4d1b-9a53-2f1f3a7c9e10", at(START));
    profile.time_zone = Some("Europe/Berlin".to_owned());
    let attributes = json!({
        "email": "mary.poppins@example.com", "first_name": "Mary", "last_name": "Poppins", "plan": "professional",
        "country": "DE", "locale": "de-DE", "age": 41, "vip": true, "company": "Cherry Tree Lane Nannies GmbH",
        "trial_ends_at": "2026-12-24T18:00:00+01:00",
    });
    profile.attributes = attributes.as_object().unwrap().clone();
    for (i, name) in
        ["session_started", "page_viewed", "purchase", "cart_updated", "app_opened"].iter().enumerate()
    {
        let value = (i == 2).then_some(129.95);
        profile.count(&happened(name, START + i as i64 * 7_200_123, value), at(START + DAY));
    }
    let bytes = profile.pack().len();
    assert!(bytes <= 430, "{bytes} bytes");
}
