//! Pure. What importers read of one line: a user to be stored, or what is wrong with the line.

use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

/// A line of a file, or the record that begins there.
#[derive(Debug)]
pub struct ImportLine {
    /// From 1.
    pub number: u64,
    pub user: Result<ReadUser, String>,
}

/// A user as a file tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadUser {
    pub id: String,
    pub attributes: Map<String, Value>,
    /// Empty: not told.
    pub time_zone: String,
    pub created_at: Option<prost_types::Timestamp>,
}

impl ReadUser {
    pub fn into_wire(self) -> wire::UserUpdate {
        let attributes = match self.attributes.is_empty() {
            true => String::new(),
            false => Value::Object(self.attributes).to_string(),
        };
        wire::UserUpdate { id: self.id, attributes, time_zone: self.time_zone, created_at: self.created_at }
    }
}
