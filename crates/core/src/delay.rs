//! Pure. How long after its trigger a send is due: a duration, calendar days or the next weekday on some zone's clock, or a duration
//! before or after a time that the event or the user names.
//!
//! Before: `draft`. After: `scheduler::trigger` asks when an entry is due. Wall clock becomes an instant in `clock_changes` alone.

use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::calendar_text::{read_time, read_weekday};
use crate::clock_changes::first_instant;
use crate::draft;
use crate::event::Event;
use crate::fault::Faults;
use crate::limits;
use crate::time_value::TimeValue;
use crate::user::Profile;
use crate::value_path::ValuePath;

#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    After(SignedDuration),
    /// So many calendar days later; without a time of day, at the same one.
    Days(u32, Option<Time>),
    /// The first time to come when the clock shows this day and time, which may be later today.
    Weekday(Weekday, Time),
    /// From the time at `anchor`; negative: before it. A plain date begins its day.
    Anchored(SignedDuration, Anchor),
}

/// Where a time to measure from is found, and how its author wrote that.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    path: ValuePath,
    text: String,
}

impl Default for Delay {
    fn default() -> Delay {
        Delay::After(SignedDuration::ZERO)
    }
}

impl Delay {
    /// `path` is the field's own. Faults are filed under it.
    pub fn read(written: &draft::Delay, path: &str, faults: &mut Faults) -> Delay {
        let before = faults.0.len();
        let delay = read(written, path, faults);
        if faults.0.len() > before { Delay::default() } else { delay }
    }

    /// Whether it is measured from a property of the event.
    pub fn asks_event(&self) -> bool {
        matches!(self, Delay::Anchored(_, anchor) if !anchor.path.is_of_user())
    }

    pub fn is_anchored(&self) -> bool {
        matches!(self, Delay::Anchored(..))
    }

    /// When a send is due whose trigger happened at `since`. The error says which time is missing.
    pub fn due_at(
        &self,
        since: Timestamp,
        zone: &TimeZone,
        profile: &Profile,
        event: Option<&Event>,
    ) -> Result<Timestamp, String> {
        let later = |at: Timestamp, by: SignedDuration| {
            at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
        };
        match self {
            Delay::After(by) => Ok(later(since, *by)),
            Delay::Days(days, at) => {
                let shown = zone.to_datetime(since);
                let day = shown.date().checked_add(i64::from(*days).days());
                let due =
                    day.ok().and_then(|day| first_instant(zone, day.to_datetime(at.unwrap_or(shown.time()))));
                // Without a time of day it is never before its trigger: an overlap's second pass would be read as its first.
                Ok(match due {
                    Some(due) if at.is_some() => due,
                    Some(due) => due.max(since),
                    None => Timestamp::MAX,
                })
            }
            Delay::Weekday(weekday, at) => Ok(next_weekday(since, zone, *weekday, *at)),
            Delay::Anchored(by, anchor) => {
                let found = anchor.path.find(profile, event).and_then(TimeValue::read);
                let text = &anchor.text;
                match found.ok_or_else(|| format!("{text} names no time"))? {
                    TimeValue::Instant(at) => Ok(later(at, *by)),
                    TimeValue::Day(day) => {
                        let begins_at = first_instant(zone, day.to_datetime(Time::midnight()));
                        Ok(begins_at.map_or(Timestamp::MAX, |at| later(at, *by)))
                    }
                }
            }
        }
    }
}

/// The first instant after `since`.
fn next_weekday(since: Timestamp, zone: &TimeZone, weekday: Weekday, at: Time) -> Timestamp {
    let mut day = zone.to_datetime(since).date();
    // A week and a day: today's may be past.
    for _ in 0..=7 {
        if day.weekday() == weekday
            && let Some(due) = first_instant(zone, day.to_datetime(at))
            && due > since
        {
            return due;
        }
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    Timestamp::MAX
}

fn read(written: &draft::Delay, path: &str, faults: &mut Faults) -> Delay {
    let kinds =
        [written.after.is_some(), written.days > 0, !written.weekday.is_empty(), written.before.is_some()];
    if kinds.iter().filter(|given| **given).count() > 1 {
        faults.add(path, "say only one of after, days, weekday and before");
    }
    let at = match written.at.trim() {
        "" => None,
        text => read_time(text).map_err(|text| faults.add(format!("{path}.at"), text)).ok(),
    };
    let anchor = match written.anchor.trim() {
        "" => None,
        text => ValuePath::parse(text)
            .map(|path| Anchor { path, text: text.to_owned() })
            .map_err(|text| faults.add(format!("{path}.anchor"), text))
            .ok(),
    };
    let is_calendar = written.days > 0
        || !written.weekday.is_empty()
        || (!written.at.trim().is_empty() && !kinds[0] && !kinds[3]);
    if is_calendar && !written.anchor.trim().is_empty() {
        faults.add(
            format!("{path}.anchor"),
            "only with after or before: days and weekdays count from the trigger",
        );
    }
    if !is_calendar && !written.at.trim().is_empty() {
        faults.add(format!("{path}.at"), "only with days or weekday");
    }
    if is_calendar {
        return calendar(written, at, path, faults);
    }
    if written.before.is_some() && written.anchor.trim().is_empty() {
        faults.add(
            format!("{path}.anchor"),
            "is missing: before what, such as user.trial_ends_at or properties.departs_at",
        );
    }
    let length = written.after.or(written.before).unwrap_or_default();
    if length > limits::DELAY_MAX {
        faults.add(path, format!("is longer than {} days", days_max()));
    }
    let by = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    let by = if written.before.is_some() { -by } else { by };
    match anchor {
        Some(anchor) => Delay::Anchored(by, anchor),
        None => Delay::After(by),
    }
}

fn calendar(written: &draft::Delay, at: Option<Time>, path: &str, faults: &mut Faults) -> Delay {
    if written.weekday.is_empty() {
        if u64::from(written.days) > days_max() {
            faults.add(format!("{path}.days"), format!("expected at most {}", days_max()));
        }
        return Delay::Days(written.days, at);
    }
    let weekday = read_weekday(&written.weekday).map_err(|text| faults.add(format!("{path}.weekday"), text));
    if written.at.trim().is_empty() {
        faults.add(format!("{path}.at"), "is missing: say at what time of that day, such as 10:00");
    }
    match (weekday, at) {
        (Ok(weekday), Some(at)) => Delay::Weekday(weekday, at),
        _ => Delay::default(),
    }
}

pub(crate) fn days_max() -> u64 {
    limits::DELAY_MAX.as_secs() / Duration::from_secs(24 * 3600).as_secs()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(change: impl FnOnce(&mut draft::Delay)) -> draft::Delay {
        let mut written = draft::Delay::default();
        change(&mut written);
        written
    }

    fn delay(change: impl FnOnce(&mut draft::Delay)) -> Delay {
        let mut faults = Faults::default();
        let delay = Delay::read(&written(change), "delay", &mut faults);
        assert!(faults.is_empty(), "{faults}");
        delay
    }

    fn check_in(zone: &str, delay: &Delay, since: &str, expected: &str) {
        let zone = TimeZone::get(zone).unwrap();
        let mut profile = Profile::new("mary", Timestamp::UNIX_EPOCH);
        profile.attributes =
            json!({"trial_ends_at": "2026-12-24T10:00:00Z", "birthday": "2026-12-01", "soon": "soon"})
                .as_object()
                .cloned()
                .unwrap();
        let event = Event {
            name: "e".to_owned(),
            value: None,
            properties: json!({"departs_at": 1_796_119_200}).as_object().cloned().unwrap(),
            occurred_at: Timestamp::UNIX_EPOCH,
            id: String::new(),
            happening: None,
            collected: Vec::new(),
        };
        let due = delay.due_at(since.parse().unwrap(), &zone, &profile, Some(&event));
        let shown = due.map(|at| zone.to_datetime(at).strftime("%a %F %T").to_string());
        assert_eq!(shown.unwrap_or_else(|text| text), expected, "{delay:?} in {zone:?}");
    }

    fn check(delay: &Delay, since: &str, expected: &str) {
        check_in("Europe/Berlin", delay, since, expected);
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_duration_counts_hours_not_days() {
        check(&Delay::default(), "2026-11-24T12:00:00Z", "Tue 2026-11-24 13:00:00");
        // The clock was put back at night: 24 hours later it is an hour earlier.
        let day = delay(|d| d.after = Some(24 * HOUR));
        check(&day, "2026-10-24T12:00:00Z", "Sun 2026-10-25 13:00:00");
    }

    #[test]
    fn calendar_days_keep_the_time_of_day() {
        let three = delay(|d| d.days = 3);
        check(&three, "2026-10-24T12:00:00Z", "Tue 2026-10-27 14:00:00");
        let at_ten = delay(|d| (d.days, d.at) = (3, "10:00".into()));
        check(&at_ten, "2026-10-24T12:00:00Z", "Tue 2026-10-27 10:00:00");
        check_in("Pacific/Auckland", &at_ten, "2026-10-24T12:00:00Z", "Wed 2026-10-28 10:00:00");
        let today = delay(|d| d.at = "18:30".into());
        check(&today, "2026-10-24T12:00:00Z", "Sat 2026-10-24 18:30:00");
        check(&today, "2026-10-24T17:00:00Z", "Sat 2026-10-24 18:30:00");
        // A time that the clock skips comes right after the gap.
        let at_half_two = delay(|d| (d.days, d.at) = (1, "02:30".into()));
        check(&at_half_two, "2026-03-28T12:00:00Z", "Sun 2026-03-29 03:00:00");
    }

    #[test]
    fn a_weekday_is_the_next_one_also_later_today() {
        let monday = delay(|d| (d.weekday, d.at) = ("monday".into(), "10:00".into()));
        check(&monday, "2026-11-24T12:00:00Z", "Mon 2026-11-30 10:00:00");
        check(&monday, "2026-11-30T08:59:59Z", "Mon 2026-11-30 10:00:00");
        check(&monday, "2026-11-30T09:00:00Z", "Mon 2026-12-07 10:00:00");
    }

    #[test]
    fn an_anchor_is_a_time_of_event_or_user() {
        let trial = delay(|d| (d.before, d.anchor) = (Some(72 * HOUR), "user.trial_ends_at".into()));
        check(&trial, "2026-11-24T12:00:00Z", "Mon 2026-12-21 11:00:00");
        let departure = delay(|d| (d.after, d.anchor) = (Some(HOUR), "properties.departs_at".into()));
        check(&departure, "2026-11-24T12:00:00Z", "Tue 2026-12-01 12:00:00");
        // A plain date begins where the delivery's clock shows it.
        let birthday = delay(|d| (d.after, d.anchor) = (Some(9 * HOUR), "user.birthday".into()));
        check(&birthday, "2026-11-24T12:00:00Z", "Tue 2026-12-01 09:00:00");
        let missing = delay(|d| (d.before, d.anchor) = (Some(HOUR), "user.soon".into()));
        check(&missing, "2026-11-24T12:00:00Z", "user.soon names no time");
    }

    #[test]
    fn all_faults_are_told_with_their_fields() {
        let check = |change: fn(&mut draft::Delay), expected: &[&str]| {
            let mut faults = Faults::default();
            Delay::read(&written(change), "delay", &mut faults);
            let found: Vec<String> = faults.0.iter().map(|f| format!("{}: {}", f.field, f.text)).collect();
            assert_eq!(found, expected);
        };
        check(|d| d.after = Some(24 * 401 * HOUR), &["delay: is longer than 400 days"]);
        check(|d| d.days = 401, &["delay.days: expected at most 400"]);
        check(
            |d| d.before = Some(HOUR),
            &["delay.anchor: is missing: before what, such as user.trial_ends_at or properties.departs_at"],
        );
        check(|d| (d.after, d.at) = (Some(HOUR), "10:00".into()), &["delay.at: only with days or weekday"]);
        check(
            |d| (d.days, d.anchor) = (1, "user.x".into()),
            &["delay.anchor: only with after or before: days and weekdays count from the trigger"],
        );
        check(
            |d| d.weekday = "funday".into(),
            &[
                "delay.weekday: \"funday\" is not a weekday, use mon, tue, wed, thu, fri, sat or sun",
                "delay.at: is missing: say at what time of that day, such as 10:00",
            ],
        );
        check(
            |d| (d.after, d.anchor) = (Some(HOUR), "cart".into()),
            &["delay.anchor: \"cart\" is not a path: write user.trial_ends_at or properties.departs_at"],
        );
        check(
            |d| (d.after, d.days) = (Some(HOUR), 2),
            &["delay: say only one of after, days, weekday and before"],
        );
    }

    proptest! {
        /// Whatever the zone and the day: never before its trigger, never on another weekday than asked (but for a gap over midnight),
        /// and never more than eight days away.
        #[test]
        fn the_next_weekday_lies_ahead_within_a_week(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "UTC"]),
            since in 1_600_000_000i64..1_900_000_000, weekday in 0i8..7, hour in 0i8..24, minute in 0i8..60,
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let since = Timestamp::from_second(since).unwrap();
            let weekday = Weekday::from_monday_zero_offset(weekday).unwrap();
            let at = Time::new(hour, minute, 0, 0).unwrap();
            let due = next_weekday(since, &zone, weekday, at);
            prop_assert!(due > since && due.duration_since(since) <= SignedDuration::from_hours(8 * 24 + 1));
            let shown = zone.to_datetime(due);
            prop_assert!(shown.weekday() == weekday);
            prop_assert!(shown.time() >= at);
        }

        #[test]
        fn days_fall_on_that_day(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Chatham"]),
            since in 1_600_000_000i64..1_900_000_000, days in 0u32..400,
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let since = Timestamp::from_second(since).unwrap();
            let profile = Profile::new("mary", since);
            let due = Delay::Days(days, None).due_at(since, &zone, &profile, None).unwrap();
            let day = zone.to_datetime(since).date().checked_add(i64::from(days).days()).unwrap();
            prop_assert!(due >= since);
            prop_assert_eq!(zone.to_datetime(due).date(), day);
        }
    }
}
