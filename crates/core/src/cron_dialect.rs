//! Pure. The cron dialect of an author: five fields as Unix writes them, six with leading seconds, `@daily` and its
//! kin. Reads the text, refuses what can never happen, and asks the `cron` crate, in that crate's own dialect, for
//! the days and the times of day that match.
//!
//! Nothing outside this file knows that crate. It never sees a zone either: it is asked on a clock without
//! changes (`clock_changes` maps wall clock to instants), which is where it is right.

use std::sync::Arc;

use chrono::{DateTime as CronTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};
use cron::Schedule;
use jiff::civil::{Date, Time};

use crate::clock_changes::Passes;
use crate::cron_field::{DAY, Field, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, read_field};
use crate::fault::quoted;
use crate::limits::CRON_BYTES_MAX;
use crate::wall_clock::{FIRST_DATE, LAST_DATE};

/// A cron expression that can happen; cheap to clone, one for each zone of the users.
#[derive(Clone, Debug)]
pub struct CronRule {
    text: String,
    /// Days, at midnight. Two of them when either day field suffices.
    days: Arc<[Schedule]>,
    /// Times of day, on every day.
    times: Arc<Schedule>,
    passes: Passes,
}

impl CronRule {
    /// Reads `minute hour day-of-month month day-of-week`, the same after a `second` field, or `@hourly`, `@daily`,
    /// `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`. The error names the field and what it may hold.
    pub fn parse(text: &str) -> Result<CronRule, String> {
        if text.len() > CRON_BYTES_MAX {
            return Err(format!(
                "a cron expression has at most {CRON_BYTES_MAX} bytes, this one has {}",
                text.len()
            ));
        }
        let text = text.trim();
        let fields = read_fields(unfold_nickname(text)?)?;
        let [second, minute, hour, day, month, weekday] = &fields;

        let times = Arc::new(schedule(&format!("{second} {minute} {hour} * * *"))?);
        // Vixie's rule: a day field that begins with `*` restricts the other, two that do not widen one another.
        let days = if day.starred || weekday.starred {
            vec![schedule(&format!("0 0 0 {day} {month} {weekday}"))?]
        } else {
            vec![
                schedule(&format!("0 0 0 {day} {month} *"))?,
                schedule(&format!("0 0 0 * {month} {weekday}"))?,
            ]
        };
        let passes = if minute.starred || hour.starred { Passes::Every } else { Passes::First };
        let rule = CronRule { text: text.to_owned(), days: days.into(), times, passes };
        if rule.day_on_or_after(FIRST_DATE).is_none() {
            return Err(format!(
                "no such day ever comes: day-of-month {}, month {}, day-of-week {}",
                day.text, month.text, weekday.text
            ));
        }
        Ok(rule)
    }

    /// The expression as its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn passes(&self) -> Passes {
        self.passes
    }

    pub(crate) fn day_on_or_after(&self, day: Date) -> Option<Date> {
        let from = cron_midnight(day.clamp(FIRST_DATE, LAST_DATE))? - chrono::Duration::seconds(1);
        self.days.iter().filter_map(|days| civil_day(days.after(&from).next()?)).min()
    }

    pub(crate) fn day_on_or_before(&self, day: Date) -> Option<Date> {
        let until = cron_midnight(day.clamp(FIRST_DATE, LAST_DATE))? + chrono::Duration::seconds(1);
        self.days.iter().filter_map(|days| civil_day(days.after(&until).next_back()?)).max()
    }

    pub(crate) fn time_on_or_after(&self, time: Time) -> Option<Time> {
        let from = on_some_day(time)? - chrono::Duration::seconds(1);
        civil_time(self.times.after(&from).next()?)
    }

    pub(crate) fn time_on_or_before(&self, time: Time) -> Option<Time> {
        let until = on_some_day(time)? + chrono::Duration::seconds(1);
        civil_time(self.times.after(&until).next_back()?)
    }
}

/// The five fields each nickname stands for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

fn unfold_nickname(text: &str) -> Result<&str, String> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let found = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, fields)| *fields).ok_or_else(|| {
        let known: Vec<&str> = NICKNAMES.iter().map(|(name, _)| *name).collect();
        format!("{} is not known, use one of {}", quoted(text), known.join(", "))
    })
}

fn read_fields(text: &str) -> Result<[Field<'_>; 6], String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match parts.as_slice() {
        [second, rest @ ..] if rest.len() == 5 => (*second, rest),
        rest => ("0", rest),
    };
    let [minute, hour, day, month, weekday] = rest else {
        return Err(format!(
            "a cron expression has 5 fields (minute hour day-of-month month day-of-week) or 6 (second first), \
             this one has {}",
            parts.len()
        ));
    };
    Ok([
        read_field(&SECOND, second)?,
        read_field(&MINUTE, minute)?,
        read_field(&HOUR, hour)?,
        read_field(&DAY, day)?,
        read_field(&MONTH, month)?,
        read_field(&WEEKDAY, weekday)?,
    ])
}

fn schedule(text: &str) -> Result<Schedule, String> {
    text.parse().map_err(|error| format!("{text} is not a cron expression: {error}"))
}

fn cron_midnight(day: Date) -> Option<CronTime<Utc>> {
    let day = NaiveDate::from_ymd_opt(day.year().into(), day.month() as u32, day.day() as u32)?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

fn civil_day(at: CronTime<Utc>) -> Option<Date> {
    Date::new(at.year() as i16, at.month() as i8, at.day() as i8).ok()
}

/// Times of day are asked on this day; an answer on another one means there is none.
const SOME_DAY: Date = jiff::civil::date(2000, 1, 2);

fn on_some_day(time: Time) -> Option<CronTime<Utc>> {
    let seconds = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(cron_midnight(SOME_DAY)? + chrono::Duration::seconds(seconds))
}

fn civil_time(at: CronTime<Utc>) -> Option<Time> {
    if at.day() != SOME_DAY.day() as u32 {
        return None;
    }
    Time::new(at.hour() as i8, at.minute() as i8, at.second() as i8, 0).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::wall_clock::{Rule, WallClock};

    /// The first matching wall-clock times at or after `from`.
    fn check(text: &str, from: &str, expected: &[&str]) {
        let rule = CronRule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let clock = WallClock::new(Rule::Cron(rule));
        let mut found: Vec<String> = Vec::new();
        let mut wall: DateTime = from.parse().unwrap();
        while found.len() < expected.len() {
            let Some(next) = clock.at_or_after(wall) else { break };
            found.push(next.to_string());
            wall = next + jiff::SignedDuration::from_secs(1);
        }
        let expected: Vec<String> =
            expected.iter().map(|text| text.parse::<DateTime>().unwrap().to_string()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_form_of_a_field_is_read() {
        // 2026-01-01 is a Thursday.
        let new_year = "2026-01-01T00:00";
        check("* * * * *", new_year, &["2026-01-01T00:00", "2026-01-01T00:01"]);
        check("5 * * * *", new_year, &["2026-01-01T00:05", "2026-01-01T01:05"]);
        check("05 09 01 02 *", new_year, &["2026-02-01T09:05"]);
        check(
            "0 9-11 * * *",
            new_year,
            &["2026-01-01T09:00", "2026-01-01T10:00", "2026-01-01T11:00", "2026-01-02T09:00"],
        );
        check(
            "*/25 0 * * *",
            new_year,
            &["2026-01-01T00:00", "2026-01-01T00:25", "2026-01-01T00:50", "2026-01-02T00:00"],
        );
        check("40/10 0 * * *", new_year, &["2026-01-01T00:40", "2026-01-01T00:50", "2026-01-02T00:40"]);
        check(
            "10-30/10 0 * * *",
            new_year,
            &["2026-01-01T00:10", "2026-01-01T00:20", "2026-01-01T00:30", "2026-01-02T00:10"],
        );
        check(
            "7,3,5-6 0 1 1 *",
            new_year,
            &[
                "2026-01-01T00:03",
                "2026-01-01T00:05",
                "2026-01-01T00:06",
                "2026-01-01T00:07",
                "2027-01-01T00:03",
            ],
        );
        check(
            "0 0 1 FEB,apr-Jun,december *",
            new_year,
            &[
                "2026-02-01T00:00",
                "2026-04-01T00:00",
                "2026-05-01T00:00",
                "2026-06-01T00:00",
                "2026-12-01T00:00",
            ],
        );
        check("\t0  9 *\t* 1 ", new_year, &["2026-01-05T09:00"]);
        check("0 0 1-31 * *", new_year, &["2026-01-01T00:00", "2026-01-02T00:00"]);
        check("59 23 31 12 *", new_year, &["2026-12-31T23:59", "2027-12-31T23:59"]);
    }

    #[test]
    fn zero_and_seven_are_sunday_and_one_is_monday() {
        let new_year = "2026-01-01T00:00";
        for sunday in ["0", "7", "sun", "SUNDAY", "0,7", "*/7"] {
            check(&format!("0 9 * * {sunday}"), new_year, &["2026-01-04T09:00", "2026-01-11T09:00"]);
        }
        for monday in ["1", "mon", "Monday", "1-1"] {
            check(&format!("0 9 * * {monday}"), new_year, &["2026-01-05T09:00", "2026-01-12T09:00"]);
        }
        for weekend in ["6,0", "6-7", "sat-sun", "6-0", "sat,sun", "0,6"] {
            check(
                &format!("0 9 * * {weekend}"),
                new_year,
                &["2026-01-03T09:00", "2026-01-04T09:00", "2026-01-10T09:00"],
            );
        }
        check("0 9 * * 1-5", "2026-01-02T10:00", &["2026-01-05T09:00"]);
        check("0 9 * * 5-7/2", new_year, &["2026-01-02T09:00", "2026-01-04T09:00", "2026-01-09T09:00"]);
        check("0 9 * * 0-7", new_year, &["2026-01-01T09:00", "2026-01-02T09:00"]);
    }

    #[test]
    fn six_fields_begin_with_seconds() {
        let new_year = "2026-01-01T00:00";
        check("30 0 9 * * *", new_year, &["2026-01-01T09:00:30", "2026-01-02T09:00:30"]);
        check(
            "*/20 * * * * *",
            new_year,
            &["2026-01-01T00:00:00", "2026-01-01T00:00:20", "2026-01-01T00:00:40", "2026-01-01T00:01:00"],
        );
        check(
            "58-59 59 23 31 12 *",
            new_year,
            &["2026-12-31T23:59:58", "2026-12-31T23:59:59", "2027-12-31T23:59:58"],
        );
    }

    #[test]
    fn nicknames_stand_for_fields() {
        let from = "2026-03-05T10:30";
        check("@hourly", from, &["2026-03-05T11:00", "2026-03-05T12:00"]);
        check("@daily", from, &["2026-03-06T00:00"]);
        check("@midnight", from, &["2026-03-06T00:00"]);
        check("@Weekly", from, &["2026-03-08T00:00", "2026-03-15T00:00"]);
        check("@monthly", from, &["2026-04-01T00:00"]);
        check("@yearly", from, &["2027-01-01T00:00"]);
        check("@annually", from, &["2027-01-01T00:00"]);
    }

    #[test]
    fn either_day_field_suffices_when_both_are_restricted() {
        check(
            "0 0 13 * 5",
            "2026-02-01T00:00",
            &[
                "2026-02-06T00:00",
                "2026-02-13T00:00",
                "2026-02-20T00:00",
                "2026-02-27T00:00",
                "2026-03-06T00:00",
                "2026-03-13T00:00",
            ],
        );
        check(
            "0 0 1,15 3 wed",
            "2026-01-01T00:00",
            &[
                "2026-03-01T00:00",
                "2026-03-04T00:00",
                "2026-03-11T00:00",
                "2026-03-15T00:00",
                "2026-03-18T00:00",
                "2026-03-25T00:00",
                "2027-03-01T00:00",
            ],
        );
        // One that begins with `*` restricts the other: Vixie's rule looks at the first character alone.
        check(
            "0 0 */2 * 5",
            "2026-02-01T00:00",
            &["2026-02-13T00:00", "2026-02-27T00:00", "2026-03-13T00:00"],
        );
        check(
            "0 0 13 * */5",
            "2026-01-01T00:00",
            &["2026-02-13T00:00", "2026-03-13T00:00", "2026-09-13T00:00"],
        );
        // A full range does not begin with `*`, so it widens.
        check("0 0 1-31 * 5", "2026-02-01T00:00", &["2026-02-01T00:00", "2026-02-02T00:00"]);
    }

    #[test]
    fn leap_days_and_month_ends_come_when_the_calendar_has_them() {
        check("0 0 29 2 *", "2026-01-01T00:00", &["2028-02-29T00:00", "2032-02-29T00:00"]);
        check("0 0 29 2 */7", "2026-01-01T00:00", &["2032-02-29T00:00", "2060-02-29T00:00"]);
        check(
            "0 0 31 * *",
            "2026-01-01T00:00",
            &["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"],
        );
        check("0 0 29 2 *", "2096-03-01T00:00", &[]);
    }

    #[test]
    fn only_the_first_characters_of_minute_and_hour_choose_the_passes() {
        for (text, passes) in [
            ("0 9 * * *", Passes::First),
            ("0-59 0-23 * * *", Passes::First),
            ("* 0 9 * * *", Passes::First),
            ("@daily", Passes::First),
            ("*/5 9 * * *", Passes::Every),
            ("0 * * * *", Passes::Every),
            ("0 */2 * * *", Passes::Every),
            ("0 30 * * * *", Passes::Every),
            ("@hourly", Passes::Every),
        ] {
            assert_eq!(CronRule::parse(text).unwrap().passes(), passes, "{text}");
        }
    }

    #[test]
    fn a_fault_names_the_field_and_what_it_may_hold() {
        let fields = "use 0-59, *, ranges a-b, steps /n and lists with commas";
        for (text, expected) in [
            ("60 * * * *", format!("minute: \"60\" is not allowed; {fields}")),
            ("60 * * * * *", format!("second: \"60\" is not allowed; {fields}")),
            ("99999999999999999999 * * * *", format!("minute: \"99999999999999999999\" is not allowed; {fields}")),
            ("-1 * * * *", format!("minute: a value is missing; {fields}")),
            ("1, * * * *", format!("minute: a value is missing; {fields}")),
            ("+1 * * * *", format!("minute: \"+1\" is not allowed; {fields}")),
            ("\0 * * * *", format!("minute: \"\\0\" is not allowed; {fields}")),
            ("*5 * * * *", format!("minute: \"*5\" is not allowed; {fields}")),
            ("*-5 * * * *", format!("minute: \"*\" is not allowed; {fields}")),
            ("1-2-3 * * * *", format!("minute: \"2-3\" is not allowed; {fields}")),
            ("*/0 * * * *", "minute: \"0\" is not a step, use 1-59 after the slash".into()),
            ("*/90 * * * *", "minute: \"90\" is not a step, use 1-59 after the slash".into()),
            ("*/ * * * *", "minute: \"\" is not a step, use 1-59 after the slash".into()),
            ("*/5/5 * * * *", "minute: \"5/5\" is not a step, use 1-59 after the slash".into()),
            ("0 22-2 * * *", "hour: the range from \"22\" to \"2\" runs backwards, write two ranges with a comma".into()),
            ("0 24 * * *", "hour: \"24\" is not allowed; use 0-23, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 0 * *", "day-of-month: \"0\" is not allowed; use 1-31, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 ? * 1", "day-of-month: `?` is not part of this dialect, write *; use 1-31, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 * 13 *", "month: \"13\" is not allowed; use 1-12 or jan-dec, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 * mars *", "month: \"mars\" is not allowed; use 1-12 or jan-dec, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 * * 8", "day-of-week: \"8\" is not allowed; use 0-7 (0 and 7 are sunday) or sun-sat, *, ranges a-b, steps /n and lists with commas".into()),
            ("0 0 * * 5L", "day-of-week: \"5L\" is not part of this dialect, a calendar rule says \"last\" or \"2nd tue\"; use 0-7 (0 and 7 are sunday) or sun-sat, *, ranges a-b, steps /n and lists with commas".into()),
            ("* * * *", "a cron expression has 5 fields (minute hour day-of-month month day-of-week) or 6 (second first), this one has 4".into()),
            ("0 0 0 1 1 * 2030", "a cron expression has 5 fields (minute hour day-of-month month day-of-week) or 6 (second first), this one has 7".into()),
            ("", "a cron expression has 5 fields (minute hour day-of-month month day-of-week) or 6 (second first), this one has 0".into()),
            ("@reboot", "\"@reboot\" is not known, use one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually".into()),
            ("0 0 30 2 *", "no such day ever comes: day-of-month 30, month 2, day-of-week *".into()),
            ("0 0 31 2,4,jun */2", "no such day ever comes: day-of-month 31, month 2,4,jun, day-of-week */2".into()),
            (&"1,".repeat(5_000), "a cron expression has at most 256 bytes, this one has 10000".into()),
        ] {
            assert_eq!(CronRule::parse(text).map(|rule| rule.text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn what_can_happen_only_by_weekday_is_not_impossible() {
        check("0 0 30 2 1", "2026-01-01T00:00", &["2026-02-02T00:00", "2026-02-09T00:00"]);
    }

    /// Numbers of a field and a text that names them, with a step, a range or a list.
    fn field(low: u32, high: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
        let list = proptest::collection::btree_set(low..=high, 1..4).prop_map(|numbers| {
            let text: Vec<String> = numbers.iter().map(u32::to_string).collect();
            (text.join(","), numbers.into_iter().collect())
        });
        let range = (low..=high, low..=high, 1..=high).prop_map(|(a, b, step)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}/{step}"), (a..=b).step_by(step as usize).collect())
        });
        let star = (1..=high)
            .prop_map(move |step| (format!("*/{step}"), (low..=high).step_by(step as usize).collect()));
        prop_oneof![list, range, star, Just(("*".to_owned(), (low..=high).collect()))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_next_match_is_the_first_second_that_matches_field_by_field(
            second in field(0, 59), minute in field(0, 59), hour in field(0, 23), day in field(1, 31),
            month in field(1, 12), weekday in field(0, 6), from in 1_577_836_800i64..1_893_456_000,
        ) {
            let text =
                [&second, &minute, &hour, &day, &month, &weekday].map(|(text, _)| text.as_str()).join(" ");
            let Ok(rule) = CronRule::parse(&text) else { return Ok(()) };
            let either = !day.0.starts_with('*') && !weekday.0.starts_with('*');
            let day_matches = |date: Date| {
                let by_day = day.1.contains(&(date.day() as u32));
                let by_weekday = weekday.1.contains(&(date.weekday().to_sunday_zero_offset() as u32));
                month.1.contains(&(date.month() as u32)) && if either { by_day || by_weekday } else { by_day && by_weekday }
            };
            let date = jiff::Timestamp::from_second(from).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
            let mut expected = date;
            while !day_matches(expected) && expected <= LAST_DATE { expected = expected.tomorrow().unwrap(); }
            prop_assert_eq!(rule.day_on_or_after(date), (expected <= LAST_DATE).then_some(expected), "{}", text);
            let mut expected = date;
            while !day_matches(expected) && expected >= FIRST_DATE { expected = expected.yesterday().unwrap(); }
            prop_assert_eq!(rule.day_on_or_before(date), (expected >= FIRST_DATE).then_some(expected), "{}", text);

            let time_matches = |s: &i64| {
                let has = |field: &(String, Vec<u32>), n: i64| field.1.contains(&(n as u32));
                has(&hour, s / 3_600) && has(&minute, s / 60 % 60) && has(&second, s % 60)
            };
            let time_of = |s: i64| Time::new((s / 3_600) as i8, (s / 60 % 60) as i8, (s % 60) as i8, 0).unwrap();
            let of_day = from.rem_euclid(86_400);
            prop_assert_eq!(rule.time_on_or_after(time_of(of_day)), (of_day..86_400).find(time_matches).map(time_of), "{}", text);
            prop_assert_eq!(rule.time_on_or_before(time_of(of_day)), (0..=of_day).rev().find(time_matches).map(time_of), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[0-9*/,\\- @a-z]{0,40}|(([0-9*/,-]{1,6}|[a-z]{3}) ){4,6}") {
            let _ = CronRule::parse(&text);
        }
    }
}
