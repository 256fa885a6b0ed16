//! The part of the suite of the ports about failed sends that are kept and sent again.

use campanile_core::counter::Counter;
use campanile_core::due_send::Class;
use campanile_core::log_row::Ended;
use campanile_core::number::Shard;
use campanile_core::ports::{Settle, Settlement, Store};
use campanile_core::ports_kept::{FailedSend, Redriven};
use campanile_core::reason::Failure;
use jiff::Timestamp;

use crate::sample::{NO, add, claim_one, delivered, past, row, run_campaign, settled, users};

async fn fail_one(store: &dyn Store, shard: Shard) {
    let lease = claim_one(store, shard).await;
    let kept = vec![7; 9];
    let reason = Failure::Final;
    let row = Some(row(&lease, Ended::Failed(reason), past(), "answered 404"));
    let failed = Settle::Failed { reason, kept };
    let settlement = Settlement { attempted: true, row, ..settled(lease, failed) };
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
}

async fn all(store: &dyn Store, shard: Shard) -> Vec<FailedSend> {
    store.failed_sends(shard, Timestamp::UNIX_EPOCH, 0, 9).await.expect("the store answers")
}

fn redriven(failed: &FailedSend) -> Redriven {
    Redriven { failed: failed.clone(), variant: None }
}

pub async fn a_failed_send_is_kept_and_sent_again_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=3)).await;
    for _ in 0..3 {
        fail_one(store, shard).await;
    }
    let failed = all(store, shard).await;
    assert_eq!(failed.len(), 3);
    assert!(failed.iter().all(|one| one.send.attempts == 1 && one.send.has_request), "{failed:?}");
    assert!(failed.is_sorted_by_key(|one| one.failed_at), "{failed:?}");
    let last_at = failed[2].failed_at;
    let at_last = failed.iter().filter(|one| one.failed_at == last_at).count();
    let rest = store.failed_sends(shard, last_at, at_last - 1, 9).await.expect("the store answers");
    assert_eq!(rest.len(), 1, "a page goes on where the one before ended");

    let first = redriven(&failed[0]);
    assert_eq!(store.redrive(shard, &[first.clone(), first], false).await, Ok(vec![true, false]));
    let second = redriven(&failed[1]);
    assert_eq!(store.redrive(shard, &[second], true).await, Ok(vec![true]));
    assert_eq!(all(store, shard).await, failed[2..]);

    let stats = store.stats(NO).await.expect("the store answers");
    let of = |counter| stats.iter().find(|(found, _)| *found == counter).map_or(0, |(_, n)| *n);
    let counts =
        [Counter::Planned(0), Counter::Pending(0), Counter::Failed(0), Counter::Open, Counter::Finished];
    assert_eq!(counts.map(of), [3, 2, 1, 2, 1]);

    let jobs = store.claim(shard, 9).await.expect("the store answers").jobs;
    let mut seen = Vec::new();
    for job in &jobs {
        let (lane, send) = (job.lease.lane, &job.lease.send);
        assert_eq!((lane.class, send.attempts, send.redeliveries), (Class::Resent, 0, 0));
        let before = failed.iter().find(|one| one.send.user == send.user).expect("one of them");
        assert_eq!(
            (send.key, send.revision, send.due_at),
            (before.send.key, before.send.revision, before.send.due_at)
        );
        seen.push((send.user, send.has_request, job.kept.is_some()));
    }
    seen.sort();
    let mut expected = vec![(failed[0].send.user, true, true), (failed[1].send.user, false, false)];
    expected.sort();
    assert_eq!(seen, expected, "the request of one is sent again, the other is rendered");

    // One that waits keeps its revision, whatever an edit says; one that fails again is kept again.
    let mut jobs = jobs.into_iter();
    let (one, two) = (jobs.next().expect("one").lease, jobs.next().expect("two").lease);
    let revision = one.send.revision;
    let back = settled(one, Settle::Back);
    assert_eq!(store.settle(shard, &[back, delivered(two, past())]).await, Ok(vec![true, true]));
    let again = claim_one(store, shard).await;
    assert!(again.send.pinned && again.send.revision == revision, "{again:?}");
    let settlement = settled(again, Settle::Failed { reason: Failure::Final, kept: vec![8] });
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
    assert_eq!(all(store, shard).await.len(), 2);
}
