//! Pure. The waits between attempts: presets, an author's own list, jitter, and what a far end asks for.

use std::time::Duration;

use jiff::Timestamp;

use crate::draft::Retry;
use crate::fault::Faults;
use crate::limits;

const SHORT_SECS: [u64; 5] = [10, 30, 2 * 60, 7 * 60, 20 * 60];
const LONG_SECS: [u64; 7] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600];
/// Each wait varies by this share of it, either way.
const JITTER: f64 = 0.2;

/// The waits after the first, second, ... failed attempt; after the last one the send has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    pub waits: Vec<Duration>,
}

impl RetrySchedule {
    pub fn short() -> RetrySchedule {
        RetrySchedule { waits: SHORT_SECS.map(Duration::from_secs).to_vec() }
    }

    pub fn long() -> RetrySchedule {
        RetrySchedule { waits: LONG_SECS.map(Duration::from_secs).to_vec() }
    }

    /// What the author wrote, or `default` where nothing was written.
    pub fn of(retry: &Retry, default: RetrySchedule, faults: &mut Faults) -> RetrySchedule {
        let field = "limits.retry";
        if !retry.preset.is_empty() && !retry.waits.is_empty() {
            faults.add(field, "give a preset or waits, not both");
        }
        if retry.waits.len() > limits::RETRY_WAITS_MAX {
            let text =
                format!("has {} waits, at most {} are allowed", retry.waits.len(), limits::RETRY_WAITS_MAX);
            faults.add("limits.retry.waits", text);
        }
        for (i, wait) in retry.waits.iter().enumerate() {
            if *wait < limits::RETRY_AFTER_MIN || *wait > limits::RETRY_AFTER_MAX {
                faults.add(format!("limits.retry.waits[{i}]"), "a wait is between 1s and 24h");
            }
        }
        match retry.preset.as_str() {
            "" if retry.waits.is_empty() => default,
            "" => RetrySchedule { waits: retry.waits.clone() },
            "short" => RetrySchedule::short(),
            "long" => RetrySchedule::long(),
            other => {
                faults.add("limits.retry.preset", format!("{other:?} is not known: write short or long"));
                default
            }
        }
    }

    /// The wait after `failed` attempts have failed, varied by `jitter` in -1 to 1; none when they are used up.
    pub fn wait_after(&self, failed: u32, jitter: f64) -> Option<Duration> {
        let wait = self.waits.get(usize::try_from(failed.checked_sub(1)?).ok()?)?;
        Some(wait.mul_f64(1.0 + JITTER * jitter.clamp(-1.0, 1.0)))
    }
}

/// How long a far end asks to wait, by its `Retry-After` (RFC 9110, 10.2.3: seconds or an HTTP date), cut to the bounds it is
/// honoured between. None where it says nothing that can be read.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let asked = if let Ok(secs) = header.parse::<u64>() {
        Duration::from_secs(secs)
    } else if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        limits::RETRY_AFTER_MAX
    } else {
        let at = Timestamp::try_from(httpdate::parse_http_date(header).ok()?).ok()?;
        Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(asked.clamp(limits::RETRY_AFTER_MIN, limits::RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_stays_within_a_fifth_of_its_schedule() {
        let schedule = RetrySchedule::short();
        for (failed, secs) in (1..).zip(SHORT_SECS) {
            for jitter in [-1.0, -0.3, 0.0, 1.0, 7.0] {
                let wait = schedule.wait_after(failed, jitter).unwrap().as_secs_f64();
                assert!((0.8 * secs as f64..=1.2 * secs as f64).contains(&wait), "{failed} {jitter}: {wait}");
            }
        }
        assert_eq!(schedule.wait_after(6, 0.0), None);
        assert_eq!(schedule.wait_after(0, 0.0), None);
    }

    #[test]
    fn a_far_end_may_ask_for_seconds_or_a_date_within_bounds() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let check = |header: &str, secs: Option<u64>| {
            assert_eq!(retry_after(header, now), secs.map(Duration::from_secs), "{header}");
        };
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("0", Some(1));
        check("99999999", Some(24 * 3600));
        check("99999999999999999999999", Some(24 * 3600));
        check("Tue, 24 Nov 2026 08:05:00 GMT", Some(300));
        check("Tue, 24 Nov 2020 08:05:00 GMT", Some(1));
        check("soon", None);
        check("", None);
        check("-5", None);
    }

    #[test]
    fn an_author_writes_a_preset_or_waits() {
        let read = |retry: &Retry| {
            let mut faults = Faults::default();
            let schedule = RetrySchedule::of(retry, RetrySchedule::long(), &mut faults);
            (schedule, faults.0.into_iter().map(|f| f.field).collect::<Vec<_>>())
        };
        let preset = |name: &str| Retry { preset: name.to_owned(), waits: vec![] };
        assert_eq!(read(&Retry::default()), (RetrySchedule::long(), vec![]));
        assert_eq!(read(&preset("short")), (RetrySchedule::short(), vec![]));
        assert_eq!(read(&preset("never")).1, ["limits.retry.preset"]);
        let own = Retry { preset: String::new(), waits: vec![Duration::from_secs(3)] };
        assert_eq!(read(&own), (RetrySchedule { waits: vec![Duration::from_secs(3)] }, vec![]));
        let bad = Retry { preset: "short".to_owned(), waits: vec![Duration::ZERO; 21] };
        assert_eq!(read(&bad).1.len(), 1 + 1 + 21);
    }
}
