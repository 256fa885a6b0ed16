//! Pure. What is done next with a send after an attempt: the outcome, and how many attempts have failed, decide.
//!
//! Before: `wire`, which says what happened. After: `settlement`, which writes it down.

use campanile_core::attempt::{Outcome, Verdict};
use campanile_core::reason::{Failure, Suppression};
use campanile_core::retry::{RetrySchedule, retry_after};
use jiff::Timestamp;

/// The verdict on an attempt that ended at `now`. `settled` attempts were settled before it; `jitter` is in -1 to 1.
pub fn judge(
    outcome: &Outcome,
    settled: u8,
    schedule: &RetrySchedule,
    now: Timestamp,
    jitter: f64,
) -> Verdict {
    if outcome.is_success() {
        return Verdict::Done;
    }
    if let Outcome::Forbidden(text) = outcome {
        return Verdict::Suppress(Suppression::TargetForbidden, text.clone());
    }
    if !may_pass_later(outcome) {
        return Verdict::GiveUp(Failure::Final);
    }
    let Some(wait) = schedule.wait_after(u32::from(settled) + 1, jitter) else {
        return Verdict::GiveUp(Failure::Exhausted);
    };
    let asked = match outcome {
        Outcome::Answered(answer) => {
            answer.retry_after.as_deref().and_then(|header| retry_after(header, now))
        }
        _ => None,
    };
    let wait = asked.map_or(wait, |asked| wait.max(asked));
    Verdict::RetryAt(now.checked_add(wait).unwrap_or(Timestamp::MAX))
}

/// Whether the same request may have another outcome later. Bytes that are not HTTP count as a failing connection.
fn may_pass_later(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered(answer) => matches!(answer.status, 408 | 409 | 425 | 429 | 500..=599),
        Outcome::Certificate(_) | Outcome::Forbidden(_) | Outcome::Refused(_) => false,
        Outcome::Dns(_)
        | Outcome::Connect(_)
        | Outcome::Tls(_)
        | Outcome::TimedOut(_)
        | Outcome::Protocol(_)
        | Outcome::Broken(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use campanile_core::attempt::{Answer, Phase};

    use super::*;

    const NOW: &str = "2026-11-24T08:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(Answer { status, ..Answer::default() })
    }

    fn asking(status: u16, retry_after: &str) -> Outcome {
        Outcome::Answered(Answer { status, retry_after: Some(retry_after.to_owned()), ..Answer::default() })
    }

    fn in_secs(secs: u64) -> Verdict {
        Verdict::RetryAt(now() + Duration::from_secs(secs))
    }

    fn check(outcome: &Outcome, settled: u8, expected: Verdict) {
        let verdict = judge(outcome, settled, &RetrySchedule::short(), now(), 0.0);
        assert_eq!(verdict, expected, "{outcome:?} after {settled}");
    }

    #[test]
    fn every_status_has_one_verdict() {
        for status in 100..1000 {
            let expected = match status {
                200..=299 => Verdict::Done,
                408 | 409 | 425 | 429 | 500..=599 => in_secs(10),
                _ => Verdict::GiveUp(Failure::Final),
            };
            check(&answered(status), 0, expected);
        }
    }

    #[test]
    fn a_failing_network_is_tried_again_and_a_refused_certificate_is_not() {
        let text = || "x".to_owned();
        for outcome in [
            Outcome::Dns(text()),
            Outcome::Connect(text()),
            Outcome::Tls(text()),
            Outcome::TimedOut(Phase::Connect),
            Outcome::TimedOut(Phase::Answer),
            Outcome::TimedOut(Phase::Body),
            Outcome::Protocol(text()),
            Outcome::Broken(text()),
        ] {
            check(&outcome, 0, in_secs(10));
        }
        check(&Outcome::Certificate(text()), 0, Verdict::GiveUp(Failure::Final));
    }

    #[test]
    fn a_forbidden_address_suppresses_and_says_why() {
        let outcome = Outcome::Forbidden("10.0.0.1 is private".to_owned());
        let why = "10.0.0.1 is private".to_owned();
        check(&outcome, 3, Verdict::Suppress(Suppression::TargetForbidden, why));
    }

    #[test]
    fn an_answer_that_success_when_refuses_is_final() {
        let answer = Answer { status: 200, retry_after: Some("5".to_owned()), ..Answer::default() };
        check(&Outcome::Refused(answer), 0, Verdict::GiveUp(Failure::Final));
    }

    #[test]
    fn waits_follow_the_schedule_until_it_is_used_up() {
        for (settled, secs) in [(0, 10), (1, 30), (2, 120), (3, 420), (4, 1200)] {
            check(&answered(503), settled, in_secs(secs));
        }
        check(&answered(503), 5, Verdict::GiveUp(Failure::Exhausted));
        check(&answered(503), 255, Verdict::GiveUp(Failure::Exhausted));
        check(&answered(200), 255, Verdict::Done);
    }

    #[test]
    fn a_far_end_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        for (header, secs) in [
            ("120", 120),
            ("3", 10),
            ("0", 10),
            ("9999999", 24 * 3600),
            ("Tue, 24 Nov 2026 08:05:00 GMT", 300),
            ("Tue, 24 Nov 2020 08:05:00 GMT", 10),
            ("tomorrow", 10),
            ("", 10),
        ] {
            check(&asking(429, header), 0, in_secs(secs));
            check(&asking(503, header), 0, in_secs(secs));
        }
        check(&asking(404, "120"), 0, Verdict::GiveUp(Failure::Final));
        check(&asking(429, "120"), 5, Verdict::GiveUp(Failure::Exhausted));
    }

    #[test]
    fn jitter_varies_the_schedule_by_a_fifth() {
        let schedule = RetrySchedule::short();
        for (jitter, secs) in [(-1.0, 8), (1.0, 12), (0.0, 10)] {
            assert_eq!(judge(&answered(500), 0, &schedule, now(), jitter), in_secs(secs));
        }
    }
}
