//! Samples that store tests fill stores with.

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::Draft;
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, UserNo};
use campanile_core::ports::{NewEntry, Settle, Settlement};
use jiff::Timestamp;

pub fn lane(campaign: u32) -> Lane {
    Lane { campaign: CampaignNo(campaign), destination: DestinationNo(1), class: Class::First }
}

pub fn entry(campaign: u32, user: u64, at: Timestamp) -> NewEntry {
    let send = DueSend {
        pinned: false,
        has_data: false,
        has_request: false,
        skip: Skip::default(),
        kind: EntryKind::Request,
        user: UserNo(user),
        key: user,
        action: 0,
        due_at: at,
        revision: 1,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    };
    NewEntry { due: DueEntry { at, lane: lane(campaign), send }, data: None }
}

pub fn past() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("an instant")
}

pub fn users(campaign: u32, numbers: std::ops::RangeInclusive<u64>) -> Vec<NewEntry> {
    numbers.map(|user| entry(campaign, user, past())).collect()
}

pub fn row(settled: &campanile_core::due_send::Lease, ended: Ended, at: Timestamp, text: &str) -> LogRow {
    LogRow {
        ended,
        campaign: settled.lane.campaign,
        user: settled.send.user,
        user_hash: [1, 2, 3],
        key: settled.send.key,
        action: settled.send.action,
        due_at: settled.send.due_at,
        at,
        revision: 1,
        attempts: 1,
        status: 200,
        took_ms: 5,
        text: text.to_owned(),
    }
}

pub fn delivered(lease: campanile_core::due_send::Lease, at: Timestamp) -> Settlement {
    let row = Some(row(&lease, Ended::Delivered, at, ""));
    Settlement { lease, settle: Settle::Delivered, attempted: true, row }
}

pub fn record(id: &str) -> CampaignRecord {
    CampaignRecord {
        no: CampaignNo(0),
        id: id.to_owned(),
        state: State::Draft,
        revision: 1,
        apply_revision: 0,
        epoch: 0,
        version: 0,
        created_at: past(),
        updated_at: past(),
        schedule: Default::default(),
        dropped_until: None,
        transitions: Vec::new(),
        last_request: None,
        draft: Draft { id: id.to_owned(), ..Draft::default() },
    }
}
