//! Pure. How many sends a campaign may make in a time: `50/s`, `600/min`. Kept as a bucket of tokens, one each interval.
//!
//! Counted by the generic cell rate algorithm: all that is stored is the instant up to which tokens were given away. Each token has an
//! instant of its own, an interval after the one before it. They are given away at most a quarter of a second ahead, so that a batch
//! can be reserved in one call and still goes out evenly.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits;
use crate::number::{CampaignNo, DestinationNo};

/// A checked throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Of one token; rounded up, so that the rate is never exceeded.
    pub interval_us: u64,
    /// Tokens that may be given away ahead.
    pub ahead: u64,
}

/// Whose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    Campaign(CampaignNo),
    Destination(DestinationNo),
}

/// What was taken of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub tokens: u64,
    /// The instant of the first one; the others follow, an interval apart.
    pub first_at: Timestamp,
    /// When it is worth asking for the next one.
    pub next_at: Timestamp,
}

/// How far ahead tokens are given away: as long a send may wait inside a sender.
const AHEAD_US: u64 = 250_000;

const UNITS: [(&str, u64); 6] = [("s", 1), ("sec", 1), ("min", 60), ("m", 60), ("h", 3_600), ("d", 86_400)];
const EXAMPLE: &str = "write a number of sends and a unit of time, as in 50/s, 600/min or 1000/h";

impl Throttle {
    pub fn parse(text: &str) -> Result<Throttle, String> {
        let wrong = || format!("{text:?} is no throttle: {EXAMPLE}");
        let (number, unit) = text.trim().split_once('/').ok_or_else(wrong)?;
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let (_, secs) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if number == 0 {
            return Err(format!("{text:?} would send nothing: pause the campaign instead"));
        }
        if number > limits::THROTTLE_PER_SEC_MAX * secs {
            return Err(format!("{text:?} is more than {} a second", limits::THROTTLE_PER_SEC_MAX));
        }
        let interval_us = (secs * 1_000_000).div_ceil(number);
        Ok(Throttle { interval_us, ahead: (AHEAD_US / interval_us).max(1) })
    }

    /// Takes at most `want` tokens of a bucket that has given away those up to `given_us` (since 1970); answers the new `given_us` too.
    pub fn take(&self, given_us: u64, want: u64, now_us: u64) -> (u64, Taken) {
        let first = given_us.max(now_us);
        let room = (now_us + self.ahead * self.interval_us).saturating_sub(first) / self.interval_us;
        let tokens = want.min(room);
        let given = first + tokens * self.interval_us;
        (given, Taken { tokens, first_at: instant(first), next_at: instant(self.next_us(given, now_us)) })
    }

    fn next_us(&self, given_us: u64, now_us: u64) -> u64 {
        (given_us + self.interval_us).saturating_sub(self.ahead * self.interval_us).max(now_us)
    }

    /// The instant of the token in this place after the first.
    pub fn at(&self, taken: &Taken, place: u64) -> Timestamp {
        let later = Duration::from_micros(place.saturating_mul(self.interval_us));
        taken.first_at.saturating_add(later).unwrap_or(Timestamp::MAX)
    }

    /// When to ask again for `want` tokens that were not there: when as many are, or half of what is given ahead. `part`, in 0 to 1,
    /// sets apart those who would otherwise all come at once.
    pub fn ask_again_at(&self, next_at: Timestamp, want: u64, part: f64) -> Timestamp {
        let more = want.min(self.ahead / 2).saturating_sub(1) * self.interval_us;
        let apart = (AHEAD_US as f64 * part.clamp(0.0, 1.0)) as u64;
        next_at.saturating_add(Duration::from_micros(more + apart)).unwrap_or(Timestamp::MAX)
    }

    /// How long `n` sends take at least.
    pub fn time_for(&self, n: u64) -> SignedDuration {
        SignedDuration::from_micros(i64::try_from(n.saturating_mul(self.interval_us)).unwrap_or(i64::MAX))
    }
}

fn instant(us: u64) -> Timestamp {
    i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(u64, u64), &str>) {
        let parsed = Throttle::parse(text).map(|throttle| (throttle.interval_us, throttle.ahead));
        match (&parsed, expected) {
            (Ok(parsed), Ok(expected)) => assert_eq!(*parsed, expected, "{text}"),
            (Err(told), Err(expected)) => assert!(told.contains(expected), "{told} lacks {expected}"),
            _ => panic!("{text} gave {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_throttle_is_a_number_and_a_unit_of_time() {
        check("50/s", Ok((20_000, 12)));
        check("600/min", Ok((100_000, 2)));
        check(" 600 / min ", Ok((100_000, 2)));
        check("1000/s", Ok((1_000, 250)));
        check("7/min", Ok((8_571_429, 1)));
        check("1/d", Ok((86_400_000_000, 1)));
        check("1000000/s", Ok((1, 250_000)));
        for wrong in ["", "50", "/s", "50/", "x/s", "-1/s", "1.5/s", "50/week", "50 s"] {
            check(wrong, Err("as in 50/s"));
        }
        check("0/s", Err("pause the campaign"));
        check("1000001/s", Err("more than 1000000 a second"));
    }

    #[test]
    fn tokens_are_given_a_quarter_of_a_second_ahead_each_at_its_instant() {
        let throttle = Throttle::parse("50/s").unwrap();
        let now = 1_000_000_000;
        let (given, taken) = throttle.take(0, 128, now);
        assert_eq!((taken.tokens, taken.first_at.as_microsecond()), (12, 1_000_000_000));
        assert_eq!(throttle.at(&taken, 11).as_microsecond(), 1_000_220_000);
        assert_eq!(taken.next_at.as_microsecond(), 1_000_020_000);
        assert_eq!(throttle.take(given, 1, now + 19_999).1.tokens, 0);
        let (_, more) = throttle.take(given, 9, now + 20_000);
        assert_eq!((more.tokens, more.first_at.as_microsecond()), (1, 1_000_240_000));
        assert_eq!(throttle.ask_again_at(taken.next_at, 100, 0.0).as_microsecond(), 1_000_120_000);
        assert_eq!(throttle.ask_again_at(taken.next_at, 100, 0.5).as_microsecond(), 1_000_245_000);
        assert_eq!(throttle.ask_again_at(taken.next_at, 1, 0.0), taken.next_at);
    }

    proptest! {
        /// Whoever asks whenever: no two tokens are nearer than an interval, none lies in the past or further ahead than allowed.
        #[test]
        fn the_rate_is_never_exceeded_in_any_stretch_of_time(
            number in 1u64..5_000,
            unit in 0usize..UNITS.len(),
            asks in prop::collection::vec((0u64..3_000_000, 0u64..300), 1..60),
        ) {
            let throttle = Throttle::parse(&format!("{number}/{}", UNITS[unit].0)).unwrap();
            let (mut now, mut given, mut last) = (1_700_000_000_000_000, 0, None);
            for (later, want) in asks {
                now += later;
                let (new, taken) = throttle.take(given, want, now);
                prop_assert!(taken.tokens <= want);
                if taken.tokens < want {
                    let next_us = u64::try_from(taken.next_at.as_microsecond()).unwrap();
                    prop_assert_eq!(throttle.take(new, 1, next_us).1.tokens, 1, "one is there when said");
                }
                given = new;
                for place in 0..taken.tokens {
                    let at = u64::try_from(throttle.at(&taken, place).as_microsecond()).unwrap();
                    prop_assert!(at >= now && at < now + throttle.ahead * throttle.interval_us);
                    prop_assert!(last.is_none_or(|last| at >= last + throttle.interval_us));
                    last = Some(at);
                }
            }
        }
    }
}
