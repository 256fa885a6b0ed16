//! Pure. Wall clock to instants and back, around clock changes.
//!
//! Two ways to do it, Debian cron's: a time that is *given* fires once, at the first instant after the gap that swallows
//! it and at the first pass of an overlap; a time that is *matched* (a wildcard) fires whenever the wall clock shows
//! it, so never in a gap and twice in an overlap. The zone is always a parameter.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::wall_clock::WallClock;

/// Which of the instants that show a wall-clock time fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// One: the first pass of an overlap, the first instant after a gap.
    First,
    /// All there are.
    Every,
}

/// What a zone's clock makes of one wall-clock time.
enum Reading {
    Once(Timestamp),
    /// An overlap, walls from `fold_start` up to but not including `fold_end`.
    Twice {
        first: Timestamp,
        second: Timestamp,
        fold_start: DateTime,
        fold_end: DateTime,
    },
    /// A gap, walls from `gap_start` up to but not including `gap_end`, which shows at `change_at`.
    Never {
        change_at: Timestamp,
        gap_start: DateTime,
        gap_end: DateTime,
    },
}

/// When `wall` comes in `zone`: its first pass, or the first instant after the gap it lies in. `None` only at the
/// ends of time.
pub fn first_instant(zone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    Some(match read(zone, wall)? {
        Reading::Once(at) | Reading::Twice { first: at, .. } | Reading::Never { change_at: at, .. } => at,
    })
}

/// The first instant after `after` at which a schedule fires.
pub(crate) fn next_instant(clock: &WallClock, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let after = whole_second(after)?;
    let shown = zone.to_datetime(after);
    let following = one_second_later(shown)?;
    match (clock.passes(), read(zone, shown)?) {
        (Passes::First, Reading::Twice { second, fold_end, .. }) if after >= second => {
            // The second pass repeats what has fired already.
            first_instant(zone, clock.at_or_after(fold_end)?)
        }
        (Passes::First, _) => first_instant(zone, clock.at_or_after(following)?),
        (Passes::Every, Reading::Twice { second, fold_start, fold_end, .. }) if after < second => {
            let still_first = clock.at_or_after(following).filter(|wall| *wall < fold_end);
            let wall = still_first.or_else(|| clock.at_or_after(fold_start))?;
            next_shown(clock, zone, wall, after)
        }
        (Passes::Every, _) => next_shown(clock, zone, clock.at_or_after(following)?, after),
    }
}

/// The last instant at or before `at` at which a schedule fires.
pub(crate) fn last_instant(clock: &WallClock, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    let at = whole_second(at)?;
    let shown = zone.to_datetime(at);
    match (clock.passes(), read(zone, shown)?) {
        (Passes::First, Reading::Twice { second, fold_end, .. }) if at >= second => {
            first_instant(zone, clock.at_or_before(one_second_earlier(fold_end)?)?)
        }
        (Passes::First, _) => first_instant(zone, clock.at_or_before(shown)?),
        (Passes::Every, Reading::Twice { second, fold_start, fold_end, .. }) if at >= second => {
            let this_pass = clock.at_or_before(shown).filter(|wall| *wall >= fold_start);
            let wall = this_pass.or_else(|| clock.at_or_before(one_second_earlier(fold_end)?))?;
            last_shown(clock, zone, wall, at)
        }
        (Passes::Every, _) => last_shown(clock, zone, clock.at_or_before(shown)?, at),
    }
}

/// The first instant after `after` that shows `wall` or a later time of the schedule. Each turn crosses a gap.
fn next_shown(clock: &WallClock, zone: &TimeZone, mut wall: DateTime, after: Timestamp) -> Option<Timestamp> {
    loop {
        match read(zone, wall)? {
            Reading::Once(at) => return Some(at),
            Reading::Twice { first, second, .. } => return Some(if first > after { first } else { second }),
            Reading::Never { gap_end, .. } => wall = clock.at_or_after(gap_end)?,
        }
    }
}

/// The last instant at or before `at` that shows `wall` or an earlier time of the schedule.
fn last_shown(clock: &WallClock, zone: &TimeZone, mut wall: DateTime, at: Timestamp) -> Option<Timestamp> {
    loop {
        match read(zone, wall)? {
            Reading::Once(instant) => return Some(instant),
            Reading::Twice { first, second, .. } => return Some(if second <= at { second } else { first }),
            Reading::Never { gap_start, .. } => wall = clock.at_or_before(one_second_earlier(gap_start)?)?,
        }
    }
}

fn read(zone: &TimeZone, wall: DateTime) -> Option<Reading> {
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some(Reading::Once(offset.to_timestamp(wall).ok()?)),
        AmbiguousOffset::Fold { before, after } => {
            let (first, second) = (before.to_timestamp(wall).ok()?, after.to_timestamp(wall).ok()?);
            let change_at = change_to(zone, first, after)?;
            let (fold_start, fold_end) = (after.to_datetime(change_at), before.to_datetime(change_at));
            Some(Reading::Twice { first, second, fold_start, fold_end })
        }
        AmbiguousOffset::Gap { before, after } => {
            let just_before = after.to_timestamp(wall).ok()?;
            let change_at = change_to(zone, just_before, after)?;
            let (gap_start, gap_end) = (before.to_datetime(change_at), after.to_datetime(change_at));
            Some(Reading::Never { change_at, gap_start, gap_end })
        }
    }
}

/// The change to `offset` that comes after `since`. A zone may also change its name alone in between.
fn change_to(zone: &TimeZone, since: Timestamp, offset: Offset) -> Option<Timestamp> {
    zone.following(since).take(4).find(|change| change.offset() == offset).map(|change| change.timestamp())
}

/// Rounds down to whole seconds: schedules know no smaller ones.
fn whole_second(at: Timestamp) -> Option<Timestamp> {
    let below = if at.subsec_nanosecond() < 0 { 1 } else { 0 };
    Timestamp::from_second(at.as_second() - below).ok()
}

fn one_second_later(wall: DateTime) -> Option<DateTime> {
    wall.checked_add(SignedDuration::from_secs(1)).ok()
}

fn one_second_earlier(wall: DateTime) -> Option<DateTime> {
    wall.checked_sub(SignedDuration::from_secs(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::CalendarRule;
    use crate::cron_dialect::CronRule;
    use crate::draft::Every;
    use crate::wall_clock::Rule;

    /// A cron expression, or `daily` and times of day for a calendar rule.
    fn clock(rule: &str) -> WallClock {
        WallClock::new(match rule.strip_prefix("daily ") {
            None => Rule::Cron(CronRule::parse(rule).unwrap()),
            Some(times) => {
                let every =
                    Every { days: 1, at: times.split(' ').map(str::to_owned).collect(), ..Every::default() };
                Rule::Calendar(CalendarRule::parse(&every, jiff::civil::date(2000, 1, 1)).unwrap())
            }
        })
    }

    /// The occurrences after `after`, walked forwards and then backwards.
    fn check(zone: &str, rule: &str, after: &str, expected: &str) {
        let (clock, zone) = (clock(rule), TimeZone::get(zone).unwrap());
        let after: Timestamp = after.parse().unwrap();
        let show = |at: Timestamp| {
            let shown = at.to_zoned_datetime(zone.clone());
            shown
                .strftime(if shown.second() == 0 { "%Y-%m-%dT%H:%M%:z" } else { "%Y-%m-%dT%H:%M:%S%:z" })
                .to_string()
        };
        let forwards: Vec<Timestamp> =
            std::iter::successors(next_instant(&clock, &zone, after), |at| next_instant(&clock, &zone, *at))
                .take(expected.split(' ').count())
                .collect();
        assert_eq!(forwards.iter().map(|at| show(*at)).collect::<Vec<_>>().join(" "), expected, "{rule}");
        for (i, at) in forwards.iter().enumerate() {
            assert_eq!(last_instant(&clock, &zone, *at), Some(*at), "{rule}: is its own latest");
            let before = last_instant(&clock, &zone, *at - SignedDuration::from_nanos(1)).unwrap();
            match i.checked_sub(1).and_then(|i| forwards.get(i)) {
                Some(expected) => assert_eq!(before, *expected, "{rule}: the one before {}", show(*at)),
                None => assert!(before <= after, "{rule}: {} lies between", show(before)),
            }
        }
    }

    #[test]
    fn a_given_time_in_a_gap_fires_once_at_the_first_instant_after_it() {
        let berlin = "Europe/Berlin";
        let march = "2026-03-28T00:00+01:00";
        for rule in ["30 2 * * *", "0 30 2 * * *", "daily 02:30"] {
            check(
                berlin,
                rule,
                march,
                "2026-03-28T02:30+01:00 2026-03-29T03:00+02:00 2026-03-30T02:30+02:00",
            );
        }
        check(
            berlin,
            "0 2 * * *",
            march,
            "2026-03-28T02:00+01:00 2026-03-29T03:00+02:00 2026-03-30T02:00+02:00",
        );
        // The last second of the gap, the first after it.
        check(berlin, "59 59 2 29 3 *", march, "2026-03-29T03:00+02:00 2027-03-29T02:59:59+02:00");
        check(
            berlin,
            "daily 03:00",
            march,
            "2026-03-28T03:00+01:00 2026-03-29T03:00+02:00 2026-03-30T03:00+02:00",
        );
        check(
            berlin,
            "daily 01:59:59",
            march,
            "2026-03-28T01:59:59+01:00 2026-03-29T01:59:59+01:00 2026-03-30T01:59:59+02:00",
        );
    }

    #[test]
    fn given_times_that_meet_on_one_instant_fire_once() {
        let after = "2026-03-29T00:00+01:00";
        check("Europe/Berlin", "0,30 2 * * *", after, "2026-03-29T03:00+02:00 2026-03-30T02:00+02:00");
        check("Europe/Berlin", "0 2-3 * * *", after, "2026-03-29T03:00+02:00 2026-03-30T02:00+02:00");
        check("Europe/Berlin", "30 2,3 * * *", after, "2026-03-29T03:00+02:00 2026-03-29T03:30+02:00");
        check(
            "Europe/Berlin",
            "daily 02:00 02:30 03:00",
            after,
            "2026-03-29T03:00+02:00 2026-03-30T02:00+02:00",
        );
        // A wildcard in the seconds alone does not make it a matched time.
        check(
            "Europe/Berlin",
            "*/30 30 2 * * *",
            after,
            "2026-03-29T03:00+02:00 2026-03-30T02:30+02:00 2026-03-30T02:30:30+02:00",
        );
    }

    #[test]
    fn a_given_time_in_an_overlap_fires_at_its_first_pass_alone() {
        for rule in ["30 2 * * *", "daily 02:30"] {
            check(
                "Europe/Berlin",
                rule,
                "2026-10-24T00:00+02:00",
                "2026-10-24T02:30+02:00 2026-10-25T02:30+02:00 2026-10-26T02:30+01:00",
            );
        }
        // Also for who asks in the middle of the second pass.
        check(
            "Europe/Berlin",
            "15,45 2 * * *",
            "2026-10-25T02:30+01:00",
            "2026-10-26T02:15+01:00 2026-10-26T02:45+01:00",
        );
        check(
            "Europe/Berlin",
            "0,59 2,3 * * *",
            "2026-10-25T00:00Z",
            "2026-10-25T02:59+02:00 2026-10-25T03:00+01:00",
        );
        check(
            "America/New_York",
            "30 1 * * *",
            "2026-10-31T12:00-04:00",
            "2026-11-01T01:30-04:00 2026-11-02T01:30-05:00",
        );
        check(
            "Europe/Berlin",
            "*/30 30 2 * * *",
            "2026-10-25T00:00+02:00",
            "2026-10-25T02:30+02:00 2026-10-25T02:30:30+02:00 2026-10-26T02:30+01:00",
        );
    }

    #[test]
    fn a_matched_time_does_not_exist_in_a_gap() {
        check(
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-03-29T01:00+01:00",
            "2026-03-29T01:30+01:00 2026-03-29T03:00+02:00 2026-03-29T03:30+02:00",
        );
        check(
            "Europe/Berlin",
            "*/40 2 * * *",
            "2026-03-28T02:00+01:00",
            "2026-03-28T02:40+01:00 2026-03-30T02:00+02:00",
        );
        check(
            "Europe/Berlin",
            "30 */2 * * *",
            "2026-03-29T00:00+01:00",
            "2026-03-29T00:30+01:00 2026-03-29T04:30+02:00",
        );
        check(
            "America/New_York",
            "@hourly",
            "2026-03-08T00:30-05:00",
            "2026-03-08T01:00-05:00 2026-03-08T03:00-04:00",
        );
        // The 29th of March is Berlin's change day in 2026, not in 2027.
        check(
            "Europe/Berlin",
            "*/30 2 29 3 *",
            "2026-01-01T00:00Z",
            "2027-03-29T02:00+02:00 2027-03-29T02:30+02:00",
        );
    }

    #[test]
    fn a_matched_time_comes_in_both_passes_of_an_overlap_in_order() {
        check(
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-10-25T01:30+02:00",
            "2026-10-25T02:00+02:00 2026-10-25T02:30+02:00 2026-10-25T02:00+01:00 2026-10-25T02:30+01:00 2026-10-25T03:00+01:00",
        );
        check(
            "Europe/Berlin",
            "*/45 2 * * *",
            "2026-10-25T00:00+02:00",
            "2026-10-25T02:00+02:00 2026-10-25T02:45+02:00 2026-10-25T02:00+01:00 2026-10-25T02:45+01:00 2026-10-26T02:00+01:00",
        );
        check(
            "America/New_York",
            "0 * * * *",
            "2026-11-01T00:30-04:00",
            "2026-11-01T01:00-04:00 2026-11-01T01:00-05:00 2026-11-01T02:00-05:00",
        );
        check(
            "Europe/Berlin",
            "* * * * * *",
            "2026-10-25T02:59:58+02:00",
            "2026-10-25T02:59:59+02:00 2026-10-25T02:00+01:00 2026-10-25T02:00:01+01:00",
        );
        // Nothing matches in the second pass before the time that was asked about.
        check("Europe/Berlin", "*/50 2 25 10 *", "2026-10-25T02:50+01:00", "2027-10-25T02:00+02:00");
    }

    #[test]
    fn lord_howe_shifts_by_half_an_hour() {
        let zone = "Australia/Lord_Howe";
        check(zone, "15 2 * * *", "2026-10-03T12:00+10:30", "2026-10-04T02:30+11:00 2026-10-05T02:15+11:00");
        check(zone, "45 1 * * *", "2026-04-04T12:00+11:00", "2026-04-05T01:45+11:00 2026-04-06T01:45+10:30");
        check(
            zone,
            "*/15 * * * *",
            "2026-04-05T01:15+11:00",
            "2026-04-05T01:30+11:00 2026-04-05T01:45+11:00 2026-04-05T01:30+10:30 2026-04-05T01:45+10:30 2026-04-05T02:00+10:30",
        );
        check(
            zone,
            "*/15 * * * *",
            "2026-10-04T01:30+10:30",
            "2026-10-04T01:45+10:30 2026-10-04T02:30+11:00",
        );
    }

    #[test]
    fn apia_skipped_a_whole_day() {
        let zone = "Pacific/Apia";
        for rule in ["0 9 * * *", "daily 09:00"] {
            check(
                zone,
                rule,
                "2011-12-29T00:00-10:00",
                "2011-12-29T09:00-10:00 2011-12-31T00:00+14:00 2011-12-31T09:00+14:00",
            );
        }
        check(zone, "0 9 30 12 *", "2011-12-01T00:00Z", "2011-12-31T00:00+14:00 2012-12-30T09:00+14:00");
        check(
            zone,
            "0 */12 * * *",
            "2011-12-29T00:00-10:00",
            "2011-12-29T12:00-10:00 2011-12-31T00:00+14:00 2011-12-31T12:00+14:00",
        );
        check(zone, "0 */12 30 12 *", "2011-12-01T00:00Z", "2012-12-30T00:00+14:00");
    }

    #[test]
    fn kwajalein_skipped_a_day_and_troll_two_hours() {
        check(
            "Pacific/Kwajalein",
            "@daily",
            "1993-08-20T00:00-12:00",
            "1993-08-22T00:00+12:00 1993-08-23T00:00+12:00",
        );
        check(
            "Antarctica/Troll",
            "15 1,2 * * *",
            "2026-03-28T12:00Z",
            "2026-03-29T03:00+02:00 2026-03-30T01:15+02:00",
        );
        check(
            "Antarctica/Troll",
            "0 * * * *",
            "2026-10-25T00:00+02:00",
            "2026-10-25T01:00+02:00 2026-10-25T02:00+02:00 2026-10-25T01:00+00:00 2026-10-25T02:00+00:00 2026-10-25T03:00+00:00",
        );
    }

    #[test]
    fn midnight_itself_can_fall_into_a_gap_or_an_overlap() {
        // Sao Paulo: 00:00 became 01:00 in November 2018, 24:00 became 23:00 in February 2018.
        let sao_paulo = "America/Sao_Paulo";
        check(sao_paulo, "@daily", "2018-11-03T12:00-03:00", "2018-11-04T01:00-02:00 2018-11-05T00:00-02:00");
        check(
            sao_paulo,
            "*/30 0 * * *",
            "2018-11-03T12:00-03:00",
            "2018-11-05T00:00-02:00 2018-11-05T00:30-02:00",
        );
        check(
            sao_paulo,
            "30 23 * * *",
            "2018-02-17T12:00-02:00",
            "2018-02-17T23:30-02:00 2018-02-18T23:30-03:00",
        );
        check(
            sao_paulo,
            "@hourly",
            "2018-02-17T22:30-02:00",
            "2018-02-17T23:00-02:00 2018-02-17T23:00-03:00 2018-02-18T00:00-03:00",
        );
        // Tehran, until 2022.
        check(
            "Asia/Tehran",
            "daily 00:15",
            "2021-03-21T12:00+03:30",
            "2021-03-22T01:00+04:30 2021-03-23T00:15+04:30",
        );
        check(
            "Asia/Tehran",
            "45 23 * * *",
            "2021-09-21T12:00+04:30",
            "2021-09-21T23:45+04:30 2021-09-22T23:45+03:30",
        );
        check(
            "Asia/Tehran",
            "0 0 22 3 *",
            "2022-01-01T00:00Z",
            "2022-03-22T01:00+04:30 2023-03-22T00:00+03:30",
        );
    }

    #[test]
    fn casablanca_changes_around_ramadan() {
        let zone = "Africa/Casablanca";
        check(zone, "30 2 * * *", "2026-02-14T12:00Z", "2026-02-15T02:30+01:00 2026-02-16T02:30+00:00");
        check(zone, "30 2 * * *", "2026-03-21T12:00Z", "2026-03-22T03:00+01:00 2026-03-23T02:30+01:00");
        check(zone, "0 * * * *", "2026-02-15T02:30+01:00", "2026-02-15T02:00+00:00 2026-02-15T03:00+00:00");
    }

    #[test]
    fn an_instant_between_seconds_is_rounded_down() {
        check("UTC", "* * * * * *", "2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:01+00:00");
        check("UTC", "* * * * * *", "1970-01-02T00:00:00Z", "1970-01-02T00:00:01+00:00");
        let clock = clock("* * * * * *");
        let before_1970 = Timestamp::from_nanosecond(-1).unwrap();
        assert_eq!(next_instant(&clock, &TimeZone::UTC, before_1970), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(last_instant(&clock, &TimeZone::UTC, before_1970), None);
    }

    #[test]
    fn the_ends_of_time_have_no_occurrence() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for rule in ["* * * * * *", "0 9 * * *", "daily 09:00"] {
            let clock = clock(rule);
            assert_eq!(next_instant(&clock, &zone, Timestamp::MAX), None);
            assert_eq!(last_instant(&clock, &zone, Timestamp::MIN), None);
            assert!(next_instant(&clock, &zone, Timestamp::MIN).is_some());
            assert!(last_instant(&clock, &zone, Timestamp::MAX).is_some());
        }
    }
}
