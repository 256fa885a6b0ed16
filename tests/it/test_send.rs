//! A test send is really posted, shows everything that came back, and leaves no trace.

use campanile_proto::v1 as wire;
use campanile_proto::v1::send_test_request::Subject;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};

crate::on_both_stores!(a_test_send_is_posted_and_leaves_no_trace, a_test_send_says_what_helps);

fn file(url: &str) -> String {
    format!(
        r#"
id: first
audience: user.vip
delivery: {{triggered: {{when: purchase}}}}
webhook: {{url: "{url}", data: {{total: "{{{{ properties.total }}}}", name: "{{{{ user.name }}}}"}}}}
"#
    )
}

fn request(campaign: &str, user: &str, total: &str) -> wire::SendTestRequest {
    wire::SendTestRequest {
        subject: Some(Subject::CampaignId(campaign.to_owned())),
        user_id: user.to_owned(),
        event: Some(event("", "purchase", total)),
        ..Default::default()
    }
}

async fn a_test_send_is_posted_and_leaves_no_trace(running: Running) {
    let target = Target::scripted(|_, _| Reply {
        body: "taken".to_owned(),
        headers: vec![("x-far-end", "yes".to_owned())],
        ..Reply::status(202)
    })
    .await;
    running.users([("mary".to_owned(), r#"{"name": "Mary"}"#.to_owned())]).await;
    running.activate(&file(&target.url("/bought"))).await;
    let mut campaigns = running.api.campaigns.clone();
    let answer = campaigns.send_test(request("first", "mary", r#"{"total": 5}"#)).await;
    let answer = answer.expect("it is tried").into_inner();
    let received = target.wait_for(1).await;
    assert_eq!(received[0].body, r#"{"total":5,"name":"Mary"}"#);
    assert!(received[0].webhook_id().starts_with("test-"), "{:?}", received[0]);
    assert_eq!((answer.status, answer.body.as_str()), (202, "taken"));
    assert!(answer.headers.iter().any(|header| header.name == "x-far-end" && header.value == "yes"));
    let timing = answer.timing.expect("it is timed");
    assert!(
        timing.dns.is_some()
            && timing.connect.is_some()
            && timing.first_byte.is_some()
            && timing.tls.is_none()
    );
    let nanos = |took: Option<prost_types::Duration>| {
        took.map_or(0, |t| t.seconds * 1_000_000_000 + i64::from(t.nanos))
    };
    assert!(nanos(timing.total) >= nanos(timing.connect) + nanos(timing.first_byte), "{timing:?}");
    assert_eq!(wire::RefusalReason::try_from(answer.refusal), Ok(wire::RefusalReason::NotInAudience));
    let stats = running.stats("first").await;
    assert_eq!((stats.triggered, stats.planned, stats.attempts), (0, 0, 0));
    assert!(running.sends("first").await.is_empty());
    // A made-up user of a file, by hand; what cannot be rendered is not posted.
    let path = running.folder.path().join("first.yaml");
    std::fs::write(&path, file(&target.url("/made-up"))).expect("written");
    let path = path.display().to_string();
    let test_send = |attributes: &str| {
        let bought = r#"{"name": "purchase", "properties": {"total": 7}}"#;
        let arguments = [
            "campaign",
            "test-send",
            "-f",
            &path,
            "--user",
            "zoe",
            "--attributes",
            attributes,
            "--event",
            bought,
        ];
        let output = command(&running.processes[0], &arguments);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = test_send(r#"{"name": "Zoe", "vip": true}"#);
    assert!(code == Some(0) && said.contains("answered 202") && said.contains("total "), "{said}");
    assert_eq!(target.received()[1].body, r#"{"total":7,"name":"Zoe"}"#);
    let (code, said) = test_send("{}");
    assert!(code == Some(1) && said.contains("nothing was posted") && said.contains("user.name"), "{said}");
    assert_eq!(target.received().len(), 2);
}

async fn a_test_send_says_what_helps(running: Running) {
    let target = Target::scripted(|received, _| Reply {
        body: format!("bad: {}", received.header("authorization")),
        ..Reply::status(415)
    })
    .await;
    running.users([("mary".to_owned(), r#"{"name": "Mary"}"#.to_owned())]).await;
    let url = target.url("/in").replace("http://", "http://us:s3cretword@");
    running.create(&file(&url)).await;
    let mut campaigns = running.api.campaigns.clone();
    let answer = campaigns.send_test(request("first", "mary", r#"{"total": 5}"#)).await;
    let answer = answer.expect("it is tried").into_inner();
    assert!(answer.status == 415 && answer.hint.contains("content_type: form"), "{answer:?}");
    assert_eq!(answer.body, "bad: Basic ***", "an echo of credentials is masked");
    assert!(!format!("{answer:?}").contains("s3cretword"));
    // Nobody listens: an outcome, no error.
    let gone = target.address;
    drop(target);
    running.create(&file(&format!("http://{gone}/")).replace("id: first", "id: gone")).await;
    let answer = campaigns.send_test(request("gone", "mary", r#"{"total": 5}"#)).await;
    let answer = answer.expect("it is tried").into_inner();
    assert_eq!((answer.outcome(), answer.status), (wire::AttemptOutcome::NotConnected, 0), "{answer:?}");
}
