//! Pure. Writes down what became of a send: the settlement, with its row for the log.
//!
//! Before: `admit` or `judge`. After: `settle`, which carries it to the store.

use campanile_core::attempt::{Attempt, Outcome, Verdict};
use campanile_core::due_send::Lease;
use campanile_core::kept::Kept;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::DestinationNo;
use campanile_core::ports::{Settle, Settlement};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::webhook_kept::StoredRequest;
use jiff::Timestamp;

use crate::case::Case;

pub fn suppressed(case: &Case, reason: Suppression, text: String, now: Timestamp) -> Settlement {
    let ended = Ended::Suppressed(reason);
    let attempts = case.lease.send.next_attempt() - 1;
    let row = row(case, ended, attempts, now, text);
    Settlement {
        lease: case.lease.clone(),
        settle: Settle::Suppressed(reason),
        attempted: false,
        variant: None,
        hops: 0,
        row: Some(row),
    }
}

/// Its action is passed over (`Ended::Skipped`), or what it waited for did not come (`Ended::Missed`).
pub fn skipped(case: &Case, ended: Ended, text: String, now: Timestamp) -> Settlement {
    let row = Some(row(case, ended, 0, now, text));
    let lease = case.lease.clone();
    Settlement { lease, settle: Settle::Skipped, attempted: false, variant: None, hops: 0, row }
}

/// Another send of its entry has taken its place.
pub fn dropped(lease: Lease) -> Settlement {
    Settlement { lease, settle: Settle::Dropped, attempted: false, variant: None, hops: 0, row: None }
}

pub fn held(lease: Lease, at: Timestamp) -> Settlement {
    hold(lease, at, None)
}

/// Due at another instant than it was planned for.
pub fn moved(lease: Lease, due_at: Timestamp) -> Settlement {
    hold(lease, due_at, Some(due_at))
}

fn hold(lease: Lease, at: Timestamp, due_at: Option<Timestamp>) -> Settlement {
    Settlement {
        lease,
        settle: Settle::Hold { at, due_at },
        attempted: false,
        variant: None,
        hops: 0,
        row: None,
    }
}

/// Its user does not enter after all.
pub fn refused(lease: Lease, reason: Refusal) -> Settlement {
    Settlement { lease, settle: Settle::Refused(reason), attempted: false, variant: None, hops: 0, row: None }
}

/// Its lane waits, or that of the destination it was found to go to: what stops it stops all that is in the lane.
pub fn parked(lease: Lease, until: Timestamp, to: Option<DestinationNo>) -> Settlement {
    let to = to.filter(|to| *to != lease.lane.destination);
    let settle = Settle::Park { until, to };
    Settlement { lease, settle, attempted: false, variant: None, hops: 0, row: None }
}

/// As it was claimed, to whoever claims next.
pub fn put_back(lease: Lease) -> Settlement {
    Settlement { lease, settle: Settle::Back, attempted: false, variant: None, hops: 0, row: None }
}

/// After an attempt. `keep` is asked only if there is something to keep.
pub fn attempted(
    case: &Case,
    attempt: Attempt,
    verdict: Verdict,
    keep: impl FnOnce() -> Option<StoredRequest>,
) -> Settlement {
    let is_posted = !matches!(attempt.outcome, Outcome::Forbidden(_));
    let now = attempt.ended_at;
    let mut text = attempt.outcome.text();
    let ended = match &verdict {
        Verdict::Done => Ended::Delivered,
        Verdict::RetryAt(_) => Ended::Retrying,
        Verdict::GiveUp(reason) => Ended::Failed(*reason),
        Verdict::Suppress(reason, why) => {
            text.clone_from(why);
            Ended::Suppressed(*reason)
        }
    };
    let number = if is_posted { attempt.number } else { attempt.number.saturating_sub(1) };
    let mut row = row(case, ended, number, now, text);
    row.status = attempt.outcome.status();
    let took = now.duration_since(attempt.began_at).as_millis();
    row.took_ms = u32::try_from(took.max(0)).unwrap_or(u32::MAX);
    let settle = match verdict {
        Verdict::Done => Settle::Delivered,
        Verdict::RetryAt(at) => Settle::Retry { at, kept: kept(case, attempt, keep) },
        Verdict::GiveUp(reason) => Settle::Failed { reason, kept: kept(case, attempt, keep) },
        Verdict::Suppress(reason, _) => Settle::Suppressed(reason),
    };
    Settlement {
        lease: case.lease.clone(),
        settle,
        attempted: is_posted,
        variant: None,
        hops: 0,
        row: Some(row),
    }
}

/// The request of the first attempt, and all attempts.
fn kept(case: &Case, attempt: Attempt, keep: impl FnOnce() -> Option<StoredRequest>) -> Vec<u8> {
    let (request, mut attempts) = match &case.kept {
        Some(kept) => (Some(kept.request.clone()), kept.attempts.clone()),
        None => (keep(), Vec::new()),
    };
    attempts.push(attempt);
    request.map(|request| Kept { request, attempts }.pack()).unwrap_or_default()
}

fn row(case: &Case, ended: Ended, attempts: u32, at: Timestamp, text: String) -> LogRow {
    let send = &case.lease.send;
    LogRow {
        ended,
        campaign: case.lease.lane.campaign,
        user: send.user,
        user_hash: case.id.user_hash,
        key: send.key,
        action: send.action,
        due_at: send.due_at,
        at,
        revision: send.revision,
        attempts: u8::try_from(attempts).unwrap_or(u8::MAX),
        status: 0,
        took_ms: 0,
        text,
    }
}
