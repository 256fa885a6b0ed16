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
        let (url, fresh) = match &stored.url.exact {
            Some(url) => (url.clone(), None),
            None => {
                let target = self.target(scope)?;
                (target.url.into(), target.authorization)
            }
        };
        let authorization = match &stored.authorization {
            None => None,
            Some(Kept { exact: Some(value), .. }) => Some(value.clone()),
            Some(_) if fresh.is_some() => fresh,
            Some(_) if self.address.has_credentials() => {
                self.address.own_authorization(scope).map_err(|refused| self.refused(refused))?
            }
            Some(_) => self.target(scope)?.authorization,
        };
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
            authorization,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_never_change() {
        let kept = |exact: Option<&str>, shown: Option<&str>| Kept {
            exact: exact.map(str::to_owned),
            shown: shown.map(str::to_owned),
        };
        let stored = StoredRequest {
            method: Method::Put,
            url: kept(Some("https://h.example/1"), None),
            headers: vec![("x-key".to_owned(), kept(None, Some("***")))],
            content_type: Some("application/json".to_owned()),
            authorization: Some(kept(None, Some("Basic ***"))),
            body: kept(Some("{}"), None),
        };
        let bytes = stored.pack();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&bytes),
            "0196a370757492b368747470733a2f2f682e6578616d706c652f31c09192a5782d6b657992c0a32a2a2ab06170706c69636174696f6e2f6a736f6e92c0a94261736963202a2a2a92a27b7dc0"
        );
        assert_eq!(StoredRequest::unpack(&bytes).unwrap(), stored);
        assert!(StoredRequest::unpack(&[]).is_err() && StoredRequest::unpack(b"\x02x").is_err());
    }
}
