//! What a plan decides and the queue keeps: sends that end in being planned, entries that never were, dues that move, joiners.

use campanile_core::counter::Counter;
use campanile_core::log_row::Ended;
use campanile_core::number::Shard;
use campanile_core::ports::{Advance, Advanced, EventCommit, OccurrenceKey, Settle, Store};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::sends_query::SendsQuery;
use jiff::SignedDuration;

use crate::sample::{NO, add, claim_one, entered, entry, past, row, run_campaign, settled, users};

pub async fn a_send_that_ended_in_being_planned_is_only_logged(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let ids = ["ann".to_owned()];
    let ann = store.open_users(shard, &ids, Some(past())).await.expect("the store answers").remove(0);
    let ann = ann.expect("it is made");
    add(store, shard, 1, users(1, 1..=1)).await;
    let lease = claim_one(store, shard).await;
    let mut late = row(&lease, Ended::Suppressed(Suppression::Late), past(), "it was due yesterday");
    late.key = 77;
    late.user = ann.no;
    let page = store.read_events(shard, 1).await.expect("the store answers");
    let commit = EventCommit {
        head: page.head,
        control: page.control,
        ended: vec![late.clone()],
        ..EventCommit::default()
    };
    assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let mut walked = late.clone();
    walked.key = 78;
    let advance =
        Advance { occurrence, from: 0, to: 1, entries: vec![], ended: vec![walked.clone()], counts: vec![] };
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Elsewhere), "and logs nothing");
    let query = SendsQuery { user: Some((shard, ann.no)), limit: 9, ..SendsQuery::default() };
    let page = store.sends(&query).await.expect("the store answers");
    let rows: Vec<_> = page.rows.into_iter().map(|row| row.row).collect();
    assert_eq!(rows, [walked, late]);
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
}

pub async fn who_does_not_enter_after_all_was_never_counted(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let mut with_data = entry(1, 1, past());
    (with_data.data, with_data.due.send.has_data) = (Some(vec![1]), true);
    add(store, shard, 1, vec![with_data, entry(1, 2, past())]).await;
    let lease = claim_one(store, shard).await;
    let refused = settled(lease, Settle::Refused(Refusal::NotInAudience));
    assert_eq!(store.settle(shard, std::slice::from_ref(&refused)).await, Ok(vec![true]));
    assert_eq!(store.settle(shard, &[refused]).await, Ok(vec![false]));
    let mut stats = store.stats(NO).await.expect("the store answers");
    stats.retain(|(_, n)| *n != 0);
    let mut expected: Vec<_> = entered(1).into_iter().map(|count| (count.counter, count.by)).collect();
    expected.push((Counter::Refused(Refusal::NotInAudience), 1));
    stats.sort_unstable();
    expected.sort_unstable();
    assert_eq!(stats, expected);
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 1);
}

pub async fn a_held_send_may_be_due_at_another_instant(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=1)).await;
    let lease = claim_one(store, shard).await;
    let later = past() + SignedDuration::from_hours(5);
    let hold = settled(lease, Settle::Hold { at: past(), due_at: Some(later) });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    let moved = claim_one(store, shard).await;
    assert_eq!((moved.send.due_at, moved.send.key, moved.send.attempts), (later, 1, 0));
    let hold = settled(moved, Settle::Hold { at: past(), due_at: None });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    assert_eq!(claim_one(store, shard).await.send.due_at, later);
}

pub async fn who_came_since_is_walked_where_that_is_asked(store: &dyn Store, shard: Shard) {
    let open = async |ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    };
    open(&["a", "b"]).await;
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let walk = async |joiners| store.walk(shard, occurrence, joiners, 9).await.expect("the store answers");
    let first = walk(true).await;
    assert_eq!((first.begun, first.last, first.until, first.users.len()), (false, 2, 2, 2));
    let advance = Advance { occurrence, from: 0, to: 2, entries: vec![], ended: vec![], counts: vec![] };
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
    open(&["c"]).await;
    let without = walk(false).await;
    assert_eq!((without.last, without.until, without.users.len()), (2, 2, 0));
    let with = walk(true).await;
    assert_eq!((with.begun, with.last, with.until, with.users.len()), (true, 2, 3, 1));
    let advance = Advance { from: 2, to: 3, ..advance };
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
    assert_eq!((walk(true).await.cursor, walk(true).await.users.len()), (3, 0));
}
