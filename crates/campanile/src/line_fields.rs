//! Pure. Fields of one line of a file as users and events want them: text, instants, the names Segment uses.

use campanile_core::time_value::TimeValue;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// How a user is called in flat objects and in Segment's lines.
pub const ID_NAMES: [&str; 3] = ["id", "user_id", "userId"];
pub const ZONE_NAMES: [&str; 2] = ["timezone", "time_zone"];
const CALLS: [&str; 6] = ["identify", "track", "page", "screen", "group", "alias"];

/// The first of `names` that is there and not null, taken out with the others; a number counts as its text.
pub fn take_text(object: &mut Map<String, Value>, names: &[&str]) -> Result<Option<String>, String> {
    let mut found = None;
    for name in names {
        let text = match object.shift_remove(*name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(format!("{name}: expected text")),
        };
        found.get_or_insert(text);
    }
    Ok(found)
}

/// The first of `names` that is there and not null, as an instant.
pub fn take_instant(
    object: &mut Map<String, Value>,
    names: &[&str],
) -> Result<Option<prost_types::Timestamp>, String> {
    let mut found = None;
    for name in names {
        match object.shift_remove(*name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let at = TimeValue::read(&value).and_then(instant);
                found.get_or_insert(at.ok_or_else(|| no_instant(name, &value.to_string()))?);
            }
        }
    }
    Ok(found)
}

/// An instant written as text: RFC 3339, a date (its beginning in UTC), or a Unix number.
pub fn read_instant(name: &str, text: &str) -> Result<prost_types::Timestamp, String> {
    let unix = text.parse::<i64>().ok().and_then(TimeValue::read_unix);
    let read = unix.or_else(|| TimeValue::read_text(text)).and_then(instant);
    read.ok_or_else(|| no_instant(name, &format!("{text:?}")))
}

fn no_instant(name: &str, written: &str) -> String {
    format!("{name}: {written} is no point in time, write one such as 2026-01-31T08:00:00Z")
}

fn instant(value: TimeValue) -> Option<prost_types::Timestamp> {
    let at = match value {
        TimeValue::Instant(at) => at,
        TimeValue::Day(day) => TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?,
    };
    Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

/// The Segment call that an object is, if it is one.
pub fn segment_call(object: &Map<String, Value>) -> Option<&'static str> {
    let named = object.get("type").and_then(Value::as_str);
    let has_user = object.contains_key("userId") || object.contains_key("anonymousId");
    match named {
        Some(named) if has_user => CALLS.into_iter().find(|call| *call == named),
        None if has_user && object.get("traits").is_some_and(Value::is_object) => Some("identify"),
        None if has_user && object.contains_key("event") => Some("track"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_name_wins_and_none_is_left() {
        let mut from = object(r#"{"userId": "b", "user_id": 7, "id": null, "x": 1}"#);
        assert_eq!(take_text(&mut from, &ID_NAMES).unwrap().as_deref(), Some("7"));
        assert_eq!(from, object(r#"{"x": 1}"#));
        assert_eq!(take_text(&mut object(r#"{"id": [1]}"#), &ID_NAMES).unwrap_err(), "id: expected text");
    }

    #[test]
    fn instants_are_read_as_conditions_read_them() {
        let check = |text: &str, seconds: i64| {
            let mut from = object(&format!(r#"{{"at": {text}}}"#));
            assert_eq!(take_instant(&mut from, &["at"]).unwrap().unwrap().seconds, seconds, "{text}");
        };
        check("\"2026-01-31T09:00:00+01:00\"", 1_769_846_400);
        check("\"2026-01-31\"", 1_769_817_600);
        check("1769846400", 1_769_846_400);
        check("1769846400123", 1_769_846_400);
        assert_eq!(read_instant("at", "1769846400").unwrap().seconds, 1_769_846_400);
        let fault = read_instant("at", "31.1.2026").unwrap_err();
        assert_eq!(fault, "at: \"31.1.2026\" is no point in time, write one such as 2026-01-31T08:00:00Z");
        assert!(take_instant(&mut object(r#"{"at": true}"#), &["at"]).is_err());
    }

    #[test]
    fn segment_s_calls_are_told_from_flat_objects() {
        for (text, expected) in [
            (r#"{"type": "identify", "userId": "a"}"#, Some("identify")),
            (r#"{"userId": "a", "traits": {}}"#, Some("identify")),
            (r#"{"type": "track", "userId": "a", "event": "e"}"#, Some("track")),
            (r#"{"userId": "a", "event": "e"}"#, Some("track")),
            (r#"{"type": "page", "anonymousId": "a"}"#, Some("page")),
            (r#"{"type": "customer", "userId": "a"}"#, None),
            (r#"{"type": "identify", "id": "a"}"#, None),
            (r#"{"id": "a", "traits": {}}"#, None),
        ] {
            assert_eq!(segment_call(&object(text)), expected, "{text}");
        }
    }
}
