//! Pure. Names and functions of an expression to operands, and the kinds they have.
//!
//! The one table of what a scope may name. What comes in a later version is refused here by name.

use serde_json::Value;

use crate::behaviour::{Figure, Window};
use crate::campaign_fields::check_slug;
use crate::campaign_history::Past;
use crate::duration_text;
use crate::expression::{FaultList, Scope};
use crate::expression_parser::{Form, Step, Syntax};
use crate::expression_tree::{Operand, Root, Source};
use crate::expression_value::ValueList;
use crate::limits;

/// What is known of a value before it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Truth,
    Time,
    List,
    Range,
    /// An attribute, a property: decided by what is found there.
    Any,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "a number",
            Kind::Truth => "true or false",
            Kind::Time => "a point in time",
            Kind::List => "a list",
            Kind::Range => "a range",
            Kind::Any => "a value",
        }
    }

    /// Whether a value of this kind may turn out to be of `other`.
    pub(crate) fn may_be(self, other: Kind) -> bool {
        self == other || self == Kind::Any || other == Kind::Any
    }
}

impl Operand {
    pub(crate) fn kind(&self) -> Kind {
        match &self.source {
            Source::Literal(value) => literal_kind(value),
            Source::List(_) => Kind::List,
            Source::Range(..) => Kind::Range,
            Source::Path(..) => Kind::Any,
            Source::UserId | Source::EventName | Source::PreviousOutcome => Kind::Text,
            Source::Behaviour(figure, ..) if figure.is_time() => Kind::Time,
            Source::LifetimeValue | Source::Behaviour(..) | Source::Bucket(_) => Kind::Number,
            Source::EventValue | Source::Status | Source::PreviousStatus => Kind::Number,
            Source::History(..) => Kind::Truth,
            Source::Time(_) | Source::FirstSeen | Source::LastSeen => Kind::Time,
            Source::Ago(_) | Source::EventTime => Kind::Time,
            Source::InSegment(_) | Source::InList(_) => Kind::Truth,
        }
    }
}

pub(crate) fn literal_kind(value: &Value) -> Kind {
    match value {
        Value::String(_) => Kind::Text,
        Value::Number(_) => Kind::Number,
        Value::Bool(_) => Kind::Truth,
        _ => Kind::Any,
    }
}

/// A function's name and how it is written.
const FUNCTIONS: [(&str, &str); 14] = [
    ("count", "count(\"purchase\")"),
    ("sum", "sum(\"purchase\")"),
    ("avg", "avg(\"purchase\")"),
    ("min", "min(\"purchase\")"),
    ("max", "max(\"purchase\")"),
    ("first", "first(\"purchase\")"),
    ("last", "last(\"purchase\")"),
    ("ago", "ago(\"30d\")"),
    ("bucket", "bucket(\"salt\")"),
    ("range", "range(0, 100)"),
    ("in_segment", "in_segment(\"buyers\")"),
    ("in_list", "in_list(\"beta-testers\")"),
    ("received", "received(\"welcome\", \"30d\")"),
    ("failed", "failed(\"welcome\", \"30d\")"),
];

const USER_NAMES: [&str; 6] = ["user", "user_id", "lifetime_value", "first_seen", "last_seen", "everyone"];
const ENTRY_NAMES: [&str; 4] = ["properties", "event", "values", "change"];
const STEP_NAMES: [&str; 1] = ["previous"];
const RESPONSE_NAMES: [&str; 2] = ["status", "response"];

/// The operand `syntax` stands for, or a fault and nothing.
pub(crate) fn operand(syntax: &Syntax, scope: Scope, faults: &mut FaultList<'_>) -> Option<Operand> {
    let source = match &syntax.form {
        Form::Text(text) => Ok(Source::Literal(Value::String(text.clone()))),
        Form::Number(number) => Ok(Source::Literal(Value::Number(number.clone()))),
        Form::Truth(truth) => Ok(Source::Literal(Value::Bool(*truth))),
        Form::Nothing => Err("nothing compares with none: write is set or is not set".to_owned()),
        Form::List(values) => list(values),
        Form::Path(root, steps) => path(root, steps, scope),
        Form::Call(name, given) => call(name, given, scope),
        Form::Not(_)
        | Form::All(_)
        | Form::Any(_)
        | Form::Compare(..)
        | Form::In { .. }
        | Form::Is { .. } => Err("a condition stands here where a value is expected".to_owned()),
    };
    source
        .map(|source| Operand { source, span: syntax.span })
        .map_err(|text| faults.add(syntax.span.start, text))
        .ok()
}

fn list(values: &[Syntax]) -> Result<Source, String> {
    let written = values.iter().map(|value| match &value.form {
        Form::Text(text) => Ok(Value::String(text.clone())),
        Form::Number(number) => Ok(Value::Number(number.clone())),
        Form::Truth(truth) => Ok(Value::Bool(*truth)),
        _ => Err("a list holds text, numbers, true and false only".to_owned()),
    });
    Ok(Source::List(ValueList::new(written.collect::<Result<_, _>>()?)))
}

fn path(root: &str, steps: &[Step], scope: Scope) -> Result<Source, String> {
    if FUNCTIONS.iter().any(|(name, _)| *name == root) {
        return Err(format!("{root} is a function: write {}", example(root)));
    }
    if !names(scope).any(|name| name == root) {
        return Err(unknown(root, steps, scope));
    }
    let place = match root {
        "user" => Root::User,
        "properties" => Root::Properties,
        "values" => Root::Values,
        "response" => return Ok(Source::Path(Root::Response, steps.to_vec())),
        "event" => return event(steps),
        "change" => return change(steps),
        "previous" => return previous(steps),
        _ => return plain(root, steps),
    };
    match steps {
        [Step::Name(name), ..] if !name.is_empty() => Ok(Source::Path(place, steps.to_vec())),
        [] => Err(format!("{root} holds many values: name one, as in {root}.plan or {root}[\"First name\"]")),
        _ => Err(format!("{root} is read by name, as in {root}.plan or {root}[\"First name\"]")),
    }
}

/// Names that have no parts.
fn plain(name: &str, steps: &[Step]) -> Result<Source, String> {
    if name == "everyone" {
        return Err("everyone is a condition of its own and is not compared".to_owned());
    }
    if !steps.is_empty() {
        return Err(format!("{name} has no parts"));
    }
    Ok(match name {
        "user_id" => Source::UserId,
        "lifetime_value" => Source::LifetimeValue,
        "first_seen" => Source::FirstSeen,
        "last_seen" => Source::LastSeen,
        _ => Source::Status,
    })
}

/// Of an attribute.
fn change(steps: &[Step]) -> Result<Source, String> {
    match steps {
        [Step::Name(name), ..] if ["attribute", "from", "to"].contains(&name.as_str()) => {
            Ok(Source::Path(Root::Change, steps.to_vec()))
        }
        _ => Err("a change has change.attribute, change.from and change.to".to_owned()),
    }
}

fn event(steps: &[Step]) -> Result<Source, String> {
    match steps {
        [Step::Name(name)] if name == "name" => Ok(Source::EventName),
        [Step::Name(name)] if name == "value" => Ok(Source::EventValue),
        [Step::Name(name)] if name == "occurred_at" => Ok(Source::EventTime),
        [Step::Name(name), ..] if name == "properties" => {
            Err("an event's properties are written properties.x".to_owned())
        }
        _ => {
            Err("an event has event.name, event.value and event.occurred_at; its properties are properties.x"
                .to_owned())
        }
    }
}

fn previous(steps: &[Step]) -> Result<Source, String> {
    match steps {
        [Step::Name(name)] if name == "outcome" => Ok(Source::PreviousOutcome),
        [Step::Name(name)] if name == "status" => Ok(Source::PreviousStatus),
        [Step::Name(name), ..] if name == "response" => Err(later("previous.response")),
        _ => Err("the action before has previous.outcome and previous.status".to_owned()),
    }
}

fn call(name: &str, given: &[Syntax], scope: Scope) -> Result<Source, String> {
    if !FUNCTIONS.iter().any(|(known, _)| *known == name) {
        return Err(unknown_function(name, scope));
    }
    if scope == Scope::Response && name != "range" {
        return Err(format!("{name}() cannot be used here: only status and response can"));
    }
    if name == "range" {
        return range(given);
    }
    if let Some(figure) = Figure::named(name) {
        return behaviour(figure, given);
    }
    if let Some(past) = Past::named(name) {
        return history(past, given);
    }
    let [Syntax { form: Form::Text(text), .. }] = given else {
        return Err(format!("{name} takes one text in quotes: {}", example(name)));
    };
    match name {
        "ago" => duration_text::parse(text).map(Source::Ago),
        "in_segment" => group("segment", text).map(Source::InSegment),
        "in_list" => group("list", text).map(Source::InList),
        _ => Ok(Source::Bucket(text.clone())),
    }
}

/// The name of a segment or list.
fn group(what: &str, name: &str) -> Result<String, String> {
    check_slug(name).map_err(|text| format!("the name of a {what} {text}"))?;
    Ok(name.to_owned())
}

/// An event's name, and for most figures the days it looks back over.
fn behaviour(figure: Figure, given: &[Syntax]) -> Result<Source, String> {
    let name = figure.name();
    let (event, window) = match given {
        [Syntax { form: Form::Text(event), .. }] => (event, None),
        [Syntax { form: Form::Text(event), .. }, Syntax { form: Form::Text(window), .. }]
            if figure.takes_window() =>
        {
            (event, Some(Window::new(duration_text::parse(window)?)?))
        }
        _ if figure.takes_window() => {
            return Err(format!(
                "{name} takes an event and a window, each one text in quotes: {name}(\"purchase\", \"30d\")"
            ));
        }
        _ => return Err(format!("{name} takes one text in quotes: {}", example(name))),
    };
    if event.is_empty() {
        return Err(format!("{name} needs the name of an event: {}", example(name)));
    }
    if event.len() > limits::NAME_BYTES_MAX {
        return Err(format!("an event name has at most {} bytes", limits::NAME_BYTES_MAX));
    }
    Ok(Source::Behaviour(figure, event.clone(), window))
}

/// A campaign's id, and how far back it is looked.
fn history(past: Past, given: &[Syntax]) -> Result<Source, String> {
    let name = past.name();
    let (campaign, window) = match given {
        [Syntax { form: Form::Text(campaign), .. }] => (campaign, None),
        [Syntax { form: Form::Text(campaign), .. }, Syntax { form: Form::Text(window), .. }] => {
            let window = duration_text::parse(window)?;
            if window.is_zero() {
                return Err(format!("{name} within 0s is never true: write a longer window"));
            }
            (campaign, Some(window))
        }
        _ => {
            return Err(format!(
                "{name} takes a campaign's id and a window, each one text in quotes: {}",
                example(name)
            ));
        }
    };
    check_slug(campaign).map_err(|text| format!("the campaign's id in {name}: {text}"))?;
    Ok(Source::History(past, campaign.clone(), window))
}

fn range(given: &[Syntax]) -> Result<Source, String> {
    let integer = |syntax: &Syntax| match &syntax.form {
        Form::Number(number) => number.as_i64(),
        _ => None,
    };
    let ends = match given {
        [until] => integer(until).map(|until| (0, until)),
        [from, until] => integer(from).zip(integer(until)),
        _ => None,
    };
    match ends {
        Some((from, until)) if from < until => Ok(Source::Range(from, until)),
        Some((from, until)) => Err(format!("range({from}, {until}) is empty: its end is not part of it")),
        None => Err("range takes its first integer and the one after its last: range(0, 100)".to_owned()),
    }
}

fn later(name: &str) -> String {
    format!("{name} is not available in this version")
}

fn example(function: &str) -> &'static str {
    FUNCTIONS.iter().find(|(name, _)| *name == function).map_or("", |(_, example)| *example)
}

fn names(scope: Scope) -> impl Iterator<Item = &'static str> {
    let (user, entry, other): (&[&str], &[&str], &[&str]) = match scope {
        Scope::Audience => (&USER_NAMES, &[], &[]),
        Scope::Trigger => (&USER_NAMES, &ENTRY_NAMES, &[]),
        Scope::Step => (&USER_NAMES, &ENTRY_NAMES, &STEP_NAMES),
        Scope::Response => (&[], &[], &RESPONSE_NAMES),
    };
    [user, entry, other].into_iter().flatten().copied()
}

fn unknown(root: &str, steps: &[Step], scope: Scope) -> String {
    let elsewhere = [&USER_NAMES[..], &ENTRY_NAMES, &STEP_NAMES, &RESPONSE_NAMES].into_iter().flatten();
    if elsewhere.copied().any(|name| name == root) {
        return match scope {
            Scope::Response => format!("{root} cannot be used here: only status and response can"),
            _ if STEP_NAMES.contains(&root) => {
                format!("{root} can be used only in the where of an action that comes after another")
            }
            _ if RESPONSE_NAMES.contains(&root) => format!("{root} can be used only in success_when"),
            _ => format!(
                "{root} can be used only where an event or a manual entry is at hand, not in an audience"
            ),
        };
    }
    let near = nearest(root, names(scope));
    match (near, steps) {
        (Some(near), _) => format!("unknown name {root}: did you mean {near}?"),
        (None, []) if scope == Scope::Response => {
            format!("unknown name {root}: text is written in quotes, \"{root}\"")
        }
        (None, []) => {
            format!(
                "unknown name {root}: an attribute is written user.{root}, text is written in quotes, \"{root}\""
            )
        }
        (None, _) => {
            format!("unknown name {root}: known are {}", names(scope).collect::<Vec<_>>().join(", "))
        }
    }
}

fn unknown_function(name: &str, scope: Scope) -> String {
    if crate::expression_predicate::is_test(name) {
        return format!("{name} is a test: write x is {name}(...)");
    }
    if names(scope).any(|known| known == name) {
        return format!("{name} is not a function: write {name} without brackets");
    }
    let known = FUNCTIONS.iter().map(|(name, _)| *name);
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown function {name}: did you mean {}?", example(near)),
        None => format!("unknown function {name}: known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The known word that is one or two slips away.
pub(crate) fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let slips = if word.chars().count() <= 4 { 1 } else { 2 };
    let near =
        known.map(|name| (strsim::osa_distance(word, name), name)).filter(|(distance, _)| *distance <= slips);
    near.min().map(|(_, name)| name)
}
