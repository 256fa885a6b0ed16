//! Campaigns that are set off by something else than an event, on both stores, through the real binary.

use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};

crate::on_both_stores!(
    a_campaign_follows_what_became_of_another_s_sends,
    campaigns_that_set_one_another_off_stop_after_16_hops,
    a_changed_attribute_sets_off_a_campaign_and_an_import_does_not,
    a_user_is_created_once_by_whatever_comes_first,
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

fn users(users: &[(&str, &str)]) -> Vec<(String, String)> {
    users.iter().map(|(id, attributes)| ((*id).to_owned(), (*attributes).to_owned())).collect()
}

async fn import(running: &Running, id: &str, attributes: &str, fire_triggers: bool) {
    let user =
        wire::UserUpdate { id: id.to_owned(), attributes: attributes.to_owned(), ..Default::default() };
    let part = wire::ImportUsersRequest { users: vec![user], fire_triggers };
    let parts = tokio_stream::iter([part]);
    running.api.users.clone().import_users(parts).await.expect("it is imported");
}

async fn a_changed_attribute_sets_off_a_campaign_and_an_import_does_not(running: Running) {
    let target = Target::start().await;
    running.users(users(&[("ann", r#"{"plan": "free", "age": 1}"#)])).await;
    running
        .activate(&format!(
            r#"
id: upgraded
delivery: {{triggered: {{when: {{attribute_changed: plan, where: change.to == "pro" and change.from is set}}}}}}
webhook: {{url: "{}", json: {{was: "{{{{ change.from }}}}", is: "{{{{ change.to }}}}", what: "{{{{ change.attribute }}}}"}}}}
"#,
            target.url("/crm")
        ))
        .await;
    running.users(users(&[("ann", r#"{"age": 2}"#)])).await;
    running.users(users(&[("ann", r#"{"plan": "free"}"#)])).await;
    import(&running, "ann", r#"{"plan": "team"}"#, false).await;
    running.users(users(&[("bob", r#"{"plan": "pro"}"#)])).await;
    running.users(users(&[("ann", r#"{"plan": "pro", "age": 3}"#)])).await;
    import(&running, "ann", r#"{"plan": "free"}"#, false).await;
    import(&running, "ann", r#"{"plan": "pro"}"#, true).await;
    let stats = running.stats_until("upgraded", |stats| stats.delivered == 2).await;
    let refused: Vec<_> = stats.refused.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!((stats.triggered, refused), (3, vec![(wire::RefusalReason::ConditionFalse, 1)]));
    let mut bodies: Vec<_> = target.received().into_iter().map(|request| request.body).collect();
    bodies.sort();
    let body = |was: &str| format!(r#"{{"was":"{was}","is":"pro","what":"plan"}}"#);
    assert_eq!(bodies, [body("free"), body("team")], "in whatever order: that is not promised");

    // It is previewed by its name and properties.
    let event = wire::Event {
        name: "attribute_changed".to_owned(),
        properties: r#"{"attribute": "plan", "from": "team", "to": "pro"}"#.to_owned(),
        ..Default::default()
    };
    let request = wire::PreviewSendRequest {
        subject: Some(wire::preview_send_request::Subject::CampaignId("upgraded".to_owned())),
        user_id: "ann".to_owned(),
        event: Some(event),
        ..Default::default()
    };
    let answer = running.api.campaigns.clone().preview_send(request).await.unwrap().into_inner();
    assert_eq!((answer.request.map(|request| request.body), answer.refusal), (Some(body("team")), 0));
}

async fn a_user_is_created_once_by_whatever_comes_first(running: Running) {
    let target = Target::start().await;
    running
        .activate(&format!(
            r#"
id: welcome
delivery: {{triggered: {{when: {{user_created: {{}}}}}}}}
webhook: {{url: "{}/{{{{ user_id }}}}", data: {{name: "{{{{ user.name | default('-') }}}}"}}}}
"#,
            target.url("/welcome")
        ))
        .await;
    running.users(users(&[("ann", r#"{"name": "Ann"}"#)])).await;
    running.users(users(&[("ann", r#"{"name": "Anna"}"#)])).await;
    running
        .track(vec![event("bob", "seen", "{}"), event("ann", "seen", "{}"), event("bob", "seen", "{}")])
        .await;
    running.users(users(&[("bob", r#"{"name": "Bob"}"#)])).await;
    import(&running, "eve", r#"{"name": "Eve"}"#, false).await;
    running.track(vec![event("eve", "seen", "{}"), event("zoe", "seen", "{}")]).await;
    let stats = running.stats_until("welcome", |stats| stats.delivered == 3).await;
    assert_eq!((stats.triggered, stats.entered), (3, 3));
    let mut who: Vec<_> = target.received().into_iter().map(|request| request.target).collect();
    who.sort();
    assert_eq!(who, ["/welcome/ann", "/welcome/bob", "/welcome/zoe"]);
}
