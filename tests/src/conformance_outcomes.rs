//! Outcomes of sends in the event log: told in the settle that makes them, where a control word says that somebody listens.

use campanile_core::control_word::{ControlWord, EMIT, Flow};
use campanile_core::due_send::Lease;
use campanile_core::event::LogItem;
use campanile_core::log_row::Ended;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{EventPage, NewEvent, Settle, Settlement, Store, Work};
use campanile_core::reason::{Failure, Suppression};
use campanile_core::send_outcome::SendOutcome;
use campanile_core::slug::Slug;

use crate::sample::{NO, add, claim_one, delivered, past, row, run_campaign, settled, users};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

async fn listen(store: &dyn Store, shard: Shard, bits: u8, epoch: u64) {
    let word = ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch, bits };
    store.set_control(shard, NO, word).await.expect("the store answers");
}

async fn log(store: &dyn Store, shard: Shard) -> EventPage {
    store.read_events(shard, 50).await.expect("the store answers")
}

fn outcomes(page: &EventPage) -> Vec<SendOutcome> {
    let read = |bytes: &[u8]| match LogItem::unpack(bytes) {
        Ok(LogItem::Outcome(outcome)) => outcome,
        other => panic!("{other:?} is no outcome"),
    };
    page.events.iter().map(|event| read(&event.bytes)).collect()
}

async fn settle(store: &dyn Store, shard: Shard, settlement: Settlement) -> bool {
    store.settle(shard, &[settlement]).await.expect("the store answers")[0]
}

pub async fn an_outcome_is_told_once_and_only_where_somebody_listens(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    store.open_users(shard, &["ann".to_owned(), "bob".to_owned()], Some(past())).await.expect("users");
    add(store, shard, 1, users(1, 1..=2)).await;
    let one = claim_one(store, shard).await;
    assert!(settle(store, shard, delivered(one, past())).await);
    assert!(log(store, shard).await.events.is_empty(), "nobody listens");

    listen(store, shard, EMIT, 2).await;
    let seen = store.woken(Work::Schedule, u64::MAX).await;
    let lease = claim_one(store, shard).await;
    let done = Settlement { variant: Slug::new("bold"), hops: 3, ..delivered(lease.clone(), past()) };
    assert!(settle(store, shard, done.clone()).await);
    assert!(!settle(store, shard, done.clone()).await, "its lease is gone");
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Schedule, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
    let page = log(store, shard).await;
    let told = SendOutcome {
        row: done.row.expect("a row"),
        variant: Slug::new("bold"),
        hops: 3,
        is_first_post: true,
        is_open: false,
    };
    assert_eq!(outcomes(&page), [told]);
    assert_eq!((page.events[0].user, page.users.len()), (UserNo(2), 1));
    assert!(page.events[0].accepted_at > past(), "by the store's clock");
}

pub async fn a_first_post_is_told_and_then_only_the_end(store: &dyn Store, shard: Shard) {
    listen(store, shard, EMIT, 1).await;
    store.open_users(shard, &["ann".to_owned()], Some(past())).await.expect("users");
    add(store, shard, 1, users(1, 1..=1)).await;
    let retry = |lease: Lease| Settlement {
        row: Some(row(&lease, Ended::Retrying, past(), "answered 503")),
        attempted: true,
        ..settled(lease, Settle::Retry { at: past(), kept: vec![1] })
    };
    for _ in 0..3 {
        let lease = claim_one(store, shard).await;
        assert!(settle(store, shard, retry(lease)).await);
    }
    let lease = claim_one(store, shard).await;
    let held = settled(lease, Settle::Hold { at: past(), due_at: None });
    assert!(settle(store, shard, held).await, "which is no outcome");
    let lease = claim_one(store, shard).await;
    let reason = Failure::Exhausted;
    let failed = Settlement {
        row: Some(row(&lease, Ended::Failed(reason), past(), "answered 503")),
        attempted: true,
        ..settled(lease, Settle::Failed { reason, kept: Vec::new() })
    };
    assert!(settle(store, shard, failed).await);
    let told = outcomes(&log(store, shard).await);
    let ends: Vec<(Ended, bool)> = told.iter().map(|told| (told.row.ended, told.is_first_post)).collect();
    assert_eq!(ends, [(Ended::Retrying, true), (Ended::Failed(reason), false)]);
}

pub async fn what_was_never_posted_is_told_too_behind_the_events_before_it(store: &dyn Store, shard: Shard) {
    listen(store, shard, EMIT, 1).await;
    let event = NewEvent { user_id: "ann".into(), id_hash: 1, accepted_at: past(), bytes: vec![9] };
    store.accept_events(shard, &[event]).await.expect("the store answers");
    add(store, shard, 1, users(1, 1..=1)).await;
    let lease = claim_one(store, shard).await;
    let reason = Suppression::Holdback;
    let suppressed = Settlement {
        row: Some(row(&lease, Ended::Suppressed(reason), past(), "")),
        ..settled(lease, Settle::Suppressed(reason))
    };
    assert!(settle(store, shard, suppressed).await);
    let mut page = log(store, shard).await;
    assert_eq!(page.events.remove(0).bytes, [9]);
    let told = outcomes(&page);
    assert_eq!((told[0].row.ended, told[0].is_first_post), (Ended::Suppressed(reason), false));
}
