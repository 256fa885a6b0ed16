//! `campanile next`: when a cron expression fires. Needs no server.

use campanile_core::civil_text::{parse_start, parse_zone};
use campanile_core::cron_dialect::CronRule;
use campanile_core::recurrence::Recurrence;
use campanile_core::wall_clock::Rule;
use jiff::Timestamp;

use crate::cli::NextArgs;
use crate::fail::Fail;
use crate::output::Output;

pub fn run(args: &NextArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    for line in lines(args, now)? {
        output.line(&line);
    }
    Ok(())
}

/// As many instants as asked, or fewer when the rule ends.
fn lines(args: &NextArgs, now: Timestamp) -> Result<Vec<String>, Fail> {
    let mut wrong = Vec::new();
    let zone = parse_zone(&args.zone).map_err(|e| wrong.push(format!("--zone: {e}"))).ok();
    let rule = CronRule::parse(&args.expression).map_err(|e| wrong.push(format!("expression: {e}"))).ok();
    let from = match (&args.from, &zone) {
        (Some(text), Some(zone)) => parse_start(text, zone, now).map_err(|e| wrong.push(format!("--from: {e}"))).ok(),
        _ => Some(now),
    };
    let (Some(zone), Some(rule), Some(from)) = (zone, rule, from) else {
        return Err(Fail { code: 2, lines: wrong });
    };
    let recurrence = Recurrence::new(Rule::Cron(rule), zone.clone());
    let found = recurrence.occurrences(from, 0).take(args.count as usize);
    Ok(found.map(|at| at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, zone: &str, from: &str, expected: &[&str]) {
        let args = NextArgs {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
            from: Some(from.to_owned()),
            count: expected.len().max(1) as u32,
        };
        assert_eq!(lines(&args, Timestamp::UNIX_EPOCH).unwrap(), expected);
    }

    #[test]
    fn instants_are_told_in_the_zone_s_own_offset() {
        let days = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
        check("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", &days);
        check("0 9 * * 1", "UTC", "2026-11-24T00:00:00Z", &["2026-11-30T09:00:00+00:00"]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let args = NextArgs {
            expression: "0 0 30 2 *".to_owned(),
            zone: "Europe/Berlim".to_owned(),
            from: None,
            count: 1,
        };
        let fail = lines(&args, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((fail.code, fail.lines.len()), (2, 2), "{fail:?}");
    }
}
