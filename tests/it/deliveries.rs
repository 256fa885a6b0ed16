//! Every kind of delivery, on both stores, through the real binary to a real socket.

use std::collections::{BTreeMap, BTreeSet};

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Reply, Target};
use campanile_tests::until::until;

crate::on_both_stores!(
    a_one_time_campaign_reaches_each_user_of_its_audience_once,
    a_recurring_campaign_fires_again_and_again_until_it_has_fired_often_enough,
    a_triggered_campaign_sends_when_the_event_fits_and_says_why_when_not,
    a_delayed_send_waits_for_its_time,
    a_manual_campaign_answers_user_by_user,
    a_repeated_event_id_sends_once,
    a_repeated_request_enters_once,
    pause_holds_and_resume_releases,
    held_sends_can_be_dropped,
    end_stops,
    a_missing_value_is_never_posted,
    an_import_fires_nothing,
);

async fn a_one_time_campaign_reaches_each_user_of_its_audience_once(running: Running) {
    let target = Target::start().await;
    let user = |i: usize| (format!("u{i}"), format!(r#"{{"plan": "{}", "n": {i}}}"#, ["pro", "free"][i % 2]));
    running.users((0..500).map(user)).await;
    running
        .activate(&format!(
            r#"
id: once
audience: user.plan == "pro"
delivery: {{one_time: now}}
webhook: {{url: "{}", data: {{id: "{{{{ user_id }}}}", n: "{{{{ user.n }}}}"}}}}
"#,
            target.url("/once")
        ))
        .await;
    let received = target.wait_for(250).await;
    let bodies: BTreeSet<_> = received.iter().map(|r| r.body.clone()).collect();
    let expected: BTreeSet<_> = (0..500).step_by(2).map(|i| format!(r#"{{"id":"u{i}","n":{i}}}"#)).collect();
    assert_eq!(bodies, expected);
    let stats = running.stats_until("once", |stats| stats.finished == 250).await;
    assert_eq!((stats.entered, stats.delivered, stats.planned, stats.pending), (250, 250, 250, 0));
    // It ends by itself, and nothing more came.
    let ended = wire::CampaignState::Ended as i32;
    let looked = until(DEADLINE, async || (running.campaign("once").await.state == ended).then_some(()));
    looked.await.expect("it ends by itself");
    assert_eq!(target.received().len(), 250);
}

async fn a_recurring_campaign_fires_again_and_again_until_it_has_fired_often_enough(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), String::new())]).await;
    running
        .activate(&format!(
            r#"
id: tick
audience: everyone
delivery: {{recurring: {{cron: "* * * * * *", max_occurrences: 3}}}}
webhook: {{url: "{}", data: {{at: "{{{{ due_at }}}}"}}}}
"#,
            target.url("/tick")
        ))
        .await;
    let received = target.wait_for(3).await;
    let ids: BTreeSet<_> = received.iter().map(|r| r.webhook_id().to_owned()).collect();
    let bodies: BTreeSet<_> = received.iter().map(|r| r.body.clone()).collect();
    assert_eq!((ids.len(), bodies.len()), (3, 3), "{received:#?}");
    let stats = running.stats_until("tick", |stats| stats.finished == 3).await;
    assert_eq!(stats.delivered, 3);
}

async fn a_triggered_campaign_sends_when_the_event_fits_and_says_why_when_not(running: Running) {
    let target = Target::start().await;
    running
        .users([
            ("mary".to_owned(), r#"{"email": "mary@example.com", "name": "Mary \"M\" O'Neil"}"#.to_owned()),
            ("bob".to_owned(), String::new()),
        ])
        .await;
    running.activate(&first(&target)).await;
    running
        .track(vec![
            event("mary", "purchase", r#"{"total": 600}"#),
            event("mary", "purchase", r#"{"total": 12}"#),
            event("bob", "purchase", r#"{"total": 700}"#),
            event("mary", "other", r#"{"total": 900}"#),
        ])
        .await;
    let stats = running.stats_until("first", |stats| stats.finished == 1 && stats.triggered == 3).await;
    let received = target.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body, r#"{"name":"Mary \"M\" O'Neil","email":"mary@example.com","total":600}"#);
    assert_eq!(received[0].header("campanile-campaign"), "first");
    assert_eq!(received[0].header("campanile-attempt"), "1");
    assert_eq!(received[0].header("content-type"), "application/json");
    let refused: BTreeMap<_, _> = stats.refused.iter().map(|row| (row.reason(), row.count)).collect();
    let expected = [(wire::RefusalReason::ConditionFalse, 1), (wire::RefusalReason::NotInAudience, 1)];
    assert_eq!(refused, BTreeMap::from(expected));
}

async fn a_delayed_send_waits_for_its_time(running: Running) {
    let target = Target::start().await;
    let file = first(&target).replace("when: {event: purchase", "delay: 2s, when: {event: purchase");
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running.activate(&file).await;
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.pending == 1).await;
    assert_eq!(target.received().len(), 0, "it is not due yet");
    target.wait_for(1).await;
    let stats = running.stats_until("first", |stats| stats.finished == 1).await;
    assert_eq!(stats.delivered, 1);
    let sends = running.sends("first").await;
    let (due, settled) = (sends[0].due_at.expect("due"), sends[0].settled_at.expect("settled"));
    assert!((settled.seconds, settled.nanos) >= (due.seconds, due.nanos), "never early: {sends:?}");
}

async fn a_manual_campaign_answers_user_by_user(running: Running) {
    let target = Target::start().await;
    running
        .users([("mary".to_owned(), r#"{"cents": 1}"#.to_owned()), ("bob".to_owned(), String::new())])
        .await;
    running.activate(&credit(&target)).await;
    let answer = running
        .enter("credit", &[("mary", r#"{"cents": 500}"#), ("bob", "{}"), ("nobody", r#"{"cents": 1}"#)])
        .await;
    let reasons: Vec<_> = answer.users.iter().map(|user| user.refusal()).collect();
    let expected = [
        wire::RefusalReason::Unspecified,
        wire::RefusalReason::MissingValues,
        wire::RefusalReason::UnknownUser,
    ];
    assert_eq!(reasons, expected);
    assert_eq!((answer.entered, answer.refused), (1, 2));
    let received = target.wait_for(1).await;
    assert_eq!(received[0].body, "customer=mary&cents=500");
    assert_eq!(received[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(answer.users[0].send_ids, [received[0].webhook_id()]);
    let stats = running.stats_until("credit", |stats| stats.finished == 1).await;
    assert_eq!((stats.entered, stats.delivered), (1, 1));
}

async fn a_repeated_event_id_sends_once(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running.activate(&first(&target)).await;
    let once = wire::Event { event_id: "e-1".to_owned(), ..event("mary", "purchase", r#"{"total": 600}"#) };
    let twice = running.track(vec![once.clone(), once.clone()]).await;
    let again = running.track(vec![once]).await;
    let receipts: Vec<_> = twice.iter().chain(&again).map(|e| e.receipt()).collect();
    use wire::EventReceipt::{Accepted, Repeated};
    assert_eq!(receipts, [Accepted, Repeated, Repeated]);
    // An event after it in the same log shows that the log was read past it.
    running.track(vec![event("mary", "purchase", r#"{"total": 700}"#)]).await;
    let stats = running.stats_until("first", |stats| stats.finished == 2).await;
    assert_eq!((stats.triggered, target.received().len()), (2, 2));
}

async fn a_repeated_request_enters_once(running: Running) {
    let target = Target::start().await;
    running.users((0..40).map(|i| (format!("u{i}"), String::new()))).await;
    running.activate(&credit(&target)).await;
    let users = |cents: u32| {
        let user = move |i| wire::UserToEnter {
            user_id: format!("u{i}"),
            values: format!(r#"{{"cents": {cents}}}"#),
        };
        (0..40).map(user).collect::<Vec<_>>()
    };
    let request = wire::EnterUsersRequest {
        campaign_id: "credit".to_owned(),
        users: users(5),
        request_id: "r-1".to_owned(),
        ..Default::default()
    };
    let mut campaigns = running.api.campaigns.clone();
    let first = campaigns.enter_users(request.clone()).await.expect("entered").into_inner();
    let second = campaigns.enter_users(request.clone()).await.expect("answered").into_inner();
    assert_eq!((first.entered, &first), (40, &second));
    let mut fewer = users(5);
    fewer.truncate(7);
    let mut turned = users(5);
    turned.reverse();
    for others in [users(6), fewer, turned] {
        let other = wire::EnterUsersRequest { users: others, ..request.clone() };
        let refused = campaigns.enter_users(other).await.expect_err("another body under the same id");
        assert!(refused.message().contains("request_id"), "{refused:?}");
    }
    let stats = running.stats_until("credit", |stats| stats.finished == 40).await;
    assert_eq!((stats.entered, target.received().len()), (40, 40));
}

async fn pause_holds_and_resume_releases(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running
        .activate(&first(&target).replace("when: {event: purchase", "delay: 1s, when: {event: purchase"))
        .await;
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.pending == 1).await;
    let mut campaigns = running.api.campaigns.clone();
    let pause = wire::PauseCampaignRequest { id: "first".to_owned(), ..Default::default() };
    let paused = campaigns.pause_campaign(pause).await.expect("paused").into_inner();
    assert_eq!(paused.held, 1);
    running.track(vec![event("mary", "purchase", r#"{"total": 700}"#)]).await;
    let stats = running.stats_until("first", |stats| stats.triggered == 2).await;
    assert_eq!(stats.refused[0].reason(), wire::RefusalReason::Paused);
    // Past its time, and still held: another campaign's send of the same instant went through.
    running.activate(&second(&target)).await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    target.wait_for(1).await;
    assert!(target.received().iter().all(|r| r.header("campanile-campaign") == "second"));
    assert_eq!(running.stats("first").await.pending, 1);
    let resume = wire::ResumeCampaignRequest { id: "first".to_owned(), ..Default::default() };
    campaigns.resume_campaign(resume).await.expect("resumed");
    target.wait_for(2).await;
    let stats = running.stats_until("first", |stats| stats.finished == 1).await;
    assert_eq!(stats.delivered, 1);
}

async fn held_sends_can_be_dropped(running: Running) {
    running.users([("mary".to_owned(), String::new())]).await;
    let mut campaigns = running.api.campaigns.clone();
    // The far end is down, so the send waits for a retry.
    let target_down = Target::scripted(|_, _| Reply::status(503)).await;
    running.activate(&credit(&target_down).replace("id: credit", "id: down")).await;
    running.enter("down", &[("mary", r#"{"cents": 5}"#)]).await;
    running.stats_until("down", |stats| stats.retries == 1).await;
    let pause = wire::PauseCampaignRequest { id: "down".to_owned(), ..Default::default() };
    campaigns.pause_campaign(pause).await.expect("paused");
    let resume = wire::ResumeCampaignRequest {
        id: "down".to_owned(),
        mode: wire::ResumeMode::DropHeld as i32,
        ..Default::default()
    };
    let answer = campaigns.resume_campaign(resume).await.expect("resumed").into_inner();
    assert_eq!(answer.held, 1);
    let stats = running.stats_until("down", |stats| stats.finished == 1).await;
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::Cancelled);
    assert_eq!(target_down.received().len(), 1);
}

async fn end_stops(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running
        .activate(&first(&target).replace("when: {event: purchase", "delay: 2s, when: {event: purchase"))
        .await;
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.pending == 1).await;
    let end = wire::EndCampaignRequest {
        id: "first".to_owned(),
        mode: wire::EndMode::StopNow as i32,
        ..Default::default()
    };
    let ended = running.api.campaigns.clone().end_campaign(end).await.expect("ended").into_inner();
    assert_eq!(ended.stopped, 1);
    let stats = running.stats_until("first", |stats| stats.finished == 1).await;
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::CampaignEnded);
    running.track(vec![event("mary", "purchase", r#"{"total": 700}"#)]).await;
    let refused = running.stats_until("first", |stats| stats.triggered == 2).await.refused;
    assert_eq!(refused[0].reason(), wire::RefusalReason::AfterEnd);
    assert_eq!(target.received().len(), 0);
}

async fn a_missing_value_is_never_posted(running: Running) {
    let target = Target::start().await;
    running
        .users([("mary".to_owned(), String::new()), ("bob".to_owned(), r#"{"nick": "Bobby"}"#.to_owned())])
        .await;
    running
        .activate(&format!(
            r#"
id: nick
delivery: {{triggered: seen}}
webhook: {{url: "{}", data: {{text: "Hello {{{{ user.nick }}}}!"}}}}
"#,
            target.url("/nick")
        ))
        .await;
    running.track(vec![event("mary", "seen", "{}"), event("bob", "seen", "{}")]).await;
    let stats = running.stats_until("nick", |stats| stats.finished == 2).await;
    assert_eq!((stats.delivered, stats.suppressed[0].count), (1, 1));
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::TemplateMissingValue);
    assert_eq!(target.received()[0].body, r#"{"text":"Hello Bobby!"}"#);
    let sends = running.sends("nick").await;
    let suppressed = sends.iter().find(|send| send.user_id == "mary").expect("it is listed");
    assert!(suppressed.detail.contains("user.nick"), "{suppressed:?}");
}

async fn an_import_fires_nothing(running: Running) {
    let target = Target::start().await;
    running.activate(&second(&target)).await;
    let part = wire::ImportUsersRequest {
        fire_triggers: false,
        users: (0..10).map(|i| wire::UserUpdate { id: format!("u{i}"), ..Default::default() }).collect(),
    };
    let imported = running.api.users.clone().import_users(tokio_stream::iter([part])).await;
    let imported = imported.expect("imported").into_inner();
    assert_eq!((imported.imported, imported.created, imported.bad), (10, 10, 0));
    running.track(vec![event("u1", "seen", "{}")]).await;
    let stats = running.stats_until("second", |stats| stats.finished == 1).await;
    assert_eq!((stats.triggered, target.received().len()), (1, 1));
}

fn first(target: &Target) -> String {
    format!(
        r#"
id: first
audience: user.email is set
delivery:
  triggered: {{when: {{event: purchase, where: properties.total >= 500}}}}
webhook:
  url: {}
  data:
    name: "{{{{ user.name | default('somebody') }}}}"
    email: "{{{{ user.email }}}}"
    total: "{{{{ properties.total }}}}"
"#,
        target.url("/bought")
    )
}

fn second(target: &Target) -> String {
    format!(
        r#"
id: second
delivery: {{triggered: seen}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
        target.url("/seen")
    )
}

fn credit(target: &Target) -> String {
    format!(
        r#"
id: credit
requires_values: [cents]
delivery: {{manual: {{}}}}
webhook:
  url: {}
  content_type: form
  data: {{customer: "{{{{ user_id }}}}", cents: "{{{{ values.cents }}}}"}}
"#,
        target.url("/credit")
    )
}
