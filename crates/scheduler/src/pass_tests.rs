//! Whole passes on a store in memory with a clock that the tests set: killed between any two steps, raced, paused, ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::draft::{Delay, Draft, Kind, Recurring};
use campanile_core::event::LogItem;
use campanile_core::limits;
use campanile_core::manual_clock::ManualClock;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{
    Campaigns, Clock, Events, Ledger, NewEvent, Queue, Settle, Settlement, Store, StoreError, Users, Work,
};
use campanile_core::reason::Refusal;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::run::{Pass, Scheduler, SchedulerConfig, run};
use crate::sample::{activated, at, draft, event, one_time, record, recurring, triggered};
use crate::unreliable_store::UnreliableStore;

const SHARD: Shard = Shard(0);
const START: &str = "2026-03-01T12:00:00Z";
/// Passes until everything must be quiet.
const PASSES_MAX: usize = 2_000;
/// For what happens at once on a machine that is not overloaded.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

struct World {
    clock: Arc<ManualClock>,
    store: Arc<UnreliableStore>,
    /// Claimed and settled so far: how often each (campaign, user, key) was delivered.
    delivered: BTreeMap<(u32, u64, u64), usize>,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::at(at(START)));
        let store = Arc::new(UnreliableStore::new(clock.clone()));
        World { clock, store, delivered: BTreeMap::new() }
    }

    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.store.clone(), &SchedulerConfig::default())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, scheduler: &mut Scheduler) -> Pass {
        scheduler.pass(self.now()).await.expect("the store answers")
    }

    /// Passes until there is nothing more to do now; what they did together.
    async fn settle_down(&self, scheduler: &mut Scheduler) -> Pass {
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
    async fn drain(&mut self, scheduler: &mut Scheduler) {
        let mut quiet = 0;
        while quiet < 3 {
            let did = self.settle_down(scheduler).await;
            let delivered = self.deliver().await;
            quiet = if delivered == 0 && !did.has_work() { quiet + 1 } else { 0 };
            self.clock.advance(SignedDuration::from_secs(4));
        }
    }

    /// Claims and settles everything that may be sent now; answers how much.
    async fn deliver(&mut self) -> usize {
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
                settlements.push(Settlement { lease: job.lease, settle, attempted: true, row: None });
            }
            n += settlements.len();
            for settlements in settlements.chunks(limits::SETTLE_MAX) {
                let settled = self.store.settle(SHARD, settlements).await.expect("a settle");
                assert!(settled.iter().all(|done| *done));
            }
        }
    }

    async fn users(&self, ids: impl Iterator<Item = u64>, attributes: impl Fn(u64) -> Value) {
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
    async fn activate(&self, draft: Draft) -> CampaignRecord {
        let created = self.store.create(record(draft.clone())).await.expect("an answer").expect("a new id");
        let CampaignRecord { no, version, .. } = created;
        self.save(CampaignRecord { no, version, ..activated(draft, self.now()) }).await
    }

    async fn save(&self, record: CampaignRecord) -> CampaignRecord {
        let saved = self.store.inner.save_campaign(record).await.expect("an answer").expect("the version");
        let word = saved.control_word().expect("no draft");
        self.store.inner.set_control(SHARD, saved.no, word).await.expect("shown");
        saved
    }

    async fn move_to(&self, id: &str, state: State) -> CampaignRecord {
        let mut record = self.campaign(id).await;
        record.move_to(state, self.now(), "a test", "");
        if matches!(state, State::Finishing | State::Ended) {
            record.schedule.next_at = None;
        }
        self.save(record).await
    }

    async fn campaign(&self, id: &str) -> CampaignRecord {
        self.store.campaign(id).await.expect("an answer").expect("it is there")
    }

    async fn track(&self, user: u64, id: &str, name: &str) {
        let event = event(id, name, self.now(), json!({}));
        let new = NewEvent {
            user_id: format!("u{user}"),
            id_hash: self.store.layout().hash64("event", &[&user.to_be_bytes(), id.as_bytes()]),
            accepted_at: self.now(),
            bytes: LogItem::Event(event).pack(),
        };
        self.store.accept_events(SHARD, &[new]).await.expect("accepted");
    }

    async fn count(&self, no: CampaignNo, counter: Counter) -> i64 {
        let stats = self.store.inner.stats(no).await.expect("stats");
        stats.iter().find(|(found, _)| *found == counter).map_or(0, |(_, n)| *n)
    }

    /// Users of this campaign that were sent to, and the most that any one was.
    fn reached(&self, no: CampaignNo) -> (usize, usize) {
        let of = self.delivered.iter().filter(|((campaign, _, _), _)| *campaign == no.0);
        let times: Vec<usize> = of.map(|(_, times)| *times).collect();
        (times.len(), times.iter().copied().max().unwrap_or(0))
    }
}

fn with_id(id: &str, draft: Draft) -> Draft {
    Draft { id: id.to_owned(), ..draft }
}

fn every_second(max_occurrences: u64) -> Draft {
    draft(Kind::Recurring(Recurring { max_occurrences, ..recurring("* * * * * *") }))
}

#[tokio::test]
async fn a_one_time_campaign_reaches_its_audience_and_ends_by_itself() {
    let mut world = World::new();
    world.users(1..=2_500, |n| json!({"odd": n % 2 == 1})).await;
    let mut draft = draft(one_time("2026-03-01T12:00:05"));
    draft.audience.condition = "user.odd".to_owned();
    let no = world.activate(draft).await.no;
    let mut scheduler = world.scheduler();
    let did = world.settle_down(&mut scheduler).await;
    assert_eq!((did.fired, did.next_at), (0, Some(at("2026-03-01T12:00:05Z"))));
    world.clock.set(at("2026-03-01T12:00:05Z"));
    let did = world.settle_down(&mut scheduler).await;
    assert_eq!((did.fired, did.walked, did.entered, did.ended), (1, 2_500, 1_250, 0));
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(no), (1_250, 1));
    assert_eq!(world.count(no, Counter::Refused(Refusal::NotInAudience)).await, 1_250);
    let record = world.campaign("c").await;
    assert_eq!((record.state, record.schedule.open.len(), record.schedule.fired), (State::Ended, 0, 1));
}

#[tokio::test]
async fn a_recurring_campaign_fires_as_often_as_it_was_told_and_ends() {
    let mut world = World::new();
    world.users(1..=3, |_| json!({})).await;
    let no = world.activate(every_second(4)).await.no;
    let mut scheduler = world.scheduler();
    for _ in 0..10 {
        world.clock.advance(SignedDuration::from_secs(1));
        world.settle_down(&mut scheduler).await;
    }
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(no), (12, 1));
    assert_eq!(world.campaign("c").await.state, State::Ended);
}

#[tokio::test]
async fn an_event_becomes_a_send_in_the_pass_that_reads_it_and_a_delayed_one_is_released_on_time() {
    let mut world = World::new();
    let mut delayed = triggered(&["seen"]);
    let after = Some(std::time::Duration::from_secs(90));
    delayed.delay = Some(Delay { after, ..Delay::default() });
    let now_no = world.activate(with_id("now", draft(Kind::Triggered(triggered(&["seen"]))))).await.no;
    let later_no = world.activate(with_id("later", draft(Kind::Triggered(delayed)))).await.no;
    let mut scheduler = world.scheduler();
    world.settle_down(&mut scheduler).await;
    world.track(1, "e-1", "seen").await;
    let did = world.pass(&mut scheduler).await;
    assert_eq!((did.events, did.entered), (1, 2));
    assert_eq!(world.deliver().await, 1);
    let due_at = at("2026-03-01T12:01:30Z");
    while world.now() < due_at {
        let did = world.settle_down(&mut scheduler).await;
        assert_eq!(world.deliver().await, 0, "never early");
        // As the loop does: to the instant that is next, or a while.
        let next = did.next_at.unwrap_or(due_at).min(world.now() + SignedDuration::from_secs(20));
        world.clock.set(next);
    }
    world.settle_down(&mut scheduler).await;
    assert_eq!(world.deliver().await, 1);
    assert_eq!((world.now(), world.reached(now_no), world.reached(later_no)), (due_at, (1, 1), (1, 1)));
    world.track(1, "e-1", "seen").await;
    let did = world.settle_down(&mut scheduler).await;
    assert_eq!(did.events, 0, "a repeated event is not even read");
}

#[tokio::test]
async fn an_event_after_a_change_is_decided_under_the_change() {
    let world = World::new();
    let no = world.activate(draft(Kind::Triggered(triggered(&["seen"])))).await.no;
    let mut schedulers = [world.scheduler(), world.scheduler()];
    for scheduler in &mut schedulers {
        world.settle_down(scheduler).await;
    }
    for (id, state, n) in [("e-1", State::Paused, 0), ("e-2", State::Active, 1), ("e-3", State::Paused, 0)] {
        world.move_to("c", state).await;
        world.track(1, id, "seen").await;
        world.settle_down(&mut schedulers[n]).await;
    }
    assert_eq!(world.count(no, Counter::Refused(Refusal::Paused)).await, 2);
    assert_eq!(world.count(no, Counter::Entered).await, 1);
}

#[tokio::test]
async fn a_change_that_comes_in_the_middle_of_a_pass_is_obeyed_by_it() {
    for verb in ["read_events", "commit_events", "walk"] {
        let world = World::new();
        world.users(1..=5, |_| json!({})).await;
        let no = match verb {
            "walk" => world.activate(draft(one_time("2026-03-01T12:00:01"))).await.no,
            _ => world.activate(draft(Kind::Triggered(triggered(&["seen"])))).await.no,
        };
        let mut scheduler = world.scheduler();
        world.settle_down(&mut scheduler).await;
        world.track(1, "e-1", "seen").await;
        world.clock.advance(SignedDuration::from_secs(1));
        world.store.pause_before(verb, "c");
        world.settle_down(&mut scheduler).await;
        assert_eq!(world.campaign("c").await.state, State::Paused, "{verb}");
        assert_eq!(world.count(no, Counter::Entered).await, 0, "{verb}");
        let refused = world.count(no, Counter::Refused(Refusal::Paused)).await;
        assert_eq!(refused, i64::from(verb != "walk"), "{verb}");
    }
}

#[tokio::test]
async fn nobody_enters_while_a_campaign_is_paused_and_the_walk_goes_on_afterwards() {
    let mut world = World::new();
    world.users(1..=6_000, |_| json!({})).await;
    let no = world.activate(draft(one_time("now"))).await.no;
    let mut scheduler = world.scheduler();
    world.settle_down(&mut scheduler).await;
    let entered = world.count(no, Counter::Entered).await;
    assert!((4_096..6_000).contains(&entered), "its lane is full: {entered}");
    world.deliver().await;
    world.move_to("c", State::Paused).await;
    world.clock.advance(SignedDuration::from_secs(10));
    let did = world.settle_down(&mut scheduler).await;
    assert_eq!(did.walked, 0);
    assert_eq!(world.count(no, Counter::Entered).await, entered);
    world.move_to("c", State::Active).await;
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(no), (6_000, 1));
    assert_eq!(world.campaign("c").await.state, State::Ended);
}

#[tokio::test]
async fn what_was_not_walked_when_a_campaign_was_ended_is_never_walked() {
    for state in [State::Finishing, State::Ended] {
        let mut world = World::new();
        world.users(1..=6_000, |_| json!({})).await;
        let no = world.activate(draft(one_time("now"))).await.no;
        let mut scheduler = world.scheduler();
        world.settle_down(&mut scheduler).await;
        let entered = world.count(no, Counter::Entered).await;
        world.move_to("c", state).await;
        world.drain(&mut scheduler).await;
        assert_eq!((world.reached(no).0 as i64, world.count(no, Counter::Entered).await), (entered, entered));
        let record = world.campaign("c").await;
        assert_eq!((record.state, record.schedule.open.len()), (State::Ended, 0));
    }
}

#[tokio::test]
async fn an_edit_leaves_an_open_occurrence_under_the_revision_it_was_decided_with() {
    let mut world = World::new();
    world.users(1..=6_000, |_| json!({})).await;
    let no = world.activate(draft(one_time("now"))).await.no;
    let mut scheduler = world.scheduler();
    world.settle_down(&mut scheduler).await;
    let mut edited = world.campaign("c").await;
    edited.revision += 1;
    edited.epoch += 1;
    edited.draft.audience.condition = "user_id == \"nobody\"".to_owned();
    world.save(edited).await;
    // Also by one that never knew the old revision.
    let mut fresh = world.scheduler();
    world.drain(&mut fresh).await;
    assert_eq!(world.reached(no), (6_000, 1));
}

#[tokio::test]
async fn many_occurrences_take_turns() {
    let mut world = World::new();
    world.users(1..=1_100, |_| json!({})).await;
    let mut numbers = Vec::new();
    for n in 0..18 {
        numbers.push(world.activate(with_id(&format!("c{n}"), draft(one_time("now")))).await.no);
    }
    let mut scheduler = world.scheduler();
    let first = world.pass(&mut scheduler).await;
    assert_eq!((first.fired, first.walked, first.more), (18, 16_000, true));
    let second = world.pass(&mut scheduler).await;
    assert!(second.walked > 0);
    for no in &numbers {
        assert!(world.count(*no, Counter::Entered).await > 0, "{no:?} had a turn");
    }
    world.drain(&mut scheduler).await;
    assert!(numbers.iter().all(|no| world.reached(*no) == (1_100, 1)));
}

#[tokio::test]
async fn a_word_that_was_not_shown_is_shown() {
    let world = World::new();
    let saved = world.activate(draft(Kind::Manual)).await;
    let mut paused = saved.clone();
    paused.move_to(State::Paused, world.now(), "a caller that died", "");
    let paused = world.store.inner.save_campaign(paused).await.unwrap().unwrap();
    let did = world.pass(&mut world.scheduler()).await;
    assert_eq!(did.shown, 1);
    let word = world.store.inner.control(SHARD, &[saved.no]).await.unwrap();
    assert_eq!(word, [paused.control_word()]);
    assert_eq!(world.pass(&mut world.scheduler()).await.shown, 0);
}

#[tokio::test]
async fn a_campaign_that_cannot_be_read_is_left_alone_and_holds_up_nobody() {
    let world = World::new();
    let good = world.activate(with_id("good", draft(Kind::Triggered(triggered(&["seen"]))))).await.no;
    let mut bad = world.activate(with_id("bad", draft(Kind::Triggered(triggered(&["seen"]))))).await;
    bad.draft.audience.condition = "user.plan ==".to_owned();
    bad.revision += 1;
    bad.epoch += 1;
    let bad = world.save(bad).await.no;
    world.track(1, "e-1", "seen").await;
    let did = world.settle_down(&mut world.scheduler()).await;
    assert_eq!((did.events, did.entered), (1, 1));
    assert_eq!(
        (world.count(good, Counter::Entered).await, world.count(bad, Counter::Triggered).await),
        (1, 0)
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_holds_up_nothing_else() {
    for (verb, place) in [
        ("read_events", "events of shard 0"),
        ("changes", "campaigns"),
        ("reclaim", "reclaim of shard 0"),
        ("walk", "occurrence 2026-03-01T12:00:00Z of campaign once"),
    ] {
        let mut world = World::new();
        world.users(1..=3, |_| json!({})).await;
        let mut scheduler = world.scheduler();
        let mut delayed = triggered(&["seen"]);
        delayed.delay = Some(Delay { after: Some(std::time::Duration::from_secs(9)), ..Delay::default() });
        let seen = world.activate(with_id("seen", draft(Kind::Triggered(delayed)))).await.no;
        world.track(1, "e-1", "seen").await;
        world.settle_down(&mut scheduler).await;
        let once = world.activate(with_id("once", draft(one_time("now")))).await.no;
        world.clock.advance(SignedDuration::from_secs(9));
        world.store.spoil(Some(verb));
        for _ in 0..4 {
            let did = world.pass(&mut scheduler).await;
            let expected = format!("{place}: a test holds foreign bytes: format 9");
            assert!(did.troubles.is_empty() || did.troubles.iter().eq([&expected]), "{verb}: {did:?}");
            assert!(!did.troubles.is_empty() || verb == "reclaim" || did.has_work(), "{verb}: {did:?}");
        }
        world.deliver().await;
        assert_eq!(world.reached(seen), (1, 1), "{verb}: what is due is released");
        world.store.spoil(None);
        world.clock.advance(SignedDuration::from_secs(1));
        world.drain(&mut scheduler).await;
        assert_eq!(world.reached(once), (3, 1), "{verb}");
    }
}

#[tokio::test]
async fn the_loop_works_until_it_is_told_to_stop() {
    let mut world = World::new();
    let no = world.activate(draft(Kind::Triggered(triggered(&["seen"])))).await.no;
    let shutdown = CancellationToken::new();
    let parts = (world.store.clone(), world.clock.clone(), SchedulerConfig { offset: 3 }, shutdown.clone());
    // The store goes away and comes back while it runs.
    world.store.break_after(9);
    let running = tokio::spawn(async move { run(parts.0, parts.1, parts.2, parts.3).await });
    for n in 1..=3 {
        let seen = world.store.woken(Work::Send, u64::MAX).await;
        world.track(n, "e", "seen").await;
        let woken = tokio::time::timeout(DEADLINE, world.store.woken(Work::Send, seen)).await;
        woken.expect("the event became a send");
        assert_eq!(world.deliver().await, 1);
    }
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, running).await.expect("it stops").expect("it did not panic");
    assert_eq!(world.reached(no), (3, 1));
}

/// A one-time and a triggered campaign under a scheduler that is killed at this half step; then another takes over.
async fn survives(half_steps: i64) -> bool {
    let mut world = World::new();
    world.users(1..=1_010, |_| json!({})).await;
    let once = world.activate(with_id("once", draft(one_time("now")))).await.no;
    let seen = world.activate(with_id("seen", draft(Kind::Triggered(triggered(&["seen"]))))).await.no;
    for n in 1..=40 {
        world.track(n, &format!("e-{n}"), "seen").await;
    }
    world.store.break_after(half_steps);
    let mut killed = world.scheduler();
    while !world.store.has_broken() {
        match killed.pass(world.now()).await {
            Ok(_) if world.campaign("once").await.state == State::Ended => break,
            Ok(_) => {
                world.deliver().await;
                world.clock.advance(SignedDuration::from_millis(400));
            }
            Err(StoreError::Away(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let has_broken = world.store.has_broken();
    world.store.break_after(i64::MAX);
    let mut next = world.scheduler();
    world.drain(&mut next).await;
    assert_eq!((world.reached(once), world.reached(seen)), ((1_010, 1), (40, 1)), "after {half_steps}");
    for (no, n) in [(once, 1_010), (seen, 40)] {
        for counter in [Counter::Entered, Counter::Planned(0), Counter::Delivered(0), Counter::Finished] {
            assert_eq!(world.count(no, counter).await, n, "{counter:?} after {half_steps}");
        }
        assert_eq!(world.count(no, Counter::Pending(0)).await, 0);
    }
    let record = world.campaign("once").await;
    assert_eq!((record.state, record.schedule.fired), (State::Ended, 1));
    has_broken
}

#[tokio::test]
async fn killed_between_any_two_steps_everybody_is_entered_once() {
    let mut half_steps = 0;
    while survives(half_steps).await {
        half_steps += 1;
    }
    assert!(half_steps > 60, "the run was cut at every one of {half_steps} places");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_that_race_enter_everybody_once() {
    let mut world = World::new();
    world.users(1..=2_500, |_| json!({})).await;
    let once = world.activate(with_id("once", draft(one_time("now")))).await.no;
    let tick = world.activate(with_id("tick", every_second(5))).await.no;
    let seen = world.activate(with_id("seen", draft(Kind::Triggered(triggered(&["seen"]))))).await.no;
    let (mut one, mut other) = (world.scheduler(), world.scheduler());
    for round in 0..60 {
        for n in 0..20 {
            world.track(n + 1, &format!("e-{round}-{n}"), "seen").await;
        }
        let (first, second) = tokio::join!(one.pass(world.now()), other.pass(world.now()));
        first.expect("the store answers");
        second.expect("the store answers");
        world.deliver().await;
        world.clock.advance(SignedDuration::from_millis(300));
    }
    world.drain(&mut one).await;
    assert_eq!(world.reached(once), (2_500, 1));
    assert_eq!(world.reached(tick), (12_500, 1));
    assert_eq!(world.reached(seen), (1_200, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn killed_again_and_again_under_any_spacing_of_passes_nothing_is_lost_or_doubled(
        breaks in prop::collection::vec((0i64..60, 1i64..900), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            world.users(1..=1_010, |n| json!({"odd": n % 2 == 1})).await;
            let mut draft = every_second(3);
            draft.audience.condition = "user.odd".to_owned();
            let no = world.activate(draft).await.no;
            for (half_steps, wait_ms) in breaks {
                world.store.break_after(half_steps);
                let mut scheduler = world.scheduler();
                while scheduler.pass(world.now()).await.is_ok_and(|did| did.more) {}
                world.store.break_after(i64::MAX);
                world.deliver().await;
                world.clock.advance(SignedDuration::from_millis(wait_ms));
            }
            world.drain(&mut world.scheduler()).await;
            let schedule = world.campaign("c").await.schedule;
            assert_eq!(schedule.fired, 3);
            assert_eq!(world.reached(no), (505 * 3, 1));
        });
    }
}
