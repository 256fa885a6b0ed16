//! What the Redis store does in trouble: foreign bytes, no memory, a server that died, a server that must not be used.

use std::sync::Arc;

use campanile_core::control_word::Flow;
use campanile_core::counter::Counter;
use campanile_core::number::{CampaignNo, UserNo};
use campanile_core::ports::{
    Clock, EventCommit, Events, Ledger, NewEvent, Queue, Store, StoreError, Users, Work,
};
use campanile_core::sends_query::SendsQuery;
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
use jiff::SignedDuration;
use redis::Commands;

use crate::redis_rig::{Rig, SHARD};
use campanile_tests::sample::{delivered, entry, lane, past, users};

#[tokio::test]
async fn foreign_bytes_are_put_aside_and_passed_over() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.add(users(1, 1..=2)).await.unwrap();
    let mut queue = rig.key(b"q:");
    queue.extend(lane(1).encode());
    let _: () = rig.raw.lpush(&queue, b"junk in a lane").unwrap();
    let _: () = rig.raw.zadd(rig.key(b"ring"), "junk", 0).unwrap();
    let _: () = rig.raw.zadd(rig.key(b"soon"), "junk soon", 5).unwrap();
    let _: () = rig.raw.zadd(rig.key(b"wheel"), "9s:1", 5).unwrap();
    let _: () = rig.raw.rpush(rig.key(b"w:9s:1"), "junk in the wheel").unwrap();
    let _: () = rig.raw.zadd(rig.key(b"lease"), "junk leased", 5).unwrap();
    let _: () = rig.raw.hset(rig.key(b"ctl"), 9u32.to_be_bytes().as_slice(), "junk word").unwrap();
    rig.add(users(9, 1..=1)).await.unwrap();
    rig.store.release(SHARD, 100).await.unwrap();
    assert_eq!(rig.store.reclaim(SHARD, 100).await, Ok(0));
    let claimed = rig.store.claim(SHARD, 10).await.unwrap();
    assert_eq!(claimed.jobs.len(), 2);
    assert!(!claimed.more);
    assert_eq!(rig.store.control(SHARD, &[CampaignNo(9), CampaignNo(1)]).await.unwrap()[0], None);
    let mut places: Vec<String> = rig
        .bad()
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes.split(|b| *b == 0).next_back().unwrap()).into_owned())
        .collect();
    places.sort();
    assert_eq!(
        places,
        ["junk", "junk in a lane", "junk in the wheel", "junk leased", "junk soon", "junk word"]
    );
}

#[tokio::test]
async fn a_key_of_a_foreign_type_is_put_aside() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    let queue: Vec<u8> = [b"q:".as_slice(), &lane(1).encode()].concat();
    let counters: Vec<u8> = [b"c:".as_slice(), &1u32.to_be_bytes()].concat();
    let names = [
        queue.as_slice(),
        &counters,
        b"ring",
        b"held",
        b"soon",
        b"wheel",
        b"lease",
        b"vt",
        b"log",
        b"ev",
        b"bad",
    ];
    for name in names {
        let key = rig.key(name);
        let _: () = redis::cmd("PFADD").arg(&key).arg("x").query(&mut rig.raw).unwrap();
        if name != b"vt" {
            let _: () = rig.raw.del(&key).unwrap();
            let _: () = if name == b"ring" {
                rig.raw.set(&key, "x").unwrap()
            } else {
                rig.raw.sadd(&key, "x").unwrap()
            };
        }
    }
    let now = rig.clock.now();
    rig.add(vec![entry(1, 1, past()), entry(1, 2, now + SignedDuration::from_secs(9))]).await.unwrap();
    rig.store.release(SHARD, 10).await.unwrap();
    let claimed = rig.store.claim(SHARD, 10).await.unwrap();
    assert_eq!(claimed.jobs.len(), 1);
    rig.store.reclaim(SHARD, 10).await.unwrap();
    let settled: Vec<_> = claimed.jobs.into_iter().map(|job| delivered(job.lease, now)).collect();
    assert_eq!(rig.store.settle(SHARD, &settled).await, Ok(vec![true]));
    assert_eq!(
        rig.store.sends(&SendsQuery { limit: 5, ..SendsQuery::default() }).await.unwrap().rows.len(),
        1
    );
    assert!(rig.store.stats(CampaignNo(1)).await.unwrap().contains(&(Counter::Delivered(0), 1)));
    let event = NewEvent { user_id: "mary".into(), id_hash: 1, accepted_at: now, bytes: vec![1] };
    assert_eq!(rig.store.accept_events(SHARD, &[event]).await, Ok(vec![true]));
    let aside: Vec<Vec<u8>> = rig.raw.keys(rig.key(b"bad:*")).unwrap();
    assert!(aside.len() >= 8, "{}", aside.len());
}

#[tokio::test]
async fn a_foreign_profile_or_event_stops_only_itself() {
    let mut rig = Rig::new().await;
    let now = rig.clock.now();
    let event = |user: &str, id: u64| NewEvent {
        user_id: user.into(),
        id_hash: id,
        accepted_at: now,
        bytes: vec![9],
    };
    rig.store.accept_events(SHARD, &[event("ann", 1), event("bob", 2)]).await.unwrap();
    let _: () = rig.raw.lpush(rig.key(b"ev"), "short").unwrap();
    let _: () = rig.raw.set(rig.key(b"u:\0\0\0\0\x01"), "junk of a profile").unwrap();
    let page = rig.store.read_events(SHARD, 10).await.unwrap();
    assert_eq!(page.events.len(), 3);
    assert_eq!(page.users.iter().map(|user| user.profile.id.as_str()).collect::<Vec<_>>(), ["bob"]);
    let commit = EventCommit {
        head: page.head,
        control: page.control,
        read: 3,
        foreign: vec![0],
        ..EventCommit::default()
    };
    assert_eq!(rig.store.commit_events(SHARD, &commit).await, Ok(true));
    assert_eq!(rig.bad(), [b"ev\0short".to_vec(), b"u:1\0junk of a profile".to_vec()]);
    assert!(matches!(
        rig.store.open_users(SHARD, &["ann".to_owned()], None).await,
        Err(StoreError::Foreign { place, .. }) if place == "user 1 of shard 0"
    ));
    assert_eq!(
        rig.store.load_users(SHARD, &[UserNo(1), UserNo(2)]).await.unwrap().iter().flatten().count(),
        1
    );
}

#[tokio::test]
async fn without_memory_nothing_comes_in_and_what_is_in_goes_out() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.add(users(1, 1..=20)).await.unwrap();
    let _: () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query(&mut rig.raw).unwrap();
    assert!(matches!(rig.add(users(1, 21..=22)).await, Err(StoreError::Full(_))));
    let now = rig.clock.now();
    let event = NewEvent { user_id: "mary".into(), id_hash: 1, accepted_at: now, bytes: vec![1] };
    assert!(matches!(rig.store.accept_events(SHARD, &[event]).await, Err(StoreError::Full(_))));
    rig.run_campaign(1, Flow::Held, 1, 2).await;
    rig.run_campaign(1, Flow::Running, 1, 3).await;
    rig.store.release(SHARD, 10).await.unwrap();
    let claimed = rig.store.claim(SHARD, 64).await.unwrap();
    assert_eq!(claimed.jobs.len(), 20);
    rig.store.reclaim(SHARD, 10).await.unwrap();
    let settled: Vec<_> = claimed.jobs.into_iter().map(|job| delivered(job.lease, claimed.at)).collect();
    assert_eq!(rig.store.settle(SHARD, &settled).await, Ok(vec![true; 20]));
    assert!(rig.store.stats(CampaignNo(1)).await.unwrap().contains(&(Counter::Delivered(0), 20)));
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_or_died_is_served_again() {
    let mut rig = Rig::on(RedisServer::start_with(&[("appendonly", "yes"), ("appendfsync", "always")])).await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.add(users(1, 1..=3)).await.unwrap();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut rig.raw).unwrap();
    assert_eq!(rig.store.claim(SHARD, 1).await.unwrap().jobs.len(), 1);
    let seen = rig.store.woken(Work::Send, 0).await;
    rig.server.crash_and_start_again();
    rig.store.woken(Work::Send, seen).await;
    let claimed = loop {
        match rig.store.claim(SHARD, 10).await {
            Ok(claimed) => break claimed,
            Err(StoreError::Away(_)) => {}
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(claimed.jobs.len(), 2, "the third is leased");
}

#[tokio::test]
async fn a_server_that_would_lose_sends_or_holds_another_layout_is_refused() {
    let connect = |url: String, shards| async move {
        match RedisStore::connect(&url, Arc::new(StoreClock::new()), [1; 19], shards).await {
            Ok(store) => Ok(store.layout().clone()),
            Err(e) => Err(e.to_string()),
        }
    };
    let evicting = RedisServer::start_with(&[("maxmemory-policy", "allkeys-lru")]);
    assert!(connect(evicting.url(), None).await.unwrap_err().contains("maxmemory-policy allkeys-lru"));
    let server = RedisServer::start();
    let (a, b) = tokio::join!(connect(server.url(), Some(4)), connect(server.url(), None));
    let first = a.or(b).unwrap();
    let error = connect(server.url(), Some(first.shards + 1)).await.unwrap_err();
    assert!(error.contains("first started with"), "{error}");
    assert_eq!(connect(server.url(), None).await, Ok(first));
    assert!(connect(server.url(), Some(0)).await.unwrap_err().contains("0 shards, expected 1 to"));
    assert!(
        connect("redis://:secret@[".to_owned(), None).await.unwrap_err().starts_with("the store refused")
    );
    let gone = RedisServer::start();
    let url = gone.url().replace("//", "//:secret@");
    drop(gone);
    let error = connect(url, None).await.unwrap_err();
    assert!(error.starts_with("the store is away") && !error.contains("secret"), "{error}");
}
