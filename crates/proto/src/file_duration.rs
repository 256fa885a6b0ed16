//! Pure. Durations as people write them in a campaign file: `90s`, `15m`, `2h`, `3d`, `1w`, `1h30m`.
//! `m` is minutes and `d` is 24 hours; proto3 JSON's own form (`1.5s`) is read as well.

use prost_types::Duration;

const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// The longest duration proto3 JSON has: about 10,000 years.
const SECONDS_MAX: i64 = 315_576_000_000;

/// Reads a duration.
///
/// # Errors
/// What would be right.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    let duration = units(text).or_else(|| text.parse().ok());
    match duration {
        Some(duration) if duration.seconds.abs() <= SECONDS_MAX => Ok(duration),
        Some(_) => Err(format!("{text} is too long")),
        None if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            Err(format!("a duration needs a unit: {text}s, {text}m, {text}h or {text}d"))
        }
        None => Err(format!("{text} is no duration: write it like 90s, 15m, 2h, 3d, 1w or 1h30m")),
    }
}

/// Writes a duration so that [`read`] gives it back, in days and smaller units.
pub(crate) fn write(duration: &Duration) -> String {
    if duration.nanos != 0 || duration.seconds < 0 {
        return duration.to_string();
    }
    let mut left = duration.seconds;
    let mut written = String::new();
    for (unit, seconds) in UNITS.into_iter().skip(1) {
        if left / seconds > 0 {
            written.push_str(&format!("{}{unit}", left / seconds));
            left %= seconds;
        }
    }
    if written.is_empty() { "0s".to_owned() } else { written }
}

/// Whole numbers with units, each unit once and the larger before the smaller.
fn units(text: &str) -> Option<Duration> {
    let mut seconds: i64 = 0;
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(at)?;
        let unit = after.chars().next()?;
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(*size)?)?;
        rest = after.get(1..)?;
    }
    (!text.is_empty()).then_some(Duration { seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let check = |text: &str, seconds: i64| {
            assert_eq!(read(text), Ok(Duration { seconds, nanos: 0 }), "{text}");
        };
        check("90s", 90);
        check("15m", 900);
        check("2h", 7_200);
        check("3d", 259_200);
        check("1w", 604_800);
        check("1h30m", 5_400);
        check("1w2d3h4m5s", 604_800 + 2 * 86_400 + 3 * 3_600 + 245);
        check("0s", 0);
        check("-5s", -5);
        assert_eq!(read("1.5s"), Ok(Duration { seconds: 1, nanos: 500_000_000 }));
    }

    #[test]
    fn what_is_no_duration_is_answered_with_what_would_be_right() {
        let check = |text: &str, expected: &str| {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check("5", "needs a unit: 5s");
        check("", "no duration");
        check("soon", "no duration");
        check("30m1h", "no duration");
        check("1h1h", "no duration");
        check("1y", "no duration");
        check("h", "no duration");
        check("99999999999999999w", "no duration");
        check("999999999999s", "too long");
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(seconds in -SECONDS_MAX..SECONDS_MAX, nanos in 0..1_000_000_000i32) {
            let nanos = if seconds < 0 { -nanos } else { nanos };
            let duration = Duration { seconds, nanos };
            prop_assert_eq!(read(&write(&duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,20}|[0-9.wdhms+-]{0,30}") {
            let _ = read(&text);
        }
    }
}
