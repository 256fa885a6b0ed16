//! A Redis store of one shard on a server of its own, and short ways to fill it.

use std::sync::Arc;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::draft::Draft;
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{Add, NewEntry, Queue, Settle, Settlement, StoreError};
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
use jiff::Timestamp;
use redis::{Commands, Connection};

pub(crate) const SHARD: Shard = Shard(0);
/// The tag of the only shard of a store of one.
pub(crate) const P: &str = "{s0}:";

pub(crate) struct Rig {
    pub(crate) server: RedisServer,
    pub(crate) store: RedisStore,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) raw: Connection,
    requests: u8,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        Rig::on(RedisServer::start()).await
    }

    pub(crate) async fn on(server: RedisServer) -> Rig {
        let clock = Arc::new(StoreClock::new());
        let store = RedisStore::connect(&server.url(), clock.clone(), [7; 19], Some(1)).await.unwrap();
        let raw = server.connection();
        Rig { server, store, clock, raw, requests: 0 }
    }

    pub(crate) async fn run_campaign(&self, campaign: u32, flow: Flow, weight: u8, epoch: u64) {
        let word = ControlWord { flow, apply_revision: 0, lease_secs: 45, weight, epoch };
        self.store.set_control(SHARD, CampaignNo(campaign), word).await.unwrap();
    }

    pub(crate) async fn add(&mut self, entries: Vec<NewEntry>) -> Result<(), StoreError> {
        self.requests += 1;
        let counts = entries
            .iter()
            .flat_map(|entry| {
                let campaign = entry.due.lane.campaign;
                [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)]
                    .map(|counter| Count { campaign, counter, by: 1 })
            })
            .collect();
        let add = Add {
            request: [self.requests; 16],
            body: [0; 16],
            entries,
            counts,
            refused: Vec::new(),
            answer: Vec::new(),
        };
        self.store.add(SHARD, &add).await.map(|_| ())
    }

    pub(crate) fn key(&self, suffix: &[u8]) -> Vec<u8> {
        [P.as_bytes(), suffix].concat()
    }

    pub(crate) fn bad(&mut self) -> Vec<Vec<u8>> {
        let key = self.key(b"bad");
        self.raw.lrange(key, 0, -1).unwrap()
    }
}

pub(crate) fn lane(campaign: u32) -> Lane {
    Lane { campaign: CampaignNo(campaign), destination: DestinationNo(1), class: Class::First }
}

pub(crate) fn entry(campaign: u32, user: u64, at: Timestamp) -> NewEntry {
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

pub(crate) fn past() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

pub(crate) fn users(campaign: u32, numbers: std::ops::RangeInclusive<u64>) -> Vec<NewEntry> {
    numbers.map(|user| entry(campaign, user, past())).collect()
}

pub(crate) fn row(
    settled: &campanile_core::due_send::Lease,
    ended: Ended,
    at: Timestamp,
    text: &str,
) -> LogRow {
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

pub(crate) fn delivered(lease: campanile_core::due_send::Lease, at: Timestamp) -> Settlement {
    let row = Some(row(&lease, Ended::Delivered, at, ""));
    Settlement { lease, settle: Settle::Delivered, attempted: true, row }
}

pub(crate) fn record(id: &str) -> CampaignRecord {
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
