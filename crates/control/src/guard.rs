//! What stands before every call from outside: its token is looked at, and whether it may do what it asks for.
//!
//! Where a listener is open (loopback, unless the settings say otherwise) a call without a token is taken as `local`, unless a browser
//! sent it for a page: those always need a token.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use campanile_core::access::{Scope, id_of};
use serde_json::json;
use tonic::{Code, Status};

use crate::access::{Access, Caller};
use crate::method_scopes::needed;

/// A door's guard.
#[derive(Clone)]
pub struct Guard {
    pub access: Arc<Access>,
    /// Calls without a token are taken.
    pub is_open: bool,
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Guard {
    async fn admit(&self, headers: &HeaderMap, scope: Option<Scope>) -> Result<Caller, Status> {
        let is_open = self.is_open && !is_from_a_page(headers);
        match token(headers)? {
            // Where none is needed, a write key that a library insists on is as good as none.
            Some(text) if !is_open || id_of(&text).is_some() => self.access.admit(&text, scope).await,
            _ if is_open => Ok(Caller::local()),
            _ => Err(Status::unauthenticated(
                "a token is needed: send `authorization: Bearer TOKEN`; `campanile token create` makes one",
            )),
        }
    }
}

/// For gRPC.
pub(crate) async fn grpc(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match guard.admit(request.headers(), needed(request.uri().path())).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(status) => status.into_http::<Body>(),
    }
}

/// For the HTTP intake. Segment's libraries send their write key as the user name of Basic credentials: it is the token.
pub(crate) async fn intake(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let is_entry = request.uri().path().starts_with("/v1/campaigns/");
    let scope = if is_entry { Scope::Campaigns } else { Scope::Ingest };
    match guard.admit(request.headers(), Some(scope)).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(status) => refused(&status),
    }
}

fn refused(status: &Status) -> Response {
    let (code, asks) = match status.code() {
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, Some((header::WWW_AUTHENTICATE, "Bearer"))),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, None),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, Some((header::RETRY_AFTER, "1"))),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Some((header::RETRY_AFTER, "1"))),
    };
    let body = axum::Json(json!({"success": false, "errors": [{"text": status.message()}]}));
    match asks {
        Some(asks) => (code, [asks], body).into_response(),
        None => (code, body).into_response(),
    }
}

/// A browser says where a request comes from; no other client does.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get(SITE).is_some_and(|site| site != "none")
}

/// The token of a call, if it brings one.
fn token(headers: &HeaderMap) -> Result<Option<String>, Status> {
    let unread = || Status::unauthenticated("the authorization header was not understood: send Bearer TOKEN");
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(unread)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unread());
    }
    let pair = STANDARD
        .decode(rest.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(unread)?;
    Ok(Some(pair.split(':').next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(HeaderName, &str)]) -> HeaderMap {
        rows.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_the_user_name_of_basic() {
        let check = |value: &str, expected: Option<&str>| {
            let told = token(&headers(&[(header::AUTHORIZATION, value)]));
            assert_eq!(told.ok().flatten().as_deref(), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic YWJjOg==", Some("abc"));
        check("Basic YWJj", Some("abc"));
        check("Basic !", None);
        check("Digest x", None);
        check("abc", None);
        assert!(token(&headers(&[])).unwrap().is_none());
    }

    #[test]
    fn what_a_browser_sends_for_a_page_is_seen() {
        let check = |rows: &[(HeaderName, &str)], expected: bool| {
            assert_eq!(is_from_a_page(&headers(rows)), expected, "{rows:?}");
        };
        check(&[], false);
        check(&[(header::ORIGIN, "https://evil.example")], true);
        check(&[(header::ORIGIN, "null")], true);
        check(&[(SITE, "cross-site")], true);
        check(&[(SITE, "none")], false);
    }
}
