//! Campaigns that segments set off: by what people do, by time alone, by a changed segment; each crossing once, whoever is killed.

use campanile_core::draft::{Draft, Kind, Trigger, TriggerOn, Triggered};
use campanile_core::ports::StoreError;
use campanile_core::segment::SegmentRecord;
use campanile_core::segment_port::SegmentStore;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::sample::draft;
use crate::world::{World, with_id};

async fn segment(world: &World, name: &str, condition: &str, revision: u32) {
    let record = SegmentRecord {
        name: name.to_owned(),
        title: String::new(),
        condition: condition.to_owned(),
        revision,
        created_at: world.now(),
        updated_at: world.now(),
    };
    assert!(world.store.inner.save_segment(record).await.expect("an answer"), "it is stored");
}

fn on(trigger: TriggerOn) -> Draft {
    let when = vec![Trigger { on: trigger, ..Trigger::default() }];
    let mut draft = draft(Kind::Triggered(Triggered { when, ..Triggered::default() }));
    draft.audience.condition = "everyone".to_owned();
    draft
}

fn joined(world: &World, days_ago: i64) -> Value {
    let at = world.now().checked_sub(SignedDuration::from_hours(24 * days_ago)).expect("a time");
    json!({"joined": at.to_string()})
}

#[tokio::test]
async fn time_alone_moves_people_within_a_day_and_once() {
    let mut world = World::new();
    segment(&world, "veterans", r#"user.joined < ago("10d")"#, 1).await;
    segment(&world, "fresh", r#"user.joined is in_last("10d")"#, 1).await;
    let (old, young) = (joined(&world, 30), joined(&world, 9));
    world.users(1..=1_200, |n| if n <= 1_000 { old.clone() } else { young.clone() }).await;
    let came = world.activate(with_id("came", on(TriggerOn::SegmentEntered("veterans".to_owned())))).await.no;
    let went = world.activate(with_id("went", on(TriggerOn::SegmentLeft("fresh".to_owned())))).await.no;
    let mut scheduler = world.scheduler();
    world.drain(&mut scheduler).await;
    assert_eq!(
        (world.reached(came), world.reached(went)),
        ((0, 0), (0, 0)),
        "who was inside before is not told"
    );
    world.clock.advance(SignedDuration::from_hours(12));
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(came), (0, 0), "nine and a half days");
    for _ in 0..4 {
        world.clock.advance(SignedDuration::from_hours(24));
        world.drain(&mut scheduler).await;
    }
    assert_eq!((world.reached(came), world.reached(went)), ((200, 1), (200, 1)));
}

#[tokio::test]
async fn an_event_moves_its_user_and_a_changed_segment_moves_everybody_it_concerns() {
    let mut world = World::new();
    segment(&world, "buyers", r#"count("bought", "30d") >= 2"#, 1).await;
    world.users(1..=20, |n| json!({"vip": n <= 5})).await;
    let came = world.activate(with_id("came", on(TriggerOn::SegmentEntered("buyers".to_owned())))).await.no;
    let mut scheduler = world.scheduler();
    // The first look may come before or after: what happens meanwhile is told all the same.
    world.track(7, "e-1", "bought").await;
    world.track(7, "e-2", "bought").await;
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(came), (1, 1));
    world.track(7, "e-3", "bought").await;
    world.track(8, "e-4", "bought").await;
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(came), (1, 1), "one is inside already, the other not yet");
    segment(&world, "buyers", r#"count("bought", "30d") >= 2 or user.vip"#, 2).await;
    world.clock.advance(SignedDuration::from_secs(10));
    world.drain(&mut scheduler).await;
    assert_eq!(world.reached(came), (6, 1));
}

/// A look under a scheduler that is killed at this half step; then another takes over.
async fn survives(half_steps: i64) -> bool {
    let mut world = World::new();
    segment(&world, "veterans", r#"user.joined < ago("10d")"#, 1).await;
    let young = joined(&world, 9);
    world.users(1..=1_010, |_| young.clone()).await;
    let came = world.activate(with_id("came", on(TriggerOn::SegmentEntered("veterans".to_owned())))).await.no;
    let mut first = world.scheduler();
    world.drain(&mut first).await;
    world.clock.advance(SignedDuration::from_hours(48));
    world.store.break_after(half_steps);
    let mut killed = world.scheduler();
    while !world.store.has_broken() {
        match killed.pass(world.now()).await {
            Ok(did) if !did.more => break,
            Ok(_) => drop(world.deliver().await),
            Err(StoreError::Away(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let has_broken = world.store.has_broken();
    world.store.break_after(i64::MAX);
    let mut next = world.scheduler();
    world.drain(&mut next).await;
    assert_eq!(world.reached(came), (1_010, 1), "after {half_steps}");
    has_broken
}

#[tokio::test]
async fn killed_between_any_two_steps_a_look_tells_each_crossing_once() {
    let mut half_steps = 0;
    while survives(half_steps).await {
        half_steps += 1;
    }
    assert!(half_steps > 15, "the look was cut at every one of {half_steps} places");
}
