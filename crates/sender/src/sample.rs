//! A campaign, its users and their sends, for the tests of the sender.

use campanile_core::campaign_record::{CampaignRecord, Schedule, State};
use campanile_core::control_word::ControlWord;
use campanile_core::draft::{Audience, Delivery, Draft, Kind};
use campanile_core::due_send::{Class, DueSend, EntryKind, Lane, Lease, Skip};
use campanile_core::number::{CampaignNo, DestinationNo, Layout, UserNo};
use campanile_core::ports::Job;
use campanile_core::user::Profile;
use campanile_core::webhook_draft::{Row, Webhook};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) const DESTINATION: DestinationNo = DestinationNo(3);
pub(crate) const CAMPAIGN: CampaignNo = CampaignNo(7);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When everything here happens.
pub(crate) fn now() -> Timestamp {
    at("2026-11-24T08:00:00Z")
}

pub(crate) fn layout() -> Layout {
    Layout { birth: [1, 2, 3], hash_key: [4; 16], shards: 2 }
}

/// Posts a user's name to `url`, for users of the plan `pro`.
pub(crate) fn draft(url: &str) -> Draft {
    Draft {
        id: "hello".to_owned(),
        title: "Hello".to_owned(),
        audience: Audience { condition: r#"user.plan == "pro""#.to_owned(), ..Audience::default() },
        delivery: Delivery { kind: Some(Kind::Manual), ..Delivery::default() },
        webhook: Some(Webhook {
            url: url.to_owned(),
            data: vec![Row { name: "name".to_owned(), value: json!("{{ user.name }}") }],
            ..Webhook::default()
        }),
        ..Draft::default()
    }
}

pub(crate) fn record(draft: Draft) -> CampaignRecord {
    CampaignRecord {
        no: CAMPAIGN,
        id: draft.id.clone(),
        state: State::Active,
        revision: 1,
        apply_revision: 0,
        epoch: 1,
        version: 1,
        created_at: now(),
        updated_at: now(),
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

pub(crate) fn control(record: &CampaignRecord) -> ControlWord {
    record.control_word().unwrap()
}

pub(crate) fn profile(no: u64, attributes: Value) -> Profile {
    let mut profile = Profile::new(format!("user-{no}"), now());
    profile.attributes = attributes.as_object().unwrap().clone();
    profile
}

/// Mary belongs to the audience and has a name.
pub(crate) fn mary() -> Profile {
    profile(1, json!({"plan": "pro", "name": "Mary"}))
}

/// As a claim leaves it.
pub(crate) fn due_send(user: u64) -> DueSend {
    DueSend {
        pinned: true,
        has_data: false,
        has_request: false,
        skip: Skip::default(),
        kind: EntryKind::Request,
        user: UserNo(user),
        key: 99,
        action: 0,
        due_at: now(),
        revision: 1,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    }
}

pub(crate) fn lane() -> Lane {
    Lane { campaign: CAMPAIGN, destination: DESTINATION, class: Class::First }
}

/// A job of one of the audience's users.
pub(crate) fn job(user: u64, record: &CampaignRecord) -> Job {
    let profile = profile(user, json!({"plan": "pro", "name": format!("N{user}")}));
    Job {
        lease: Lease { fence: 0, lane: lane(), send: due_send(user) },
        control: control(record),
        profile: Some(profile),
        data: None,
        kept: None,
        record: None,
    }
}
