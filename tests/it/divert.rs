//! Staging on real data: with `--divert-to` nothing goes where it is meant to go, and no secret goes anywhere.

use campanile_proto::v1 as wire;
use campanile_tests::running::Running;
use campanile_tests::target::{Reply, Target};

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_goes_to_one_url_with_its_secrets_masked() {
    let (staging, meant) = (Target::scripted(first_fails).await, Target::start().await);
    let running = Running::sqlite_with(&["--dev", "--divert-to", &staging.url("/staging")]).await;
    let secret = wire::PutSecretRequest {
        name: "api".to_owned(),
        values: vec!["hush-hush".to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        ..Default::default()
    };
    running.api.secrets.clone().put_secret(secret).await.expect("it is stored");
    running.users([("mary".to_owned(), String::new())]).await;
    let url = meant.url("/real/{{ user_id }}?key={{ secret.api }}");
    running
        .activate(&format!(
            "id: real\ndelivery: {{manual: {{}}}}\nwebhook:\n  url: \"{url}\"\n  method: put\n  headers: {{x-key: \"{{{{ secret.api }}}}\"}}\n  \
             data: {{user: \"{{{{ user_id }}}}\", key: \"{{{{ secret.api }}}}\"}}\nlimits: {{retry: {{waits: 1s}}}}\n"
        ))
        .await;
    running.enter("real", &[("mary", "")]).await;
    let stats = running.stats_until("real", |stats| stats.finished == 1).await;
    assert_eq!((stats.delivered, stats.attempts), (1, 2), "a retry is diverted as well");
    let test = wire::SendTestRequest {
        subject: Some(wire::send_test_request::Subject::CampaignId("real".to_owned())),
        user_id: "mary".to_owned(),
        ..Default::default()
    };
    running.api.campaigns.clone().send_test(test).await.expect("it is posted");
    let received = staging.wait_for(3).await;
    for received in &received {
        assert_eq!((received.method.as_str(), received.target.as_str()), ("PUT", "/staging"));
        let from = received.header("campanile-diverted-from");
        assert_eq!(from, meant.url("/real/mary?key=***"));
        assert_eq!(received.body, r#"{"user":"mary","key":"***"}"#);
        assert!(!format!("{received:?}").contains("hush"), "{received:?}");
    }
    assert_eq!(received[0].webhook_id(), received[1].webhook_id());
    assert!(meant.received().is_empty(), "nothing goes where it was meant to");
}

fn first_fails(_: &campanile_tests::target::Received, before: usize) -> Reply {
    Reply::status(if before == 0 { 503 } else { 204 })
}
