//! NDJSON to users: Segment `identify` lines, or flat objects with an `id`.

use std::io::BufRead;

use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

use crate::user_commands::ReadLine;

const ID_NAMES: [&str; 3] = ["id", "user_id", "userId"];
const ZONE_NAMES: [&str; 2] = ["timezone", "time_zone"];

/// Every line that is not blank.
pub fn lines<R: BufRead + Send>(file: R) -> impl Iterator<Item = ReadLine> + Send {
    (1..).zip(file.lines()).filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty())).map(
        |(number, line)| ReadLine { number, user: line.map_err(|e| e.to_string()).and_then(|line| user(&line)) },
    )
}

fn user(line: &str) -> Result<wire::UserUpdate, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let Value::Object(mut object) = value else { return Err("expected a JSON object".to_owned()) };
    let mut user = wire::UserUpdate::default();
    let kind = object.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_identify = kind.as_deref() == Some("identify") && (object.contains_key("traits") || object.contains_key("userId"));
    let mut attributes = if is_identify {
        user.id = take_text(&mut object, &ID_NAMES)?.ok_or("an identify line needs a userId")?;
        let zone = object.get("context").and_then(|context| context.get("timezone")).and_then(Value::as_str);
        user.time_zone = zone.unwrap_or_default().to_owned();
        match object.remove("traits") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(traits)) => traits,
            Some(_) => return Err("traits: expected an object".to_owned()),
        }
    } else {
        user.id = take_text(&mut object, &ID_NAMES)?.ok_or("expected an object with an id")?;
        object
    };
    if let Some(zone) = take_text(&mut attributes, &ZONE_NAMES)? {
        user.time_zone = zone;
    }
    if let Some(text) = take_text(&mut attributes, &["createdAt", "created_at"])? {
        let at: jiff::Timestamp =
            text.parse().map_err(|_| format!("created_at: {text:?} is not RFC 3339, such as 2026-01-31T08:00:00Z"))?;
        user.created_at = Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() });
    }
    if !attributes.is_empty() {
        user.attributes = Value::Object(attributes).to_string();
    }
    Ok(user)
}

/// The first of `names` that is there, taken out; a number counts as its text.
fn take_text(object: &mut Map<String, Value>, names: &[&str]) -> Result<Option<String>, String> {
    for name in names {
        match object.shift_remove(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(Value::Number(number)) => return Ok(Some(number.to_string())),
            Some(_) => return Err(format!("{name}: expected text")),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_lines_and_flat_objects_are_read() {
        let identify = r#"{"type":"identify","userId":"mary","traits":{"plan":"pro","n":9007199254740993,"timezone":"Asia/Tokyo"}}"#;
        let read = user(identify).unwrap();
        assert_eq!((read.id.as_str(), read.time_zone.as_str()), ("mary", "Asia/Tokyo"));
        assert_eq!(read.attributes, r#"{"plan":"pro","n":9007199254740993}"#);
        let flat = user(r#"{"id":7,"plan":"free","created_at":"2026-01-31T08:00:00Z"}"#).unwrap();
        assert_eq!((flat.id.as_str(), flat.attributes.as_str()), ("7", r#"{"plan":"free"}"#));
        assert!(flat.created_at.is_some());
    }

    #[test]
    fn bad_lines_are_named_by_number() {
        let text = "{\"id\":\"a\"}\n\n[1]\n{\"name\":1}\n{\n{\"id\":\"b\"}\n";
        let bad: Vec<u64> = lines(text.as_bytes()).filter(|line| line.user.is_err()).map(|line| line.number).collect();
        assert_eq!(bad, [3, 4, 5]);
    }
}
