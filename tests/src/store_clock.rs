//! A clock for tests on a real store: what the store's last answer said, standing still in between.

use std::sync::Mutex;

use campanile_core::ports::Clock;
use jiff::Timestamp;

pub struct StoreClock(Mutex<Timestamp>);

impl StoreClock {
    pub fn new() -> StoreClock {
        StoreClock(Mutex::new(Timestamp::UNIX_EPOCH))
    }
}

impl Default for StoreClock {
    fn default() -> StoreClock {
        StoreClock::new()
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no test panics while it holds the clock")
    }

    fn observe(&self, store_now: Timestamp) {
        let mut now = self.0.lock().expect("no test panics while it holds the clock");
        *now = store_now.max(*now);
    }
}
