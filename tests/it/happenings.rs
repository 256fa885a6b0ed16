//! Campaigns that are set off by something else than an event, on both stores, through the real binary.

use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};

crate::on_both_stores!(
    a_campaign_follows_what_became_of_another_s_sends,
    campaigns_that_set_one_another_off_stop_after_16_hops,
);

fn listeners(target: &Target) -> String {
    format!(
        r#"
id: offer
audience: user.email is set
delivery: {{triggered: asked}}
webhook: {{url: "{offer}/{{{{ user_id }}}}", data: {{to: "{{{{ user.email }}}}"}}}}
limits: {{retry: {{waits: [1s]}}}}
---
id: after-sent
delivery: {{triggered: {{when: {{campaign_sent: offer}}}}}}
webhook: {{url: "{sent}", data: {{user: "{{{{ user_id }}}}"}}}}
---
id: after-delivered
delivery: {{triggered: {{when: {{campaign_delivered: offer, where: properties.status == 202}}}}}}
webhook: {{url: "{delivered}", json: {{user: "{{{{ user_id }}}}", of: "{{{{ properties.campaign }}}}", why: "{{{{ event.name }}}}"}}}}
---
id: after-failed
delivery: {{triggered: {{when: {{campaign_failed: offer}}}}}}
webhook: {{url: "{failed}", json: {{user: "{{{{ user_id }}}}", status: "{{{{ properties.status }}}}", attempts: "{{{{ properties.attempts }}}}"}}}}
"#,
        offer = target.url("/offer"),
        sent = target.url("/sent"),
        delivered = target.url("/delivered"),
        failed = target.url("/failed"),
    )
}

async fn a_campaign_follows_what_became_of_another_s_sends(running: Running) {
    let target =
        Target::scripted(|request, _| Reply::status(if request.target == "/offer/bob" { 503 } else { 202 }))
            .await;
    let people = ["ann", "bob"].map(|id| (id.to_owned(), format!(r#"{{"email": "{id}@example.com"}}"#)));
    running.users(people).await;
    running.activate(&listeners(&target)).await;
    running.track(vec![event("ann", "asked", "{}")]).await;
    running.stats_until("after-delivered", |stats| stats.delivered == 1).await;
    running.track(vec![event("bob", "asked", "{}")]).await;
    running.stats_until("after-failed", |stats| stats.delivered == 1).await;
    let sent = running.stats_until("after-sent", |stats| stats.delivered == 2).await;
    assert_eq!((sent.triggered, sent.entered), (2, 2), "once a send, whatever came of it");
    let offer = running.stats("offer").await;
    assert_eq!((offer.delivered, offer.failed), (1, 1));
    let bodies = |path: &str| {
        let received = target.received().into_iter().filter(|request| request.target == path);
        received.map(|request| request.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies("/delivered"), [r#"{"user":"ann","of":"offer","why":"campaign_delivered"}"#]);
    assert_eq!(bodies("/failed"), [r#"{"user":"bob","status":503,"attempts":2}"#]);
    assert_eq!(running.stats("after-delivered").await.triggered, 1);

    // What set it off is watched, and explained.
    let filter = wire::EventFilter { campaign_id: "after-failed".to_owned(), ..Default::default() };
    let request = wire::ListRecentEventsRequest { filter: Some(filter), page_size: 5 };
    let recent = running.api.events.clone().list_recent_events(request).await.unwrap().into_inner().events;
    assert_eq!(recent.len(), 1);
    assert_eq!(recent[0].event.as_ref().unwrap().name, "campaign_failed");
    let output = command(&running.processes[0], &["explain", "bob", "after-failed"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Sent") && said.contains("failed send of the campaign offer"), "{said}");
}

async fn campaigns_that_set_one_another_off_stop_after_16_hops(running: Running) {
    let target = Target::start().await;
    running
        .activate(&format!(
            r#"
id: pong
delivery: {{triggered: {{when: [start, {{campaign_sent: pong}}]}}}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
            target.url("/")
        ))
        .await;
    running.track(vec![event("ann", "start", "{}")]).await;
    let stats = running.stats_until("pong", |stats| stats.finished == 18).await;
    let suppressed: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!((stats.delivered, suppressed), (17, vec![(wire::SuppressionReason::Loop, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_that_listens_to_one_that_is_not_there_is_not_activated() {
    let running = Running::sqlite().await;
    let file = r#"
id: lost
delivery: {triggered: {when: {campaign_failed: nobody}}}
webhook: {url: "http://127.0.0.1:9000/in", data: {user: "{{ user_id }}"}}
"#;
    running.create(file).await;
    let request = wire::ActivateCampaignRequest { id: "lost".to_owned(), ..Default::default() };
    let refused = running.api.campaigns.clone().activate_campaign(request).await.unwrap_err();
    assert!(refused.message().contains("there is no campaign \"nobody\""), "{refused}");
}
