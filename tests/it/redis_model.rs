//! The queue of the Redis store against a model: random adds, releases, claims, settlements (some twice), lost leases, pauses.
//! After every few steps each send is in exactly one place, each lane with sends in exactly one of ring and held, nothing ended
//! twice, and counters say what happened. Whole scripts interleaved are all that Redis allows, so one client shows every order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Lease, Skip};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo, instant};
use campanile_core::ports::{Add, Added, Clock, Ledger, NewEntry, Queue, Settle, Settlement};
use campanile_core::reason::{Failure, Refusal, Suppression};
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
use jiff::SignedDuration;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use redis::{Commands, Connection};

const SHARD: Shard = Shard(0);
const P: &str = "{s0}:";
const CAMPAIGNS: u32 = 5;

/// What a send is, wherever it waits: campaign and user.
type Id = (u32, u64);

struct Model {
    store: RedisStore,
    clock: Arc<StoreClock>,
    raw: Connection,
    rng: TestRng,
    next_user: u64,
    pending: BTreeSet<Id>,
    ended: HashSet<Id>,
    leases: Vec<Lease>,
    /// Settled or taken back: whoever still holds them may do nothing.
    stale: Vec<Lease>,
    flow: BTreeMap<u32, (Flow, u64)>,
    counters: BTreeMap<(u32, Counter), i64>,
}

impl Model {
    async fn new(server: &RedisServer, seed: u8) -> Model {
        let clock = Arc::new(StoreClock::new());
        let store = RedisStore::connect(&server.url(), clock.clone(), [seed; 19], Some(1)).await.unwrap();
        let mut model = Model {
            store,
            clock,
            raw: server.connection(),
            rng: TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]),
            next_user: 0,
            pending: BTreeSet::new(),
            ended: HashSet::new(),
            leases: Vec::new(),
            stale: Vec::new(),
            flow: BTreeMap::new(),
            counters: BTreeMap::new(),
        };
        // The last campaign is shown to the shard only on the way.
        for campaign in 1..CAMPAIGNS {
            model.control(campaign, Flow::Running).await;
        }
        model
    }

    fn count(&mut self, campaign: u32, counter: Counter, by: i64) {
        *self.counters.entry((campaign, counter)).or_insert(0) += by;
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 => self.add().await,
            25..40 => {
                let limit = self.rng.random_range(1..200);
                self.store.release(SHARD, limit).await.unwrap();
            }
            40..65 => self.claim().await,
            65..85 => self.settle().await,
            85..92 => self.lose_leases().await,
            92..95 => self.settle_stale().await,
            _ => {
                let campaign = self.rng.random_range(1..=CAMPAIGNS);
                let flow =
                    [Flow::Running, Flow::Held, Flow::Running, Flow::Stopped][self.rng.random_range(0..4)];
                self.control(campaign, flow).await;
            }
        }
    }

    async fn add(&mut self) {
        let now = self.clock.now();
        let mut entries = Vec::new();
        let mut counts = Vec::new();
        for _ in 0..self.rng.random_range(1..30) {
            self.next_user += 1;
            let campaign = self.rng.random_range(1..=CAMPAIGNS);
            let wait_ms =
                [0, 0, 0, 40, 1_500, 30_000, 3 * 3_600_000, 20 * 24 * 3_600_000][self.rng.random_range(0..8)];
            let lane = Lane {
                campaign: CampaignNo(campaign),
                destination: DestinationNo(self.rng.random_range(1..4)),
                class: Class::First,
            };
            let at = now + SignedDuration::from_millis(wait_ms);
            entries.push(NewEntry {
                due: DueEntry { at, lane, send: send(self.next_user, at) },
                data: Some(vec![1]),
            });
            self.pending.insert((campaign, self.next_user));
            for counter in [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)] {
                self.count(campaign, counter, 1);
                counts.push(Count { campaign: CampaignNo(campaign), counter, by: 1 });
            }
        }
        let mut request = [0; 16];
        request[..8].copy_from_slice(&self.next_user.to_be_bytes());
        let add = Add { request, body: [2; 16], entries, counts, refused: Vec::new(), answer: vec![7] };
        assert_eq!(self.store.add(SHARD, &add).await, Ok(Added::Now));
        if self.rng.random_range(0..4) == 0 {
            assert_eq!(self.store.add(SHARD, &add).await, Ok(Added::Before(vec![7])));
        }
    }

    async fn claim(&mut self) {
        let want = self.rng.random_range(1..100);
        let claimed = self.store.claim(SHARD, want).await.unwrap();
        assert!(claimed.jobs.len() <= want);
        for job in claimed.jobs {
            let campaign = job.lease.lane.campaign.0;
            let (flow, epoch) = self.flow[&campaign];
            assert_ne!(flow, Flow::Held, "a held campaign's send was claimed");
            assert_eq!((job.control.flow, job.control.epoch), (flow, epoch));
            assert!(job.lease.send.pinned);
            assert_eq!(job.data, Some(vec![1]));
            assert_eq!(job.kept.is_some(), job.lease.send.attempts > 0);
            assert!(self.pending.contains(&(campaign, job.lease.send.user.0)), "an ended send was claimed");
            self.leases.push(job.lease);
        }
    }

    async fn settle(&mut self) {
        let mut settlements = Vec::new();
        for _ in 0..self.rng.random_range(1..40) {
            if self.leases.is_empty() {
                break;
            }
            let place = self.rng.random_range(0..self.leases.len());
            let lease = self.leases.swap_remove(place);
            settlements.push(self.settlement(lease));
        }
        let done = self.store.settle(SHARD, &settlements).await.unwrap();
        assert_eq!(done, vec![true; settlements.len()]);
        for settlement in &settlements {
            self.settled(settlement);
            self.stale.push(settlement.lease.clone());
        }
        if self.rng.random_range(0..5) == 0 {
            assert_eq!(self.store.settle(SHARD, &settlements).await.unwrap(), vec![false; settlements.len()]);
        }
    }

    fn settlement(&mut self, lease: Lease) -> Settlement {
        let wait = SignedDuration::from_millis([0, 30, 5_000, 400_000][self.rng.random_range(0..4)]);
        let at = self.clock.now() + wait;
        let (settle, ended) = match self.rng.random_range(0..8) {
            0 => (Settle::Delivered, Some(Ended::Delivered)),
            1 => (
                Settle::Failed { reason: Failure::Final, kept: vec![4] },
                Some(Ended::Failed(Failure::Final)),
            ),
            2 => (Settle::Suppressed(Suppression::Expired), Some(Ended::Suppressed(Suppression::Expired))),
            3 => (Settle::Retry { at, kept: vec![3] }, Some(Ended::Retrying)),
            4 => (Settle::Hold { at, due_at: Some(at).filter(|_| lease.send.attempts == 0) }, None),
            5 => (Settle::Refused(Refusal::NotInAudience), None),
            6 => (Settle::Park { until: self.clock.now() + SignedDuration::from_millis(20), to: None }, None),
            _ => (Settle::Back, None),
        };
        let attempted = matches!(ended, Some(Ended::Delivered | Ended::Failed(_) | Ended::Retrying));
        let row = ended.map(|ended| row(&lease, ended));
        Settlement { lease, settle, attempted, variant: None, hops: 0, row }
    }

    fn settled(&mut self, settlement: &Settlement) {
        let campaign = settlement.lease.lane.campaign.0;
        let ending = match settlement.settle {
            Settle::Delivered => Some(Counter::Delivered(0)),
            Settle::Failed { .. } => Some(Counter::Failed(0)),
            Settle::Suppressed(reason) => Some(Counter::Suppressed(0, reason)),
            Settle::Retry { .. } => {
                self.count(campaign, Counter::Retries(0), 1);
                if settlement.attempted && settlement.lease.send.attempts == 0 {
                    self.count(campaign, Counter::Retrying(0), 1);
                }
                None
            }
            Settle::Refused(_) => {
                self.never_entered((campaign, settlement.lease.send.user.0));
                None
            }
            // Only campaigns of several messages have these.
            Settle::Skipped | Settle::Dropped => None,
            Settle::Hold { .. } | Settle::Back | Settle::Park { .. } => None,
        };
        if settlement.attempted {
            self.count(campaign, Counter::Attempts(0), 1);
            // Its first one: every send of the model is of another user, and its rows say that none was late.
            if settlement.lease.send.attempts == 0 {
                for counter in [Counter::Users, Counter::Reached, Counter::Latency(0, 0)] {
                    self.count(campaign, counter, 1);
                }
            }
        }
        let is_over = ending.is_some() || matches!(settlement.settle, Settle::Refused(_));
        if is_over && settlement.lease.send.attempts > 0 {
            self.count(campaign, Counter::Retrying(0), -1);
        }
        if let Some(counter) = ending {
            self.end((campaign, settlement.lease.send.user.0), counter);
        }
    }

    fn never_entered(&mut self, id: Id) {
        assert!(self.pending.remove(&id) && self.ended.insert(id), "{id:?} ended twice");
        for counter in [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)] {
            self.count(id.0, counter, -1);
        }
        self.count(id.0, Counter::Refused(Refusal::NotInAudience), 1);
    }

    fn end(&mut self, id: Id, counter: Counter) {
        assert!(self.pending.remove(&id) && self.ended.insert(id), "{id:?} ended twice");
        for (counter, by) in
            [(counter, 1), (Counter::Pending(0), -1), (Counter::Open, -1), (Counter::Finished, 1)]
        {
            self.count(id.0, counter, by);
        }
    }

    /// Leases run out, by making them old, and are taken back; their holders do not know.
    async fn lose_leases(&mut self) {
        let mut lost = Vec::new();
        for _ in 0..self.rng.random_range(0..3) {
            if self.leases.is_empty() {
                break;
            }
            let place = self.rng.random_range(0..self.leases.len());
            // All of a claim run out together.
            let claim = self.leases[place].fence >> 8;
            lost.extend(self.leases.extract_if(.., |lease| lease.fence >> 8 == claim));
            let _: () = self.raw.zadd(format!("{P}lease"), &claim.to_be_bytes()[1..], 1).unwrap();
        }
        let mut taken = 0;
        while taken < lost.len() {
            let now = self.store.reclaim(SHARD, 100).await.unwrap();
            assert!(now > 0, "{taken} of {} lost leases are taken back", lost.len());
            taken += now;
        }
        assert_eq!((taken, self.store.reclaim(SHARD, 100).await), (lost.len(), Ok(0)));
        for lease in lost {
            if lease.send.redeliveries >= 4 {
                if lease.send.attempts > 0 {
                    self.count(lease.lane.campaign.0, Counter::Retrying(0), -1);
                }
                self.end((lease.lane.campaign.0, lease.send.user.0), Counter::Failed(0));
            }
            self.stale.push(lease);
        }
    }

    /// As the bytes of claims say, pinned by what they keep for it.
    fn stored_leases(&mut self) -> Vec<Lease> {
        let fences: Vec<Vec<u8>> = self.raw.zrange(format!("{P}lease"), 0, -1).unwrap();
        let mut leases = Vec::new();
        for fence in fences {
            let bytes: Vec<u8> = self.raw.get([P.as_bytes(), b"l:", &fence].concat()).unwrap();
            let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            let (n, claimed_at) = (usize::from(bytes[7]), instant(number(&bytes[1..7])));
            let (states, mut rest) = bytes[8..].split_at(n);
            let mut place = 0;
            while let Some((head, cores)) = rest.split_at_checked(13) {
                let (cores, behind) = cores.split_at(31 * usize::from(head[12]));
                for core in cores.chunks_exact(31) {
                    if states[place] == 1 {
                        let send = DueSend::decode(core).unwrap();
                        leases.push(Lease {
                            fence: number(&fence) << 8 | place as u64,
                            lane: Lane::decode(&head[..9]).unwrap(),
                            send: send.pinned_at(claimed_at, number(&head[9..12]) as u32),
                        });
                    }
                    place += 1;
                }
                rest = behind;
            }
            assert_eq!((bytes[0], place, rest.len()), (1, n, 0));
        }
        leases
    }

    async fn settle_stale(&mut self) {
        let mut settlements = Vec::new();
        for lease in self.stale.split_off(self.stale.len().saturating_sub(50)) {
            settlements.push(self.settlement(lease));
        }
        assert_eq!(self.store.settle(SHARD, &settlements).await.unwrap(), vec![false; settlements.len()]);
    }

    async fn control(&mut self, campaign: u32, flow: Flow) {
        let epoch = self.flow.get(&campaign).map_or(1, |(_, epoch)| epoch + 1);
        let word =
            |flow, epoch| ControlWord { flow, apply_revision: 0, lease_secs: 60, weight: 1, epoch, bits: 0 };
        self.store.set_control(SHARD, CampaignNo(campaign), word(flow, epoch)).await.unwrap();
        self.flow.insert(campaign, (flow, epoch));
        if epoch > 1 {
            // A late, older word changes nothing.
            self.store.set_control(SHARD, CampaignNo(campaign), word(Flow::Held, epoch - 1)).await.unwrap();
        }
    }

    async fn check(&mut self) {
        let mut found: BTreeMap<Id, usize> = BTreeMap::new();
        let mut full_lanes = BTreeSet::new();
        let due: Vec<Vec<u8>> = self.raw.zrange(format!("{P}soon"), 0, -1).unwrap();
        let buckets: Vec<Vec<u8>> = self.raw.keys(format!("{P}w:*")).unwrap();
        let wheel: Vec<Vec<u8>> = self.raw.zrange(format!("{P}wheel"), 0, -1).unwrap();
        let names: BTreeSet<&[u8]> = buckets.iter().map(|key| &key[P.len() + 2..]).collect();
        assert_eq!(
            names,
            wheel.iter().map(Vec::as_slice).collect(),
            "buckets are those that the wheel names"
        );
        let mut due = due;
        for key in &buckets {
            let entries: Vec<Vec<u8>> = self.raw.lrange(key, 0, -1).unwrap();
            due.extend(entries);
        }
        for entry in due {
            let entry = DueEntry::decode(&entry).unwrap();
            *found.entry((entry.lane.campaign.0, entry.send.user.0)).or_default() += 1;
        }
        let lanes: Vec<Vec<u8>> = self.raw.keys(format!("{P}q:*")).unwrap();
        for key in lanes {
            let lane = Lane::decode(&key[P.len() + 2..]).unwrap();
            full_lanes.insert(lane.encode().to_vec());
            let cores: Vec<Vec<u8>> = self.raw.lrange(&key, 0, -1).unwrap();
            for core in cores {
                *found.entry((lane.campaign.0, DueSend::decode(&core).unwrap().user.0)).or_default() += 1;
            }
        }
        let leases = self.stored_leases();
        assert_eq!(
            leases.iter().cloned().collect::<HashSet<_>>(),
            self.leases.iter().cloned().collect(),
            "leases are those held"
        );
        for lease in leases {
            *found.entry((lease.lane.campaign.0, lease.send.user.0)).or_default() += 1;
        }
        assert!(found.values().all(|places| *places == 1), "a send is in two places");
        assert_eq!(
            found.keys().copied().collect::<BTreeSet<_>>(),
            self.pending,
            "a send is lost, or has ended"
        );
        let ring: BTreeSet<Vec<u8>> = self.raw.zrange(format!("{P}ring"), 0, -1).unwrap();
        let held: BTreeSet<Vec<u8>> = self.raw.zrange(format!("{P}held"), 0, -1).unwrap();
        let park: BTreeSet<Vec<u8>> = self.raw.zrange(format!("{P}park"), 0, -1).unwrap();
        assert!(ring.is_disjoint(&held) && ring.is_disjoint(&park) && held.is_disjoint(&park));
        let all = &(&ring | &held) | &park;
        assert_eq!(all, full_lanes, "every lane with sends is in one of ring, park and held, and no other");
        for campaign in 1..=CAMPAIGNS {
            let stored: BTreeMap<Counter, i64> =
                self.store.stats(CampaignNo(campaign)).await.unwrap().into_iter().collect();
            let model: BTreeMap<Counter, i64> = self
                .counters
                .iter()
                .filter(|((no, _), value)| *no == campaign && **value != 0)
                .map(|((_, counter), value)| (*counter, *value))
                .collect();
            assert_eq!(stored, model, "counters of campaign {campaign}");
        }
        assert_eq!(self.raw.llen::<_, usize>(format!("{P}bad")), Ok(0));
    }
}

fn send(user: u64, due_at: jiff::Timestamp) -> DueSend {
    DueSend {
        pinned: false,
        has_data: true,
        has_request: false,
        skip: Skip::default(),
        kind: EntryKind::Event,
        user: UserNo(user),
        key: user,
        action: 0,
        due_at,
        revision: 1,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    }
}

fn row(lease: &Lease, ended: Ended) -> LogRow {
    LogRow {
        ended,
        campaign: lease.lane.campaign,
        user: lease.send.user,
        user_hash: [0; 3],
        key: lease.send.key,
        action: 0,
        due_at: lease.send.due_at,
        at: lease.send.due_at,
        revision: 1,
        attempts: 1,
        status: 200,
        took_ms: 1,
        text: String::new(),
    }
}

async fn check_seed(server: RedisServer, seed: u8) {
    let mut model = Model::new(&server, seed).await;
    for step in 0..1_000 {
        model.step().await;
        if step % 20 == 19 {
            model.check().await;
        }
    }
    assert!(model.ended.len() > 500, "the run ended only {} sends", model.ended.len());
}

#[tokio::test]
async fn no_send_is_lost_doubled_or_ended_twice_seed_1() {
    check_seed(RedisServer::start(), 1).await;
}

#[tokio::test]
async fn no_send_is_lost_doubled_or_ended_twice_seed_2() {
    check_seed(RedisServer::start(), 2).await;
}

#[tokio::test]
async fn no_send_is_lost_doubled_or_ended_twice_seed_3() {
    check_seed(RedisServer::start(), 3).await;
}

#[tokio::test]
async fn every_script_stays_in_one_slot() {
    check_seed(RedisServer::start_cluster(), 4).await;
}
