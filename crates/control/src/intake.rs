//! Users and events on their way into the store: grouped by shard, in batches, in order. What is answered is stored.
//!
//! Attributes are written at once, by compare and set; events are appended to the shards' logs, where the scheduler reads them.

use std::collections::BTreeMap;

use campanile_core::event::{Event, LogItem};
use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{NewEvent, Store, StoreError};
use campanile_core::ports_changes::{ChangedUser, SavedUsers};
use campanile_core::user::{Profile, UserChange};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::ears::Ears;
use crate::user_changes::{self, Watched};

/// A profile that keeps changing under us this many times is a store in trouble.
const TRIES_MAX: usize = 32;

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upserted {
    Created,
    Changed,
    /// A bound of the user would be passed.
    Refused(String),
}

/// Creates or changes users, in order; answers in order. What fires is told to the campaigns that listen, in the same step as it is written.
pub async fn upsert(
    (store, ears): (&dyn Store, &Ears),
    changes: &[UserChange],
    firing: Firing,
    now: Timestamp,
) -> Result<Vec<Upserted>, StoreError> {
    let by_shard = by_shard(store, changes.iter().map(|change| change.id.as_str()));
    let shards = by_shard.iter().map(|(shard, places)| async move {
        let mut answers = Vec::with_capacity(places.len());
        for places in places.chunks(limits::ACCEPT_MAX) {
            answers.extend(upsert_shard((store, ears), *shard, (changes, places), firing, now).await?);
        }
        Ok(answers)
    });
    Ok(in_order(try_join_all(shards).await?, changes.len(), Upserted::Changed))
}

async fn upsert_shard(
    (store, ears): (&dyn Store, &Ears),
    shard: Shard,
    (changes, places): (&[UserChange], &[usize]),
    firing: Firing,
    now: Timestamp,
) -> Result<Vec<(usize, Upserted)>, StoreError> {
    let mut answers = BTreeMap::new();
    let mut left = places.to_vec();
    for _ in 0..TRIES_MAX {
        let mut by_id = BTreeMap::<&str, Vec<usize>>::new();
        for &place in &left {
            by_id.entry(changes[place].id.as_str()).or_default().push(place);
        }
        let ids: Vec<String> = by_id.keys().map(|id| (*id).to_owned()).collect();
        let (control, heard) = ears.known(shard).await;
        let segments = ears.segments(store, &heard).await?;
        let opened = store.open_users(shard, &ids, Some(now)).await?;
        let mut changed = Vec::new();
        for (opened, (id, places)) in opened.into_iter().zip(&by_id) {
            let Some(mut user) = opened else {
                let text = "a profile that this version cannot read".to_owned();
                return Err(StoreError::Foreign { place: format!("user {id:?}"), text });
            };
            let before = (!heard.watches.is_empty()).then(|| user.profile.clone());
            let is_new = user.profile == Profile::new(*id, now);
            let mut happened: Vec<Vec<u8>> = user_changes::created(&heard, &user, now).into_iter().collect();
            for (i, &place) in places.iter().enumerate() {
                let watched = Watched::before(&heard, &user, &changes[place]);
                let applied = user.profile.apply(&changes[place]);
                happened.extend(watched.happened(&user, i, now));
                let answer = match applied {
                    Err(text) => Upserted::Refused(text),
                    // A retry after somebody else's write must not unsay that we created it.
                    Ok(()) if is_new && i == 0 || answers.get(&place) == Some(&Upserted::Created) => {
                        Upserted::Created
                    }
                    Ok(()) => Upserted::Changed,
                };
                answers.insert(place, answer);
            }
            if let Some(before) = &before {
                happened.extend(user_changes::crossed(&heard, before, &mut user, &segments, now));
            }
            // What is imported is marked as it is, and told nobody.
            if firing == Firing::Quiet {
                happened.clear();
            }
            changed.push((ChangedUser { user, happened }, places));
        }
        let users: Vec<ChangedUser> = changed.iter().map(|(changed, _)| changed.clone()).collect();
        let written = match store.change_users(shard, control, &users).await? {
            SavedUsers::Written(written) => written,
            SavedUsers::Control(control) => {
                ears.refresh(store, shard, control).await?;
                continue;
            }
        };
        left = changed
            .iter()
            .zip(written)
            .filter(|(_, written)| !written)
            .flat_map(|((_, p), _)| (*p).clone())
            .collect();
        if left.is_empty() {
            return Ok(answers.into_iter().collect());
        }
    }
    Err(StoreError::Away(format!("{} users of shard {} kept changing", left.len(), shard.0)))
}

/// Whether events set off triggers, or only count, as imported ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firing {
    Fires,
    Quiet,
}

/// An event and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct UserEvent {
    pub user_id: String,
    pub event: Event,
}

/// Appends events, each shard's in order; answers in order whether each was new.
pub async fn track(
    store: &dyn Store,
    events: &[UserEvent],
    firing: Firing,
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let by_shard = by_shard(store, events.iter().map(|event| event.user_id.as_str()));
    let layout = store.layout();
    let shards = by_shard.iter().map(|(shard, places)| async move {
        let mut answers = Vec::with_capacity(places.len());
        for places in places.chunks(limits::ACCEPT_MAX) {
            let new = places.iter().map(|&place| {
                let UserEvent { user_id, event } = &events[place];
                NewEvent {
                    user_id: user_id.clone(),
                    id_hash: layout.hash64("event-id", &[user_id.as_bytes(), event.id.as_bytes()]),
                    accepted_at: now,
                    bytes: match firing {
                        Firing::Fires => LogItem::Event(event.clone()).pack(),
                        Firing::Quiet => LogItem::Imported(event.clone()).pack(),
                    },
                }
            });
            let new: Vec<NewEvent> = new.collect();
            answers.extend(places.iter().copied().zip(store.accept_events(*shard, &new).await?));
        }
        Ok::<_, StoreError>(answers)
    });
    let answers = in_order(try_join_all(shards).await?, events.len(), false);
    let accepted = answers.iter().filter(|is_new| **is_new).count();
    metrics::counter!("campanile_events_accepted_total").increment(accepted as u64);
    metrics::counter!("campanile_events_repeated_total").increment((answers.len() - accepted) as u64);
    Ok(answers)
}

/// The places of the items of each shard, in order.
pub fn by_shard<'a>(store: &dyn Store, ids: impl Iterator<Item = &'a str>) -> Vec<(Shard, Vec<usize>)> {
    let mut shards = BTreeMap::<Shard, Vec<usize>>::new();
    for (place, id) in ids.enumerate() {
        shards.entry(store.layout().shard_of(id)).or_default().push(place);
    }
    shards.into_iter().collect()
}

/// Answers of all shards, back in the order of the request.
fn in_order<T: Clone>(answers: Vec<Vec<(usize, T)>>, len: usize, default: T) -> Vec<T> {
    let mut out = vec![default; len];
    for (place, answer) in answers.into_iter().flatten() {
        if let Some(slot) = out.get_mut(place) {
            *slot = answer;
        }
    }
    out
}
