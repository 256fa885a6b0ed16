//! Pure. The reading of a calendar rule: `every` N days, weeks or months, weekdays, days of the month, times of day.
//! All faults at once, each saying what would be right. `calendar` has the arithmetic.

use jiff::civil::{Date, Time, Weekday};

use crate::calendar::{CalendarRule, Days, MonthDay};
use crate::draft::Every;
use crate::fault::{Faults, quoted};
use crate::limits::{
    EVERY_DAYS_MAX, EVERY_N_DAYS_MAX, EVERY_N_MONTHS_MAX, EVERY_N_WEEKS_MAX, EVERY_TIMES_MAX,
};

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
            let field = if every.month_days.is_empty() { "days" } else { "month_days" };
            faults.add(field, format!("no such day ever comes after {anchor}"));
        }
        faults.or(rule)
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

pub(crate) fn read_weekday(text: &str) -> Result<Weekday, String> {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let named = |name: &str| name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text);
    let at = NAMES.iter().position(|name| named(name));
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

pub(crate) fn read_time(text: &str) -> Result<Time, String> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::draft::ShortMonth;

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
        fn no_text_panics(text in "\\PC{0,20}|[0-9:]{0,8}|(last|[0-9][a-z]{2}) [a-z]{0,9}") {
            let every = Every { days: 1, weekdays: vec![text.clone()], month_days: vec![text.clone()], at: vec![text], ..Every::default() };
            let _ = CalendarRule::parse(&every, jiff::civil::date(2026, 1, 1));
        }
    }
}
