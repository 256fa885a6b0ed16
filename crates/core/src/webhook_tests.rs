//! What a webhook promises: headers, body, what is kept, what is shown.

use serde_json::{Value, json};

use crate::fault::Faults;
use crate::network::Policy;
use crate::reason::Suppression;
use crate::secret::Secrets;
use crate::template_sample::{Sample, secret};
use crate::webhook::CompiledWebhook;
use crate::webhook_draft::{ContentType, Method, Missing, Row, Webhook};
use crate::webhook_headers::{AttemptHead, headers};
use crate::webhook_kept::StoredRequest;
use crate::webhook_sample::{check_body, check_fault, check_stopped, compiled, draft, form, rows, sent};

#[test]
fn headers_are_templates_and_cannot_be_broken_out_of() {
    let with = |value: Value| Webhook { headers: rows(value), ..draft("https://h.example/") };
    let request = sent(&with(json!({"X-Name": "{{ user.name }}", "authorization": "Bearer {{ secret.KEY }}", "x-n": 5, "x-é": true}))
        .tap(|draft| draft.headers.pop()))
    .unwrap();
    let expected = [("x-name", "Mary"), ("authorization", "Bearer s3cr3t/ü"), ("x-n", "5")];
    assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for name in [
        "host",
        "Content-Length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "proxy-authorization",
        "webhook-id",
        "Webhook-Anything",
        "campanile-attempt",
        "expect",
        "content-type",
        "a b",
        "",
        "é",
        "a\nb",
    ] {
        check_fault(&with(json!({name: "x"})), &["webhook.headers[0].name"]);
    }
    check_fault(&with(json!({"a": "x", "A": "y"})), &["webhook.headers[1].name", "twice"]);
    check_fault(&with(json!({"a": "x\ny"})), &["webhook.headers[0].value"]);
    check_fault(
        &with(json!({"a": null, "b": [1]})),
        &["webhook.headers[0].value", "webhook.headers[1].value"],
    );
    check_fault(&with(json!({"a": "{{ x"})), &["webhook.headers[0].value: line 1"]);
    let many: serde_json::Map<String, Value> = (0..33).map(|i| (format!("x-{i}"), json!("v"))).collect();
    check_fault(&with(Value::Object(many)), &["webhook.headers", "at most 32"]);
    check_stopped(&with(json!({"a": "{{ user['First name'] }}"})), Suppression::BodyInvalid, "headers.a");
    check_stopped(&with(json!({"a": "{{ 'x\\u0000' }}"})), Suppression::BodyInvalid, "control");
    check_stopped(&with(json!({"a": "{{ 'x' * 9000 }}"})), Suppression::BodyInvalid, "at most 8192");
    check_stopped(
        &with(json!({"a": "{{ user.x }}"})),
        Suppression::TemplateMissingValue,
        "`user.x` is missing, in headers.a",
    );
    let both = Webhook { headers: rows(json!({"Authorization": "x"})), ..draft("https://a:b@h.example/") };
    check_fault(&both, &["webhook.headers[0].name", "user name and password"]);
}

trait Tap: Sized {
    fn tap<T>(mut self, change: impl FnOnce(&mut Self) -> T) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Webhook {}

#[test]
fn rows_are_a_json_object_in_their_order_with_types_kept() {
    let with = |data: Value| Webhook { data: rows(data), ..draft("https://h.example/") };
    check_body(
        &with(json!({"first_name": "Mary", "last_name": "Doe"})),
        r#"{"first_name":"Mary","last_name":"Doe"}"#,
    );
    check_body(
        &with(json!({
            "z": "{{ user.age }}", "a": "{{ user.vip }}", "big": "{{ user.big }}", "text": "n {{ user.age }}",
            "forced": "{{ user.age | string }}", "list": "{{ user.tags }}", "map": "{{ user.address }}", "n": 1.5,
            "t": true, "null": null, "o": {"k": "{{ user.name }}", "l": ["x", "{{ user.score }}"]}, "é\"": "{{ user['First name'] }}",
        })),
        "{\"z\":41,\"a\":true,\"big\":9007199254740993,\"text\":\"n 41\",\"forced\":\"41\",\"list\":[\"b\",\"a\"],\
         \"map\":{\"city\":\"Köln\",\"zip\":null},\"n\":1.5,\"t\":true,\"null\":null,\"o\":{\"k\":\"Mary\",\"l\":[\"x\",1.5]},\
         \"é\\\"\":\"M\\\"\\n\"}",
    );
    check_stopped(
        &with(json!({"a": "{{ user.x }}"})),
        Suppression::TemplateMissingValue,
        "`user.x` is missing, in data.a",
    );
    check_stopped(
        &with(json!({"o": {"k": ["{{ user.x }}"]}})),
        Suppression::TemplateMissingValue,
        "in data.o.k[0]",
    );
    check_stopped(&with(json!({"a": "{{ abort('not today') }}"})), Suppression::TemplateAbort, "not today");
    check_stopped(&with(json!({"a": "{{ 1 // 0 }}"})), Suppression::TemplateError, "in data.a");
    check_body(&with(json!({"a": "{{ user.x | default(none) }}"})), r#"{"a":null}"#);
    check_body(&Webhook { missing: Missing::Empty, ..with(json!({"a": "{{ user.x }}"})) }, r#"{"a":""}"#);
    let twice = Webhook {
        data: vec![Row { name: "a".to_owned(), value: json!(1) }; 2],
        ..draft("https://h.example/")
    };
    check_fault(&twice, &["webhook.data[1].name", "twice"]);
    check_fault(&with(json!({"": 1, "{{ x }}": 2})), &["webhook.data[0].name", "webhook.data[1].name"]);
    check_fault(&with(json!({"a": {"b": ["{{ x"]}})), &["webhook.data[0].value.b[0]: line 1"]);
    let many: serde_json::Map<String, Value> = (0..10_000).map(|i| (format!("x{i}"), json!("v"))).collect();
    check_fault(&with(Value::Object(many)), &["webhook.data", "at most 500"]);
}

#[test]
fn a_form_is_written_as_the_url_standard_says() {
    check_body(&form(json!({"first_name": "Mary", "last_name": "Doe"})), "first_name=Mary&last_name=Doe");
    check_body(
        &form(json!({
            "a b": "x {{ user.name }}&", "t": "{{ user.tags }}", "c": ["1", "{{ user.age }}", [2, "{{ user.name }}"]],
            "o": "{{ user.address }}", "p": {"k": "{{ user.vip }}"}, "n": 1, "v": true, "e": "", "é": "{{ user.vip }}",
            "fixed": ["x", 2, {"a": 1}],
        })),
        "a+b=x+Mary%26&t=b&t=a&c=1&c=41&c=%5B2%2C%22Mary%22%5D&o=%7B%22city%22%3A%22K%C3%B6ln%22%2C%22zip%22%3Anull%7D\
         &p=%7B%22k%22%3Atrue%7D&n=1&v=true&e=&%C3%A9=true&fixed=x&fixed=2&fixed=%7B%22a%22%3A1%7D",
    );
    check_body(&form(json!({"a": [], "b": "{{ user.x | default(none) }}", "c": "{{ [] }}"})), "b=");
    check_stopped(&form(json!({"a": "{{ user.x }}"})), Suppression::TemplateMissingValue, "in data.a");
    check_fault(&form(json!({"a": null})), &["webhook.data[0].value", "no null"]);
    let twice = Webhook { data: vec![Row { name: "a".to_owned(), value: json!(1) }; 2], ..form(json!({})) };
    check_body(&twice, "a=1&a=1");
}

#[test]
fn a_whole_document_follows_the_same_rule_at_any_depth() {
    let with = |json: &str| Webhook { json: json.to_owned(), ..draft("https://h.example/") };
    check_body(
        &with(
            r#"{"z": {"to": ["{{ user.name }}", {"n": "{{ user.big }}"}]}, "a": 9007199254740993, "q": "a \"{{ user.vip }}\""}"#,
        ),
        r#"{"z":{"to":["Mary",{"n":9007199254740993}]},"a":9007199254740993,"q":"a \"true\""}"#,
    );
    check_body(&with(r#"["{{ user.tags }}", 1]"#), r#"[["b","a"],1]"#);
    check_body(&with("\"{{ user.address }}\""), r#"{"city":"Köln","zip":null}"#);
    check_body(&with("{{ user.address }}"), r#"{"city":"Köln","zip":null}"#);
    check_body(&with("{{ properties.nested }}"), r#"{"a":{"b":[1,2]}}"#);
    let whole = sent(&with("\"{{ user }}\"")).unwrap().body;
    assert_eq!(
        String::from_utf8(whole).unwrap(),
        Value::Object(Sample::new().profile.attributes).to_string()
    );
    check_fault(&with("{\"id\": {{ user_id }} }"), &["webhook.json", "a template in it is a string"]);
    check_fault(&with("{"), &["webhook.json", "is not JSON"]);
    check_fault(&with(r#"{"a": [1, "{{ x"]}"#), &["webhook.json.a[1]: line 1"]);
    check_fault(&with(r#"{"{{ x }}": 1}"#), &["webhook.json", "only values are templates"]);
    check_fault(&with(&"[".repeat(10_000)), &["webhook.json", "is not JSON"]);
    check_fault(
        &Webhook { content_type: ContentType::Form, ..with("{}") },
        &["webhook.json", "content type json"],
    );
    check_stopped(&with(r#"{"a": "{{ user.x }}"}"#), Suppression::TemplateMissingValue, "in json.a");
}

#[test]
fn a_raw_body_is_text_and_json_where_it_says_so() {
    let raw = |content_type: &str, raw: &str| Webhook {
        content_type: ContentType::from(content_type.to_owned()),
        raw: raw.to_owned(),
        ..draft("https://h.example/")
    };
    let request = sent(&raw("text/csv; charset=utf-8", "id,{{ user.name }}\n")).unwrap();
    assert_eq!(
        (request.content_type.as_deref(), &*request.body),
        (Some("text/csv; charset=utf-8"), &b"id,Mary\n"[..])
    );
    check_body(&raw("json", "{\"n\": {{ user.name | tojson }}}"), "{\"n\": \"Mary\"}");
    check_stopped(&raw("json", "{\"n\": {{ user.name }}}"), Suppression::BodyInvalid, "not JSON");
    check_stopped(&raw("application/vnd.api+json", "{{ user.name }}"), Suppression::BodyInvalid, "not JSON");
    check_body(&raw("form", "a={{ user.path | urlencode }}"), "a=..%2Fx%3Fy%23z");
    check_stopped(&raw("text/plain", "{{ user.x }}"), Suppression::TemplateMissingValue, "in raw");
    check_stopped(
        &raw("text/plain", "{% for i in range(90000) %}aaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}"),
        Suppression::TemplateError,
        "too much",
    );
    check_stopped(
        &raw("text/plain", "{{ 'aaaaaaaa' * 200000 }}"),
        Suppression::BodyInvalid,
        "at most 1048576",
    );
    for content_type in ["text", "text/", "a b/c", "text/plain\r\nx: y", "/"] {
        check_fault(&raw(content_type, "x"), &["webhook.content_type"]);
    }
    check_fault(
        &Webhook { data: rows(json!({"a": 1})), raw: String::new(), ..raw("text/plain", "") },
        &["webhook.data", "raw"],
    );
    let json_rows = Webhook { data: rows(json!({"a": 1})), ..raw("application/vnd.api+json", "") };
    check_body(&json_rows, "{\"a\":1}");
}

#[test]
fn one_body_at_most_and_none_for_a_get() {
    let all = Webhook {
        data: rows(json!({"a": 1})),
        json: "{}".to_owned(),
        raw: "x".to_owned(),
        ..draft("https://h.example/")
    };
    check_fault(&all, &["webhook.raw", "give one of data, json and raw"]);
    let request = sent(&draft("https://h.example/")).unwrap();
    assert_eq!((request.content_type, request.body.len()), (None, 0));
    for method in Method::ALL {
        let with =
            Webhook { method, ..Webhook { data: rows(json!({"a": 1})), ..draft("https://h.example/") } };
        if method == Method::Get {
            check_fault(&with, &["webhook.data", "a GET carries no body"]);
        } else {
            let request = sent(&with).unwrap();
            assert_eq!((request.method, request.content_type.as_deref()), (method, Some("application/json")));
        }
    }
}

#[test]
fn every_fault_is_named_at_once() {
    let draft = Webhook {
        url: "ftp://x".to_owned(),
        method: Method::Get,
        headers: rows(json!({"host": "x", "ok": "{{ usr }}"})),
        data: rows(json!({"a": "{{ x", "b": "{{ user.x | uper }}"})),
        allowed_hosts: vec!["https://x".to_owned()],
        signing_secret: "NONE".to_owned(),
        ..Webhook::default()
    };
    check_fault(
        &draft,
        &[
            "webhook.allowed_hosts[0]",
            "webhook.url",
            "webhook.headers[0].name",
            "webhook.headers[1].value",
            "webhook.data: a GET",
            "webhook.data[0].value",
            "webhook.data[1].value",
            "webhook.signing_secret",
        ],
    );
    check_fault(
        &Webhook {
            signing_secret: "KEY".to_owned(),
            ..Webhook { url: "https://h.example/".to_owned(), ..Webhook::default() }
        },
        &["webhook.signing_secret", "whsec_"],
    );
}

#[test]
fn a_webhook_says_where_it_leads_and_what_it_needs() {
    let sample = Sample::new();
    for (url, destination) in [
        ("https://h.example/{{ user_id }}", Some("https://h.example:443")),
        ("https://h.example:8443/", Some("https://h.example:8443")),
        ("{{ secret.URL }}", None),
        ("https://{{ secret.HOST }}/", None),
    ] {
        let webhook = compiled(&draft(url), &sample).unwrap();
        assert_eq!(webhook.constant_destination().as_deref(), destination, "{url}");
        let own = webhook.render(&sample.context()).unwrap().destination();
        assert!(own.is_some_and(|own| destination.is_none_or(|expected| own == expected)), "{url}");
    }
    for (value, event, values) in [
        ("{{ properties.total }}", true, false),
        ("{{ event.name }}", true, false),
        ("{{ user.name }}", false, true),
        ("{{ values.x | default(1) }}", false, true),
        ("{{ user_id }} {{ count('a') }}", false, false),
    ] {
        let webhook = compiled(&form(json!({"a": value})), &sample).unwrap();
        assert_eq!((webhook.needs_event(), webhook.needs_values()), (event, values), "{value}");
    }
}

#[test]
fn what_was_checked_when_it_was_saved_is_judged_again_when_it_is_rendered() {
    let mut sample = Sample::new();
    let (rules, secrets) = (Policy::unchecked(), Secrets::unchecked());
    for (url, reason) in [
        ("https://h.example/{{ secret.KEY }}", None),
        ("https://other.example/{{ secret.KEY }}", Some(Suppression::TargetForbidden)),
        ("https://h.example/{{ secret.GONE }}", Some(Suppression::TemplateError)),
        ("http://h.example/", Some(Suppression::TargetForbidden)),
        ("https://10.0.0.1/", Some(Suppression::TargetForbidden)),
        ("{{ secret.URL }}", None),
    ] {
        let mut faults = Faults::default();
        let signed = Webhook { signing_secret: "GONE".to_owned(), ..draft(url) };
        let webhook = CompiledWebhook::compile(&draft(url), "webhook", &secrets, &rules, &mut faults);
        let webhook = webhook.unwrap_or_else(|| panic!("{url}: {faults}"));
        let answer = webhook.render(&sample.context()).err().map(|stopped| stopped.reason);
        assert_eq!(answer, reason, "{url}");
        assert!(CompiledWebhook::compile(&signed, "webhook", &secrets, &rules, &mut faults).is_some());
    }
    sample.policy = Policy { dev: true, ..Policy::default() };
    let mut faults = Faults::default();
    let webhook = CompiledWebhook::compile(&draft("http://127.0.0.1/"), "", &secrets, &rules, &mut faults);
    assert!(webhook.unwrap().render(&sample.context()).is_ok());
}

#[test]
fn an_attempt_carries_what_is_always_sent() {
    let sample = Sample::new();
    let draft = Webhook {
        data: rows(json!({"a": 1})),
        headers: rows(json!({"x-a": "b"})),
        signing_secret: "SIGN".to_owned(),
        ..draft("https://u:p@h.example/")
    };
    let webhook = compiled(&draft, &sample).unwrap();
    let keys = webhook.signing_keys(&sample.secrets).unwrap();
    let request = webhook.render(&sample.context()).unwrap();
    let attempt = |number| AttemptHead {
        send_id: "snd_1",
        campaign_id: "first",
        number,
        at: "2026-07-01T12:00:00.9Z".parse().unwrap(),
        version: "0.1.0",
    };
    let first = headers(&request, &attempt(1), &keys);
    let value = |name: &str| first.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    assert_eq!(value("content-type"), Some("application/json"));
    assert_eq!(value("authorization"), Some("Basic dTpw"));
    assert_eq!(value("user-agent"), Some("campanile/0.1.0"));
    assert_eq!(value("webhook-id"), Some("snd_1"));
    assert_eq!(value("webhook-timestamp"), Some("1782907200"));
    assert_eq!(value("campanile-campaign"), Some("first"));
    assert_eq!(value("campanile-attempt"), Some("1"));
    assert_eq!(value("x-a"), Some("b"));
    let signature = value("webhook-signature").unwrap();
    assert_eq!(signature.split(' ').count(), 2);
    assert!(crate::signature::verify(&keys, "snd_1", 1_782_907_200, &request.body, signature));
    let second = headers(&request, &attempt(2), &keys);
    let trace =
        |all: &[(String, String)]| all.iter().find(|(own, _)| own == "traceparent").unwrap().1.clone();
    let (one, two) = (trace(&first), trace(&second));
    assert_eq!((one.len(), &one[..36]), (55, &two[..36]));
    assert_ne!(one, two);
    assert_eq!(trace(&headers(&request, &attempt(1), &keys)), one);
    assert!(!headers(&request, &attempt(1), &[]).iter().any(|(name, _)| name == "webhook-signature"));
}

#[test]
fn a_retry_sends_the_same_bytes_and_resolves_secrets_anew() {
    let mut sample = Sample::new();
    let draft = Webhook {
        headers: rows(json!({"x-name": "{{ user.name }}", "x-key": "{{ secret.KEY }}"})),
        data: rows(json!({"name": "{{ user.name }}"})),
        ..draft("https://{{ secret.KEY | urlencode }}:@h.example/{{ user.name }}")
    };
    let webhook = compiled(&draft, &sample).unwrap();
    let request = webhook.render(&sample.context()).unwrap();
    let stored = webhook.keep(&request, &sample.context());
    let stored = StoredRequest::unpack(&stored.pack()).unwrap();
    assert!(!String::from_utf8_lossy(&stored.pack()).contains("s3cr3t"));
    assert!(!format!("{stored:?}").contains("s3cr3t"));
    assert_eq!(webhook.again(&stored, &sample.context()).unwrap(), request);

    sample.profile.attributes.insert("name".to_owned(), json!("Changed"));
    sample.secrets = [secret("KEY", &["rotated"], &["h.example"])].into_iter().collect();
    let again = webhook.again(&stored, &sample.context()).unwrap();
    assert_eq!((&again.url, &again.body), (&request.url, &request.body));
    assert_eq!(again.headers[0].1, "Mary");
    assert_eq!(again.headers[1].1, "rotated");
    assert_eq!(again.authorization.as_deref(), Some("Basic cm90YXRlZDo="));

    sample.secrets = [secret("KEY", &["rotated"], &["elsewhere.example"])].into_iter().collect();
    assert_eq!(webhook.again(&stored, &sample.context()).unwrap_err().reason, Suppression::TargetForbidden);
}

#[test]
fn what_is_shown_never_holds_a_secret() {
    let sample = Sample::new();
    for draft in [
        Webhook {
            raw: "{{ secret.KEY }} {{ user.name }}".to_owned(),
            ..draft("https://h.example/{{ secret.KEY }}/{{ user.name }}")
        },
        Webhook {
            json: r#"["{{ secret.KEY | b64encode }}", "{{ secret.KEY ~ user.name }}"]"#.to_owned(),
            ..draft("https://{{ secret.KEY }}:x@h.example/")
        },
        Webhook { headers: rows(json!({"x": "{{ secret.URL }}"})), ..draft("{{ secret.URL }}") },
    ] {
        let draft = Webhook {
            content_type: if draft.raw.is_empty() {
                ContentType::Json
            } else {
                ContentType::Other("text/plain".to_owned())
            },
            ..draft
        };
        let webhook = compiled(&draft, &sample).unwrap();
        let request = webhook.render(&sample.context()).unwrap();
        let stored = webhook.keep(&request, &sample.context());
        let masked = webhook.render_masked(&sample.context()).unwrap();
        let shown = stored.shown();
        assert_eq!(shown.url, masked.url);
        assert_eq!(shown.body.as_bytes(), masked.body);
        let text = format!(
            "{stored:?} {request:?} {webhook:?} {} {:?} {:?}",
            masked.url, masked.headers, masked.authorization
        );
        for leak in
            ["s3cr3t", "pw%21", "czNjcjN0", "T0/B1", &request.authorization.unwrap_or("-none-".to_owned())]
        {
            assert!(!text.contains(leak) && !shown.body.contains(leak), "{leak} in {text} {}", shown.body);
        }
        assert!(format!("{shown:?}").contains("***"));
    }
}
