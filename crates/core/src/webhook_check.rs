//! Pure. Compiles a webhook, or names everything that is wrong with it at once.

use http::HeaderName;
use serde_json::Value;
use url::Url;

use crate::campaign_fields::expression;
use crate::expression::{Expression, Scope};
use crate::fault::Faults;
use crate::limits;
use crate::network::Policy;
use crate::secret::{Secret, Secrets, host_matches, host_patterns};
use crate::signature;
use crate::template::{Language, Template};
use crate::template_filters::Place;
use crate::template_names::Slot;
use crate::webhook::CompiledWebhook;
use crate::webhook_body::Body;
use crate::webhook_draft::{ContentType, FORM, Method, Webhook};
use crate::webhook_schema::Schema;
use crate::webhook_url::Address;

impl CompiledWebhook {
    /// `path` is where the webhook stands in its campaign. `None` if a fault was added.
    pub fn compile(
        draft: &Webhook,
        path: &str,
        secrets: &Secrets,
        policy: &Policy,
        faults: &mut Faults,
    ) -> Option<CompiledWebhook> {
        let check =
            Check { draft, path, secrets, policy, language: Language::new(draft.missing, Place::Text) };
        let before = faults.0.len();
        let allowed_hosts = host_patterns(&draft.allowed_hosts, &check.field("allowed_hosts"), faults);
        let url = check.field("url");
        let address = Address::compile(&draft.url, &draft.allowed_hosts, draft.missing, policy, &url, faults);
        let headers = check.headers(address.as_ref(), faults);
        let body = check.body(faults);
        let content_type = (!body.is_empty()).then(|| draft.content_type.header().to_owned());
        let signing_secret = check.signing_secret(faults);
        let success_when = check.success_when(faults);
        let schema = check.schema(&body, faults);
        let address = address?;
        let mut webhook = CompiledWebhook {
            method: draft.method,
            address,
            allowed_hosts,
            headers,
            content_type,
            body,
            signing_secret,
            success_when,
            schema,
            secrets: Vec::new(),
        };
        check.secrets(&mut webhook, faults);
        (faults.0.len() == before).then_some(webhook)
    }
}

struct Check<'a> {
    draft: &'a Webhook,
    path: &'a str,
    secrets: &'a Secrets,
    policy: &'a Policy,
    language: Language,
}

/// What a content type means for the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Other,
}

impl Check<'_> {
    fn field(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn headers(&self, address: Option<&Address>, faults: &mut Faults) -> Vec<(String, Template)> {
        let rows = &self.draft.headers;
        if rows.len() > limits::HEADERS_MAX {
            let max = limits::HEADERS_MAX;
            faults.add(self.field("headers"), format!("at most {max} headers, got {}", rows.len()));
            return Vec::new();
        }
        let mut headers: Vec<(String, Template)> = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let name = row.name.trim().to_ascii_lowercase();
            let field = self.field(&format!("headers[{i}]"));
            if let Some(text) = header_fault(&name) {
                faults.add(format!("{field}.name"), text);
            } else if headers.iter().any(|(earlier, _)| *earlier == name) {
                faults.add(format!("{field}.name"), format!("{name} is given twice"));
            } else if name == "authorization" && address.is_some_and(Address::has_credentials) {
                faults.add(
                    format!("{field}.name"),
                    "the URL's user name and password make this header already",
                );
            }
            let field = format!("{field}.value");
            let source = match &row.value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => row.value.to_string(),
                _ => {
                    faults.add(field, "a header's value is text");
                    continue;
                }
            };
            if let Some(template) = self.language.template(&source, &field, faults) {
                if template.constant().is_some_and(|text| http::HeaderValue::from_str(text).is_err()) {
                    faults.add(field, "a header's value has no line breaks or other control characters");
                }
                headers.push((name, template));
            }
        }
        headers
    }

    fn kind(&self, faults: &mut Faults) -> Kind {
        let text = match &self.draft.content_type {
            ContentType::Json => return Kind::Json,
            ContentType::Form => return Kind::Form,
            ContentType::Other(text) => text,
        };
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let shaped = essence.split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b));
        if !shaped || text.len() > limits::HEADER_BYTES_MAX || http::HeaderValue::from_str(text).is_err() {
            faults.add(
                self.field("content_type"),
                format!("{text:?} is no content type, expected json, form, or one like text/plain"),
            );
        }
        match essence.as_str() {
            "application/json" => Kind::Json,
            FORM => Kind::Form,
            other if other.ends_with("+json") => Kind::Json,
            _ => Kind::Other,
        }
    }

    fn body(&self, faults: &mut Faults) -> Body {
        let draft = self.draft;
        let kind = self.kind(faults);
        let given = [
            ("data", !draft.data.is_empty()),
            ("json", !draft.json.is_empty()),
            ("raw", !draft.raw.is_empty()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        let one = match given.as_slice() {
            [] => return Body::Empty,
            [one] => *one,
            [first, .., last] => {
                faults.add(
                    self.field(last),
                    format!("give one of data, json and raw; {first} is given already"),
                );
                return Body::Empty;
            }
        };
        if draft.method == Method::Get {
            faults.add(self.field(one), "a GET carries no body, put values into the URL");
        }
        let path = self.field(one);
        match (one, kind) {
            ("data", Kind::Other) => {
                faults.add(path, "rows need the content type json or form, write raw instead")
            }
            ("json", Kind::Form | Kind::Other) => faults.add(path, "needs the content type json"),
            ("data", _) if !self.rows_fit(&path, faults) => {}
            ("data", Kind::Json) => return Body::json_rows(&self.language, &draft.data, &path, faults),
            ("data", Kind::Form) => return Body::form_rows(&self.language, &draft.data, &path, faults),
            ("json", Kind::Json) => {
                return Body::document(&self.language, &draft.json, &path, faults).unwrap_or(Body::Empty);
            }
            _ => {
                let json = kind == Kind::Json;
                return Body::text(&self.language, &draft.raw, json, &path, faults).unwrap_or(Body::Empty);
            }
        }
        Body::Empty
    }

    fn rows_fit(&self, path: &str, faults: &mut Faults) -> bool {
        let rows = &self.draft.data;
        if rows.len() > limits::DATA_ROWS_MAX {
            faults.add(path, format!("at most {} rows, got {}", limits::DATA_ROWS_MAX, rows.len()));
            return false;
        }
        for (i, row) in rows.iter().enumerate() {
            if row.name.is_empty() {
                faults.add(format!("{path}[{i}].name"), "is missing: every row has a name");
            } else if row.name.contains("{{") {
                faults.add(format!("{path}[{i}].name"), "is a name: only values are templates");
            }
        }
        true
    }

    fn signing_secret(&self, faults: &mut Faults) -> Option<String> {
        let name = &self.draft.signing_secret;
        if name.is_empty() {
            return None;
        }
        match self.secrets.get(name) {
            None if self.secrets.is_unchecked() => {}
            None => faults.add(self.field("signing_secret"), format!("secret {name} does not exist")),
            Some(secret) => {
                if let Err(text) = signature::Key::all(secret) {
                    faults.add(self.field("signing_secret"), format!("{text}; secret {name} is not"));
                }
            }
        }
        Some(name.clone())
    }

    fn success_when(&self, faults: &mut Faults) -> Option<Expression> {
        if self.draft.success_when.is_empty() {
            return None;
        }
        expression(&self.draft.success_when, Scope::Response, &self.field("success_when"), faults)
    }

    fn schema(&self, body: &Body, faults: &mut Faults) -> Option<Schema> {
        if self.draft.json_schema.is_empty() {
            return None;
        }
        let field = self.field("json_schema");
        if !body.is_json() {
            faults.add(&field, "needs a JSON body: data or json with the content type json");
        }
        Schema::compile(&self.draft.json_schema).map_err(|text| faults.add(&field, text)).ok()
    }

    /// Every secret must exist, and may only go where it is meant to.
    fn secrets(&self, webhook: &mut CompiledWebhook, faults: &mut Faults) {
        let mut mentioned: Vec<(String, String)> = Vec::new();
        let mut mention = |slot: &Slot, field: &str| {
            if let Slot::Secret(name) = slot
                && !mentioned.iter().any(|(known, _)| known == name)
            {
                mentioned.push((name.clone(), self.field(field)));
            }
        };
        webhook.address.url_slots().chain(webhook.address.credential_slots()).for_each(|s| mention(s, "url"));
        for (name, template) in &webhook.headers {
            template.slots().iter().for_each(|slot| mention(slot, &format!("headers.{name}")));
        }
        let body = if self.draft.data.is_empty() {
            if self.draft.raw.is_empty() { "json" } else { "raw" }
        } else {
            "data"
        };
        webhook.body.slots().into_iter().for_each(|slot| mention(slot, body));
        // One that does not exist was named already.
        let known = |name: &String| self.secrets.is_unchecked() || self.secrets.get(name).is_some();
        if let Some(name) = webhook.signing_secret.clone().filter(known) {
            mention(&Slot::Secret(name), "signing_secret");
        }
        for (name, field) in &mentioned {
            match self.secrets.get(name) {
                None if self.secrets.is_unchecked() => {}
                None => faults.add(field, format!("secret {name} does not exist")),
                Some(secret) => self.secret_goes_home(secret, field, &webhook.address, faults),
            }
        }
        self.secret_url(&webhook.address, &mentioned, faults);
        webhook.secrets = mentioned.into_iter().map(|(name, _)| name).collect();
    }

    fn secret_goes_home(&self, secret: &Secret, field: &str, address: &Address, faults: &mut Faults) {
        let name = &secret.name;
        let refuse = |host: &str, faults: &mut Faults| {
            let hosts = secret.hosts.join(", ");
            faults.add(field, format!("secret {name} may not be sent to {host}, only to {hosts}"));
        };
        if let Some(host) = address.fixed().and_then(Url::host_str) {
            if !secret.allows(host) {
                refuse(host, faults);
            }
        } else if address.base_is_personal() {
            for host in self.draft.allowed_hosts.iter().map(|host| host.trim().to_ascii_lowercase()) {
                let covered = match host.strip_prefix("*.") {
                    Some(parent) => secret
                        .hosts
                        .iter()
                        .any(|own| *own == host || own.starts_with("*.") && host_matches(own, parent)),
                    None => secret.allows(&host),
                };
                if !covered {
                    refuse(&host, faults);
                }
            }
        }
    }

    /// A URL that is a secret can be checked as it is today.
    fn secret_url(&self, address: &Address, mentioned: &[(String, String)], faults: &mut Faults) {
        let Some(secret) = address.secret_url().and_then(|name| self.secrets.get(name)) else { return };
        let name = &secret.name;
        let Ok(url) = Url::parse(secret.value()) else {
            return faults
                .add(self.field("url"), format!("secret {name} is no URL, and the URL begins with it"));
        };
        let field = self.field("url");
        if let Err(text) = self.policy.check_url(&url) {
            faults.add(&field, format!("secret {name}: {text}"));
            return;
        }
        let host = url.host_str().unwrap_or_default();
        for (name, field) in mentioned {
            if self.secrets.get(name).is_some_and(|secret| !secret.allows(host)) {
                faults.add(field, format!("secret {name} may not be sent to where the URL leads"));
            }
        }
    }
}

/// Names that are ours or the connection's.
fn header_fault(name: &str) -> Option<String> {
    const OURS: &[&str] = &[
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "keep-alive",
        "expect",
    ];
    const PREFIXES: &[&str] = &["proxy-", "webhook-", "campanile-"];
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some(format!("{name:?} is no header name"));
    }
    if name == "content-type" {
        return Some("write it as content_type of the webhook".to_owned());
    }
    let refused = OURS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    refused.then(|| format!("{name} is set by Campanile itself and cannot be given"))
}

fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}
