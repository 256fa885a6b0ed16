//! The second half of the suite of the ports: the queue, and what is told of it.

use std::time::Duration;

use campanile_core::control_word::Flow;
use campanile_core::counter::{Counter, VariantCounter};
use campanile_core::due_send::{Class, Lease};
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{Add, Added, NewEntry, NewEvent, Settle, Settlement, Store, Work};
use campanile_core::reason::Suppression;
use campanile_core::sends_query::{EndedFilter, SendsQuery};
use campanile_core::slug::Slug;
use campanile_core::throttle::{Bucket, Throttle};
use jiff::SignedDuration;

use crate::sample::{
    NO, add, claim_one, delivered, entered, entry, past, row, run_campaign, set_flow, settled, users,
};
use crate::target::DEADLINE;
use crate::until::until;

pub async fn a_request_adds_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    assert_eq!(add(store, shard, 1, users(1, 1..=3)).await, Added::Now);
    assert_eq!(add(store, shard, 1, users(1, 1..=3)).await, Added::Before(vec![1]));
    let other = Add {
        request: [1; 16],
        body: [9; 16],
        entries: users(1, 4..=9),
        counts: entered(6),
        refused: Vec::new(),
        answer: Vec::new(),
    };
    assert_eq!(store.add(shard, &other).await, Ok(Added::OtherBody));
    assert_eq!(store.claim(shard, 100).await.expect("the store answers").jobs.len(), 3);
    assert!(store.stats(NO).await.expect("the store answers").contains(&(Counter::Entered, 3)));
}

pub async fn a_claim_leases_pins_and_passes_over_what_is_held(store: &dyn Store, shard: Shard) {
    add(store, shard, 1, users(1, 1..=5)).await;
    let without_word = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!((without_word.jobs.len(), without_word.more), (0, false), "a campaign nobody knows is held");
    set_flow(store, shard, Flow::Held, 1, 45).await;
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
    set_flow(store, shard, Flow::Running, 2, 45).await;
    set_flow(store, shard, Flow::Held, 1, 45).await;
    let words = store.control(shard, &[NO, CampaignNo(7)]).await.expect("the store answers");
    let epochs: Vec<_> = words.into_iter().map(|word| word.map(|word| word.epoch)).collect();
    assert_eq!(epochs, [Some(2), None], "an older word changes nothing");
    let first = store.claim(shard, 2).await.expect("the store answers");
    assert_eq!((first.jobs.len(), first.more), (2, true));
    let rest = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!((rest.jobs.len(), rest.more), (3, false));
    let all: Vec<&Lease> = first.jobs.iter().chain(&rest.jobs).map(|job| &job.lease).collect();
    let users: Vec<u64> = all.iter().map(|lease| lease.send.user.0).collect();
    assert_eq!(users, [1, 2, 3, 4, 5], "a lane is served in order");
    assert!(all.windows(2).all(|pair| pair[0].fence < pair[1].fence), "fences grow");
    for lease in all {
        assert_eq!((lease.send.pinned, lease.send.revision), (true, 2), "planned under 1, applied 2");
    }
    let first_claim = first.jobs[0].lease.send.first_claim_at();
    let late = first.at.duration_since(past()).as_millis();
    assert!(first_claim == first.at || late > i128::from(u32::MAX), "the instant of the first claim is kept");
    set_flow(store, shard, Flow::Stopped, 3, 45).await;
    add(store, shard, 2, users_of_one(6)).await;
    let stopped = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!(stopped.jobs[0].control.flow, Flow::Stopped, "what is stopped is served, to end");
}

fn users_of_one(user: u64) -> Vec<NewEntry> {
    users(1, user..=user)
}

pub async fn only_a_live_lease_settles(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=2)).await;
    let (one, two) = (claim_one(store, shard).await, claim_one(store, shard).await);
    let wrong = Lease { fence: two.fence + 9, ..two.clone() };
    let at = past();
    let settlements = [delivered(one.clone(), at), delivered(one.clone(), at), delivered(wrong, at)];
    let answers = store.settle(shard, &settlements).await;
    assert_eq!(answers, Ok(vec![true, false, false]), "once, and by its holder only");
    assert_eq!(store.settle(shard, &[delivered(one, at)]).await, Ok(vec![false]));
    let failed = Settle::Failed { reason: campanile_core::reason::Failure::Final, kept: vec![4; 9] };
    let row = row(&two, Ended::Failed(campanile_core::reason::Failure::Final), at, "answered 404");
    let id = row.send_id(store.layout(), shard);
    let settlement =
        Settlement { lease: two, settle: failed, attempted: true, variant: None, hops: 0, row: Some(row) };
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
    let trail = store.send(&id).await.expect("the store answers");
    assert_eq!((trail.rows.len(), trail.kept), (1, Some(vec![4; 9])), "a failed send keeps its request");
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
}

pub async fn a_send_is_counted_under_its_variant_too(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=5)).await;
    let (bold, plain) = (Slug::new("bold"), Slug::new("plain-2"));
    let claimed = store.claim(shard, 5).await.expect("the store answers");
    let leases: Vec<Lease> = claimed.jobs.into_iter().map(|job| job.lease).collect();
    let failed = Settle::Failed { reason: campanile_core::reason::Failure::Final, kept: vec![1] };
    let suppressed = Settle::Suppressed(campanile_core::reason::Suppression::Expired);
    let retry = Settle::Retry { at: past(), kept: vec![1] };
    let cases = [
        (Settle::Delivered, bold, true),
        (Settle::Delivered, bold, true),
        (failed, bold, true),
        (suppressed, plain, false),
        (retry, plain, true),
    ];
    let settlements: Vec<Settlement> = leases
        .into_iter()
        .zip(cases)
        .map(|(lease, (settle, variant, attempted))| Settlement {
            variant,
            attempted,
            ..settled(lease, settle)
        })
        .collect();
    assert_eq!(store.settle(shard, &settlements).await, Ok(vec![true; 5]));
    let stats = store.stats(NO).await.expect("the store answers");
    let mut counted: Vec<(&str, VariantCounter, i64)> = Vec::new();
    for (counter, n) in &stats {
        if let Counter::Variant(0, name, of) = counter {
            counted.push((name.as_str(), *of, *n));
        }
    }
    counted.sort();
    let expected = [
        ("bold", VariantCounter::Delivered, 2),
        ("bold", VariantCounter::Failed, 1),
        ("bold", VariantCounter::Attempts, 3),
        ("plain-2", VariantCounter::Suppressed, 1),
        ("plain-2", VariantCounter::Attempts, 1),
        ("plain-2", VariantCounter::Retries, 1),
    ];
    assert_eq!(counted, expected);
    assert!(stats.contains(&(Counter::Delivered(0), 2)), "and under its action: {stats:?}");
}

pub async fn a_parked_lane_waits_for_its_instant_and_no_other_does(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=3)).await;
    let mut other = users(1, 4..=4);
    other[0].due.lane.destination = DestinationNo(9);
    add(store, shard, 2, other).await;
    let claimed = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!((claimed.jobs.len(), claimed.next_at), (4, None));
    let until = claimed.at + Duration::from_millis(700);
    let parks = claimed.jobs.iter().map(|job| {
        let is_other = job.lease.lane.destination == DestinationNo(9);
        let settle = if is_other { Settle::Back } else { Settle::Park { until, to: None } };
        settled(job.lease.clone(), settle)
    });
    let parks: Vec<Settlement> = parks.collect();
    assert_eq!(store.settle(shard, &parks).await, Ok(vec![true; 4]));
    let others = store.claim(shard, 9).await.expect("the store answers");
    let users_of = |claimed: &campanile_core::ports::Claimed| -> Vec<u64> {
        claimed.jobs.iter().map(|job| job.lease.send.user.0).collect()
    };
    assert_eq!(users_of(&others), [4], "what is in another lane goes on");
    assert_eq!(others.next_at, Some(until), "and it is said when to come for the rest");
    add(store, shard, 3, users(1, 5..=5)).await;
    assert_eq!(
        store.claim(shard, 9).await.expect("the store answers").jobs.len(),
        0,
        "it joins the lane that waits"
    );
    let came = until_some(async || {
        let claimed = store.claim(shard, 9).await.expect("the store answers");
        (!claimed.jobs.is_empty()).then_some(claimed)
    });
    let came = came.await;
    assert!(came.at >= until, "{} before {until}", came.at);
    assert_eq!(users_of(&came), [1, 2, 3, 5], "in the order they had");
    assert!(came.jobs.iter().all(|job| job.lease.send.attempts == 0 && job.lease.send.redeliveries == 0));
}

pub async fn tokens_are_shared_and_never_given_faster_than_they_come(store: &dyn Store, _shard: Shard) {
    let throttle = Throttle::parse("40/s").expect("a throttle");
    let mut instants: Vec<i64> = Vec::new();
    let mut asked = 0;
    let enough = until_some(async || {
        asked += 1;
        let (one, two) = (
            store.take_tokens(Bucket::Campaign(NO), throttle, 7),
            store.take_tokens(Bucket::Campaign(NO), throttle, 7),
        );
        for taken in [one.await.expect("the store answers"), two.await.expect("the store answers")] {
            for place in 0..taken.tokens {
                instants.push(throttle.at(&taken, place).as_microsecond());
            }
        }
        (instants.len() >= 30).then_some(())
    });
    enough.await;
    assert!(instants.windows(2).all(|pair| pair[1] - pair[0] >= 25_000), "{instants:?}");
    let other =
        store.take_tokens(Bucket::Campaign(CampaignNo(77)), throttle, 1).await.expect("the store answers");
    assert_eq!(other.tokens, 1, "another campaign has a bucket of its own");
    assert!(asked > 1, "not all at once");
}

pub(crate) async fn until_some<T>(look: impl AsyncFnMut() -> Option<T>) -> T {
    until(DEADLINE, look).await.expect("it comes")
}

pub async fn what_is_held_or_given_back_comes_again(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=3)).await;
    let claimed = store.claim(shard, 3).await.expect("the store answers");
    let leases: Vec<Lease> = claimed.jobs.into_iter().map(|job| job.lease).collect();
    let backs: Vec<Settlement> = leases.iter().map(|lease| settled(lease.clone(), Settle::Back)).collect();
    assert_eq!(store.settle(shard, &backs).await, Ok(vec![true; 3]));
    let again = store.claim(shard, 1).await.expect("the store answers");
    let lease = again.jobs[0].lease.clone();
    assert_eq!((lease.send.user, lease.send.attempts), (UserNo(1), 0), "in the order they had");
    let hold = settled(lease, Settle::Hold { at: past(), due_at: None });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    let users: Vec<u64> = store
        .claim(shard, 9)
        .await
        .expect("the store answers")
        .jobs
        .iter()
        .map(|job| job.lease.send.user.0)
        .collect();
    assert_eq!(users, [2, 3, 1]);
}

pub async fn a_lease_that_ran_out_is_taken_back_until_its_send_is_given_up(store: &dyn Store, shard: Shard) {
    set_flow(store, shard, Flow::Running, 1, 1).await;
    add(store, shard, 1, users_of_one(1)).await;
    for redeliveries in 0..5 {
        let lease = claim_one(store, shard).await;
        assert_eq!((lease.send.redeliveries, lease.send.pinned), (redeliveries, true));
        let taken = until(DEADLINE, async || {
            let taken = store.reclaim(shard, 100).await.expect("the store answers");
            (taken > 0).then_some(taken)
        });
        taken.await.expect("the lease runs out");
        assert_eq!(store.settle(shard, &[delivered(lease, past())]).await, Ok(vec![false]));
    }
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
    let stats = store.stats(NO).await.expect("the store answers");
    assert!(stats.contains(&(Counter::Failed(0), 1)), "{stats:?}");
    let query = SendsQuery { ended: Some(EndedFilter::Failed), limit: 9, ..Default::default() };
    assert_eq!(store.sends(&query).await.expect("the store answers").rows.len(), 1);
}

pub async fn sends_wait_in_the_wheel_until_their_time(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users_of_one(9)).await;
    let now = store.claim(shard, 1).await.expect("the store answers").at;
    let soon = now + SignedDuration::from_millis(300);
    let later = now + SignedDuration::from_hours(24 * 40);
    add(store, shard, 2, vec![entry(1, 1, soon), entry(1, 2, later)]).await;
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0, "nothing is due");
    let released = store.release(shard, 100).await.expect("the store answers");
    assert!(released.next_at.is_some_and(|at| at <= soon), "{released:?}");
    let jobs = until(DEADLINE, async || {
        store.release(shard, 100).await.expect("the store answers");
        let claimed = store.claim(shard, 9).await.expect("the store answers");
        (!claimed.jobs.is_empty()).then_some(claimed)
    });
    let claimed = jobs.await.expect("it comes");
    assert_eq!((claimed.jobs.len(), claimed.jobs[0].lease.send.user), (1, UserNo(1)));
    assert!(claimed.at >= soon, "never early");
    assert_eq!(claimed.jobs[0].lease.lane.class, Class::First);
}

pub async fn the_log_is_paged_filtered_and_followed(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let from = store.sends_after("", 9).await.expect("the store answers");
    assert_eq!(from.rows.len(), 0, "only where the log ends");
    add(store, shard, 1, users(1, 1..=10)).await;
    for i in 0..10 {
        let lease = claim_one(store, shard).await;
        let (ended, settle) = match i % 2 {
            0 => (Ended::Delivered, Settle::Delivered),
            _ => (Ended::Suppressed(Suppression::Expired), Settle::Suppressed(Suppression::Expired)),
        };
        let row = Some(row(&lease, ended, past(), ""));
        let settlement = Settlement { lease, settle, attempted: false, variant: None, hops: 0, row };
        assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
    }
    let mut query = SendsQuery { campaign: Some(NO), limit: 4, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.sends(&query).await.expect("the store answers");
        seen.extend(page.rows.iter().map(|row| row.row.user.0));
        query.page = page.next;
        if query.page.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1], "newest first, each once");
    let suppressed = SendsQuery { ended: Some(EndedFilter::Suppressed), limit: 99, ..Default::default() };
    assert_eq!(store.sends(&suppressed).await.expect("the store answers").rows.len(), 5);
    let other = SendsQuery { campaign: Some(CampaignNo(7)), limit: 99, ..Default::default() };
    assert_eq!(store.sends(&other).await.expect("the store answers").rows.len(), 0);
    let (mut after, mut told) = (from.next, Vec::new());
    while told.len() < 10 {
        let page = store.sends_after(&after, 3).await.expect("the store answers");
        told.extend(page.rows.iter().map(|row| row.row.user.0));
        after = page.next;
    }
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "oldest first, each once");
}

pub async fn in_every_shard_the_counters_add_up(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=6)).await;
    let at = past();
    let retry = Settle::Retry { at: past() + SignedDuration::from_hours(24 * 365 * 60), kept: vec![1] };
    let failed = Settle::Failed { reason: campanile_core::reason::Failure::Exhausted, kept: vec![1] };
    let settles =
        [Settle::Delivered, failed, Settle::Suppressed(Suppression::AudienceLeft), retry, Settle::Back];
    for settle in settles {
        let lease = claim_one(store, shard).await;
        let attempted = matches!(settle, Settle::Delivered | Settle::Failed { .. } | Settle::Retry { .. });
        let row = attempted.then(|| row(&lease, Ended::Retrying, at, ""));
        let answers = store
            .settle(shard, &[Settlement { lease, settle, attempted, variant: None, hops: 0, row }])
            .await;
        assert_eq!(answers, Ok(vec![true]));
        let stats = store.stats(NO).await.expect("the store answers");
        let of = |wanted: &dyn Fn(&Counter) -> bool| {
            stats.iter().filter(|(counter, _)| wanted(counter)).map(|(_, n)| n).sum::<i64>()
        };
        let ends = |c: &Counter| {
            matches!(
                c,
                Counter::Pending(_) | Counter::Delivered(_) | Counter::Failed(_) | Counter::Suppressed(..)
            )
        };
        assert_eq!(of(&|c| matches!(c, Counter::Planned(_))), of(&ends), "{stats:?}");
        let inside = |c: &Counter| matches!(c, Counter::Open | Counter::Finished);
        assert_eq!(of(&|c| *c == Counter::Entered), of(&inside), "{stats:?}");
    }
    let stats = store.stats(NO).await.expect("the store answers");
    for expected in [
        (Counter::Pending(0), 3),
        (Counter::Delivered(0), 1),
        (Counter::Failed(0), 1),
        (Counter::Suppressed(0, Suppression::AudienceLeft), 1),
        (Counter::Attempts(0), 3),
        (Counter::Retries(0), 1),
        (Counter::Finished, 3),
        (Counter::Open, 3),
    ] {
        assert!(stats.contains(&expected), "{expected:?} in {stats:?}");
    }
}

pub async fn wake_ups_are_not_lost(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let seen = store.woken(Work::Send, u64::MAX).await;
    add(store, shard, 1, users_of_one(1)).await;
    // It came before anybody waited for it.
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Send, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
    let seen = store.woken(Work::Schedule, u64::MAX).await;
    let event = NewEvent { user_id: "ann".to_owned(), id_hash: 1, accepted_at: past(), bytes: vec![1] };
    store.accept_events(shard, &[event]).await.expect("the store answers");
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Schedule, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
}
