//! Pure. Calendar rules: every N days, every N weeks on weekdays, every N months on days of the month, at times of day.
//! `every` counts from an anchor date, the campaign's start; weeks begin on Monday.
//!
//! Answers with days and times of a wall clock; `clock_changes` makes instants of them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::{Date, Time, Weekday};

use crate::fault::{Faults, quoted};
use crate::limits::{
    EVERY_DAYS_MAX, EVERY_N_DAYS_MAX, EVERY_N_MONTHS_MAX, EVERY_N_WEEKS_MAX, EVERY_TIMES_MAX,
};
use crate::wall_clock::{FIRST_DATE, LAST_DATE};

/// A calendar rule as its author wrote it: one of `days`, `weeks`, `months`, and at least one time of day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Every {
    pub days: u32,
    pub weeks: u32,
    pub months: u32,
    /// `mon` or `monday`, with `weeks`; none is the anchor's own.
    pub weekdays: Vec<String>,
    /// `1` to `31`, `last`, `2nd tue`, `last fri`, with `months`; none is the anchor's own.
    pub month_days: Vec<String>,
    /// `08:00` or `08:00:30`.
    pub at: Vec<String>,
    pub short_month: ShortMonth,
}

/// What becomes of day 31 in a month that has 30. A fifth Tuesday that a month lacks is always skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortMonth {
    #[default]
    LastDay,
    Skip,
}

/// A calendar rule that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarRule {
    anchor: Date,
    days: Days,
    times: BTreeSet<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    Daily { every: i64 },
    Weekly { every: i64, weekdays: Vec<Weekday> },
    Monthly { every: i64, days: Vec<MonthDay>, short_month: ShortMonth },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MonthDay {
    Number(i8),
    Last,
    /// 1 to 5, or -1 for the last one.
    Nth(i8, Weekday),
}

impl CalendarRule {
    /// Checks `every`; all its faults at once, their fields relative to it (`at[1]`).
    pub fn parse(every: &Every, anchor: Date) -> Result<CalendarRule, Faults> {
        let mut faults = Faults::default();
        let weekdays =
            read_list("weekdays", "weekday", &every.weekdays, EVERY_DAYS_MAX, read_weekday, &mut faults);
        let month_days =
            read_list("month_days", "day", &every.month_days, EVERY_DAYS_MAX, read_month_day, &mut faults);
        let times = read_list("at", "time", &every.at, EVERY_TIMES_MAX, read_time, &mut faults);
        if every.at.is_empty() {
            faults.add("at", "give at least one time of day, such as 08:00");
        }
        let days = read_days(every, weekdays, month_days, anchor, &mut faults);
        let rule = match days {
            Some(days) if faults.is_empty() => {
                CalendarRule { anchor, days, times: times.into_iter().collect() }
            }
            _ => return Err(faults),
        };
        if rule.day_on_or_after(anchor).is_none() {
            let field = if every.month_days.is_empty() { "months" } else { "month_days" };
            faults.add(field, format!("no such day ever comes after {anchor}"));
        }
        faults.or(rule)
    }

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

/// Reads each text of a list; a fault is filed under its index.
fn read_list<T>(
    field: &str,
    noun: &str,
    texts: &[String],
    most: usize,
    read: fn(&str) -> Result<T, String>,
    faults: &mut Faults,
) -> Vec<T> {
    if texts.len() > most {
        faults.add(field, format!("at most {most} {noun}s, this has {}", texts.len()));
        return Vec::new();
    }
    let mut read_ones = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match read(text.trim()) {
            Ok(one) => read_ones.push(one),
            Err(fault) => faults.add(format!("{field}[{i}]"), fault),
        }
    }
    read_ones
}

/// Which of the three kinds of rule it is. `weekdays` alone means every week, `month_days` alone every month.
fn read_days(
    every: &Every,
    weekdays: Vec<Weekday>,
    month_days: Vec<MonthDay>,
    anchor: Date,
    faults: &mut Faults,
) -> Option<Days> {
    for (field, n, most) in [
        ("days", every.days, EVERY_N_DAYS_MAX),
        ("weeks", every.weeks, EVERY_N_WEEKS_MAX),
        ("months", every.months, EVERY_N_MONTHS_MAX),
    ] {
        if n > most {
            faults.add(field, format!("at most {most}, this is {n}"));
        }
    }
    let (on_weekdays, on_month_days) = (!every.weekdays.is_empty(), !every.month_days.is_empty());
    let days = match (every.days, every.weeks, every.months) {
        (1.., 0, 0) => Days::Daily { every: every.days.into() },
        (0, 1.., 0) => {
            Days::Weekly { every: every.weeks.into(), weekdays: or_own(weekdays, anchor.weekday()) }
        }
        (0, 0, 0) if on_weekdays && !on_month_days => Days::Weekly { every: 1, weekdays },
        (0, 0, 1..) => Days::Monthly {
            every: every.months.into(),
            days: or_own(month_days, MonthDay::Number(anchor.day())),
            short_month: every.short_month,
        },
        (0, 0, 0) if on_month_days && !on_weekdays => {
            Days::Monthly { every: 1, days: month_days, short_month: every.short_month }
        }
        (0, 0, 0) => {
            faults.add("days", "say one of days, weeks or months, such as days: 1");
            return None;
        }
        _ => {
            faults.add("days", "say only one of days, weeks and months");
            return None;
        }
    };
    if on_weekdays && !matches!(days, Days::Weekly { .. }) {
        faults.add("weekdays", "only with weeks; in a month write month_days such as \"2nd tue\"");
    }
    if on_month_days && !matches!(days, Days::Monthly { .. }) {
        faults.add("month_days", "only with months");
    }
    Some(days)
}

fn or_own<T>(listed: Vec<T>, own: T) -> Vec<T> {
    if listed.is_empty() { vec![own] } else { listed }
}

fn read_weekday(text: &str) -> Result<Weekday, String> {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let named = |name: &&str| name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text);
    let at = NAMES.iter().position(|name| named(&name));
    at.and_then(|at| Weekday::from_monday_zero_offset(at as i8).ok())
        .ok_or_else(|| format!("{} is not a weekday, use mon, tue, wed, thu, fri, sat or sun", quoted(text)))
}

fn read_month_day(text: &str) -> Result<MonthDay, String> {
    const NTH: [&str; 6] = ["last", "1st", "2nd", "3rd", "4th", "5th"];
    let wrong = || {
        format!("{} is not a day of a month, use 1 to 31, last, \"2nd tue\" or \"last fri\"", quoted(text))
    };
    if text.eq_ignore_ascii_case("last") {
        return Ok(MonthDay::Last);
    }
    if let Some((nth, weekday)) = text.split_once(char::is_whitespace) {
        let nth = NTH.iter().position(|known| known.eq_ignore_ascii_case(nth)).ok_or_else(wrong)?;
        let weekday = read_weekday(weekday.trim()).map_err(|_| wrong())?;
        return Ok(MonthDay::Nth(if nth == 0 { -1 } else { nth as i8 }, weekday));
    }
    match text.parse() {
        Ok(number @ 1..=31) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(MonthDay::Number(number)),
        _ => Err(wrong()),
    }
}

fn read_time(text: &str) -> Result<Time, String> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let mut numbers = text.split(':').map_while(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (numbers.next(), numbers.next(), numbers.next());
    let time = match shape.as_str() {
        "00:00" | "0:00" | "00:00:00" | "0:00:00" => {
            Time::new(hour.unwrap_or(-1), minute.unwrap_or(-1), second.unwrap_or(0), 0).ok()
        }
        _ => None,
    };
    time.ok_or_else(|| format!("{} is not a time of day, write 00:00 to 23:59, or 08:00:30", quoted(text)))
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

    fn check_faults(every: &Every, expected: &[(&str, &str)]) {
        let faults = CalendarRule::parse(every, jiff::civil::date(2026, 1, 31)).expect_err("faults");
        let found: Vec<(&str, &str)> =
            faults.0.iter().map(|fault| (fault.field.as_str(), fault.text.as_str())).collect();
        assert_eq!(found, expected, "{every:?}");
    }

    #[test]
    fn all_faults_come_at_once_with_their_fields() {
        let one = "say one of days, weeks or months, such as days: 1";
        check_faults(
            &Every::default(),
            &[("at", "give at least one time of day, such as 08:00"), ("days", one)],
        );
        let crowded = Every {
            weekdays: texts(&["mon", "funday"]),
            month_days: texts(&["32", "0", "6th tue", "2nd foo", "+1", "last"]),
            at: texts(&["24:00", "08:60", "8", "\0", "08:00:00:00", "8.30", "-1:00", "08:00"]),
            ..days(1)
        };
        let faults = CalendarRule::parse(&crowded, jiff::civil::date(2026, 1, 1)).expect_err("faults");
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "weekdays[1]",
                "month_days[0]",
                "month_days[1]",
                "month_days[2]",
                "month_days[3]",
                "month_days[4]",
                "at[0]",
                "at[1]",
                "at[2]",
                "at[3]",
                "at[4]",
                "at[5]",
                "at[6]",
                "weekdays",
                "month_days",
            ]
        );
        check_faults(
            &Every { at: texts(&["25:00"]), ..days(1) },
            &[("at[0]", "\"25:00\" is not a time of day, write 00:00 to 23:59, or 08:00:30")],
        );
        check_faults(
            &weeks(1, &["xx"]),
            &[("weekdays[0]", "\"xx\" is not a weekday, use mon, tue, wed, thu, fri, sat or sun")],
        );
        check_faults(
            &months(1, &["é"]),
            &[(
                "month_days[0]",
                "\"é\" is not a day of a month, use 1 to 31, last, \"2nd tue\" or \"last fri\"",
            )],
        );
        check_faults(&Every { weeks: 1, ..days(1) }, &[("days", "say only one of days, weeks and months")]);
        check_faults(&days(u32::MAX), &[("days", "at most 36525, this is 4294967295")]);
        check_faults(
            &Every { at: texts(&["08:00"; 10_000]), ..days(1) },
            &[("at", "at most 288 times, this has 10000")],
        );
    }

    #[test]
    fn a_rule_that_never_happens_is_refused() {
        let february = jiff::civil::date(2026, 2, 1);
        let faults = CalendarRule::parse(&skipping(months(12, &["30"])), february).expect_err("never");
        assert_eq!(faults.to_string(), "month_days: no such day ever comes after 2026-02-01");
        assert!(CalendarRule::parse(&days(1), jiff::civil::date(2101, 1, 1)).is_err());
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

        #[test]
        fn no_text_panics(text in "\\PC{0,20}|[0-9:]{0,8}|(last|[0-9][a-z]{2}) [a-z]{0,9}") {
            let every = Every { days: 1, weekdays: vec![text.clone()], month_days: vec![text.clone()], at: vec![text], ..Every::default() };
            let _ = CalendarRule::parse(&every, jiff::civil::date(2026, 1, 1));
        }
    }
}
