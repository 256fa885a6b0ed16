//! The one room that reads the machine's clocks. Everything else is told what time it is.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use campanile_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};

/// The store's time: its last answer, plus this machine's monotonic time since. Until a store has answered, and for a store
/// without a clock of its own, the machine's wall clock at start, going on monotonically.
pub struct StoreClock {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    /// What the store's clock read at `started`.
    origin: Timestamp,
    /// Never told a time before this: what was stamped stays in order.
    last: Timestamp,
}

impl StoreClock {
    pub fn start() -> StoreClock {
        let origin = wall_clock();
        StoreClock { started: Instant::now(), state: Mutex::new(State { origin, last: origin }) }
    }

    fn elapsed(&self) -> SignedDuration {
        SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::ZERO)
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.elapsed();
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = to_millis(state.origin.checked_add(elapsed).unwrap_or(state.last));
        state.last = state.last.max(now);
        state.last
    }

    fn observe(&self, store_now: Timestamp) {
        let elapsed = self.elapsed();
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // An answer took a while to arrive, so what it says is at least how late it is: the latest estimate is the best one,
        // unless the store's clock was really set back.
        let Ok(origin) = store_now.checked_sub(elapsed) else { return };
        let behind = state.origin.duration_since(origin);
        if origin > state.origin {
            state.origin = origin;
        } else if behind > SignedDuration::from_secs(1) {
            state.origin = origin;
            state.last = to_millis(store_now);
        }
    }
}

fn wall_clock() -> Timestamp {
    to_millis(Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_s_clock_is_followed_forwards_and_a_small_step_back_is_not() {
        let clock = StoreClock::start();
        let now = clock.now();
        let ahead = now + SignedDuration::from_secs(3_600);
        clock.observe(ahead);
        assert!(clock.now() >= ahead, "a store an hour ahead is right");
        clock.observe(ahead - SignedDuration::from_millis(200));
        assert!(clock.now() >= ahead, "a slow answer does not turn time back");
        clock.observe(now);
        assert!(
            clock.now() < now + SignedDuration::from_secs(60),
            "a store set back by an hour is right again"
        );
    }
}
