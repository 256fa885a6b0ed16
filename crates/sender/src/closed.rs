//! Pure. A destination that is left alone, as the gate of `admit` and explanations are told of it.

use campanile_core::breaker::Says;
use jiff::Timestamp;

use crate::admit::{Decision, Given};

/// A destination that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub until: Timestamp,
    /// Why, in words.
    pub text: String,
}

/// What a breaker's answer means to a send of that destination. One that may be probed is not closed.
pub fn closed(name: &str, says: Says) -> Option<Closed> {
    let Says::Wait(until) = says else { return None };
    let text = format!("{name} is left alone until {until}: most attempts of the last minute failed there");
    Some(Closed { until, text })
}

/// Before anything is reserved for the send. A resent one waits too.
pub(crate) fn stops(given: &Given<'_>) -> Option<Decision> {
    given.closed.map(|Closed { until, text }| Decision::Park(*until, text.clone()))
}
