//! Pure. A recurring delivery as its author wrote it, read into a `Recurrence` in one zone: all its faults at once.
//!
//! Where each user has a zone of their own, the same text is read again in each: start, end and times follow that
//! zone's clock.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar::CalendarRule;
use crate::civil_text::{parse_date, parse_end, parse_start};
use crate::cron_dialect::CronRule;
use crate::draft::{self, Recurring};
use crate::fault::Faults;
use crate::limits::SKIP_DATES_MAX;
use crate::recurrence::Recurrence;
use crate::wall_clock::{OnSkipDate, Rule, WallClock};

/// Reads `written` on `zone`'s clock. `since` is what `now` means in it, and where `every` counts from when no start is
/// given; to read the same schedule again, hand in the same `since`.
pub fn read_recurring(written: &Recurring, zone: &TimeZone, since: Timestamp) -> Result<Recurrence, Faults> {
    let mut faults = Faults::default();
    let start = read_bound("start", &written.start, &mut faults, |text| parse_start(text, zone, since));
    let end = read_bound("end", &written.end, &mut faults, |text| parse_end(text, zone, since));
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        faults.add("end", "lies before the start");
    }
    let anchor = zone.to_datetime(start.unwrap_or(since)).date();
    let rule = read_rule(written, anchor, &mut faults);
    let skip_dates = read_skip_dates(&written.skip_dates, &mut faults);
    let rule = match rule {
        Some(rule) if faults.is_empty() => rule,
        _ => return Err(faults),
    };
    let max_occurrences = (written.max_occurrences > 0).then_some(written.max_occurrences);
    let on_skip_date = match written.on_skip_date {
        draft::OnSkipDate::Skip => OnSkipDate::Skip,
        draft::OnSkipDate::NextAllowedDay => OnSkipDate::NextAllowedDay,
    };
    let clock = WallClock { rule, skip_dates, on_skip_date };
    let recurrence = Recurrence { clock, zone: zone.clone(), start, end, max_occurrences };
    if recurrence.next(since, 0).is_none() {
        let field = if end.is_some() { "end" } else { "skip_dates" };
        faults.add(
            field,
            "nothing is left to happen: no occurrence lies between start and end that is not skipped",
        );
    }
    faults.or(recurrence)
}

fn read_rule(written: &Recurring, anchor: Date, faults: &mut Faults) -> Option<Rule> {
    match (&written.every, written.cron.as_str()) {
        (Some(every), "") => match CalendarRule::parse(every, anchor) {
            Ok(rule) => Some(Rule::Calendar(rule)),
            Err(found) => {
                found
                    .0
                    .into_iter()
                    .for_each(|fault| faults.add(format!("every.{}", fault.field), fault.text));
                None
            }
        },
        (Some(_), _) => {
            faults.add("cron", "say either cron or every, not both");
            None
        }
        (None, "") => {
            faults.add(
                "cron",
                "say when: cron such as \"0 9 * * mon\", or every such as {days: 1, at: \"09:00\"}",
            );
            None
        }
        (None, text) => CronRule::parse(text).map_err(|fault| faults.add("cron", fault)).ok().map(Rule::Cron),
    }
}

fn read_bound(
    field: &str,
    text: &str,
    faults: &mut Faults,
    read: impl Fn(&str) -> Result<Timestamp, String>,
) -> Option<Timestamp> {
    if text.is_empty() { None } else { read(text).map_err(|fault| faults.add(field, fault)).ok() }
}

fn read_skip_dates(texts: &[String], faults: &mut Faults) -> BTreeSet<Date> {
    if texts.len() > SKIP_DATES_MAX {
        faults.add("skip_dates", format!("at most {SKIP_DATES_MAX} dates, this has {}", texts.len()));
        return BTreeSet::new();
    }
    let mut dates = BTreeSet::new();
    for (i, text) in texts.iter().enumerate() {
        match parse_date(text) {
            Ok(day) => drop(dates.insert(day)),
            Err(fault) => faults.add(format!("skip_dates[{i}]"), fault),
        }
    }
    dates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Every;

    fn read(written: &Recurring) -> Result<Recurrence, Faults> {
        let since = "2026-03-01T12:00Z".parse().unwrap();
        read_recurring(written, &TimeZone::get("Europe/Berlin").unwrap(), since)
    }

    fn check(written: &Recurring, expected: &str) {
        let recurrence = read(written).unwrap_or_else(|faults| panic!("{faults}"));
        let found: Vec<String> = recurrence
            .occurrences("2026-01-01T00:00Z".parse().unwrap(), 0)
            .take(expected.split(' ').count())
            .map(|at| at.to_zoned_datetime(recurrence.zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string())
            .collect();
        assert_eq!(found.join(" "), expected);
    }

    fn check_faults(written: &Recurring, expected: &[&str]) {
        let faults = read(written).expect_err("faults");
        let found: Vec<String> =
            faults.0.iter().map(|fault| format!("{}: {}", fault.field, fault.text)).collect();
        assert_eq!(found, expected);
    }

    fn cron(text: &str) -> Recurring {
        Recurring { cron: text.into(), ..Recurring::default() }
    }

    fn daily() -> Recurring {
        let every = Every { days: 2, at: vec!["09:00".into()], ..Every::default() };
        Recurring { every: Some(every), ..Recurring::default() }
    }

    #[test]
    fn every_part_of_a_recurring_delivery_is_read() {
        let written = Recurring {
            start: "2026-05-01".into(),
            end: "2026-05-09".into(),
            max_occurrences: 3,
            skip_dates: vec!["2026-05-03".into(), "2026-05-07".into()],
            on_skip_date: draft::OnSkipDate::NextAllowedDay,
            ..daily()
        };
        check(&written, "2026-05-01T09:00 2026-05-04T09:00 2026-05-05T09:00");
        let all = Recurring { max_occurrences: 0, ..written };
        check(&all, "2026-05-01T09:00 2026-05-04T09:00 2026-05-05T09:00 2026-05-08T09:00 2026-05-09T09:00");
        assert_eq!(read(&all).unwrap().occurrences(Timestamp::UNIX_EPOCH, 0).count(), 5);
        check(
            &Recurring { start: "2026-03-29T02:30".into(), ..cron("30 2 * * *") },
            "2026-03-29T03:00 2026-03-30T02:30",
        );
    }

    #[test]
    fn without_a_start_every_counts_from_the_campaigns_own_day() {
        let recurrence = read(&daily()).unwrap();
        let next = recurrence.next("2026-03-02T00:00Z".parse().unwrap(), 0);
        assert_eq!(next, Some("2026-03-03T08:00Z".parse().unwrap()));
    }

    #[test]
    fn a_start_in_the_past_is_no_fault() {
        assert!(read(&Recurring { start: "2020-01-01".into(), ..cron("0 9 * * *") }).is_ok());
    }

    #[test]
    fn all_faults_come_at_once_with_their_fields() {
        check_faults(
            &Recurring::default(),
            &["cron: say when: cron such as \"0 9 * * mon\", or every such as {days: 1, at: \"09:00\"}"],
        );
        check_faults(
            &Recurring { cron: "@daily".into(), ..daily() },
            &["cron: say either cron or every, not both"],
        );
        let crowded = Recurring {
            every: Some(Every { days: 1, at: vec!["8".into()], ..Every::default() }),
            start: "soon".into(),
            end: "2026-02-30".into(),
            skip_dates: vec!["2026-12-25".into(), "xmas".into()],
            ..Recurring::default()
        };
        check_faults(
            &crowded,
            &[
                "start: \"soon\" is not a point in time, write 2026-12-01T09:00, or 2026-12-01T09:00:00+01:00, or now",
                "end: \"2026-02-30\" is not in the calendar or on the clock",
                "every.at[0]: \"8\" is not a time of day, write 00:00 to 23:59, or 08:00:30",
                "skip_dates[1]: \"xmas\" is not a date, write 2026-12-01",
            ],
        );
        check_faults(
            &Recurring { skip_dates: vec!["x".into(); 10_000], ..daily() },
            &["skip_dates: at most 1000 dates, this has 10000"],
        );
    }

    #[test]
    fn a_schedule_with_nothing_left_to_happen_is_refused() {
        let backwards = Recurring { start: "2026-05-02".into(), end: "2026-05-01".into(), ..daily() };
        check_faults(&backwards, &["end: lies before the start"]);
        let nothing =
            "nothing is left to happen: no occurrence lies between start and end that is not skipped";
        let no_monday =
            Recurring { start: "2026-05-05".into(), end: "2026-05-10".into(), ..cron("0 9 * * mon") };
        check_faults(&no_monday, &[&format!("end: {nothing}")]);
        let over = Recurring { end: "2025-12-31".into(), ..cron("0 9 * * *") };
        check_faults(&over, &[&format!("end: {nothing}")]);
        check_faults(&Recurring { start: "2025-01-01".into(), ..over }, &[&format!("end: {nothing}")]);
        check_faults(
            &cron("0 0 30 2 *"),
            &["cron: no such day ever comes: day-of-month 30, month 2, day-of-week *"],
        );
    }
}
