//! Where a webhook leads, and that no value changes it.

use proptest::prelude::*;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::network::Policy;
use crate::reason::Suppression;
use crate::template_sample::{Sample, secret};
use crate::webhook_draft::{Missing, Webhook};
use crate::webhook_sample::{check_fault, check_stopped, compiled, draft, form, rows, sent};
use crate::webhook_url::joined;

#[track_caller]
fn check_url(url: &str, expected: &str, authorization: Option<&str>) {
    let request = sent(&draft(url)).unwrap_or_else(|e| panic!("{url}: {e:?}"));
    assert_eq!(request.url, expected, "{url}");
    let decoded = request.authorization.map(|value| {
        let encoded = value.strip_prefix("Basic ").unwrap().to_owned();
        String::from_utf8(data_encoding::BASE64.decode(encoded.as_bytes()).unwrap()).unwrap()
    });
    assert_eq!(decoded.as_deref(), authorization, "{url}");
}

#[test]
fn a_url_is_encoded_for_its_place() {
    check_url("https://h.example/hook", "https://h.example/hook", None);
    check_url(" HTTPS://H.Example ", "https://h.example/", None);
    check_url("https://h.example:8443?a=b#c", "https://h.example:8443/?a=b", None);
    check_url("https://h.example/u/{{ user_id }}/x", "https://h.example/u/u%201%2F%C3%A4/x", None);
    check_url(
        "https://h.example/?q={{ user.path }}&r={{ user.vip }}",
        "https://h.example/?q=..%2Fx%3Fy%23z&r=true",
        None,
    );
    check_url("https://h.example/{{ user.tags }}", "https://h.example/%5B%22b%22%2C%22a%22%5D", None);
    check_url(
        "https://h.example{% if user.vip %}/a{% endif %}".replace("example{%", "example/{%").as_str(),
        "https://h.example//a",
        None,
    );
    check_url("https://h.example/{{ user.path | urlencode }}", "https://h.example/..%2Fx%3Fy%23z", None);
}

#[test]
fn user_name_and_password_become_basic_credentials_and_leave_the_url() {
    check_url("https://bob:s3c@h.example/x", "https://h.example/x", Some("bob:s3c"));
    check_url("https://bob@h.example/x", "https://h.example/x", Some("bob:"));
    check_url("https://:pw@h.example/x", "https://h.example/x", Some(":pw"));
    check_url("https://key:@h.example/x", "https://h.example/x", Some("key:"));
    check_url("https://@h.example/x", "https://h.example/x", None);
    check_url("https://a%40b.c:p%3Aw%2F@h.example/x", "https://h.example/x", Some("a@b.c:p:w/"));
    check_url(
        "https://{{ user.name }}:{{ user.path }}@h.example/x",
        "https://h.example/x",
        Some("Mary:../x?y#z"),
    );
    check_url("https://{{ secret.KEY }}:@h.example/x", "https://h.example/x", Some("s3cr3t/ü:"));
    check_url("https://a@b:{{ user.vip }}@h.example/x", "https://h.example/x", Some("a@b:true"));
    check_stopped(&draft("https://a%3Ab:c@h.example/"), Suppression::BodyInvalid, "colon");
    check_stopped(&draft("https://a%0A:c@h.example/"), Suppression::BodyInvalid, "control");
    check_stopped(&draft("https://{{ user.x }}:c@h.example/"), Suppression::TemplateMissingValue, "user.x");
}

#[test]
fn a_value_of_a_user_leads_only_to_hosts_the_campaign_lists() {
    let listed = |url: &str, hosts: &[&str]| Webhook {
        allowed_hosts: hosts.iter().map(|&h| h.to_owned()).collect(),
        ..draft(url)
    };
    for url in [
        "{{ user.host }}",
        "https://{{ user.host }}/x",
        "https://h.example:{{ user.age }}/",
        "{{ user.x }}/y",
    ] {
        check_fault(&draft(url), &["webhook.url", "allowed_hosts"]);
    }
    for (url, expected) in [
        ("https://{{ user.host }}/x", "https://a.example.org/x"),
        ("https://{{ user.host }}:8443/x", "https://a.example.org:8443/x"),
        ("https://a.{{ 'example' if user.vip }}.org/x", "https://a.example.org/x"),
        ("{{ 'https://u:p@' ~ user.host ~ '/y?z' }}", "https://a.example.org/y?z"),
        ("{{ 'https://' ~ user.host }}/u/{{ user_id }}", "https://a.example.org/u/u%201%2F%C3%A4"),
    ] {
        assert_eq!(sent(&listed(url, &["*.example.org"])).unwrap().url, expected, "{url}");
        check_stopped(&listed(url, &["other.example"]), Suppression::TargetForbidden, "not in allowed_hosts");
    }
    for (url, reason) in [
        ("https://{{ user.path }}.example.org/", Suppression::BodyInvalid),
        ("https://{{ user.name ~ '@evil.test' }}/", Suppression::BodyInvalid),
        ("{{ 'https://a.example.org' ~ '' if user.vip }}{{ user.host }}/", Suppression::TargetForbidden),
        ("{{ user.name }}", Suppression::BodyInvalid),
        ("{{ 'ftp://' ~ user.host }}", Suppression::TargetForbidden),
        ("{{ 'http://' ~ user.host }}", Suppression::TargetForbidden),
        ("{{ 'javascript:' ~ user.host }}", Suppression::TargetForbidden),
    ] {
        let answer = sent(&listed(url, &["*.example.org"])).unwrap_err();
        assert_eq!(answer.reason, reason, "{url}: {answer:?}");
    }
}

#[test]
fn a_value_cannot_step_out_of_its_place_in_the_path() {
    check_stopped(&draft("https://h.example/a/{{ user.dots }}/b"), Suppression::BodyInvalid, "segment");
    check_stopped(&draft("https://h.example/a/.{{ '.' if user.vip }}"), Suppression::BodyInvalid, "segment");
    check_stopped(
        &draft("https://h.example/a/%2E{{ '.' if user.vip }}/b"),
        Suppression::BodyInvalid,
        "segment",
    );
    check_stopped(
        &draft("https://h.example/{{ user.x }}"),
        Suppression::TemplateMissingValue,
        "`user.x` is missing, in url",
    );
    let long = Webhook {
        missing: Missing::Empty,
        ..draft("https://h.example/{% for i in range(2000) %}{{ i }}..{% endfor %}")
    };
    check_stopped(&long, Suppression::BodyInvalid, "at most 8192");
}

#[test]
fn a_url_that_is_wrong_is_refused_when_it_is_saved() {
    for (url, part) in [
        ("", "is missing"),
        ("  ", "is missing"),
        ("example.com/x", "not absolute"),
        ("/x", "not absolute"),
        ("ftp://h.example/", "not absolute"),
        ("https:/h.example/", "not absolute"),
        ("https://", "no host"),
        ("https:///x", "no host"),
        ("https://a b/", "not a host"),
        ("https://h.example:99999/", "not a host"),
        ("https://h.example{% if user.vip %}.org{% endif %}/", "host and port may hold values"),
        ("https://h.example{% if user.vip %}/a{% endif %}", "host and port may hold values"),
        ("{% if user.vip %}https://h.example/{% endif %}", "not absolute"),
        ("https://h.example/{{ user. }}", "line 1, column"),
        ("https://h.example/{{ usr.name }}", "column 22: usr is not known"),
        ("http://h.example/", "--dev"),
        ("http://{{ secret.HOST }}/", "--dev"),
        ("https://localhost/", "campanile serve --dev"),
        ("https://127.0.0.1/", "--allow-network 127.0.0.0/8"),
        ("https://2130706433/", "loopback"),
        ("https://10.0.0.1/", "--allow-network 10.0.0.1/32"),
        ("https://[::ffff:10.0.0.1]/", "private"),
        ("https://h.example/\u{0}{{", "webhook.url"),
        ("https://h.example/a/../b", "segment"),
    ] {
        check_fault(&draft(url), &["webhook.url", part]);
    }
    let mut sample = Sample::new();
    sample.policy = Policy { dev: true, ..Policy::default() };
    for url in ["http://127.0.0.1:9000/bought", "http://localhost/", "http://h.example/"] {
        assert!(compiled(&draft(url), &sample).is_ok(), "{url}");
    }
    assert!(compiled(&draft("http://10.0.0.1/"), &sample).is_err());
}

#[test]
fn a_secret_goes_only_to_its_hosts() {
    check_url("https://h.example/{{ secret.KEY }}/x", "https://h.example/s3cr3t/%C3%BC/x", None);
    check_url("{{ secret.URL }}", "https://hooks.example/T0/B1", Some("bob:pw!"));
    check_url(
        "{{ secret.URL }}/{{ user_id }}",
        "https://hooks.example/T0/B1/u%201%2F%C3%A4",
        Some("bob:pw!"),
    );
    check_url("https://{{ secret.HOST }}/x", "https://h.example/x", None);
    let key = json!({"key": "{{ secret.KEY }}"});
    for draft in [
        draft("https://other.example/{{ secret.KEY }}"),
        draft("https://{{ secret.KEY }}@other.example/"),
        Webhook { data: rows(key.clone()), ..draft("https://other.example/") },
        Webhook { headers: rows(key.clone()), ..draft("https://other.example/") },
        Webhook { raw: "{{ 'a' | hmac_sha256('KEY') }}".to_owned(), ..draft("https://other.example/") },
        Webhook { data: rows(key.clone()), ..draft("{{ secret.URL }}") },
        Webhook {
            data: rows(key.clone()),
            allowed_hosts: vec!["*.example".to_owned()],
            ..draft("https://{{ user.host }}/")
        },
    ] {
        check_fault(&draft, &["secret KEY may not be sent to"]);
    }
    check_fault(
        &Webhook { signing_secret: "SIGN".to_owned(), ..draft("https://other.example/") },
        &["webhook.signing_secret", "secret SIGN may not be sent to other.example, only to h.example"],
    );
    let below = Webhook {
        data: rows(key),
        allowed_hosts: vec!["*.h.example".to_owned(), "a.h.example".to_owned()],
        ..draft("https://{{ user.host }}/")
    };
    assert!(compiled(&below, &Sample::new()).is_ok());
    check_fault(
        &draft("https://h.example/{{ secret.GONE }}"),
        &["webhook.url", "secret GONE does not exist"],
    );
    check_fault(&draft("{{ secret.HOST }}/x"), &["secret HOST is no URL"]);
}

#[test]
fn a_secret_that_moved_stops_the_send_and_is_never_in_the_reason() {
    let mut sample = Sample::new();
    let webhook = compiled(&draft("{{ secret.URL }}"), &sample).unwrap();
    sample.secrets = [secret("URL", &["https://evil.test/s3cr3t"], &["hooks.example"])].into_iter().collect();
    let stopped = webhook.render(&sample.context()).unwrap_err();
    assert_eq!(stopped.reason, Suppression::TargetForbidden);
    for value in
        ["not a url s3cr3t", "https://s3cr3t/..", "http://hooks.example/s3cr3t", "https://127.0.0.1/s3cr3t"]
    {
        sample.secrets = [secret("URL", &[value], &["hooks.example"])].into_iter().collect();
        let stopped = webhook.render(&sample.context()).unwrap_err();
        assert_eq!(stopped.reason, Suppression::TargetForbidden, "{value}");
        assert!(!stopped.detail.contains("s3cr3t/") && !stopped.detail.contains("url s3"), "{stopped:?}");
    }
    sample.secrets = Default::default();
    assert_eq!(webhook.render(&sample.context()).unwrap_err().reason, Suppression::TemplateError);
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "\",\"admin\":true,\"x\":\"",
            "\\",
            "\u{0}",
            "../..",
            "..",
            "//evil.test",
            "@evil.test",
            "?a=b&c=d#e",
            "%2e%2e",
            "\r\nx-evil: 1",
            "{{ secret.KEY }}",
            "{% for %}",
            "</script>",
            "\u{2028}",
            "a&b=c",
            "+",
            "\u{202e}",
            "",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_value_never_leaves_its_string(value in hostile()) {
        let mut sample = Sample::new();
        sample.profile.attributes.insert("name".to_owned(), json!(value));
        let draft = Webhook {
            json: r#"{"a": "{{ user.name }}", "b": ["x{{ user.name }}y"], "c": "{{ user.name | upper }}"}"#.to_owned(),
            ..draft("https://h.example/")
        };
        let body = compiled(&draft, &sample).unwrap().render(&sample.context()).unwrap().body;
        let read: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(read, json!({"a": value, "b": [format!("x{value}y")], "c": value.to_uppercase()}));
    }

    #[test]
    fn a_hostile_value_never_leaves_its_field_of_a_form(value in hostile()) {
        let mut sample = Sample::new();
        sample.profile.attributes.insert("name".to_owned(), json!(value));
        let draft = form(json!({"a": "{{ user.name }}", "b": "x{{ user.name }}y"}));
        let body = compiled(&draft, &sample).unwrap().render(&sample.context()).unwrap().body;
        let read: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        prop_assert_eq!(read, vec![("a".to_owned(), value.clone()), ("b".to_owned(), format!("x{value}y"))]);
    }

    #[test]
    fn a_hostile_value_never_changes_where_a_url_leads(value in hostile()) {
        let mut sample = Sample::new();
        sample.profile.attributes.insert("name".to_owned(), json!(value));
        let draft = draft("https://u:{{ user.name }}@h.example/a/{{ user.name }}/b?q={{ user.name }}&r=1");
        let webhook = compiled(&draft, &sample).unwrap();
        match webhook.render(&sample.context()) {
            Ok(request) => {
                let url = Url::parse(&request.url).unwrap();
                prop_assert_eq!(url.host_str(), Some("h.example"));
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!((segments[0], segments[2], segments.len()), ("a", "b", 3));
                let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                prop_assert_eq!(query, vec![("q".to_owned(), value.clone()), ("r".to_owned(), "1".to_owned())]);
            }
            Err(stopped) => prop_assert_eq!(stopped.reason, Suppression::BodyInvalid),
        }
    }

    #[test]
    fn a_hostile_host_leads_only_to_listed_hosts(value in hostile()) {
        let mut sample = Sample::new();
        sample.profile.attributes.insert("name".to_owned(), json!(value));
        for url in ["https://{{ user.name }}.example.org/x", "https://{{ user.name }}/x", "{{ user.name }}", "https://a.example.org:{{ user.name }}/"] {
            let draft = Webhook { allowed_hosts: vec!["*.example.org".to_owned()], ..draft(url) };
            if let Ok(request) = compiled(&draft, &sample).unwrap().render(&sample.context()) {
                let url = Url::parse(&request.url).unwrap();
                prop_assert!(url.host_str().unwrap().ends_with(".example.org"), "{}", request.url);
            }
        }
    }

    #[test]
    fn a_plain_path_and_query_are_joined_as_a_whole_url_would_be_read(rest in "/[a-zA-Z0-9%./?=&+@:;,!$()*~_ #é'-]{0,24}") {
        let base = Url::parse("https://h.example:8443/").unwrap();
        if let Some(url) = joined(&base, &rest) {
            prop_assert_eq!(url, Url::parse(&format!("https://h.example:8443{rest}")).unwrap());
        }
    }

    #[test]
    fn no_url_panics_when_it_is_saved(pieces in prop::collection::vec(prop_oneof![
        "\\PC{0,4}",
        prop::sample::select(vec![
            "https://", "http://", "h.example", "/", "?", "#", "@", ":", "{{ user.name }}", "{{ secret.URL }}", "{{", "}}",
            "{% if user.vip %}", "{% endif %}", "[::1]", "127.0.0.1", "%", " ", "\\", "é", "{{ '/' }}", "{# x #}", "{%- raw -%}",
            "{% endraw %}", "..",
        ]).prop_map(str::to_owned),
    ], 0..8)) {
        let sample = Sample::new();
        let draft = Webhook { allowed_hosts: vec!["h.example".to_owned()], ..draft(&pieces.concat()) };
        if let Ok(webhook) = compiled(&draft, &sample) {
            let _ = webhook.render(&sample.context());
            let _ = webhook.render_masked(&sample.context());
        }
    }
}
