//! Pure. Segment's tracking calls as user changes and events of ours: traits become attributes, `messageId` the event id, `timestamp`
//! the time, `properties.value` or `revenue` the value.

use campanile_core::fault::Faults;
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// What one call asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    User(wire::UserUpdate),
    Event(wire::Event),
    /// Known and of no use here: alias, group, page, screen.
    Ignored,
}

/// Reads a call of this kind; a call inside a batch names its kind itself.
pub fn read(kind: &str, call: &Value) -> Result<Call, Faults> {
    let mut faults = Faults::default();
    let Value::Object(call) = call else {
        faults.add("", "expected a JSON object");
        return Err(faults);
    };
    let read = match kind {
        "identify" => Call::User(identify(call, &mut faults)),
        "track" => Call::Event(track(call, &mut faults)),
        "alias" | "group" | "page" | "screen" => Call::Ignored,
        "" => {
            faults.add("type", "is missing: expected identify, track, alias, group, page or screen");
            Call::Ignored
        }
        other => {
            faults.add(
                "type",
                format!("{other:?} is not known: expected identify, track, alias, group, page or screen"),
            );
            Call::Ignored
        }
    };
    faults.or(read)
}

fn identify(call: &Map<String, Value>, faults: &mut Faults) -> wire::UserUpdate {
    let mut traits = object(call, "traits", faults);
    let context = call.get("context");
    let of_context =
        |name: &str| context.and_then(|c| c.get(name)).and_then(Value::as_str).map(str::to_owned);
    let zone = ["timezone", "time_zone"].iter().find_map(|name| match traits.shift_remove(*name) {
        Some(Value::String(zone)) => Some(zone),
        _ => None,
    });
    let created_at = traits.shift_remove("createdAt").and_then(|at| instant(&at, "traits.createdAt", faults));
    if let Some(locale) = of_context("locale") {
        traits.entry("locale").or_insert(Value::String(locale));
    }
    let attributes = if traits.is_empty() { String::new() } else { Value::Object(traits).to_string() };
    wire::UserUpdate {
        id: user_id(call, faults),
        attributes,
        time_zone: zone.or_else(|| of_context("timezone")).unwrap_or_default(),
        created_at,
    }
}

fn track(call: &Map<String, Value>, faults: &mut Faults) -> wire::Event {
    let properties = object(call, "properties", faults);
    let value = ["value", "revenue"].iter().find_map(|name| properties.get(*name).and_then(Value::as_f64));
    let name = call.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
    if name.is_empty() {
        faults.add("event", "is missing: name the event");
    }
    let occurred_at = call.get("timestamp").and_then(|at| instant(at, "timestamp", faults));
    wire::Event {
        name,
        user_id: user_id(call, faults),
        properties: if properties.is_empty() { String::new() } else { Value::Object(properties).to_string() },
        value,
        occurred_at,
        event_id: call.get("messageId").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

fn user_id(call: &Map<String, Value>, faults: &mut Faults) -> String {
    match call.get("userId") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ if call.get("anonymousId").is_some_and(|id| !id.is_null()) => {
            faults.add("userId", "is missing: a call with an anonymousId alone is not taken");
            String::new()
        }
        _ => {
            faults.add("userId", "is missing: say who");
            String::new()
        }
    }
}

fn object(call: &Map<String, Value>, name: &str, faults: &mut Faults) -> Map<String, Value> {
    match call.get(name) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(object)) => object.clone(),
        Some(_) => {
            faults.add(name, "expected a JSON object");
            Map::new()
        }
    }
}

/// RFC 3339, as every library of Segment's writes it.
fn instant(at: &Value, field: &str, faults: &mut Faults) -> Option<prost_types::Timestamp> {
    let read = at.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if read.is_none() && !at.is_null() {
        faults.add(field, format!("{at} is not RFC 3339, such as \"2026-01-31T08:00:00Z\""));
    }
    read.map(|at| prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn traits_become_attributes_and_what_has_a_field_goes_there() {
        let call = json!({
            "userId": "mary",
            "traits": {"plan": "pro", "n": 9_007_199_254_740_993_i64, "timezone": "Asia/Tokyo", "createdAt": "2026-01-31T08:00:00Z"},
            "context": {"locale": "de-DE", "timezone": "Europe/Berlin"},
        });
        let Ok(Call::User(user)) = read("identify", &call) else { panic!("it is a user") };
        assert_eq!(user.attributes, r#"{"plan":"pro","n":9007199254740993,"locale":"de-DE"}"#);
        assert_eq!((user.id.as_str(), user.time_zone.as_str()), ("mary", "Asia/Tokyo"));
        assert_eq!(user.created_at.map(|at| at.seconds), Some(1_769_846_400));
    }

    #[test]
    fn a_track_call_is_an_event() {
        let call = json!({
            "userId": 7, "event": "Order Completed", "messageId": "m-1", "timestamp": "2026-11-24T08:00:00.123+01:00",
            "properties": {"revenue": 12.5, "items": ["a"]},
        });
        let Ok(Call::Event(event)) = read("track", &call) else { panic!("it is an event") };
        assert_eq!((event.user_id.as_str(), event.event_id.as_str(), event.value), ("7", "m-1", Some(12.5)));
        assert_eq!(event.properties, r#"{"revenue":12.5,"items":["a"]}"#);
        assert!(event.occurred_at.is_some());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |kind: &str, call: Value, fields: &[&str]| {
            let faults = read(kind, &call).expect_err("it is refused");
            let named: Vec<String> = faults.0.into_iter().map(|fault| fault.field).collect();
            assert_eq!(named, fields, "{kind} {call}");
        };
        check(
            "track",
            json!({"anonymousId": "a", "properties": [1], "timestamp": "today"}),
            &["properties", "event", "timestamp", "userId"],
        );
        check("identify", json!({"userId": "", "traits": "x"}), &["traits", "userId"]);
        check("shout", json!({"userId": "m"}), &["type"]);
        check("", json!({"userId": "m"}), &["type"]);
        check("track", json!([1]), &[""]);
        assert_eq!(read("page", &json!({"userId": "m"})), Ok(Call::Ignored));
    }
}
