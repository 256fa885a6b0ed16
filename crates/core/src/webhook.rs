//! Pure. A webhook compiled once per campaign revision, rendered once per send.
//!
//! Before: `webhook_draft`, what the author wrote. After: the sender's wire, which adds `webhook_headers` per attempt
//! and POSTs. Never posts a hole, and never shows a secret: what is shown is rendered again with a mask.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::fault::Faults;
use crate::network::Policy;
use crate::reason::Suppression;
use crate::secret::Secrets;
use crate::webhook_draft::{Method, Webhook};

/// A checked webhook.
#[derive(Debug)]
pub struct CompiledWebhook {}

/// What one rendering looks at.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    pub facts: Facts<'a>,
    pub due_at: Timestamp,
    pub send_id: &'a str,
    pub campaign_id: &'a str,
    pub campaign_title: &'a str,
    pub action_name: &'a str,
    pub secrets: &'a Secrets,
    pub policy: &'a Policy,
}

/// What is sent, but for the headers every attempt adds. May hold secrets: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Absolute, without user name and password.
    pub url: String,
    /// The author's.
    pub headers: Vec<(String, String)>,
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

/// What is kept for retries and for showing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRequest {
    pub method: Method,
}

impl CompiledWebhook {
    /// Checks everything at once; `path` is where the webhook stands in its campaign.
    pub fn compile(
        draft: &Webhook,
        path: &str,
        secrets: &Secrets,
        policy: &Policy,
        faults: &mut Faults,
    ) -> Option<CompiledWebhook> {
        let _ = (draft, path, secrets, policy, faults);
        Some(CompiledWebhook {})
    }

    pub fn render(&self, context: &RenderContext<'_>) -> Result<Request, Unsendable> {
        let _ = context;
        Err(Unsendable { reason: Suppression::TemplateError, detail: "not built yet".to_owned() })
    }
}
