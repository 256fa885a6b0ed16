//! Entries that depend on one another and on events after them: limits, pending policies, cancel events; in virtual time.

use std::collections::BTreeMap;

use campanile_core::counter::Counter;
use campanile_core::delivery_record::{DeliveryRecord, Status};
use campanile_core::draft::{Delay, Draft, EntryLimits, EventMatch, IfPending, Kind, Triggered};
use campanile_core::event::{EntryData, LogItem};
use campanile_core::limits;
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Events, Job, Ledger, NewEvent, Queue, Settle, Settlement, Store};
use campanile_core::reason::{Refusal, Suppression};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::run::Scheduler;
use crate::sample::{draft, event, triggered};
use crate::world::{SHARD, World};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn campaign(delay_mins: u64, change: impl FnOnce(&mut Triggered)) -> Draft {
    let mut triggered = triggered(&["cart"]);
    let after = Some(std::time::Duration::from_secs(60 * delay_mins));
    triggered.delay = Some(Delay { after, ..Delay::default() });
    change(&mut triggered);
    draft(Kind::Triggered(triggered))
}

fn cancelled_by(event: &str, same: &[&str]) -> EventMatch {
    let same = same.iter().map(|name| (*name).to_owned()).collect();
    EventMatch { event: event.to_owned(), same, ..EventMatch::default() }
}

/// What a sender does with a claimed send, so far as delivery records are concerned.
fn settle_as_sender(world: &World, job: &Job) -> Settle {
    let record = job.record.as_deref().map_or_else(DeliveryRecord::default, |bytes| {
        DeliveryRecord::decode(bytes).expect("a record of this version")
    });
    let send = &job.lease.send;
    match record.entry(send.key) {
        Some(entry) if entry.status == Status::Cancelled => Settle::Suppressed(Suppression::CancelledByEvent),
        Some(entry) if entry.status == Status::Superseded => Settle::Suppressed(Suppression::Superseded),
        Some(entry) if entry.due_at != send.due_at && send.attempts == 0 => {
            Settle::Hold { at: entry.due_at, due_at: Some(entry.due_at) }
        }
        _ => {
            assert!(send.due_at <= world.now());
            Settle::Delivered
        }
    }
}

struct Play {
    world: World,
    scheduler: Scheduler,
    no: CampaignNo,
    events: usize,
    /// Of each delivered send: minute, and the `n` of the event it was rendered from.
    sent: Vec<(i64, Value)>,
}

impl Play {
    async fn new(draft: Draft) -> Play {
        let world = World::new();
        let no = world.activate(draft).await.no;
        let mut scheduler = world.scheduler();
        world.settle_down(&mut scheduler).await;
        Play { world, scheduler, no, events: 0, sent: Vec::new() }
    }

    async fn track(&mut self, name: &str, properties: Value) {
        self.events += 1;
        let id = format!("e-{}", self.events);
        let event = event(&id, name, self.world.now(), properties);
        let new = NewEvent {
            user_id: "u1".to_owned(),
            id_hash: self.world.store.layout().hash64("event", &[id.as_bytes()]),
            accepted_at: self.world.now(),
            bytes: LogItem::Event(event).pack(),
        };
        self.world.store.inner.accept_events(SHARD, &[new]).await.expect("accepted");
    }

    async fn settle(&mut self, job: Job, settle: Settle) {
        assert!(self.try_settle(job, settle).await, "its lease ran out");
    }

    /// `false`: its lease ran out.
    async fn try_settle(&mut self, job: Job, settle: Settle) -> bool {
        if settle == Settle::Delivered {
            let minute = self.world.now().duration_since(crate::sample::at(crate::world::START)).as_mins();
            let n = match job.data.as_deref().map(EntryData::unpack) {
                Some(Ok(EntryData::Event(event))) => event.properties["n"].clone(),
                _ => Value::Null,
            };
            self.sent.push((minute, n));
        }
        let attempted = matches!(settle, Settle::Delivered | Settle::Retry { .. });
        let settlement =
            Settlement { lease: job.lease, settle, attempted, variant: None, hops: 0, row: None };
        self.world.store.inner.settle(SHARD, &[settlement]).await == Ok(vec![true])
    }

    async fn claim(&self, want: usize) -> Vec<Job> {
        self.world.store.inner.claim(SHARD, want).await.expect("a claim").jobs
    }

    /// Minute by minute, with everything done that is due.
    async fn wait(&mut self, minutes: i64) {
        for minute in 0..=minutes {
            if minute > 0 {
                self.world.clock.advance(MINUTE);
            }
            self.world.settle_down(&mut self.scheduler).await;
            for job in self.claim(limits::CLAIM_MAX).await {
                let settle = settle_as_sender(&self.world, &job);
                self.settle(job, settle).await;
            }
        }
        self.world.settle_down(&mut self.scheduler).await;
    }

    async fn counters(&self) -> BTreeMap<Counter, i64> {
        let stats = self.world.store.inner.stats(self.no).await.expect("stats");
        stats.into_iter().filter(|(_, n)| *n != 0).collect()
    }

    async fn check(&self, sent: &[(i64, i64)], expected: &[(Counter, i64)]) {
        let found: Vec<(i64, i64)> = self.sent.iter().map(|(at, n)| (*at, n.as_i64().unwrap())).collect();
        assert_eq!(found, sent);
        let counters = self.counters().await;
        for (counter, n) in expected {
            assert_eq!(counters.get(counter).copied().unwrap_or(0), *n, "{counter:?} of {counters:?}");
        }
    }
}

#[tokio::test]
async fn a_restart_waits_anew_with_the_newest_event_and_sends_once() {
    let mut play = Play::new(campaign(60, |t| t.if_pending = IfPending::Restart)).await;
    for n in 0..3 {
        play.track("cart", json!({"n": n})).await;
        play.wait(30).await;
    }
    play.wait(100).await;
    play.check(&[(120, 2)], &[(Counter::Triggered, 3), (Counter::Entered, 1), (Counter::Delivered(0), 1)])
        .await;
    play.track("cart", json!({"n": 3})).await;
    play.wait(61).await;
    play.check(&[(120, 2), (250, 3)], &[(Counter::Entered, 2), (Counter::Finished, 2)]).await;
}

#[tokio::test]
async fn a_key_narrows_what_is_pending() {
    let policy =
        |if_pending| campaign(60, |t| (t.if_pending, t.key) = (if_pending, "properties.cart".to_owned()));
    let mut play = Play::new(policy(IfPending::Restart)).await;
    for (n, cart) in [(0, "a"), (1, "b"), (2, "a")] {
        play.track("cart", json!({"n": n, "cart": cart})).await;
        play.wait(10).await;
    }
    play.wait(60).await;
    play.check(&[(70, 1), (80, 2)], &[(Counter::Entered, 2)]).await;
    let mut play = Play::new(policy(IfPending::Ignore)).await;
    for (n, cart) in [(0, "a"), (1, "b"), (2, "a")] {
        play.track("cart", json!({"n": n, "cart": cart})).await;
        play.wait(10).await;
    }
    play.wait(60).await;
    let out = Counter::Refused(Refusal::Pending);
    assert_eq!(play.sent.len(), 2);
    let counters = play.counters().await;
    assert_eq!((counters[&out], counters[&Counter::Entered]), (1, 2));
}

#[tokio::test]
async fn a_cancel_event_ends_what_came_before_it_and_has_the_same_values() {
    let mut play = Play::new(campaign(60, |t| t.cancel_on = vec![cancelled_by("bought", &["cart"])])).await;
    // The first one, about another cart, and before there is anything to cancel.
    play.track("bought", json!({"cart": "a"})).await;
    play.track("cart", json!({"n": 1, "cart": "a"})).await;
    play.track("cart", json!({"n": 2, "cart": "b"})).await;
    play.track("cart", json!({"n": 3})).await;
    play.wait(10).await;
    play.track("bought", json!({"cart": "b"})).await;
    play.track("bought", json!({})).await;
    play.wait(60).await;
    let cancelled = Counter::Suppressed(0, Suppression::CancelledByEvent);
    assert_eq!(play.sent.len(), 2);
    let counters = play.counters().await;
    assert_eq!((counters[&cancelled], counters[&Counter::Entered]), (1, 3));
    assert_eq!(counters[&Counter::Delivered(0)], 2);
}

#[tokio::test]
async fn a_cancel_event_accepted_before_the_due_instant_always_cancels() {
    let mut play = Play::new(campaign(60, |t| t.cancel_on = vec![cancelled_by("bought", &[])])).await;
    play.track("cart", json!({})).await;
    play.wait(59).await;
    play.track("bought", json!({})).await;
    // The schedulers are behind: the send is due, and released by one that has not seen the event.
    play.world.clock.advance(MINUTE);
    play.world.store.inner.release(SHARD, 100).await.expect("released");
    assert_eq!(play.claim(9).await.len(), 0, "it waits for the event");
    play.wait(1).await;
    let cancelled = Counter::Suppressed(0, Suppression::CancelledByEvent);
    assert_eq!(play.counters().await[&cancelled], 1);
}

#[tokio::test]
async fn limits_count_pending_and_reached_entries_but_not_cancelled_ones() {
    let limits = |ever, once_per_mins: u64| {
        let once_per = (once_per_mins > 0).then(|| std::time::Duration::from_secs(60 * once_per_mins));
        campaign(10, |t| {
            t.entry_limits = Some(EntryLimits { ever, once_per });
            t.cancel_on = vec![cancelled_by("bought", &[])];
        })
    };
    let limit = Counter::Refused(Refusal::EntryLimit);
    let mut play = Play::new(limits(2, 0)).await;
    play.track("cart", json!({})).await;
    play.wait(1).await;
    play.track("bought", json!({})).await;
    // The first is cancelled: two more may come, pending or reached.
    for _ in 0..3 {
        play.track("cart", json!({})).await;
        play.wait(11).await;
    }
    let counters = play.counters().await;
    assert_eq!((counters[&Counter::Entered], counters[&limit], counters[&Counter::Delivered(0)]), (3, 1, 2));

    let mut play = Play::new(limits(0, 30)).await;
    for _ in 0..7 {
        play.track("cart", json!({})).await;
        play.wait(10).await;
    }
    let counters = play.counters().await;
    assert_eq!((counters[&Counter::Entered], counters[&limit]), (3, 4), "at 0, 30 and 60 minutes");
}

#[tokio::test]
async fn what_is_being_sent_or_waits_for_a_retry_is_superseded_by_a_newer_trigger() {
    let mut play = Play::new(campaign(1, |t| t.if_pending = IfPending::Restart)).await;
    play.track("cart", json!({"n": 1})).await;
    play.world.settle_down(&mut play.scheduler).await;
    play.world.clock.advance(MINUTE);
    play.world.settle_down(&mut play.scheduler).await;
    let job = play.claim(1).await.remove(0);
    // It is on its way when a newer event comes, and fails.
    play.track("cart", json!({"n": 2})).await;
    play.world.settle_down(&mut play.scheduler).await;
    let again_at = play.world.now() + MINUTE;
    play.settle(job, Settle::Retry { at: again_at, kept: vec![1] }).await;
    play.wait(3).await;
    let superseded = Counter::Suppressed(0, Suppression::Superseded);
    play.check(&[(2, 2)], &[(superseded, 1), (Counter::Entered, 2), (Counter::Delivered(0), 1)]).await;
}

#[tokio::test]
async fn a_trigger_that_is_due_earlier_takes_the_place_of_the_one_before() {
    let before = Some(std::time::Duration::from_secs(0));
    let anchored = Delay { before, anchor: "properties.departs_at".to_owned(), ..Delay::default() };
    let draft = campaign(0, |t| (t.delay, t.if_pending) = (Some(anchored), IfPending::Restart));
    let mut play = Play::new(draft).await;
    let departs = |minutes: i64| (play.world.now() + MINUTE * minutes as i32).to_string();
    let (late, early) = (departs(60), departs(20));
    play.track("cart", json!({"n": 1, "departs_at": late})).await;
    play.wait(5).await;
    play.track("cart", json!({"n": 2, "departs_at": early})).await;
    play.wait(100).await;
    let superseded = Counter::Suppressed(0, Suppression::Superseded);
    play.check(&[(20, 2)], &[(superseded, 1), (Counter::Delivered(0), 1)]).await;
}

/// One step of a random play.
#[derive(Clone, Copy, Debug)]
enum Step {
    Trigger,
    Cancel,
    Pass,
    Wait,
    Claim,
    Settle(u8),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However events, claims and settlements fall: never more reached and pending entries than allowed, and what is counted adds up.
    #[test]
    fn no_interleaving_passes_a_limit(
        steps in prop::collection::vec(prop_oneof![
            4 => Just(Step::Trigger), 1 => Just(Step::Cancel), 3 => Just(Step::Pass), 3 => Just(Step::Wait),
            3 => Just(Step::Claim), 3 => (0u8..4).prop_map(Step::Settle),
        ], 1..80),
        ever in 1u32..4,
        policy in prop::sample::select(vec![IfPending::Each, IfPending::Ignore, IfPending::Restart]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new(campaign(1, |t| {
                t.if_pending = policy;
                t.cancel_on = vec![cancelled_by("bought", &[])];
                t.entry_limits = Some(EntryLimits { ever, once_per: None });
            })).await;
            let mut held: Vec<Job> = Vec::new();
            let mut posted = std::collections::BTreeSet::new();
            for step in steps {
                match step {
                    Step::Trigger => play.track("cart", json!({"n": 1})).await,
                    Step::Cancel => play.track("bought", json!({})).await,
                    Step::Pass => drop(play.world.pass(&mut play.scheduler).await),
                    Step::Wait => {
                        play.world.clock.advance(MINUTE);
                        play.world.store.inner.release(SHARD, 100).await.unwrap();
                    }
                    Step::Claim => held.extend(play.claim(2).await),
                    Step::Settle(how) => {
                        let Some(job) = held.pop() else { continue };
                        let settle = match (settle_as_sender(&play.world, &job), how) {
                            (Settle::Delivered, 0) => Settle::Suppressed(Suppression::AudienceLeft),
                            (Settle::Delivered, 1) => Settle::Retry { at: play.world.now(), kept: vec![1] },
                            (settle, _) => settle,
                        };
                        if matches!(settle, Settle::Delivered | Settle::Retry { .. }) {
                            posted.insert(job.lease.send.key);
                        }
                        // Late ones are too late: a minute is longer than a lease.
                        play.try_settle(job, settle).await;
                    }
                }
                assert!(posted.len() <= ever as usize, "{} entries were reached, {ever} allowed", posted.len());
                let counters = play.counters().await;
                let of = |counter| counters.get(&counter).copied().unwrap_or(0);
                let suppressed: i64 = counters
                    .iter()
                    .filter(|(counter, _)| matches!(counter, Counter::Suppressed(..)))
                    .map(|(_, n)| n)
                    .sum();
                let sent = of(Counter::Delivered(0)) + of(Counter::Failed(0));
                assert_eq!(of(Counter::Planned(0)), of(Counter::Pending(0)) + sent + suppressed);
                assert_eq!(of(Counter::Entered), of(Counter::Open) + of(Counter::Finished));
            }
        });
    }
}
