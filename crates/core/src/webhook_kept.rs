//! Pure. What is kept of a rendered request: for retries, and for showing.
//!
//! A retry sends the same URL and body. Of a part that is made of secrets and constants alone only a masked text is
//! kept, and a retry renders it anew; a part that mixes secrets with a user's values is kept as it was sent, with a
//! masked text for showing beside it.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::template_names::{Scope, Slot};
use crate::user::{pack, unpack};
use crate::webhook::{CompiledWebhook, RenderContext, Request, Unsendable, header, spoilt};
use crate::webhook_draft::Method;
use crate::webhook_url::masked_authorization;

/// A rendered request as the store keeps it. New fields go at the end with a default: the packed form is a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRequest {
    method: Method,
    url: Kept,
    headers: Vec<(String, Kept)>,
    content_type: Option<String>,
    /// `Some` if there is one.
    authorization: Option<Kept>,
    body: Kept,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// As it was sent; `None` is rendered anew.
    exact: Option<String>,
    /// As it is shown, if that is something else.
    shown: Option<String>,
}

/// A stored request for people: secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRequest {
    pub method: Method,
    pub url: String,
    /// Content type and authorization too.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl CompiledWebhook {
    /// What to keep of `request`, which this webhook has rendered in the same context.
    pub fn keep(&self, request: &Request, context: &RenderContext<'_>) -> StoredRequest {
        let scope = Scope { context, masked: true };
        let (secret, personal) = mentions(self.address.url_slots());
        let shown = || self.address.shown(scope).unwrap_or_default();
        let url = Kept::of(&request.url, secret, personal, shown);
        let headers = request.headers.iter().zip(&self.headers).map(|((name, value), (_, template))| {
            let (secret, personal) = mentions(template.slots().iter());
            let shown = || template.text(scope).unwrap_or_default();
            (name.clone(), Kept::of(value, secret, personal, shown))
        });
        let authorization = request.authorization.as_ref().map(|value| {
            let (secret, _) = mentions(self.address.credential_slots());
            Kept { exact: (!secret).then(|| value.clone()), shown: Some(masked_authorization()) }
        });
        let (secret, personal) = mentions(self.body.slots().into_iter());
        let body = String::from_utf8_lossy(&request.body);
        let shown = || self.body.render(scope).unwrap_or_default();
        StoredRequest {
            method: request.method,
            url,
            headers: headers.collect(),
            content_type: request.content_type.clone(),
            authorization,
            body: Kept::of(&body, secret, personal, shown),
        }
    }

    /// The same request again: what was kept as it is, the rest rendered anew. Where it leads is checked again.
    pub fn again(&self, stored: &StoredRequest, context: &RenderContext<'_>) -> Result<Request, Unsendable> {
        let scope = Scope { context, masked: false };
        let anew = stored.authorization.as_ref().is_some_and(|kept| kept.exact.is_none());
        let target = if stored.url.exact.is_none() || anew { Some(self.target(scope)?) } else { None };
        let (fresh_url, fresh_authorization) = match target {
            Some(target) => (Some(String::from(target.url)), target.authorization),
            None => (None, None),
        };
        let url = stored.url.exact.clone().or(fresh_url).unwrap_or_default();
        if let Ok(url) = Url::parse(&url) {
            self.check_target(&url, context)?;
        }
        let mut headers = Vec::with_capacity(stored.headers.len());
        for (name, kept) in &stored.headers {
            let template = self.headers.iter().find(|(own, _)| own == name).map(|(_, template)| template);
            match (&kept.exact, template) {
                (Some(value), _) => headers.push((name.clone(), value.clone())),
                (None, Some(template)) => headers.push((name.clone(), header(name, template, scope)?)),
                (None, None) => {}
            }
        }
        let body = match &stored.body.exact {
            Some(body) => body.clone(),
            None => self.body.render(scope).map_err(spoilt)?,
        };
        Ok(Request {
            method: stored.method,
            url,
            headers,
            content_type: stored.content_type.clone(),
            authorization: stored
                .authorization
                .as_ref()
                .and_then(|kept| kept.exact.clone())
                .or(fresh_authorization),
            body: body.into_bytes(),
        })
    }
}

/// Whether secrets, and whether values of a user or event, are among what a part is made of.
fn mentions<'s>(slots: impl Iterator<Item = &'s Slot>) -> (bool, bool) {
    slots.fold((false, false), |(secret, personal), slot| {
        (secret || matches!(slot, Slot::Secret(_)), personal || slot.is_personal())
    })
}

impl Kept {
    fn of(exact: &str, secret: bool, personal: bool, shown: impl FnOnce() -> String) -> Kept {
        Kept { exact: (!secret || personal).then(|| exact.to_owned()), shown: secret.then(shown) }
    }

    fn shown(&self) -> &str {
        self.shown.as_deref().or(self.exact.as_deref()).unwrap_or_default()
    }
}

impl StoredRequest {
    /// For people.
    pub fn shown(&self) -> ShownRequest {
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let content_type = self.content_type.iter().map(|value| row("content-type", value));
        let authorization = self.authorization.iter().map(|kept| row("authorization", kept.shown()));
        let headers = self.headers.iter().map(|(name, kept)| row(name, kept.shown()));
        ShownRequest {
            method: self.method,
            url: self.url.shown().to_owned(),
            headers: content_type.chain(authorization).chain(headers).collect(),
            body: self.body.shown().to_owned(),
        }
    }

    pub fn pack(&self) -> Vec<u8> {
        pack(self)
    }

    pub fn unpack(bytes: &[u8]) -> Result<StoredRequest, String> {
        unpack(bytes).map_err(|e| format!("stored request: {e}"))
    }
}

impl fmt::Debug for StoredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}
