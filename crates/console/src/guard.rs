//! What stands before every page: names the console is not reached by, requests that come from other pages, and what a browser is
//! told not to do.
//!
//! A page elsewhere may point a name of its own at this machine (DNS rebinding): only known names are answered. It may also post a form
//! here: a change is made only if the browser says that it comes from a page of ours, and if the form brings the token that this
//! browser was given as a cookie.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Room;
use crate::problem::Problem;
use crate::{login, session};

/// Pages load nothing from elsewhere, run no script but ours, and are framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CONNECTION, "close"),
];
const COOKIE: &str = "campanile_token";
/// Hexadecimal digits of a token.
const TOKEN_DIGITS: usize = 32;

/// What a form must bring: the token this browser was given.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// The browser also keeps an access token.
    pub(crate) is_known: bool,
}

pub(crate) async fn guarded(State(room): State<Arc<Room>>, mut request: Request, next: Next) -> Response {
    let given = token(request.headers());
    let token = given.clone().unwrap_or_else(|| make_token(&room));
    let bearer = session::of(request.headers());
    request.extensions_mut().insert(Token { text: token.clone(), is_known: bearer.is_some() });
    let asking = login::asking_for(&whereto(&request));
    let mut response = match check(&room.hosts, request.method(), request.headers()) {
        Ok(()) if room.needs_token && bearer.is_none() && !is_for_all(request.uri().path()) => asking,
        Ok(()) => {
            let response = session::with(bearer.as_deref(), next.run(request)).await;
            // The token was revoked, or is over.
            if response.status() == StatusCode::UNAUTHORIZED { asking } else { response }
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if given.is_none()
        && let Ok(cookie) =
            HeaderValue::try_from(format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"))
    {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

/// What is shown also to those who have not logged in.
fn is_for_all(path: &str) -> bool {
    [login::PATH, "/style.css", "/script.js", "/icon.svg"].contains(&path)
}

/// Where to go after logging in: a change that was asked for has to be asked for again.
fn whereto(request: &Request) -> String {
    match *request.method() {
        Method::GET => request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        _ => "/".to_owned(),
    }
}

fn make_token(room: &Room) -> String {
    (room.random)().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token of the browser's cookie, if it is one.
fn token(headers: &HeaderMap) -> Option<String> {
    let token = session::cookie_of(headers, COOKIE)?;
    let is_token = token.len() == TOKEN_DIGITS && token.bytes().all(|b| b.is_ascii_hexdigit());
    is_token.then(|| token.to_owned())
}

fn check(names: &[String], method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    if !is_ours(names, host) {
        let why = format!(
            "The console is not known as {host:?}. Use localhost or an IP address, or add the name to console_hosts under [listen]."
        );
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "Not here", why));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let is_same = match (text(HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, authority)| authority == host),
        // No browser of today; the token still decides.
        (None, None) => true,
    };
    if is_same { Ok(()) } else { Err(Problem::foreign()) }
}

/// Whether a `Host` header names this console; the port does not matter, so that a forwarded one works.
fn is_ours(names: &[String], host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_answered() {
        let names = ["console.example.com".to_owned()];
        let check = |host: &str, expected: bool| assert_eq!(is_ours(&names, host), expected, "{host}");
        check("localhost", true);
        check("LOCALHOST:7071", true);
        check("127.0.0.1:7071", true);
        check("[::1]:7071", true);
        check("10.1.2.3", true);
        check("Console.Example.com:443", true);
        check("evil.example:7071", false);
        check("127.0.0.1.evil.example", false);
        check("localhost.evil.example", false);
        check("", false);
        check("[::1", true);
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        let check = |rows: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:7071"));
            for (name, value) in rows {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(check(&[], &Method::POST, &headers).is_ok(), expected, "{rows:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:7071")], false);
        check(&[("origin", "http://127.0.0.1:7071")], true);
        check(&[("origin", "http://127.0.0.1:9000")], false);
        check(&[("origin", "null")], false);
        check(&[], true);
    }

    #[test]
    fn a_cookie_that_is_no_token_is_none() {
        let check = |cookie: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
            assert_eq!(token(&headers).is_some(), expected, "{cookie}");
        };
        check("a=b; campanile_token=0123456789abcdef0123456789abcdef", true);
        check("campanile_token=0123", false);
        check("campanile_token=0123456789abcdef0123456789abcde\"", false);
        check("", false);
    }
}
