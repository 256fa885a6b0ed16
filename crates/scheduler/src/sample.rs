//! What the tests of this crate are made of: campaigns from a few words, users, events.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, Schedule, State};
use campanile_core::draft::{Delivery, Draft, Kind, OneTime, Recurring, Trigger, TriggerOn, Triggered};
use campanile_core::event::Event;
use campanile_core::number::{CampaignNo, Layout, UserNo};
use campanile_core::ports::StoredUser;
use campanile_core::user::Profile;
use campanile_core::webhook_draft::{Row, Webhook};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::campaigns::compile;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn layout() -> Layout {
    Layout { birth: [1, 2, 3], hash_key: [7; 16], shards: 1 }
}

/// A valid definition of this kind, for everyone.
pub(crate) fn draft(kind: Kind) -> Draft {
    let mut draft = Draft { id: "c".to_owned(), ..Draft::default() };
    draft.audience.condition = "everyone".to_owned();
    draft.delivery = Delivery { kind: Some(kind), ..Delivery::default() };
    draft.webhook = Some(webhook("https://hooks.example/in", "{{ user_id }}"));
    draft
}

pub(crate) fn webhook(url: &str, text: &str) -> Webhook {
    let row = Row { name: "text".to_owned(), value: json!(text) };
    Webhook { url: url.to_owned(), data: vec![row], ..Webhook::default() }
}

pub(crate) fn one_time(at: &str) -> Kind {
    Kind::OneTime(OneTime { at: at.to_owned(), ..OneTime::default() })
}

pub(crate) fn recurring(cron: &str) -> Recurring {
    Recurring { cron: cron.to_owned(), ..Recurring::default() }
}

/// `name`, or `name where condition`; several.
pub(crate) fn triggered(triggers: &[&str]) -> Triggered {
    let when = triggers.iter().map(|text| {
        let (name, condition) = text.split_once(" where ").unwrap_or((text, ""));
        Trigger { on: TriggerOn::Event(name.to_owned()), condition: condition.to_owned() }
    });
    Triggered { when: when.collect(), ..Triggered::default() }
}

/// A draft made and saved on the first of January 2026.
pub(crate) fn record(draft: Draft) -> CampaignRecord {
    let created_at = at("2026-01-01T00:00Z");
    CampaignRecord {
        no: CampaignNo(1),
        id: draft.id.clone(),
        state: State::Draft,
        revision: 1,
        apply_revision: 0,
        epoch: 1,
        version: 1,
        created_at,
        updated_at: created_at,
        schedule: Schedule::default(),
        dropped_until: None,
        history: false,
        emitted: false,
        heard: false,
        cancelled: Default::default(),
        deleted_at: None,
        steps: false,
        action_names: Vec::new(),
        runs: Vec::new(),
        notices: Vec::new(),
        looks: Default::default(),
        transitions: Vec::new(),
        last_request: None,
        draft,
    }
}

pub(crate) fn compiled(record: &CampaignRecord) -> Campaign {
    compile(record, record.draft.clone()).expect("a valid campaign")
}

/// As control activates it.
pub(crate) fn activated(draft: Draft, now: Timestamp) -> CampaignRecord {
    let mut record = record(draft);
    let first = crate::occurrence::first_due(&compiled(&record), now).expect("it may be activated");
    record.schedule.next_at = first.next_at;
    record.move_to(first.state, now, "a test", "");
    record
}

pub(crate) fn user(no: u64, attributes: Value) -> StoredUser {
    let mut profile = Profile::new(format!("u{no}"), at("2026-01-01T00:00Z"));
    profile.attributes = attributes.as_object().cloned().unwrap_or_default();
    StoredUser { no: UserNo(no), version: 3, profile }
}

pub(crate) fn event(id: &str, name: &str, occurred_at: Timestamp, properties: Value) -> Event {
    let properties = properties.as_object().cloned().unwrap_or_default();
    Event {
        name: name.to_owned(),
        value: None,
        properties,
        occurred_at,
        id: id.to_owned(),
        happening: None,
        collected: Vec::new(),
    }
}
