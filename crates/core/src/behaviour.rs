//! Pure. What a user did under one event name: for ever, and day by day for the windows of conditions and templates.
//!
//! Days are days of UTC, so that a user who moves keeps its history. A window of N days begins with the day that holds the
//! instant N times 24 h ago: it misses nothing of these, and sees at most that day's earlier hours beside them.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits;

/// What a user did under one event name.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub values: Values,
    /// Ascending, at most `limits::BEHAVIOUR_DAYS_MAX`; days without an event are not there.
    pub days: Vec<Day>,
}

/// One day of UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    /// Since 1970-01-01.
    pub number: i32,
    pub count: u64,
    pub values: Values,
}

/// The values of those events that had one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Values {
    pub count: u64,
    pub sum: f64,
    /// Of no value, 0.
    pub min: f64,
    pub max: f64,
}

/// What a condition or template asks of an event name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
}

/// The days a figure looks back over, 1 to `limits::BEHAVIOUR_WINDOW_DAYS_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    days: u16,
}

/// The answer to a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    Count(u64),
    Number(f64),
    At(Timestamp),
}

impl Window {
    /// Whole days only: nothing finer is kept.
    pub fn new(length: Duration) -> Result<Window, String> {
        const DAY_SECS: u64 = 86_400;
        let days = length.as_secs() / DAY_SECS;
        let is_whole = length.subsec_nanos() == 0 && length.as_secs().is_multiple_of(DAY_SECS);
        match u16::try_from(days) {
            Ok(days @ 1..=limits::BEHAVIOUR_WINDOW_DAYS_MAX) if is_whole => Ok(Window { days }),
            _ => Err(format!("a window is whole days, 1d to {}d", limits::BEHAVIOUR_WINDOW_DAYS_MAX)),
        }
    }

    pub fn length(self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 86_400)
    }
}

impl Figure {
    /// By the name it has in conditions and templates.
    pub fn named(name: &str) -> Option<Figure> {
        Some(match name {
            "count" => Figure::Count,
            "sum" => Figure::Sum,
            "avg" => Figure::Avg,
            "min" => Figure::Min,
            "max" => Figure::Max,
            "first" => Figure::First,
            "last" => Figure::Last,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Figure::Count => "count",
            Figure::Sum => "sum",
            Figure::Avg => "avg",
            Figure::Min => "min",
            Figure::Max => "max",
            Figure::First => "first",
            Figure::Last => "last",
        }
    }

    /// `first` and `last` are over all time.
    pub fn takes_window(self) -> bool {
        !matches!(self, Figure::First | Figure::Last)
    }

    pub fn is_time(self) -> bool {
        !self.takes_window()
    }

    /// Of what never happened, count and sum are 0 and the others missing.
    pub fn may_be_missing(self) -> bool {
        !matches!(self, Figure::Count | Figure::Sum)
    }

    /// Its answer, over `window` back from `as_of` or over all time.
    pub fn read(
        self,
        behaviour: Option<&Behaviour>,
        window: Option<Window>,
        as_of: Timestamp,
    ) -> Option<Reading> {
        let (count, values) = match (behaviour, window) {
            (None, _) => (0, Values::default()),
            (Some(behaviour), None) => (behaviour.count, behaviour.values),
            (Some(behaviour), Some(window)) => behaviour.within(window, as_of),
        };
        let of_values = |value: f64| (values.count > 0).then_some(Reading::Number(value));
        match self {
            Figure::Count => Some(Reading::Count(count)),
            Figure::Sum => Some(Reading::Number(values.sum)),
            Figure::Avg => of_values(values.sum / values.count as f64),
            Figure::Min => of_values(values.min),
            Figure::Max => of_values(values.max),
            Figure::First => behaviour.map(|b| Reading::At(b.first_at)),
            Figure::Last => behaviour.map(|b| Reading::At(b.last_at)),
        }
    }
}

impl Behaviour {
    /// Begins with one event.
    pub(crate) fn new(at: Timestamp, value: Option<f64>, accepted_at: Timestamp) -> Behaviour {
        let mut behaviour =
            Behaviour { count: 0, first_at: at, last_at: at, values: Values::default(), days: Vec::new() };
        behaviour.add(at, value, accepted_at);
        behaviour
    }

    /// Counts one more event, which happened at `at` and was accepted at `accepted_at`. What lies too far back for any window
    /// is kept in the totals only.
    pub(crate) fn add(&mut self, at: Timestamp, value: Option<f64>, accepted_at: Timestamp) {
        self.count += 1;
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        self.values.add(value);
        let number = day_number(at);
        if number >= oldest_day(accepted_at) {
            let place = match self.days.binary_search_by_key(&number, |day| day.number) {
                Ok(place) => place,
                Err(place) => {
                    self.days.insert(place, Day { number, count: 0, values: Values::default() });
                    place
                }
            };
            if let Some(day) = self.days.get_mut(place) {
                day.count += 1;
                day.values.add(value);
            }
        }
    }

    /// Drops the days that no window reaches any more.
    pub(crate) fn forget_days(&mut self, accepted_at: Timestamp) {
        let oldest = oldest_day(accepted_at);
        if self.days.first().is_some_and(|day| day.number < oldest) {
            let kept = self.days.partition_point(|day| day.number < oldest);
            self.days.drain(..kept);
        }
    }

    fn within(&self, window: Window, as_of: Timestamp) -> (u64, Values) {
        let from = as_of.saturating_sub(window.length()).unwrap_or(Timestamp::MIN);
        // These two are known to the millisecond, which is finer than a day.
        if self.last_at < from || self.first_at > as_of {
            return (0, Values::default());
        }
        let (from, until) = (day_number(from), day_number(as_of));
        let days = self.days.iter().filter(|day| (from..=until).contains(&day.number));
        days.fold((0, Values::default()), |(count, values), day| (count + day.count, values.and(day.values)))
    }
}

impl Values {
    fn add(&mut self, value: Option<f64>) {
        // `+ 0.0`: minus zero is zero.
        let one = value.map(|value| value + 0.0);
        *self = self.and(one.map_or(Values::default(), |v| Values { count: 1, sum: v, min: v, max: v }));
    }

    fn and(self, other: Values) -> Values {
        match (self.count, other.count) {
            (_, 0) => Values { sum: self.sum + other.sum, ..self },
            (0, _) => Values { sum: self.sum + other.sum, ..other },
            _ => Values {
                count: self.count + other.count,
                sum: self.sum + other.sum,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        }
    }
}

/// The day of UTC that holds the instant.
pub(crate) fn day_number(at: Timestamp) -> i32 {
    // Within some millions: years have four digits.
    at.as_second().div_euclid(86_400) as i32
}

/// The first day that a window ending at `accepted_at` or later can reach.
fn oldest_day(accepted_at: Timestamp) -> i32 {
    day_number(accepted_at) - i32::from(limits::BEHAVIOUR_WINDOW_DAYS_MAX)
}
