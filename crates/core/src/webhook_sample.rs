//! Compiles and renders one webhook, for the tests of webhooks.

use serde_json::Value;

use crate::fault::Faults;
use crate::reason::Suppression;
use crate::template_sample::{Sample, map};
use crate::webhook::{CompiledWebhook, Request, Unsendable};
use crate::webhook_draft::{ContentType, Row, Webhook};

pub(crate) fn rows(rows: Value) -> Vec<Row> {
    map(rows).into_iter().map(|(name, value)| Row { name, value }).collect()
}

pub(crate) fn draft(url: &str) -> Webhook {
    Webhook { url: url.to_owned(), ..Webhook::default() }
}

pub(crate) fn form(data: Value) -> Webhook {
    Webhook { content_type: ContentType::Form, data: rows(data), ..draft("https://h.example/") }
}

pub(crate) fn compiled(draft: &Webhook, sample: &Sample) -> Result<CompiledWebhook, String> {
    let mut faults = Faults::default();
    let webhook = CompiledWebhook::compile(draft, "webhook", &sample.secrets, &sample.policy, &mut faults);
    assert_eq!(webhook.is_none(), !faults.is_empty(), "{draft:?}: {faults}");
    webhook.ok_or_else(|| faults.to_string())
}

pub(crate) fn sent(draft: &Webhook) -> Result<Request, Unsendable> {
    let sample = Sample::new();
    let webhook = compiled(draft, &sample).unwrap_or_else(|faults| panic!("{draft:?}: {faults}"));
    webhook.render(&sample.context())
}

#[track_caller]
pub(crate) fn check_fault(draft: &Webhook, parts: &[&str]) {
    let faults = compiled(draft, &Sample::new()).err().unwrap_or_default();
    for part in parts {
        assert!(faults.contains(part), "{draft:?}: {faults:?} lacks {part:?}");
    }
}

#[track_caller]
pub(crate) fn check_stopped(draft: &Webhook, reason: Suppression, part: &str) {
    match sent(draft) {
        Err(stopped) => {
            assert_eq!(stopped.reason, reason, "{stopped:?}");
            assert!(stopped.detail.contains(part), "{stopped:?} lacks {part}");
        }
        Ok(request) => panic!("{draft:?}: {} {}", request.url, String::from_utf8_lossy(&request.body)),
    }
}

#[track_caller]
pub(crate) fn check_body(draft: &Webhook, expected: &str) {
    let request = sent(draft).unwrap_or_else(|e| panic!("{draft:?}: {e:?}"));
    assert_eq!(String::from_utf8(request.body).unwrap(), expected);
}
