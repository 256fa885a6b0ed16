//! Pure. Durations as people write them: `90s`, `15m`, `1h30m`, `30d`, `1w`.
//!
//! `m` is minutes and `d` is 24 hours; months and years have no fixed length and are refused.
//! Fractions are for seconds only (`1.5s`), as in the JSON form of a protobuf duration.

use std::time::Duration;

/// Unit letter and seconds, largest first: the order they are written in.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
/// Ten thousand years, what a protobuf duration holds.
const SECONDS_MAX: u64 = 315_576_000_000;
const EXAMPLE: &str = "write it like 90s, 15m, 1h30m, 30d or 1w";

/// Reads a duration; the error says what would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err(format!("a duration is missing: {EXAMPLE}"));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut units_left = &UNITS[..];
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| c.is_alphabetic());
        if number.is_empty() {
            return Err(format!("{text:?} is not a duration: {EXAMPLE}"));
        }
        if unit.is_empty() {
            let hint = if after.is_empty() { "needs a unit at its end" } else { "is not a duration" };
            return Err(format!("{text:?} {hint}: {EXAMPLE}"));
        }
        let Some(place) = units_left.iter().position(|(name, _)| *name == unit) else {
            return Err(wrong_unit(text, unit));
        };
        total = part(number, units_left[place].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("{text:?} is not a duration: {EXAMPLE}"))?;
        units_left = &units_left[place + 1..];
        rest = after;
    }
    if total > Duration::from_secs(SECONDS_MAX) {
        return Err(format!("{text:?} is longer than 10,000 years"));
    }
    Ok(total)
}

/// The shortest text that `parse` reads back as the same duration.
pub fn show(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    let mut text = String::new();
    for (unit, length) in UNITS {
        // Whole weeks only: 30 days are `30d`, not `4w2d`.
        let fits = unit != "w" || seconds.is_multiple_of(length);
        if unit != "s" && fits && seconds >= length {
            text += &format!("{}{unit}", seconds / length);
            seconds %= length;
        }
    }
    let nanos = duration.subsec_nanos();
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        text += &format!("{seconds}.{}s", fraction.trim_end_matches('0'));
    } else if seconds > 0 || text.is_empty() {
        text += &format!("{seconds}s");
    }
    text
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn part(number: &str, unit_seconds: u64) -> Option<Duration> {
    let Some((whole, fraction)) = number.split_once('.') else {
        return Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit_seconds)?));
    };
    let digits = 1..=9;
    if unit_seconds != 1 || !digits.contains(&fraction.len()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

fn wrong_unit(text: &str, unit: &str) -> String {
    let known = UNITS.iter().any(|(name, _)| *name == unit);
    match unit {
        _ if known => format!("{text:?}: units go from large to small, each once, as in 1d12h"),
        "mo" | "M" | "month" | "months" | "y" | "Y" | "year" | "years" => {
            format!("{text:?}: months and years have no fixed length, write days, as in 30d")
        }
        _ => format!("{text:?}: unknown unit {unit:?}, the units are w, d, h, m (minutes) and s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: f64, shown: &str) {
        let duration = parse(text).unwrap();
        assert_eq!(duration, Duration::from_secs_f64(seconds), "{text}");
        assert_eq!(show(duration), shown, "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let fault = parse(text).unwrap_err();
        assert!(fault.contains(expected), "{text:?} gave {fault:?}, expected {expected:?}");
    }

    #[test]
    fn units_are_seconds_minutes_hours_days_and_weeks() {
        check("90s", 90.0, "1m30s");
        check("15m", 900.0, "15m");
        check("2h", 7_200.0, "2h");
        check("1h30m", 5_400.0, "1h30m");
        check("30d", 2_592_000.0, "30d");
        check("1w", 604_800.0, "1w");
        check("7d", 604_800.0, "1w");
        check("1w1d", 691_200.0, "8d");
        check("24h", 86_400.0, "1d");
        check("0s", 0.0, "0s");
        check("0d", 0.0, "0s");
        check("1.5s", 1.5, "1.5s");
        check("0.25s", 0.25, "0.25s");
        check("1m0.5s", 60.5, "1m0.5s");
    }

    #[test]
    fn a_wrong_duration_says_what_would_be_right() {
        check_refused("", "missing");
        check_refused("30", "needs a unit");
        check_refused("d", "not a duration");
        check_refused("-5m", "not a duration");
        check_refused("1 h", "not a duration");
        check_refused("1h 30m", "not a duration");
        check_refused("1.5h", "not a duration");
        check_refused("1.s", "not a duration");
        check_refused("1.0000000001s", "not a duration");
        check_refused("1..5s", "not a duration");
        check_refused("30m1h", "large to small");
        check_refused("1h1h", "large to small");
        check_refused("2months", "no fixed length");
        check_refused("1y", "no fixed length");
        check_refused("30D", "unknown unit \"D\"");
        check_refused("５m", "not a duration");
        check_refused("99999999999w", "10,000 years");
        check_refused("99999999999999999999s", "not a duration");
        check_refused("18446744073709551615w", "not a duration");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(seconds in 0..=SECONDS_MAX - 1, nanos in prop_oneof![Just(0), 0u32..1_000_000_000]) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[0-9.wdhms ]{0,12}|\\PC{0,8}") {
            let _ = parse(&text);
        }
    }
}
