//! Pure. Wire to users, events and entry values: every bound of the intake is checked here, item by item, all faults at once.

use campanile_core::civil_text::parse_zone;
use campanile_core::event::Event;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::user::UserChange;
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub fn read_user(from: &wire::UserUpdate) -> Result<UserChange, Faults> {
    let mut faults = Faults::default();
    check_user_id(&from.id, "id", &mut faults);
    let attributes = json_object(&from.attributes, "attributes", usize::MAX, &mut faults);
    for (name, value) in &attributes {
        check_attribute(name, value, &mut faults);
    }
    if attributes.len() > limits::USER_ATTRIBUTES_MAX {
        let text = format!(
            "has {} attributes, at most {} are allowed",
            attributes.len(),
            limits::USER_ATTRIBUTES_MAX
        );
        faults.add("attributes", text);
    }
    let time_zone = (!from.time_zone.is_empty()).then(|| from.time_zone.clone());
    if let Some(Err(text)) = time_zone.as_deref().map(parse_zone) {
        faults.add("time_zone", text);
    }
    let created_at = from.created_at.as_ref().and_then(|at| instant(at, "created_at", &mut faults));
    faults.or(UserChange { id: from.id.clone(), attributes, time_zone, created_at })
}

/// An event as it is stored; `event_id` is what the caller gave, or is made by `make_id`.
pub fn read_event(
    from: &wire::Event,
    now: Timestamp,
    make_id: impl FnOnce() -> String,
) -> Result<Event, Faults> {
    let mut faults = Faults::default();
    check_user_id(&from.user_id, "user_id", &mut faults);
    check_name(&from.name, "name", &mut faults);
    let properties = json_object(&from.properties, "properties", limits::PROPERTIES_BYTES_MAX, &mut faults);
    if from.value.is_some_and(|value| !value.is_finite()) {
        faults.add("value", "expected a finite number");
    }
    check_client_id(&from.event_id, "event_id", limits::CLIENT_ID_BYTES_MAX, &mut faults);
    let occurred_at = from.occurred_at.as_ref().and_then(|at| instant(at, "occurred_at", &mut faults));
    let event = Event {
        name: from.name.clone(),
        value: from.value,
        properties,
        // A client whose clock runs ahead must not make events of the future.
        occurred_at: occurred_at.map_or(now, |at| at.min(now)),
        id: String::new(),
        happening: None,
        collected: Vec::new(),
    };
    faults.or(event).map(|event| {
        let id = if from.event_id.is_empty() { make_id() } else { from.event_id.clone() };
        Event { id, ..event }
    })
}

/// The values of one manual entry.
pub fn read_values(text: &str, field: &str, faults: &mut Faults) -> Map<String, Value> {
    let values = json_object(text, field, limits::VALUES_BYTES_MAX, faults);
    for name in values.keys() {
        check_name(name, field, faults);
    }
    values
}

pub fn check_user_id(id: &str, field: &str, faults: &mut Faults) {
    if id.is_empty() || id.len() > limits::USER_ID_BYTES_MAX {
        faults.add(field, format!("expected 1 to {} bytes", limits::USER_ID_BYTES_MAX));
    } else if id.chars().any(char::is_control) {
        faults.add(field, "must not contain control characters");
    }
}

/// An id that a caller may leave out.
pub fn check_client_id(id: &str, field: &str, bytes_max: usize, faults: &mut Faults) {
    if id.len() > bytes_max {
        faults.add(field, format!("expected at most {bytes_max} bytes"));
    } else if id.chars().any(char::is_control) {
        faults.add(field, "must not contain control characters");
    }
}

fn check_name(name: &str, field: &str, faults: &mut Faults) {
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX {
        faults.add(field, format!("expected 1 to {} bytes", limits::NAME_BYTES_MAX));
    } else if name.chars().any(char::is_control) {
        faults.add(field, "must not contain control characters");
    }
}

fn check_attribute(name: &str, value: &Value, faults: &mut Faults) {
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let text = format!(
            "an attribute's name has 1 to {} bytes and no control characters",
            limits::NAME_BYTES_MAX
        );
        faults.add("attributes", text);
        return;
    }
    let is_large = match value {
        Value::String(text) => text.len() > limits::ATTRIBUTE_VALUE_BYTES_MAX,
        Value::Array(_) | Value::Object(_) => value.to_string().len() > limits::ATTRIBUTE_VALUE_BYTES_MAX,
        _ => false,
    };
    if is_large {
        let most = limits::ATTRIBUTE_VALUE_BYTES_MAX / 1024;
        faults.add(format!("attributes.{name}"), format!("is larger than {most} KiB"));
    }
}

/// A JSON object written as text; empty text is none.
fn json_object(text: &str, field: &str, bytes_max: usize, faults: &mut Faults) -> Map<String, Value> {
    if text.is_empty() {
        return Map::new();
    }
    if text.len() > bytes_max {
        faults.add(field, format!("has {} bytes, at most {} KiB are allowed", text.len(), bytes_max / 1024));
        return Map::new();
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(e) => {
            faults.add(field, format!("is not JSON: {e}"));
            return Map::new();
        }
    };
    if depth(&value) > limits::JSON_DEPTH_MAX {
        faults.add(field, format!("is nested deeper than {} levels", limits::JSON_DEPTH_MAX));
        return Map::new();
    }
    match value {
        Value::Object(map) => map,
        _ => {
            faults.add(field, "expected a JSON object such as {\"plan\": \"pro\"}");
            Map::new()
        }
    }
}

/// Nesting of a value that `serde_json` has read, and so of at most 128 levels.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn instant(from: &prost_types::Timestamp, field: &str, faults: &mut Faults) -> Option<Timestamp> {
    let at = Timestamp::new(from.seconds, from.nanos).ok().filter(|at| at.as_second() >= 0);
    if at.is_none() {
        faults.add(field, "expected a time between 1970 and 9999");
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(faults: Faults) -> Vec<String> {
        faults.0.into_iter().map(|fault| fault.field).collect()
    }

    fn user(id: &str, attributes: &str, time_zone: &str) -> wire::UserUpdate {
        wire::UserUpdate {
            id: id.to_owned(),
            attributes: attributes.to_owned(),
            time_zone: time_zone.to_owned(),
            created_at: None,
        }
    }

    #[test]
    fn every_wrong_field_of_a_user_is_named_at_once() {
        let check = |from: wire::UserUpdate, expected: &[&str]| match read_user(&from) {
            Ok(_) => assert!(expected.is_empty(), "{from:?} was taken"),
            Err(faults) => assert_eq!(fields(faults), expected, "{from:?}"),
        };
        check(
            user("mary", r#"{"age": 9007199254740993, "tags": ["a"], "gone": null}"#, "Europe/Berlin"),
            &[],
        );
        check(user("", "[1]", "Europe/Berlim"), &["id", "attributes", "time_zone"]);
        check(user("a\0b", "", ""), &["id"]);
        check(user(&"x".repeat(401), "{", ""), &["id", "attributes"]);
        check(user("m", r#"{"": 1}"#, ""), &["attributes"]);
        check(user("m", &format!(r#"{{"big": "{}"}}"#, "x".repeat(17_000)), ""), &["attributes.big"]);
        check(
            user("m", &format!(r#"{{"deep": {}{}}}"#, "[".repeat(30), "]".repeat(30)), ""),
            &["attributes"],
        );
        check(user("m", &"[".repeat(10_000), ""), &["attributes"]);
        let many: Map<String, Value> = (0..501).map(|i| (format!("a{i}"), Value::from(i))).collect();
        check(user("m", &Value::Object(many).to_string(), ""), &["attributes"]);
    }

    #[test]
    fn every_wrong_field_of_an_event_is_named_at_once() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let bad = wire::Event {
            name: String::new(),
            user_id: "x\n".to_owned(),
            properties: "7".to_owned(),
            value: Some(f64::NAN),
            occurred_at: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
            event_id: "e".repeat(201),
        };
        let faults = read_event(&bad, now, String::new).unwrap_err();
        assert_eq!(fields(faults), ["user_id", "name", "properties", "value", "event_id", "occurred_at"]);
    }

    #[test]
    fn an_event_of_the_future_happens_when_it_arrives() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let event = wire::Event {
            name: "bought".to_owned(),
            user_id: "mary".to_owned(),
            occurred_at: Some(prost_types::Timestamp { seconds: now.as_second() + 3_600, nanos: 0 }),
            ..Default::default()
        };
        let read = read_event(&event, now, || "made".to_owned()).unwrap();
        assert_eq!((read.occurred_at, read.id.as_str()), (now, "made"));
    }
}
