//! Pure. What a settlement does besides ending its lease: what is counted, where the send goes, what is noted in its user's history and
//! told the event log. Both stores ask here and write it in one step.

use jiff::Timestamp;

use crate::campaign_history::Happened;
use crate::control_word::ControlWord;
use crate::counter::{Count, Counter, VariantCounter};
use crate::due_send::{Class, DueEntry, DueSend, Lane};
use crate::latency;
use crate::log_row::Ended;
use crate::ports::{Settle, Settlement};
use crate::reason::Suppression;
use crate::send_outcome;

/// All of it, for a send that is still leased.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects<'a> {
    pub goes: Goes<'a>,
    /// `Users` and `Reached` apart: only who knows the history can tell.
    pub counts: Vec<Count>,
    /// What is noted in the user's history of the campaign.
    pub noted: Option<Happened>,
    /// It made the first request of its send that is known of.
    pub is_first: bool,
    /// How the entry's mark beside its delivery record changes, where a claim has made one.
    pub mark: Option<MarkChange>,
    /// For the event log: somebody listens.
    pub outcome: Option<Vec<u8>>,
}

/// Where a settled send goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Goes<'a> {
    /// It is over, and what was kept for it goes, as far as there is any.
    Over { data: bool, request: bool },
    /// To those that gave up, with its request if there is one.
    Failed { send: DueSend, kept: &'a [u8] },
    /// Into the wheel or a lane; what a retry keeps of its request.
    On { entry: DueEntry, kept: Option<&'a [u8]> },
    /// To the front of a lane; nothing of that lane is claimed until an instant, if one is given.
    Back { lane: Lane, send: DueSend, until: Option<Timestamp> },
    /// Nowhere, and nothing is counted: somebody else ended it.
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChange {
    /// It has not begun after all.
    Removed,
    /// It ended without a request.
    Unsent,
    /// At least one request was made.
    Reached,
}

/// What follows from a settlement. `word`: what its campaign's lanes show, if anything.
pub fn effects<'a>(settlement: &'a Settlement, word: Option<&ControlWord>) -> Effects<'a> {
    let lane = settlement.lease.lane;
    let is_of_steps = lane.class != Class::Resent && word.is_some_and(|word| word.has_steps());
    let mut send = settlement.lease.send.clone();
    if settlement.attempted {
        send.attempts = send.attempts.saturating_add(1);
    }
    let mark = word.filter(|word| word.keeps_history()).and_then(|_| mark(&settlement.settle, &send));
    let outcome = word.filter(|word| word.emits()).and_then(|_| outcome(settlement, is_of_steps));
    Effects {
        counts: counts(settlement, is_of_steps),
        goes: goes(settlement, send, is_of_steps),
        noted: happened(settlement),
        is_first: is_first(settlement),
        mark,
        outcome,
    }
}

fn happened(settlement: &Settlement) -> Option<Happened> {
    match settlement.settle {
        Settle::Delivered => Some(Happened::Delivered(settlement.variant)),
        Settle::Failed { .. } => Some(Happened::Failed),
        Settle::Suppressed(Suppression::Holdback) => Some(Happened::HeldBack),
        _ if is_first(settlement) => Some(Happened::Posted),
        _ => None,
    }
}

/// One that is sent again was requested before.
fn is_first(settlement: &Settlement) -> bool {
    let lease = &settlement.lease;
    settlement.attempted && lease.send.attempts == 0 && lease.lane.class != Class::Resent
}

/// The bucket of `latency` that its send is counted in: from the due instant to the beginning of its first request.
fn late(settlement: &Settlement) -> Option<u8> {
    let row = settlement.row.as_ref().filter(|_| is_first(settlement))?;
    let until_end = row.at.duration_since(row.due_at).as_millis();
    let ms = (until_end - i128::from(row.took_ms)).clamp(0, i128::from(u32::MAX));
    Some(latency::bucket(u32::try_from(ms).unwrap_or(u32::MAX)))
}

/// `send` counts the attempt that was made.
fn mark(settle: &Settle, send: &DueSend) -> Option<MarkChange> {
    let is_untouched = send.attempts == 0 && send.redeliveries == 0;
    match settle {
        Settle::Retry { .. } | Settle::Dropped => None,
        Settle::Hold { .. } | Settle::Back | Settle::Park { .. } => {
            is_untouched.then_some(MarkChange::Removed)
        }
        Settle::Suppressed(_) | Settle::Refused(_) | Settle::Skipped if is_untouched => {
            Some(MarkChange::Unsent)
        }
        Settle::Suppressed(_)
        | Settle::Refused(_)
        | Settle::Skipped
        | Settle::Delivered
        | Settle::Failed { .. } => Some(MarkChange::Reached),
    }
}

/// That the send ended, or was posted for the first time.
fn outcome(settlement: &Settlement, is_open: bool) -> Option<Vec<u8>> {
    let row = settlement.row.as_ref()?;
    let is_first_post = is_first(settlement);
    if row.ended == Ended::Retrying && !is_first_post {
        return None;
    }
    let head = send_outcome::head(is_first_post, is_open, settlement.hops, settlement.variant.as_ref());
    Some([head, row.encode()].concat())
}

/// `stays_open`: the scheduler ends the entry, and what it keeps stays until then.
fn goes<'a>(settlement: &'a Settlement, send: DueSend, stays_open: bool) -> Goes<'a> {
    let lane = settlement.lease.lane;
    match &settlement.settle {
        Settle::Delivered | Settle::Suppressed(_) | Settle::Skipped => {
            Goes::Over { data: send.has_data && !stays_open, request: send.has_request }
        }
        Settle::Refused(_) => Goes::Over { data: send.has_data, request: send.has_request },
        Settle::Dropped => Goes::Nowhere,
        Settle::Failed { kept, .. } => {
            let has_request = send.has_request || !kept.is_empty();
            Goes::Failed { send: DueSend { has_request, ..send }, kept }
        }
        Settle::Retry { at, kept } => {
            let class = if lane.class == Class::First { Class::Retry } else { lane.class };
            let send = DueSend { has_request: true, ..send };
            Goes::On { entry: DueEntry { at: *at, lane: Lane { class, ..lane }, send }, kept: Some(kept) }
        }
        Settle::Hold { at, due_at } => {
            let send = DueSend { due_at: due_at.unwrap_or(send.due_at), ..unpinned(lane, send) };
            Goes::On { entry: DueEntry { at: *at, lane, send }, kept: None }
        }
        Settle::Back => Goes::Back { lane, send: unpinned(lane, send), until: None },
        Settle::Park { until, to } => {
            let lane = Lane { destination: to.unwrap_or(lane.destination), ..lane };
            Goes::Back { lane, send: unpinned(lane, send), until: Some(*until) }
        }
    }
}

/// Never attempted, so an edit may still reach it. What is sent again was.
fn unpinned(lane: Lane, send: DueSend) -> DueSend {
    if send.attempts == 0 && send.redeliveries == 0 && lane.class != Class::Resent {
        DueSend { pinned: false, first_claim_after_ms: 0, ..send }
    } else {
        send
    }
}

/// What one send changes, twice where it is counted by variant too.
struct Tally<'a> {
    settlement: &'a Settlement,
    counts: Vec<Count>,
}

impl Tally<'_> {
    fn add(&mut self, counter: Counter, by: i64) {
        self.counts.push(Count { campaign: self.settlement.lease.lane.campaign, counter, by });
    }

    fn with_variant(&mut self, counter: Counter, what: VariantCounter) {
        self.add(counter, 1);
        if let Some(name) = self.settlement.variant {
            self.add(Counter::Variant(self.settlement.lease.send.action, name, what), 1);
        }
    }
}

fn counts(settlement: &Settlement, stays_open: bool) -> Vec<Count> {
    let action = settlement.lease.send.action;
    let mut tally = Tally { settlement, counts: Vec::with_capacity(8) };
    if settlement.attempted {
        tally.with_variant(Counter::Attempts(action), VariantCounter::Attempts);
    }
    if let Some(bucket) = late(settlement) {
        tally.with_variant(Counter::Latency(action, bucket), VariantCounter::Latency(bucket));
    }
    let was_attempted = settlement.lease.send.attempts > 0;
    let is_over = match &settlement.settle {
        Settle::Delivered => {
            tally.with_variant(Counter::Delivered(action), VariantCounter::Delivered);
            true
        }
        Settle::Failed { .. } => {
            tally.with_variant(Counter::Failed(action), VariantCounter::Failed);
            true
        }
        Settle::Suppressed(reason) => {
            tally.with_variant(Counter::Suppressed(action, *reason), VariantCounter::Suppressed);
            true
        }
        Settle::Skipped => {
            tally.add(Counter::Planned(action), -1);
            true
        }
        Settle::Refused(reason) => {
            tally.add(Counter::Planned(action), -1);
            tally.add(Counter::Entered, -1);
            tally.add(Counter::Refused(*reason), 1);
            true
        }
        Settle::Retry { .. } => {
            tally.with_variant(Counter::Retries(action), VariantCounter::Retries);
            if settlement.attempted && !was_attempted {
                tally.add(Counter::Retrying(action), 1);
            }
            false
        }
        Settle::Dropped | Settle::Hold { .. } | Settle::Back | Settle::Park { .. } => false,
    };
    if is_over {
        tally.add(Counter::Pending(action), -1);
        if was_attempted {
            tally.add(Counter::Retrying(action), -1);
        }
        // Who was refused did not enter.
        let is_refused = matches!(settlement.settle, Settle::Refused(_));
        if is_refused || !stays_open {
            tally.add(Counter::Open, -1);
        }
        if !is_refused && !stays_open {
            tally.add(Counter::Finished, 1);
        }
    }
    tally.counts
}
