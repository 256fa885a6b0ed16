//! Pure. What a condition or a template may look at: gathered beforehand, read only.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::event::Event;
use crate::inside::Previous;
use crate::segments::Segments;
use crate::user::Profile;

/// The facts about one user at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub profile: &'a Profile,
    /// The event that opened the entry.
    pub event: Option<&'a Event>,
    /// The values of a manual entry; in templates they also shadow attributes of the same name.
    pub values: Option<&'a Map<String, Value>>,
    /// The action before, in a campaign of several.
    pub previous: Option<&'a Previous>,
    /// What conditions about time are judged at: the due instant, however late the send really goes.
    pub as_of: Timestamp,
    /// What templates call `now`: the instant of the first claim, the same over all attempts.
    pub now: Timestamp,
    /// What `in_segment` and `in_list` ask.
    pub segments: &'a Segments,
    /// For users without a zone of their own.
    pub fallback_zone: &'a TimeZone,
}

impl Facts<'_> {
    /// The user's zone, or the fallback.
    pub fn zone(&self) -> TimeZone {
        let own = self.profile.time_zone.as_deref();
        own.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(|| self.fallback_zone.clone())
    }
}
