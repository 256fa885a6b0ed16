//! A sender and the destinations in trouble, against a scripted store.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::attempt::{Answer, Outcome};
use campanile_core::breaker::Says;
use campanile_core::destination::{DestinationPolicy, StoredDestination};
use jiff::Timestamp;

use crate::far_ends::FarEnds;
use crate::sample::{DESTINATION, draft, now, record};
use crate::scripted_store::ScriptedStore;

const SHORT: Duration = Duration::from_millis(5);

fn answered(status: u16) -> Outcome {
    Outcome::Answered(Answer { status, ..Answer::default() })
}

fn store() -> ScriptedStore {
    ScriptedStore::new(record(draft("https://far.example/hook")))
}

fn later(secs: u64) -> Timestamp {
    now() + Duration::from_secs(secs)
}

fn end(far: &Arc<FarEnds>, statuses: &[u16], at: Timestamp) {
    for status in statuses {
        far.ended(DESTINATION, false, (&answered(*status), SHORT), at);
    }
}

#[tokio::test]
async fn what_one_sender_saw_of_a_dead_far_end_another_one_obeys() {
    let store = store();
    let (one, other) = (FarEnds::new(64), FarEnds::new(64));
    end(&one, &[503; 19], now());
    assert_eq!(one.says(DESTINATION, now()), Says::Send);
    end(&one, &[503], now());
    assert!(matches!(one.says(DESTINATION, now()), Says::Wait(_)), "at once, before anybody is told");
    one.follow(&store, now()).await.unwrap();
    assert_eq!(one.says(DESTINATION, now()), Says::Wait(later(60)));
    other.follow(&store, now()).await.unwrap();
    assert_eq!(other.says(DESTINATION, now()), Says::Wait(later(60)));

    assert_eq!(other.says(DESTINATION, later(60)), Says::Probe);
    assert_eq!(other.take_probe(&store, DESTINATION, later(60)).await, Ok(true));
    one.follow(&store, later(60)).await.unwrap();
    assert_eq!(one.take_probe(&store, DESTINATION, later(60)).await, Ok(false), "one probe for all");
    other.ended(DESTINATION, true, (&answered(204), SHORT), later(61));
    other.follow(&store, later(61)).await.unwrap();
    one.follow(&store, later(61)).await.unwrap();
    assert_eq!(
        (one.says(DESTINATION, later(61)), other.says(DESTINATION, later(61))),
        (Says::Send, Says::Send)
    );
    assert!(store.state().destinations.is_empty(), "and nothing is kept of it");
}

#[tokio::test]
async fn a_healthy_far_end_costs_the_store_nothing() {
    let store = store();
    let far = FarEnds::new(64);
    far.follow(&store, now()).await.unwrap();
    let version = store.far_version();
    for second in 0..30 {
        end(&far, &[204, 404, 204], later(second));
        far.follow(&store, later(second)).await.unwrap();
    }
    assert_eq!(store.far_version(), version);
    end(&far, &[503], later(30));
    far.follow(&store, later(30)).await.unwrap();
    assert_eq!(store.state().destinations[0].breaker.minute.sum(later(30)).bad, 1);
    assert!(store.state().destinations[0].breaker.minute.sum(later(30)).good >= 60, "with what went well");
}

#[tokio::test]
async fn a_probe_that_was_not_sent_is_free_again() {
    let store = store();
    let far = FarEnds::new(64);
    end(&far, &[503; 20], now());
    far.follow(&store, now()).await.unwrap();
    assert_eq!(far.take_probe(&store, DESTINATION, later(60)).await, Ok(true));
    far.not_probed(DESTINATION);
    far.follow(&store, later(60)).await.unwrap();
    assert_eq!(far.says(DESTINATION, later(60)), Says::Probe);
}

#[tokio::test]
async fn room_follows_what_is_under_way_and_what_was_set() {
    let store = store();
    let far = FarEnds::new(64);
    let of = |free| {
        let rooms = far.rooms(free);
        rooms.of.iter().find(|room| room.no == DESTINATION).map_or(rooms.each, |room| room.sends)
    };
    assert_eq!(of(64), 32, "half, until it has answered");
    let held: Vec<_> = (0..32).map(|_| far.begin(DESTINATION, now())).collect();
    assert_eq!(of(32), 0);
    assert!(!far.has_room(DESTINATION, 32));
    end(&far, &[204], now());
    assert_eq!(of(32), 20, "it is quick");
    drop(held);
    let busy = far.begin(DESTINATION, now());
    assert_eq!(of(63), 51);
    drop(busy);
    let _unknown = far.begin(Default::default(), now());
    assert!(far.rooms(64).of.is_empty(), "what is not known yet is not bounded here");
    let policy = DestinationPolicy { concurrency: 3, timeout_secs: 60, ..DestinationPolicy::default() };
    store.state().destinations.push(StoredDestination {
        no: DESTINATION,
        name: "https://far.example:443".to_owned(),
        revision: 1,
        policy,
        breaker_version: 0,
        breaker: Default::default(),
    });
    far.follow(&store, now()).await.unwrap();
    let _busy = far.begin(DESTINATION, now());
    assert_eq!(of(64), 2);
    let lease = far.rooms(64).of.iter().find(|room| room.no == DESTINATION).unwrap().lease_secs;
    assert_eq!(lease, 75);
}
