//! A Redis store of one shard on a server of its own, and short ways to fill it.

use std::sync::Arc;

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Add, NewEntry, Queue, StoreError};
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
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
        let word = ControlWord { flow, apply_revision: 0, lease_secs: 45, weight, epoch, bits: 0 };
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
