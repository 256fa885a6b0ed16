//! Pure. What sets a triggered campaign off, how long its sends wait, and between which instants anybody enters; read from its draft.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::campaign_fields::{check_name, expression};
use crate::civil_text::{parse_end, parse_start};
use crate::delay::Delay;
use crate::draft::{self, OnWindowEnd, TriggerOn};
use crate::event::Event;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;

#[derive(Debug)]
pub struct Triggered {
    pub triggers: Vec<EventTrigger>,
    pub delay: Delay,
    pub window: Window,
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

/// When users may enter; both ends belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// Also a send that is due after the end is sent.
    pub finish: bool,
}

impl Window {
    /// Whether a send that is due at `due_at` is left out because the window has ended by then.
    pub fn cuts(&self, due_at: Timestamp) -> bool {
        !self.finish && self.end.is_some_and(|end| due_at > end)
    }
}

/// `zone` is the delivery's; users' own zones leave it UTC. `now` is what `now` means in start and end.
pub(crate) fn read(
    written: &draft::Triggered,
    zone: &TimeZone,
    now: Timestamp,
    faults: &mut Faults,
) -> Triggered {
    let at = |name: &str| format!("delivery.triggered.{name}");
    if written.when.is_empty() {
        faults.add(at("when"), "is missing: name at least one event");
    }
    if written.when.len() > limits::TRIGGERS_MAX {
        faults.add(at("when"), format!("expected at most {} triggers", limits::TRIGGERS_MAX));
    }
    let mut triggers = Vec::new();
    for (i, trigger) in written.when.iter().enumerate().take(limits::TRIGGERS_MAX) {
        triggers.extend(read_trigger(trigger, &at(&format!("when[{i}]")), faults));
    }
    let delay =
        written.delay.as_ref().map(|delay| Delay::read(delay, &at("delay"), faults)).unwrap_or_default();
    Triggered { triggers, delay, window: read_window(written, zone, now, faults) }
}

fn read_trigger(trigger: &draft::Trigger, path: &str, faults: &mut Faults) -> Option<EventTrigger> {
    let event = match &trigger.on {
        TriggerOn::Event(name) => name.clone(),
        TriggerOn::Nothing => {
            faults.add(format!("{path}.event"), "is missing: name the event");
            return None;
        }
        // Said with all else that comes later.
        _ => return None,
    };
    check_name(&event, &format!("{path}.event"), faults);
    let condition = match trigger.condition.trim() {
        "" => None,
        _ => expression(&trigger.condition, Scope::Trigger, &format!("{path}.where"), faults),
    };
    Some(EventTrigger { event, condition })
}

fn read_window(written: &draft::Triggered, zone: &TimeZone, now: Timestamp, faults: &mut Faults) -> Window {
    let mut bound =
        |field: &str, text: &str, read: fn(&str, &TimeZone, Timestamp) -> Result<Timestamp, String>| {
            if text.trim().is_empty() {
                return None;
            }
            read(text, zone, now).map_err(|text| faults.add(format!("delivery.triggered.{field}"), text)).ok()
        };
    let start = bound("start", &written.start, parse_start);
    let end = bound("end", &written.end, parse_end);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        faults.add("delivery.triggered.end", "lies before the start");
    }
    if end.is_none() && written.end.trim().is_empty() && written.on_window_end != OnWindowEnd::Unspecified {
        faults.add("delivery.triggered.on_window_end", "only with an end");
    }
    Window { start, end, finish: written.on_window_end == OnWindowEnd::Finish }
}
