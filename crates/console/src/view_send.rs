//! Pure. The page of one send: its attempts and, while it is kept, its request. No secret is in either.

use askama::Template;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::hidden;
use crate::reasons::suppression;
use crate::view_campaign::{UserLink, send_line};
use crate::words::{Moment, cut, instant, took};

/// Characters of a body that a page shows.
pub(crate) const BODY_CHARS_SHOWN: usize = 10_000;

#[derive(Template)]
#[template(path = "send.html")]
pub(crate) struct SendPage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) campaign: String,
    pub(crate) user: Option<UserLink>,
    pub(crate) state: &'static str,
    pub(crate) is_failed: bool,
    pub(crate) why: String,
    pub(crate) meaning: &'static str,
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

/// A request as pages show it.
pub(crate) struct RequestView {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body is longer than what is shown.
    pub(crate) is_cut: bool,
    /// A line for a shell that does the same; empty without one.
    pub(crate) curl: String,
}

impl RequestView {
    pub(crate) fn of(request: &wire::RenderedRequest, curl: &str) -> RequestView {
        let (mut request, mut curl) = (request.clone(), curl.to_owned());
        hidden::hide_request(&mut request, &mut curl);
        let (body, is_whole) = cut(&request.body, BODY_CHARS_SHOWN);
        RequestView {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body,
            is_cut: !is_whole,
            curl,
        }
    }
}

pub(crate) fn send_page(frame: Frame, known: &wire::GetSendResponse) -> SendPage {
    let send = known.send.clone().unwrap_or_default();
    let line = send_line(&send);
    SendPage {
        frame,
        id: line.id,
        campaign: line.campaign,
        user: line.user,
        state: line.state,
        is_failed: send.state() == wire::SendState::Failed,
        why: line.why,
        meaning: suppression(send.suppression()).meaning,
        due_at: Moment::at(send.due_at.as_ref()),
        settled_at: Moment::at(send.settled_at.as_ref()),
        revision: send.revision,
        attempts: known.attempts.iter().map(attempt).collect(),
        request: known.request.as_ref().map(|request| RequestView::of(request, "")),
    }
}

fn attempt(attempt: &wire::Attempt) -> AttemptLine {
    let outcome = match attempt.detail.as_str() {
        "" => format!("answered {}", attempt.status),
        detail => detail.to_owned(),
    };
    AttemptLine {
        number: attempt.number,
        at: Moment::at(attempt.began_at.as_ref()),
        took: took(instant(attempt.began_at.as_ref()), instant(attempt.ended_at.as_ref())),
        outcome,
        answer: attempt.response.clone(),
    }
}
