//! `campanile next`: when a cron expression fires. Needs no server.

use campanile_core::civil_text::{parse_start, parse_zone};
use campanile_core::cron_dialect::CronRule;
use campanile_core::recurrence::Recurrence;
use campanile_core::wall_clock::Rule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::fail::Fail;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub struct NextArgs {
    /// Five fields as in Unix cron, six with leading seconds, or @daily and the like.
    pub expression: String,
    /// Whose wall clock.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    pub zone: String,
    /// After when, exclusive: RFC 3339, or wall-clock time in the zone; now if left out.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
}

pub fn run(args: &NextArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    for line in lines(args, now)? {
        match output.is_json() {
            true => output.line(&json!({ "at": line }).to_string()),
            false => output.line(&line),
        }
    }
    Ok(())
}

/// As many instants as asked, or fewer when the rule ends.
fn lines(args: &NextArgs, now: Timestamp) -> Result<impl Iterator<Item = String>, Fail> {
    let mut wrong = Vec::new();
    let zone = parse_zone(&args.zone).map_err(|e| wrong.push(format!("--zone: {e}"))).ok();
    let rule = CronRule::parse(&args.expression).map_err(|e| wrong.push(format!("expression: {e}"))).ok();
    let from = match (&args.from, &zone) {
        (None, _) => Some(now),
        (Some(text), Some(zone)) => {
            parse_start(text, zone, now).map_err(|e| wrong.push(format!("--from: {e}"))).ok()
        }
        (Some(_), None) => None,
    };
    let (Some(zone), Some(rule), Some(from)) = (zone, rule, from) else {
        return Err(Fail::inputs(wrong));
    };
    // An occurrence right at `from` counts, as one right at a campaign's start does.
    let after = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
    let recurrence = Recurrence::new(Rule::Cron(rule), zone.clone());
    let mut last = after;
    let occurrences = std::iter::from_fn(move || {
        last = recurrence.next(last, 0)?;
        Some(last)
    });
    Ok(occurrences.take(args.count as usize).map(move |at| rfc_3339(at, &zone)))
}

/// With the zone's offset; in UTC where that offset is not whole minutes (before zones were made), which RFC 3339 cannot say.
fn rfc_3339(at: Timestamp, zone: &TimeZone) -> String {
    let zone = if zone.to_offset(at).seconds() % 60 == 0 { zone.clone() } else { TimeZone::UTC };
    at.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(expression: &str, zone: &str, from: Option<&str>, count: u32) -> NextArgs {
        NextArgs {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
            from: from.map(str::to_owned),
            count,
        }
    }

    fn check(expression: &str, zone: &str, from: &str, expected: &[&str]) {
        let args = args(expression, zone, Some(from), expected.len() as u32);
        let found: Vec<String> =
            lines(&args, Timestamp::UNIX_EPOCH).unwrap_or_else(|f| panic!("{f:?}")).collect();
        assert_eq!(found, expected, "{expression}");
    }

    #[test]
    fn instants_are_told_with_the_zone_s_own_offset() {
        let days = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
        check("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", &days);
        check("0 9 * * 1", "UTC", "2026-11-24T00:00:00Z", &["2026-11-30T09:00:00+00:00"]);
        check(
            "*/20 * * * * *",
            "UTC",
            "2026-11-24T00:00:01Z",
            &["2026-11-24T00:00:20+00:00", "2026-11-24T00:00:40+00:00"],
        );
        check(
            "@daily",
            "Asia/Kolkata",
            "2026-01-01",
            &["2026-01-01T00:00:00+05:30", "2026-01-02T00:00:00+05:30"],
        );
    }

    #[test]
    fn an_occurrence_right_at_the_beginning_counts() {
        check(
            "0 9 * * *",
            "UTC",
            "2026-11-24T09:00",
            &["2026-11-24T09:00:00+00:00", "2026-11-25T09:00:00+00:00"],
        );
        check("0 9 * * *", "UTC", "2026-11-24T09:00:01", &["2026-11-25T09:00:00+00:00"]);
    }

    #[test]
    fn a_rule_that_ends_gives_fewer() {
        let args = args("0 0 1 1 *", "UTC", Some("9990-01-01"), 1_000);
        let found: Vec<String> =
            lines(&args, Timestamp::UNIX_EPOCH).unwrap_or_else(|f| panic!("{f:?}")).collect();
        assert!(found.len() < 12, "{found:?}");
    }

    #[test]
    fn an_offset_that_rfc_3339_cannot_say_is_told_in_utc() {
        let zone = TimeZone::get("Africa/Monrovia").unwrap();
        let at: Timestamp = "1960-01-01T12:44:30Z".parse().unwrap();
        assert_eq!(rfc_3339(at, &zone), "1960-01-01T12:44:30+00:00");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let fail = lines(&args("0 0 30 2 *", "Europe/Berlim", None, 1), Timestamp::UNIX_EPOCH).err().unwrap();
        assert_eq!((fail.code, fail.lines.len()), (2, 2), "{fail:?}");
        let fail = lines(&args("0 9 * * *", "UTC", Some("soon"), 1), Timestamp::UNIX_EPOCH).err().unwrap();
        assert!(fail.code == 2 && fail.lines[0].starts_with("--from: "), "{fail:?}");
    }
}
