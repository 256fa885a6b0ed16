//! Pure. What sets a triggered campaign off, how long its sends wait, and between which instants anybody enters; read from its draft.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::campaign_fields::{check_name, check_slug, expression};
use crate::civil_text::{parse_end, parse_start};
use crate::delay::Delay;
use crate::draft::{self, IfPending, OnWindowEnd, TriggerOn};
use crate::event::Event;
use crate::event_rule::EventRule;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::happening::Happening;
use crate::limits;
use crate::value_path::ValuePath;

#[derive(Debug)]
pub struct Triggered {
    pub triggers: Vec<Trigger>,
    pub delay: Delay,
    pub window: Window,
    pub cancel_on: Vec<EventRule>,
    pub if_pending: Pending,
    /// What narrows *pending* to entries with the same value.
    pub key: Option<ValuePath>,
    pub entry_limits: EntryLimits,
    /// The campaign has several messages.
    pub is_chain: bool,
}

/// What a further trigger does while an entry is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pending {
    #[default]
    Each,
    Ignore,
    Restart,
    /// One send tells of all of them.
    Collect,
}

/// How often one user may enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryLimits {
    /// 0: no bound.
    pub ever: u32,
    pub once_per: Option<SignedDuration>,
}

impl Triggered {
    /// Whether its entries depend on one another, or on events after them.
    pub fn keeps_records(&self) -> bool {
        self.is_chain
            || !self.cancel_on.is_empty()
            || self.entry_limits != EntryLimits::default()
            || self.if_pending != Pending::Each
    }

    /// Whether a trigger takes the event.
    pub fn fits(&self, event: &Event, facts: &Facts<'_>) -> bool {
        let is_met = |trigger: &Trigger| {
            trigger.takes(facts)
                && trigger.condition.as_ref().is_none_or(|condition| condition.matches(facts))
        };
        self.naming(event).any(is_met)
    }

    /// What the triggers saw of the event: of the first that takes it, else of the first that does not.
    pub fn saw(&self, event: &Event, facts: &Facts<'_>) -> String {
        let mut refused = None;
        for trigger in self.naming(event) {
            if !trigger.takes(facts) {
                continue;
            }
            let Some(condition) = &trigger.condition else {
                return format!("every {} sets it off", trigger.said());
            };
            let saw = condition.explain(facts);
            if saw.result {
                return saw.saw();
            }
            refused = refused.or(Some(saw));
        }
        refused.map_or_else(
            || match self.naming(event).next() {
                Some(_) => format!("it is not the user's first {}", event.name),
                None => format!("no trigger names {}", said(event)),
            },
            |saw| saw.saw(),
        )
    }

    fn naming(&self, event: &Event) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().filter(move |trigger| trigger.names(event))
    }

    /// The events that set it off, and the names of what else does.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.triggers.iter().map(Trigger::name)
    }
}

/// What sets a campaign off, with a condition on it and its user.
#[derive(Debug)]
pub struct Trigger {
    pub on: TriggerOn,
    pub condition: Option<Expression>,
}

impl Trigger {
    fn names(&self, event: &Event) -> bool {
        let says = |name: &str, what: &str| event.properties.get(name).is_some_and(|value| value == what);
        match (&self.on, event.happening) {
            (TriggerOn::Event(name) | TriggerOn::FirstEvent(name), None) => *name == event.name,
            (TriggerOn::UserCreated, Some(Happening::UserCreated)) => true,
            (TriggerOn::AttributeChanged(name), Some(Happening::AttributeChanged)) => says("attribute", name),
            (TriggerOn::SegmentEntered(name), Some(Happening::SegmentEntered(_)))
            | (TriggerOn::SegmentLeft(name), Some(Happening::SegmentLeft(_))) => says("segment", name),
            (TriggerOn::CampaignSent(id), Some(Happening::CampaignSent(_)))
            | (TriggerOn::CampaignDelivered(id), Some(Happening::CampaignDelivered(_)))
            | (TriggerOn::CampaignFailed(id), Some(Happening::CampaignFailed(_)))
            | (TriggerOn::CampaignConverted(id), Some(Happening::CampaignConverted(_))) => {
                says("campaign", id)
            }
            _ => false,
        }
    }

    /// Behaviour counts the event before it is asked.
    fn takes(&self, facts: &Facts<'_>) -> bool {
        match &self.on {
            TriggerOn::FirstEvent(name) => facts.profile.behaviour.get(name).is_none_or(|did| did.count <= 1),
            _ => true,
        }
    }

    fn name(&self) -> &str {
        match &self.on {
            TriggerOn::Event(name) | TriggerOn::FirstEvent(name) => name,
            on => Happening::of(on).map_or("", Happening::name),
        }
    }

    fn said(&self) -> String {
        match &self.on {
            TriggerOn::Nothing => String::new(),
            TriggerOn::Event(name) | TriggerOn::FirstEvent(name) => name.clone(),
            TriggerOn::UserCreated => "new user".to_owned(),
            TriggerOn::AttributeChanged(name) => format!("change of the attribute {name}"),
            TriggerOn::SegmentEntered(name) => format!("user who comes into the segment {name}"),
            TriggerOn::SegmentLeft(name) => format!("user who leaves the segment {name}"),
            TriggerOn::CampaignSent(id) => format!("send of the campaign {id}"),
            TriggerOn::CampaignDelivered(id) => format!("delivered send of the campaign {id}"),
            TriggerOn::CampaignFailed(id) => format!("failed send of the campaign {id}"),
            TriggerOn::CampaignConverted(id) => format!("conversion of the campaign {id}"),
        }
    }
}

/// What happened, as somebody would call it.
fn said(event: &Event) -> String {
    let of = |name: &str| event.properties.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    match event.happening {
        None => format!("the event {:?}", event.name),
        Some(Happening::AttributeChanged) => format!("a change of the attribute {:?}", of("attribute")),
        Some(happening) if happening.hops() > 0 => format!("{} of {:?}", event.name, of("campaign")),
        Some(_) => format!("{} {:?}", event.name, of("segment")),
    }
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
    is_chain: bool,
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
    let window = read_window(written, zone, now, faults);
    let cancel_on = EventRule::read_all(&written.cancel_on, &at("cancel_on"), limits::TRIGGERS_MAX, faults);
    let if_pending = match written.if_pending {
        IfPending::Unspecified if is_chain => Pending::Ignore,
        IfPending::Each if is_chain => {
            let text =
                "each is refused with several actions: a user enters again after the last one, write ignore";
            faults.add(at("if_pending"), text);
            Pending::Ignore
        }
        IfPending::Unspecified | IfPending::Each => Pending::Each,
        IfPending::Ignore => Pending::Ignore,
        IfPending::Restart => Pending::Restart,
        IfPending::Collect => Pending::Collect,
    };
    let key = match written.key.trim() {
        "" => None,
        _ if if_pending == Pending::Each => {
            faults.add(at("key"), "only with if_pending: ignore, restart or collect");
            None
        }
        path => ValuePath::parse(path).map_err(|text| faults.add(at("key"), text)).ok(),
    };
    let entry_limits = read_limits(written.entry_limits.as_ref(), faults);
    Triggered { triggers, delay, window, cancel_on, if_pending, key, entry_limits, is_chain }
}

fn read_limits(written: Option<&draft::EntryLimits>, faults: &mut Faults) -> EntryLimits {
    let Some(written) = written else { return EntryLimits::default() };
    let field = "delivery.triggered.entry_limits";
    if written.ever == 0 && written.once_per.is_none() {
        faults.add(field, "say ever, such as 1, or once_per, such as 24h");
    }
    if written.once_per.is_some_and(|once_per| once_per.is_zero()) {
        faults.add(format!("{field}.once_per"), "expected more than 0s");
    }
    let once_per = written.once_per.map(|per| SignedDuration::try_from(per).unwrap_or(SignedDuration::MAX));
    EntryLimits { ever: written.ever, once_per }
}

fn read_trigger(trigger: &draft::Trigger, path: &str, faults: &mut Faults) -> Option<Trigger> {
    let mut id = |field: &str, id: &str| {
        if let Err(text) = check_slug(id) {
            faults.add(format!("{path}.{field}"), text);
        }
    };
    match &trigger.on {
        TriggerOn::Nothing => {
            faults.add(format!("{path}.event"), "is missing: name the event");
            return None;
        }
        TriggerOn::Event(name) => check_name(name, &format!("{path}.event"), faults),
        TriggerOn::FirstEvent(name) => check_name(name, &format!("{path}.first_event"), faults),
        TriggerOn::AttributeChanged(name) => check_name(name, &format!("{path}.attribute_changed"), faults),
        TriggerOn::UserCreated => {}
        TriggerOn::CampaignSent(name) => id("campaign_sent", name),
        TriggerOn::CampaignDelivered(name) => id("campaign_delivered", name),
        TriggerOn::CampaignFailed(name) => id("campaign_failed", name),
        TriggerOn::SegmentEntered(name) => id("segment_entered", name),
        TriggerOn::SegmentLeft(name) => id("segment_left", name),
        // Said with all else that comes later.
        TriggerOn::CampaignConverted(_) => return None,
    }
    let condition = match trigger.condition.trim() {
        "" => None,
        _ => expression(&trigger.condition, Scope::Trigger, &format!("{path}.where"), faults),
    };
    Some(Trigger { on: trigger.on.clone(), condition })
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
