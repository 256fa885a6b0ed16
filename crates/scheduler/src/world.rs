//! A deployment in memory with a clock that the tests set, and what control and senders do in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::draft::{Draft, Kind, Recurring};
use campanile_core::event::LogItem;
use campanile_core::limits;
use campanile_core::manual_clock::ManualClock;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{
    Campaigns, Clock, Events, Ledger, NewEvent, Queue, Settle, Settlement, Store, Users,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::run::{Pass, Scheduler, SchedulerConfig};
use crate::sample::{activated, at, draft, event, record, recurring};
use crate::unreliable_store::UnreliableStore;

pub(crate) const SHARD: Shard = Shard(0);
pub(crate) const START: &str = "2026-03-01T12:00:00Z";
/// Passes until everything must be quiet.
const PASSES_MAX: usize = 2_000;
/// For what happens at once on a machine that is not overloaded.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<UnreliableStore>,
    /// Claimed and settled so far: how often each (campaign, user, key) was delivered.
    pub(crate) delivered: BTreeMap<(u32, u64, u64), usize>,
}

impl World {
    pub(crate) fn new() -> World {
        let clock = Arc::new(ManualClock::at(at(START)));
        let store = Arc::new(UnreliableStore::new(clock.clone()));
        World { clock, store, delivered: BTreeMap::new() }
    }

    pub(crate) fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.store.clone(), &SchedulerConfig::default())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn pass(&self, scheduler: &mut Scheduler) -> Pass {
        scheduler.pass(self.now()).await.expect("the store answers")
    }

    /// Passes until there is nothing more to do now; what they did together.
    pub(crate) async fn settle_down(&self, scheduler: &mut Scheduler) -> Pass {
        let mut all = Pass::default();
        for _ in 0..PASSES_MAX {
            let did = self.pass(scheduler).await;
            assert!(did.troubles.is_empty(), "{did:?}");
            all.fired += did.fired;
            all.missed += did.missed;
            all.walked += did.walked;
            all.entered += did.entered;
            all.events += did.events;
            all.released += did.released;
            all.ended += did.ended;
            all.next_at = did.next_at;
            if !did.more && did.next_at.is_none_or(|at| at > self.now()) {
                return all;
            }
        }
        panic!("it never comes to rest: {all:?}");
    }

    /// With lanes emptied in between, so that nobody waits for them; time passes a little.
    pub(crate) async fn drain(&mut self, scheduler: &mut Scheduler) {
        let mut quiet = 0;
        while quiet < 3 {
            let did = self.settle_down(scheduler).await;
            let delivered = self.deliver().await;
            quiet = if delivered == 0 && !did.has_work() { quiet + 1 } else { 0 };
            self.clock.advance(SignedDuration::from_secs(4));
        }
    }

    /// Claims and settles everything that may be sent now; answers how much.
    pub(crate) async fn deliver(&mut self) -> usize {
        let mut n = 0;
        loop {
            let claimed = self.store.claim(SHARD, limits::CLAIM_MAX).await.expect("a claim");
            if claimed.jobs.is_empty() {
                return n;
            }
            let mut settlements = Vec::new();
            for job in claimed.jobs {
                let (lane, send) = (job.lease.lane, &job.lease.send);
                *self.delivered.entry((lane.campaign.0, send.user.0, send.key)).or_default() += 1;
                let settle = Settle::Delivered;
                settlements.push(Settlement {
                    lease: job.lease,
                    settle,
                    attempted: true,
                    variant: None,
                    hops: 0,
                    row: None,
                });
            }
            n += settlements.len();
            for settlements in settlements.chunks(limits::SETTLE_MAX) {
                let settled = self.store.settle(SHARD, settlements).await.expect("a settle");
                assert!(settled.iter().all(|done| *done));
            }
        }
    }

    pub(crate) async fn users(&self, ids: impl Iterator<Item = u64>, attributes: impl Fn(u64) -> Value) {
        let ids: Vec<u64> = ids.collect();
        for ids in ids.chunks(1_000) {
            let names: Vec<String> = ids.iter().map(|id| format!("u{id}")).collect();
            let opened = self.store.open_users(SHARD, &names, Some(self.now())).await.expect("users");
            let mut users: Vec<_> = opened.into_iter().flatten().collect();
            for (user, id) in users.iter_mut().zip(ids) {
                user.profile.attributes = attributes(*id).as_object().cloned().unwrap_or_default();
            }
            assert_eq!(self.store.save_users(SHARD, &users).await.expect("saved"), vec![true; ids.len()]);
        }
    }

    /// As control does it: saved, then shown to every shard.
    pub(crate) async fn activate(&self, draft: Draft) -> CampaignRecord {
        let created = self.store.create(record(draft.clone())).await.expect("an answer").expect("a new id");
        let CampaignRecord { no, version, .. } = created;
        self.save(CampaignRecord { no, version, ..activated(draft, self.now()) }).await
    }

    pub(crate) async fn save(&self, record: CampaignRecord) -> CampaignRecord {
        let saved = self.store.inner.save_campaign(record).await.expect("an answer").expect("the version");
        let word = saved.control_word().expect("no draft");
        self.store.inner.set_control(SHARD, saved.no, word).await.expect("shown");
        saved
    }

    pub(crate) async fn move_to(&self, id: &str, state: State) -> CampaignRecord {
        let mut record = self.campaign(id).await;
        record.move_to(state, self.now(), "a test", "");
        if matches!(state, State::Finishing | State::Ended) {
            record.schedule.next_at = None;
        }
        self.save(record).await
    }

    pub(crate) async fn campaign(&self, id: &str) -> CampaignRecord {
        self.store.campaign(id).await.expect("an answer").expect("it is there")
    }

    pub(crate) async fn track(&self, user: u64, id: &str, name: &str) {
        let event = event(id, name, self.now(), json!({}));
        let new = NewEvent {
            user_id: format!("u{user}"),
            id_hash: self.store.layout().hash64("event", &[&user.to_be_bytes(), id.as_bytes()]),
            accepted_at: self.now(),
            bytes: LogItem::Event(event).pack(),
        };
        self.store.accept_events(SHARD, &[new]).await.expect("accepted");
    }

    pub(crate) async fn count(&self, no: CampaignNo, counter: Counter) -> i64 {
        let stats = self.store.inner.stats(no).await.expect("stats");
        stats.iter().find(|(found, _)| *found == counter).map_or(0, |(_, n)| *n)
    }

    /// Users of this campaign that were sent to, and the most that any one was.
    pub(crate) fn reached(&self, no: CampaignNo) -> (usize, usize) {
        let of = self.delivered.iter().filter(|((campaign, _, _), _)| *campaign == no.0);
        let times: Vec<usize> = of.map(|(_, times)| *times).collect();
        (times.len(), times.iter().copied().max().unwrap_or(0))
    }
}

pub(crate) fn with_id(id: &str, draft: Draft) -> Draft {
    Draft { id: id.to_owned(), ..draft }
}

pub(crate) fn every_second(max_occurrences: u64) -> Draft {
    draft(Kind::Recurring(Recurring { max_occurrences, ..recurring("* * * * * *") }))
}
