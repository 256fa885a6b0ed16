//! What the scripts of the Redis store promise beyond the ports: fairness, bounds, wake-ups, the log over shards.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::Counter;
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{
    Add, Campaigns, Changed, Clock, Events, Ledger, NewEntry, NewEvent, Queue, Settle, Settlement, Store,
    StoreError, Users, Work,
};
use campanile_core::reason::Failure;
use campanile_core::sends_query::{EndedFilter, SendsQuery};
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
use jiff::SignedDuration;
use redis::Commands;

use crate::redis_rig::{P, Rig, SHARD};
use campanile_tests::sample::{delivered, entry, past, record, row, users};

#[tokio::test]
async fn lanes_are_served_by_weight_and_none_starves() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.run_campaign(2, Flow::Running, 3, 1).await;
    rig.add(users(1, 1..=500)).await.unwrap();
    rig.add(users(2, 1..=500)).await.unwrap();
    let mut served = [0usize; 3];
    for _ in 0..20 {
        let claimed = rig.store.claim(SHARD, 20).await.unwrap();
        assert_eq!(claimed.jobs.len(), 20);
        assert!(claimed.more);
        for job in claimed.jobs {
            served[job.lease.lane.campaign.0 as usize] += 1;
        }
    }
    assert!((85..=115).contains(&served[1]) && (285..=315).contains(&served[2]), "{served:?}");
}

#[tokio::test]
async fn a_small_lane_is_served_beside_a_large_one() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.run_campaign(2, Flow::Running, 1, 1).await;
    rig.add(users(1, 1..=512)).await.unwrap();
    let first = rig.store.claim(SHARD, 128).await.unwrap();
    assert_eq!(first.jobs.len(), 128);
    rig.add(users(2, 1..=3)).await.unwrap();
    let second = rig.store.claim(SHARD, 16).await.unwrap();
    let small = second.jobs.iter().filter(|job| job.lease.lane.campaign == CampaignNo(2)).count();
    assert_eq!((second.jobs.len(), small), (16, 3), "what the small lane leaves goes to the large one");
}

#[tokio::test]
async fn more_is_said_only_while_something_can_be_claimed() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.run_campaign(2, Flow::Held, 1, 1).await;
    rig.add(users(1, 1..=10)).await.unwrap();
    rig.add(users(2, 1..=10)).await.unwrap();
    rig.add(users(3, 1..=10)).await.unwrap();
    for (want, got, more) in [(0, 0, true), (4, 4, true), (6, 6, false), (6, 0, false)] {
        let claimed = rig.store.claim(SHARD, want).await.unwrap();
        assert_eq!((claimed.jobs.len(), claimed.more), (got, more), "want {want}");
    }
    rig.run_campaign(3, Flow::Running, 1, 1).await;
    assert_eq!(rig.store.claim(SHARD, 20).await.unwrap().jobs.len(), 10);
}

#[tokio::test]
async fn more_than_one_call_of_held_lanes_is_let_go() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Held, 1, 1).await;
    for part in 0..2u64 {
        let lanes = (1..=300).map(|n| {
            let mut entry = entry(1, part * 1000 + n, past());
            entry.due.lane.destination = DestinationNo((part * 1000 + n) as u32);
            entry
        });
        rig.add(lanes.collect()).await.unwrap();
    }
    while rig.store.claim(SHARD, 1).await.unwrap().more {}
    let held = rig.key(b"held");
    assert_eq!(rig.raw.zcard::<_, usize>(&held), Ok(600));
    rig.run_campaign(1, Flow::Running, 1, 2).await;
    assert_eq!(rig.raw.zcard::<_, usize>(&held), Ok(0));
    let mut served = 0;
    while served < 600 {
        let jobs = rig.store.claim(SHARD, 128).await.unwrap().jobs.len();
        assert!(jobs > 0, "{served} served");
        served += jobs;
    }
}

#[tokio::test]
async fn facts_that_do_not_fit_into_one_reply_come_all_the_same() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    let ids: Vec<String> = (0..4).map(|n| format!("user-{n}")).collect();
    let opened = rig.store.open_users(SHARD, &ids, Some(past())).await.unwrap();
    let mut large: Vec<_> = opened.into_iter().flatten().collect();
    for user in &mut large {
        user.profile.attributes.insert("text".to_owned(), "x".repeat(500_000).into());
    }
    assert_eq!(rig.store.save_users(SHARD, &large).await.unwrap(), [true; 4]);
    let entries = large.iter().map(|user| {
        let mut entry = entry(1, user.no.0, past());
        entry.data = Some(vec![user.no.0 as u8; 600_000]);
        entry
    });
    rig.add(entries.collect()).await.unwrap();
    let jobs = rig.store.claim(SHARD, 10).await.unwrap().jobs;
    assert_eq!(jobs.len(), 4);
    for job in jobs {
        let no = job.lease.send.user.0;
        assert_eq!(job.profile.map(|profile| profile.id), Some(format!("user-{}", no - 1)));
        assert_eq!(job.data, Some(vec![no as u8; 600_000]));
        assert_eq!(job.kept, None);
    }
    let again = rig.store.open_users(SHARD, &ids, None).await.unwrap();
    assert!(again.iter().flatten().map(|user| user.no).eq(large.iter().map(|user| user.no)));
    assert_eq!(rig.store.list_users(SHARD, UserNo(0), 100).await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_log_keeps_a_bounded_number_of_rows() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    rig.add(users(1, 1..=30)).await.unwrap();
    for part in 0..3 {
        let claimed = rig.store.claim(SHARD, 10).await.unwrap();
        let settled: Vec<_> = claimed.jobs.into_iter().map(|job| delivered(job.lease, claimed.at)).collect();
        rig.store.settle(SHARD, &settled).await.unwrap();
        if part == 1 {
            // As if the bound was reached with these twenty.
            let _: () = rig.raw.set(rig.key(b"logrows"), 100_000).unwrap();
        }
    }
    let page = rig.store.sends(&SendsQuery { limit: 100, ..SendsQuery::default() }).await.unwrap();
    assert_eq!(page.rows.len(), 20, "the oldest entry of ten rows is gone");
    assert_eq!(rig.raw.get::<_, u64>(rig.key(b"logrows")), Ok(100_000));
}

#[tokio::test]
async fn wake_ups_say_what_there_is_to_do() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    // The listener's first words: it may have missed something.
    let (schedule, send) = (rig.store.woken(Work::Schedule, 0).await, rig.store.woken(Work::Send, 0).await);
    let now = rig.clock.now();
    rig.add(users(1, 1..=3)).await.unwrap();
    let send = rig.store.woken(Work::Send, send).await;
    rig.add(vec![entry(1, 4, now + SignedDuration::from_hours(2))]).await.unwrap();
    let schedule = rig.store.woken(Work::Schedule, schedule).await;
    rig.add(vec![entry(1, 5, now + SignedDuration::from_secs(90))]).await.unwrap();
    let schedule = rig.store.woken(Work::Schedule, schedule).await;
    let event = NewEvent { user_id: "mary".into(), id_hash: 1, accepted_at: now, bytes: vec![1] };
    rig.store.accept_events(SHARD, &[event]).await.unwrap();
    rig.store.woken(Work::Schedule, schedule).await;
    rig.run_campaign(1, Flow::Held, 1, 2).await;
    rig.store.claim(SHARD, 3).await.unwrap();
    rig.run_campaign(1, Flow::Running, 1, 3).await;
    rig.store.woken(Work::Send, send).await;
}

#[tokio::test]
async fn a_send_whose_lease_ran_out_five_times_fails_as_abandoned() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    let opened = rig.store.open_users(SHARD, &["mary".to_owned()], Some(past())).await.unwrap();
    assert_eq!(opened[0].as_ref().unwrap().no, UserNo(1));
    rig.add(users(1, 1..=1)).await.unwrap();
    let mut first_claim = None;
    for redeliveries in 0..5 {
        let jobs = rig.store.claim(SHARD, 10).await.unwrap().jobs;
        assert_eq!(jobs.len(), 1, "{redeliveries}");
        let send = &jobs[0].lease.send;
        assert_eq!((send.redeliveries, send.next_attempt()), (redeliveries, u32::from(redeliveries) + 1));
        assert_eq!(
            *first_claim.get_or_insert(send.first_claim_at()),
            send.first_claim_at(),
            "a redelivery's now"
        );
        assert_eq!(rig.store.reclaim(SHARD, 10).await, Ok(0), "the lease holds");
        let claim = (jobs[0].lease.fence >> 8).to_be_bytes();
        let _: () = rig.raw.zadd(rig.key(b"lease"), &claim[1..], 1).unwrap();
        assert_eq!(rig.store.reclaim(SHARD, 10).await, Ok(1));
    }
    assert!(rig.store.claim(SHARD, 10).await.unwrap().jobs.is_empty());
    let stats = rig.store.stats(CampaignNo(1)).await.unwrap();
    assert!(stats.contains(&(Counter::Failed(0), 1)) && stats.contains(&(Counter::Finished, 1)), "{stats:?}");
    let page = rig.store.sends(&SendsQuery { limit: 5, ..SendsQuery::default() }).await.unwrap();
    let row = &page.rows[0].row;
    assert_eq!((row.ended, row.attempts), (Ended::Failed(Failure::Abandoned), 5));
    let id = row.send_id(rig.store.layout(), SHARD);
    assert_eq!(rig.store.send(&id).await.unwrap().rows.len(), 1);
    assert_eq!(rig.raw.zcard::<_, usize>(rig.key(b"failed")), Ok(1));
}

#[tokio::test]
async fn failed_sends_past_their_bound_take_their_requests_along() {
    let mut rig = Rig::new().await;
    rig.run_campaign(1, Flow::Running, 1, 1).await;
    let entries = users(1, 1..=2).into_iter().map(|entry| NewEntry { data: Some(vec![1]), ..entry });
    rig.add(entries.collect()).await.unwrap();
    for _ in 0..2 {
        let claimed = rig.store.claim(SHARD, 1).await.unwrap();
        let lease = claimed.jobs[0].lease.clone();
        let settle = Settle::Failed { reason: Failure::Final, kept: vec![9] };
        let settlement = Settlement { lease, settle, attempted: true, variant: None, hops: 0, row: None };
        assert_eq!(rig.store.settle(SHARD, &[settlement]).await, Ok(vec![true]));
        // As if it had failed more than a month ago.
        let failed: Vec<Vec<u8>> = rig.raw.zrange(rig.key(b"failed"), 0, -1).unwrap();
        assert_eq!(failed.len(), 1);
        let _: () = rig.raw.zadd(rig.key(b"failed"), &failed[0], 1).unwrap();
    }
    for kind in [b"r:".as_slice(), b"x:"] {
        let of = |user: u8| [P.as_bytes(), kind, &[0, 0, 0, 0, user]].concat();
        assert_eq!((rig.raw.exists(of(1)), rig.raw.exists(of(2))), (Ok(false), Ok(true)));
    }
}

#[tokio::test]
async fn the_log_is_paged_over_shards_and_followed_without_gap_or_repeat() {
    let server = RedisServer::start();
    let clock = Arc::new(StoreClock::new());
    let store = RedisStore::connect(&server.url(), clock.clone(), [7; 19], Some(5)).await.unwrap();
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits: 0 };
    let begin = store.sends_after("", 100).await.unwrap();
    assert!(begin.rows.is_empty());
    let mut settled = 0;
    for (n, shard) in [0, 3, 1, 0, 0, 4, 3, 3, 1, 0, 4, 4].into_iter().enumerate() {
        let shard = Shard(shard);
        store.set_control(shard, CampaignNo(1), word).await.unwrap();
        let size = 1 + n as u64 * 5;
        let entries = users(1, 1..=size);
        let add = Add {
            request: [n as u8; 16],
            body: [0; 16],
            entries,
            counts: Vec::new(),
            refused: Vec::new(),
            answer: Vec::new(),
        };
        store.add(shard, &add).await.unwrap();
        let claimed = store.claim(shard, 100).await.unwrap();
        assert_eq!(claimed.jobs.len() as u64, size);
        let settlements: Vec<_> = claimed
            .jobs
            .into_iter()
            .map(|job| {
                settled += 1;
                let at = past() + SignedDuration::from_secs(settled);
                let text = format!("{settled}");
                let ended = if settled % 3 == 0 { Ended::Retrying } else { Ended::Delivered };
                let row = Some(row(&job.lease, ended, at, &text));
                Settlement {
                    lease: job.lease,
                    settle: Settle::Delivered,
                    attempted: true,
                    variant: None,
                    hops: 0,
                    row,
                }
            })
            .collect();
        store.settle(shard, &settlements).await.unwrap();
    }
    for (limit, ended) in [(1_000, None), (7, None), (64, Some(EndedFilter::Retrying)), (1, None)] {
        let mut found = Vec::new();
        let mut query = SendsQuery { limit, ended, campaign: Some(CampaignNo(1)), ..SendsQuery::default() };
        loop {
            let page = store.sends(&query).await.unwrap();
            found.extend(page.rows.into_iter().map(|row| row.row.text.parse::<i64>().unwrap()));
            query.page = page.next;
            if query.page.is_empty() {
                break;
            }
        }
        let expected: Vec<i64> = (1..=settled).rev().filter(|n| ended.is_none() || n % 3 == 0).collect();
        assert_eq!(found, expected, "limit {limit}");
    }
    let since = SendsQuery {
        since: Some(past() + SignedDuration::from_secs(300)),
        limit: 900,
        ..SendsQuery::default()
    };
    assert_eq!(store.sends(&since).await.unwrap().rows.len() as i64, settled - 299);
    for limit in [3, 50, 1_000] {
        let mut found = BTreeSet::new();
        let (mut after, mut rows) = (begin.next.clone(), 0);
        loop {
            let page = store.sends_after(&after, limit).await.unwrap();
            if page.rows.is_empty() {
                break;
            }
            rows += page.rows.len();
            found.extend(page.rows.into_iter().map(|row| row.row.text.parse::<i64>().unwrap()));
            after = page.next;
        }
        assert_eq!((rows as i64, found), (settled, (1..=settled).collect()), "limit {limit}");
    }
    let mut foreign = SendsQuery { page: "no token".to_owned(), limit: 3, ..SendsQuery::default() };
    assert!(matches!(store.sends(&foreign).await, Err(StoreError::Refused(_))));
    foreign.page = begin.next.clone();
    foreign.user = Some((Shard(2), UserNo(1)));
    assert!(
        matches!(store.sends(&foreign).await, Err(StoreError::Refused(_))),
        "a token of five logs for one"
    );
}

#[tokio::test]
async fn a_creation_that_stopped_half_way_is_gone_on_with() {
    let mut rig = Rig::new().await;
    let first = rig.store.create(record("first")).await.unwrap().unwrap();
    // Its process died after it had taken the name.
    let _: () = rig.raw.hset("cp:names", "c:second", 7).unwrap();
    let _: () = rig.raw.zadd("{cp:names}:ids", "second", 0).unwrap();
    assert_eq!(rig.store.campaign("second").await, Ok(None));
    assert_eq!(rig.store.list_campaigns("", 1).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(rig.store.list_campaigns("first", 5).await.unwrap(), []);
    let second = rig.store.create(record("second")).await.unwrap().unwrap();
    assert_eq!((second.no, second.version), (CampaignNo(7), 1));
    assert_eq!(rig.store.list_campaigns("", 5).await.unwrap(), [first, second]);
}

#[tokio::test]
async fn of_many_who_take_an_id_at_once_one_gets_it() {
    let rig = Rig::new().await;
    let create = || rig.store.create(record("wanted"));
    let (a, b, c, d) = tokio::join!(create(), create(), create(), create());
    assert_eq!([a, b, c, d].iter().filter(|created| created.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn a_change_whose_writer_died_is_heard_of_all_the_same() {
    let mut rig = Rig::new().await;
    let first = rig.store.create(record("first")).await.unwrap().unwrap();
    let cursor = rig.store.changes("").await.unwrap().cursor;
    let nothing = rig.store.changes(&cursor).await.unwrap();
    assert_eq!((&nothing.campaigns, &nothing.cursor), (&Changed::These(Vec::new()), &cursor));
    // Begun and neither written nor reported.
    let name = format!("{}:99", first.no.0);
    let _: () = rig.raw.zadd("{cp:changes}:open", &name, 9_999_999_999_999u64).unwrap();
    for _ in 0..2 {
        let open = rig.store.changes(&cursor).await.unwrap();
        assert_eq!(open.campaigns, Changed::These(vec![first.no]));
    }
    let _: () = rig.raw.zadd("{cp:changes}:open", &name, 1).unwrap();
    let reported = rig.store.changes(&cursor).await.unwrap();
    assert_eq!(reported.campaigns, Changed::These(vec![first.no]));
    assert_eq!(rig.store.changes(&reported.cursor).await.unwrap().campaigns, Changed::These(Vec::new()));
    assert_eq!(
        rig.store.changes("9999.0").await.unwrap().campaigns,
        Changed::All,
        "the store went back in time"
    );
}
