//! Pure. The headers of one attempt: what the request brings, and what every webhook of ours carries.

use std::borrow::Cow;
use std::convert::Infallible;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::signature::{self, Key};
use crate::webhook::Request;

/// One attempt of one send.
#[derive(Clone, Copy, Debug)]
pub struct AttemptHead<'a> {
    pub send_id: &'a str,
    /// Empty: a notice that concerns none.
    pub campaign_id: &'a str,
    /// From 1.
    pub number: u32,
    /// When it begins.
    pub at: Timestamp,
    /// Of this program.
    pub version: &'a str,
}

/// All headers of `request` but `host` and `content-length`, names in lower case.
pub fn headers(request: &Request, attempt: &AttemptHead<'_>, keys: &[Key]) -> Vec<(String, String)> {
    let mut all = Vec::with_capacity(request.headers.len() + 9);
    let Ok(()) = each_header(request, attempt, keys, |name, value| {
        all.push((name.to_owned(), value.into_owned()));
        Ok::<(), Infallible>(())
    });
    all
}

/// The same, one by one. The author's own `user-agent`, `traceparent` and `authorization` take the place of ours.
pub fn each_header<E>(
    request: &Request,
    attempt: &AttemptHead<'_>,
    keys: &[Key],
    mut add: impl FnMut(&str, Cow<'_, str>) -> Result<(), E>,
) -> Result<(), E> {
    let own = |name: &str| request.headers.iter().any(|(given, _)| given == name);
    if let Some(content_type) = &request.content_type {
        add("content-type", content_type.into())?;
    }
    if let Some(authorization) = request.authorization.as_ref().filter(|_| !own("authorization")) {
        add("authorization", authorization.into())?;
    }
    for (name, value) in attempt_headers(attempt, &request.body, keys) {
        if !own(name) {
            add(name, value.into())?;
        }
    }
    request.headers.iter().try_for_each(|(name, value)| add(name, value.into()))
}

/// What every attempt carries, whatever its webhook says.
pub fn attempt_headers(attempt: &AttemptHead<'_>, body: &[u8], keys: &[Key]) -> Vec<(&'static str, String)> {
    let seconds = attempt.at.as_second();
    let mut headers = vec![
        ("user-agent", format!("campanile/{}", attempt.version)),
        ("webhook-id", attempt.send_id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("campanile-attempt", attempt.number.to_string()),
        ("traceparent", traceparent(attempt.send_id, attempt.number)),
    ];
    if !attempt.campaign_id.is_empty() {
        headers.push(("campanile-campaign", attempt.campaign_id.to_owned()));
    }
    if !keys.is_empty() {
        headers.push(("webhook-signature", signature::sign(keys, attempt.send_id, seconds, body)));
    }
    headers
}

/// W3C trace context: one trace per send, one span per attempt, both derived, so that a restart does not change them.
fn traceparent(send_id: &str, number: u32) -> String {
    let hex = |text: String, bytes: usize| {
        let hash = Sha256::digest(text.as_bytes());
        data_encoding::HEXLOWER.encode(hash.get(..bytes).unwrap_or_default())
    };
    format!("00-{}-{}-01", hex(format!("trace {send_id}"), 16), hex(format!("span {send_id} {number}"), 8))
}
