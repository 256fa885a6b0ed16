//! Pure. What a deployment decides for all of its campaigns, as it was written and is stored: one record with a revision.
//!
//! After: `deployment_limits`, which reads and checks it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::draft::QuietHours;

/// Campaigns with this tag are the deployment's own business: caps without tags do not count them.
pub const INTERNAL: &str = "internal";

/// As it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub caps: Vec<DeliveryCap>,
    pub min_gap: Option<MinimumGap>,
    pub quiet_hours: Option<QuietHours>,
    /// A segment of people who are sent nothing; empty: nobody.
    pub never_send: String,
    /// Where notices go; empty: nowhere.
    pub notify_url: String,
    /// The secret that signs them.
    pub notify_signing_secret: String,
}

/// How many webhooks one user may be sent in a time; exactly one of `within` and `per`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryCap {
    pub at_most: u32,
    pub within: Option<Duration>,
    pub per: Option<CapPeriod>,
    /// Of the campaigns it counts; empty: all but the internal ones.
    pub tags: Vec<String>,
}

/// A stretch of a user's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapPeriod {
    Day,
    /// From Monday.
    Week,
}

/// The least time between two webhooks to one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MinimumGap {
    pub gap: Duration,
    pub tags: Vec<String>,
}

/// The one record in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// Grows by one with every write: what a save compares. 0: nobody has written any.
    pub revision: u64,
    pub updated_at: Timestamp,
    /// Since when there is somewhere for notices to go: what happened before is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_since: Option<Timestamp>,
    pub settings: Settings,
}

impl SettingsRecord {
    /// Of a deployment whose settings nobody has written.
    pub fn none() -> SettingsRecord {
        SettingsRecord {
            revision: 0,
            updated_at: Timestamp::UNIX_EPOCH,
            notify_since: None,
            settings: Settings::default(),
        }
    }
}
