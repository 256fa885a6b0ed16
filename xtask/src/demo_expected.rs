//! What the demo's webhooks must be, worked out from the example files without any code of the engine.

use std::fs;

use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::demo::Received;
use crate::demo_world::{CREDITED, examples};

/// One webhook that must come.
pub(crate) struct Expected {
    pub(crate) campaign: String,
    method: &'static str,
    target: String,
    authorization: &'static str,
    signature: &'static str,
    body: String,
}

impl Expected {
    /// All of it on a line, to compare and to show.
    pub(crate) fn shown(&self) -> String {
        format!("{} {} {} {} {}", self.method, self.target, self.authorization, self.signature, self.body)
    }

    /// The same line of what came.
    pub(crate) fn came(received: &Received) -> String {
        // The receiver checks every signature; only one campaign signs.
        let signature = if received.campaign == "reviews-to-chat" { received.signature.as_str() } else { "" };
        format!(
            "{} {} {} {signature} {}",
            received.method, received.target, received.authorization, received.body
        )
    }
}

/// Everything that the example events, users and manual entries lead to.
pub(crate) fn expected() -> Result<Vec<Expected>, String> {
    let users = lines("users.ndjson")?;
    let user = |id: &str| users.iter().find(|line| line["userId"] == id).map(profile);
    let mut all = Vec::new();
    for line in lines("events.ndjson")? {
        let (event, id) = (text(&line["event"]), text(&line["userId"]));
        let Some(user) = user(&id) else { continue };
        all.extend(of_event(&event, &id, &user, &line["properties"]));
    }
    for line in &users {
        let (id, user) = (text(&line["userId"]), profile(line));
        if user["account_type"] == "User" {
            let body = json!({"login": user["login"], "id": user["github_id"], "profile": user});
            all.push(Expected {
                method: "PUT",
                ..post("welcome-people", format!("/people/{}", encoded(&id)), body.to_string())
            });
        }
        if user["site_admin"] == true {
            all.push(post("admin-pulse", "/pulse".to_owned(), json!({"admin": user["login"]}).to_string()));
        }
    }
    for (id, cents) in CREDITED {
        let body = form(&[("customer", id), ("cents", &cents.to_string()), ("note", "thank you")]);
        all.push(post("goodwill-credit", "/credits".to_owned(), body));
    }
    Ok(all)
}

fn of_event(event: &str, id: &str, user: &Value, properties: &Value) -> Option<Expected> {
    let at = |pointer: &str| properties.pointer(pointer).cloned().unwrap_or_default();
    let login = text(&user["login"]);
    if event.starts_with("issues.") {
        let (title, number) = (text(&at("/issue/title")), at("/issue/number"));
        let body = json!({
            "channel": "#issues",
            "username": login,
            "text": format!(
                "{login}: {} <{}|{title}> in {}",
                text(&at("/action")), text(&at("/issue/html_url")), text(&at("/repository/full_name"))
            ),
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": format!("*#{number}* {title}")}}],
            "number": number,
        });
        return Some(post("issues-to-chat", "/chat/issues".to_owned(), body.to_string()));
    }
    let is_review =
        ["pull_request.opened", "pull_request.ready_for_review", "pull_request.reopened"].contains(&event);
    if is_review && at("/pull_request/state") == "open" && user["account_type"] == "User" {
        let body = json!({
            "title": at("/pull_request/title"),
            "url": at("/pull_request/html_url"),
            "draft": at("/pull_request/draft"),
            "author": at("/pull_request/user/login"),
        });
        let signed = post("reviews-to-chat", "/chat/reviews".to_owned(), body.to_string());
        return Some(Expected { signature: "signed", ..signed });
    }
    if event == "push" {
        let message = at("/head_commit/message");
        let message = message.as_str().unwrap_or("none");
        let (git_ref, after) = (text(&at("/ref")), text(&at("/after")));
        let body = form(&[("ref", &git_ref), ("after", &after), ("message", message), ("pusher", &login)]);
        let repository = encoded(&text(&at("/repository/full_name")));
        let target = format!("/repos/{repository}/builds?by={}", encoded(id));
        // The base64 of robot:s3cret.
        return Some(Expected { authorization: "Basic cm9ib3Q6czNjcmV0", ..post("pushes", target, body) });
    }
    if event == "release.published" || event == "release.released" {
        let body = json!({"tag": at("/release/tag_name"), "repository": at("/repository/full_name")});
        return Some(post("releases", "/releases".to_owned(), body.to_string()));
    }
    None
}

fn post(campaign: &str, target: String, body: String) -> Expected {
    Expected { campaign: campaign.to_owned(), method: "POST", target, authorization: "", signature: "", body }
}

fn form(rows: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(rows).finish()
}

/// Percent-encoded but for the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The traits of a user line as attributes: the zone is a field of its own.
fn profile(line: &Value) -> Value {
    let mut traits = line["traits"].clone();
    if let Some(traits) = traits.as_object_mut() {
        traits.shift_remove("timezone");
    }
    traits
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn lines(file: &str) -> Result<Vec<Value>, String> {
    let path = examples().join(file);
    let all = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    all.lines()
        .map(|line| serde_json::from_str(line).map_err(|e| format!("{}: {e}", path.display())))
        .collect()
}
