//! Pure. An NDJSON line to a user: a Segment `identify` line, or a flat object with an id whose other keys are attributes.

use serde_json::{Map, Value};

use crate::import_line::ReadUser;
use crate::line_fields::{ID_NAMES, ZONE_NAMES, segment_call, take_instant, take_text};

const CREATED_NAMES: [&str; 2] = ["created_at", "createdAt"];

/// `id_key` names the user's id in flat objects, where it has another name.
pub fn read(mut object: Map<String, Value>, id_key: Option<&str>) -> Result<ReadUser, String> {
    let mut user = ReadUser::default();
    let mut attributes = match segment_call(&object).filter(|_| id_key.is_none()) {
        Some("identify") => {
            user.id = take_text(&mut object, &["userId"])?.ok_or("an identify line needs a userId")?;
            traits(&mut object, &mut user)?
        }
        Some(call) => {
            return Err(format!(
                "is a {call} line: users come from identify lines; `campanile track -f` takes events"
            ));
        }
        None => {
            let names = id_key.as_ref().map_or(&ID_NAMES[..], std::slice::from_ref);
            let id = take_text(&mut object, names)?;
            user.id = id.ok_or_else(|| format!("has no {}", names.join(", ")))?;
            object
        }
    };
    if let Some(zone) = take_text(&mut attributes, &ZONE_NAMES)? {
        user.time_zone = zone;
    }
    user.created_at = take_instant(&mut attributes, &CREATED_NAMES)?;
    user.attributes = attributes;
    Ok(user)
}

/// The traits are the attributes; the context knows zone and language.
fn traits(object: &mut Map<String, Value>, user: &mut ReadUser) -> Result<Map<String, Value>, String> {
    let mut traits = match object.remove("traits") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(traits)) => traits,
        Some(_) => return Err("traits: expected an object".to_owned()),
    };
    let context = |name: &str| object.get("context")?.get(name)?.as_str().map(str::to_owned);
    user.time_zone = context("timezone").unwrap_or_default();
    if let Some(locale) = context("locale") {
        traits.entry("locale").or_insert(Value::String(locale));
    }
    Ok(traits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, id_key: Option<&str>) -> Result<ReadUser, String> {
        read(serde_json::from_str(text).unwrap(), id_key)
    }

    fn check(text: &str, id: &str, zone: &str, attributes: &str) {
        let user = read_text(text, None).unwrap();
        let found = Value::Object(user.attributes).to_string();
        assert_eq!(
            (user.id.as_str(), user.time_zone.as_str(), found.as_str()),
            (id, zone, attributes),
            "{text}"
        );
    }

    #[test]
    fn segment_s_identify_lines_are_users() {
        check(
            r#"{"type":"identify","userId":"mary","traits":{"plan":"pro","n":9007199254740993,"timezone":"Asia/Tokyo"}}"#,
            "mary",
            "Asia/Tokyo",
            r#"{"plan":"pro","n":9007199254740993}"#,
        );
        check(
            r#"{"type":"identify","userId":"m","context":{"timezone":"Europe/Rome","locale":"it-IT"},"timestamp":"x"}"#,
            "m",
            "Europe/Rome",
            r#"{"locale":"it-IT"}"#,
        );
        let created = r#"{"type":"identify","userId":"m","traits":{"createdAt":"2026-01-31T08:00:00Z"}}"#;
        assert_eq!(read_text(created, None).unwrap().created_at.unwrap().seconds, 1_769_846_400);
    }

    #[test]
    fn flat_objects_are_users_and_their_other_keys_attributes() {
        check(r#"{"id":7,"plan":null,"tags":["a"]}"#, "7", "", r#"{"plan":null,"tags":["a"]}"#);
        check(
            r#"{"user_id":"m","time_zone":"UTC","created_at":0,"type":"customer"}"#,
            "m",
            "UTC",
            r#"{"type":"customer"}"#,
        );
        let other = read_text(r#"{"mail":"m@x.org","id":5}"#, Some("mail")).unwrap();
        assert_eq!((other.id.as_str(), other.attributes.len()), ("m@x.org", 1));
    }

    #[test]
    fn what_is_no_user_is_said() {
        let check = |text: &str, expected: &str| {
            let fault = read_text(text, None).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check(r#"{"name":"x"}"#, "has no id, user_id, userId");
        check(r#"{"id":["a"]}"#, "id: expected text");
        check(r#"{"id":"a","created_at":"soon"}"#, "created_at: \"soon\"");
        check(r#"{"id":"a","timezone":5.5,"time_zone":{}}"#, "time_zone: expected text");
        check(r#"{"type":"identify","anonymousId":"x","traits":{}}"#, "needs a userId");
        check(r#"{"type":"identify","userId":"x","traits":[]}"#, "traits: expected an object");
        check(r#"{"type":"track","userId":"x","event":"e"}"#, "is a track line");
    }
}
