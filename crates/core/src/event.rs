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
    /// Of a digest: every event that it tells of, this newest one the last.
    #[serde(skip)]
    pub collected: Vec<Event>,
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
        let data = match bytes.split_first() {
            Some((&DIGEST, events)) => undigest(events).map(EntryData::Event),
            _ => unpack(bytes),
        };
        data.map_err(|e| format!("entry data: {e}"))
    }
}

/// The format of what a digest keeps: behind it each event, its length in front (4 bytes). Format 1 is MessagePack.
const DIGEST: u8 = 2;

/// The packed `EntryData` of an entry that collects events, with its first one.
pub fn digest(first: &Event) -> Vec<u8> {
    [&[DIGEST][..], &digested(first)].concat()
}

/// A further event, to be appended to it.
pub fn digested(event: &Event) -> Vec<u8> {
    let packed = pack(event);
    [&u32::try_from(packed.len()).unwrap_or(u32::MAX).to_be_bytes()[..], &packed].concat()
}

/// The newest event, with all that were collected.
fn undigest(mut bytes: &[u8]) -> Result<Event, String> {
    let mut collected: Vec<Event> = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (packed, rest) = rest.split_at_checked(length).ok_or("a digest cut short")?;
        collected.push(unpack(packed)?);
        bytes = rest;
    }
    match collected.last() {
        Some(last) if bytes.is_empty() => Ok(Event { collected: collected.clone(), ..last.clone() }),
        _ => Err("a digest cut short".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_grows_by_appending_and_is_read_as_its_newest_event() {
        let event = |id: &str| Event {
            name: "buy".to_owned(),
            value: None,
            properties: Map::new(),
            occurred_at: Timestamp::UNIX_EPOCH,
            id: id.to_owned(),
            happening: None,
            collected: Vec::new(),
        };
        let bytes = [digest(&event("a")), digested(&event("b")), digested(&event("c"))].concat();
        let Ok(EntryData::Event(read)) = EntryData::unpack(&bytes) else { panic!("it is read") };
        let ids: Vec<&str> = read.collected.iter().map(|event| event.id.as_str()).collect();
        assert_eq!((read.id.as_str(), ids), ("c", vec!["a", "b", "c"]));
        for len in 0..bytes.len() {
            if let Ok(EntryData::Event(read)) = EntryData::unpack(&bytes[..len]) {
                assert!(read.collected.len() < 3, "{len}");
            }
        }
    }
}
