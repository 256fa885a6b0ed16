//! The part of the suite of the ports about far ends: what is set for destinations, their breakers, places, and room in claims.

use std::time::Duration;

use campanile_core::breaker::{Breaker, Minute, Tally};
use campanile_core::destination::DestinationPolicy;
use campanile_core::destination_port::{BreakerChange, Place, RoomFor, Rooms};
use campanile_core::number::{DestinationNo, Shard};
use campanile_core::ports::{Claimed, NewEntry, Settle, Store};
use campanile_core::throttle::{Bucket, Throttle};

use crate::conformance_queue::until_some;
use crate::sample::{NO, add, past, run_campaign, settled, users};

/// One in trouble.
fn troubled(bad: u32) -> Breaker {
    let mut seen = Minute::default();
    seen.add(Tally { good: 1, bad }, past());
    let mut breaker = Breaker::default();
    breaker.count(&seen, past());
    breaker
}

async fn named(store: &dyn Store, names: &[&str]) -> Vec<DestinationNo> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    store.destinations(&names).await.expect("the store answers")
}

pub async fn destinations_are_listed_by_name_and_followed_by_version(store: &dyn Store, _shard: Shard) {
    let numbers =
        named(store, &["https://b.example:443", "https://a.example:443", "https://c.example:443"]).await;
    assert_eq!(named(store, &["https://b.example:443"]).await, numbers[..1], "the same again");
    let names = async |after: &str, limit| -> Vec<String> {
        let page = store.list_destinations(after, limit).await.expect("the store answers");
        page.into_iter().map(|destination| destination.name).collect()
    };
    assert_eq!(names("", 2).await, ["https://a.example:443", "https://b.example:443"]);
    assert_eq!(names("https://b.example:443", 9).await, ["https://c.example:443"]);

    let first = store.follow_destinations(0).await.expect("the store answers");
    assert_eq!(first.destinations, Some(Vec::new()), "nothing is set for any");
    let seen = first.version;
    let again = store.follow_destinations(seen).await.expect("the store answers");
    assert_eq!((again.version, again.destinations), (seen, None));
    let policy = DestinationPolicy { rate: "5/s".to_owned(), ..DestinationPolicy::default() };
    assert_eq!(store.save_destination(numbers[1], 0, policy.clone()).await, Ok(true));
    let change = BreakerChange { no: numbers[2], version: 0, breaker: Some(troubled(30)) };
    assert_eq!(store.save_breakers(&[change]).await, Ok(vec![true]));
    let news = store.follow_destinations(seen).await.expect("the store answers");
    assert!(news.version > seen);
    let mut found = news.destinations.expect("news");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let told: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.revision, d.breaker.is_open())).collect();
    assert_eq!(told, [("https://a.example:443", 1, false), ("https://c.example:443", 0, true)]);
    assert_eq!((&found[0].policy, found[1].no), (&policy, numbers[2]));
    let listed = store.list_destinations("", 9).await.expect("the store answers");
    assert_eq!((&listed[0], &listed[2]), (&found[0], &found[1]), "and the list says the same");
}

pub async fn a_policy_and_a_breaker_are_written_only_over_what_was_read(store: &dyn Store, _shard: Shard) {
    let no = named(store, &["https://a.example:443"]).await[0];
    let policy = |concurrency| DestinationPolicy { concurrency, ..DestinationPolicy::default() };
    assert_eq!(store.save_destination(no, 0, policy(1)).await, Ok(true));
    assert_eq!(store.save_destination(no, 0, policy(2)).await, Ok(false));
    assert_eq!(store.save_destination(no, 1, policy(3)).await, Ok(true));
    let change = |version, breaker: Option<Breaker>| BreakerChange { no, version, breaker };
    assert_eq!(store.save_breakers(&[change(0, Some(troubled(3)))]).await, Ok(vec![true]));
    let racing = [change(1, Some(troubled(30))), change(1, Some(troubled(4)))];
    assert_eq!(store.save_breakers(&racing).await, Ok(vec![true, false]), "one wins");
    let stored = store.list_destinations("", 1).await.expect("the store answers").remove(0);
    assert_eq!((stored.revision, stored.policy.concurrency, stored.breaker_version), (2, 3, 2));
    assert!(stored.breaker.is_open());
    assert_eq!(store.save_breakers(&[change(1, None), change(2, None)]).await, Ok(vec![false, true]));
    let stored = store.list_destinations("", 1).await.expect("the store answers").remove(0);
    assert_eq!((stored.breaker_version, stored.breaker), (0, Breaker::default()));
    assert_eq!(store.save_breakers(&[]).await, Ok(Vec::new()));
}

pub async fn places_are_shared_and_come_free_when_left_or_past_their_time(store: &dyn Store, shard: Shard) {
    let (one, other) = (DestinationNo(71), DestinationNo(72));
    let place = |fence| Place { shard, fence };
    let places: Vec<Place> = (1..=4).map(place).collect();
    let long = Duration::from_secs(60);
    assert_eq!(store.take_places(one, 3, &places[..2], long).await, Ok(2));
    assert_eq!(store.take_places(one, 3, &places[2..], long).await, Ok(1), "one was free");
    assert_eq!(store.take_places(one, 3, &places[..2], long).await, Ok(2), "what is held stays held");
    assert_eq!(store.take_places(other, 3, &places[..1], long).await, Ok(1), "each destination has its own");
    store.leave_places(one, &places[..2]).await.expect("the store answers");
    store.leave_places(one, &places[..2]).await.expect("may be repeated");
    assert_eq!(store.take_places(one, 3, &places, long).await, Ok(3));
    assert_eq!(store.take_places(other, 2, &places[1..2], Duration::from_millis(5)).await, Ok(1));
    let came = until_some(async || {
        let held = store.take_places(other, 2, &places[2..3], long).await.expect("the store answers");
        (held == 1).then_some(())
    });
    came.await;
}

fn toward(no: u32, numbers: std::ops::RangeInclusive<u64>) -> Vec<NewEntry> {
    let mut entries = users(1, numbers);
    for entry in &mut entries {
        entry.due.lane.destination = DestinationNo(no);
    }
    entries
}

/// How many were claimed of each destination.
fn by_destination(claimed: &Claimed) -> Vec<(u32, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for job in &claimed.jobs {
        *counts.entry(job.lease.lane.destination.0).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

pub async fn a_claim_takes_no_more_than_its_destinations_have_room_for(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    for (name, no) in [(1, 0), (2, 5), (3, 6), (4, 7)] {
        let first = u64::from(name) * 1_000;
        add(store, shard, name, toward(no, first..=first + 29)).await;
    }
    let room = |no, sends, lease_secs| RoomFor { no: DestinationNo(no), sends, lease_secs };
    let rooms = Rooms { each: 4, of: vec![room(5, 0, 0), room(6, 9, 105)] };
    let claimed = store.claim_within(shard, 128, &rooms).await.expect("the store answers");
    assert_eq!(by_destination(&claimed), [(0, 30), (6, 9), (7, 4)], "the first is not known yet");
    assert!(claimed.passed_over && !claimed.more);
    let longest = claimed.jobs.iter().map(|job| (job.lease.lane.destination.0, job.control.lease_secs));
    assert!(longest.into_iter().all(|(no, secs)| secs == if no == 6 { 105 } else { 45 }));
    let none = store.claim_within(shard, 128, &Rooms { each: 0, of: Vec::new() }).await;
    let none = none.expect("the store answers");
    assert_eq!((none.jobs.len(), none.more, none.passed_over), (0, false, true));
    let rest = store.claim(shard, 128).await.expect("the store answers");
    assert_eq!(by_destination(&rest), [(5, 30), (6, 21), (7, 26)], "nothing was lost");
    assert!(!rest.passed_over);
}

pub async fn a_send_that_goes_elsewhere_is_parked_in_that_lane(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, toward(0, 1..=3)).await;
    add(store, shard, 2, toward(8, 4..=4)).await;
    let claimed = store.claim(shard, 3).await.expect("the store answers");
    let unknown = claimed.jobs.iter().filter(|job| job.lease.lane.destination.0 == 0).take(2);
    let until = claimed.at + Duration::from_millis(400);
    let park = |job: &campanile_core::ports::Job| {
        settled(job.lease.clone(), Settle::Park { until, to: Some(DestinationNo(8)) })
    };
    let mut settlements: Vec<_> = unknown.map(park).collect();
    assert_eq!(settlements.len(), 2);
    let others = claimed.jobs.iter().filter(|job| settlements.iter().all(|s| s.lease != job.lease));
    let backs: Vec<_> = others.map(|job| settled(job.lease.clone(), Settle::Back)).collect();
    settlements.extend(backs);
    store.settle(shard, &settlements).await.expect("the store answers");
    let now = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!(by_destination(&now), [(0, 1)], "that lane waits, the other does not");
    let came = until_some(async || {
        let claimed = store.claim(shard, 9).await.expect("the store answers");
        (!claimed.jobs.is_empty()).then_some(claimed)
    });
    let came = came.await;
    assert!(came.at >= until);
    assert_eq!(by_destination(&came), [(8, 3)]);
}

pub async fn tokens_of_a_destination_are_its_own(store: &dyn Store, _shard: Shard) {
    let slow = Throttle::parse("1/min").expect("a throttle");
    let taken = async |bucket| store.take_tokens(bucket, slow, 1).await.expect("the store answers").tokens;
    assert_eq!(taken(Bucket::Campaign(NO)).await, 1);
    assert_eq!(taken(Bucket::Destination(DestinationNo(NO.0))).await, 1, "not the campaign of that number");
    assert_eq!(taken(Bucket::Destination(DestinationNo(NO.0))).await, 0);
}
