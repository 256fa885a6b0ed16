//! Pure. A recurring schedule: a rule in a zone between a start and an end. Answers when it fires next, and what to do
//! about the occurrences that passed while nobody was looking.
//!
//! Before it: `cron_dialect` and `calendar` read the rule, `wall_clock` skips dates, `clock_changes` finds instants.
//! After it: the scheduler fires. Work is bounded for every input; nothing is planned past the year 2100.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock_changes::{last_instant, next_instant};
use crate::limits::{MISSED_COUNT_MAX, ON_TIME};
use crate::wall_clock::{Rule, WallClock};

/// A recurring schedule in one zone. Where each user has a zone, the same schedule `in_zone` of each.
#[derive(Clone, Debug)]
pub struct Recurrence {
    pub clock: WallClock,
    pub zone: TimeZone,
    /// No occurrence before it.
    pub start: Option<Timestamp>,
    /// No occurrence after it; one at this very instant is the last.
    pub end: Option<Timestamp>,
    /// Occurrences that may fire in all; missed ones do not count.
    pub max_occurrences: Option<u64>,
}

impl Recurrence {
    /// `rule` for ever, on every date.
    pub fn new(rule: Rule, zone: TimeZone) -> Recurrence {
        Recurrence { clock: WallClock::new(rule), zone, start: None, end: None, max_occurrences: None }
    }

    /// The same wall clock elsewhere. `start` and `end` stay the instants they are: an author's civil ones are the
    /// caller's to read again in `zone`.
    pub fn in_zone(&self, zone: TimeZone) -> Recurrence {
        Recurrence { zone, ..self.clone() }
    }

    /// The first occurrence after `after`, of a schedule that has fired `fired` times. `None` when it has ended.
    pub fn next(&self, after: Timestamp, fired: u64) -> Option<Timestamp> {
        if self.is_spent(fired) { None } else { self.next_planned(after) }
    }

    fn is_spent(&self, fired: u64) -> bool {
        self.max_occurrences.is_some_and(|most| fired >= most)
    }

    /// The first occurrence after `after`, however many have fired.
    fn next_planned(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.start.map_or(after, |start| after.max(just_before(start)));
        if self.end.is_some_and(|end| after >= end) {
            return None;
        }
        next_instant(&self.clock, &self.zone, after).filter(|at| self.end.is_none_or(|end| *at <= end))
    }

    /// The last occurrence at or before `at`, however many have fired.
    pub fn latest(&self, at: Timestamp) -> Option<Timestamp> {
        let at = self.end.map_or(at, |end| at.min(end));
        if self.start.is_some_and(|start| at < start) {
            return None;
        }
        last_instant(&self.clock, &self.zone, at)
            .filter(|found| self.start.is_none_or(|start| *found >= start))
    }

    /// All occurrences after `after`, in order, of a schedule that has fired `fired` times.
    pub fn occurrences(&self, after: Timestamp, fired: u64) -> impl Iterator<Item = Timestamp> + '_ {
        let mut state = (after, fired);
        std::iter::from_fn(move || {
            let at = self.next(state.0, state.1)?;
            state = (at, state.1.saturating_add(1));
            Some(at)
        })
    }

    /// What to do at `now` about a schedule whose next occurrence was planned for `due` and that has fired `fired` times:
    /// the latest occurrence fires unless it is `catch_up` old or older (one seen within `limits::ON_TIME` always does), earlier
    /// ones are missed. Never more than one fires, and a year of them costs no more than `MISSED_COUNT_MAX` steps.
    pub fn catch_up(&self, due: Timestamp, now: Timestamp, catch_up: Duration, fired: u64) -> CatchUp {
        if due > now || self.is_spent(fired) {
            return CatchUp { next: self.next(just_before(due), fired), ..CatchUp::default() };
        }
        // The rule as it stands decides: after an edit `due` itself may be none of its instants.
        let Some(latest) = self.latest(now).filter(|latest| *latest >= due) else {
            return CatchUp { next: self.next(now, fired), ..CatchUp::default() };
        };
        let age = now.duration_since(latest).unsigned_abs();
        if age < catch_up.max(ON_TIME) {
            let missed = self.missed(due, just_before(latest));
            CatchUp { fire: Some(latest), missed, next: self.next(now, fired.saturating_add(1)) }
        } else {
            CatchUp { fire: None, missed: self.missed(due, latest), next: self.next(now, fired) }
        }
    }

    /// The occurrences between `from` and `until`, both included.
    pub fn missed(&self, from: Timestamp, until: Timestamp) -> Option<Missed> {
        let first_at = self.next_planned(just_before(from)).filter(|at| *at <= until)?;
        let (mut count, mut last_at) = (1, first_at);
        while let Some(at) = self.next_planned(last_at).filter(|at| *at <= until) {
            if count == MISSED_COUNT_MAX {
                return Some(Missed { first_at, last_at: self.latest(until)?, count, and_more: true });
            }
            (count, last_at) = (count + 1, at);
        }
        Some(Missed { first_at, last_at, count, and_more: false })
    }
}

/// What to do about a schedule now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// The occurrence to fire, at most one.
    pub fire: Option<Timestamp>,
    /// The occurrences to record as missed, all before `fire`.
    pub missed: Option<Missed>,
    /// The next one to wait for, after now. `None`: the schedule has ended.
    pub next: Option<Timestamp>,
}

/// A run of occurrences that nobody fired in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// How many, counted up to `limits::MISSED_COUNT_MAX`.
    pub count: u32,
    /// There are more than `count`.
    pub and_more: bool,
}

fn just_before(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cron_dialect::CronRule;
    use crate::wall_clock::OnSkipDate;

    fn cron(text: &str, zone: &str) -> Recurrence {
        Recurrence::new(Rule::Cron(CronRule::parse(text).unwrap()), TimeZone::get(zone).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(schedule: &Recurrence, after: &str, fired: u64, expected: &[&str]) {
        let found: Vec<String> = schedule
            .occurrences(at(after), fired)
            .take(expected.len() + 1)
            .map(|at| at.to_string())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_start_and_an_end_are_themselves_inside() {
        let daily = cron("0 9 * * *", "UTC");
        let window = Recurrence {
            start: Some(at("2026-01-02T09:00Z")),
            end: Some(at("2026-01-04T09:00Z")),
            ..daily.clone()
        };
        let days = ["2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z", "2026-01-04T09:00:00Z"];
        check(&window, "2025-01-01T00:00Z", 0, &days);
        check(&window, "2026-01-02T08:59:59Z", 0, &days);
        check(&window, "2026-01-02T09:00Z", 0, &days[1..]);
        check(&window, "2026-01-04T09:00Z", 0, &[]);
        check(&window, "2030-01-01T00:00Z", 0, &[]);
        assert_eq!(window.latest(at("2030-01-01T00:00Z")), Some(at("2026-01-04T09:00Z")));
        assert_eq!(window.latest(at("2026-01-02T08:59Z")), None);
        let a_moment_later = Recurrence { start: Some(at("2026-01-02T09:00:00.001Z")), ..window };
        check(&a_moment_later, "2026-01-01T00:00Z", 0, &days[1..]);
        let backwards =
            Recurrence { start: Some(at("2026-01-04T00:00Z")), end: Some(at("2026-01-01T00:00Z")), ..daily };
        check(&backwards, "2025-01-01T00:00Z", 0, &[]);
    }

    #[test]
    fn a_number_of_occurrences_ends_it() {
        let three = Recurrence { max_occurrences: Some(3), ..cron("0 9 * * *", "UTC") };
        check(
            &three,
            "2026-01-01T00:00Z",
            0,
            &["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z"],
        );
        check(&three, "2026-01-01T00:00Z", 2, &["2026-01-01T09:00:00Z"]);
        check(&three, "2026-01-01T00:00Z", 3, &[]);
        check(&three, "2026-01-01T00:00Z", u64::MAX, &[]);
        let none = Recurrence { max_occurrences: Some(0), ..three };
        check(&none, "2026-01-01T00:00Z", 0, &[]);
    }

    fn skipping(schedule: Recurrence, dates: &[&str], on_skip_date: OnSkipDate) -> Recurrence {
        let skip_dates = dates.iter().map(|date| date.parse().unwrap()).collect();
        Recurrence { clock: WallClock { skip_dates, on_skip_date, ..schedule.clock.clone() }, ..schedule }
    }

    #[test]
    fn a_skipped_date_is_left_out_or_moves_to_the_next_allowed_day() {
        // 2026-05-25 is a Monday.
        let mondays = || cron("0 9 * * mon", "UTC");
        let holidays = ["2026-05-25", "2026-05-26"];
        let from = "2026-05-19T00:00Z";
        check(
            &Recurrence { max_occurrences: Some(2), ..skipping(mondays(), &holidays, OnSkipDate::Skip) },
            from,
            0,
            &["2026-06-01T09:00:00Z", "2026-06-08T09:00:00Z"],
        );
        let moved = skipping(mondays(), &holidays, OnSkipDate::NextAllowedDay);
        let moved = Recurrence { max_occurrences: Some(2), ..moved };
        check(&moved, from, 0, &["2026-05-27T09:00:00Z", "2026-06-01T09:00:00Z"]);
        check(&moved, "2026-05-26T12:00Z", 0, &["2026-05-27T09:00:00Z", "2026-06-01T09:00:00Z"]);
        check(&moved, "2026-05-27T08:59:59Z", 0, &["2026-05-27T09:00:00Z", "2026-06-01T09:00:00Z"]);
        check(&moved, "2026-05-27T09:00Z", 1, &["2026-06-01T09:00:00Z"]);
        assert_eq!(moved.latest(at("2026-05-27T08:59Z")), Some(at("2026-05-18T09:00Z")));
        assert_eq!(moved.latest(at("2026-05-27T09:00Z")), Some(at("2026-05-27T09:00Z")));
    }

    #[test]
    fn a_moved_occurrence_merges_with_one_that_is_there() {
        let daily =
            skipping(cron("0 9,18 * * *", "UTC"), &["2026-12-25", "2026-12-26"], OnSkipDate::NextAllowedDay);
        let daily = Recurrence { end: Some(at("2026-12-28T00:00Z")), ..daily };
        check(
            &daily,
            "2026-12-24T12:00Z",
            0,
            &["2026-12-24T18:00:00Z", "2026-12-27T09:00:00Z", "2026-12-27T18:00:00Z"],
        );
    }

    #[test]
    fn skipping_every_date_ends_the_schedule_at_once() {
        let dates: Vec<String> = (2000..2101).map(|year| format!("{year}-12-24")).collect();
        let dates: Vec<&str> = dates.iter().map(String::as_str).collect();
        check(
            &skipping(cron("* * * * * *", "UTC"), &[], OnSkipDate::Skip),
            "2100-12-31T23:59:58Z",
            0,
            &["2100-12-31T23:59:59Z"],
        );
        check(&skipping(cron("0 18 24 12 *", "UTC"), &dates, OnSkipDate::Skip), "2026-01-01T00:00Z", 0, &[]);
        let last_days = skipping(cron("* * 31 12 *", "UTC"), &["2100-12-31"], OnSkipDate::NextAllowedDay);
        check(&last_days, "2100-01-01T00:00Z", 0, &[]);
    }

    #[test]
    fn the_same_schedule_keeps_its_wall_clock_in_another_zone() {
        let berlin = Recurrence { max_occurrences: Some(1), ..cron("0 8 * * mon", "Europe/Berlin") };
        check(&berlin, "2026-06-01T00:00Z", 0, &["2026-06-01T06:00:00Z"]);
        let tokyo = berlin.in_zone(TimeZone::get("Asia/Tokyo").unwrap());
        check(&tokyo, "2026-05-31T00:00Z", 0, &["2026-05-31T23:00:00Z"]);
    }

    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3_600)
    }

    fn missed(first_at: &str, last_at: &str, count: u32) -> Option<Missed> {
        Some(Missed { first_at: at(first_at), last_at: at(last_at), count, and_more: false })
    }

    fn check_catch_up(
        schedule: &Recurrence,
        [due, now]: [&str; 2],
        fired: u64,
        fire: Option<&str>,
        missed: Option<Missed>,
        next: Option<&str>,
    ) {
        let found = schedule.catch_up(at(due), at(now), hours(1), fired);
        assert_eq!(found, CatchUp { fire: fire.map(at), missed, next: next.map(at) }, "due {due}, now {now}");
    }

    #[test]
    fn the_latest_missed_occurrence_fires_when_young_and_the_rest_are_recorded() {
        let daily = cron("0 9 * * *", "UTC");
        let [first, second, third] = ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z"];
        check_catch_up(&daily, [first, "2026-01-01T08:59:59Z"], 0, None, None, Some(first));
        check_catch_up(&daily, [first, first], 0, Some(first), None, Some(second));
        check_catch_up(&daily, [first, "2026-01-01T09:59:59Z"], 0, Some(first), None, Some(second));
        check_catch_up(
            &daily,
            [first, "2026-01-01T10:00:00Z"],
            0,
            None,
            missed(first, first, 1),
            Some(second),
        );
        check_catch_up(
            &daily,
            [first, "2026-01-02T09:30:00Z"],
            0,
            Some(second),
            missed(first, first, 1),
            Some(third),
        );
        check_catch_up(
            &daily,
            [first, "2026-01-02T12:00:00Z"],
            0,
            None,
            missed(first, second, 2),
            Some(third),
        );
    }

    #[test]
    fn an_end_or_a_count_holds_for_missed_occurrences_too() {
        let [first, second, third] = ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z"];
        let ended = Recurrence { end: Some(at(second)), ..cron("0 9 * * *", "UTC") };
        check_catch_up(
            &ended,
            [first, "2026-01-02T09:10:00Z"],
            0,
            Some(second),
            missed(first, first, 1),
            None,
        );
        check_catch_up(&ended, [first, "2026-02-02T09:10:00Z"], 0, None, missed(first, second, 2), None);
        let twice = Recurrence { max_occurrences: Some(2), ..cron("0 9 * * *", "UTC") };
        check_catch_up(&twice, [second, second], 1, Some(second), None, None);
        check_catch_up(
            &twice,
            [second, "2026-01-02T12:00:00Z"],
            1,
            None,
            missed(second, second, 1),
            Some(third),
        );
        check_catch_up(&twice, [second, third], 2, None, None, None);
    }

    #[test]
    fn an_edited_rule_decides_by_itself() {
        let daily = cron("0 9 * * *", "UTC");
        check_catch_up(
            &daily,
            ["2026-01-01T09:30:00Z", "2026-01-01T09:40:00Z"],
            0,
            None,
            None,
            Some("2026-01-02T09:00:00Z"),
        );
        check_catch_up(
            &daily,
            ["2026-01-01T10:30:00Z", "2026-01-01T09:40:00Z"],
            0,
            None,
            None,
            Some("2026-01-02T09:00:00Z"),
        );
    }

    #[test]
    fn an_occurrence_seen_at_once_fires_however_small_its_catch_up() {
        let daily = cron("0 9 * * *", "UTC");
        for (now, fires) in
            [("2026-01-01T09:00:00Z", true), ("2026-01-01T09:00:04Z", true), ("2026-01-01T09:00:05Z", false)]
        {
            let found = daily.catch_up(at("2026-01-01T09:00Z"), at(now), Duration::ZERO, 0);
            assert_eq!(found.fire.is_some(), fires, "{now}");
        }
    }

    #[test]
    fn a_year_without_a_scheduler_is_caught_up_in_bounded_steps() {
        let [due, now] = ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"];
        let found = cron("* * * * * *", "Europe/Berlin").catch_up(at(due), at(now), hours(1), 7);
        assert_eq!(found.fire, Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(found.next, Some(at("2026-01-01T00:00:01Z")));
        let last_at = at("2025-12-31T23:59:59Z");
        assert_eq!(
            found.missed,
            Some(Missed { first_at: at(due), last_at, count: MISSED_COUNT_MAX, and_more: true })
        );
    }

    #[test]
    fn a_daily_campaign_runs_a_year_in_virtual_time() {
        let mut schedule = cron("30 2 * * *", "Europe/Berlin");
        schedule.end = Some(at("2027-01-01T00:00Z"));
        let mut now = at("2026-01-01T00:00Z");
        let mut due = schedule.next(now, 0);
        let mut fired = Vec::new();
        for tick in 0u64.. {
            let Some(waiting_for) = due else { break };
            // Mostly in short steps, now and then asleep for up to 50 minutes.
            now += SignedDuration::from_secs(if tick % 7 == 0 { 3_000 } else { 600 });
            let found = schedule.catch_up(waiting_for, now, hours(1), fired.len() as u64);
            assert_eq!(found.missed, None);
            fired.extend(found.fire);
            due = found.next;
        }
        let planned: Vec<Timestamp> = schedule.occurrences(at("2026-01-01T00:00Z"), 0).collect();
        assert_eq!(fired, planned);
        assert_eq!(fired.len(), 365);
        assert_eq!(
            fired.iter().filter(|at| at.to_zoned_datetime(schedule.zone.clone()).hour() == 3).count(),
            1
        );
    }
}
