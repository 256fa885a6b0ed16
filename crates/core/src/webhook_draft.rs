//! Pure. A webhook as its author wrote it: plain data, stored with its campaign, checked nowhere here.
//!
//! Written by control and the campaign file; read by `webhook`, which compiles it or names every fault.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What one action POSTs. Exactly one of `data`, `json` and `raw` may be given; none is an empty body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Webhook {
    /// Absolute; a template.
    pub url: String,
    pub method: Method,
    /// Values are templates.
    pub headers: Vec<Row>,
    pub content_type: ContentType,
    /// Rows in the author's order.
    pub data: Vec<Row>,
    /// A whole JSON document, as text; strings in it are templates.
    pub json: String,
    /// A whole body as one template.
    pub raw: String,
    pub missing: Missing,
    /// Hosts a value from a user or event may lead to: exact, or `*.example.com`.
    pub allowed_hosts: Vec<String>,
    /// Name of the secret that signs.
    pub signing_secret: String,
    /// A condition over status and response that a 2xx must meet; empty: any does.
    pub success_when: String,
    /// JSON Schema as text that the rendered body must meet; empty: unchecked.
    pub json_schema: String,
}

/// One name and its value, in the author's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    pub name: String,
    /// A string is a template; numbers, booleans, lists and objects stand for themselves (strings inside are templates).
    pub value: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
    Get,
}

/// What a missing value does when it would be printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The send is suppressed.
    #[default]
    Suppress,
    /// Nothing is printed.
    Empty,
}

/// How the body is written. Stored as its text: `json`, `form`, or a content type of the author's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ContentType {
    #[default]
    Json,
    Form,
    Other(String),
}

impl Method {
    pub const ALL: [Method; 5] = [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Get];

    /// As it stands in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Get => "GET",
        }
    }
}

pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded";

impl ContentType {
    /// The value of the header.
    pub fn header(&self) -> &str {
        match self {
            ContentType::Json => JSON,
            ContentType::Form => FORM,
            ContentType::Other(text) => text,
        }
    }
}

impl From<String> for ContentType {
    fn from(text: String) -> ContentType {
        match text.trim() {
            "" | "json" | JSON => ContentType::Json,
            "form" | FORM => ContentType::Form,
            _ => ContentType::Other(text),
        }
    }
}

impl From<ContentType> for String {
    fn from(content_type: ContentType) -> String {
        match content_type {
            ContentType::Json => "json".to_owned(),
            ContentType::Form => "form".to_owned(),
            ContentType::Other(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_survives_storage_and_tolerates_what_it_does_not_know() {
        let text = r#"{"url":"https://a.example/","content_type":"form","method":"put","later":1,
                       "data":[{"name":"n","value":{"z":1,"a":9007199254740993}}],"missing":"empty"}"#;
        let draft: Webhook = serde_json::from_str(text).unwrap();
        assert_eq!(draft.content_type, ContentType::Form);
        assert_eq!(draft.method, Method::Put);
        assert_eq!(draft.missing, Missing::Empty);
        assert_eq!(draft.data[0].value.to_string(), r#"{"z":1,"a":9007199254740993}"#);
        let again: Webhook = serde_json::from_str(&serde_json::to_string(&draft).unwrap()).unwrap();
        assert_eq!(again, draft);
    }

    #[test]
    fn a_content_type_is_known_by_its_short_and_its_long_name() {
        for (text, expected) in [
            ("", ContentType::Json),
            ("json", ContentType::Json),
            ("application/json", ContentType::Json),
            ("form", ContentType::Form),
            ("application/x-www-form-urlencoded", ContentType::Form),
            ("text/csv", ContentType::Other("text/csv".to_owned())),
        ] {
            assert_eq!(ContentType::from(text.to_owned()), expected, "{text}");
        }
    }
}
