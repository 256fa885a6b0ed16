//! Pure. The names a template knows, and what each stands for in one user's facts.
//!
//! A name with its constant keys is one slot, found in the facts without building the maps around it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::behaviour::{Figure, Reading, Window};
use crate::event::Event;
use crate::secret::MASK;
use crate::webhook::RenderContext;

/// A context, and whether secrets are shown as a mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) context: &'a RenderContext<'a>,
    pub(crate) masked: bool,
}

/// One step into a map or a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    Name(String),
    Index(i64),
}

/// What a name stands for. An empty path is the whole map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    Attribute(Vec<Key>),
    Values(Vec<Key>),
    Properties(Vec<Key>),
    /// Of an attribute: its name, what it was and what it is.
    Change(Vec<Key>),
    /// Of a digest; one where there is no digest.
    Events(Vec<Key>),
    Event,
    EventName,
    EventValue,
    EventAt,
    UserId,
    TimeZone,
    /// Name of the zone `now` is in: the user's, or the fallback.
    Zone,
    Now,
    DueAt,
    Behaviour(Figure, String, Option<Window>),
    /// By event name.
    Behaviours(Figure, Option<Window>),
    LifetimeValue,
    FirstSeen,
    LastSeen,
    Secret(String),
    CampaignId,
    CampaignTitle,
    ActionName,
    Variant,
    SendId,
    PreviousOutcome,
    PreviousStatus,
}

/// Names at the top, as they are suggested for a misspelt one.
pub(crate) const ROOTS: &[&str] = &[
    "user",
    "user_id",
    "time_zone",
    "now",
    "due_at",
    "event",
    "properties",
    "change",
    "events",
    "values",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "lifetime_value",
    "first_seen",
    "last_seen",
    "secret",
    "campaign",
    "action",
    "variant",
    "send_id",
    "previous",
    "userAttribute",
    "occurrencesOf",
    "firstOccurrenceOf",
    "lastOccurrenceOf",
    "valueOf",
    "lifetimeValue",
    "firstRun",
    "lastActive",
    "country",
    "region",
    "city",
    "locale",
    "language",
];

/// Names a template may not take for itself.
pub(crate) const CORE: &[&str] = &[
    "user",
    "user_id",
    "time_zone",
    "now",
    "due_at",
    "event",
    "properties",
    "change",
    "events",
    "values",
    "count",
    "first",
    "last",
    "lifetime_value",
    "first_seen",
    "last_seen",
    "secret",
    "campaign",
    "action",
    "send_id",
    "previous",
    "abort",
    "range",
    "dict",
    "namespace",
];

/// Names that come with a later version.
pub(crate) const LATER: &[&str] = &["linked", "linkedData"];

/// What `root` with `keys` stands for; `Err` says what would be right.
pub(crate) fn slot(root: &str, keys: Vec<Key>) -> Result<Slot, String> {
    let whole = |slot: Slot, keys: &[Key]| match keys {
        [] => Ok(slot),
        _ => Err(format!("{root} is one value, it has no parts")),
    };
    Ok(match root {
        "user" | "userAttribute" => Slot::Attribute(keys),
        "values" => Slot::Values(keys),
        "properties" => Slot::Properties(keys),
        "country" | "region" | "city" | "locale" | "language" => {
            Slot::Attribute(std::iter::once(Key::Name(root.to_owned())).chain(keys).collect())
        }
        "event" => event(keys)?,
        "events" => Slot::Events(keys),
        "change" => match keys.first() {
            Some(Key::Name(part)) if ["attribute", "from", "to"].contains(&part.as_str()) => {
                Slot::Change(keys)
            }
            _ => return Err("write change.attribute, change.from or change.to".to_owned()),
        },
        "user_id" => whole(Slot::UserId, &keys)?,
        "time_zone" => whole(Slot::TimeZone, &keys)?,
        "now" => whole(Slot::Now, &keys)?,
        "due_at" => whole(Slot::DueAt, &keys)?,
        "lifetime_value" | "lifetimeValue" => whole(Slot::LifetimeValue, &keys)?,
        "first_seen" | "firstRun" => whole(Slot::FirstSeen, &keys)?,
        "last_seen" | "lastActive" => whole(Slot::LastSeen, &keys)?,
        "send_id" => whole(Slot::SendId, &keys)?,
        "variant" => whole(Slot::Variant, &keys)?,
        "occurrencesOf" => behaviour(Figure::Count, root, keys)?,
        "firstOccurrenceOf" => behaviour(Figure::First, root, keys)?,
        "lastOccurrenceOf" => behaviour(Figure::Last, root, keys)?,
        "valueOf" => behaviour(Figure::Sum, root, keys)?,
        "campaign" => match name(&keys) {
            Some("id") => Slot::CampaignId,
            Some("title") => Slot::CampaignTitle,
            _ => return Err("write campaign.id or campaign.title".to_owned()),
        },
        "action" => match name(&keys) {
            Some("name") => Slot::ActionName,
            _ => return Err("write action.name".to_owned()),
        },
        "previous" => match name(&keys) {
            Some("outcome") => Slot::PreviousOutcome,
            Some("status") => Slot::PreviousStatus,
            Some("response") => return Err("previous.response is not available in this version".to_owned()),
            _ => return Err("write previous.outcome or previous.status".to_owned()),
        },
        "secret" => match name(&keys) {
            Some(secret) => Slot::Secret(secret.to_owned()),
            None => return Err("name one secret, as in secret.API_KEY".to_owned()),
        },
        _ if Figure::named(root).is_some() => {
            return Err(format!("{root} is a function, write {root}(\"event\")"));
        }
        _ if LATER.contains(&root) => return Err(format!("{root} is not available in this version")),
        _ => return Err(unknown(root)),
    })
}

/// Names the nearest one known, or says where attributes are.
fn unknown(root: &str) -> String {
    match nearest(root, ROOTS.iter().copied()) {
        Some(known) => format!("{root} is not known here, did you mean {known}"),
        None => format!("{root} is not known here; attributes of the user are written user.{root}"),
    }
}

/// The one nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if word.len() < 5 { 1 } else { 2 };
    known
        .map(|name| (strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn name(keys: &[Key]) -> Option<&str> {
    match keys {
        [Key::Name(name)] => Some(name),
        _ => None,
    }
}

fn event(keys: Vec<Key>) -> Result<Slot, String> {
    let mut keys = keys.into_iter();
    Ok(match (keys.next(), keys.len()) {
        (None, _) => Slot::Event,
        (Some(Key::Name(part)), rest) => match part.as_str() {
            "properties" => Slot::Properties(keys.collect()),
            "name" if rest == 0 => Slot::EventName,
            "value" if rest == 0 => Slot::EventValue,
            "occurred_at" if rest == 0 => Slot::EventAt,
            _ => {
                return Err(format!(
                    "event.{part} is not known, expected event.name, event.value or event.occurred_at; \
                                     what else came with it is properties.{part}"
                ));
            }
        },
        (Some(Key::Index(_)), _) => return Err("event is not a list".to_owned()),
    })
}

fn behaviour(figure: Figure, root: &str, keys: Vec<Key>) -> Result<Slot, String> {
    match keys.as_slice() {
        [] => Ok(Slot::Behaviours(figure, None)),
        [Key::Name(event)] => Ok(Slot::Behaviour(figure, event.clone(), None)),
        _ => Err(format!("write {root}['event']")),
    }
}

impl Slot {
    /// Whether a user or an event says what it is, rather than the campaign or the deployment.
    pub(crate) fn is_personal(&self) -> bool {
        !matches!(
            self,
            Slot::Secret(_)
                | Slot::CampaignId
                | Slot::CampaignTitle
                | Slot::ActionName
                | Slot::Variant
                | Slot::SendId
        )
    }

    /// Whether it may be missing.
    pub(crate) fn may_be_missing(&self) -> bool {
        if let Slot::Behaviour(figure, ..) = self {
            return figure.may_be_missing();
        }
        !matches!(
            self,
            Slot::UserId
                | Slot::Zone
                | Slot::Now
                | Slot::DueAt
                | Slot::Behaviours(..)
                | Slot::LifetimeValue
                | Slot::Secret(_)
                | Slot::CampaignId
                | Slot::CampaignTitle
                | Slot::ActionName
                | Slot::SendId
        )
    }

    /// Its value, `None` if it is missing or null. `Err` only for a secret that is no longer there.
    pub(crate) fn find<'a>(&self, scope: Scope<'a>) -> Result<Option<Cow<'a, Value>>, String> {
        let context = scope.context;
        let facts = &context.facts;
        let profile = facts.profile;
        Ok(match self {
            Slot::Attribute(keys) => attribute(context, keys),
            Slot::Values(keys) => facts.values.and_then(|values| inside(values, keys)),
            Slot::Properties(keys) => facts.event.and_then(|event| inside(&event.properties, keys)),
            Slot::Change(keys) => facts.event.and_then(Event::change).and_then(|change| inside(change, keys)),
            Slot::Event => facts.event.map(|event| Cow::Owned(whole_event(event))),
            Slot::Events(keys) => facts.event.and_then(|event| {
                let all = match event.collected.as_slice() {
                    [] => std::slice::from_ref(event),
                    all => all,
                };
                let all = Value::Array(all.iter().map(whole_event).collect());
                below(&all, keys).map(|value| Cow::Owned(value.into_owned()))
            }),
            Slot::EventName => facts.event.map(|event| text(&event.name)),
            Slot::EventValue => {
                facts.event.and_then(|event| event.value).map(|value| Cow::Owned(number(value)))
            }
            Slot::EventAt => facts.event.map(|event| instant(event.occurred_at)),
            Slot::UserId => Some(text(&profile.id)),
            Slot::TimeZone => profile.time_zone.as_deref().map(text),
            Slot::Zone => Some(text(facts.zone().iana_name().unwrap_or("UTC"))),
            Slot::Now => {
                let offset = facts.zone().to_offset(facts.now);
                Some(text(&facts.now.display_with_offset(offset).to_string()))
            }
            Slot::DueAt => Some(instant(context.due_at)),
            Slot::Behaviour(figure, event, window) => {
                figure.read(profile.behaviour.get(event), *window, facts.as_of).map(read)
            }
            Slot::Behaviours(figure, window) => {
                let each = profile.behaviour.iter();
                let read = each.filter_map(|(name, b)| {
                    Some((name.clone(), read(figure.read(Some(b), *window, facts.as_of)?).into_owned()))
                });
                Some(Cow::Owned(Value::Object(read.collect())))
            }
            Slot::LifetimeValue => Some(Cow::Owned(number(profile.lifetime_value()))),
            Slot::FirstSeen => profile.first_seen().map(instant),
            Slot::LastSeen => profile.last_seen().map(instant),
            Slot::Secret(_) if scope.masked => Some(text(MASK)),
            Slot::Secret(name) => match context.secrets.get(name) {
                Some(secret) => Some(text(secret.value())),
                None => return Err(format!("secret {name} does not exist")),
            },
            Slot::CampaignId => Some(text(context.campaign_id)),
            Slot::CampaignTitle => Some(text(context.campaign_title)),
            Slot::ActionName => Some(text(context.action_name)),
            Slot::Variant => Some(context.variant).filter(|name| !name.is_empty()).map(text),
            Slot::SendId => Some(text(context.send_id)),
            Slot::PreviousOutcome => facts.previous.map(|previous| text(previous.outcome.name())),
            Slot::PreviousStatus => {
                facts.previous.filter(|previous| previous.status > 0).map(|p| Cow::Owned(p.status.into()))
            }
        })
    }
}

fn whole_event(event: &Event) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), event.name.clone().into());
    if let Some(value) = event.value {
        map.insert("value".to_owned(), number(value));
    }
    map.insert("occurred_at".to_owned(), event.occurred_at.to_string().into());
    map.insert("properties".to_owned(), Value::Object(event.properties.clone()));
    Value::Object(map)
}

fn read<'a>(reading: Reading) -> Cow<'a, Value> {
    match reading {
        Reading::Count(count) => Cow::Owned(count.into()),
        Reading::Number(value) => Cow::Owned(number(value)),
        Reading::At(at) => instant(at),
    }
}

/// Values of a manual entry shadow attributes.
fn attribute<'a>(context: &'a RenderContext<'a>, keys: &[Key]) -> Option<Cow<'a, Value>> {
    let attributes = &context.facts.profile.attributes;
    let Some((first, rest)) = keys.split_first() else {
        let mut all = attributes.clone();
        all.extend(
            context.facts.values.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
        return Some(Cow::Owned(Value::Object(all)));
    };
    let Key::Name(name) = first else { return None };
    let value = context.facts.values.and_then(|values| values.get(name)).or_else(|| attributes.get(name))?;
    below(value, rest)
}

fn inside<'a>(map: &'a Map<String, Value>, keys: &[Key]) -> Option<Cow<'a, Value>> {
    match keys.split_first() {
        None => Some(Cow::Owned(Value::Object(map.clone()))),
        Some((Key::Name(name), rest)) => below(map.get(name)?, rest),
        Some((Key::Index(_), _)) => None,
    }
}

fn below<'a>(value: &'a Value, keys: &[Key]) -> Option<Cow<'a, Value>> {
    let mut value = value;
    for key in keys {
        value = match (key, value) {
            (Key::Name(name), Value::Object(map)) => map.get(name)?,
            (Key::Index(at), Value::Array(items)) => {
                let at = if *at < 0 { at + i64::try_from(items.len()).ok()? } else { *at };
                items.get(usize::try_from(at).ok()?)?
            }
            _ => return None,
        };
    }
    (!value.is_null()).then_some(Cow::Borrowed(value))
}

fn text<'a>(text: &str) -> Cow<'a, Value> {
    Cow::Owned(Value::String(text.to_owned()))
}

fn instant<'a>(at: Timestamp) -> Cow<'a, Value> {
    Cow::Owned(Value::String(at.to_string()))
}

/// A whole number is written without a fraction.
pub(crate) fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT { Value::from(value as i64) } else { Value::from(value) }
}
