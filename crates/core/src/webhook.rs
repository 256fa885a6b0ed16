//! Pure. A webhook compiled once per campaign revision, rendered once per send.
//!
//! Before: `webhook_draft`, what the author wrote, and `webhook_check`, which compiles it. After: the sender's wire,
//! which adds `webhook_headers` per attempt and POSTs; `webhook_kept` is what a retry sends again. Never posts a hole,
//! and never shows a secret: what is shown is rendered again with a mask.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::expression::Expression;
use crate::facts::Facts;
use crate::limits;
use crate::network::{self, Policy};
use crate::reason::Suppression;
use crate::secret::Secrets;
use crate::signature;
use crate::template::{Stop, Template};
use crate::template_names::{Key, Scope, Slot};
use crate::webhook_body::{Body, Spoilt};
use crate::webhook_draft::Method;
use crate::webhook_schema::Schema;
use crate::webhook_url::{Address, Refused, Target, masked_authorization};

/// A checked webhook. Made by `compile`, in `webhook_check`.
#[derive(Debug)]
pub struct CompiledWebhook {
    pub(crate) method: Method,
    pub(crate) address: Address,
    pub(crate) allowed_hosts: Vec<String>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, Template)>,
    /// The value of the header; none where there is no body.
    pub(crate) content_type: Option<String>,
    pub(crate) body: Body,
    pub(crate) signing_secret: Option<String>,
    pub(crate) success_when: Option<Expression>,
    pub(crate) schema: Option<Schema>,
    /// Every secret it mentions, the signing one too.
    pub(crate) secrets: Vec<String>,
}

/// What one rendering looks at.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    pub facts: Facts<'a>,
    pub due_at: Timestamp,
    pub send_id: &'a str,
    pub campaign_id: &'a str,
    pub campaign_title: &'a str,
    pub action_name: &'a str,
    /// Of the action; empty where it has none.
    pub variant: &'a str,
    pub secrets: &'a Secrets,
    pub policy: &'a Policy,
}

/// What is sent, but for the headers every attempt adds. May hold secrets: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Absolute, without user name, password and fragment.
    pub url: String,
    /// The author's, names in lower case.
    pub headers: Vec<(String, String)>,
    /// None where there is no body.
    pub content_type: Option<String>,
    /// `Basic ...`, from the URL's user name and password.
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Why a request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsendable {
    pub reason: Suppression,
    /// Names the field and the expression; holds no secret.
    pub detail: String,
}

impl CompiledWebhook {
    /// The request for one send.
    pub fn render(&self, context: &RenderContext<'_>) -> Result<Request, Unsendable> {
        let scope = Scope { context, masked: false };
        let target = self.target(scope)?;
        Ok(Request {
            method: self.method,
            url: target.url.into(),
            headers: self.headers(scope)?,
            content_type: self.content_type.clone(),
            authorization: target.authorization,
            body: self.checked_body(scope)?.into_bytes(),
        })
    }

    fn checked_body(&self, scope: Scope<'_>) -> Result<String, Unsendable> {
        let body = self.body.render(scope).map_err(spoilt)?;
        if let Some(schema) = &self.schema {
            schema.check(&body).map_err(invalid)?;
        }
        Ok(body)
    }

    /// The same for somebody to look at: every secret is a mask. What holds one need not be a URL or JSON.
    pub fn render_masked(&self, context: &RenderContext<'_>) -> Result<Request, Unsendable> {
        let scope = Scope { context, masked: true };
        let holds_secret = self.address.url_slots().any(|slot| matches!(slot, Slot::Secret(_)));
        let (url, authorization) = if holds_secret {
            let url = self.address.shown(scope).map_err(|refused| self.refused(refused))?;
            (url, self.address.has_credentials().then(masked_authorization))
        } else {
            // Credentials may still hold one, and are never shown.
            let target = self.target(Scope { context, masked: false })?;
            (target.url.into(), target.authorization.map(|_| masked_authorization()))
        };
        Ok(Request {
            method: self.method,
            url,
            headers: self.headers(scope)?,
            content_type: self.content_type.clone(),
            authorization,
            body: self.body.render(scope).map_err(spoilt)?.into_bytes(),
        })
    }

    /// `https://host:443`, if no value says where it leads.
    pub fn constant_destination(&self) -> Option<String> {
        self.address.fixed().and_then(network::destination)
    }

    /// Whether it mentions the event that opened the entry, so that the entry must keep it.
    pub fn needs_event(&self) -> bool {
        self.any_slot(|slot| {
            matches!(
                slot,
                Slot::Event
                    | Slot::EventName
                    | Slot::EventValue
                    | Slot::EventAt
                    | Slot::Properties(_)
                    | Slot::Change(_)
                    | Slot::Events(_)
            )
        })
    }

    /// Whether it mentions the action before.
    pub fn needs_previous(&self) -> bool {
        self.any_slot(|slot| matches!(slot, Slot::PreviousOutcome | Slot::PreviousStatus))
    }

    /// Whether it mentions values of a manual entry, which also shadow attributes.
    pub fn needs_values(&self) -> bool {
        self.any_slot(|slot| matches!(slot, Slot::Values(_) | Slot::Attribute(_)))
    }

    /// Whether URL or body hold a secret, so that what is kept of them is masked.
    pub fn holds_secret(&self) -> bool {
        let body = self.body.slots();
        self.address.url_slots().chain(body).any(|slot| matches!(slot, Slot::Secret(_)))
    }

    /// The hosts that its author lists, as patterns.
    pub fn allowed_hosts(&self) -> &[String] {
        &self.allowed_hosts
    }

    /// Every secret it mentions, the signing one too.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The keys an attempt is signed with, the newest first; none if it is not signed.
    pub fn signing_keys(&self, secrets: &Secrets) -> Result<Vec<signature::Key>, Unsendable> {
        let Some(name) = &self.signing_secret else { return Ok(Vec::new()) };
        let Some(secret) = secrets.get(name) else {
            return Err(failed(format!("secret {name} does not exist, in signing_secret")));
        };
        signature::Key::all(secret).map_err(|text| failed(format!("{text}, in signing_secret")))
    }

    /// Whether an answer's body decides about its success.
    pub fn reads_answers(&self) -> bool {
        self.success_when.is_some()
    }

    /// Whether a 2xx answer counts as a success. In a body that is not JSON everything is missing.
    pub fn accepts(&self, status: u16, body: &str) -> bool {
        let Some(condition) = &self.success_when else { return true };
        condition.matches_response(status, &serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn any_slot(&self, is: impl Fn(&Slot) -> bool) -> bool {
        let headers = self.headers.iter().flat_map(|(_, template)| template.slots());
        let url = self.address.url_slots().chain(self.address.credential_slots());
        url.chain(headers).chain(self.body.slots()).any(is)
    }

    pub(crate) fn target(&self, scope: Scope<'_>) -> Result<Target, Unsendable> {
        let target =
            self.address.render(scope, &self.allowed_hosts).map_err(|refused| self.refused(refused))?;
        self.check_target(&target.url, scope.context)?;
        Ok(target)
    }

    /// Attributes of the user that its templates print, test or pass on; of a path, the first name.
    pub fn attributes(&self) -> BTreeSet<String> {
        let headers = self.headers.iter().flat_map(|(_, template)| template.slots());
        let address = self.address.url_slots().chain(self.address.credential_slots());
        let slots = address.chain(headers).chain(self.body.slots());
        let names = slots.filter_map(|slot| match slot {
            Slot::Attribute(path) => path.first(),
            _ => None,
        });
        names.filter_map(|key| if let Key::Name(name) = key { Some(name.clone()) } else { None }).collect()
    }

    /// Whether a request may go to `url`, with the secrets it carries.
    pub(crate) fn check_target(&self, url: &Url, context: &RenderContext<'_>) -> Result<(), Unsendable> {
        context.policy.check_url(url).map_err(forbidden)?;
        let host = url.host_str().unwrap_or_default();
        for name in &self.secrets {
            let Some(secret) = context.secrets.get(name) else {
                return Err(failed(format!("secret {name} does not exist")));
            };
            if !secret.allows(host) {
                return Err(forbidden(format!("secret {name} may not be sent to {host}")));
            }
        }
        Ok(())
    }

    pub(crate) fn headers(&self, scope: Scope<'_>) -> Result<Vec<(String, String)>, Unsendable> {
        self.headers
            .iter()
            .map(|(name, template)| Ok((name.clone(), header(name, template, scope)?)))
            .collect()
    }

    /// Says nothing about a URL that a secret is part of.
    pub(crate) fn refused(&self, refused: Refused) -> Unsendable {
        let secret = self.address.url_slots().any(|slot| matches!(slot, Slot::Secret(_)));
        match refused {
            Refused::Stop(stop) => stopped(stop, "url"),
            Refused::Invalid(_) | Refused::Forbidden(_) if secret => {
                forbidden("the URL a secret is part of leads nowhere, or where it may not".to_owned())
            }
            Refused::Invalid(text) => invalid(format!("{text}, in url")),
            Refused::Forbidden(text) => forbidden(format!("{text}, in url")),
        }
    }
}

pub(crate) fn header(name: &str, template: &Template, scope: Scope<'_>) -> Result<String, Unsendable> {
    let text = template.text(scope).map_err(|stop| stopped(stop, &format!("headers.{name}")))?;
    let value = text.trim_matches([' ', '\t']);
    if value.len() > limits::HEADER_BYTES_MAX {
        let max = limits::HEADER_BYTES_MAX;
        return Err(invalid(format!(
            "the value has {} bytes, at most {max}, in headers.{name}",
            value.len()
        )));
    }
    if http::HeaderValue::from_str(value).is_err() {
        return Err(invalid(format!(
            "the value has a line break or another control character, in headers.{name}"
        )));
    }
    Ok(value.to_owned())
}

pub(crate) fn stopped(stop: Stop, field: &str) -> Unsendable {
    let (reason, detail) = match stop {
        Stop::Missing(what) => (Suppression::TemplateMissingValue, format!("{what} is missing, in {field}")),
        Stop::Aborted(reason) => (Suppression::TemplateAbort, reason),
        Stop::Failed(text) => (Suppression::TemplateError, format!("{text}, in {field}")),
    };
    Unsendable { reason, detail }
}

pub(crate) fn spoilt(spoilt: Spoilt) -> Unsendable {
    match spoilt {
        Spoilt::Stop(stop, field) => stopped(stop, &field),
        Spoilt::Invalid(text) => invalid(text),
    }
}

fn invalid(detail: String) -> Unsendable {
    Unsendable { reason: Suppression::BodyInvalid, detail }
}

fn failed(detail: String) -> Unsendable {
    Unsendable { reason: Suppression::TemplateError, detail }
}

fn forbidden(detail: String) -> Unsendable {
    Unsendable { reason: Suppression::TargetForbidden, detail }
}

impl Request {
    /// `https://host:443`.
    pub fn destination(&self) -> Option<String> {
        Url::parse(&self.url).ok().as_ref().and_then(network::destination)
    }
}
