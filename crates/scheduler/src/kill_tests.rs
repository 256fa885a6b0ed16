//! Killed between any two steps, again and again, or raced: everybody enters once.

use campanile_core::campaign_record::{OpenOccurrence, State};
use campanile_core::counter::{Counter, RunCounter};
use campanile_core::draft::{Audience, Kind};
use campanile_core::entry_run::{EntryRun, RunCounts};
use campanile_core::ports::{Campaigns, StoreError};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use crate::sample::{draft, one_time, triggered};
use crate::world::{World, every_second, with_id};

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

/// A whole audience entered by hand under a scheduler that is killed at this half step; then another takes over.
async fn run_survives(half_steps: i64) -> bool {
    let mut world = World::new();
    world.users(1..=1_010, |n| json!({"odd": n % 2 == 1})).await;
    let no = world.activate(with_id("by-hand", draft(Kind::Manual))).await.no;
    let mut record = world.campaign("by-hand").await;
    let at = world.now();
    record.schedule.open.push(OpenOccurrence { at, revision: record.revision });
    record.runs.push(EntryRun {
        name: "r-1".to_owned(),
        body: String::new(),
        at,
        revision: record.revision,
        audience: Audience { condition: "user.odd".to_owned(), ..Audience::default() },
        values: serde_json::Map::new(),
        skip: Default::default(),
        slot: 3,
        before: RunCounts::default(),
        closed_at: None,
    });
    world.store.save_campaign(record).await.unwrap().unwrap();
    world.store.break_after(half_steps);
    let mut killed = world.scheduler();
    while !world.store.has_broken() {
        match killed.pass(world.now()).await {
            Ok(_) if world.campaign("by-hand").await.schedule.open.is_empty() => break,
            Ok(_) => world.clock.advance(SignedDuration::from_millis(400)),
            Err(StoreError::Away(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let has_broken = world.store.has_broken();
    world.store.break_after(i64::MAX);
    let mut next = world.scheduler();
    world.drain(&mut next).await;
    assert_eq!(world.reached(no), (505, 1), "after {half_steps}");
    for (counter, n) in [
        (Counter::Entered, 505),
        (Counter::Triggered, 505),
        (Counter::Delivered(0), 505),
        (Counter::Run(3, RunCounter::Asked), 505),
        (Counter::Run(3, RunCounter::Entered), 505),
    ] {
        assert_eq!(world.count(no, counter).await, n, "{counter:?} after {half_steps}");
    }
    let record = world.campaign("by-hand").await;
    assert!(record.schedule.open.is_empty() && record.runs[0].closed_at.is_some(), "after {half_steps}");
    assert_eq!(record.state, State::Active);
    has_broken
}

#[tokio::test]
async fn killed_between_any_two_steps_a_run_enters_everybody_once() {
    let mut half_steps = 0;
    while run_survives(half_steps).await {
        half_steps += 1;
    }
    assert!(half_steps > 15, "the run was cut at every one of {half_steps} places");
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
