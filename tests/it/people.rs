//! Who is meant and what each gets: behaviour over windows, holdback, variants, sticky audiences; on both stores.

use std::collections::{BTreeMap, BTreeSet};

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Reply, Target};
use campanile_tests::until::until;

crate::on_both_stores!(
    a_campaign_whose_sends_come_to_nothing_pauses_itself_and_says_why,
    a_throttle_is_kept_over_all_senders_and_all_of_it_is_used,
    quiet_hours_hold_or_drop_by_the_users_own_clock,
    behaviour_over_a_window_decides_and_is_rendered,
    who_is_held_back_enters_and_is_never_sent,
    a_user_keeps_its_variant_from_one_occurrence_to_the_next,
    a_sticky_audience_is_not_looked_at_again,
    an_answer_that_success_when_refuses_fails_at_once,
    a_body_that_breaks_its_schema_is_not_posted,
);

async fn a_throttle_is_kept_over_all_senders_and_all_of_it_is_used(running: Running) {
    let began = tokio::time::Instant::now();
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = times.clone();
    let target = Target::scripted(move |_, _| {
        noted.lock().expect("no test panics with it").push(began.elapsed());
        Reply::status(204)
    })
    .await;
    running.users((0..60).map(|i| (format!("u{i}"), String::new()))).await;
    running
        .activate(&format!(
            r#"
id: slow
audience: everyone
delivery: {{one_time: now}}
webhook: {{url: "{}", data: {{id: "{{{{ user_id }}}}"}}}}
limits: {{throttle: 20/s}}
"#,
            target.url("/slow")
        ))
        .await;
    let stats = running.stats_until("slow", |stats| stats.finished == 60).await;
    assert_eq!((stats.delivered, stats.attempts, stats.retries), (60, 60, 0));
    let mut times = times.lock().expect("no test panics with it").clone();
    times.sort();
    // 20 in any second, and as many as a machine under load may let slip into the one after.
    for (i, from) in times.iter().enumerate() {
        let within =
            times[i..].iter().take_while(|at| **at - *from < std::time::Duration::from_secs(1)).count();
        assert!(within <= 26, "{within} within a second: {times:?}");
    }
    let took = times[59] - times[0];
    assert!(took >= std::time::Duration::from_millis(2_700), "60 at 20 a second took {took:?}");
    assert!(took < std::time::Duration::from_secs(8), "60 at 20 a second took {took:?}");
}

async fn a_campaign_whose_sends_come_to_nothing_pauses_itself_and_says_why(running: Running) {
    let target = Target::scripted(|_, _| Reply::status(404)).await;
    running.users((0..300).map(|i| (format!("u{i}"), String::new()))).await;
    for (id, limits) in [("stops", "throttle: 60/s"), ("goes-on", "auto_pause: false")] {
        running
            .activate(&format!(
                r#"
id: {id}
audience: everyone
delivery: {{one_time: now}}
webhook: {{url: "{}", data: {{id: "{{{{ user_id }}}}"}}}}
limits: {{{limits}}}
"#,
                target.url(&format!("/{id}"))
            ))
            .await;
    }
    let paused = wire::CampaignState::Paused as i32;
    let looked = until(DEADLINE, async || (running.campaign("stops").await.state == paused).then_some(()));
    looked.await.expect("it pauses by itself");
    let stats = running.stats("stops").await;
    assert!((100..300).contains(&stats.failed) && stats.pending > 0, "the rest is held: {stats:?}");
    let stats = running.stats_until("goes-on", |stats| stats.finished == 300).await;
    assert_eq!(stats.failed, 300);
    let ended = wire::CampaignState::Ended as i32;
    let looked = until(DEADLINE, async || (running.campaign("goes-on").await.state == ended).then_some(()));
    looked.await.expect("who says no is not paused");
    // Who lets it go gets another hundred.
    let before = running.stats("stops").await.failed;
    let request = wire::ResumeCampaignRequest { id: "stops".to_owned(), ..Default::default() };
    running.api.campaigns.clone().resume_campaign(request).await.expect("it is resumed");
    running.stats_until("stops", |stats| stats.failed >= (before + 50).min(300)).await;
}

async fn quiet_hours_hold_or_drop_by_the_users_own_clock(running: Running) {
    let target = Target::start().await;
    // Whatever the time is: for one of these two it is between 06:00 and 18:00, for the other it is not.
    let zones = ["Etc/GMT+6", "Etc/GMT-6"];
    let users = zones.map(|zone| wire::UserUpdate {
        id: zone.to_owned(),
        time_zone: zone.to_owned(),
        ..Default::default()
    });
    let request = wire::UpsertUsersRequest { users: users.to_vec(), ..Default::default() };
    running.api.users.clone().upsert_users(request).await.expect("they are stored");
    for (id, then) in [("held", "hold"), ("dropped", "drop")] {
        running
            .activate(&format!(
                r#"
id: {id}
audience: everyone
delivery: {{one_time: now}}
webhook: {{url: "{}", data: {{id: "{{{{ user_id }}}}"}}}}
limits: {{quiet_hours: {{from: "18:00", to: "06:00", then: {then}}}}}
"#,
                target.url(&format!("/{id}"))
            ))
            .await;
    }
    let stats = running.stats_until("dropped", |stats| stats.finished == 2).await;
    let suppressed: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!((stats.delivered, suppressed), (1, vec![(wire::SuppressionReason::QuietHoursDrop, 1)]));
    let stats = running.stats_until("held", |stats| stats.delivered == 1).await;
    assert_eq!((stats.pending, stats.planned), (1, 2), "the other waits");
    let awake: BTreeSet<_> = target.received().into_iter().map(|r| r.body).collect();
    assert_eq!(awake.len(), 1, "for both campaigns it is day for the same user: {awake:?}");
}

/// An event of some days ago.
fn days_ago(user: &str, name: &str, value: f64, days: i64, now: i64) -> wire::Event {
    wire::Event {
        value: Some(value),
        occurred_at: Some(prost_types::Timestamp { seconds: now - days * 86_400, nanos: 0 }),
        ..event(user, name, "")
    }
}

async fn behaviour_over_a_window_decides_and_is_rendered(running: Running) {
    let target = Target::start().await;
    let url = target.url("/window");
    running
        .activate(&format!(
            r#"
id: window
audience: count("buy", "7d") >= 2 and avg("buy", "30d") > 10
delivery: {{triggered: ping}}
webhook:
  url: "{url}"
  data:
    id: "{{{{ user_id }}}}"
    week: "{{{{ count('buy', '7d') }}}} {{{{ sum('buy', '7d') }}}} {{{{ max('buy', '7d') }}}}"
    month: "{{{{ count('buy', '30d') }}}} {{{{ avg('buy', '30d') }}}} {{{{ min('buy', '30d') }}}}"
    ever: "{{{{ count('buy') }}}} {{{{ sum('buy') }}}}"
"#
        ))
        .await;
    running.users([("probe".to_owned(), String::new())]).await;
    let request = wire::GetUserRequest { id: "probe".to_owned() };
    let probe = running.api.users.clone().get_user(request).await.expect("it is there").into_inner();
    let now = probe.user.and_then(|user| user.created_at).expect("a time").seconds;
    running
        .track(vec![
            days_ago("mary", "buy", 8.0, 0, now),
            days_ago("mary", "buy", 16.5, 3, now),
            days_ago("mary", "buy", 20.0, 20, now),
            days_ago("mary", "buy", 1_000.0, 60, now),
            days_ago("bob", "buy", 50.0, 0, now),
            days_ago("bob", "buy", 50.0, 20, now),
            event("mary", "ping", ""),
            event("bob", "ping", ""),
        ])
        .await;
    let stats = running.stats_until("window", |stats| stats.triggered == 2 && stats.finished == 1).await;
    assert_eq!((stats.entered, stats.delivered), (1, 1));
    let expected = r#"{"id":"mary","week":"2 24.5 16.5","month":"3 14.833333333333334 8","ever":"4 1044.5"}"#;
    assert_eq!(target.wait_for(1).await[0].body, expected);
}

/// Two occurrences, far enough apart that the sends of the first do not expire on a busy machine.
fn twice(id: &str, audience: &str, webhook: &str) -> String {
    format!(
        r#"
id: {id}
audience: {audience}
delivery: {{recurring: {{cron: "*/5 * * * * *", max_occurrences: 2}}}}
{webhook}
"#
    )
}

async fn who_is_held_back_enters_and_is_never_sent(running: Running) {
    let target = Target::start().await;
    running.users((0..400).map(|i| (format!("u{i}"), String::new()))).await;
    let webhook = format!(r#"webhook: {{url: "{}", data: {{id: "{{{{ user_id }}}}"}}}}"#, target.url("/h"));
    running.activate(&twice("held", "{where: everyone, holdback_percent: 25}", &webhook)).await;
    let stats = running.stats_until("held", |stats| stats.finished == 800).await;
    let suppressed: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(suppressed, [(wire::SuppressionReason::Holdback, stats.held_back)]);
    assert_eq!((stats.entered, stats.delivered), (800, 800 - stats.held_back));
    assert!((140..260).contains(&stats.held_back), "about a quarter: {}", stats.held_back);
    let mut sent = BTreeMap::<String, usize>::new();
    for received in target.received() {
        *sent.entry(received.body).or_default() += 1;
    }
    assert_eq!(sent.len() as i64 * 2, stats.delivered, "the same users are held back every time");
    assert!(sent.values().all(|n| *n == 2), "{sent:?}");
}

async fn a_user_keeps_its_variant_from_one_occurrence_to_the_next(running: Running) {
    let target = Target::start().await;
    running.users((0..400).map(|i| (format!("u{i}"), String::new()))).await;
    let url = target.url("/v");
    let variant = |name: &str, weight: u32| {
        let data = r#"{id: "{{ user_id }}", is: "{{ variant }}"}"#;
        format!(r#"{{name: {name}, weight: {weight}, webhook: {{url: "{url}/{name}", data: {data}}}}}"#)
    };
    let actions =
        format!("actions:\n  - name: hello\n    variants: [{}, {}]", variant("plain", 3), variant("bold", 1));
    running.activate(&twice("split", "everyone", &actions)).await;
    let stats = running.stats_until("split", |stats| stats.finished == 800).await;
    assert_eq!(stats.delivered, 800);
    let mut variants = BTreeMap::<String, BTreeSet<String>>::new();
    for received in target.received() {
        let name = received.target.rsplit('/').next().unwrap_or_default().to_owned();
        assert!(received.body.ends_with(&format!(r#""is":"{name}"}}"#)), "{received:?}");
        variants.entry(received.body).or_default().insert(name);
    }
    assert_eq!(variants.len(), 400, "each user got one variant both times");
    let rows = &stats.actions[0].variants;
    let counted: Vec<_> = rows.iter().map(|row| (row.variant.as_str(), row.failed, row.suppressed)).collect();
    assert_eq!(counted, [("bold", 0, 0), ("plain", 0, 0)]);
    assert_eq!(rows.iter().map(|row| row.delivered).sum::<i64>(), 800);
    assert!((140..260).contains(&rows[0].delivered), "about a quarter: {rows:?}");
    assert_eq!(rows[0].attempts, rows[0].delivered);
}

async fn a_sticky_audience_is_not_looked_at_again(running: Running) {
    let target = Target::start().await;
    let plan = |plan: &str| [("mary".to_owned(), format!(r#"{{"plan": "{plan}"}}"#))];
    running.users(plan("pro")).await;
    for (id, sticky) in [("sticky", true), ("fresh", false)] {
        running
            .activate(&format!(
                r#"
id: {id}
audience: {{where: user.plan == "pro", sticky: {sticky}}}
delivery: {{triggered: {{when: ping, delay: 2s}}}}
webhook: {{url: "{}", data: {{plan: "{{{{ user.plan }}}}"}}}}
"#,
                target.url(&format!("/{id}"))
            ))
            .await;
    }
    running.track(vec![event("mary", "ping", "")]).await;
    running.stats_until("sticky", |stats| stats.entered == 1).await;
    running.stats_until("fresh", |stats| stats.entered == 1).await;
    running.users(plan("free")).await;
    running.stats_until("sticky", |stats| stats.delivered == 1).await;
    let stats = running.stats_until("fresh", |stats| stats.finished == 1).await;
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::AudienceLeft);
    let bodies: Vec<_> = target.received().into_iter().map(|r| (r.target, r.body)).collect();
    assert_eq!(bodies, [("/sticky".to_owned(), r#"{"plan":"free"}"#.to_owned())]);
}

async fn an_answer_that_success_when_refuses_fails_at_once(running: Running) {
    let target = Target::scripted(|received, _| Reply {
        body: format!(r#"{{"ok": {}, "note": "for {}"}}"#, received.target == "/good", received.target),
        ..Reply::status(200)
    })
    .await;
    running.users([("mary".to_owned(), String::new())]).await;
    for id in ["good", "bad"] {
        let url = target.url(&format!("/{id}"));
        running
            .activate(&format!(
                "id: {id}\ndelivery: {{triggered: ping}}\nwebhook: {{url: \"{url}\", success_when: status == 200 and response.ok}}\n"
            ))
            .await;
    }
    running.track(vec![event("mary", "ping", "")]).await;
    running.stats_until("good", |stats| stats.delivered == 1).await;
    let stats = running.stats_until("bad", |stats| stats.finished == 1).await;
    assert_eq!((stats.failed, stats.attempts, stats.retries), (1, 1, 0));
    let id = running.sends("bad").await[0].id.clone();
    let request = wire::GetSendRequest { id };
    let send = running.api.sends.clone().get_send(request).await.expect("it is there").into_inner();
    let text = format!("{send:?}");
    assert!(text.contains("which success_when refuses"), "{text}");
    assert!(text.contains("for /bad"), "the beginning of the answer is kept: {text}");
}

async fn a_body_that_breaks_its_schema_is_not_posted(running: Running) {
    let target = Target::start().await;
    running
        .users([
            ("mary".to_owned(), r#"{"age": 41}"#.to_owned()),
            ("bob".to_owned(), r#"{"age": "unknown"}"#.to_owned()),
        ])
        .await;
    running
        .activate(&format!(
            r#"
id: checked
audience: everyone
delivery: {{one_time: now}}
webhook:
  url: "{}"
  data: {{age: "{{{{ user.age }}}}"}}
  json_schema: {{type: object, properties: {{age: {{type: integer}}}}}}
"#,
            target.url("/c")
        ))
        .await;
    let stats = running.stats_until("checked", |stats| stats.finished == 2).await;
    assert_eq!((stats.delivered, stats.suppressed[0].reason()), (1, wire::SuppressionReason::BodyInvalid));
    let detail = until(DEADLINE, async || {
        let sends = running.sends("checked").await;
        sends.iter().map(|send| format!("{send:?}")).find(|text| text.contains("/properties/age/type"))
    });
    let detail = detail.await.expect("the rule is named");
    assert!(!detail.contains("unknown"), "and the value is not: {detail}");
    assert_eq!(target.received()[0].body, r#"{"age":41}"#);
}
