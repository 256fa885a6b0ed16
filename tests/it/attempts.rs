//! What becomes of a webhook that does not arrive at once: retries, give-ups, refusals; and how each is told.

use campanile_core::signature::{Key, verify};
use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};
use tonic_types::StatusExt;

crate::on_both_stores!(
    a_retry_sends_the_same_bytes_under_the_same_id,
    a_far_end_s_retry_after_is_waited_for,
    a_send_that_used_up_its_attempts_is_listed_as_failed_with_all_of_them,
    a_redirect_is_final_and_not_followed,
    a_signed_webhook_verifies_and_shows_no_secret,
);

fn seen(target: &Target, more: &str) -> String {
    format!(
        r#"
id: seen
delivery: {{triggered: seen}}
limits: {{retry: {{waits: [1s]}}}}
webhook:
  url: "{}"
  data: {{user: "{{{{ user_id }}}}", n: "{{{{ properties.n | default(0) }}}}", at: "{{{{ now }}}}"}}
{more}
"#,
        target.url("/seen?u={{ user_id }}")
    )
}

async fn detail(running: &Running) -> wire::GetSendResponse {
    let id = running.sends("seen").await[0].id.clone();
    running.api.sends.clone().get_send(wire::GetSendRequest { id }).await.expect("it is known").into_inner()
}

async fn a_retry_sends_the_same_bytes_under_the_same_id(running: Running) {
    let target = Target::scripted(|_, before| Reply::status(if before == 0 { 503 } else { 200 })).await;
    running.activate(&seen(&target, "")).await;
    running.track(vec![event("mary", "seen", r#"{"n": 7}"#)]).await;
    let received = target.wait_for(2).await;
    let (first, second) = (&received[0], &received[1]);
    assert_eq!((&first.body, &first.target), (&second.body, &second.target));
    assert_eq!(first.webhook_id(), second.webhook_id());
    assert!(first.webhook_id().len() == 42 && !first.webhook_id().contains('.'));
    let numbers = (first.header("campanile-attempt"), second.header("campanile-attempt"));
    assert_eq!(numbers, ("1", "2"));
    assert_ne!(first.header("traceparent"), second.header("traceparent"));
    let stats = running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!((stats.delivered, stats.attempts, stats.retries), (1, 2, 1));
    let send = detail(&running).await;
    assert_eq!((send.attempts.len(), send.request), (2, None), "nothing of a success is kept");
}

async fn a_far_end_s_retry_after_is_waited_for(running: Running) {
    let target = Target::scripted(|_, before| match before {
        0 => Reply { headers: vec![("retry-after", "3".to_owned())], ..Reply::status(429) },
        _ => Reply::status(204),
    })
    .await;
    running.activate(&seen(&target, "")).await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    target.wait_for(2).await;
    running.stats_until("seen", |stats| stats.finished == 1).await;
    let attempts = detail(&running).await.attempts;
    let began = |i: usize| attempts[i].began_at.expect("it began").seconds;
    assert!(began(1) - began(0) >= 3, "{attempts:?}");
}

async fn a_send_that_used_up_its_attempts_is_listed_as_failed_with_all_of_them(running: Running) {
    let target =
        Target::scripted(|_, _| Reply { body: "no \u{1f600} luck".to_owned(), ..Reply::status(500) }).await;
    running.activate(&seen(&target, "")).await;
    running.track(vec![event("mary", "seen", r#"{"n": 7}"#)]).await;
    let stats = running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!((stats.failed, stats.attempts, stats.retries), (1, 2, 1));
    let answer = detail(&running).await;
    let send = answer.send.expect("the send");
    assert_eq!((send.state(), send.attempt_count, send.last_status), (wire::SendState::Failed, 2, 500));
    assert_eq!(
        answer.attempts.iter().map(|a| (a.number, a.status)).collect::<Vec<_>>(),
        [(1, 500), (2, 500)]
    );
    assert!(answer.attempts.iter().all(|a| a.response == "no \u{1f600} luck"));
    let request = answer.request.expect("its request is kept");
    assert_eq!(
        (request.method.as_str(), request.body.as_str()),
        ("POST", target.received()[0].body.as_str())
    );
    assert!(request.url.ends_with("/seen?u=mary"), "{request:?}");
}

async fn a_redirect_is_final_and_not_followed(running: Running) {
    let elsewhere = Target::start().await;
    let there = elsewhere.url("/there");
    let target = Target::scripted(move |_, _| Reply {
        headers: vec![("location", there.clone())],
        ..Reply::status(302)
    })
    .await;
    running.activate(&seen(&target, "")).await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    let stats = running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!((stats.failed, stats.attempts, stats.retries), (1, 1, 0));
    assert_eq!(elsewhere.received().len(), 0);
}

async fn a_signed_webhook_verifies_and_shows_no_secret(running: Running) {
    const SIGNING: &str = "whsec_Y2FtcGFuaWxlLXRlc3Qtc2lnbmluZy1zZWNyZXQhISE=";
    const TOKEN: &str = "t0ken-that-nobody-may-see";
    let target = Target::scripted(|_, _| Reply::status(400)).await;
    let put = |name: &str, value: &str| wire::PutSecretRequest {
        name: name.to_owned(),
        values: vec![value.to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        ..Default::default()
    };
    let mut secrets = running.api.secrets.clone();
    secrets.put_secret(put("signing", SIGNING)).await.expect("it is stored");
    secrets.put_secret(put("token", TOKEN)).await.expect("it is stored");
    let more = "  signing_secret: signing\n  headers: {x-token: \"{{ secret.token }}\"}";
    running.activate(&seen(&target, more)).await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    let received = target.wait_for(1).await.remove(0);
    let keys = [Key::read(SIGNING).expect("a key")];
    let timestamp = received.header("webhook-timestamp").parse().expect("a number");
    let signature = received.header("webhook-signature");
    assert!(verify(&keys, received.webhook_id(), timestamp, received.body.as_bytes(), signature));
    assert!(!verify(&keys, received.webhook_id(), timestamp + 1, received.body.as_bytes(), signature));
    assert_eq!(received.header("x-token"), TOKEN);
    running.stats_until("seen", |stats| stats.finished == 1).await;
    let shown = format!("{:?}", detail(&running).await);
    assert!(!shown.contains(TOKEN) && shown.contains("***"), "{shown}");
    let used =
        secrets.delete_secret(wire::DeleteSecretRequest { name: "token".to_owned(), ..Default::default() });
    let refused = used.await.expect_err("a live campaign uses it");
    assert!(refused.message().contains("seen"), "{refused:?}");
    let other = seen(&target, more).replace("id: seen", "id: other").replace("127.0.0.1", "example.com");
    let campaign = campanile_proto::campaign_file::read(other.as_bytes()).expect("a file").remove(0).campaign;
    let create = wire::CreateCampaignRequest { campaign: Some(campaign), ..Default::default() };
    let refused = running.api.campaigns.clone().create_campaign(create).await.expect_err("another host");
    let violations = refused.get_details_bad_request().expect("details").field_violations;
    assert!(violations.iter().any(|v| v.description.contains("token")), "{violations:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_targets_are_refused_at_save_and_at_connect_unless_allowed() {
    let target = Target::start().await;
    let running = Running::sqlite_with(&["--allow-http"]).await;
    let read = |text: &str| {
        campanile_proto::campaign_file::read(text.as_bytes()).expect("a file").remove(0).campaign
    };
    let create =
        wire::CreateCampaignRequest { campaign: Some(read(&seen(&target, ""))), ..Default::default() };
    let refused = running.api.campaigns.clone().create_campaign(create).await.expect_err("a loopback target");
    let violation = refused.get_details_bad_request().expect("details").field_violations.remove(0);
    assert_eq!(violation.field, "webhook.url");
    assert!(violation.description.contains("--dev"), "it says the way to allow it: {violation:?}");
    for (flags, flag) in [
        (&["--dev", "--deny-network", "127.0.0.0/8"][..], "--deny-network"),
        (&["--allow-network", "127.0.0.0/8", "--ports", "443"], "--ports"),
    ] {
        let denied = Running::sqlite_with(flags).await;
        let create =
            wire::CreateCampaignRequest { campaign: Some(read(&seen(&target, ""))), ..Default::default() };
        let refused =
            denied.api.campaigns.clone().create_campaign(create).await.expect_err("a target denied");
        assert!(refused.message().contains(flag), "{refused}");
    }
    // A host that a value gives is known only when it is sent.
    let port = target.address.port();
    let personal = format!(
        r#"
id: seen
delivery: {{triggered: seen}}
webhook:
  url: "http://{{{{ properties.host }}}}:{port}/x"
  allowed_hosts: ["127.0.0.1", "*.example.com"]
"#
    );
    running.activate(&personal).await;
    running.track(vec![event("mary", "seen", r#"{"host": "127.0.0.1"}"#)]).await;
    let stats = running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::TargetForbidden);
    assert_eq!(target.received().len(), 0);
    let allowed = Running::sqlite_with(&["--allow-network", "127.0.0.0/8"]).await;
    allowed.activate(&seen(&target, "")).await;
    allowed.track(vec![event("mary", "seen", "{}")]).await;
    target.wait_for(1).await;
}
