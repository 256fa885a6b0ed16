//! What the sender tells the metrics: requests, connections, settlements. Their names and labels are here and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campanile_core::attempt::{Attempt, Outcome};
use campanile_core::due_send::DueSend;
use campanile_core::log_row::Ended;
use campanile_core::ports::Settlement;
use metrics::{Counter, Histogram, counter, gauge, histogram};

/// Destinations with a label of their own; those that come later share `other`. A label costs memory here and in whatever reads it.
const DESTINATIONS_MAX: usize = 100;
const OTHER: &str = "other";

/// Requests of one process.
pub(crate) struct Requests {
    took: Histogram,
    pooled: Counter,
    dialed: Counter,
    by_destination: Mutex<HashMap<Arc<str>, HashMap<&'static str, Counter>>>,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            took: histogram!("campanile_attempt_seconds"),
            pooled: counter!("campanile_connections_total", "from" => "pool"),
            dialed: counter!("campanile_connections_total", "from" => "dial"),
            by_destination: Mutex::default(),
        }
    }
}

impl Requests {
    pub(crate) fn connection(&self, is_pooled: bool) {
        if is_pooled { self.pooled.increment(1) } else { self.dialed.increment(1) }
    }

    pub(crate) fn request(&self, destination: &str, outcome: &Outcome, took: Duration) {
        self.took.record(took.as_secs_f64());
        let mut known = self.by_destination.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match known.contains_key(destination) || known.len() < DESTINATIONS_MAX {
            true => destination,
            false => OTHER,
        };
        if !known.contains_key(name) {
            known.insert(Arc::from(name), HashMap::new());
        }
        let Some(classes) = known.get_mut(name) else { return };
        let class = class(outcome);
        let count =
            || counter!("campanile_attempts_total", "outcome" => class, "destination" => name.to_owned());
        classes.entry(class).or_insert_with(count).increment(1);
    }
}

/// Answers by what they mean for the send, everything else as logs name it.
fn class(outcome: &Outcome) -> &'static str {
    match outcome.status() {
        0 => outcome.class(),
        200..=299 => "2xx",
        300..=399 => "3xx",
        429 => "429",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other_status",
    }
}

/// From the due instant to the beginning of the first request.
pub(crate) fn lateness(send: &DueSend, attempt: &Attempt) {
    if attempt.number == 1 {
        let late = attempt.began_at.duration_since(send.due_at).as_secs_f64().max(0.0);
        histogram!("campanile_lateness_seconds").record(late);
    }
}

/// A batch that the store has taken.
pub(crate) fn settled(settlements: &[Settlement], settled: &[bool]) {
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    for row in
        settlements.iter().zip(settled).filter(|(_, taken)| **taken).filter_map(|(s, _)| s.row.as_ref())
    {
        let key = match row.ended {
            Ended::Delivered => ("delivered", ""),
            Ended::Retrying => ("retrying", ""),
            Ended::Skipped => ("skipped", ""),
            Ended::Missed => ("missed", ""),
            Ended::Failed(reason) => ("failed", reason.name()),
            Ended::Suppressed(reason) => ("suppressed", reason.name()),
        };
        *counts.entry(key).or_default() += 1;
    }
    for ((ended, reason), n) in counts {
        counter!("campanile_sends_settled_total", "ended" => ended.to_owned(), "reason" => reason.to_owned())
            .increment(n);
    }
}

/// Destinations that are left alone, and those of them that somebody's probe is on its way to.
pub(crate) fn breakers(open: usize, probing: usize) {
    gauge!("campanile_breakers", "state" => "open").set(open as f64);
    gauge!("campanile_breakers", "state" => "probing").set(probing as f64);
}

pub(crate) fn in_flight(sends: usize) {
    gauge!("campanile_sends_in_flight").set(sends as f64);
}

/// What came of one attempt to tell a notice.
pub(crate) fn notice(outcome: &'static str) {
    counter!("campanile_notices_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_past_the_bound_share_a_label() {
        let requests = Requests::default();
        for n in 0..DESTINATIONS_MAX + 50 {
            let outcome = Outcome::Connect("refused".to_owned());
            requests.request(&format!("https://{n}.example:443"), &outcome, Duration::ZERO);
        }
        let known = requests.by_destination.into_inner().unwrap();
        assert_eq!(known.len(), DESTINATIONS_MAX + 1);
        assert!(known.contains_key(OTHER) && known.contains_key("https://0.example:443"));
    }
}
