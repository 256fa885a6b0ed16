//! Pure. The laws of recurring schedules, checked against a scan that looks at every minute and shares no code with them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::calendar::CalendarRule;
use crate::cron_dialect::CronRule;
use crate::draft::Every;
use crate::recurrence::Recurrence;
use crate::wall_clock::{OnSkipDate, Rule};

/// A rule and, apart from any parser, what it names.
#[derive(Clone, Debug)]
struct Sample {
    rule: Written,
    minutes: Vec<i8>,
    hours: Vec<i8>,
    weekdays: Vec<i8>,
    /// Days after the window's first.
    skip_days: Vec<i64>,
    moved: bool,
}

#[derive(Clone, Debug)]
enum Written {
    Daily,
    Given(String),
    Matched(String),
}

/// A sample with its skipped dates in place.
struct Scan<'s> {
    sample: &'s Sample,
    zone: &'s TimeZone,
    skip_dates: BTreeSet<Date>,
}

impl Sample {
    fn around<'s>(&'s self, zone: &'s TimeZone, from: Timestamp) -> Scan<'s> {
        let first = zone.to_datetime(from).date();
        let skip_dates =
            self.skip_days.iter().map(|days| first + SignedDuration::from_hours(24 * days)).collect();
        Scan { sample: self, zone, skip_dates }
    }
}

impl Scan<'_> {
    fn schedule(&self) -> Recurrence {
        let rule = match &self.sample.rule {
            Written::Given(text) | Written::Matched(text) => Rule::Cron(CronRule::parse(text).unwrap()),
            Written::Daily => {
                let Sample { hours, minutes, .. } = self.sample;
                let at = hours
                    .iter()
                    .flat_map(|h| minutes.iter().map(move |m| format!("{h:02}:{m:02}")))
                    .collect();
                Rule::Calendar(
                    CalendarRule::parse(&Every { days: 1, at, ..Every::default() }, date(2000, 1, 1))
                        .unwrap(),
                )
            }
        };
        let mut schedule = Recurrence::new(rule, self.zone.clone());
        schedule.clock.skip_dates = self.skip_dates.clone();
        schedule.clock.on_skip_date =
            if self.sample.moved { OnSkipDate::NextAllowedDay } else { OnSkipDate::Skip };
        schedule
    }

    fn names(&self, wall: DateTime) -> bool {
        let Sample { hours, minutes, .. } = self.sample;
        minutes.contains(&wall.minute()) && hours.contains(&wall.hour()) && self.names_day(wall.date())
    }

    fn names_day(&self, day: Date) -> bool {
        let in_rule = |day: Date| self.sample.weekdays.contains(&day.weekday().to_sunday_zero_offset());
        let skipped = |day: &Date| self.skip_dates.contains(day);
        let yesterdays = std::iter::successors(day.yesterday().ok(), |day| day.yesterday().ok());
        let moved_here = || self.sample.moved && yesterdays.take_while(skipped).any(in_rule);
        !skipped(&day) && (in_rule(day) || moved_here())
    }

    /// Minute by minute: a matched time fires whenever the clock shows it; a given one when the clock first reaches or
    /// passes it, and a clock set back shows nothing new until it is past its own high-water mark.
    fn brute_force(&self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let minute = SignedDuration::from_mins(1);
        let mut reached = self.zone.to_datetime(from);
        let mut now = from + minute;
        let mut fired = Vec::new();
        while now <= until {
            let shown = self.zone.to_datetime(now);
            if matches!(self.sample.rule, Written::Matched(_)) {
                fired.extend(self.names(shown).then_some(now));
            } else {
                let mut fires = false;
                while reached < shown {
                    reached += minute;
                    fires |= self.names(reached);
                }
                fired.extend(fires.then_some(now));
            }
            now += minute;
        }
        fired
    }
}

fn some(low: i8, high: i8) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::btree_set(low..=high, 1..4).prop_map(|set| set.into_iter().collect())
}

fn sample() -> impl Strategy<Value = Sample> {
    let skip_days = proptest::collection::vec(0i64..28, 0..6);
    // Clocks change between 23:00 and 05:00, nearly always.
    let hours = prop_oneof![some(0, 4), some(0, 23)];
    (some(0, 59), hours, some(0, 6), skip_days, any::<bool>(), 0..5).prop_map(
        |(mut minutes, mut hours, mut weekdays, skip_days, moved, kind)| {
            let list = |numbers: &[i8]| numbers.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
            let rule = match kind {
                0 => {
                    minutes = (0..60).step_by(20).collect();
                    Written::Matched(format!("*/20 {} * * {}", list(&hours), list(&weekdays)))
                }
                1 => {
                    hours = (0..24).step_by(2).collect();
                    Written::Matched(format!("{} */2 * * {}", list(&minutes), list(&weekdays)))
                }
                2 => {
                    weekdays = (0..7).collect();
                    Written::Daily
                }
                3 => {
                    weekdays = (0..7).collect();
                    Written::Given(format!("{} {} * * *", list(&minutes), list(&hours)))
                }
                _ => Written::Given(format!("{} {} * * {}", list(&minutes), list(&hours), list(&weekdays))),
            };
            Sample { rule, minutes, hours, weekdays, skip_days, moved }
        },
    )
}

/// Any IANA zone.
fn zone() -> impl Strategy<Value = TimeZone> {
    let zones: Vec<TimeZone> =
        jiff::tz::db().available().filter_map(|name| TimeZone::get(name.as_str()).ok()).collect();
    any::<prop::sample::Index>().prop_map(move |index| index.get(&zones).clone())
}

/// Four weeks around one of the zone's clock changes after 1972 (earlier ones know seconds), or around any day.
fn window(zone: &TimeZone, pick: usize) -> (Timestamp, Timestamp) {
    let changes: Vec<Timestamp> = zone
        .following(Timestamp::constant(76_204_800, 0))
        .take(60)
        .map(|change| change.timestamp())
        .collect();
    let centre =
        changes.get(pick % changes.len().max(1)).copied().unwrap_or(Timestamp::constant(1_774_746_000, 0));
    let fortnight = SignedDuration::from_hours(14 * 24);
    (centre - fortnight, centre + fortnight)
}

fn just_before(at: Timestamp) -> Timestamp {
    at - SignedDuration::from_nanos(1)
}

const AN_HOUR: Duration = Duration::from_secs(3_600);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn occurrences_are_those_of_a_minute_by_minute_scan(sample in sample(), zone in zone(), pick: usize) {
        let (from, until) = window(&zone, pick);
        let scan = sample.around(&zone, from);
        let schedule = Recurrence { end: Some(until), ..scan.schedule() };
        let found: Vec<Timestamp> = schedule.occurrences(from, 0).collect();
        prop_assert_eq!(&found, &scan.brute_force(from, until), "{:?} in {:?}", sample, zone);

        // Backwards it is the same list.
        let mut backwards = Vec::new();
        let mut at = schedule.latest(until);
        while let Some(last) = at.filter(|last| *last > from) {
            backwards.push(last);
            at = schedule.latest(just_before(last));
        }
        backwards.reverse();
        prop_assert_eq!(&backwards, &found);

        // Whoever asks at another moment, in the middle of an overlap too, sees a part of it.
        let change_at = from + (until - from) / 2;
        for minutes in (-200..200).step_by(17) {
            let asked_at = change_at + SignedDuration::from_mins(minutes);
            let ahead = found.iter().find(|at| **at > asked_at).copied();
            prop_assert_eq!(schedule.next(asked_at, 0), ahead, "{:?} in {:?} at {}", sample, zone, asked_at);
            let behind = found.iter().rfind(|at| **at <= asked_at).copied();
            prop_assert_eq!(schedule.latest(asked_at).filter(|at| *at > from), behind, "latest at {}", asked_at);
        }
    }

    #[test]
    fn however_ticks_are_spaced_each_occurrence_fires_or_is_missed_once(
        sample in sample(), zone in zone(), pick: usize, steps in proptest::collection::vec(1i64..200_000, 1..60),
    ) {
        let (from, _) = window(&zone, pick);
        let schedule = sample.around(&zone, from).schedule();
        let mut now = from;
        let mut due = schedule.next(from, 0);
        let (mut fired, mut missed_count) = (Vec::new(), 0);
        for step in steps {
            now += SignedDuration::from_secs(step);
            let Some(waiting_for) = due else { break };
            let found = schedule.catch_up(waiting_for, now, AN_HOUR, fired.len() as u64);
            prop_assert!(found.next.is_none_or(|next| next > now));
            prop_assert!(found.fire.is_none_or(|fire| fire <= now && fire > now - SignedDuration::from_hours(1)));
            missed_count += found.missed.map_or(0, |missed| missed.count as usize);
            fired.extend(found.fire);
            due = found.next;
        }
        let all: Vec<Timestamp> = schedule.occurrences(from, 0).take_while(|at| *at <= now).collect();
        prop_assert_eq!(all.len(), fired.len() + missed_count);
        prop_assert!(fired.iter().all(|at| all.contains(at)));
        prop_assert!(fired.is_sorted_by(|a, b| a < b));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_given_time_fires_once_on_each_matching_day_of_a_year(
        hour in 0i8..24, minute in 0i8..60, zone in zone(), year in 1972i16..2040,
    ) {
        let first_day = zone.to_timestamp(jiff::civil::date(year, 1, 1).at(12, 0, 0, 0)).unwrap();
        let until = first_day + SignedDuration::from_hours(365 * 24);
        let sample = Sample {
            rule: Written::Given(format!("{minute} {hour} * * *")),
            minutes: vec![minute], hours: vec![hour], weekdays: (0..7).collect(), skip_days: vec![], moved: false,
        };
        let scan = sample.around(&zone, first_day);
        let schedule = Recurrence { end: Some(until), ..scan.schedule() };
        let found: Vec<Timestamp> = schedule.occurrences(first_day, 0).collect();
        prop_assert_eq!(&found, &scan.brute_force(first_day, until), "{:?}", zone);
        // 365 days of 24 hours hold the time 365 times, unless a zone moved across it for good.
        prop_assert!((364..=366).contains(&found.len()), "{} in {:?}", found.len(), zone);
    }

    #[test]
    fn the_next_occurrence_lies_ahead_for_every_instant(sample in sample(), zone in zone(), nanos in 0i128..4_000_000_000_000_000_000) {
        let after = Timestamp::from_nanosecond(nanos).unwrap();
        let schedule = sample.around(&zone, after).schedule();
        let next = schedule.next(after, 0).unwrap();
        prop_assert!(next > after);
        prop_assert_eq!(schedule.latest(next), Some(next));
        prop_assert_eq!(schedule.next(just_before(next), 0), Some(next));
        prop_assert!(schedule.latest(just_before(next)).is_none_or(|last| last <= after));
    }
}
