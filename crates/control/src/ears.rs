//! What live campaigns listen to of users' changes, so that a change that nobody listens to costs nothing.
//!
//! Known as of a control number of each shard: a write names the number, and the store refuses it where campaigns have changed since. So
//! from an activation's answer on no change is missed, and none is looked up while campaigns stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::TriggerOn;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Changed, Store, StoreError};
use campanile_core::segments::Segments;
use campanile_core::watch::{self, Watch};
use tokio::sync::Mutex;

use crate::followed::Followed;

/// What is listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub created: bool,
    pub attributes: BTreeSet<String>,
    /// Segments that triggers name.
    pub watches: Vec<Watch>,
}

impl Heard {
    pub fn is_nothing(&self) -> bool {
        !self.created && self.attributes.is_empty() && self.watches.is_empty()
    }
}

#[derive(Default)]
pub struct Ears {
    known: Mutex<Known>,
    followed: Followed,
}

#[derive(Default)]
struct Known {
    cursor: String,
    /// Of the campaigns that listen to users.
    triggers: BTreeMap<CampaignNo, Vec<TriggerOn>>,
    watches: BTreeMap<CampaignNo, Vec<Watch>>,
    heard: Arc<Heard>,
    /// The control number of each shard that this is as new as.
    seen: HashMap<Shard, u64>,
}

impl Ears {
    /// As far as it is known, with the control number to name. A shard without campaigns has number 0.
    pub async fn known(&self, shard: Shard) -> (u64, Arc<Heard>) {
        let known = self.known.lock().await;
        (known.seen.get(&shard).copied().unwrap_or(0), known.heard.clone())
    }

    /// What watched segments are now; nobody asks where nothing is watched.
    pub async fn segments(&self, store: &dyn Store, heard: &Heard) -> Result<Arc<Segments>, StoreError> {
        match heard.watches.is_empty() {
            true => Ok(Arc::default()),
            false => self.followed.segments(store).await,
        }
    }

    /// Looks again, for a control number that was read before.
    pub async fn refresh(&self, store: &dyn Store, shard: Shard, control: u64) -> Result<(), StoreError> {
        let mut known = self.known.lock().await;
        let changes = store.changes(&known.cursor).await?;
        match changes.campaigns {
            Changed::These(numbers) if numbers.is_empty() => {}
            Changed::These(numbers) => {
                for numbers in numbers.chunks(limits::PAGE_MAX) {
                    store.campaigns(numbers).await?.iter().for_each(|record| known.learn(record));
                }
            }
            Changed::All => {
                known.triggers.clear();
                known.watches.clear();
                let mut after = String::new();
                loop {
                    let page = store.list_campaigns(&after, limits::PAGE_MAX).await?;
                    page.iter().for_each(|record| known.learn(record));
                    match page.last() {
                        Some(last) if page.len() == limits::PAGE_MAX => after.clone_from(&last.id),
                        _ => break,
                    }
                }
            }
        }
        known.cursor = changes.cursor;
        let watches = known.watches.values().flatten().cloned().collect();
        known.heard = Arc::new(Heard { watches, ..heard(known.triggers.values().flatten()) });
        known.seen.insert(shard, control);
        Ok(())
    }
}

impl Known {
    fn learn(&mut self, record: &CampaignRecord) {
        let is_user = |on: &&TriggerOn| matches!(on, TriggerOn::UserCreated | TriggerOn::AttributeChanged(_));
        let triggers: Vec<TriggerOn> = match record.state {
            State::Draft | State::Ended => Vec::new(),
            _ => record.draft.triggers().filter(is_user).cloned().collect(),
        };
        let watches = watch::watches(record);
        if watches.is_empty() {
            self.watches.remove(&record.no);
        } else {
            self.watches.insert(record.no, watches);
        }
        if triggers.is_empty() {
            self.triggers.remove(&record.no);
        } else {
            self.triggers.insert(record.no, triggers);
        }
    }
}

fn heard<'t>(triggers: impl Iterator<Item = &'t TriggerOn>) -> Heard {
    let mut heard = Heard::default();
    for on in triggers {
        match on {
            TriggerOn::UserCreated => heard.created = true,
            TriggerOn::AttributeChanged(name) => drop(heard.attributes.insert(name.clone())),
            _ => {}
        }
    }
    heard
}
