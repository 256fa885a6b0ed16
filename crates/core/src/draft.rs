//! Pure. A campaign as its author wrote it: plain fields, nothing checked. `campaign` makes a valid one of it.
//!
//! Stored as JSON, one immutable document a revision: fields may be added with a default, never renamed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::webhook_draft::Webhook;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Draft {
    pub id: String,
    pub title: String,
    pub tags: Vec<String>,
    pub audience: Audience,
    pub delivery: Delivery,
    /// A single message; exclusive with `actions`.
    pub webhook: Option<Webhook>,
    pub actions: Vec<Action>,
    pub exit_on: Vec<EventMatch>,
    pub limits: Limits,
    pub conversion: Option<Conversion>,
    pub requires_values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audience {
    /// Empty where nothing was written, which never means everyone by itself.
    pub condition: String,
    pub include_segments: Vec<String>,
    pub exclude_segments: Vec<String>,
    pub sticky: bool,
    pub holdback_percent: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    pub kind: Option<Kind>,
    pub zone: String,
    pub fallback_zone: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    OneTime(OneTime),
    Recurring(Recurring),
    Triggered(Triggered),
    Manual,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OneTime {
    /// `now`, civil text in the zone, or with an offset.
    pub at: String,
    pub late: Late,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    #[default]
    Unspecified,
    Skip,
    SendNow,
    NextDay,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recurring {
    pub cron: String,
    pub every: Option<Every>,
    pub start: String,
    pub end: String,
    /// 0: no such end.
    pub max_occurrences: u64,
    pub catch_up: Option<Duration>,
    pub late: Late,
    pub skip_dates: Vec<String>,
    pub on_skip_date: OnSkipDate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSkipDate {
    #[default]
    Skip,
    NextAllowedDay,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Every {
    pub days: u32,
    pub weeks: u32,
    pub months: u32,
    pub weekdays: Vec<String>,
    pub month_days: Vec<String>,
    pub at: Vec<String>,
    pub short_month: ShortMonth,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortMonth {
    #[default]
    LastDay,
    Skip,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Triggered {
    pub when: Vec<Trigger>,
    pub delay: Option<Delay>,
    pub cancel_on: Vec<EventMatch>,
    pub if_pending: IfPending,
    pub key: String,
    pub entry_limits: Option<EntryLimits>,
    pub start: String,
    pub end: String,
    pub on_window_end: OnWindowEnd,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trigger {
    pub on: TriggerOn,
    pub condition: String,
}

/// What sets a trigger off; the text is the event's, attribute's, segment's or campaign's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerOn {
    #[default]
    Nothing,
    Event(String),
    FirstEvent(String),
    AttributeChanged(String),
    UserCreated,
    SegmentEntered(String),
    SegmentLeft(String),
    CampaignSent(String),
    CampaignDelivered(String),
    CampaignFailed(String),
    CampaignConverted(String),
}

impl TriggerOn {
    /// The campaign whose sends it listens to.
    pub fn campaign(&self) -> Option<&str> {
        match self {
            TriggerOn::CampaignSent(id)
            | TriggerOn::CampaignDelivered(id)
            | TriggerOn::CampaignFailed(id)
            | TriggerOn::CampaignConverted(id) => Some(id),
            _ => None,
        }
    }
}

impl Draft {
    /// What sets it off; nothing, if it is not triggered.
    pub fn triggers(&self) -> impl Iterator<Item = &TriggerOn> {
        let triggers = match &self.delivery.kind {
            Some(Kind::Triggered(triggered)) => triggered.when.as_slice(),
            _ => &[],
        };
        triggers.iter().map(|trigger| &trigger.on)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMatch {
    pub event: String,
    pub condition: String,
    pub same: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delay {
    pub after: Option<Duration>,
    pub days: u32,
    pub weekday: String,
    pub before: Option<Duration>,
    pub at: String,
    pub anchor: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfPending {
    #[default]
    Unspecified,
    Each,
    Ignore,
    Restart,
    Collect,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWindowEnd {
    #[default]
    Unspecified,
    Stop,
    Finish,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryLimits {
    pub ever: u32,
    pub once_per: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    pub name: String,
    /// What a send of it is told apart by, for the campaign's life; none: its place. `campaign_record` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    pub delay: Option<Delay>,
    pub from: DelayFrom,
    pub condition: String,
    pub wait_for: Option<EventMatch>,
    pub wait_at_most: Option<Duration>,
    pub continue_on_failure: bool,
    pub variants: Vec<Variant>,
    pub webhook: Option<Webhook>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DelayFrom {
    #[default]
    Unspecified,
    Entry,
    PreviousSent,
    PreviousDelivered,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variant {
    pub name: String,
    pub weight: u32,
    pub webhook: Option<Webhook>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub throttle: String,
    pub expiry: Option<Duration>,
    pub quiet_hours: Option<QuietHours>,
    pub ignore_caps: bool,
    pub ignore_quiet_hours: bool,
    pub retry: Retry,
    pub weight: u32,
    /// None: the default, on.
    pub auto_pause: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuietHours {
    pub from: String,
    pub to: String,
    pub drop: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// `short`, `long`, or empty for the delivery's default.
    pub preset: String,
    /// A schedule of the author's own; exclusive with `preset`.
    pub waits: Vec<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conversion {
    pub event: String,
    pub condition: String,
    pub within: Option<Duration>,
}
