//! Pure. An event: what a user did, when, with which properties; what an entry keeps of it; and the items of a shard's event log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::happening::Happening;
use crate::send_outcome::{self, SendOutcome};
use crate::user::{pack, unpack};

/// One event of one user, checked at the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub name: String,
    pub value: Option<f64>,
    pub properties: Map<String, Value>,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub occurred_at: Timestamp,
    /// The client's id for it, or one made at the door: what drops repeats.
    pub id: String,
    /// It is not what the user did, but what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happening: Option<Happening>,
}

/// What an entry keeps to render its sends later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EntryData {
    /// The event that opened the entry.
    Event(Event),
    /// The values of a manual entry.
    Values(Map<String, Value>),
}

/// One item of a shard's event log: what happened to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LogItem {
    /// The user did something.
    Event(Event),
    /// The same, told long after: counts into behaviour and fires nothing.
    Imported(Event),
    /// A send to the user was posted for the first time, or ended.
    #[serde(skip)]
    Outcome(SendOutcome),
}

impl EntryData {
    pub fn pack(&self) -> Vec<u8> {
        pack(self)
    }

    pub fn unpack(bytes: &[u8]) -> Result<EntryData, String> {
        unpack(bytes).map_err(|e| format!("entry data: {e}"))
    }
}

impl LogItem {
    pub fn pack(&self) -> Vec<u8> {
        match self {
            LogItem::Outcome(outcome) => outcome.encode(),
            LogItem::Event(_) | LogItem::Imported(_) => pack(self),
        }
    }

    pub fn unpack(bytes: &[u8]) -> Result<LogItem, String> {
        let item = match bytes.first() {
            Some(&send_outcome::FORMAT) => {
                SendOutcome::decode(bytes).map(LogItem::Outcome).map_err(|e| e.to_string())
            }
            _ => unpack(bytes),
        };
        item.map_err(|e| format!("event log item: {e}"))
    }
}
