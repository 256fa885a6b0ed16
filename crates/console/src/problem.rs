//! Why there is no page: a page that says so. What the control API refuses is told in its own words.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tonic::{Code, Status};

use crate::frame::Frame;

#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    heading: &'static str,
    text: String,
}

#[derive(Debug)]
pub(crate) struct Problem(StatusCode, Box<ProblemPage>);

impl Problem {
    pub(crate) fn new(code: StatusCode, heading: &'static str, text: String) -> Problem {
        Problem(code, Box::new(ProblemPage { frame: Frame::default(), heading, text }))
    }

    pub(crate) fn not_found(text: String) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "Not found", text)
    }

    /// A change that was not asked for on a page of this console.
    pub(crate) fn foreign() -> Problem {
        let text = "Nothing was changed: this did not come from a page of this console, or the page was too old. Open it again.";
        Problem::new(StatusCode::FORBIDDEN, "Not from here", text.to_owned())
    }

    pub(crate) fn unread(text: String) -> Problem {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "Not understood",
            format!("The form could not be read: {text}."),
        )
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        let text = status.message().to_owned();
        match status.code() {
            Code::NotFound => Problem::not_found(text),
            Code::InvalidArgument => Problem::new(StatusCode::BAD_REQUEST, "Not understood", text),
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => {
                Problem::new(StatusCode::CONFLICT, "Not possible now", text)
            }
            Code::Unauthenticated => Problem::new(StatusCode::UNAUTHORIZED, "Log in", text),
            Code::PermissionDenied => Problem::new(StatusCode::FORBIDDEN, "Not allowed", text),
            Code::ResourceExhausted => Problem::new(StatusCode::TOO_MANY_REQUESTS, "Not now", text),
            Code::Unavailable => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer", text)
            }
            _ => {
                tracing::warn!(%status, "a page could not be shown");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "This did not work", text)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, page(self.1.as_ref())).into_response()
    }
}

pub(crate) type Shown = Result<Response, Problem>;

pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
