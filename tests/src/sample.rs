//! Samples that store tests fill stores with.

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::draft::Draft;
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Lease, Skip};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{Add, Added, NewEntry, Settle, Settlement, Store};
use jiff::Timestamp;

/// The campaign of the samples.
pub const NO: CampaignNo = CampaignNo(1);

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
    Settlement { lease, settle: Settle::Delivered, attempted: true, variant: None, hops: 0, row }
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
        draft: Draft { id: id.to_owned(), ..Draft::default() },
    }
}

pub async fn run_campaign(store: &dyn Store, shard: Shard) {
    set_flow(store, shard, Flow::Running, 1, 45).await;
}

pub async fn set_flow(store: &dyn Store, shard: Shard, flow: Flow, epoch: u64, lease_secs: u8) {
    let word = ControlWord { flow, apply_revision: 2, lease_secs, weight: 1, epoch, bits: 0 };
    store.set_control(shard, NO, word).await.expect("the store answers");
}

pub fn entered(by: i64) -> Vec<Count> {
    [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)]
        .map(|counter| Count { campaign: NO, counter, by })
        .to_vec()
}

pub async fn add(store: &dyn Store, shard: Shard, name: u8, entries: Vec<NewEntry>) -> Added {
    let counts = entered(entries.len() as i64);
    let add =
        Add { request: [name; 16], body: [0; 16], entries, counts, refused: Vec::new(), answer: vec![name] };
    store.add(shard, &add).await.expect("the store answers")
}

pub async fn claim_one(store: &dyn Store, shard: Shard) -> Lease {
    let mut claimed = store.claim(shard, 1).await.expect("the store answers");
    claimed.jobs.pop().expect("a send to claim").lease
}

pub fn settled(lease: Lease, settle: Settle) -> Settlement {
    Settlement { lease, settle, attempted: false, variant: None, hops: 0, row: None }
}
