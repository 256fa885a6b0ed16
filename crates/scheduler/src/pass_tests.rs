//! Whole passes: what fires, enters, is released, shown and ended; changes in the middle; a store in trouble; the loop.

use campanile_core::campaign_record::State;
use campanile_core::counter::Counter;
use campanile_core::draft::{Delay, Kind};
use campanile_core::ports::{Campaigns, Queue, Store, Work};
use campanile_core::reason::Refusal;
use jiff::SignedDuration;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::run::{SchedulerConfig, run};
use crate::sample::{at, draft, one_time, triggered};
use crate::world::{DEADLINE, SHARD, World, every_second, with_id};

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
        let mut seen = world.store.woken(Work::Send, u64::MAX).await;
        world.track(n, "e", "seen").await;
        let delivered = tokio::time::timeout(DEADLINE, async {
            loop {
                // A wake-up is a hint: a control word that is shown wakes senders too.
                seen = world.store.woken(Work::Send, seen).await;
                let delivered = world.deliver().await;
                if delivered > 0 {
                    return delivered;
                }
            }
        });
        assert_eq!(delivered.await.expect("the event became a send"), 1);
    }
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, running).await.expect("it stops").expect("it did not panic");
    assert_eq!(world.reached(no), (3, 1));
}
