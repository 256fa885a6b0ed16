//! Pure. Points in time found in attributes and properties: RFC 3339 text, Unix numbers, plain dates.
//!
//! A plain date is that day in whatever zone is asked about: where one side is a plain date, days are compared.
//! Anything else names no time, and a condition about it does not match.

use std::cmp::Ordering;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Unix numbers from here on are milliseconds: as seconds this is the year 5138, as milliseconds March 1973.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// A point in time as somebody wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeValue {
    Instant(Timestamp),
    /// A plain date: the whole day, in the zone asked about.
    Day(Date),
}

impl TimeValue {
    /// Text or number; nothing else names a time.
    pub fn read(value: &Value) -> Option<TimeValue> {
        match value {
            Value::String(text) => TimeValue::read_text(text),
            Value::Number(number) => match number.as_i64() {
                Some(unix) => TimeValue::read_unix(unix),
                None if number.is_f64() => number.as_f64().and_then(TimeValue::read_unix_fraction),
                None => None,
            },
            _ => None,
        }
    }

    /// `2026-12-01T09:00:00+01:00` (RFC 3339, always with an offset or `Z`) or `2026-12-01`.
    pub fn read_text(text: &str) -> Option<TimeValue> {
        match text.len() {
            10 if is_date(text.as_bytes()) => text.parse().ok().map(TimeValue::Day),
            20.. if is_rfc_3339(text.as_bytes()) => text.parse().ok().map(TimeValue::Instant),
            _ => None,
        }
    }

    /// Seconds, or milliseconds, by size.
    pub fn read_unix(unix: i64) -> Option<TimeValue> {
        let instant = if (-MILLISECONDS_FROM + 1..MILLISECONDS_FROM).contains(&unix) {
            Timestamp::from_second(unix)
        } else {
            Timestamp::from_millisecond(unix)
        };
        instant.ok().map(TimeValue::Instant)
    }

    /// As `read_unix`, with a fraction.
    pub fn read_unix_fraction(unix: f64) -> Option<TimeValue> {
        let seconds = if unix.abs() < MILLISECONDS_FROM as f64 { unix } else { unix / 1_000.0 };
        let duration = SignedDuration::try_from_secs_f64(seconds).ok()?;
        Timestamp::from_duration(duration).ok().map(TimeValue::Instant)
    }

    /// The day it falls on in `zone`.
    pub fn day(self, zone: &TimeZone) -> Date {
        match self {
            TimeValue::Instant(at) => zone.to_datetime(at).date(),
            TimeValue::Day(date) => date,
        }
    }

    /// Which is earlier. `zone` is asked for only where an instant meets a plain date.
    pub fn compare<'z>(self, other: TimeValue, zone: impl FnOnce() -> &'z TimeZone) -> Ordering {
        match (self, other) {
            (TimeValue::Instant(a), TimeValue::Instant(b)) => a.cmp(&b),
            (TimeValue::Day(a), TimeValue::Day(b)) => a.cmp(&b),
            (a, b) => {
                let zone = zone();
                a.day(zone).cmp(&b.day(zone))
            }
        }
    }

    /// Whether `today` is its day of the year, whatever the year. 29 February is kept on the 28th in common years.
    pub fn is_anniversary(self, today: Date, zone: &TimeZone) -> bool {
        let day = self.day(zone);
        let leap_day = day.month() == 2 && day.day() == 29 && !today.in_leap_year();
        (day.month(), if leap_day { 28 } else { day.day() }) == (today.month(), today.day())
    }
}

fn is_date(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() })
}

/// The shape only; the parser behind it is more generous (hours alone, zone names) than the contract.
fn is_rfc_3339(text: &[u8]) -> bool {
    let clock = |part: &[u8]| {
        part.iter().enumerate().all(|(i, b)| if i % 3 == 2 { *b == b':' } else { b.is_ascii_digit() })
    };
    let (Some(date), Some(t), Some(time), Some(rest)) =
        (text.get(..10), text.get(10), text.get(11..19), text.get(19..))
    else {
        return false;
    };
    let (fraction, offset) = match rest {
        [fraction @ .., b'Z' | b'z'] => (fraction, &b"00:00"[..]),
        [fraction @ .., b'+' | b'-', _, _, _, _, _] => (fraction, &rest[rest.len() - 5..]),
        _ => return false,
    };
    let fraction_fits = match fraction {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_date(date) && matches!(t, b'T' | b't' | b' ') && clock(time) && clock(offset) && fraction_fits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<&str>) {
        let shown = TimeValue::read(&value).map(|time| match time {
            TimeValue::Instant(at) => at.to_string(),
            TimeValue::Day(date) => date.to_string(),
        });
        assert_eq!(shown.as_deref(), expected, "{value}");
    }

    #[test]
    fn rfc_3339_text_is_an_instant() {
        check(json!("2026-12-01T09:00:00Z"), Some("2026-12-01T09:00:00Z"));
        check(json!("2026-12-01T09:00:00+01:00"), Some("2026-12-01T08:00:00Z"));
        check(json!("2026-12-01t09:00:00.25z"), Some("2026-12-01T09:00:00.25Z"));
        check(json!("2026-12-01 09:00:00.123456789-05:30"), Some("2026-12-01T14:30:00.123456789Z"));
        check(json!("2016-12-31T23:59:60Z"), Some("2016-12-31T23:59:59Z"));
    }

    #[test]
    fn a_plain_date_is_a_day() {
        check(json!("2026-12-01"), Some("2026-12-01"));
        check(json!("2024-02-29"), Some("2024-02-29"));
        check(json!("2026-02-29"), None);
        check(json!("2026-13-01"), None);
    }

    #[test]
    fn unix_numbers_are_seconds_or_milliseconds_by_size() {
        check(json!(0), Some("1970-01-01T00:00:00Z"));
        check(json!(1_700_000_000), Some("2023-11-14T22:13:20Z"));
        check(json!(1_700_000_000_123i64), Some("2023-11-14T22:13:20.123Z"));
        check(json!(1_700_000_000.5), Some("2023-11-14T22:13:20.5Z"));
        check(json!(1_700_000_000_500.0), Some("2023-11-14T22:13:20.5Z"));
        check(json!(99_999_999_999i64), Some("5138-11-16T09:46:39Z"));
        check(json!(100_000_000_000i64), Some("1973-03-03T09:46:40Z"));
        check(json!(-86_400), Some("1969-12-31T00:00:00Z"));
        check(json!(-200_000_000_000i64), Some("1963-08-31T04:26:40Z"));
    }

    #[test]
    fn anything_else_names_no_time() {
        for text in
            ["", "soon", "1700000000", "2026-12-01T09:00:00", "2026-12-01T09:00Z", "2026-12-01T09+01:00"]
        {
            check(json!(text), None);
        }
        for text in
            ["20261201", "2026-12-1", "2026-12-01T09:00:00+01:00[Europe/Berlin]", "2026-12-01T25:00:00Z"]
        {
            check(json!(text), None);
        }
        for text in
            ["2026-12-01T09:00:00.Z", "2026-12-01T09:00:00+0100", "２０２６-12-01", "2026-12-01T09:00:00é"]
        {
            check(json!(text), None);
        }
        for value in
            [json!(null), json!(true), json!([]), json!({}), json!(i64::MAX), json!(u64::MAX), json!(1e300)]
        {
            check(value, None);
        }
    }

    #[test]
    fn a_plain_date_is_that_day_in_the_zone_asked_about() {
        let order = |a: &str, b: &str, zone: &str| {
            let zone = TimeZone::get(zone).unwrap();
            TimeValue::read_text(a).unwrap().compare(TimeValue::read_text(b).unwrap(), || &zone)
        };
        let evening = "2026-12-01T23:30:00Z";
        assert_eq!(order(evening, "2026-12-01", "UTC"), Ordering::Equal);
        assert_eq!(order(evening, "2026-12-01", "Europe/Berlin"), Ordering::Greater);
        assert_eq!(order("2026-12-02", evening, "UTC"), Ordering::Greater);
        assert_eq!(order("2026-12-02", evening, "Asia/Tokyo"), Ordering::Equal);
        assert_eq!(order("2026-12-01", "2026-12-02", "UTC"), Ordering::Less);
        assert_eq!(order("2026-12-01T10:00:00+01:00", "2026-12-01T09:00:00Z", "UTC"), Ordering::Equal);
    }

    #[test]
    fn the_29th_of_february_is_kept_on_the_28th_in_common_years() {
        let kept = |born: &str, today: &str| {
            TimeValue::read_text(born).unwrap().is_anniversary(today.parse().unwrap(), &TimeZone::UTC)
        };
        assert!(kept("2000-02-29", "2026-02-28"));
        assert!(!kept("2000-02-29", "2024-02-28"));
        assert!(kept("2000-02-29", "2024-02-29"));
        assert!(kept("2000-02-28", "2024-02-28"));
        assert!(kept("1999-12-31", "2026-12-31"));
        assert!(!kept("1999-12-31", "2026-12-30"));
        assert!(kept("1999-12-31T23:30:00Z", "2026-12-31"));
    }
}
