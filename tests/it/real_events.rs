//! 302 real events, nested, with quotes, emoji and line breaks in them, through triggered campaigns: every body is what an
//! independent computation gives, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use campanile_tests::examples::{Tracked, events, users};
use campanile_tests::running::Running;
use campanile_tests::target::Target;
use serde_json::{Value, json};
use url::form_urlencoded;

crate::on_both_stores!(every_real_event_makes_exactly_the_webhook_it_should);

async fn every_real_event_makes_exactly_the_webhook_it_should(running: Running) {
    let target = Target::start().await;
    let users: BTreeMap<String, Value> = users().into_iter().collect();
    running.users(users.iter().map(|(id, traits)| (id.clone(), traits.to_string()))).await;
    let events = events();
    let names: BTreeSet<&str> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!((events.len(), users.len()), (302, 14));
    let of = |kind: usize| {
        let names = names.iter().enumerate().filter(move |(i, _)| i % 3 == kind);
        names.map(|(_, name)| json!(name).to_string()).collect::<Vec<_>>().join(", ")
    };
    let url = |path: &str| target.url(path);
    running
        .activate(&format!(
            r#"
id: whole
delivery: {{triggered: {{when: [{}]}}}}
webhook:
  url: {}/{{{{ user_id }}}}
  json:
    text: "*{{{{ event.name }}}}* by {{{{ user.login }}}}"
    all: "{{{{ properties }}}}"
    sender: ["{{{{ properties.sender.id | default(0) }}}}", {{login: "{{{{ properties.sender.login | default('nobody') }}}}"}}]
---
id: form
delivery: {{triggered: {{when: [{}]}}}}
webhook:
  url: {}?user={{{{ user_id }}}}&name={{{{ event.name }}}}
  content_type: form
  data:
    event: "{{{{ event.name }}}}"
    all: "{{{{ properties }}}}"
    who: "{{{{ user.login }}}} ({{{{ user.account_type }}}})"
---
id: rows
delivery: {{triggered: {{when: [{}]}}}}
webhook:
  url: {}
  data:
    user: "{{{{ user }}}}"
    repository: "{{{{ properties.repository.full_name | default('-') }}}}"
    description: "{{{{ properties.repository.description | default('none') }}}}"
    all: "{{{{ properties }}}}"
"#,
            of(0),
            url("/whole"),
            of(1),
            url("/form"),
            of(2),
            url("/rows"),
        ))
        .await;
    for part in events.chunks(100) {
        running.track(part.iter().map(Tracked::to_wire).collect()).await;
    }
    let received = target.wait_for(events.len()).await;
    let mut came: Vec<(String, String)> = received.into_iter().map(|r| (r.target, r.body)).collect();
    let place = |name: &str| names.iter().position(|other| *other == name).expect("it is one of them");
    let mut expected: Vec<(String, String)> =
        events.iter().map(|event| expect(event, &users[&event.user_id], place(&event.event) % 3)).collect();
    came.sort();
    expected.sort();
    for (came, expected) in came.iter().zip(&expected) {
        assert_eq!(came, expected);
    }
    assert_eq!(came.len(), expected.len());
    for id in ["whole", "form", "rows"] {
        let stats = running.stats_until(id, |stats| stats.pending == 0).await;
        assert_eq!((stats.delivered, stats.finished), (stats.entered, stats.entered), "{stats:?}");
    }
}

/// Target and body of one event, computed here.
fn expect(event: &Tracked, user: &Value, kind: usize) -> (String, String) {
    let properties = &event.properties;
    let path = |pointer: &str, default: Value| match properties.pointer(pointer) {
        None | Some(Value::Null) => default,
        Some(value) => value.clone(),
    };
    let login = user["login"].as_str().expect("a login");
    match kind {
        0 => {
            let body = json!({
                "text": format!("*{}* by {login}", event.event),
                "all": properties,
                "sender": [path("/sender/id", json!(0)), {"login": path("/sender/login", json!("nobody"))}],
            });
            (format!("/whole/{}", segment(&event.user_id)), body.to_string())
        }
        1 => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("event", &event.event);
            form.append_pair("all", &properties.to_string());
            form.append_pair("who", &format!("{login} ({})", user["account_type"].as_str().expect("a type")));
            let target = format!("/form?user={}&name={}", segment(&event.user_id), segment(&event.event));
            (target, form.finish())
        }
        _ => {
            let body = json!({
                "user": user,
                "repository": path("/repository/full_name", json!("-")),
                "description": path("/repository/description", json!("none")),
                "all": properties,
            });
            ("/rows".to_owned(), body.to_string())
        }
    }
}

/// Percent-encoded but for the unreserved characters of RFC 3986.
fn segment(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
