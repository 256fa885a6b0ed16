//! Pure. A node of a campaign file -> the proto3 JSON it stands for, by the message's descriptor.
//!
//! [`canonical`] accepts all that proto3 JSON does and seven conveniences beside: (1) a duration may be `90s`, `1h30m`,
//! `3d`; (2) an enum value may drop its prefix and be lower case; (3) one value where a list is expected is a list of
//! one; (4) a bare value where a message is expected is that message's first field; (5) a mapping where name/value rows
//! are expected is those rows; (6) a mapping or list where JSON text is expected is that JSON; (7) a number where text
//! is expected is its text. Knows shapes only: whether a campaign makes sense is checked by who stores it.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use crate::file_fault::{FileFault, FilePlace};
use crate::json_text::{self, Origin};
use crate::yaml_text::quoted;
use crate::yaml_traps::{self, Meaning};
use crate::yaml_tree::{Key, Node, Shape};
use crate::{file_duration, file_keys};

/// Fields that hold JSON text.
const JSON_TEXT: [&str; 7] = [
    "campanile.v1.Webhook.json",
    "campanile.v1.Webhook.json_schema",
    "campanile.v1.DataRow.json",
    "campanile.v1.CampaignCase.values",
    "campanile.v1.TestUser.attributes",
    "campanile.v1.TestEvent.properties",
    "campanile.v1.ExpectedRequest.json",
];
/// Messages that are name/value rows.
const ROWS: [&str; 5] = [
    "campanile.v1.Header",
    "campanile.v1.DataRow",
    "campanile.v1.ResponseMapping",
    "campanile.v1.TestSecret",
    "campanile.v1.TestSegment",
];
/// Fields that a file may hold and nobody reads.
pub(crate) const OUTPUT_ONLY: [&str; 6] = [
    "campanile.v1.Campaign.state",
    "campanile.v1.Campaign.revision",
    "campanile.v1.Campaign.created_at",
    "campanile.v1.Campaign.updated_at",
    "campanile.v1.Settings.revision",
    "campanile.v1.Settings.updated_at",
];
/// The row whose value may be JSON as well as text.
const DATA_ROW: &str = "campanile.v1.DataRow";

/// The proto3 JSON of a message, and where each of its fields stands in the file. Faults are recorded, all of them; then
/// the JSON lacks what was faulty.
pub(crate) fn canonical(
    origin: Origin<'_>,
    node: &Node,
    descriptor: &MessageDescriptor,
    faults: &mut Vec<FileFault>,
) -> (Value, BTreeMap<String, FilePlace>) {
    let mut walk = Walk { origin, faults, places: BTreeMap::new() };
    let value = walk.message(&At::default(), node, descriptor).unwrap_or_else(|| Value::Object(Map::new()));
    (value, walk.places)
}

/// Whether this field holds JSON text.
pub(crate) fn is_json_text(field: &FieldDescriptor) -> bool {
    JSON_TEXT.contains(&field.full_name())
}

/// Whether this field is a list of name/value rows.
pub(crate) fn is_rows(field: &FieldDescriptor) -> bool {
    field.is_list() && matches!(field.kind(), Kind::Message(row) if ROWS.contains(&row.full_name()))
}

/// What the values of an enum begin with, such as `IF_PENDING_`.
pub(crate) fn enum_prefix(descriptor: &EnumDescriptor) -> String {
    descriptor.default_value().name().trim_end_matches("UNSPECIFIED").to_owned()
}

/// Where the walk is: the path as the author wrote it, and as the message has it.
#[derive(Clone, Default)]
struct At {
    written: String,
    field: String,
    /// What the line begins with, such as `zip: `; for answers that say what to write.
    key: String,
}

struct Walk<'a> {
    origin: Origin<'a>,
    faults: &'a mut Vec<FileFault>,
    places: BTreeMap<String, FilePlace>,
}

impl Walk<'_> {
    fn message(&mut self, at: &At, node: &Node, descriptor: &MessageDescriptor) -> Option<Value> {
        match descriptor.full_name() {
            "google.protobuf.Duration" => return self.duration(at, node),
            "google.protobuf.Timestamp" => return self.text(at, node).map(Value::from),
            _ => {}
        }
        match &node.shape {
            Shape::Map(entries) => Some(self.fields(at, entries, descriptor)),
            _ => {
                let Some(first) = descriptor.get_field(1) else {
                    return self.refuse(at, node, format!("nothing can be set here: write {}{{}}", at.key));
                };
                let value = self.field(&at.first(first.name()), node, &first)?;
                Some(Value::Object(Map::from_iter([(first.name().to_owned(), value)])))
            }
        }
    }

    fn fields(&mut self, at: &At, entries: &[(Key, Node)], descriptor: &MessageDescriptor) -> Value {
        let mut object = Map::new();
        let mut chosen: HashMap<String, String> = HashMap::new();
        for (key, node) in entries {
            let known = descriptor
                .get_field_by_name(&key.text)
                .or_else(|| descriptor.get_field_by_json_name(&key.text))
                .map(|field| self.row_content(field, node, descriptor));
            let Some(field) = known else {
                let text = file_keys::unknown_key(&key.text, descriptor);
                self.faults.push(FileFault::new(&at.key(&key.text, &key.text).written, key.place, text));
                continue;
            };
            let below = at.key(&key.text, field.name());
            self.places.insert(below.field.clone(), key.place);
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            if let Some(oneof) = oneof
                && let Some(other) = chosen.insert(oneof.name().to_owned(), key.text.clone())
            {
                let text = format!("{other} and {} exclude each other: keep one of them", key.text);
                self.faults.push(FileFault::new(&below.written, key.place, text));
            }
            if object.contains_key(field.name()) {
                let text = format!("this is {} a second time: remove one of them", field.name());
                self.faults.push(FileFault::new(&below.written, key.place, text));
            }
            if let Some(value) = self.field(&below, node, &field) {
                object.insert(field.name().to_owned(), value);
            }
        }
        Value::Object(object)
    }

    /// The field itself, but for a data row's value that is no text: that stands for itself, as JSON.
    fn row_content(&self, field: FieldDescriptor, node: &Node, row: &MessageDescriptor) -> FieldDescriptor {
        if row.full_name() == DATA_ROW
            && field.name() == "value"
            && !is_text(node)
            && let Some(json) = row.get_field_by_name("json")
        {
            return json;
        }
        field
    }

    /// The value of a field; none when it is left out or faulty.
    fn field(&mut self, at: &At, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        if !is_json_text(field) || self.origin.is_json {
            match &node.shape {
                Shape::Empty => {
                    let written = json_text::written_behind(self.origin, node);
                    return self.refuse(at, node, empty_fault(&at.key, &written));
                }
                Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Null => {
                    let choice = matches!(field.kind(), Kind::Message(inner) if inner.fields().len() == 0);
                    if choice && !self.origin.is_json {
                        return self.refuse(at, node, format!("null chooses nothing: write {}{{}}", at.key));
                    }
                    return None; // proto3 JSON: null is the same as left out
                }
                _ => {}
            }
        }
        if !field.is_list() {
            return self.one(at, node, field);
        }
        match &node.shape {
            Shape::Map(entries) if is_rows(field) => Some(self.rows(at, entries, field)),
            Shape::List(nodes) => {
                let values: Vec<Value> = nodes
                    .iter()
                    .enumerate()
                    .filter_map(|(index, node)| {
                        let below = at.index(index);
                        self.places.insert(below.field.clone(), node.place);
                        self.element(&below, node, field)
                    })
                    .collect();
                Some(Value::Array(values))
            }
            _ => {
                let below = At { field: format!("{}[0]", at.field), ..at.clone() };
                self.places.insert(below.field.clone(), node.place);
                self.one(&below, node, field).map(|value| Value::Array(vec![value]))
            }
        }
    }

    fn element(&mut self, at: &At, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        let written = match &node.shape {
            Shape::Empty => json_text::written_behind(self.origin, node),
            Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Null => text.clone(),
            _ => return self.one(at, node, field),
        };
        self.refuse(at, node, empty_fault(&at.key, &written))
    }

    fn one(&mut self, at: &At, node: &Node, field: &FieldDescriptor) -> Option<Value> {
        match field.kind() {
            Kind::Message(inner) => self.message(at, node, &inner),
            Kind::Enum(inner) => self.word(at, node, &inner),
            Kind::String if is_json_text(field) => self.json(at, node).map(Value::from),
            Kind::String => self.text(at, node).map(Value::from),
            Kind::Bool => self.bool(at, node),
            Kind::Double | Kind::Float => self.number(at, node),
            _ => self.integer(at, node, &field.kind()),
        }
    }

    fn rows(&mut self, at: &At, entries: &[(Key, Node)], field: &FieldDescriptor) -> Value {
        let Kind::Message(descriptor) = field.kind() else { return Value::Array(Vec::new()) };
        let (name, value) = (descriptor.get_field(1), descriptor.get_field(2));
        let (Some(name), Some(value)) = (name, value) else { return Value::Array(Vec::new()) };
        let is_data = descriptor.full_name() == DATA_ROW;
        let mut rows = Vec::new();
        for (index, (key, node)) in entries.iter().enumerate() {
            let content = if is_data && !is_text(node) { "json" } else { value.name() };
            let row = At { field: format!("{}[{index}]", at.field), ..at.key(&key.text, &key.text) };
            self.places.insert(row.field.clone(), key.place);
            let text = if content == "json" { self.json(&row, node) } else { self.row_text(&row, node) };
            if let Some(text) = text {
                rows.push(serde_json::json!({ (name.name()): key.text, content: text }));
            }
        }
        Value::Array(rows)
    }

    fn row_text(&mut self, at: &At, node: &Node) -> Option<String> {
        let null = match &node.shape {
            Shape::Empty => json_text::written_behind(self.origin, node),
            Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Null => text.clone(),
            _ => return self.text(at, node),
        };
        self.refuse(at, node, empty_fault(&at.key, &null))
    }

    /// JSON text: a text is taken as it is, but for one that is a template alone, which is a JSON string.
    fn json(&mut self, at: &At, node: &Node) -> Option<String> {
        let text = match &node.shape {
            Shape::Text(text) => text,
            Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Text => text,
            _ => return json_text::write(self.origin, node, &at.written, &at.key, self.faults),
        };
        let trimmed = text.trim();
        if trimmed.starts_with("{{") && trimmed.ends_with("}}") {
            return Some(Value::from(text.as_str()).to_string());
        }
        Some(text.clone())
    }

    fn text(&mut self, at: &At, node: &Node) -> Option<String> {
        match &node.shape {
            Shape::Text(text) => Some(text.clone()),
            Shape::Plain(text) => match yaml_traps::meaning(text) {
                Meaning::Bool(_) => {
                    self.refuse(at, node, format!("expected text: write {}{}", at.key, quoted(text)))
                }
                _ => Some(text.clone()),
            },
            _ => self.misfit(at, node, "text"),
        }
    }

    fn bool(&mut self, at: &At, node: &Node) -> Option<Value> {
        match &node.shape {
            Shape::Plain(text) if let Meaning::Bool(value) = yaml_traps::meaning(text) => {
                Some(Value::from(value))
            }
            _ => self.misfit(at, node, "true or false"),
        }
    }

    fn number(&mut self, at: &At, node: &Node) -> Option<Value> {
        let number = match &node.shape {
            Shape::Text(text) | Shape::Plain(text)
                if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") =>
            {
                return Some(Value::from(text.as_str())); // as proto3 JSON writes them
            }
            Shape::Text(text) | Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Number => {
                yaml_traps::json_number(text).and_then(|text| text.parse::<f64>().ok())
            }
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Some(Value::from(number)),
            None => self.misfit(at, node, "a number"),
        }
    }

    fn integer(&mut self, at: &At, node: &Node, kind: &Kind) -> Option<Value> {
        let (min, max) = match kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
            Kind::Uint32 | Kind::Fixed32 => (0, i128::from(u32::MAX)),
            Kind::Uint64 | Kind::Fixed64 => (0, i128::from(u64::MAX)),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        let number = match &node.shape {
            Shape::Text(text) | Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Number => {
                whole(text)
            }
            _ => None,
        };
        match number {
            Some(number) if (min..=max).contains(&number) => Some(Value::from(number.to_string())),
            Some(_) => self.refuse(at, node, format!("expected a whole number from {min} to {max}")),
            None => self.misfit(at, node, "a whole number"),
        }
    }

    fn word(&mut self, at: &At, node: &Node, descriptor: &EnumDescriptor) -> Option<Value> {
        let text = match &node.shape {
            Shape::Text(text) => text,
            Shape::Plain(text) if yaml_traps::meaning(text) == Meaning::Number => {
                match text.parse::<i32>() {
                    Ok(number) => return Some(Value::from(number)), // proto3 JSON takes numbers too
                    Err(_) => return self.misfit(at, node, "a word"),
                }
            }
            Shape::Plain(text) => text,
            _ => return self.misfit(at, node, "a word"),
        };
        let prefix = enum_prefix(descriptor);
        let known = descriptor.values().find(|value| {
            value.name().eq_ignore_ascii_case(text)
                || value.number() != 0
                    && value.name().strip_prefix(&prefix).is_some_and(|word| word.eq_ignore_ascii_case(text))
        });
        match known {
            Some(value) => Some(Value::from(value.name())),
            None => {
                let words: Vec<String> = descriptor
                    .values()
                    .filter(|value| value.number() != 0)
                    .map(|value| value.name().trim_start_matches(&prefix).to_ascii_lowercase())
                    .collect();
                self.refuse(at, node, file_keys::unknown_word(text, &words))
            }
        }
    }

    fn duration(&mut self, at: &At, node: &Node) -> Option<Value> {
        let (Shape::Text(text) | Shape::Plain(text)) = &node.shape else {
            return self.misfit(at, node, "a duration such as 90s, 2h or 3d");
        };
        match file_duration::read(text) {
            Ok(duration) => Some(Value::from(duration.to_string())),
            Err(fault) => self.refuse(at, node, fault),
        }
    }

    fn misfit<T>(&mut self, at: &At, node: &Node, expected: &str) -> Option<T> {
        let found = match &node.shape {
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) => "a mapping".to_owned(),
            Shape::Text(text) => format!("the text {}", quoted(&shortened(text))),
            Shape::Plain(text) => shortened(text),
            Shape::Empty => "nothing".to_owned(),
            Shape::Faulty => return None,
        };
        self.refuse(at, node, format!("expected {expected}, found {found}"))
    }

    fn refuse<T>(&mut self, at: &At, node: &Node, text: String) -> Option<T> {
        self.faults.push(FileFault::new(&at.written, node.place, text));
        None
    }
}

impl At {
    fn key(&self, written: &str, field: &str) -> Self {
        let join =
            |path: &str, name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Self {
            written: join(&self.written, written),
            field: join(&self.field, field),
            key: format!("{written}: "),
        }
    }

    /// A field that was not named: the first one of a message given as a bare value.
    fn first(&self, field: &str) -> Self {
        Self {
            field: format!("{}{}{field}", self.field, if self.field.is_empty() { "" } else { "." }),
            ..self.clone()
        }
    }

    fn index(&self, index: usize) -> Self {
        Self {
            written: format!("{}[{index}]", self.written),
            field: format!("{}[{index}]", self.field),
            key: String::new(),
        }
    }
}

/// Whether a node is text as it stands, and neither number, bool nor null.
fn is_text(node: &Node) -> bool {
    match &node.shape {
        Shape::Text(_) => true,
        Shape::Plain(text) => yaml_traps::meaning(text) == Meaning::Text,
        _ => false,
    }
}

/// A number without a fraction.
fn whole(text: &str) -> Option<i128> {
    let number = yaml_traps::json_number(text)?;
    number.parse().ok().or_else(|| {
        let float: f64 = number.parse().ok()?;
        // beyond 2^53 a float no longer tells whole numbers apart
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i128)
    })
}

fn empty_fault(key: &str, written: &str) -> String {
    if written.starts_with('#') {
        return format!("a # begins a comment, so nothing is written here: write {key}{}", quoted(written));
    }
    "nothing is written here: leave the key out, or write a value".to_owned()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        text.to_owned()
    } else {
        format!("{}...", text.chars().take(40).collect::<String>())
    }
}
