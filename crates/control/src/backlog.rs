//! Pure. What a throttle makes of sends that come all at once: how long they take, and how many are too old when their turn comes.
//!
//! Sends go out in the order in which they may, one each interval; one that is past its expiry when its turn comes takes none.

use campanile_core::throttle::Throttle;
use jiff::Timestamp;

/// Sends that may go from one instant on, and until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    pub at: Timestamp,
    pub expires_at: Timestamp,
    /// Of the occurrence they belong to.
    pub place: usize,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    pub sent: i64,
    pub expired: i64,
    /// When the last of them was sent.
    pub last_at: Option<Timestamp>,
}

/// Sends through a throttle, in the order of the arrivals.
#[derive(Clone, Debug)]
pub struct Backlog {
    throttle: Throttle,
    /// When the next one may be sent.
    free_at: Timestamp,
}

impl Backlog {
    pub fn new(throttle: Throttle) -> Backlog {
        Backlog { throttle, free_at: Timestamp::MIN }
    }

    /// Takes in `sends` of an arrival; none may come after one that is later.
    pub fn drain(&mut self, arrival: &Arrival, sends: i64) -> Drained {
        let first_at = self.free_at.max(arrival.at);
        let room_us = arrival.expires_at.duration_since(first_at).as_micros();
        let interval_us = i128::from(self.throttle.interval_us);
        let room = if room_us < 0 { 0 } else { room_us / interval_us + 1 };
        let sent = i64::try_from(room).unwrap_or(i64::MAX).min(sends);
        let later = |n: i64| {
            let time = self.throttle.time_for(n.unsigned_abs());
            first_at.checked_add(time).unwrap_or(Timestamp::MAX)
        };
        let last_at = (sent > 0).then(|| later(sent - 1));
        if sent > 0 {
            self.free_at = later(sent);
        }
        Drained { sent, expired: sends - sent, last_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-12-01T{text}Z").parse().unwrap()
    }

    #[track_caller]
    fn check(rate: &str, sends: &[(&str, &str, i64)], expected: &[(i64, i64, Option<&str>)]) {
        let mut backlog = Backlog::new(Throttle::parse(rate).unwrap());
        for ((from, until, n), (sent, expired, last)) in sends.iter().zip(expected) {
            let arrival = Arrival { at: at(from), expires_at: at(until), place: 0 };
            let expected = Drained { sent: *sent, expired: *expired, last_at: last.map(at) };
            assert_eq!(backlog.drain(&arrival, *n), expected, "{n} from {from} until {until}");
        }
    }

    #[test]
    fn a_throttle_takes_its_time() {
        check("1/s", &[("09:00", "12:00", 61)], &[(61, 0, Some("09:01"))]);
        check("600/min", &[("09:00", "12:00", 1)], &[(1, 0, Some("09:00"))]);
        check("1/s", &[("09:00", "12:00", 0)], &[(0, 0, None)]);
    }

    #[test]
    fn what_is_left_over_at_the_expiry_is_not_sent() {
        check("1/s", &[("09:00", "09:01", 100)], &[(61, 39, Some("09:01"))]);
        check("1/h", &[("09:00", "09:30", 3)], &[(1, 2, Some("09:00"))]);
    }

    #[test]
    fn one_backlog_delays_the_next() {
        check(
            "1/s",
            &[("09:00", "12:00", 120), ("09:01", "12:00", 60), ("10:00", "12:00", 1)],
            &[(120, 0, Some("09:01:59")), (60, 0, Some("09:02:59")), (1, 0, Some("10:00"))],
        );
        // Those that expire leave their turns to others.
        check(
            "1/s",
            &[("09:00", "09:00:09", 100), ("09:00:05", "12:00", 2)],
            &[(10, 90, Some("09:00:09")), (2, 0, Some("09:00:11"))],
        );
    }
}
