//! Pure. The page of one send: its attempts and, while it is kept, its request. No secret is in either.

use askama::Template;
use campanile_core::attempt::Outcome;
use campanile_core::kept::Kept;
use campanile_core::log_row::Ended;
use campanile_core::number::Layout;
use campanile_core::ports::SendRow;

use crate::view_campaign::{UserLink, send_line};
use crate::words::{Moment, cut, ended, took};

/// Characters of a body that a page shows.
const BODY_CHARS_SHOWN: usize = 10_000;

#[derive(Template)]
#[template(path = "send.html")]
pub(crate) struct SendPage {
    pub(crate) id: String,
    pub(crate) campaign: String,
    pub(crate) user: Option<UserLink>,
    pub(crate) state: &'static str,
    pub(crate) why: String,
    pub(crate) due_at: Moment,
    pub(crate) settled_at: Moment,
    pub(crate) revision: u32,
    pub(crate) attempts: Vec<AttemptLine>,
    pub(crate) request: Option<RequestView>,
}

pub(crate) struct AttemptLine {
    pub(crate) number: u32,
    pub(crate) at: Moment,
    pub(crate) took: String,
    pub(crate) outcome: String,
    /// The beginning of the answer; empty where nothing was kept.
    pub(crate) answer: String,
}

pub(crate) struct RequestView {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body is longer than what is shown.
    pub(crate) is_cut: bool,
}

/// `rows` are the send's, newest first; at least one.
pub(crate) fn send_page(
    layout: &Layout,
    campaign: &str,
    rows: &[SendRow],
    kept: Option<&Kept>,
) -> Option<SendPage> {
    let newest = rows.first()?;
    let line = send_line(layout, newest);
    Some(SendPage {
        id: line.id,
        campaign: campaign.to_owned(),
        user: line.user,
        state: line.state,
        why: line.why,
        due_at: Moment::at(newest.row.due_at),
        settled_at: line.at,
        revision: newest.row.revision,
        attempts: attempts(rows, kept),
        request: kept.map(request),
    })
}

/// Those kept with the request, and those the log alone tells of; oldest first.
fn attempts(rows: &[SendRow], kept: Option<&Kept>) -> Vec<AttemptLine> {
    let mut lines: Vec<AttemptLine> = kept
        .map(|kept| kept.attempts.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|attempt| {
            let millis = attempt.ended_at.duration_since(attempt.began_at).as_millis();
            let answer = match &attempt.outcome {
                Outcome::Answered(answer) => answer.body.clone(),
                _ => String::new(),
            };
            AttemptLine {
                number: attempt.number,
                at: Moment::at(attempt.began_at),
                took: took(u32::try_from(millis.max(0)).unwrap_or(u32::MAX)),
                outcome: attempt.outcome.text(),
                answer,
            }
        })
        .collect();
    let known = lines.last().map_or(0, |line| line.number);
    for SendRow { row, .. } in rows.iter().rev() {
        let number = u32::from(row.attempts);
        if number > known && !matches!(row.ended, Ended::Suppressed(_)) {
            let (state, why) = ended(row);
            let outcome = if why.is_empty() { format!("{state}, answered {}", row.status) } else { why };
            let at = Moment::at(row.at);
            lines.push(AttemptLine { number, at, took: took(row.took_ms), outcome, answer: String::new() });
        }
    }
    lines
}

fn request(kept: &Kept) -> RequestView {
    let shown = kept.request.shown();
    let (body, is_whole) = cut(&shown.body, BODY_CHARS_SHOWN);
    RequestView {
        method: shown.method.name(),
        url: shown.url,
        headers: shown.headers,
        body,
        is_cut: !is_whole,
    }
}
