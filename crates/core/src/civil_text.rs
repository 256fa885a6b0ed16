//! Pure. Points in time and zones as authors write them: `now`, wall-clock text in the delivery's zone, text with an offset;
//! `Europe/Berlin`. Answers with instants, or with an error that says what would be right.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock_changes::first_instant;
use crate::fault::quoted;

/// Longest zone name that is looked up; the longest there is has 32 bytes.
const ZONE_NAME_BYTES_MAX: usize = 64;

/// Reads `now`, `2026-12-01T09:00` or `2026-12-01 09:00:30` on `zone`'s clock, or `2026-12-01T09:00:00+01:00`. A
/// time inside a gap is the first instant after it, one inside an overlap its first pass.
pub fn parse_instant(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    match read(text)? {
        Written::Now => Ok(now),
        Written::Instant(at) => Ok(at),
        Written::Wall(wall) => first_instant(zone, wall).ok_or_else(|| out_of_range(text)),
        Written::Day(_) => Err(format!("{} lacks a time of day, write it as 2026-12-01T09:00", quoted(text))),
    }
}

/// Reads a start: as `parse_instant`, and a date alone is the first instant of that day.
pub fn parse_start(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    match read(text)? {
        Written::Day(day) => start_of(day, zone).ok_or_else(|| out_of_range(text)),
        _ => parse_instant(text, zone, now),
    }
}

/// Reads an end, the last instant that counts: as `parse_instant`, and a date alone is the last millisecond of that day.
pub fn parse_end(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    match read(text)? {
        Written::Day(day) => {
            let next_day = day.tomorrow().ok().and_then(|next| start_of(next, zone));
            let last = next_day.and_then(|at| at.checked_sub(SignedDuration::from_millis(1)).ok());
            last.ok_or_else(|| out_of_range(text))
        }
        _ => parse_instant(text, zone, now),
    }
}

/// Reads `2026-12-01`.
pub fn parse_date(text: &str) -> Result<Date, String> {
    match read(text) {
        Ok(Written::Day(day)) => Ok(day),
        Ok(_) => Err(format!("{} is more than a date, write 2026-12-01", quoted(text))),
        Err(_) => Err(format!("{} is not a date, write 2026-12-01", quoted(text))),
    }
}

/// Reads wall-clock text that is still to meet its zone: `2026-12-01T09:00`.
pub fn parse_wall(text: &str) -> Result<DateTime, String> {
    match read(text)? {
        Written::Wall(wall) => Ok(wall),
        _ => Err(format!(
            "{} is not a wall-clock time, write 2026-12-01T09:00 without an offset",
            quoted(text)
        )),
    }
}

/// Looks an IANA zone up. The error names the nearest zone there is.
pub fn parse_zone(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Err("a time zone is missing, write one such as Europe/Berlin".to_owned());
    }
    if name.len() > ZONE_NAME_BYTES_MAX {
        return Err(format!("{} is not a time zone, write one such as Europe/Berlin", quoted(name)));
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let nearest = nearest_zone(name).unwrap_or_else(|| "Europe/Berlin".to_owned());
    Err(format!("{} is not a known time zone, did you mean {nearest}", quoted(name)))
}

/// The known zone whose name, or its last part (`Berlin`), is nearest.
fn nearest_zone(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let likeness = |zone: &str| {
        let zone = zone.to_lowercase();
        let city = zone.rsplit('/').next().unwrap_or(&zone);
        // A city alone counts a little less than the whole name as near.
        strsim::jaro_winkler(&wanted, &zone).max(strsim::jaro_winkler(&wanted, city) * 0.99)
    };
    let zones = jiff::tz::db().available().map(|zone| zone.to_string());
    zones.max_by(|a, b| likeness(a).total_cmp(&likeness(b)).then_with(|| b.cmp(a)))
}

enum Written {
    Now,
    Day(Date),
    Wall(DateTime),
    Instant(Timestamp),
}

/// Looks at the shape first: the parser of jiff reads far more than authors are promised.
fn read(text: &str) -> Result<Written, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(Written::Now);
    }
    if text.len() > 40 {
        return Err(unreadable(text));
    }
    let shape: String =
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() }).collect();
    let shape = shape.replacen(' ', "T", 1);
    let written = if shape == "0000-00-00" {
        text.parse().map(Written::Day)
    } else if matches!(shape.as_str(), "0000-00-00T00:00" | "0000-00-00T00:00:00") {
        text.parse().map(Written::Wall)
    } else if has_offset(&shape) {
        text.parse().map(Written::Instant)
    } else {
        return Err(unreadable(text));
    };
    written.map_err(|_| format!("{} is not in the calendar or on the clock", quoted(text)))
}

/// RFC 3339, seconds optional.
fn has_offset(shape: &str) -> bool {
    let local = shape
        .strip_suffix('Z')
        .or_else(|| shape.strip_suffix("+00:00"))
        .or_else(|| shape.strip_suffix("-00:00"));
    let Some(local) = local else { return false };
    let local = match local.split_once('.') {
        Some((whole, fraction))
            if (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b == b'0') =>
        {
            whole
        }
        Some(_) => return false,
        None => return matches!(local, "0000-00-00T00:00" | "0000-00-00T00:00:00"),
    };
    local == "0000-00-00T00:00:00"
}

fn unreadable(text: &str) -> String {
    format!(
        "{} is not a point in time, write 2026-12-01T09:00, or 2026-12-01T09:00:00+01:00, or now",
        quoted(text)
    )
}

fn out_of_range(text: &str) -> String {
    format!("{} is too far from today", quoted(text))
}

fn start_of(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    first_instant(zone, day.to_datetime(jiff::civil::Time::midnight()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&str, &TimeZone, Timestamp) -> Result<Timestamp, String>;

    fn check(read: Reader, zone: &str, text: &str, expected: &str) {
        let now: Timestamp = "2026-06-01T12:00:00.5Z".parse().unwrap();
        let found = read(text, &TimeZone::get(zone).unwrap(), now).map(|at| at.to_string());
        assert_eq!(found.unwrap_or_else(|error| error), expected, "{text:?}");
    }

    #[test]
    fn an_instant_is_now_civil_or_has_an_offset() {
        let check = |text, expected| check(parse_instant, "Europe/Berlin", text, expected);
        check("now", "2026-06-01T12:00:00.5Z");
        check(" NOW ", "2026-06-01T12:00:00.5Z");
        check("2026-12-01T09:00", "2026-12-01T08:00:00Z");
        check("2026-12-01t09:00:30", "2026-12-01T08:00:30Z");
        check("2026-07-01 09:00", "2026-07-01T07:00:00Z");
        check("2026-12-01T09:00Z", "2026-12-01T09:00:00Z");
        check("2026-12-01 09:00:00z", "2026-12-01T09:00:00Z");
        check("2026-12-01T09:00:00.25+05:30", "2026-12-01T03:30:00.25Z");
        check("2026-12-01T09:00-08:00", "2026-12-01T17:00:00Z");
        // Gap and overlap.
        check("2026-03-29T02:30", "2026-03-29T01:00:00Z");
        check("2026-10-25T02:30", "2026-10-25T00:30:00Z");
        check("2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z");
    }

    #[test]
    fn a_date_alone_is_a_day_for_starts_and_ends_only() {
        check(
            parse_instant,
            "UTC",
            "2026-12-01",
            "\"2026-12-01\" lacks a time of day, write it as 2026-12-01T09:00",
        );
        check(parse_start, "Europe/Berlin", "2026-12-01", "2026-11-30T23:00:00Z");
        check(parse_end, "Europe/Berlin", "2026-12-01", "2026-12-01T22:59:59.999Z");
        check(parse_end, "Europe/Berlin", "2026-12-01T09:00", "2026-12-01T08:00:00Z");
        // Days that begin after a gap, or never came.
        check(parse_start, "America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z");
        check(parse_end, "America/Sao_Paulo", "2018-11-03", "2018-11-04T02:59:59.999Z");
        check(parse_end, "Pacific/Apia", "2011-12-29", "2011-12-30T09:59:59.999Z");
        check(parse_end, "Pacific/Apia", "2011-12-30", "2011-12-30T09:59:59.999Z");
    }

    #[test]
    fn what_is_no_point_in_time_says_how_to_write_one() {
        let check = |text: &str| {
            let quoted = quoted(text);
            let expected = format!(
                "{quoted} is not a point in time, write 2026-12-01T09:00, or 2026-12-01T09:00:00+01:00, or now"
            );
            check(parse_instant, "UTC", text, &expected);
        };
        for text in [
            "",
            "tomorrow",
            "2026",
            "2026-12",
            "09:00",
            "1764576000",
            "2026-12-1T9:00",
            "20261201T0900",
            "2026-12-01T09",
            "2026-12-01T09:00:00.5",
            "2026-12-01T09:00+0100",
            "2026-12-01T09:00.5Z",
            "2026-12-01T09:00:00.Z",
            "2026-12-01T09:00:00+01:00[Europe/Berlin]",
            "+002026-12-01T09:00",
            "2026-12-01T09:00\0",
            "２０２６-12-01T09:00",
        ] {
            check(text);
        }
        let long = "9".repeat(10_000);
        let error = parse_instant(&long, &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.len() < 200, "{error}");
    }

    #[test]
    fn a_day_the_calendar_lacks_is_named() {
        for text in [
            "2026-02-30T09:00",
            "2025-02-29",
            "2026-13-01T09:00",
            "2026-12-01T24:00",
            "2026-12-01T09:60Z",
            "2026-12-01T09:00+99:00",
        ] {
            check(parse_start, "UTC", text, &format!("\"{text}\" is not in the calendar or on the clock"));
        }
        check(parse_end, "UTC", "9999-12-31", "\"9999-12-31\" is too far from today");
    }

    #[test]
    fn dates_and_walls_are_only_that() {
        assert_eq!(parse_date("2026-12-25"), Ok(jiff::civil::date(2026, 12, 25)));
        assert_eq!(
            parse_date("2026-12-25T00:00").unwrap_err(),
            "\"2026-12-25T00:00\" is more than a date, write 2026-12-01"
        );
        assert_eq!(parse_date("xmas").unwrap_err(), "\"xmas\" is not a date, write 2026-12-01");
        assert_eq!(parse_wall("2026-12-25 09:00"), Ok(jiff::civil::date(2026, 12, 25).at(9, 0, 0, 0)));
        assert!(parse_wall("2026-12-25T09:00Z").is_err());
    }

    #[test]
    fn zones_are_known_by_name_and_the_nearest_is_offered() {
        for (name, iana) in
            [("Europe/Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("UTC", "UTC")]
        {
            assert_eq!(parse_zone(name).unwrap().iana_name(), Some(iana));
        }
        for (name, nearest) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("Amercia/New_York", "America/New_York"),
            ("new york", "America/New_York"),
        ] {
            let expected = format!("{name:?} is not a known time zone, did you mean {nearest}");
            assert_eq!(parse_zone(name).unwrap_err(), expected);
        }
        for name in [
            "",
            "\0",
            "Europe/\u{1f600}",
            &"x".repeat(10_000),
            "+02:00",
            "../../etc/passwd",
            "EST5EDT4,M3.2.0,M11.1.0",
        ] {
            assert!(parse_zone(name).is_err(), "{name:?}");
        }
    }
}
