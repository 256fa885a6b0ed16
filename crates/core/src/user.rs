//! Pure. A user: attributes, zone, and what it did. One packed string in the store.
//!
//! Attributes and behaviour change only here: `apply` for what a client says, `count` for an event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::behaviour::Behaviour;
use crate::campaign_history::Histories;
use crate::event::Event;
use crate::limits;
use crate::user_bytes;

/// A user as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub id: String,
    /// In the order first given. Never holds a null.
    pub attributes: Map<String, Value>,
    /// IANA name, checked when it was given.
    pub time_zone: Option<String>,
    pub created_at: Timestamp,
    /// By event name.
    pub behaviour: BTreeMap<String, Behaviour>,
    /// Of campaigns that somebody asks about. Kept apart from the profile, and filled in where a condition looks at them.
    pub histories: Histories,
    /// Marks of the segments it was last seen in, of those that live campaigns watch; ascending. See `watch`.
    pub inside: Vec<u32>,
}

/// What a client says about one user; checked at the door.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserChange {
    pub id: String,
    /// A null removes the attribute.
    pub attributes: Map<String, Value>,
    /// `Some("")` removes the zone.
    pub time_zone: Option<String>,
    pub created_at: Option<Timestamp>,
}

impl Profile {
    pub fn new(id: impl Into<String>, created_at: Timestamp) -> Profile {
        Profile {
            id: id.into(),
            attributes: Map::new(),
            time_zone: None,
            created_at,
            behaviour: BTreeMap::new(),
            histories: Histories::default(),
            inside: Vec::new(),
        }
    }

    /// Applies `change`; refuses it whole if the user would outgrow its bounds.
    pub fn apply(&mut self, change: &UserChange) -> Result<(), String> {
        let added =
            change.attributes.iter().filter(|(k, v)| !v.is_null() && !self.attributes.contains_key(*k));
        if self.attributes.len() + added.count() > limits::USER_ATTRIBUTES_MAX {
            return Err(format!("a user has at most {} attributes", limits::USER_ATTRIBUTES_MAX));
        }
        for (name, value) in &change.attributes {
            if value.is_null() {
                self.attributes.shift_remove(name);
            } else {
                self.attributes.insert(name.clone(), value.clone());
            }
        }
        match change.time_zone.as_deref() {
            Some("") => self.time_zone = None,
            Some(zone) => self.time_zone = Some(zone.to_owned()),
            None => {}
        }
        if let Some(at) = change.created_at {
            self.created_at = at;
        }
        Ok(())
    }

    /// Counts an event into behaviour, as accepted at `accepted_at`: a clock that runs ahead of ours says nothing about the
    /// future. An event name past the bound is not counted, nor is what the user did not do.
    pub fn count(&mut self, event: &Event, accepted_at: Timestamp) {
        if event.happening.is_some() {
            return;
        }
        for behaviour in self.behaviour.values_mut() {
            behaviour.forget_days(accepted_at);
        }
        let at = event.occurred_at.min(accepted_at);
        let known = self.behaviour.len();
        match self.behaviour.get_mut(&event.name) {
            Some(behaviour) => behaviour.add(at, event.value, accepted_at),
            None if known < limits::USER_EVENT_NAMES_MAX => {
                let behaviour = Behaviour::new(at, event.value, accepted_at);
                self.behaviour.insert(event.name.clone(), behaviour);
            }
            None => {}
        }
    }

    pub fn first_seen(&self) -> Option<Timestamp> {
        self.behaviour.values().map(|b| b.first_at).min()
    }

    pub fn last_seen(&self) -> Option<Timestamp> {
        self.behaviour.values().map(|b| b.last_at).max()
    }

    /// Sum of the values of all events.
    pub fn lifetime_value(&self) -> f64 {
        self.behaviour.values().map(|b| b.values.sum).sum()
    }

    pub fn pack(&self) -> Vec<u8> {
        user_bytes::write(self)
    }

    pub fn unpack(bytes: &[u8]) -> Result<Profile, String> {
        user_bytes::read(bytes).map_err(|e| format!("profile: {e}"))
    }
}

/// Format version, then MessagePack with structs as lists.
const FORMAT: u8 = 1;

pub(crate) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    // Writing to memory fails only for maps of unknown length, which our types do not have.
    let _ = rmp_serde::encode::write(&mut bytes, value);
    bytes
}

pub(crate) fn unpack<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => rmp_serde::from_slice(rest).map_err(|e| e.to_string()),
        Some((other, _)) => Err(format!("format {other} is not known to this version, expected {FORMAT}")),
        None => Err("no bytes".to_owned()),
    }
}
