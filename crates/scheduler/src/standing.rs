//! Pure. What a user's earlier entries into a campaign say about another one: limits, what is pending, what a cancel event ends.
//!
//! `entering` asks `Standing` in its gates; `trigger` keeps a `Kept` for each user and campaign of a page, changes it, and commits it
//! by comparing what was read.

use std::collections::BTreeSet;

use campanile_core::delivery_record::{
    DeliveryRecord, KeptData, Mark, OpenEntry, RecordChange, Status, StoredRecord,
};
use campanile_core::event::Event;
use campanile_core::event_rule::EventRule;
use campanile_core::facts::Facts;
use campanile_core::inside::Inside;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Layout, UserNo};
use campanile_core::triggered::{Pending, Triggered};
use campanile_core::value_path::ValuePath;
use jiff::Timestamp;

/// A user's entries into one campaign, as one trigger looks at them.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// None: it is of a format that this version does not know.
    pub record: Option<&'a DeliveryRecord>,
    /// Entries whose send is being sent, or waits for a retry.
    pub begun: &'a BTreeSet<u64>,
    /// Hash of the trigger's value at `key`.
    pub narrow: u64,
}

impl<'a> Standing<'a> {
    /// Entries of the same key that are not sent yet.
    fn pending(&self) -> impl Iterator<Item = &'a OpenEntry> {
        let narrow = self.narrow;
        let open = self.record.map_or(&[][..], |record| record.open.as_slice());
        open.iter().filter(move |entry| entry.status == Status::Pending && entry.narrow == narrow)
    }

    /// The one that a restart continues: its first send has never been claimed.
    fn waiting(&self) -> Option<&'a OpenEntry> {
        let begun = self.begun;
        self.pending().find(|entry| is_at_first(entry) && !begun.contains(&entry.key))
    }

    /// Inside a campaign of several messages, its first one sent or being sent.
    fn under_way(&self) -> Option<&'a OpenEntry> {
        let begun = self.begun;
        self.pending()
            .find(|entry| entry.inside.is_some() && (!is_at_first(entry) || begun.contains(&entry.key)))
    }

    /// The one that takes a further trigger.
    fn continued(&self, triggered: &Triggered) -> Option<&'a OpenEntry> {
        let begun = self.begun;
        let has_room = |entry: &&OpenEntry| {
            entry.collected < limits::COLLECTED_MAX && entry.collected_kib < limits::COLLECTED_KIB_MAX
        };
        match triggered.if_pending {
            Pending::Restart => self.waiting(),
            Pending::Collect => self
                .pending()
                .filter(|entry| is_at_first(entry) && !begun.contains(&entry.key))
                .find(has_room),
            Pending::Each | Pending::Ignore => None,
        }
    }

    /// Why the user may not enter again; none: it may.
    pub fn limited(&self, triggered: &Triggered, at: Timestamp) -> Option<String> {
        let Some(record) = self.record else {
            return Some("what is known of the user's entries was written by another version".to_owned());
        };
        let continued = self.continued(triggered).map(|entry| entry.key);
        // What was being sent when it was cancelled or superseded may have been posted.
        let counts = |entry: &&OpenEntry| entry.status == Status::Pending || self.begun.contains(&entry.key);
        let counted = || record.open.iter().filter(counts).filter(|entry| Some(entry.key) != continued);
        let entered = u64::from(record.reached) + counted().count() as u64;
        let ever = u64::from(triggered.entry_limits.ever);
        if ever > 0 && entered >= ever {
            return Some(format!("the user has entered {entered} times, at most {ever} are allowed"));
        }
        if let Some(once_per) = triggered.entry_limits.once_per {
            let last = counted().map(|entry| entry.entered_at).chain(record.last_reached_at).max();
            if let Some(last) = last.filter(|last| at.duration_since(*last) < once_per) {
                return Some(format!("the user entered at {last}, less than {once_per:#} ago"));
            }
        }
        let is_full = continued.is_none() && record.open.len() >= limits::OPEN_ENTRIES_MAX;
        is_full.then(|| format!("{} entries of the user are open", record.open.len()))
    }

    /// Why the trigger is left alone for an entry that is pending.
    pub fn is_ignored(&self, triggered: &Triggered) -> bool {
        match triggered.if_pending {
            Pending::Ignore => self.pending().next().is_some(),
            // A user enters again only after the last message.
            _ => self.under_way().is_some(),
        }
    }

    pub fn saw(&self, triggered: &Triggered, at: Timestamp) -> String {
        self.limited(triggered, at).unwrap_or_else(|| match self.record {
            Some(record) => format!("{} entries reached, {} open", record.reached, record.open.len()),
            None => String::new(),
        })
    }

    pub fn saw_pending(&self) -> String {
        match self.pending().next() {
            Some(entry) => format!("an entry of {} is pending", entry.entered_at),
            None => "no entry is pending".to_owned(),
        }
    }
}

/// A delivery record on its way through a page of events.
#[derive(Clone, Debug)]
pub struct Kept {
    user: UserNo,
    campaign: CampaignNo,
    old: Vec<u8>,
    record: Option<DeliveryRecord>,
    begun: BTreeSet<u64>,
    /// Ended entries that the record counts from now on.
    folded: Vec<u64>,
    /// Entries that were changed because their sends had never been claimed.
    waiting: BTreeSet<u64>,
    data: Vec<KeptData>,
    is_changed: bool,
}

/// A new trigger of a user who may enter.
#[derive(Clone, Debug)]
pub struct NewTrigger {
    pub key: u64,
    pub narrow: u64,
    pub due_at: Timestamp,
    pub since: Timestamp,
    pub entered_at: Timestamp,
    pub same: Vec<(u32, u64)>,
    /// Of what a digest keeps of it.
    pub kib: u16,
    /// Where it begins, in a campaign of several messages.
    pub inside: Option<Inside>,
}

fn is_at_first(entry: &OpenEntry) -> bool {
    entry.inside.as_ref().is_none_or(Inside::is_at_first)
}

impl Kept {
    /// Counts what has ended since the record was written.
    pub fn open(user: UserNo, campaign: CampaignNo, stored: StoredRecord) -> Kept {
        let mut record = DeliveryRecord::decode(&stored.bytes).ok();
        let mut begun = BTreeSet::new();
        let mut folded = Vec::new();
        for (key, mark) in stored.marks {
            let Some(record) = &mut record else { continue };
            let goes_on = record.entry(key).is_some_and(|entry| entry.inside.is_some());
            match mark {
                // That one of its sends ended is told by the log, in its turn.
                _ if goes_on => drop(begun.insert(key)),
                Mark::Begun => drop(begun.insert(key)),
                Mark::Reached | Mark::Unsent => {
                    fold(record, key, mark);
                    folded.push(key);
                }
            }
        }
        let is_changed = !folded.is_empty();
        let (waiting, data) = (BTreeSet::new(), Vec::new());
        Kept { user, campaign, old: stored.bytes, record, begun, folded, waiting, data, is_changed }
    }

    pub fn standing(&self, narrow: u64) -> Standing<'_> {
        Standing { record: self.record.as_ref(), begun: &self.begun, narrow }
    }

    /// A trigger whose send ends at once still has the newest data.
    pub fn supersede(&mut self, triggered: &Triggered, narrow: u64) {
        if triggered.if_pending != Pending::Restart {
            return;
        }
        for entry in self.record.iter_mut().flat_map(|record| &mut record.open) {
            if entry.status == Status::Pending && entry.narrow == narrow && is_at_first(entry) {
                entry.status = Status::Superseded;
                self.is_changed = true;
                if !self.begun.contains(&entry.key) {
                    self.waiting.insert(entry.key);
                }
            }
        }
    }

    /// The key of the pending entry that was given its due instant and data. None: a send has to be planned for it.
    pub fn enter(&mut self, triggered: &Triggered, new: NewTrigger, data: Option<&[u8]>) -> Option<u64> {
        self.is_changed = true;
        let continued = self.standing(new.narrow).continued(triggered);
        if triggered.if_pending == Pending::Collect
            && let Some(key) = continued.map(|entry| entry.key)
        {
            let open = self.record.iter_mut().flat_map(|record| &mut record.open);
            for entry in open.filter(|entry| entry.key == key) {
                entry.collected = entry.collected.saturating_add(1);
                entry.collected_kib = entry.collected_kib.saturating_add(new.kib);
            }
            self.waiting.insert(key);
            self.data.extend(data.map(|data| KeptData { key, bytes: data.to_vec(), appends: true }));
            return Some(key);
        }
        // The wheel is never asked to give a send back: one that is due earlier now is another send.
        if let Some(key) = continued.filter(|entry| new.due_at >= entry.looked_at).map(|entry| entry.key) {
            let open = self.record.iter_mut().flat_map(|record| &mut record.open);
            for entry in open.filter(|entry| entry.key == key) {
                (entry.due_at, entry.since) = (new.due_at, new.since);
                entry.same.clone_from(&new.same);
            }
            self.waiting.insert(key);
            self.data.extend(data.map(|data| KeptData { key, bytes: data.to_vec(), appends: false }));
            return Some(key);
        }
        self.supersede(triggered, new.narrow);
        let entry = OpenEntry {
            key: new.key,
            narrow: new.narrow,
            due_at: new.due_at,
            looked_at: new.due_at,
            since: new.since,
            entered_at: new.entered_at,
            status: Status::Pending,
            same: new.same,
            collected: u8::from(triggered.if_pending == Pending::Collect),
            collected_kib: new.kib,
            inside: new.inside,
        };
        if let Some(record) = &mut self.record {
            record.open.push(entry);
        }
        None
    }

    /// Ends the pending entries that a cancel event concerns.
    pub fn cancel(&mut self, triggered: &Triggered, event: &Event, facts: &Facts<'_>, layout: &Layout) {
        for rule in triggered.cancel_on.iter().filter(|rule| rule.fits(event, facts)) {
            for entry in self.record.iter_mut().flat_map(|record| &mut record.open) {
                let is_later = facts.as_of >= entry.since;
                // Once the first of several messages was sent, exit events rule.
                let is_under_way =
                    entry.inside.is_some() && (!is_at_first(entry) || self.begun.contains(&entry.key));
                let is_open = entry.status == Status::Pending && is_later && !is_under_way;
                if is_open && is_same(layout, rule, facts, entry) {
                    entry.status = Status::Cancelled;
                    self.is_changed = true;
                }
            }
        }
    }

    // ---- entries of campaigns of several messages ---------------------------------------------------------------------

    pub fn entry(&self, key: u64) -> Option<&OpenEntry> {
        self.record.as_ref()?.entry(key)
    }

    /// Those that are on their way.
    pub fn inside(&self) -> Vec<OpenEntry> {
        let open = self.record.iter().flat_map(|record| &record.open);
        open.filter(|entry| entry.inside.is_some() && entry.status == Status::Pending).cloned().collect()
    }

    /// Whether its send was claimed, and has not been told to have ended.
    pub fn is_begun(&self, key: u64) -> bool {
        self.begun.contains(&key)
    }

    /// Its send must not be claimed before this is written.
    pub fn must_wait(&mut self, key: u64) {
        self.waiting.insert(key);
    }

    /// Its send has ended; the next one is unmarked.
    pub fn fold_mark(&mut self, key: u64) {
        self.begun.remove(&key);
        self.folded.push(key);
        self.is_changed = true;
    }

    /// As it stands now, in the place of what is known of it.
    pub fn put(&mut self, entry: OpenEntry) {
        self.is_changed = true;
        let Some(record) = &mut self.record else { return };
        match record.entry_mut(entry.key) {
            Some(there) => *there = entry,
            None => record.open.push(entry),
        }
    }

    /// It is over: the record counts it, and what was kept for it goes, unless a failed send may be sent again.
    pub fn close(&mut self, entry: &OpenEntry) {
        self.is_changed = true;
        let Some(inside) = &entry.inside else { return };
        if inside.has_data && !inside.has_failed {
            self.data.push(KeptData { key: entry.key, bytes: Vec::new(), appends: false });
        }
        let Some(record) = &mut self.record else { return };
        if record.entry(entry.key).is_none() {
            record.open.push(entry.clone());
        }
        fold(record, entry.key, if inside.is_reached { Mark::Reached } else { Mark::Unsent });
    }

    /// What is to be written; none: nothing changed.
    pub fn change(self) -> Option<RecordChange> {
        let record = self.record.filter(|_| self.is_changed)?;
        Some(RecordChange {
            user: self.user,
            campaign: self.campaign,
            old: self.old,
            new: record.encode(),
            waiting: self.waiting.into_iter().collect(),
            folded: self.folded,
            data: self.data,
        })
    }
}

fn fold(record: &mut DeliveryRecord, key: u64, mark: Mark) {
    let Some(place) = record.open.iter().position(|entry| entry.key == key) else { return };
    let entry = record.open.remove(place);
    if mark == Mark::Reached {
        record.reached = record.reached.saturating_add(1);
        record.last_reached_at = record.last_reached_at.max(Some(entry.entered_at));
    }
}

/// Whether the properties that a rule compares are those of the entry's trigger.
pub fn is_same(layout: &Layout, rule: &EventRule, facts: &Facts<'_>, entry: &OpenEntry) -> bool {
    let same = values(layout, &rule.same, facts);
    let names: BTreeSet<&str> = rule.same.iter().map(|(name, _)| name.as_str()).collect();
    same.len() == names.len() && same.iter().all(|pair| entry.same.contains(pair))
}

/// Hash of the trigger's value at the campaign's `key`; 0 where there is no key, a missing value is a value of its own.
pub fn narrow(layout: &Layout, triggered: &Triggered, facts: &Facts<'_>) -> u64 {
    let Some(path) = &triggered.key else { return 0 };
    let value = path.find(facts.profile, facts.event).map(ToString::to_string).unwrap_or_default();
    layout.hash64("key", &[value.as_bytes()]).max(1)
}

/// Hashes of the properties that cancel events compare; the missing are left out, and equal nothing.
pub fn values<'p>(
    layout: &Layout,
    same: impl IntoIterator<Item = &'p (String, ValuePath)>,
    facts: &Facts<'_>,
) -> Vec<(u32, u64)> {
    let pair = |(name, path): &(String, ValuePath)| {
        let value = path.find(facts.profile, facts.event)?.to_string();
        let name = (layout.hash64("name", &[name.as_bytes()]) >> 32) as u32;
        Some((name, layout.hash64("same", &[value.as_bytes()])))
    };
    let mut values: Vec<(u32, u64)> = same.into_iter().filter_map(pair).collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use campanile_core::campaign_delivery::When;
    use campanile_core::draft::{IfPending, Kind};

    use super::*;
    use crate::sample::{at, compiled, draft, record, triggered};

    #[test]
    fn a_digest_takes_as_many_events_as_it_may_and_the_next_one_the_rest() {
        let mut delivery = triggered(&["buy"]);
        delivery.if_pending = IfPending::Collect;
        let campaign = compiled(&record(draft(Kind::Triggered(delivery))));
        let When::Triggered(triggered) = &campaign.when else { panic!("it is triggered") };
        let check = |kib: u16, taken: u64| {
            let mut kept = Kept::open(UserNo(1), CampaignNo(1), StoredRecord::default());
            let mut enter = |key: u64| {
                let now = at("2026-11-24T08:00Z");
                let same = Vec::new();
                let new = NewTrigger {
                    key,
                    narrow: 0,
                    due_at: now,
                    since: now,
                    entered_at: now,
                    same,
                    kib,
                    inside: None,
                };
                kept.enter(triggered, new, Some(&[1]))
            };
            assert_eq!(enter(1), None);
            for key in 2..=taken {
                assert_eq!(enter(key), Some(1), "{key}");
            }
            assert_eq!((enter(taken + 1), enter(taken + 2)), (None, Some(taken + 1)));
            let change = kept.change().expect("it changed");
            assert!(change.data.iter().all(|data| data.appends));
            assert_eq!((change.data.len() as u64, change.waiting), (taken, vec![1, taken + 1]));
        };
        check(1, u64::from(limits::COLLECTED_MAX));
        check(300, 2);
    }
}
