//! Pure. The canonical proto3 JSON of our messages, both ways, by their descriptors.
//! Unknown fields are refused and faults carry the path of the field. Holds no conveniences: those are the campaign
//! file's alone.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use serde::Deserializer;

use crate::DESCRIPTORS;

/// Why a JSON text is no message of the wanted type, or a message has no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{text}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct JsonFault {
    /// The path of the field in JSON names, such as `delivery.triggered.when[0]`; empty for the whole text.
    pub path: String,
    /// What is wrong; with line and column when the text was read from a string.
    pub text: String,
}

/// Reads a message from its proto3 JSON.
///
/// # Errors
/// The first fault: a syntax error, an unknown field, or a value that does not fit its field.
pub fn read<M: Message + Name + Default>(text: &str) -> Result<M, JsonFault> {
    let mut source = serde_json::Deserializer::from_str(text);
    let message = read_from(&mut source)?;
    source.end().map_err(|e| JsonFault { path: String::new(), text: e.to_string() })?;
    Ok(message)
}

/// Reads a message from a JSON value, as [`read`] does.
///
/// # Errors
/// The first fault: an unknown field, or a value that does not fit its field.
pub fn read_value<M: Message + Name + Default>(value: serde_json::Value) -> Result<M, JsonFault> {
    read_from(value)
}

/// Writes a message as compact proto3 JSON: fields in the order of their numbers, defaults left out.
///
/// # Errors
/// A duration or an instant outside what proto3 JSON can say.
pub fn write<M: Message + Name>(message: &M) -> Result<String, JsonFault> {
    Ok(write_value(message)?.to_string())
}

/// Writes a message as proto3 JSON indented for people.
///
/// # Errors
/// As [`write()`].
pub fn write_pretty<M: Message + Name>(message: &M) -> Result<String, JsonFault> {
    let value = write_value(message)?;
    serde_json::to_string_pretty(&value).map_err(|e| JsonFault { path: String::new(), text: e.to_string() })
}

/// Writes a message as a JSON value.
///
/// # Errors
/// As [`write()`].
pub fn write_value<M: Message + Name>(message: &M) -> Result<serde_json::Value, JsonFault> {
    let dynamic = to_dynamic(message)?;
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|e| JsonFault { path: String::new(), text: e.to_string() })
}

/// A message with its descriptor, for code that walks fields.
pub(crate) fn to_dynamic<M: Message + Name>(message: &M) -> Result<DynamicMessage, JsonFault> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message).map_err(|e| JsonFault { path: String::new(), text: e.to_string() })?;
    Ok(dynamic)
}

/// The descriptor of a message type.
pub(crate) fn descriptor<M: Name>() -> Result<MessageDescriptor, JsonFault> {
    static POOL: LazyLock<Result<DescriptorPool, String>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).map_err(|e| e.to_string()));
    let fault = |text| JsonFault { path: String::new(), text };
    let pool = POOL.as_ref().map_err(|e| fault(format!("read the committed descriptors: {e}")))?;
    pool.get_message_by_name(&M::full_name())
        .ok_or_else(|| fault(format!("{} is not among the committed descriptors", M::full_name())))
}

fn read_from<'de, M, D>(source: D) -> Result<M, JsonFault>
where
    M: Message + Name + Default,
    D: Deserializer<'de>,
{
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(source, &mut track);
    let result =
        DynamicMessage::deserialize_with_options(descriptor::<M>()?, tracked, &DeserializeOptions::new());
    let dynamic = result.map_err(|e| {
        let path = track.path().to_string();
        JsonFault { path: if path == "." || path == "?" { String::new() } else { path }, text: e.to_string() }
    })?;
    dynamic.transcode_to().map_err(|e| JsonFault { path: String::new(), text: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Campaign, Event, Limits, UpdateCampaignRequest};

    #[test]
    fn a_message_survives_its_json() {
        let campaign = Campaign {
            id: "first".to_owned(),
            revision: 7,
            limits: Some(Limits {
                expiry: Some(prost_types::Duration { seconds: 90, nanos: 500_000_000 }),
                auto_pause: Some(false),
                ..Limits::default()
            }),
            created_at: Some(prost_types::Timestamp { seconds: 1_764_576_000, nanos: 0 }),
            ..Campaign::default()
        };
        let text = write(&campaign).unwrap();
        assert_eq!(
            text,
            r#"{"id":"first","limits":{"expiry":"90.500s","autoPause":false},"revision":7,"createdAt":"2025-12-01T08:00:00Z"}"#
        );
        assert_eq!(read::<Campaign>(&text).unwrap(), campaign);
    }

    #[test]
    fn a_field_mask_is_its_paths_in_json_names() {
        let request: UpdateCampaignRequest = read(r#"{"updateMask":"title,limits.quietHours"}"#).unwrap();
        let mask = request.update_mask.clone().unwrap_or_default();
        assert_eq!(mask.paths, ["title", "limits.quiet_hours"]);
        assert_eq!(write(&request).unwrap(), r#"{"updateMask":"title,limits.quietHours"}"#);
    }

    #[test]
    fn faults_name_the_path() {
        let check = |text: &str, path: &str, expected: &str| {
            let fault = read::<Campaign>(text).unwrap_err();
            assert_eq!(fault.path, path, "{text}: {fault}");
            assert!(fault.text.contains(expected), "{text}: {fault}");
        };
        check(r#"{"delivery":{"triggered":{"when":[{"evnt":"x"}]}}}"#, "delivery.triggered.when[0]", "evnt");
        check(r#"{"limits":{"weight":-1}}"#, "limits.weight", "out of range");
        check(r#"{"limits":{"expiry":"soon"}}"#, "limits.expiry", "");
        check(r#"{"title":5}"#, "title", "");
        check(r#"{"id":"a"} {"id":"b"}"#, "", "trailing");
        check("[", "", "");
        check("", "", "");
    }

    #[test]
    fn what_json_cannot_say_is_refused_in_writing() {
        let event = |seconds| Event {
            occurred_at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..Event::default()
        };
        assert!(write(&event(0)).is_ok());
        assert!(write(&event(i64::MAX)).is_err());
    }

    #[test]
    fn any_text_is_answered_without_a_panic() {
        proptest::proptest!(|(text in "[\\PC\\n\"{}:,0-9a-z.-]{0,60}")| {
            let _ = read::<Campaign>(&text);
            let _ = read::<Campaign>(&format!(r#"{{"limits":{{"expiry":"{text}"}},"createdAt":"{text}"}}"#));
        });
    }
}
