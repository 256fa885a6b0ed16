//! Settings and caps: written over what was read, counted once, never past what is allowed, given back by whoever holds the lease.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile_core::caps::{CapAnswer, CapAsk, CapKey, CapRows, CapRule, Scope, Since};
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{Changed, Settle, Store};
use campanile_core::settings::{DeliveryCap, Settings, SettingsRecord};
use campanile_core::slug::Slug;
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::sample::{NO, add, claim_one, past, run_campaign, settled, users};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub async fn settings_are_written_over_the_revision_that_was_read(store: &dyn Store, _shard: Shard) {
    let begin = store.changes("").await.expect("the store answers");
    assert!(begin.settings);
    assert_eq!(store.settings().await, Ok(None));
    let cap = DeliveryCap { at_most: 3, within: Some(DAY), per: None, tags: vec!["a".to_owned()] };
    let settings = Settings { caps: vec![cap], ..Settings::default() };
    let record = SettingsRecord { revision: 0, updated_at: past(), notify_since: None, settings };
    let saved =
        store.save_settings(record.clone()).await.expect("the store answers").expect("it is the first");
    assert_eq!((saved.revision, &saved.settings), (1, &record.settings));
    assert_eq!(store.save_settings(record).await, Ok(None), "of the revision before");
    let next = store.save_settings(saved.clone()).await.expect("the store answers").expect("it was read");
    assert_eq!(next.revision, 2);
    assert_eq!(store.settings().await, Ok(Some(next)));
    let changes = store.changes(&begin.cursor).await.expect("the store answers");
    assert_eq!(
        (changes.settings, changes.secrets, changes.campaigns),
        (true, false, Changed::These(Vec::new()))
    );
    assert!(!store.changes(&changes.cursor).await.expect("the store answers").settings);
}

fn ask(user: u64, key: u64, rules: &[(Scope, Since, u32)]) -> CapAsk {
    let rules = rules.iter().map(|&(scope, since, at_most)| CapRule { scope, since, at_most });
    CapAsk { user: UserNo(user), send: CapKey { campaign: NO, key, action: 0 }, rules: rules.collect() }
}

/// Of a random walk that is the same in every run.
fn dice(n: u64, sides: u64) -> u64 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 29) % sides
}

pub async fn caps_are_decided_by_the_rules_whatever_is_asked(store: &dyn Store, shard: Shard) {
    let mut rows = BTreeMap::<UserNo, CapRows>::new();
    let whenever = Timestamp::from_second(4_000_000_000).expect("an instant");
    let sinces = [Since::Ago(DAY), Since::At(past()), Since::At(whenever), Since::Ago(31 * DAY)];
    for batch in 0..40 {
        let asks: Vec<CapAsk> = (batch * 16..batch * 16 + 16)
            .map(|n| {
                let rule = |i: u64| {
                    let n = n * 7 + i * 1_000;
                    (dice(n, 3) as Scope, sinces[dice(n + 1, 4) as usize], dice(n + 2, 6) as u32 + 1)
                };
                let rules: Vec<_> = (0..=dice(n, 3)).map(rule).collect();
                ask(dice(n, 5) + 1, dice(n + 3, 60), &rules)
            })
            .collect();
        let look = store.look_at_caps(shard, &asks).await.expect("the store answers");
        let now = Timestamp::from_second(3_000_000_000).expect("an instant");
        let expected: Vec<CapAnswer> =
            asks.iter().map(|ask| rows.entry(ask.user).or_default().look(ask, now)).collect();
        assert_eq!(look, expected, "a look in batch {batch}");
        let answers = store.reserve_caps(shard, &asks).await.expect("the store answers");
        let expected: Vec<CapAnswer> =
            asks.iter().map(|ask| rows.entry(ask.user).or_default().reserve(ask, reserved_at())).collect();
        assert_eq!(answers, expected, "batch {batch}");
    }
}

/// Any instant within a day of the store's.
fn reserved_at() -> Timestamp {
    Timestamp::from_second(3_000_000_000).expect("an instant")
}

pub async fn racing_senders_never_exceed_a_cap(store: &dyn Store, shard: Shard) {
    let sender = |sender: u64| async move {
        let mut granted = Vec::new();
        for round in 0..30 {
            let asks: Vec<CapAsk> =
                (1..=5).map(|user| ask(user, sender * 1_000 + round, &[(0, Since::Ago(DAY), 7)])).collect();
            // Twice, as after a time-out.
            store.reserve_caps(shard, &asks).await.expect("the store answers");
            let answers = store.reserve_caps(shard, &asks).await.expect("the store answers");
            let taken = asks.iter().zip(answers).filter(|(_, answer)| *answer == CapAnswer::Reserved);
            granted.extend(taken.map(|(ask, _)| ask.user));
        }
        granted
    };
    let mut of_user = BTreeMap::<UserNo, usize>::new();
    for user in join_all((0..8).map(sender)).await.into_iter().flatten() {
        *of_user.entry(user).or_default() += 1;
    }
    let all = (1..=5).map(|user| (UserNo(user), 7)).collect();
    assert_eq!(of_user, all, "each has as many as the cap allows, and no more");
}

pub async fn what_is_not_posted_gives_back_what_it_reserved(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(NO.0, 1..=1)).await;
    let rules = [(0, Since::Ago(DAY), 1)];
    let reserve = async |user: u64, key: u64| {
        store.reserve_caps(shard, &[ask(user, key, &rules)]).await.expect("the store answers").remove(0)
    };
    let lease = claim_one(store, shard).await;
    assert_eq!(reserve(1, lease.send.key).await, CapAnswer::Reserved);
    assert_eq!(reserve(1, 99).await, CapAnswer::Over(0));
    // A lease that is not the store's gives nothing back.
    let mut foreign = lease.clone();
    foreign.fence += 1 << 8;
    store.release_caps(shard, &[foreign]).await.expect("the store answers");
    assert_eq!(reserve(1, 99).await, CapAnswer::Over(0));
    store.release_caps(shard, std::slice::from_ref(&lease)).await.expect("the store answers");
    store.release_caps(shard, std::slice::from_ref(&lease)).await.expect("the store answers");
    assert_eq!(reserve(1, 99).await, CapAnswer::Reserved, "it was free");
    // Another may hold the send by now: who held it before has no say.
    let back = settled(lease.clone(), Settle::Back);
    store.settle(shard, &[back]).await.expect("the store answers");
    let again = claim_one(store, shard).await;
    assert_eq!(reserve(7, again.send.key).await, CapAnswer::Reserved);
    store.release_caps(shard, &[lease]).await.expect("the store answers");
    assert_eq!(reserve(7, 98).await, CapAnswer::Over(0));
    // What was posted stays counted.
    let retry = Settle::Retry { at: past(), kept: vec![1] };
    let mut posted = settled(again, retry);
    posted.attempted = true;
    posted.variant = Slug::new("x");
    store.settle(shard, &[posted]).await.expect("the store answers");
    store.release(shard, 9).await.expect("the store answers");
    let retried = claim_one(store, shard).await;
    assert_eq!(retried.send.attempts, 1);
    store.release_caps(shard, &[retried]).await.expect("the store answers");
    assert_eq!(reserve(7, 98).await, CapAnswer::Over(0));
}
