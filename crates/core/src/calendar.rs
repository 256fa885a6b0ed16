//! Pure. Calendar rules: every N days, every N weeks on weekdays, every N months on days of the month, at times of day.
//! `every` counts from an anchor date, the campaign's start; weeks begin on Monday.
//!
//! `calendar_text` reads them. Answers with days and times of a wall clock; `clock_changes` makes instants of them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::{Date, Time, Weekday};

use crate::draft::ShortMonth;
use crate::wall_clock::{FIRST_DATE, LAST_DATE};

/// A calendar rule that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarRule {
    pub(crate) anchor: Date,
    pub(crate) days: Days,
    pub(crate) times: BTreeSet<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Days {
    Daily { every: i64 },
    Weekly { every: i64, weekdays: Vec<Weekday> },
    Monthly { every: i64, days: Vec<MonthDay>, short_month: ShortMonth },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MonthDay {
    Number(i8),
    Last,
    /// 1 to 5, or -1 for the last one.
    Nth(i8, Weekday),
}

impl CalendarRule {
    pub(crate) fn day_on_or_after(&self, day: Date) -> Option<Date> {
        match &self.days {
            Days::Daily { every } => {
                let past = days_between(self.anchor, day).rem_euclid(*every);
                in_bounds(plus_days(day, (every - past) % every)?)
            }
            Days::Weekly { every, weekdays } => {
                let monday = monday_of(day)?;
                let past = (days_between(monday_of(self.anchor)?, monday) / 7).rem_euclid(*every);
                let this_week =
                    days_of_week(monday, weekdays).filter(|found| past == 0 && *found >= day).min();
                if let Some(found) = this_week {
                    return in_bounds(found);
                }
                let next_monday = plus_days(monday, 7 * (every - past))?;
                in_bounds(days_of_week(next_monday, weekdays).min()?)
            }
            Days::Monthly { every, days, short_month } => {
                let mut month = month_number(day);
                month += (month_number(self.anchor) - month).rem_euclid(*every);
                while month <= month_number(LAST_DATE) {
                    let found = days_of_month(month, days, *short_month).filter(|found| *found >= day).min();
                    if found.is_some() {
                        return found;
                    }
                    month += every;
                }
                None
            }
        }
    }

    pub(crate) fn day_on_or_before(&self, day: Date) -> Option<Date> {
        match &self.days {
            Days::Daily { every } => {
                in_bounds(plus_days(day, -days_between(self.anchor, day).rem_euclid(*every))?)
            }
            Days::Weekly { every, weekdays } => {
                let monday = monday_of(day)?;
                let past = (days_between(monday_of(self.anchor)?, monday) / 7).rem_euclid(*every);
                let this_week =
                    days_of_week(monday, weekdays).filter(|found| past == 0 && *found <= day).max();
                if let Some(found) = this_week {
                    return in_bounds(found);
                }
                let back = if past == 0 { *every } else { past };
                in_bounds(days_of_week(plus_days(monday, -7 * back)?, weekdays).max()?)
            }
            Days::Monthly { every, days, short_month } => {
                let mut month = month_number(day);
                month -= (month - month_number(self.anchor)).rem_euclid(*every);
                while month >= month_number(FIRST_DATE) {
                    let found = days_of_month(month, days, *short_month).filter(|found| *found <= day).max();
                    if found.is_some() {
                        return found;
                    }
                    month -= every;
                }
                None
            }
        }
    }

    pub(crate) fn time_on_or_after(&self, time: Time) -> Option<Time> {
        self.times.range(time..).next().copied()
    }

    pub(crate) fn time_on_or_before(&self, time: Time) -> Option<Time> {
        self.times.range(..=time).next_back().copied()
    }
}

fn in_bounds(day: Date) -> Option<Date> {
    (FIRST_DATE..=LAST_DATE).contains(&day).then_some(day)
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

fn plus_days(day: Date, days: i64) -> Option<Date> {
    day.checked_add(SignedDuration::from_hours(24 * days)).ok()
}

fn monday_of(day: Date) -> Option<Date> {
    plus_days(day, -i64::from(day.weekday().to_monday_zero_offset()))
}

fn days_of_week(monday: Date, weekdays: &[Weekday]) -> impl Iterator<Item = Date> {
    weekdays.iter().filter_map(move |day| plus_days(monday, day.to_monday_zero_offset().into()))
}

/// Months since year 0.
fn month_number(day: Date) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month()) - 1
}

fn days_of_month(month: i64, days: &[MonthDay], short_month: ShortMonth) -> impl Iterator<Item = Date> {
    let first = Date::new(month.div_euclid(12) as i16, month.rem_euclid(12) as i8 + 1, 1).ok();
    days.iter().filter_map(move |day| {
        let first = first?;
        let last = first.last_of_month();
        match *day {
            MonthDay::Last => Some(last),
            MonthDay::Nth(nth, weekday) => first.nth_weekday_of_month(nth, weekday).ok(),
            MonthDay::Number(number) if number <= last.day() => first.with().day(number).build().ok(),
            MonthDay::Number(_) => (short_month == ShortMonth::LastDay).then_some(last),
        }
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::draft::Every;
    use crate::wall_clock::{Rule, WallClock};

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn days(every: u32) -> Every {
        Every { days: every, at: texts(&["08:00"]), ..Every::default() }
    }

    fn weeks(every: u32, weekdays: &[&str]) -> Every {
        Every { weeks: every, weekdays: texts(weekdays), at: texts(&["08:00"]), ..Every::default() }
    }

    fn months(every: u32, month_days: &[&str]) -> Every {
        Every { months: every, month_days: texts(month_days), at: texts(&["08:00"]), ..Every::default() }
    }

    fn skipping(every: Every) -> Every {
        Every { short_month: ShortMonth::Skip, ..every }
    }

    /// The first days from the anchor on, and the same ones backwards.
    fn check(every: &Every, anchor: &str, expected: &[&str]) {
        let anchor: Date = anchor.parse().unwrap();
        let rule = CalendarRule::parse(every, anchor).unwrap_or_else(|faults| panic!("{every:?}: {faults}"));
        let mut found = Vec::new();
        let mut day = anchor;
        while found.len() < expected.len() {
            let Some(next) = rule.day_on_or_after(day) else { break };
            found.push(next.to_string());
            day = next.tomorrow().unwrap();
        }
        assert_eq!(found, expected, "{every:?}");
        for text in expected.iter().rev() {
            let last = rule.day_on_or_before(day.yesterday().unwrap()).unwrap();
            assert_eq!(last.to_string(), *text, "{every:?} backwards");
            day = last;
        }
    }

    #[test]
    fn every_n_counts_from_the_anchor() {
        check(&days(1), "2026-02-27", &["2026-02-27", "2026-02-28", "2026-03-01"]);
        check(&days(3), "2026-02-27", &["2026-02-27", "2026-03-02", "2026-03-05"]);
        check(&days(365), "2027-03-01", &["2027-03-01", "2028-02-29", "2029-02-28"]);
        check(&weeks(1, &["mon", "Friday"]), "2026-01-01", &["2026-01-02", "2026-01-05", "2026-01-09"]);
        // The week of 1 January is the first; its Monday lies before the anchor, the next comes two weeks later.
        check(
            &weeks(2, &["mon", "thu"]),
            "2026-01-01",
            &["2026-01-01", "2026-01-12", "2026-01-15", "2026-01-26"],
        );
        check(&weeks(1, &["sun", "mon"]), "2026-01-04", &["2026-01-04", "2026-01-05", "2026-01-11"]);
        check(&months(2, &["1"]), "2026-01-15", &["2026-03-01", "2026-05-01", "2026-07-01"]);
        check(&months(5, &["15"]), "2026-01-15", &["2026-01-15", "2026-06-15", "2026-11-15", "2027-04-15"]);
    }

    #[test]
    fn days_left_out_are_the_anchors_own() {
        check(&weeks(1, &[]), "2026-01-01", &["2026-01-01", "2026-01-08"]);
        check(&months(1, &[]), "2026-01-31", &["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
    }

    #[test]
    fn weekdays_alone_mean_every_week_and_month_days_every_month() {
        check(&weeks(0, &["tue"]), "2026-01-01", &["2026-01-06", "2026-01-13"]);
        check(&months(0, &["5"]), "2026-01-01", &["2026-01-05", "2026-02-05"]);
    }

    #[test]
    fn a_month_without_day_31_takes_its_last_day_or_none() {
        check(&months(1, &["31"]), "2028-01-01", &["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]);
        check(
            &months(1, &["30", "31"]),
            "2026-01-30",
            &["2026-01-30", "2026-01-31", "2026-02-28", "2026-03-30"],
        );
        check(&skipping(months(1, &["31"])), "2026-01-01", &["2026-01-31", "2026-03-31", "2026-05-31"]);
        check(&skipping(months(1, &["29"])), "2026-01-29", &["2026-01-29", "2026-03-29"]);
        check(&months(1, &["last"]), "2026-01-29", &["2026-01-31", "2026-02-28", "2026-03-31"]);
        check(&skipping(months(1, &["last"])), "2026-01-29", &["2026-01-31", "2026-02-28", "2026-03-31"]);
    }

    #[test]
    fn leap_days_come_every_four_years_or_end_february() {
        check(
            &months(12, &["29"]),
            "2024-02-29",
            &["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        );
        check(&skipping(months(12, &["29"])), "2024-02-29", &["2024-02-29", "2028-02-29", "2032-02-29"]);
        check(&skipping(months(12, &[])), "2096-02-29", &["2096-02-29"]);
    }

    #[test]
    fn numbered_weekdays_of_a_month() {
        check(&months(1, &["2nd tue"]), "2026-01-01", &["2026-01-13", "2026-02-10", "2026-03-10"]);
        check(
            &months(1, &["last fri", "1st mon"]),
            "2026-01-01",
            &["2026-01-05", "2026-01-30", "2026-02-02", "2026-02-27"],
        );
        check(&months(1, &["5th Saturday"]), "2026-01-01", &["2026-01-31", "2026-05-30", "2026-08-29"]);
        check(&months(3, &["LAST  sun"]), "2026-03-01", &["2026-03-29", "2026-06-28", "2026-09-27"]);
    }

    #[test]
    fn several_times_a_day_come_in_order_and_once() {
        let every = Every { days: 1, at: texts(&["18:00", "8:00", "08:00", "08:00:30"]), ..Every::default() };
        let clock = WallClock::new(Rule::Calendar(
            CalendarRule::parse(&every, jiff::civil::date(2026, 1, 1)).unwrap(),
        ));
        let mut wall: DateTime = "2026-01-01T08:00".parse().unwrap();
        for expected in
            ["2026-01-01T08:00:00", "2026-01-01T08:00:30", "2026-01-01T18:00:00", "2026-01-02T08:00:00"]
        {
            wall = clock.at_or_after(wall).unwrap();
            assert_eq!(wall.to_string(), expected);
            wall += SignedDuration::from_secs(1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_nearest_day_is_the_first_that_the_definition_names(
            anchor in 0i64..20_000, distance in -3_000i64..3_000, kind in 0..3, n in 1u32..20,
            weekdays in proptest::collection::vec(0usize..7, 1..4), numbers in proptest::collection::vec(1i8..=31, 1..4), skip: bool,
        ) {
            const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let epoch = jiff::civil::date(1990, 1, 1);
            let anchor = plus_days(epoch, anchor).unwrap();
            let from = plus_days(anchor, distance).unwrap();
            let names: Vec<&str> = weekdays.iter().map(|day| NAMES[*day]).collect();
            let month_days: Vec<String> = numbers.iter().map(i8::to_string).collect();
            let every = match kind {
                0 => days(n),
                1 => weeks(n, &names),
                _ => Every { month_days, short_month: if skip { ShortMonth::Skip } else { ShortMonth::LastDay }, ..months(n, &[]) },
            };
            let Ok(rule) = CalendarRule::parse(&every, anchor) else { return Ok(()) };
            // Counted by walking, day by day, not by arithmetic: weeks turn on Mondays, months on firsts.
            let named = |day: Date| match kind {
                0 => (day - anchor).get_days() % n as i32 == 0,
                1 => {
                    let monday = |day: Date| if day.weekday() == Weekday::Monday { day } else { day.nth_weekday(-1, Weekday::Monday).unwrap() };
                    (monday(day) - monday(anchor)).get_days() % (7 * n as i32) == 0
                        && weekdays.contains(&(day.weekday().to_monday_zero_offset() as usize))
                }
                _ => {
                    let apart = (i32::from(day.year()) - i32::from(anchor.year())) * 12 + i32::from(day.month()) - i32::from(anchor.month());
                    let clipped = !skip && day == day.last_of_month() && numbers.iter().any(|number| *number > day.day());
                    apart % n as i32 == 0 && (numbers.contains(&day.day()) || clipped)
                }
            };
            let (mut after, mut before) = (from, from);
            while !named(after) && after < LAST_DATE { after = after.tomorrow().unwrap(); }
            while !named(before) && before > FIRST_DATE { before = before.yesterday().unwrap(); }
            if named(after) { prop_assert_eq!(rule.day_on_or_after(from), Some(after)); }
            if named(before) { prop_assert_eq!(rule.day_on_or_before(from), Some(before)); }
        }
    }
}
