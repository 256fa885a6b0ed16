//! Pure. The wall-clock times of a recurring schedule, before any zone: which days its rule names, less the skipped
//! ones, and which times of day. A rule has the same times on each of its days, so days and times are asked apart.
//!
//! Knows nothing of zones or instants: `clock_changes` maps what this room answers.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time, date};

use crate::calendar::CalendarRule;
use crate::clock_changes::Passes;
use crate::cron_dialect::CronRule;

/// Schedules live between these days: the `cron` crate knows no others, and no campaign is planned for longer.
pub const FIRST_DATE: Date = date(1970, 1, 1);
pub const LAST_DATE: Date = date(2100, 12, 31);

/// What repeats.
#[derive(Clone, Debug)]
pub enum Rule {
    Cron(CronRule),
    Calendar(CalendarRule),
}

/// What becomes of an occurrence that falls on a skipped date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSkipDate {
    /// It does not happen.
    Skip,
    /// It happens at the same time of day on the next date that is not skipped, and merges with one that is there.
    /// (The next date *of the rule* would make this the same as `Skip`: a rule has the same times on all its days.)
    NextAllowedDay,
}

/// A rule less its skipped dates.
#[derive(Clone, Debug)]
pub struct WallClock {
    pub rule: Rule,
    pub skip_dates: BTreeSet<Date>,
    pub on_skip_date: OnSkipDate,
}

impl WallClock {
    /// `rule` on every date.
    pub fn new(rule: Rule) -> WallClock {
        WallClock { rule, skip_dates: BTreeSet::new(), on_skip_date: OnSkipDate::Skip }
    }

    pub(crate) fn passes(&self) -> Passes {
        match &self.rule {
            Rule::Cron(rule) => rule.passes(),
            Rule::Calendar(_) => Passes::First,
        }
    }

    /// The first wall-clock time at or after `wall`.
    pub fn at_or_after(&self, wall: DateTime) -> Option<DateTime> {
        let day = self.day_on_or_after(wall.date())?;
        if day > wall.date() {
            return Some(day.to_datetime(self.time_on_or_after(Time::midnight())?));
        }
        if let Some(time) = self.time_on_or_after(wall.time()) {
            return Some(day.to_datetime(time));
        }
        let day = self.day_on_or_after(day.tomorrow().ok()?)?;
        Some(day.to_datetime(self.time_on_or_after(Time::midnight())?))
    }

    /// The last wall-clock time at or before `wall`.
    pub fn at_or_before(&self, wall: DateTime) -> Option<DateTime> {
        let day = self.day_on_or_before(wall.date())?;
        if day < wall.date() {
            return Some(day.to_datetime(self.time_on_or_before(LAST_SECOND)?));
        }
        if let Some(time) = self.time_on_or_before(wall.time()) {
            return Some(day.to_datetime(time));
        }
        let day = self.day_on_or_before(day.yesterday().ok()?)?;
        Some(day.to_datetime(self.time_on_or_before(LAST_SECOND)?))
    }

    /// Each turn of a loop below leaves one skipped date behind, so there are at most as many as skipped dates.
    fn day_on_or_after(&self, day: Date) -> Option<Date> {
        match self.on_skip_date {
            OnSkipDate::Skip => {
                let mut found = self.rule_day_on_or_after(day)?;
                while self.skip_dates.contains(&found) {
                    found = self.rule_day_on_or_after(found.tomorrow().ok()?)?;
                }
                Some(found)
            }
            OnSkipDate::NextAllowedDay => {
                // A run of skipped dates right before `day` may have moved an occurrence onto it.
                let mut run_start = day;
                while let Ok(before) = run_start.yesterday() {
                    if !self.skip_dates.contains(&before) {
                        break;
                    }
                    run_start = before;
                }
                self.allowed_on_or_after(self.rule_day_on_or_after(run_start)?.max(day))
            }
        }
    }

    fn day_on_or_before(&self, day: Date) -> Option<Date> {
        match self.on_skip_date {
            OnSkipDate::Skip => {
                let mut found = self.rule_day_on_or_before(day)?;
                while self.skip_dates.contains(&found) {
                    found = self.rule_day_on_or_before(found.yesterday().ok()?)?;
                }
                Some(found)
            }
            OnSkipDate::NextAllowedDay => {
                let mut allowed = day;
                while self.skip_dates.contains(&allowed) {
                    allowed = allowed.yesterday().ok()?;
                }
                self.allowed_on_or_after(self.rule_day_on_or_before(allowed)?)
            }
        }
    }

    fn allowed_on_or_after(&self, mut day: Date) -> Option<Date> {
        while self.skip_dates.contains(&day) {
            day = day.tomorrow().ok()?;
        }
        (day <= LAST_DATE).then_some(day)
    }

    fn rule_day_on_or_after(&self, day: Date) -> Option<Date> {
        if day > LAST_DATE {
            return None;
        }
        let day = day.max(FIRST_DATE);
        match &self.rule {
            Rule::Cron(rule) => rule.day_on_or_after(day),
            Rule::Calendar(rule) => rule.day_on_or_after(day),
        }
    }

    fn rule_day_on_or_before(&self, day: Date) -> Option<Date> {
        if day < FIRST_DATE {
            return None;
        }
        let day = day.min(LAST_DATE);
        match &self.rule {
            Rule::Cron(rule) => rule.day_on_or_before(day),
            Rule::Calendar(rule) => rule.day_on_or_before(day),
        }
    }

    fn time_on_or_after(&self, time: Time) -> Option<Time> {
        match &self.rule {
            Rule::Cron(rule) => rule.time_on_or_after(time),
            Rule::Calendar(rule) => rule.time_on_or_after(time),
        }
    }

    fn time_on_or_before(&self, time: Time) -> Option<Time> {
        match &self.rule {
            Rule::Cron(rule) => rule.time_on_or_before(time),
            Rule::Calendar(rule) => rule.time_on_or_before(time),
        }
    }
}

const LAST_SECOND: Time = jiff::civil::time(23, 59, 59, 0);
