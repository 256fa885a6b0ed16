//! The third part of the suite of the ports: several callers at once, and what may never be shared or lost between them.

use std::collections::BTreeSet;

use campanile_core::counter::Counter;
use campanile_core::due_send::Lease;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{
    Advance, Advanced, EventCommit, NewEvent, OccurrenceKey, Settle, Settlement, Store,
};
use campanile_core::reason::{Failure, Suppression};

use crate::sample::{NO, add, delivered, entered, entry, past, record, run_campaign, users};

pub async fn of_racing_saves_one_wins(store: &dyn Store, shard: Shard) {
    let made = store.create(record("one")).await.expect("the store answers").expect("it is new");
    // Different ones: the same again may be the repeat of a call that was not answered.
    let titled = |title: &str| {
        let mut record = made.clone();
        record.draft.title = title.to_owned();
        record
    };
    let saves = tokio::join!(store.save_campaign(titled("a")), store.save_campaign(titled("b")));
    let won = [saves.0.expect("the store answers"), saves.1.expect("the store answers")];
    assert_eq!(won.iter().flatten().count(), 1);
    let ids = ["ann".to_owned()];
    let opened = store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    let with = |plan: &str| {
        let mut ann = opened[0].clone().expect("ann");
        ann.profile.attributes.insert("plan".to_owned(), plan.into());
        [ann]
    };
    let (pro, free) = (with("pro"), with("free"));
    let saves = tokio::join!(store.save_users(shard, &pro), store.save_users(shard, &free));
    let won = [saves.0.expect("the store answers"), saves.1.expect("the store answers")].concat();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

/// A scheduler of one verb: reads, makes a send of each event, commits, until the log is empty.
async fn apply_events(store: &dyn Store, shard: Shard) {
    loop {
        let page = store.read_events(shard, 7).await.expect("the store answers");
        if page.events.is_empty() {
            return;
        }
        let numbered = page.events.iter().zip(page.head..);
        let entries: Vec<_> = numbered
            .map(|(event, place)| {
                let mut new = entry(1, event.user.0, past());
                new.due.send.key = place;
                new
            })
            .collect();
        let (counts, read) = (entered(entries.len() as i64), page.events.len());
        let (head, control) = (page.head, page.control);
        let commit =
            EventCommit { head, control, read, users: page.users, entries, counts, ..Default::default() };
        store.commit_events(shard, &commit).await.expect("the store answers");
    }
}

pub async fn racing_event_passes_apply_each_event_once_and_in_order(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let events: Vec<NewEvent> = (0..100)
        .map(|n| NewEvent {
            user_id: format!("user-{}", n % 10),
            id_hash: n,
            accepted_at: past(),
            bytes: vec![1],
        })
        .collect();
    store.accept_events(shard, &events).await.expect("the store answers");
    let pass = || apply_events(store, shard);
    tokio::join!(pass(), pass(), pass(), pass());
    let claimed = store.claim(shard, 128).await.expect("the store answers");
    let keys: Vec<u64> = claimed.jobs.iter().map(|job| job.lease.send.key).collect();
    assert_eq!(keys, (0..100).collect::<Vec<u64>>());
    assert!(store.stats(NO).await.expect("the store answers").contains(&(Counter::Entered, 100)));
}

async fn walk_to_the_end(store: &dyn Store, shard: Shard, occurrence: OccurrenceKey) {
    loop {
        let walk = store.walk(shard, occurrence, false, 6).await.expect("the store answers");
        let Some(last) = walk.users.last() else { return };
        let entries: Vec<_> = walk.users.iter().map(|user| entry(1, user.no.0, past())).collect();
        let counts = entered(entries.len() as i64);
        let advance =
            Advance { occurrence, from: walk.cursor, to: last.no.0, entries, ended: Vec::new(), counts };
        let advanced = store.advance(shard, &advance).await.expect("the store answers");
        assert_ne!(advanced, Advanced::Busy);
    }
}

pub async fn racing_walkers_enter_everybody_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let ids: Vec<String> = (0..100).map(|n| format!("user-{n}")).collect();
    store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let walk = || walk_to_the_end(store, shard, occurrence);
    tokio::join!(walk(), walk(), walk());
    let claimed = store.claim(shard, 128).await.expect("the store answers");
    let walked: Vec<u64> = claimed.jobs.iter().map(|job| job.lease.send.user.0).collect();
    assert_eq!(walked, (1..=100).collect::<Vec<u64>>());
    assert!(store.stats(NO).await.expect("the store answers").contains(&(Counter::Entered, 100)));
}

async fn claim_all(store: &dyn Store, shard: Shard) -> Vec<Lease> {
    let mut leases = Vec::new();
    loop {
        let claimed = store.claim(shard, 13).await.expect("the store answers");
        if claimed.jobs.is_empty() {
            return leases;
        }
        leases.extend(claimed.jobs.into_iter().map(|job| job.lease));
    }
}

pub async fn racing_claimers_never_share_a_send(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=500)).await;
    let claim = || claim_all(store, shard);
    let (a, b, c) = tokio::join!(claim(), claim(), claim());
    let leases = [a, b, c].concat();
    let users: BTreeSet<u64> = leases.iter().map(|lease| lease.send.user.0).collect();
    let fences: BTreeSet<u64> = leases.iter().map(|lease| lease.fence).collect();
    assert_eq!((leases.len(), users.len(), fences.len()), (500, 500, 500));
    // Two who settle the same send: one of them holds it.
    let done: Vec<Settlement> = leases[..64].iter().map(|lease| delivered(lease.clone(), past())).collect();
    let (one, two) = tokio::join!(store.settle(shard, &done), store.settle(shard, &done));
    let settled = one.expect("the store answers").into_iter().zip(two.expect("the store answers"));
    assert!(settled.into_iter().all(|(one, two)| one != two));
}

/// The same for ever: a failing run is a run to look at.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

pub async fn whatever_happens_a_send_is_in_one_place_and_ends_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let mut dice = Dice(7);
    let (mut waiting, mut leased, mut ended) = (BTreeSet::new(), Vec::<Lease>::new(), BTreeSet::new());
    let mut next = 1;
    for step in 0..150 {
        match dice.roll(3) {
            0 if step < 100 => {
                let last = next + dice.roll(6);
                add(store, shard, step as u8, users(1, next..=last)).await;
                waiting.extend((next..=last).map(UserNo));
                next = last + 1;
            }
            1 => {
                let want = 1 + dice.roll(5) as usize;
                for job in store.claim(shard, want).await.expect("the store answers").jobs {
                    assert!(waiting.remove(&job.lease.send.user), "{:?} was not waiting", job.lease);
                    leased.push(job.lease);
                }
            }
            _ if !leased.is_empty() => {
                let lease = leased.swap_remove(dice.roll(leased.len() as u64) as usize);
                let user = lease.send.user;
                let (settle, ends, attempted) = match dice.roll(6) {
                    0 => (Settle::Delivered, true, true),
                    1 => (Settle::Failed { reason: Failure::Final, kept: vec![1] }, true, true),
                    2 => (Settle::Suppressed(Suppression::Expired), true, false),
                    3 => (Settle::Retry { at: past(), kept: vec![2] }, false, true),
                    4 => (Settle::Hold { at: past(), due_at: None }, false, false),
                    _ => (Settle::Back, false, false),
                };
                let settlement = [Settlement { lease, settle, attempted, variant: None, hops: 0, row: None }];
                assert_eq!(store.settle(shard, &settlement).await, Ok(vec![true]));
                assert_eq!(store.settle(shard, &settlement).await, Ok(vec![false]), "once");
                let is_first = if ends { ended.insert(user) } else { waiting.insert(user) };
                assert!(is_first, "{user:?} is in two places");
            }
            _ => {}
        }
        check_counters(store, next as i64 - 1, ended.len() as i64).await;
    }
    leased.extend(claim_all(store, shard).await);
    assert_eq!(leased.len() + ended.len(), next as usize - 1, "none is lost");
}

async fn check_counters(store: &dyn Store, planned: i64, ended: i64) {
    let stats = store.stats(NO).await.expect("the store answers");
    let of = |is: &dyn Fn(&Counter) -> bool| {
        stats.iter().filter(|(counter, _)| is(counter)).map(|(_, n)| n).sum::<i64>()
    };
    let is_end =
        |c: &Counter| matches!(c, Counter::Delivered(_) | Counter::Failed(_) | Counter::Suppressed(..));
    assert_eq!(of(&|c| matches!(c, Counter::Planned(_))), planned);
    assert_eq!(of(&is_end), ended);
    assert_eq!(of(&|c| matches!(c, Counter::Pending(_))), planned - ended);
    assert_eq!((of(&|c| *c == Counter::Finished), of(&|c| *c == Counter::Open)), (ended, planned - ended));
}
