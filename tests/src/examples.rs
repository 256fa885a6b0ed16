//! The real events and users in `examples/github`.

use std::path::{Path, PathBuf};

use campanile_proto::v1 as wire;
use serde_json::Value;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/github")
}

/// One line of `events.ndjson`.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub message_id: String,
    pub user_id: String,
    pub event: String,
    pub properties: Value,
}

impl Tracked {
    /// The event as it is sent, happening when it arrives.
    pub fn to_wire(&self) -> wire::Event {
        wire::Event {
            name: self.event.clone(),
            user_id: self.user_id.clone(),
            properties: self.properties.to_string(),
            event_id: self.message_id.clone(),
            ..Default::default()
        }
    }
}

/// All 302 events in the order of the file.
pub fn events() -> Vec<Tracked> {
    let text = std::fs::read_to_string(folder().join("events.ndjson")).expect("the example events");
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a JSON line");
            let text = |name: &str| line[name].as_str().expect(name).to_owned();
            Tracked {
                message_id: text("messageId"),
                user_id: text("userId"),
                event: text("event"),
                properties: line["properties"].clone(),
            }
        })
        .collect()
}

/// All 14 users: id, and traits without the zone.
pub fn users() -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(folder().join("users.ndjson")).expect("the example users");
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("a JSON line");
            let traits = line["traits"].as_object_mut().expect("traits");
            traits.shift_remove("timezone");
            (line["userId"].as_str().expect("userId").to_owned(), line["traits"].clone())
        })
        .collect()
}
