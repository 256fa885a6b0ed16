//! Users that change while somebody listens: written and told in one step, and only by who knows the campaigns of now.

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::limits;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{Store, StoreError, StoredUser, Work};
use campanile_core::ports_changes::{ChangedUser, SavedUsers};

use crate::sample::{NO, past};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

async fn two(store: &dyn Store, shard: Shard) -> Vec<StoredUser> {
    let ids = ["ann".to_owned(), "bob".to_owned()];
    let users = store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    users.into_iter().flatten().collect()
}

fn changed(user: &StoredUser, happened: &[u8]) -> ChangedUser {
    let mut user = user.clone();
    user.profile.attributes.insert("plan".to_owned(), "pro".into());
    ChangedUser { user, happened: happened.iter().map(|byte| vec![*byte]).collect() }
}

pub async fn a_change_and_what_it_makes_happen_are_one_step(store: &dyn Store, shard: Shard) {
    let users = two(store, shard).await;
    let seen = store.woken(Work::Schedule, u64::MAX).await;
    let stale = StoredUser { version: 9, ..users[1].clone() };
    let changes = [changed(&users[0], &[7, 8]), changed(&stale, &[9])];
    let saved = store.change_users(shard, 0, &changes).await.expect("the store answers");
    assert_eq!(saved, SavedUsers::Written(vec![true, false]));
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Schedule, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
    let page = store.read_events(shard, 9).await.expect("the store answers");
    let told: Vec<(UserNo, &[u8])> =
        page.events.iter().map(|event| (event.user, event.bytes.as_slice())).collect();
    assert_eq!(told, [(UserNo(1), &[7][..]), (UserNo(1), &[8][..])]);
    assert!(page.events[0].accepted_at > past(), "by the store's clock");
    let after = two(store, shard).await;
    assert_eq!((after[0].version, after[1].version), (users[0].version + 1, users[1].version));
    assert_eq!(after[0].profile, changes[0].user.profile);
}

pub async fn a_change_is_refused_to_who_does_not_know_the_campaigns_of_now(store: &dyn Store, shard: Shard) {
    let users = two(store, shard).await;
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits: 0 };
    store.set_control(shard, NO, word).await.expect("the store answers");
    let changes = [changed(&users[0], &[7])];
    let refused = store.change_users(shard, 0, &changes).await.expect("the store answers");
    let SavedUsers::Control(control) = refused else { panic!("{refused:?}") };
    assert_eq!(two(store, shard).await, users, "nothing was written");
    let page = store.read_events(shard, 9).await.expect("the store answers");
    assert_eq!((page.events.len(), page.control), (0, control));
    let saved = store.change_users(shard, control, &changes).await.expect("the store answers");
    assert_eq!(saved, SavedUsers::Written(vec![true]));
}

pub async fn what_nobody_listens_to_is_written_into_a_full_log_too(store: &dyn Store, shard: Shard) {
    let users = two(store, shard).await;
    let many = ChangedUser { happened: vec![vec![1]; limits::EVENT_LOG_MAX + 1], ..changed(&users[0], &[]) };
    let refused = store.change_users(shard, 0, &[many]).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(two(store, shard).await, users, "nothing was written");
    let quiet = changed(&users[0], &[]);
    let saved = store.change_users(shard, 0, &[quiet]).await;
    assert_eq!(saved, Ok(SavedUsers::Written(vec![true])));
}
