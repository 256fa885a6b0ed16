//! Pure. Whether a far end is left alone for a while: opened by a minute in which most attempts failed, tried again by one probe.
//!
//! One is kept for each destination that had trouble within the last minute, and all senders share it: each adds what it saw and saves the
//! result if nobody else did in between. `now` is the store's clock. The arithmetic is here and nowhere else.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attempt::Outcome;
use crate::limits;
use crate::notice::{self, Notice, What};
use crate::number::DestinationNo;

/// Slices of the minute that is counted, and how long one is.
const SLICES: usize = 6;
const SLICE_SECS: i64 = 10;

/// What the last minute's attempts came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub good: u32,
    pub bad: u32,
}

/// Attempts of about a minute, ten seconds a slice, so that old ones go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute(Vec<(i64, Tally)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    #[default]
    Closed,
    /// Nothing is sent until then; then one probe is.
    Open {
        until: Timestamp,
        /// How often in a row: each time it stays open twice as long.
        times: u32,
        /// When it opened first.
        since: Timestamp,
    },
    /// One send is on its way. Nobody else's is until it has ended, or its sender has surely died.
    Probing { until: Timestamp, times: u32, since: Timestamp },
}

/// A destination's trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub standing: Standing,
    #[serde(default)]
    pub minute: Minute,
    /// It last answered 410: what is sent there is not wanted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// That it is open has been told: since when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
    /// What the deployment's operators are to be told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
}

/// What a breaker says to a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Send,
    /// Not before then.
    Wait(Timestamp),
    /// One may be sent, by whoever takes the probe.
    Probe,
}

/// Whether an outcome speaks against its far end as a whole: it cannot take more, or was not reached. None: it says nothing, for no
/// request was made.
pub fn is_bad(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Forbidden(_) => None,
        Outcome::Answered(answer) | Outcome::Refused(answer) => {
            Some(matches!(answer.status, 408 | 429 | 502 | 503 | 504 | 529))
        }
        _ => Some(true),
    }
}

impl Minute {
    pub fn add(&mut self, more: Tally, now: Timestamp) {
        self.forget(now);
        self.add_to(now.as_second().div_euclid(SLICE_SECS), more);
    }

    pub fn sum(&self, now: Timestamp) -> Tally {
        let first = first_slice(now);
        let recent = self.0.iter().filter(|(at, _)| *at >= first);
        recent.fold(Tally::default(), |sum, (_, tally)| Tally {
            good: sum.good.saturating_add(tally.good),
            bad: sum.bad.saturating_add(tally.bad),
        })
    }

    pub fn merge(&mut self, other: &Minute, now: Timestamp) {
        self.forget(now);
        for (slice, tally) in other.0.iter().filter(|(at, _)| *at >= first_slice(now)) {
            self.add_to(*slice, *tally);
        }
    }

    fn add_to(&mut self, slice: i64, more: Tally) {
        match self.0.iter_mut().find(|(at, _)| *at == slice) {
            Some((_, tally)) => {
                tally.good = tally.good.saturating_add(more.good);
                tally.bad = tally.bad.saturating_add(more.bad);
            }
            None => self.0.push((slice, more)),
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let first = first_slice(now);
        self.0.retain(|(at, _)| *at >= first);
    }
}

fn first_slice(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SLICE_SECS) - (SLICES as i64 - 1)
}

impl Breaker {
    pub fn says(&self, now: Timestamp) -> Says {
        match self.standing {
            Standing::Closed => Says::Send,
            Standing::Open { until, .. } | Standing::Probing { until, .. } if until <= now => Says::Probe,
            Standing::Open { until, .. } => Says::Wait(until),
            Standing::Probing { until, .. } => {
                Says::Wait(until.min(now.saturating_add(limits::BREAKER_LOOK_AGAIN).unwrap_or(until)))
            }
        }
    }

    /// Counts what attempts came to, and opens if that is too bad.
    pub fn count(&mut self, seen: &Minute, now: Timestamp) {
        self.minute.merge(seen, now);
        let Tally { good, bad } = self.minute.sum(now);
        let attempts = good.saturating_add(bad);
        if self.standing == Standing::Closed && attempts >= limits::BREAKER_ATTEMPTS_MIN && bad > good {
            self.standing = opened(now, 0, now);
        }
    }

    /// Takes the probe: `false` where there is none to be taken. After `lasts` somebody else may.
    pub fn take_probe(&mut self, now: Timestamp, lasts: Duration) -> bool {
        let (Standing::Open { times, since, .. } | Standing::Probing { times, since, .. }) = self.standing
        else {
            return false;
        };
        if self.says(now) != Says::Probe {
            return false;
        }
        let until = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        self.standing = Standing::Probing { until, times, since };
        true
    }

    /// What the probe came to; none: it was not sent after all, and the next one may be.
    pub fn probed(&mut self, is_bad: Option<bool>, now: Timestamp) {
        let (Standing::Open { times, since, .. } | Standing::Probing { times, since, .. }) = self.standing
        else {
            return;
        };
        match is_bad {
            Some(true) => self.standing = opened(now, times.saturating_add(1), since),
            Some(false) => self.close(),
            None => self.standing = Standing::Open { until: now, times, since },
        }
    }

    /// As if nothing had happened.
    pub fn close(&mut self) {
        self.standing = Standing::Closed;
        self.minute = Minute::default();
    }

    /// Nothing of it matters any more.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let is_told = self.told.is_none() && self.notices.is_empty();
        self.standing == Standing::Closed
            && self.gone_at.is_none()
            && self.minute.sum(now).bad == 0
            && is_told
    }

    /// It has been open for long, or closed after that, and nobody was told.
    pub fn has_news(&self, now: Timestamp) -> bool {
        match (self.standing, self.told) {
            (Standing::Closed, told) => told.is_some(),
            (Standing::Open { since, .. } | Standing::Probing { since, .. }, told) => {
                let is_long = since.saturating_add(limits::TOLD_AFTER).is_ok_and(|at| at <= now);
                is_long && told != Some(since)
            }
        }
    }

    /// Has operators told of it.
    pub fn tell(&mut self, no: DestinationNo, now: Timestamp) {
        if !self.has_news(now) {
            return;
        }
        let (what, since, word) = match self.standing {
            Standing::Open { since, .. } | Standing::Probing { since, .. } => {
                self.told = Some(since);
                (What::LeftAlone { since }, since, "left-alone")
            }
            Standing::Closed => {
                let Some(since) = self.told.take() else { return };
                (What::TakesAgain { since }, since, "takes-again")
            }
        };
        let id = format!("destination-{}-{}-{word}", no.0, since.as_millisecond());
        notice::push(&mut self.notices, Notice::new(id, now, what));
    }

    /// Nobody is to be told of anything.
    pub fn hush(&mut self) {
        self.told = None;
        self.notices.clear();
    }

    /// Somebody's probe is on its way.
    pub fn is_probing(&self) -> bool {
        matches!(self.standing, Standing::Probing { .. })
    }

    pub fn is_open(&self) -> bool {
        self.standing != Standing::Closed
    }
}

fn opened(now: Timestamp, times: u32, since: Timestamp) -> Standing {
    let lasts = limits::BREAKER_OPEN_MAX.min(limits::BREAKER_OPEN_MIN * 2_u32.saturating_pow(times.min(16)));
    Standing::Open { until: now.saturating_add(lasts).unwrap_or(Timestamp::MAX), times, since }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_open_for_ten_minutes_is_told_once_and_so_is_its_end() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let mut breaker = Breaker { standing: opened(at(0), 0, at(0)), ..Breaker::default() };
        let told = |breaker: &mut Breaker, seconds| {
            breaker.tell(DestinationNo(7), at(seconds));
            std::mem::take(&mut breaker.notices).into_iter().map(|notice| notice.what).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut breaker, 599), []);
        assert_eq!(told(&mut breaker, 600), [What::LeftAlone { since: at(0) }]);
        assert_eq!(told(&mut breaker, 601), []);
        breaker.probed(Some(true), at(700));
        assert_eq!(told(&mut breaker, 701), [], "it was told when it opened first");
        breaker.probed(Some(false), at(800));
        assert!(!breaker.is_idle(at(900)), "its end is still to be told");
        assert_eq!(told(&mut breaker, 801), [What::TakesAgain { since: at(0) }]);
        assert!(breaker.is_idle(at(900)));
        // One that closes sooner is nobody's business.
        let mut short = Breaker { standing: opened(at(0), 0, at(0)), ..Breaker::default() };
        short.probed(Some(false), at(60));
        assert_eq!(told(&mut short, 61), []);
    }
    use crate::attempt::{Answer, Phase};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn counted(breaker: &mut Breaker, good: u32, bad: u32, secs: i64) {
        let mut seen = Minute::default();
        seen.add(Tally { good, bad }, at(secs));
        breaker.count(&seen, at(secs));
    }

    fn open(until: i64, times: u32) -> Standing {
        Standing::Open { until: at(until), times, since: at(0) }
    }

    #[test]
    fn it_opens_when_more_than_half_of_twenty_attempts_in_a_minute_failed() {
        for (good, bad, opens) in
            [(0, 19, false), (0, 20, true), (10, 10, false), (9, 11, true), (1_000, 900, false)]
        {
            let mut breaker = Breaker::default();
            counted(&mut breaker, good, bad, 0);
            let expected = if opens { open(60, 0) } else { Standing::Closed };
            assert_eq!(breaker.standing, expected, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn what_was_a_minute_ago_counts_no_more() {
        let mut breaker = Breaker::default();
        counted(&mut breaker, 0, 19, 0);
        counted(&mut breaker, 0, 1, 61);
        assert_eq!(breaker.standing, Standing::Closed);
        assert_eq!(breaker.minute.sum(at(61)), Tally { good: 0, bad: 1 });
        assert!(!breaker.is_idle(at(61)) && breaker.is_idle(at(130)));
        counted(&mut breaker, 0, 10, 62);
        counted(&mut breaker, 0, 9, 100);
        assert!(breaker.is_open());
    }

    #[test]
    fn while_it_is_open_one_probe_after_the_other_is_sent_each_after_twice_the_time_up_to_ten_minutes() {
        let mut breaker = Breaker::default();
        counted(&mut breaker, 0, 20, 0);
        let mut now = 0;
        for (times, lasts) in [(0, 60), (1, 120), (2, 240), (3, 480), (4, 600), (5, 600)] {
            assert_eq!(breaker.standing, open(now + lasts, times));
            assert_eq!(breaker.says(at(now + lasts - 1)), Says::Wait(at(now + lasts)));
            now += lasts;
            assert_eq!(breaker.says(at(now)), Says::Probe);
            assert!(breaker.take_probe(at(now), Duration::from_secs(35)));
            assert!(!breaker.take_probe(at(now), Duration::from_secs(35)), "one probe");
            assert_eq!(breaker.says(at(now)), Says::Wait(at(now + 1)), "the others look again soon");
            breaker.probed(Some(true), at(now));
        }
        breaker.probed(Some(false), at(now));
        assert_eq!((breaker.says(at(now)), breaker.is_idle(at(now))), (Says::Send, true));
    }

    #[test]
    fn a_probe_whose_sender_died_or_that_was_not_sent_is_taken_again() {
        let mut breaker = Breaker::default();
        counted(&mut breaker, 0, 20, 0);
        assert!(breaker.take_probe(at(60), Duration::from_secs(35)));
        assert_eq!(breaker.says(at(94)), Says::Wait(at(95)));
        assert!(breaker.take_probe(at(95), Duration::from_secs(35)));
        breaker.probed(None, at(96));
        assert_eq!(breaker.says(at(96)), Says::Probe);
        assert!(!Breaker::default().take_probe(at(0), Duration::from_secs(35)), "a closed one has none");
    }

    #[test]
    fn outcomes_that_speak_against_a_far_end() {
        let answered = |status| Outcome::Answered(Answer { status, ..Answer::default() });
        for status in 100..600 {
            let bad = [408, 429, 502, 503, 504, 529].contains(&status);
            assert_eq!(is_bad(&answered(status)), Some(bad), "{status}");
        }
        assert_eq!(is_bad(&Outcome::TimedOut(Phase::Answer)), Some(true));
        assert_eq!(is_bad(&Outcome::Dns(String::new())), Some(true));
        assert_eq!(is_bad(&Outcome::Forbidden(String::new())), None);
    }

    proptest! {
        /// Whoever reports in whatever parts: it is as if one had seen everything.
        #[test]
        fn what_several_senders_saw_adds_up(seen in prop::collection::vec((0i64..200, 0u32..5, 0u32..5), 0..40)) {
            let mut seen = seen;
            seen.sort_unstable();
            let (mut whole, mut parts) = (Minute::default(), [Minute::default(), Minute::default()]);
            for (place, (secs, good, bad)) in seen.iter().enumerate() {
                let tally = Tally { good: *good, bad: *bad };
                whole.add(tally, at(*secs));
                parts[place % 2].add(tally, at(*secs));
            }
            let now = at(seen.last().map_or(0, |(secs, ..)| *secs));
            let mut merged = Minute::default();
            for part in &parts {
                merged.merge(part, now);
            }
            prop_assert_eq!(merged.sum(now), whole.sum(now));
        }
    }
}
