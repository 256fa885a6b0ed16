//! The page that asks for an access token, where pages are shown to nobody else.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use campanile_core::access;
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::session;

pub(crate) const PATH: &str = "/login";
/// Set by a proxy that speaks TLS for the console.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    refused: String,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    access: String,
    #[serde(default)]
    next: String,
}

pub(crate) async fn ask(Extension(token): Extension<Token>, Query(asked): Query<Asked>) -> Response {
    page(&LoginPage { frame: Frame::new(&token, &[]), next: ours(&asked.next), refused: String::new() })
}

/// Keeps a token that may at least look; says why not otherwise.
pub(crate) async fn log_in(
    State(room): State<Arc<Room>>,
    headers: HeaderMap,
    posted: Posted<Given>,
) -> Shown {
    let Given { access, next } = posted.fields;
    let (access, next) = (access.trim(), ours(&next));
    let refused = if access::id_of(access).is_none() {
        "This is no access token: one begins with campanile_ and is made by `campanile token create`."
            .to_owned()
    } else {
        let request = wire::ListCampaignsRequest { page_size: 1, ..Default::default() };
        let asked = session::with(Some(access), async { room.api.campaigns().list_campaigns(request).await });
        match asked.await {
            Ok(_) => {
                let mut response = Redirect::to(&next).into_response();
                if let Some(cookie) = session::cookie(Some(access), is_secure(&room, &headers)) {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                return Ok(response);
            }
            Err(status)
                if matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied) =>
            {
                status.message().to_owned()
            }
            Err(status) => return Err(Problem::from(status)),
        }
    };
    let shown = page(&LoginPage { frame: Frame::new(&posted.token, &[]), next, refused });
    Ok((StatusCode::FORBIDDEN, shown).into_response())
}

pub(crate) async fn log_out(State(room): State<Arc<Room>>, headers: HeaderMap, _: Posted<Asked>) -> Response {
    let mut response = Redirect::to(PATH).into_response();
    if let Some(cookie) = session::cookie(None, is_secure(&room, &headers)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Where to ask for a token before this page is shown.
pub(crate) fn asking_for(path: &str) -> Response {
    let next: String = serde_urlencoded::to_string([("next", path)]).unwrap_or_default();
    Redirect::to(&format!("{PATH}?{next}")).into_response()
}

fn is_secure(room: &Room, headers: &HeaderMap) -> bool {
    room.is_tls || headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https")
}

/// A page of this console, never one elsewhere.
fn ours(next: &str) -> String {
    let is_path =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\0']);
    if is_path { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_on_to_pages_of_this_console_only() {
        let check = |next: &str, expected: &str| assert_eq!(ours(next), expected, "{next}");
        check("/campaigns/a?x=1", "/campaigns/a?x=1");
        check("", "/");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("https://evil.example", "/");
        check("/a\r\nset-cookie: b", "/");
    }
}
