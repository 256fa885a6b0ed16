//! What this sender knows of destinations: what was set for them, how they stand, what it has under way there. Hands: only `follow`, `number` and
//! `take_probe` ask the store.
//!
//! What attempts came to is counted here and told to the other senders a few times a second, and only of destinations that are in trouble: a
//! healthy one costs no call.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_core::attempt::Outcome;
use campanile_core::breaker::{Breaker, Minute, Says, Tally, is_bad};
use campanile_core::destination::{StoredDestination, Terms};
use campanile_core::destination_port::{BreakerChange, RoomFor, Rooms};
use campanile_core::limits;
use campanile_core::number::DestinationNo;
use campanile_core::ports::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::measure;
use crate::share::Share;

/// Names whose numbers are remembered; past these all are asked for again.
const NUMBERS_MAX: usize = 10_000;
/// How long a destination is remembered after its last send.
const REMEMBERED: Duration = Duration::from_secs(120);

pub struct FarEnds {
    known: Mutex<Known>,
    /// A slot of a destination came free.
    freed: Notify,
    slots_max: usize,
    /// After this a probe has ended, or its sender has.
    probe_lasts: Duration,
    /// Operators are told what is left alone for long.
    tells: AtomicBool,
}

#[derive(Default)]
struct Known {
    version: u64,
    numbers: HashMap<String, DestinationNo>,
    ends: HashMap<DestinationNo, FarEnd>,
}

#[derive(Default)]
struct FarEnd {
    terms: Terms,
    version: u64,
    breaker: Breaker,
    /// Not told to the others yet.
    seen: Minute,
    /// On its way to them.
    telling: Minute,
    /// What this sender's probe came to.
    probed: Option<Option<bool>>,
    is_gone: bool,
    /// By what this sender saw alone, until the others know.
    closed_until: Option<Timestamp>,
    share: Share,
    used_at: Option<Timestamp>,
}

/// A send of this destination holds a slot.
pub struct Busy {
    far_ends: Arc<FarEnds>,
    no: DestinationNo,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(end) = self.far_ends.lock().ends.get_mut(&self.no) {
            end.share.in_flight = end.share.in_flight.saturating_sub(1);
        }
        self.far_ends.freed.notify_one();
    }
}

impl FarEnds {
    pub fn new(slots_max: usize) -> Arc<FarEnds> {
        Arc::new(FarEnds {
            known: Mutex::default(),
            freed: Notify::new(),
            slots_max,
            probe_lasts: limits::DESTINATION_TIMEOUT_MAX + limits::LEASE_SLACK,
            tells: AtomicBool::new(false),
        })
    }

    /// Whether there is somewhere for notices to go.
    pub(crate) fn tell_notices(&self, tells: bool) {
        self.tells.store(tells, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a claim may take while so many slots are free.
    pub(crate) fn rooms(&self, free: usize) -> Rooms {
        let free = free.min(self.slots_max);
        let each = Share::default().room(free);
        let known = self.lock();
        let listed = |(no, end): (&DestinationNo, &FarEnd)| {
            let sends = end.room(free);
            let lease_secs = end.terms.lease_secs();
            // As many as have slots or something set; a lane whose destination is not known yet is bounded after rendering.
            let matters = end.share.in_flight > 0 || end.terms != Terms::default();
            (matters && no.0 > 0).then_some(RoomFor { no: *no, sends, lease_secs })
        };
        Rooms { each, of: known.ends.iter().filter_map(listed).collect() }
    }

    pub(crate) fn has_room(&self, no: DestinationNo, free: usize) -> bool {
        self.lock().ends.get(&no).is_none_or(|end| end.room(free) > 0)
    }

    /// Waits until a slot comes free that was held by a destination.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(crate) fn begin(self: &Arc<Self>, no: DestinationNo, now: Timestamp) -> Busy {
        let mut known = self.lock();
        let end = known.ends.entry(no).or_default();
        end.share.in_flight += 1;
        end.used_at = Some(now);
        Busy { far_ends: self.clone(), no }
    }

    pub(crate) fn terms(&self, no: DestinationNo) -> Terms {
        self.lock().ends.get(&no).map(|end| end.terms.clone()).unwrap_or_default()
    }

    pub(crate) fn says(&self, no: DestinationNo, now: Timestamp) -> Says {
        let known = self.lock();
        let Some(end) = known.ends.get(&no) else { return Says::Send };
        match (end.breaker.says(now), end.closed_until) {
            (Says::Send, Some(until)) if until > now => Says::Wait(until),
            (says, _) => says,
        }
    }

    /// After a request. The first time this sender alone has seen enough it waits, until the breaker that all share says how long.
    pub(crate) fn ended(
        &self,
        no: DestinationNo,
        is_probe: bool,
        (outcome, took): (&Outcome, Duration),
        now: Timestamp,
    ) {
        let mut known = self.lock();
        let end = known.ends.entry(no).or_default();
        end.used_at = Some(now);
        end.share.answered(took);
        let bad = is_bad(outcome);
        if is_probe {
            end.probed = Some(bad);
        }
        let Some(bad) = bad else { return };
        if !is_probe {
            end.seen.add(Tally { good: u32::from(!bad), bad: u32::from(bad) }, now);
        }
        if outcome.status() == 410 {
            end.is_gone = true;
        }
        if bad && !end.breaker.is_open() {
            let mut alone = end.breaker.clone();
            alone.count(&end.seen, now);
            end.closed_until = match alone.says(now) {
                Says::Wait(_) => now.checked_add(limits::BREAKER_LOOK_AGAIN).ok(),
                Says::Send | Says::Probe => None,
            };
        }
    }

    /// The probe was taken, and then nothing was sent.
    pub(crate) fn not_probed(&self, no: DestinationNo) {
        self.lock().ends.entry(no).or_default().probed.get_or_insert(None);
    }

    /// Of a destination by its name, given where new.
    pub(crate) async fn number(&self, store: &dyn Store, name: &str) -> Result<DestinationNo, StoreError> {
        if let Some(no) = self.lock().numbers.get(name) {
            return Ok(*no);
        }
        let numbers = store.destinations(&[name.to_owned()]).await?;
        let no = numbers.first().copied().unwrap_or_default();
        let mut known = self.lock();
        if known.numbers.len() >= NUMBERS_MAX {
            known.numbers.clear();
        }
        known.numbers.insert(name.to_owned(), no);
        Ok(no)
    }

    /// Takes the probe of an open breaker, unless somebody else has.
    pub(crate) async fn take_probe(
        &self,
        store: &dyn Store,
        no: DestinationNo,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = {
            let known = self.lock();
            let Some(end) = known.ends.get(&no) else { return Ok(false) };
            let mut breaker = end.breaker.clone();
            if !breaker.take_probe(now, self.probe_lasts) {
                return Ok(false);
            }
            BreakerChange { no, version: end.version, breaker: Some(breaker) }
        };
        let is_taken = store.save_breakers(std::slice::from_ref(&change)).await?.first() == Some(&true);
        if is_taken && let Some(end) = self.lock().ends.get_mut(&no) {
            end.wrote(&change);
        }
        Ok(is_taken)
    }

    /// Tells what was seen, and learns what was set and what others saw.
    pub(crate) async fn follow(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let changes = self.to_tell(now);
        for changes in changes.chunks(limits::BREAKERS_SAVED_MAX) {
            let saved = store.save_breakers(changes).await?;
            let mut known = self.lock();
            for change in changes.iter().zip(saved).filter_map(|(change, saved)| saved.then_some(change)) {
                if let Some(end) = known.ends.get_mut(&change.no) {
                    end.told(change);
                }
            }
        }
        let seen = self.lock().version;
        let followed = store.follow_destinations(seen).await?;
        if let Some(destinations) = followed.destinations {
            self.learn(followed.version, destinations, now);
        }
        Ok(())
    }

    fn to_tell(&self, now: Timestamp) -> Vec<BreakerChange> {
        let mut known = self.lock();
        let tells = self.tells.load(Relaxed);
        known.ends.iter_mut().filter_map(|(no, end)| end.tell(*no, tells, now)).collect()
    }

    fn learn(&self, version: u64, destinations: Vec<StoredDestination>, now: Timestamp) {
        let mut known = self.lock();
        known.version = version;
        let mut was_open = HashSet::new();
        for (no, end) in &mut known.ends {
            if end.breaker.is_open() {
                was_open.insert(*no);
            }
            (end.terms, end.version, end.breaker) = (Terms::default(), 0, Breaker::default());
        }
        let (mut open, mut probing) = (0, 0);
        for StoredDestination { no, name, policy, breaker_version, breaker, .. } in destinations {
            open += usize::from(breaker.is_open() && !breaker.is_probing());
            probing += usize::from(breaker.is_probing());
            match (was_open.contains(&no), breaker.is_open()) {
                (false, true) => {
                    tracing::warn!(destination = name, "left alone: most attempts of the last minute failed");
                }
                (true, false) => tracing::info!(destination = name, "takes sends again"),
                _ => {}
            }
            let end = known.ends.entry(no).or_default();
            (end.terms, end.version, end.breaker) = (policy.terms(), breaker_version, breaker);
        }
        measure::breakers(open, probing);
        known.ends.retain(|_, end| end.matters(now));
    }
}

impl FarEnd {
    fn room(&self, free: usize) -> usize {
        let of_terms =
            self.terms.concurrency.map_or(usize::MAX, |most| most.saturating_sub(self.share.in_flight));
        self.share.room(free).min(of_terms)
    }

    /// What of it others should know.
    fn tell(&mut self, no: DestinationNo, tells: bool, now: Timestamp) -> Option<BreakerChange> {
        // What was not taken the last time.
        let telling = std::mem::take(&mut self.telling);
        self.seen.merge(&telling, now);
        let in_trouble = self.version > 0 || self.seen.sum(now).bad > 0 || self.is_gone;
        let Tally { good, bad } = self.seen.sum(now);
        let is_hushed = !tells && (self.breaker.told.is_some() || !self.breaker.notices.is_empty());
        let is_news = good + bad > 0
            || self.probed.is_some()
            || self.is_gone
            || self.breaker.is_idle(now)
            || is_hushed
            || tells && self.breaker.has_news(now);
        if !in_trouble || !is_news {
            return None;
        }
        let mut breaker = self.breaker.clone();
        if let Some(bad) = self.probed {
            breaker.probed(bad, now);
        }
        self.telling = std::mem::take(&mut self.seen);
        breaker.count(&self.telling, now);
        if self.is_gone {
            breaker.gone_at = Some(now);
        } else if good > 0 {
            breaker.gone_at = None;
        }
        if tells {
            breaker.tell(no, now)
        } else {
            breaker.hush()
        }
        let breaker = (!breaker.is_idle(now)).then_some(breaker);
        (breaker.is_some() || self.version > 0).then_some(BreakerChange {
            no,
            version: self.version,
            breaker,
        })
    }

    /// The store has it now.
    fn told(&mut self, change: &BreakerChange) {
        self.wrote(change);
        (self.telling, self.probed, self.is_gone) = (Minute::default(), None, false);
    }

    fn wrote(&mut self, change: &BreakerChange) {
        self.version = if change.breaker.is_some() { change.version + 1 } else { 0 };
        self.breaker = change.breaker.clone().unwrap_or_default();
    }

    fn matters(&self, now: Timestamp) -> bool {
        let is_recent = self.used_at.is_some_and(|at| {
            now.duration_since(at) < jiff::SignedDuration::try_from(REMEMBERED).unwrap_or_default()
        });
        self.version > 0 || self.share.in_flight > 0 || self.terms != Terms::default() || is_recent
    }
}
