//! Pure. One event from a line of a file or from the command line: a Segment `track` line, a flat object, `key=value` arguments.

use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

use crate::line_fields::{read_instant, segment_call, take_instant, take_text};

/// An event, and the keys of its line that an event has no place for.
#[derive(Debug)]
pub struct TrackLine {
    pub event: wire::Event,
    pub ignored: Vec<String>,
}

/// `at_arrival` leaves out when it happened.
pub fn read(mut object: Map<String, Value>, at_arrival: bool) -> Result<TrackLine, String> {
    let call = segment_call(&object);
    if let Some(call) = call.filter(|call| *call != "track") {
        return Err(format!("is no track line but {call}"));
    }
    let user_id = match take_text(&mut object, &["userId", "user_id"])? {
        Some(id) => id,
        None if object.contains_key("anonymousId") => {
            return Err("has an anonymousId and no userId".to_owned());
        }
        None => return Err("has no userId or user_id".to_owned()),
    };
    let name = take_text(&mut object, &["event", "name"])?.ok_or("has no event or name")?;
    let event_id = take_text(&mut object, &["messageId", "event_id"])?.unwrap_or_default();
    let occurred_at = take_instant(&mut object, &["timestamp", "occurred_at"])?.filter(|_| !at_arrival);
    let properties = match object.shift_remove("properties") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err("properties: expected an object".to_owned()),
    };
    let value = match object.shift_remove("value") {
        None | Some(Value::Null) => worth(&properties),
        Some(Value::Number(number)) => number.as_f64(),
        Some(_) => return Err("value: expected a number".to_owned()),
    };
    // A Segment line has a context and more that is not the event's; a flat object has nothing but its event.
    let ignored = if call.is_some() {
        Vec::new()
    } else {
        object.keys().filter(|key| *key != "type").cloned().collect()
    };
    Ok(TrackLine { event: event(name, user_id, properties, value, occurred_at, event_id), ignored })
}

/// Segment's properties say what an event is worth.
fn worth(properties: &Map<String, Value>) -> Option<f64> {
    ["value", "revenue"].iter().find_map(|name| properties.get(*name)?.as_f64())
}

/// `track mary purchase total=600`: a value that reads as JSON is JSON, anything else is text.
pub fn read_properties(pairs: &[String]) -> Result<Map<String, Value>, String> {
    let mut properties = Map::new();
    for pair in pairs {
        let (key, text) = match pair.split_once('=') {
            Some((key, text)) if !key.is_empty() => (key, text),
            _ => return Err(format!("{pair:?}: write a property as key=value")),
        };
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        if properties.insert(key.to_owned(), value).is_some() {
            return Err(format!("{pair:?}: the property {key} is there twice"));
        }
    }
    Ok(properties)
}

/// The event of the command line.
pub fn typed(
    name: &str,
    user_id: &str,
    pairs: &[String],
    (value, at, event_id): (Option<f64>, Option<&str>, &str),
) -> Result<wire::Event, String> {
    let properties = read_properties(pairs)?;
    let at = at.map(|at| read_instant("--at", at)).transpose()?;
    Ok(event(name.to_owned(), user_id.to_owned(), properties, value, at, event_id.to_owned()))
}

fn event(
    name: String,
    user_id: String,
    properties: Map<String, Value>,
    value: Option<f64>,
    occurred_at: Option<prost_types::Timestamp>,
    event_id: String,
) -> wire::Event {
    let properties =
        if properties.is_empty() { String::new() } else { Value::Object(properties).to_string() };
    wire::Event { name, user_id, properties, value, occurred_at, event_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<TrackLine, String> {
        read(serde_json::from_str(text).unwrap(), false)
    }

    #[test]
    fn a_value_that_reads_as_json_is_json_and_anything_else_is_text() {
        let pairs = [
            "total=600",
            "gift=true",
            "none=null",
            "note=a=b",
            "zip=01067",
            "tags=[\"x\"]",
            "cart={\"id\": 7}",
            "quoted=\"5\"",
            "empty=",
            "big=9007199254740993",
            "name=Mary Poppins",
        ];
        let read = read_properties(&pairs.map(str::to_owned)).unwrap();
        let expected = r#"{"total":600,"gift":true,"none":null,"note":"a=b","zip":"01067","tags":["x"],"cart":{"id":7},"quoted":"5","empty":"","big":9007199254740993,"name":"Mary Poppins"}"#;
        assert_eq!(Value::Object(read).to_string(), expected);
    }

    #[test]
    fn a_property_is_a_key_and_a_value_once() {
        for (pairs, expected) in
            [(&["total"][..], "key=value"), (&["=5"], "key=value"), (&["a=1", "a=2"], "twice")]
        {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            let fault = read_properties(&pairs).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
        assert!(typed("e", "u", &[], (None, Some("yesterday"), "")).unwrap_err().starts_with("--at: "));
    }

    #[test]
    fn segment_s_track_lines_are_events() {
        let line = r#"{"type":"track","messageId":"m-1","userId":"mary","event":"push","context":{"ip":"x"},"properties":{"n":9007199254740993,"revenue":2.5},"timestamp":"2026-11-24T08:00:00Z"}"#;
        let read = read_text(line).unwrap();
        let event = &read.event;
        assert_eq!(
            (event.name.as_str(), event.user_id.as_str(), event.event_id.as_str()),
            ("push", "mary", "m-1")
        );
        assert_eq!(
            (event.properties.as_str(), event.value),
            (r#"{"n":9007199254740993,"revenue":2.5}"#, Some(2.5))
        );
        assert_eq!(event.occurred_at.unwrap().seconds, 1_795_507_200);
        assert!(read.ignored.is_empty(), "{read:?}");
        let now = super::read(serde_json::from_str(line).unwrap(), true).unwrap();
        assert_eq!(now.event, wire::Event { occurred_at: None, ..read.event });
    }

    #[test]
    fn flat_objects_are_events_and_what_is_ignored_is_known() {
        let read =
            read_text(r#"{"user_id":7,"name":"bought","properties":{"n":1},"value":3,"total":600}"#).unwrap();
        let event = &read.event;
        assert_eq!((event.name.as_str(), event.user_id.as_str(), event.value), ("bought", "7", Some(3.0)));
        assert_eq!(read.ignored, ["total"]);
    }

    #[test]
    fn what_is_no_event_is_said() {
        let check = |text: &str, expected: &str| {
            let fault = read_text(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check(r#"{"type":"identify","userId":"a","traits":{}}"#, "is no track line but identify");
        check(r#"{"type":"track","anonymousId":"a","event":"e"}"#, "no userId");
        check(r#"{"name":"e"}"#, "has no userId");
        check(r#"{"user_id":"a"}"#, "has no event");
        check(r#"{"user_id":["a"],"name":"e"}"#, "user_id: expected text");
        check(r#"{"user_id":"a","name":"e","properties":[]}"#, "properties: expected an object");
        check(r#"{"user_id":"a","name":"e","value":"3"}"#, "value: expected a number");
        check(r#"{"user_id":"a","name":"e","timestamp":"soon"}"#, "timestamp: \"soon\"");
    }
}
