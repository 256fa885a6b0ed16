//! Pure. Log rows and kept requests to wire: a send, its attempts, its request. No secret is in any of them.

use campanile_core::attempt::{Attempt, Outcome};
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::kept::Kept;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::Layout;
use campanile_core::sends_query::SendRow;
use campanile_proto::v1 as wire;
use jiff::SignedDuration;

use crate::write_campaign::timestamp;
use crate::write_stats::{action_name, suppression};

pub fn write_send(layout: &Layout, campaign: Option<&CampaignRecord>, row: &SendRow) -> wire::Send {
    let SendRow { shard, row, user_id } = row;
    let state = match row.ended {
        Ended::Delivered => wire::SendState::Delivered,
        Ended::Failed(_) => wire::SendState::Failed,
        Ended::Suppressed(_) => wire::SendState::Suppressed,
        Ended::Retrying => wire::SendState::Pending,
        Ended::Skipped | Ended::Missed => wire::SendState::Skipped,
    };
    let suppressed = match row.ended {
        Ended::Suppressed(reason) => suppression(reason),
        _ => wire::SuppressionReason::Unspecified,
    };
    let settled_at = (row.ended != Ended::Retrying).then(|| timestamp(row.at));
    wire::Send {
        id: row.send_id(layout, *shard).to_string(),
        campaign_id: campaign.map(|c| c.id.clone()).unwrap_or_default(),
        user_id: user_id.clone().unwrap_or_default(),
        state: state as i32,
        suppression: suppressed as i32,
        // Of a user who is gone nothing is told that may be about the person.
        detail: if user_id.is_some() { row.text.clone() } else { String::new() },
        action: campaign.map(|c| action_name(c, row.action)).unwrap_or_default(),
        revision: row.revision,
        due_at: Some(timestamp(row.due_at)),
        settled_at,
        attempt_count: u32::from(row.attempts),
        last_status: u32::from(row.status),
    }
}

/// All attempts, oldest first: those kept with the request, or what the log's rows (newest first) still say of them.
pub fn write_attempts(rows: &[SendRow], kept: Option<&Kept>) -> Vec<wire::Attempt> {
    let logged = rows.iter().rev().filter_map(|row| write_attempt(&row.row));
    let Some(kept) = kept else { return logged.collect() };
    let mut attempts: Vec<wire::Attempt> = kept.attempts.iter().map(write_kept_attempt).collect();
    let last = attempts.last().map_or(0, |attempt| attempt.number);
    // A send that was retried and then delivered: the last attempt is in the log only.
    attempts.extend(logged.filter(|attempt| attempt.number > last));
    let made = rows.iter().filter(|row| write_attempt(&row.row).is_some());
    for (attempt, row) in attempts.iter_mut().rev().zip(made) {
        attempt.verdict = verdict(row.row.ended) as i32;
    }
    attempts
}

/// The attempt a row tells of; none where nothing was sent.
pub fn write_attempt(row: &LogRow) -> Option<wire::Attempt> {
    if row.attempts == 0 || matches!(row.ended, Ended::Suppressed(_) | Ended::Skipped | Ended::Missed) {
        return None;
    }
    let began_at = row.at.checked_sub(SignedDuration::from_millis(i64::from(row.took_ms))).unwrap_or(row.at);
    let outcome = if row.status > 0 { wire::AttemptOutcome::Answered } else { outcome_of(&row.text) };
    Some(wire::Attempt {
        number: u32::from(row.attempts),
        began_at: Some(timestamp(began_at)),
        ended_at: Some(timestamp(row.at)),
        outcome: outcome as i32,
        status: u32::from(row.status),
        detail: row.text.clone(),
        response: String::new(),
        verdict: verdict(row.ended) as i32,
    })
}

/// The outcome a log row's text tells of: it begins with the outcome's class.
fn outcome_of(text: &str) -> wire::AttemptOutcome {
    let class = text.split(':').next().unwrap_or_default();
    match class {
        "dns" => wire::AttemptOutcome::NotResolved,
        "connect" => wire::AttemptOutcome::NotConnected,
        "tls" => wire::AttemptOutcome::TlsFailed,
        "certificate" => wire::AttemptOutcome::CertificateRefused,
        "protocol" => wire::AttemptOutcome::NotHttp,
        "broken" => wire::AttemptOutcome::Broken,
        "forbidden" => wire::AttemptOutcome::Forbidden,
        _ if class.starts_with("timed out") => wire::AttemptOutcome::TimedOut,
        _ => wire::AttemptOutcome::Unspecified,
    }
}

pub fn outcome(outcome: &Outcome) -> wire::AttemptOutcome {
    match outcome {
        Outcome::Answered(_) | Outcome::Refused(_) => wire::AttemptOutcome::Answered,
        Outcome::Dns(_) => wire::AttemptOutcome::NotResolved,
        Outcome::Connect(_) => wire::AttemptOutcome::NotConnected,
        Outcome::Tls(_) => wire::AttemptOutcome::TlsFailed,
        Outcome::Certificate(_) => wire::AttemptOutcome::CertificateRefused,
        Outcome::TimedOut(_) => wire::AttemptOutcome::TimedOut,
        Outcome::Protocol(_) => wire::AttemptOutcome::NotHttp,
        Outcome::Broken(_) => wire::AttemptOutcome::Broken,
        Outcome::Forbidden(_) => wire::AttemptOutcome::Forbidden,
    }
}

fn write_kept_attempt(attempt: &Attempt) -> wire::Attempt {
    let response = match &attempt.outcome {
        Outcome::Answered(answer) | Outcome::Refused(answer) => answer.body.clone(),
        _ => String::new(),
    };
    wire::Attempt {
        number: attempt.number,
        began_at: Some(timestamp(attempt.began_at)),
        ended_at: Some(timestamp(attempt.ended_at)),
        outcome: outcome(&attempt.outcome) as i32,
        status: u32::from(attempt.outcome.status()),
        detail: attempt.outcome.text(),
        response,
        verdict: wire::Verdict::RetryAt as i32,
    }
}

fn verdict(ended: Ended) -> wire::Verdict {
    match ended {
        Ended::Delivered => wire::Verdict::Done,
        Ended::Failed(_) => wire::Verdict::GiveUp,
        Ended::Suppressed(_) => wire::Verdict::Suppress,
        Ended::Retrying => wire::Verdict::RetryAt,
        // Nothing was attempted.
        Ended::Skipped | Ended::Missed => wire::Verdict::Unspecified,
    }
}

/// The request as it was rendered, secrets masked.
pub fn write_request(kept: &Kept) -> wire::RenderedRequest {
    let shown = kept.request.shown();
    wire::RenderedRequest {
        method: shown.method.name().to_owned(),
        url: shown.url,
        headers: shown.headers.into_iter().map(|(name, value)| wire::Header { name, value }).collect(),
        body: shown.body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campanile_core::attempt::Phase;

    #[test]
    fn an_outcome_is_known_again_by_its_text() {
        let why = || "why".to_owned();
        for (outcome, expected) in [
            (Outcome::Dns(why()), wire::AttemptOutcome::NotResolved),
            (Outcome::Connect(why()), wire::AttemptOutcome::NotConnected),
            (Outcome::Tls(why()), wire::AttemptOutcome::TlsFailed),
            (Outcome::Certificate(why()), wire::AttemptOutcome::CertificateRefused),
            (Outcome::TimedOut(Phase::Connect), wire::AttemptOutcome::TimedOut),
            (Outcome::TimedOut(Phase::Answer), wire::AttemptOutcome::TimedOut),
            (Outcome::TimedOut(Phase::Body), wire::AttemptOutcome::TimedOut),
            (Outcome::Protocol(why()), wire::AttemptOutcome::NotHttp),
            (Outcome::Broken(why()), wire::AttemptOutcome::Broken),
            (Outcome::Forbidden(why()), wire::AttemptOutcome::Forbidden),
        ] {
            assert_eq!(outcome_of(&outcome.text()), expected, "{}", outcome.text());
        }
    }
}
