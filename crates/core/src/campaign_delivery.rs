//! Pure. When a campaign sends: one time, on a schedule, on an event, or by hand; read from its draft.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::campaign_fields::{check_name, expression};
use crate::civil_text::{parse_instant, parse_zone};
use crate::draft::{
    Delivery, Kind, OneTime, Recurring as RecurringDraft, TriggerOn, Triggered as TriggeredDraft,
};
use crate::event::Event;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;
use crate::recurrence::Recurrence;
use crate::recurring::read_recurring;

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
    At(Timestamp),
}

#[derive(Debug)]
pub struct Recurring {
    pub recurrence: Recurrence,
    /// A missed occurrence younger than this is still run.
    pub catch_up: Duration,
}

#[derive(Debug)]
pub struct Triggered {
    pub triggers: Vec<EventTrigger>,
    pub delay: Duration,
}

impl Triggered {
    /// Whether a trigger takes the event.
    pub fn fits(&self, event: &Event, facts: &Facts<'_>) -> bool {
        let is_met = |trigger: &EventTrigger| {
            trigger.condition.as_ref().is_none_or(|condition| condition.matches(facts))
        };
        self.naming(event).any(is_met)
    }

    /// What the triggers saw of the event: of the first that takes it, else of the first that does not.
    pub fn saw(&self, event: &Event, facts: &Facts<'_>) -> String {
        let mut refused = None;
        for trigger in self.naming(event) {
            let Some(condition) = &trigger.condition else {
                return format!("every {} sets it off", event.name);
            };
            let saw = condition.explain(facts);
            if saw.result {
                return saw.saw();
            }
            refused = refused.or(Some(saw));
        }
        refused.map_or_else(|| format!("no trigger names the event {:?}", event.name), |saw| saw.saw())
    }

    fn naming(&self, event: &Event) -> impl Iterator<Item = &EventTrigger> {
        self.triggers.iter().filter(move |trigger| trigger.event == event.name)
    }
}

/// An event by name, with a condition on it and its user.
#[derive(Debug)]
pub struct EventTrigger {
    pub event: String,
    pub condition: Option<Expression>,
}

/// UTC where nothing is written.
pub(crate) fn zone(name: &str, field: &str, faults: &mut Faults) -> TimeZone {
    if name.is_empty() || name == "user" {
        // The users' own zones are refused by name elsewhere.
        return TimeZone::UTC;
    }
    parse_zone(name).unwrap_or_else(|text| {
        faults.add(field, text);
        TimeZone::UTC
    })
}

pub(crate) fn when(
    delivery: &Delivery,
    zone: &TimeZone,
    now: Timestamp,
    faults: &mut Faults,
) -> Option<When> {
    match &delivery.kind {
        Some(Kind::OneTime(one_time)) => self::one_time(one_time, zone, now, faults).map(When::OneTime),
        Some(Kind::Recurring(draft)) => recurring(draft, zone, now, faults).map(When::Recurring),
        Some(Kind::Triggered(draft)) => triggered(draft, faults).map(When::Triggered),
        Some(Kind::Manual) => Some(When::Manual),
        None => {
            faults.add("delivery", "is missing: give one of one_time, recurring, triggered, manual");
            None
        }
    }
}

fn one_time(draft: &OneTime, zone: &TimeZone, now: Timestamp, faults: &mut Faults) -> Option<OneTimeAt> {
    let field = "delivery.one_time.at";
    match draft.at.trim() {
        "" => {
            faults.add(field, "is missing: write now, or a time such as 2026-12-01T09:00");
            None
        }
        "now" => Some(OneTimeAt::Now),
        at => ok(parse_instant(at, zone, now), field, faults).map(OneTimeAt::At),
    }
}

fn recurring(
    draft: &RecurringDraft,
    zone: &TimeZone,
    now: Timestamp,
    faults: &mut Faults,
) -> Option<Recurring> {
    match read_recurring(draft, zone, now) {
        Ok(recurrence) => {
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

fn triggered(draft: &TriggeredDraft, faults: &mut Faults) -> Option<Triggered> {
    if draft.when.is_empty() {
        faults.add("delivery.triggered.when", "is missing: name at least one event");
    }
    let mut triggers = Vec::new();
    for (i, trigger) in draft.when.iter().enumerate() {
        let path = format!("delivery.triggered.when[{i}]");
        let event = match &trigger.on {
            TriggerOn::Event(name) => name.clone(),
            TriggerOn::Nothing => {
                faults.add(format!("{path}.event"), "is missing: name the event");
                continue;
            }
            // Said with all else that comes later.
            _ => continue,
        };
        check_name(&event, &format!("{path}.event"), faults);
        let condition = match trigger.condition.trim() {
            "" => None,
            _ => expression(&trigger.condition, Scope::Trigger, &format!("{path}.where"), faults),
        };
        triggers.push(EventTrigger { event, condition });
    }
    let delay = draft.delay.as_ref().and_then(|delay| delay.after).unwrap_or_default();
    if delay > limits::DELAY_MAX {
        faults.add("delivery.triggered.delay", "is longer than 366 days");
    }
    Some(Triggered { triggers, delay })
}

fn ok<T>(result: Result<T, String>, field: &str, faults: &mut Faults) -> Option<T> {
    result.map_err(|text| faults.add(field, text)).ok()
}
