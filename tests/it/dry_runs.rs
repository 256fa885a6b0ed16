//! A dry run says what is then really done, entry by entry; and it does nothing itself.

use std::collections::BTreeMap;

use campanile_proto::campaign_file;
use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::deliveries_time::now;

crate::on_both_stores!(a_plan_is_what_is_then_sent_entry_by_entry, an_estimate_is_exact);

/// Sends of which everything is tried: variants, holdback, missing values, an abort, quiet hours, users' own zones.
const USERS: usize = 240;

fn people() -> Vec<wire::UserUpdate> {
    let plans = ["pro", "free", "team"];
    let zones = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", ""];
    let person = |i: usize| {
        let mut attributes = json!({ "plan": plans[i % 3], "n": i });
        if !i.is_multiple_of(7) {
            attributes["name"] = json!(format!("N{i} \"quoted\""));
        }
        wire::UserUpdate {
            id: format!("user-{i}"),
            attributes: attributes.to_string(),
            time_zone: zones[i % 4].to_owned(),
            ..Default::default()
        }
    };
    (0..USERS).map(person).collect()
}

async fn store(running: &Running) {
    let request = wire::UpsertUsersRequest { users: people(), ..Default::default() };
    let answer = running.api.users.clone().upsert_users(request).await.expect("stored").into_inner();
    assert!(answer.users.iter().all(|user| user.faults.is_empty()), "{answer:?}");
}

async fn plan(running: &Running, request: wire::PlanCampaignRequest) -> wire::CampaignPlan {
    let answers = running.api.campaigns.clone().plan_campaign(request).await.expect("it is planned");
    let mut answers = answers.into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await.expect("an answer") {
        last = Some(answer);
    }
    last.and_then(|answer| answer.plan).expect("a plan")
}

fn stored(id: &str) -> wire::PlanCampaignRequest {
    let subject = Some(wire::plan_campaign_request::Subject::CampaignId(id.to_owned()));
    wire::PlanCampaignRequest { subject, entries: 1_000, ..Default::default() }
}

/// A campaign a little ahead: on one clock, or on each user's own with the late ones sent at once.
fn campaign(id: &str, at: &str, own: bool, target: &Target) -> String {
    let delivery = match own {
        false => format!("{{one_time: \"{at}\"}}"),
        true => format!("{{one_time: {{at: \"{at}\", late: send_now}}, zone: user}}"),
    };
    let url = target.url(&format!("/{id}"));
    let webhook = |text: &str| {
        let text = format!("{text}{{{{ abort('odd') if user.n % 5 == 4 }}}}");
        format!(
            "{{url: \"{url}\", json: {{to: \"{{{{ user_id }}}}\", n: \"{{{{ user.n }}}}\", text: \"{text}\", id: \"{{{{ send_id }}}}\"}}}}"
        )
    };
    format!(
        "id: {id}\naudience: {{where: 'user.plan in [\"pro\", \"team\"]', holdback_percent: 10}}\ndelivery: {delivery}\nlimits: {{quiet_hours: {{from: \"00:00\", to: \"23:59\", then: drop}}}}\nactions:\n  - name: hello\n    variants:\n      - {{name: a, weight: 2, webhook: {}}}\n      - {{name: b, weight: 1, webhook: {}}}\n",
        webhook("{{ user.name }}"),
        webhook("B {{ user.name | upper }}"),
    )
    .replace("limits: {quiet_hours: {from: \"00:00\", to: \"23:59\", then: drop}}\n", if own { "" } else { "limits: {expiry: 1h}\n" })
}

async fn a_plan_is_what_is_then_sent_entry_by_entry(running: Running) {
    let target = Target::start().await;
    store(&running).await;
    for own in [false, true] {
        let id = if own { "own-clocks" } else { "one-clock" };
        let now = now();
        // On users' own clocks everybody's time is past, in the last two days somewhere: they are sent at once.
        let ahead = if own { SignedDuration::from_hours(-11) } else { SignedDuration::from_secs(6) };
        let at = (now + ahead).strftime("%Y-%m-%dT%H:%M:%S").to_string();
        running.create(&campaign(id, &at, own, &target)).await;
        let foretold = plan(&running, stored(id)).await;
        assert_eq!(target.received().iter().filter(|r| r.target.contains(id)).count(), 0);
        assert_eq!(running.stats(id).await.triggered, 0, "nothing is stored");
        assert_eq!(running.campaign(id).await.state(), wire::CampaignState::Draft);
        compare(&running, &target, id, &foretold).await;
    }
}

/// Starts the campaign, lets it come to its end, and holds every entry against the plan.
async fn compare(running: &Running, target: &Target, id: &str, foretold: &wire::CampaignPlan) {
    let request = wire::ActivateCampaignRequest { id: id.to_owned(), ..Default::default() };
    running.api.campaigns.clone().activate_campaign(request).await.expect("it is activated");
    let total = foretold.total.clone().expect("a total");
    assert!(total.sent > 50 && total.suppressed.len() >= 3, "{total:?}");
    let stats = running
        .stats_until(id, |stats| stats.triggered == USERS as i64 && stats.pending == 0 && stats.entered > 0)
        .await;
    assert_eq!(
        (total.considered, total.entered, total.sent, &total.refused, &total.suppressed),
        (stats.triggered, stats.entered, stats.delivered, &stats.refused, &stats.suppressed),
        "{id}"
    );
    assert_eq!(foretold.entries.len() as i64, total.entered);
    let really: BTreeMap<String, wire::Send> =
        running.sends(id).await.into_iter().map(|send| (send.user_id.clone(), send)).collect();
    let posted: BTreeMap<String, _> = target
        .received()
        .into_iter()
        .filter(|request| request.target == format!("/{id}"))
        .map(|request| (request.webhook_id().to_owned(), request))
        .collect();
    for entry in &foretold.entries {
        let user = &entry.user_id;
        let send = really.get(user).unwrap_or_else(|| panic!("{user} has no send: {entry:?}"));
        assert_eq!((&entry.send_id, entry.suppression()), (&send.id, send.suppression()), "{user}");
        match &entry.request {
            Some(request) => {
                let really = posted.get(&entry.send_id).unwrap_or_else(|| panic!("{user} was not posted"));
                assert_eq!(request.body, really.body, "{user}");
                assert!(request.body.contains(&entry.send_id), "the id is the one it will have");
            }
            None => assert!(!posted.contains_key(&entry.send_id), "{user}"),
        }
    }
    assert_eq!((really.len(), posted.len()), (foretold.entries.len(), total.sent as usize));
}

async fn an_estimate_is_exact(running: Running) {
    use wire::estimate_audience_request::Subject;
    store(&running).await;
    let estimate = async |subject: Subject| {
        let request = wire::EstimateAudienceRequest { subject: Some(subject) };
        let mut answers =
            running.api.campaigns.clone().estimate_audience(request).await.expect("counted").into_inner();
        let mut last = wire::EstimateAudienceResponse::default();
        while let Some(answer) = answers.message().await.expect("an answer") {
            assert!(!last.is_complete && answer.users >= last.users, "{answer:?} after {last:?}");
            last = answer;
        }
        assert!(last.is_complete);
        (last.users, last.audience, last.held_back)
    };
    let of = |condition: &str| {
        Subject::Audience(wire::Audience { r#where: condition.to_owned(), ..Default::default() })
    };
    let all = USERS as i64;
    assert_eq!(estimate(of("everyone")).await, (all, all, 0));
    assert_eq!(estimate(of("user.plan == \"pro\"")).await, (all, all / 3, 0));
    assert_eq!(estimate(of("user.n < 10 and user.name is set")).await, (all, 8, 0));
    let text = "id: held\naudience: {where: everyone, holdback_percent: 50}\ndelivery: {manual: {}}\nwebhook: {url: \"https://example.com/\"}\n";
    let written = campaign_file::read(text.as_bytes()).expect("a file").remove(0).campaign;
    let (_, audience, held_back) = estimate(Subject::Campaign(written)).await;
    assert!(audience == all && (80..160).contains(&held_back), "{held_back}");
    // A fault is said at once, with its field.
    let request = wire::EstimateAudienceRequest { subject: Some(of("user.plan =")) };
    let refused = running.api.campaigns.clone().estimate_audience(request).await.expect_err("a fault");
    assert!(refused.message().starts_with("audience.where: "), "{}", refused.message());
    let output = command(&running.processes[0], &["campaign", "estimate", "--where", "user.plan == \"pro\""]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), format!("{} of {all} users in the audience", all / 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_throttle_quiet_hours_and_schedule_lead_to() {
    let running = Running::sqlite().await;
    store(&running).await;
    let file = running.folder.path().join("a.yaml");
    let planned = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).expect("written");
        let name = file.display().to_string();
        let arguments = [&["--json", "plan", "-f", &name], more].concat();
        let output = command(&running.processes[0], &arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_str::<Value>(&said).map_err(|_| why)
    };
    let file_of = |delivery: &str, limits: &str| {
        format!(
            "id: a\naudience: everyone\ndelivery: {delivery}\nlimits: {limits}\nwebhook: {{url: \"https://example.com/\", data: {{n: \"{{{{ user.n }}}}\"}}}}\n"
        )
    };
    // 240 sends at one an hour are 240 hours; 25 of them within the first 24.
    let plan = planned(&file_of("{one_time: now}", "{throttle: 1/h, expiry: 24h}"), &[]).expect("a plan");
    assert_eq!(
        (plan["total"]["sent"].as_str(), plan["total"]["entered"].as_str()),
        (Some("25"), Some("240"))
    );
    assert_eq!(
        plan["total"]["suppressed"],
        json!([{ "reason": "SUPPRESSION_REASON_EXPIRED", "count": "215" }])
    );
    assert!(plan["sentence"].as_str().expect("a sentence").starts_with("25 would be sent, 215 suppressed"));
    assert_eq!(plan["entries"].as_array().map(Vec::len), Some(10));
    // A daily one has seven occurrences in a week, three if it ends after three; by default the next alone.
    let daily =
        |max| file_of(&format!("{{recurring: {{cron: \"0 9 * * *\", max_occurrences: {max}}}}}"), "{}");
    let occurrences = |plan: &Value| plan["occurrences"].as_array().map_or(0, Vec::len);
    assert_eq!(occurrences(&planned(&daily(0), &["--window", "7d"]).expect("a plan")), 7);
    assert_eq!(occurrences(&planned(&daily(3), &["--window", "7d"]).expect("a plan")), 3);
    assert_eq!(occurrences(&planned(&daily(3), &[]).expect("a plan")), 1);
    let minutely =
        planned(&file_of("{recurring: \"* * * * *\"}", "{}"), &["--window", "7d"]).expect("a plan");
    assert_eq!((occurrences(&minutely), minutely["hasMore"].as_bool()), (100, Some(true)));
    // In quiet hours all wait for their end.
    let quiet = "{quiet_hours: {from: \"00:00\", to: \"23:59\"}}";
    let at = (now() + SignedDuration::from_hours(48)).strftime("%Y-%m-%dT12:00").to_string();
    let held = planned(&file_of(&format!("{{one_time: \"{at}\"}}"), quiet), &[]).expect("a plan");
    assert_eq!(
        (held["total"]["sent"].as_str(), held["total"]["afterQuietHours"].as_str()),
        (Some("240"), Some("240"))
    );
    let last = held["occurrences"][0]["lastSentAt"].as_str().expect("an instant");
    assert!(last.contains(":59:00"), "{last}");
    // By hand: everybody in the audience, with the values given.
    let by_hand = "id: a\naudience: user.plan == \"pro\"\nrequires_values: [cents]\ndelivery: {manual: {}}\nwebhook: {url: \"https://example.com/\", data: {cents: \"{{ values.cents }}\"}}\n";
    let plan = planned(by_hand, &["--values", r#"{"cents": 5}"#]).expect("a plan");
    assert_eq!(
        (plan["total"]["sent"].as_str(), &plan["entries"][0]["request"]["body"]),
        (Some("80"), &json!("{\"cents\":5}"))
    );
    let plan = planned(by_hand, &[]).expect("a plan");
    assert_eq!(plan["total"]["refused"][0]["reason"], json!("REFUSAL_REASON_NOT_IN_AUDIENCE"), "{plan}");
    assert_eq!(
        plan["total"]["refused"][1],
        json!({ "reason": "REFUSAL_REASON_MISSING_VALUES", "count": "80" })
    );
    // What is wrong is said with its place; what is past as when it is activated.
    let why = planned(&file_of("{one_time: \"2020-01-01T00:00\"}", "{}"), &[]).expect_err("a fault");
    assert!(why.contains("a.yaml:3:") && why.contains("is past"), "{why}");
    let why = planned(&daily(0), &["--window", "400d"]).expect_err("a fault");
    assert!(why.contains("window: expected 0 to 366 days"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triggered_campaign_is_planned_with_the_latest_events() {
    let running = Running::sqlite().await;
    let file = "id: first\ndelivery: {triggered: {when: {event: purchase, where: properties.total >= 500}, delay: 2h}}\nwebhook: {url: \"https://example.com/\", data: {total: \"{{ properties.total }}\", name: \"{{ user.name }}\"}}\n";
    running.users([("mary".to_owned(), r#"{"name": "Mary"}"#.to_owned())]).await;
    running.create(file).await;
    assert!(plan(&running, stored("first")).await.sentence.contains("no event that it names came lately"));
    running
        .track(vec![
            event("mary", "purchase", r#"{"total": 600}"#),
            event("mary", "purchase", r#"{"total": 12}"#),
            event("bob", "purchase", r#"{"total": 700}"#),
        ])
        .await;
    let counted = campanile_tests::until::until(campanile_tests::target::DEADLINE, async || {
        Some(plan(&running, stored("first")).await)
            .filter(|plan| plan.total.as_ref().is_some_and(|total| total.considered == 3))
    });
    let plan = counted.await.expect("all three are looked at");
    let total = plan.total.expect("a total");
    assert_eq!((total.sent, total.refused[0].count, total.suppressed[0].count), (1, 1, 1));
    let mary = plan.entries.iter().find(|entry| entry.user_id == "mary").expect("her entry");
    let request = mary.request.clone().expect("a request");
    assert_eq!(request.body, r#"{"total":600,"name":"Mary"}"#);
}
