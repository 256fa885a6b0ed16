//! Delivery records: written by compare and set, marked by claims and settlements, and events that go before sends.

use campanile_core::control_word::{ControlWord, EVENTS_FIRST, Flow, HISTORY};
use campanile_core::delivery_record::{
    DeliveryRecord, KeptData, Mark, OpenEntry, RecordChange, Status, StoredRecord,
};
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{EventCommit, NewEvent, Settle, Settlement, Store};
use campanile_core::reason::{Failure, Suppression};
use jiff::SignedDuration;

use crate::sample::{NO, add, claim_one, delivered, entry, past, settled, users};

async fn keep_history(store: &dyn Store, shard: Shard, bits: u8) {
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits };
    store.set_control(shard, NO, word).await.expect("the store answers");
}

fn listing(keys: &[u64]) -> Vec<u8> {
    let open = keys.iter().map(|key| OpenEntry {
        collected: 0,
        collected_kib: 0,
        inside: None,
        key: *key,
        narrow: 0,
        due_at: past(),
        looked_at: past(),
        since: past(),
        entered_at: past(),
        status: Status::Pending,
        same: Vec::new(),
    });
    DeliveryRecord { open: open.collect(), ..DeliveryRecord::default() }.encode()
}

fn kept(key: u64, byte: u8, appends: bool) -> KeptData {
    KeptData { key, bytes: vec![byte], appends }
}

fn change(user: u64, old: &[u8], new: &[u8]) -> RecordChange {
    RecordChange {
        user: UserNo(user),
        campaign: NO,
        old: old.to_vec(),
        new: new.to_vec(),
        waiting: Vec::new(),
        folded: Vec::new(),
        data: Vec::new(),
    }
}

async fn commit(store: &dyn Store, shard: Shard, records: Vec<RecordChange>) -> bool {
    let page = store.read_events(shard, 1).await.expect("the store answers");
    let commit = EventCommit { head: page.head, control: page.control, records, ..EventCommit::default() };
    store.commit_events(shard, &commit).await.expect("the store answers")
}

async fn read(store: &dyn Store, shard: Shard, user: u64) -> StoredRecord {
    let asked = [(UserNo(user), NO)];
    store.read_records(shard, &asked).await.expect("the store answers").remove(0)
}

pub async fn a_delivery_record_is_written_only_over_what_was_read(store: &dyn Store, shard: Shard) {
    keep_history(store, shard, HISTORY).await;
    let (one, two) = (listing(&[1]), listing(&[1, 2]));
    assert_eq!(read(store, shard, 1).await, StoredRecord::default());
    assert!(commit(store, shard, vec![change(1, &[], &one)]).await);
    assert!(!commit(store, shard, vec![change(1, &[], &two)]).await);
    assert!(!commit(store, shard, vec![change(2, &[], &one), change(1, &two, &one)]).await);
    assert_eq!(read(store, shard, 2).await, StoredRecord::default(), "all or nothing");
    assert!(commit(store, shard, vec![change(1, &one, &two)]).await);
    assert_eq!(read(store, shard, 1).await, StoredRecord { bytes: two.clone(), marks: Vec::new() });
    let asked = [(UserNo(9), NO), (UserNo(1), CampaignNo(7)), (UserNo(1), NO)];
    let found = store.read_records(shard, &asked).await.expect("the store answers");
    assert_eq!(found.into_iter().map(|record| record.bytes).collect::<Vec<_>>(), [vec![], vec![], two]);
}

pub async fn a_claim_marks_the_entries_a_record_lists_and_a_settle_how_they_ended(
    store: &dyn Store,
    shard: Shard,
) {
    keep_history(store, shard, HISTORY).await;
    let bytes = listing(&[1]);
    let mark = async || read(store, shard, 1).await.marks;
    let listed = async |old: &[u8]| assert!(commit(store, shard, vec![change(1, old, &bytes)]).await);
    listed(&[]).await;
    add(store, shard, 1, users(1, 1..=2)).await;
    let claimed = store.claim(shard, 2).await.expect("the store answers");
    let records: Vec<_> = claimed.jobs.iter().map(|job| job.record.clone().unwrap_or_default()).collect();
    assert_eq!(records, [bytes.clone(), Vec::new()]);
    assert_eq!(mark().await, [(1, Mark::Begun)]);
    assert_eq!(read(store, shard, 2).await.marks, []);
    // Put back as it was, it has not begun.
    let leases: Vec<_> = claimed.jobs.into_iter().map(|job| job.lease).collect();
    let backs: Vec<_> = leases.iter().map(|lease| settled(lease.clone(), Settle::Back)).collect();
    assert_eq!(store.settle(shard, &backs).await, Ok(vec![true; 2]));
    assert_eq!(mark().await, []);
    let lease = claim_one(store, shard).await;
    let hold = settled(lease, Settle::Hold { at: past(), due_at: None });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    assert_eq!(mark().await, []);
    let other = claim_one(store, shard).await;
    assert_eq!(store.settle(shard, &[delivered(other, past())]).await, Ok(vec![true]));
    let lease = claim_one(store, shard).await;
    let retry = Settlement {
        lease,
        settle: Settle::Retry { at: past(), kept: vec![1] },
        attempted: true,
        variant: None,
        hops: 0,
        row: None,
    };
    assert_eq!(store.settle(shard, &[retry]).await, Ok(vec![true]));
    assert_eq!(mark().await, [(1, Mark::Begun)], "it waits for a retry");
    let late = settled(claim_one(store, shard).await, Settle::Suppressed(Suppression::Expired));
    assert_eq!(store.settle(shard, &[late]).await, Ok(vec![true]));
    assert_eq!(mark().await, [(1, Mark::Reached)], "it was posted once");
    for (name, settle, attempted, expected) in [
        (2, Settle::Suppressed(Suppression::AudienceLeft), false, Mark::Unsent),
        (3, Settle::Delivered, true, Mark::Reached),
        (4, Settle::Failed { reason: Failure::Final, kept: vec![] }, true, Mark::Reached),
    ] {
        let folded = RecordChange { folded: vec![1], ..change(1, &bytes, &bytes) };
        assert!(commit(store, shard, vec![folded]).await);
        assert_eq!(mark().await, []);
        add(store, shard, name, users(1, 1..=1)).await;
        let lease = claim_one(store, shard).await;
        let settlement = Settlement { lease, settle, attempted, variant: None, hops: 0, row: None };
        assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
        assert_eq!(mark().await, [(1, expected)]);
    }
}

pub async fn what_was_taken_for_waiting_must_still_wait(store: &dyn Store, shard: Shard) {
    keep_history(store, shard, HISTORY).await;
    let bytes = listing(&[1]);
    let mut with_data = entry(1, 1, past());
    (with_data.data, with_data.due.send.has_data) = (Some(vec![1]), true);
    add(store, shard, 1, vec![with_data]).await;
    assert!(commit(store, shard, vec![change(1, &[], &bytes)]).await);
    let restart = RecordChange {
        waiting: vec![1],
        data: vec![kept(1, 2, false), kept(1, 3, true)],
        ..change(1, &bytes, &bytes)
    };
    assert!(commit(store, shard, vec![restart.clone()]).await);
    let claimed = store.claim(shard, 1).await.expect("the store answers");
    assert_eq!(claimed.jobs[0].data, Some(vec![2, 3]), "the newest data, and what was put behind it");
    assert!(!commit(store, shard, vec![restart]).await, "it has begun");
}

pub async fn a_send_waits_for_events_that_came_before_it_was_due(store: &dyn Store, shard: Shard) {
    keep_history(store, shard, EVENTS_FIRST).await;
    let event = NewEvent { user_id: "ann".into(), id_hash: 1, accepted_at: past(), bytes: vec![9] };
    store.accept_events(shard, &[event]).await.expect("the store answers");
    let (before, after) = (past() - SignedDuration::from_secs(1), past() + SignedDuration::from_secs(1));
    add(store, shard, 1, vec![entry(1, 1, before), entry(1, 2, past()), entry(1, 3, after)]).await;
    let mut other = entry(2, 4, after);
    other.due.lane.campaign = CampaignNo(2);
    add(store, shard, 2, vec![other]).await;
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits: 0 };
    store.set_control(shard, CampaignNo(2), word).await.expect("the store answers");
    let claim = async || {
        let claimed = store.claim(shard, 9).await.expect("the store answers");
        let mut users: Vec<u64> = claimed.jobs.iter().map(|job| job.lease.send.user.0).collect();
        users.sort_unstable();
        (users, claimed.more)
    };
    assert_eq!(claim().await, (vec![1, 2, 4], false), "what no event can cancel");
    assert_eq!(claim().await, (vec![], false));
    let page = store.read_events(shard, 9).await.expect("the store answers");
    let taken = EventCommit { head: page.head, control: page.control, read: 1, ..EventCommit::default() };
    assert_eq!(store.commit_events(shard, &taken).await, Ok(true));
    assert_eq!(claim().await, (vec![3], false));
}
