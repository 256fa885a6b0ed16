//! Pure. Where notices go (`notify_url` of the settings), checked and compiled, and the request of each. It is a webhook like any other:
//! guarded, with secrets for their hosts only, signed if a secret is named.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::facts::Facts;
use crate::fault::Faults;
use crate::network::Policy;
use crate::notice::{Notice, Subject};
use crate::secret::Secrets;
use crate::segments::Segments;
use crate::settings::Settings;
use crate::signature::Key;
use crate::template_names::Slot;
use crate::user::Profile;
use crate::webhook::{CompiledWebhook, RenderContext, Request, Unsendable};
use crate::webhook_draft::Webhook;

/// Each value keeps its type.
const BODY: &str =
    r#"{"type": "{{ values.type }}", "timestamp": "{{ values.timestamp }}", "data": "{{ values.data }}"}"#;

#[derive(Debug)]
pub struct NotifyTarget(CompiledWebhook);

impl NotifyTarget {
    /// None where notices go nowhere, or a fault was added.
    pub fn read(
        settings: &Settings,
        secrets: &Secrets,
        policy: &Policy,
        faults: &mut Faults,
    ) -> Option<NotifyTarget> {
        let Settings { notify_url, notify_signing_secret, .. } = settings;
        if notify_url.is_empty() {
            if !notify_signing_secret.is_empty() {
                faults.add("notify_signing_secret", "signs what goes to notify_url, which is missing");
            }
            return None;
        }
        let draft = Webhook {
            url: notify_url.clone(),
            signing_secret: notify_signing_secret.clone(),
            json: BODY.to_owned(),
            ..Webhook::default()
        };
        let mut found = Faults::default();
        let webhook = CompiledWebhook::compile(&draft, "", secrets, policy, &mut found);
        for fault in found.0 {
            faults.add(format!("notify_{}", fault.field), fault.text);
        }
        let webhook = webhook?;
        let slots = webhook.address.url_slots().chain(webhook.address.credential_slots());
        if slots.into_iter().any(|slot| !matches!(slot, Slot::Secret(_))) {
            faults.add("notify_url", "may hold secrets, as {{ secret.NAME }}, and no other templates");
            return None;
        }
        Some(NotifyTarget(webhook))
    }

    /// Every secret it mentions, the signing one too.
    pub fn secrets(&self) -> &[String] {
        self.0.secrets()
    }

    pub fn signing_keys(&self, secrets: &Secrets) -> Result<Vec<Key>, Unsendable> {
        self.0.signing_keys(secrets)
    }

    /// As it is sent, and as it may be shown.
    pub fn requests(
        &self,
        notice: &Notice,
        subject: Subject<'_>,
        (secrets, policy): (&Secrets, &Policy),
    ) -> Result<(Request, Request), Unsendable> {
        let nobody = Profile::new("notify", Timestamp::UNIX_EPOCH);
        let mut values = Map::new();
        values.insert("type".to_owned(), notice.what.name().into());
        values.insert("timestamp".to_owned(), notice.at.to_string().into());
        values.insert("data".to_owned(), Value::Object(notice.data(subject)));
        let context = RenderContext {
            facts: Facts {
                profile: &nobody,
                event: None,
                values: Some(&values),
                previous: None,
                as_of: notice.at,
                now: notice.at,
                segments: Segments::none(),
                fallback_zone: &TimeZone::UTC,
            },
            due_at: notice.at,
            send_id: &notice.id,
            campaign_id: "",
            campaign_title: "",
            action_name: "",
            variant: "",
            secrets,
            policy,
        };
        Ok((self.0.render(&context)?, self.0.render_masked(&context)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::What;

    fn read(url: &str, signing: &str, policy: &Policy) -> (Option<NotifyTarget>, Vec<String>) {
        let settings = Settings {
            notify_url: url.to_owned(),
            notify_signing_secret: signing.to_owned(),
            ..Settings::default()
        };
        let mut faults = Faults::default();
        let target = NotifyTarget::read(&settings, &Secrets::default(), policy, &mut faults);
        (target, faults.0.into_iter().map(|fault| fault.field).collect())
    }

    #[test]
    fn where_notices_go_is_guarded_as_every_webhook_is() {
        let check = |url: &str, signing: &str, expected: &[&str]| {
            let (target, fields) = read(url, signing, &Policy::default());
            assert_eq!(fields, expected, "{url}");
            assert_eq!(target.is_some(), expected.is_empty() && !url.is_empty(), "{url}");
        };
        check("", "", &[]);
        check("https://ops.example/in", "", &[]);
        check("", "ops", &["notify_signing_secret"]);
        check("ops", "", &["notify_url"]);
        check("http://ops.example/in", "", &["notify_url"]);
        check("https://127.0.0.1/in", "", &["notify_url"]);
        check("https://ops.example/{{ user_id }}", "", &["notify_url"]);
        check("https://ops.example/{{ secret.NONE }}", "", &["notify_url"]);
        check("https://ops.example/in", "none", &["notify_signing_secret"]);
    }

    #[test]
    fn its_body_is_json_whatever_the_reason_says() {
        let (target, _) = read("https://ops.example/in", "", &Policy::default());
        let reason = r#"1 of 2: "{{ user.name }}" is missing"#.to_owned();
        let notice = Notice::new("n-1".to_owned(), Timestamp::UNIX_EPOCH, What::AutoPaused { reason });
        let subject = Subject::Campaign { id: "first", title: "First {{ x }}" };
        let (secrets, policy) = (Secrets::default(), Policy::default());
        let (request, shown) = target.unwrap().requests(&notice, subject, (&secrets, &policy)).unwrap();
        let expected = r#"{"type":"campaign.auto_paused","timestamp":"1970-01-01T00:00:00Z","data":{"campaign":"first","title":"First {{ x }}","reason":"1 of 2: \"{{ user.name }}\" is missing"}}"#;
        assert_eq!(String::from_utf8(request.body.clone()).unwrap(), expected);
        assert_eq!((request.url.as_str(), shown.body), ("https://ops.example/in", request.body));
    }
}
