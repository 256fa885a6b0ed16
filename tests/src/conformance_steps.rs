//! Entries of several messages: what a settle leaves to the scheduler, sends that are passed over or overtaken, and what an entry keeps.

use campanile_core::control_word::{ControlWord, EMIT, Flow, HISTORY, STEPS};
use campanile_core::counter::Counter;
use campanile_core::delivery_record::{DeliveryRecord, KeptData, Mark, OpenEntry, RecordChange, Status};
use campanile_core::due_send::{Class, EntryKind};
use campanile_core::event::LogItem;
use campanile_core::inside::Inside;
use campanile_core::log_row::Ended;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{EventCommit, NewEntry, Settle, Settlement, Store};
use campanile_core::send_outcome::SendOutcome;
use jiff::{SignedDuration, Timestamp};

use crate::sample::{NO, add, claim_one, delivered, entry, past, row, settled};

async fn begin(store: &dyn Store, shard: Shard) {
    let bits = EMIT | HISTORY | STEPS;
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits };
    store.set_control(shard, NO, word).await.expect("the store answers");
    store.open_users(shard, &["ann".to_owned()], Some(past())).await.expect("users");
}

/// The send of a later action, which came due then.
fn later(at: Timestamp) -> NewEntry {
    let mut new = entry(1, 1, at);
    new.due.send.kind = EntryKind::Chain;
    new.due.send.action = 1;
    new.due.send.has_data = true;
    new
}

async fn counts(store: &dyn Store) -> Vec<i64> {
    let stats = store.stats(NO).await.expect("the store answers");
    let of = |wanted| stats.iter().find(|(counter, _)| *counter == wanted).map_or(0, |(_, n)| *n);
    use Counter::{Delivered, Finished, Open, Pending, Planned};
    [Open, Finished, Planned(0), Pending(0), Delivered(0)].map(of).to_vec()
}

async fn told(store: &dyn Store, shard: Shard) -> Vec<SendOutcome> {
    let page = store.read_events(shard, 50).await.expect("the store answers");
    let read = |bytes: &[u8]| match LogItem::unpack(bytes) {
        Ok(LogItem::Outcome(outcome)) => outcome,
        other => panic!("{other:?} is no outcome"),
    };
    page.events.iter().map(|event| read(&event.bytes)).collect()
}

/// Writes the record of an entry of `ann`; no bytes of data: it keeps nothing any more.
async fn list(store: &dyn Store, shard: Shard, looked_at: Timestamp, data: Vec<KeptData>) {
    let asked = [(UserNo(1), NO)];
    let old = store.read_records(shard, &asked).await.expect("the store answers").remove(0).bytes;
    let listed = OpenEntry {
        key: 1,
        narrow: 0,
        due_at: looked_at,
        looked_at,
        since: past(),
        entered_at: past(),
        status: Status::Pending,
        same: Vec::new(),
        inside: Some(Inside { action: 1, has_data: true, ..Inside::default() }),
        collected: 0,
        collected_kib: 0,
    };
    let new = DeliveryRecord { open: vec![listed], ..DeliveryRecord::default() }.encode();
    let (waiting, folded) = (Vec::new(), Vec::new());
    let change = RecordChange { user: UserNo(1), campaign: NO, old, new, waiting, folded, data };
    let page = store.read_events(shard, 1).await.expect("the store answers");
    let commit = EventCommit {
        head: page.head,
        control: page.control,
        records: vec![change],
        ..EventCommit::default()
    };
    assert!(store.commit_events(shard, &commit).await.expect("the store answers"));
}

async fn settle(store: &dyn Store, shard: Shard, settlement: Settlement) {
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
}

pub async fn a_send_that_ended_leaves_its_entry_open_with_what_it_keeps(store: &dyn Store, shard: Shard) {
    begin(store, shard).await;
    let mut first = entry(1, 1, past());
    first.due.send.has_data = true;
    first.data = Some(vec![7; 3]);
    add(store, shard, 1, vec![first]).await;
    let lease = claim_one(store, shard).await;
    settle(store, shard, delivered(lease, past())).await;
    assert_eq!(counts(store).await, [1, 0, 1, 0, 1], "the scheduler finishes it");
    let outcomes = told(store, shard).await;
    assert!(outcomes[0].is_open && outcomes[0].is_first_post, "{outcomes:?}");
    add(store, shard, 2, vec![later(past())]).await;
    list(store, shard, past(), Vec::new()).await;
    let mut claimed = store.claim(shard, 1).await.expect("the store answers");
    let job = claimed.jobs.pop().expect("a send");
    assert_eq!(job.data, Some(vec![7; 3]), "the next message finds it");
    settle(store, shard, settled(job.lease, Settle::Hold { at: past(), due_at: None })).await;
    list(store, shard, past(), vec![KeptData { key: 1, bytes: Vec::new(), appends: false }]).await;
    let mut claimed = store.claim(shard, 1).await.expect("the store answers");
    assert_eq!(claimed.jobs.pop().expect("a send").data, None, "it was let go");
}

pub async fn what_is_passed_over_was_never_planned_and_is_told(store: &dyn Store, shard: Shard) {
    begin(store, shard).await;
    add(store, shard, 1, vec![entry(1, 1, past())]).await;
    let lease = claim_one(store, shard).await;
    let passed = Some(row(&lease, Ended::Skipped, past(), "user.x == 1 was false"));
    settle(store, shard, Settlement { row: passed, ..settled(lease, Settle::Skipped) }).await;
    assert_eq!(counts(store).await, [1, 0, 0, 0, 0]);
    let outcomes = told(store, shard).await;
    assert_eq!((outcomes[0].row.ended, outcomes[0].is_open), (Ended::Skipped, true));
}

pub async fn an_overtaken_send_goes_without_a_trace_and_marks_nothing(store: &dyn Store, shard: Shard) {
    begin(store, shard).await;
    let now = past() + SignedDuration::from_mins(5);
    list(store, shard, now, Vec::new()).await;
    let marks = async || {
        let asked = [(UserNo(1), NO)];
        store.read_records(shard, &asked).await.expect("the store answers").remove(0).marks
    };
    // It waited for an event until another instant than the send that the event made.
    add(store, shard, 1, vec![later(past())]).await;
    let lease = claim_one(store, shard).await;
    assert_eq!(marks().await, []);
    let before = counts(store).await;
    settle(store, shard, settled(lease, Settle::Dropped)).await;
    assert_eq!((counts(store).await, marks().await), (before, vec![]));
    assert!(told(store, shard).await.is_empty());
    add(store, shard, 2, vec![later(now)]).await;
    let lease = claim_one(store, shard).await;
    assert_eq!(marks().await, [(1, Mark::Begun)]);
    // While that one is under way too.
    add(store, shard, 3, vec![later(past())]).await;
    let overtaken = claim_one(store, shard).await;
    settle(store, shard, settled(overtaken, Settle::Dropped)).await;
    assert_eq!(marks().await, [(1, Mark::Begun)]);
    settle(store, shard, delivered(lease, past())).await;
    assert_eq!(marks().await, [(1, Mark::Reached)]);
}

pub async fn what_is_sent_again_after_its_entry_had_ended_finishes_it(store: &dyn Store, shard: Shard) {
    begin(store, shard).await;
    let mut again = entry(1, 1, past());
    again.due.lane.class = Class::Resent;
    add(store, shard, 1, vec![again]).await;
    let lease = claim_one(store, shard).await;
    settle(store, shard, delivered(lease, past())).await;
    assert_eq!(counts(store).await, [0, 1, 1, 0, 1]);
    assert!(!told(store, shard).await[0].is_open);
}
