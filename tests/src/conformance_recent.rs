//! The suite of the ports, about the latest events: kept with the commit that decided about them, in order, bounded.

use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{EventCommit, NewEvent, Store};
use campanile_core::recent_event::RecentRow;

use crate::sample::past;

fn event(n: u64) -> NewEvent {
    NewEvent { user_id: "ann".to_owned(), id_hash: n, accepted_at: past(), bytes: vec![7] }
}

fn rows(numbers: std::ops::Range<u64>) -> Vec<RecentRow> {
    numbers.map(|number| RecentRow { number, bytes: format!("event {number}").into_bytes() }).collect()
}

async fn numbers(store: &dyn Store, shard: Shard, from: u64, limit: usize) -> (u64, Vec<u64>) {
    let recent = store.recent_events(shard, from, limit).await.expect("the store answers");
    for row in &recent.rows {
        assert_eq!(row.bytes, format!("event {}", row.number).into_bytes());
    }
    (recent.head, recent.rows.iter().map(|row| row.number).collect())
}

pub async fn the_latest_events_are_kept_in_order_and_bounded(store: &dyn Store, shard: Shard) {
    assert_eq!(numbers(store, shard, 0, 10).await, (0, vec![]));
    let total = limits::RECENT_MAX as u64 + 300;
    let mut head = 0;
    while head < total {
        let next = (head + 100).min(total);
        store
            .accept_events(shard, &(head..next).map(event).collect::<Vec<_>>())
            .await
            .expect("they are taken");
        let page = store.read_events(shard, 100).await.expect("the store answers");
        let (read, recent) = ((next - head) as usize, rows(head..next));
        let commit = EventCommit { head, control: page.control, read, recent, ..Default::default() };
        // A commit that is refused keeps nothing.
        let stale = EventCommit { head: head + 1, recent: rows(9_000_000..9_000_001), ..commit.clone() };
        assert_eq!(store.commit_events(shard, &stale).await, Ok(false));
        assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
        head = next;
    }
    let kept = numbers(store, shard, 0, limits::RECENT_MAX).await;
    assert_eq!(kept, (total, (300..total).collect()), "the newest, oldest first");
    assert_eq!(numbers(store, shard, 0, 3).await.1, [total - 3, total - 2, total - 1]);
    assert_eq!(numbers(store, shard, total - 2, 10).await.1, [total - 2, total - 1]);
    assert_eq!(numbers(store, shard, total, 10).await, (total, vec![]));
    assert_eq!(numbers(store, shard, u64::MAX, 0).await, (total, vec![]));
}
