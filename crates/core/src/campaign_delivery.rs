//! Pure. When a campaign sends: one time, on a schedule, on an event, or by hand; read from its draft.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::civil_text::{parse_date, parse_instant, parse_wall, parse_zone};
use crate::draft::{Delivery, Kind, Late, OneTime, Recurring as RecurringDraft};
use crate::fault::Faults;
use crate::limits;
use crate::own_zone;
use crate::recurrence::Recurrence;
use crate::recurring::read_recurring;
use crate::triggered::{self, Triggered};
use crate::user::Profile;

#[derive(Debug)]
pub enum When {
    OneTime(OneTimeAt),
    Recurring(Recurring),
    Triggered(Triggered),
    Manual,
}

/// When a one-time campaign fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneTimeAt {
    /// At activation.
    Now,
    /// In users' own zones the wall clock read as UTC.
    At(Timestamp),
}

#[derive(Debug)]
pub struct Recurring {
    /// In users' own zones of the wall clock read as UTC.
    pub recurrence: Recurrence,
    /// A missed occurrence younger than this is still run.
    pub catch_up: Duration,
}

/// Whose clock a delivery's wall-clock times are on.
#[derive(Clone, Debug)]
pub struct Zones {
    /// Of the delivery; UTC where each user's own counts.
    pub fixed: TimeZone,
    /// Each user's own counts.
    pub are_own: bool,
    /// Of users without one.
    pub fallback: TimeZone,
    /// Users without a zone are sent nothing.
    pub are_required: bool,
}

impl Zones {
    pub(crate) fn read(delivery: &Delivery, faults: &mut Faults) -> Zones {
        let mut named = |name: &str, field: &str| match name {
            "" => TimeZone::UTC,
            _ => parse_zone(name).unwrap_or_else(|text| {
                faults.add(field, text);
                TimeZone::UTC
            }),
        };
        let (are_own, are_required) = (delivery.zone == "user", delivery.fallback_zone == "none");
        let fixed = named(if are_own { "" } else { &delivery.zone }, "delivery.zone");
        let fallback =
            named(if are_required { "" } else { &delivery.fallback_zone }, "delivery.fallback_zone");
        if are_required && !are_own {
            faults.add("delivery.fallback_zone", "none only with zone: user");
        }
        Zones { fixed, are_own, fallback, are_required }
    }

    /// The zone that counts for a user. None: the user has none, and one is required.
    pub fn of(&self, profile: &Profile) -> Option<TimeZone> {
        if !self.are_own {
            return Some(self.fixed.clone());
        }
        let own = profile.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        own.or_else(|| (!self.are_required).then(|| self.fallback.clone()))
    }
}

/// `is_chain`: the campaign has several messages.
pub(crate) fn when(
    delivery: &Delivery,
    zones: &Zones,
    now: Timestamp,
    is_chain: bool,
    faults: &mut Faults,
) -> Option<When> {
    match &delivery.kind {
        Some(Kind::OneTime(one_time)) => self::one_time(one_time, zones, now, faults).map(When::OneTime),
        Some(Kind::Recurring(draft)) => recurring(draft, zones, now, faults).map(When::Recurring),
        Some(Kind::Triggered(draft)) => {
            Some(When::Triggered(triggered::read(draft, &zones.fixed, now, is_chain, faults)))
        }
        Some(Kind::Manual) => Some(When::Manual),
        None => {
            faults.add("delivery", "is missing: give one of one_time, recurring, triggered, manual");
            None
        }
    }
}

fn one_time(draft: &OneTime, zones: &Zones, now: Timestamp, faults: &mut Faults) -> Option<OneTimeAt> {
    let field = "delivery.one_time.at";
    check_late(draft.late, "delivery.one_time.late", zones, faults);
    match draft.at.trim() {
        "" => {
            faults.add(field, "is missing: write now, or a time such as 2026-12-01T09:00");
            None
        }
        "now" if zones.are_own => {
            faults.add(field, "now is the same instant in every zone: leave out zone: user");
            None
        }
        "now" => Some(OneTimeAt::Now),
        at if zones.are_own => ok(parse_wall(at), field, faults).map(own_zone::name_of).map(OneTimeAt::At),
        at => ok(parse_instant(at, &zones.fixed, now), field, faults).map(OneTimeAt::At),
    }
}

fn check_late(late: Late, field: &str, zones: &Zones, faults: &mut Faults) {
    if late != Late::Unspecified && !zones.are_own {
        faults.add(field, "only with zone: user");
    }
}

fn recurring(
    draft: &RecurringDraft,
    zones: &Zones,
    now: Timestamp,
    faults: &mut Faults,
) -> Option<Recurring> {
    check_late(draft.late, "delivery.recurring.late", zones, faults);
    match read_recurring(draft, &zones.fixed, now) {
        Ok(recurrence) => {
            if zones.are_own {
                check_own(draft, &recurrence, now, faults);
            }
            Some(Recurring { recurrence, catch_up: draft.catch_up.unwrap_or(limits::CATCH_UP_DEFAULT) })
        }
        Err(wrong) => {
            for fault in wrong.0 {
                faults.add(format!("delivery.recurring.{}", fault.field), fault.text);
            }
            None
        }
    }
}

/// On users' own clocks there are no instants, and an occurrence is under way for more than a day.
fn check_own(draft: &RecurringDraft, recurrence: &Recurrence, now: Timestamp, faults: &mut Faults) {
    for (field, text) in [("start", &draft.start), ("end", &draft.end)] {
        if !text.is_empty() && parse_wall(text).is_err() && parse_date(text).is_err() {
            let text = "expected a date or a wall-clock time without an offset: each user's own clock counts";
            faults.add(format!("delivery.recurring.{field}"), text);
        }
    }
    let (since, until) = own_zone::open_walls(now);
    let open = recurrence.occurrences(since, 0).take_while(|at| *at <= until);
    if open.take(limits::OWN_OCCURRENCES_MAX + 1).count() > limits::OWN_OCCURRENCES_MAX {
        faults.add("delivery.recurring", "expected at most one occurrence an hour with zone: user");
    }
}

fn ok<T>(result: Result<T, String>, field: &str, faults: &mut Faults) -> Option<T> {
    result.map_err(|text| faults.add(field, text)).ok()
}
