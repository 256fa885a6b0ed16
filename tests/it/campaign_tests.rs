//! The cases beside a campaign's file are judged without a server, and a failing one fails the command.

use std::path::Path;

use campanile_tests::binary::without_server;
use campanile_tests::hand::root;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = without_server(arguments);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

const CAMPAIGN: &str = "id: bought
audience: user.email is set and count(\"refund\", \"30d\") == 0
delivery: {triggered: {when: {event: purchase, where: properties.total >= 500}}}
webhook:
  url: https://api.example.com/bought?by={{ user_id }}
  headers: {x-key: \"{{ secret.api_key }}\", x-plan: pro}
  json: {email: \"{{ user.email }}\", total: \"{{ properties.total }}\", tags: [a, b]}
limits: {quiet_hours: {from: \"21:00\", to: \"08:00\", then: drop}}
";

fn cases(text: &str, folder: &Path) -> (Option<i32>, String) {
    std::fs::write(folder.join("bought.yaml"), CAMPAIGN).expect("written");
    std::fs::write(folder.join("bought.test.yaml"), text).expect("written");
    run(&["campaign", "test", &folder.display().to_string()])
}

#[test]
fn cases_hold_what_is_posted_refused_and_suppressed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, said) = cases(
        "cases:
  - name: mary buys
    user: {id: mary, attributes: {email: m@example.com}, time_zone: Europe/Berlin}
    event: {name: purchase, properties: {total: 600}}
    now: 2026-12-01T12:00:00Z
    expect:
      url: https://api.example.com/bought?by=mary
      method: post
      json: {total: 600, email: m@example.com, tags: [a, b]}
      headers: {x-plan: pro, content-type: application/json}
  - name: too little
    user: {attributes: {email: m@example.com}}
    event: {name: purchase, properties: {total: 12}}
    expect_refused: condition_false
  - name: after a refund
    user: {attributes: {email: m@example.com}, did: [{name: refund, at: \"2026-11-20T12:00:00Z\"}]}
    event: {name: purchase, properties: {total: 600}}
    now: 2026-12-01T12:00:00Z
    expect_refused: not_in_audience
  - name: long after it
    user: {attributes: {email: m@example.com}, did: [{name: refund, at: \"2026-10-01T12:00:00Z\"}]}
    event: {name: purchase, properties: {total: 600}}
    now: 2026-12-01T12:00:00Z
    expect: {body: '{\"email\":\"m@example.com\",\"total\":600,\"tags\":[\"a\",\"b\"]}'}
  - name: at night
    user: {attributes: {email: m@example.com}, time_zone: Europe/Berlin}
    event: {name: purchase, properties: {total: 600}}
    now: 2026-12-01T22:00:00Z
    expect_suppressed: quiet_hours_drop
",
        folder.path(),
    );
    assert!(code == Some(0) && said.contains("5 passed, 0 failed"), "{said}");
    // A folder of campaigns is applied and validated without its cases.
    let names: Vec<_> = said.lines().filter(|line| line.contains("passed ")).collect();
    assert_eq!(names.len(), 5, "{said}");
}

#[test]
fn a_case_that_fails_says_what_came_instead_and_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, said) = cases(
        "cases:
  - user: {attributes: {email: m@example.com}}
    event: {name: purchase, properties: {total: 600}}
    now: 2026-12-01T12:00:00Z
    expect: {url: https://api.example.com/other, json: {total: 7}}
  - event: {name: purchase, properties: {total: 600}}
    expect_refused: condition_false
",
        folder.path(),
    );
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "bought.test.yaml:2:",
        "url: expected https://api.example.com/other; it came: https://api.example.com/bought?by=somebody",
        "json: expected {\"total\":7}; it came: {\"email\":\"m@example.com\"",
        "expected refused, condition_false; it came: refused, not_in_audience",
        "0 passed, 2 failed",
    ] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
}

#[test]
fn what_is_wrong_with_a_case_is_said_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, place, what) in [
        ("cases:\n  - {usr: {id: a}, expect_refused: pending}\n", "2:", "usr"),
        ("cases:\n  - {now: noon, expect_refused: pending}\n", "2:", "noon"),
        ("cases:\n  - {user: {id: a}}\n", "2:", "exactly one of expect"),
        ("cases:\n  - {campaign: other, expect_refused: pending}\n", "2:", "no campaign \"other\""),
        ("cases:\n  - {expect_refused: because}\n", "2:", "because"),
    ] {
        let (code, said) = cases(text, folder.path());
        let is_placed = said.contains(&format!("bought.test.yaml:{place}"));
        assert!(code == Some(2) && is_placed && said.contains(what), "{text}: {said}");
    }
    let (code, said) = run(&["campaign", "test", &root().join("docs").display().to_string()]);
    assert!(code == Some(2) && said.contains("NAME.test.yaml beside NAME.yaml"), "{said}");
}

#[test]
fn segments_lists_and_secrets_of_a_test_stand_for_the_stored_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let campaign = "id: offer
audience: {where: 'in_list(\"vips\") and user.age >= 18', exclude_segments: staff}
delivery: {manual: {}}
webhook: {url: \"https://{{ secret.hooks }}/a\", data: {to: \"{{ user_id }}\"}}
";
    std::fs::write(folder.path().join("offer.yaml"), campaign).expect("written");
    let cases = |beside: &str| {
        let text = format!(
            "{beside}
secrets: {{hooks: hooks.example.com}}
cases:
  - {{user: {{id: mary, attributes: {{age: 40}}}}, expect: {{json: {{to: mary}}}}}}
  - {{user: {{id: tom, attributes: {{age: 40}}}}, expect_refused: not_in_audience}}
  - {{user: {{id: ann, attributes: {{age: 40, company: us}}}}, expect_refused: not_in_audience}}
"
        );
        std::fs::write(folder.path().join("offer.test.yaml"), text).expect("written");
        run(&["campaign", "test", &folder.path().display().to_string()])
    };
    let (code, said) =
        cases("segments: {staff: user.company == \"us\"}\nlists: [{name: vips, user_ids: [mary, ann]}]");
    assert!(code == Some(0) && said.contains("3 passed, 0 failed"), "{said}");
    let (code, said) = cases("segments: {staff: user.company = 1}\nlists: [{name: V, user_ids: mary}]");
    assert_eq!(code, Some(2), "{said}");
    for part in ["offer.test.yaml:1:", "segments[0].where: ", "offer.test.yaml:2:", "lists[0].name: "] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let (code, said) = cases("segments: {staf: everyone}");
    assert!(
        code == Some(2) && said.contains("did you mean staf?") && said.contains("offer.yaml:2:"),
        "{said}"
    );
}
