//! Events as they are looked at, with what each campaign decided: watched, listed, and told in an explanation.

use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Target};
use campanile_tests::until::until;

crate::on_both_stores!(
    a_watched_event_tells_what_each_campaign_decided,
    the_latest_events_are_listed_and_filtered,
    an_explanation_knows_the_latest_event,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_every_event_of_several_schedulers_once() {
    let running = Running::on_redis(&["control", "scheduler", "scheduler", "sender"]).await;
    let mut watch = watch(&running, wire::EventFilter::default()).await;
    let events: Vec<wire::Event> = (0..200).map(|n| event(&format!("u{n}"), "seen", "{}")).collect();
    running.track(events).await;
    let mut users = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let told = next(&mut watch).await;
        assert_eq!(told.missed, 0);
        assert!(users.insert(told.seen.unwrap().event.unwrap().user_id), "told twice");
    }
}

fn campaigns(target: &Target) -> String {
    format!(
        r#"
id: first
audience: user.email is set
delivery: {{triggered: {{when: {{event: purchase, where: properties.total >= 500}}}}}}
webhook: {{url: "{url}", data: {{email: "{{{{ user.email }}}}"}}}}
---
id: every
delivery: {{triggered: {{when: purchase, delay: 1h}}}}
webhook: {{url: "{url}", data: {{id: "{{{{ user_id }}}}"}}}}
"#,
        url = target.url("/in")
    )
}

type Watch = tonic::Streaming<wire::WatchEventsResponse>;

async fn watch(running: &Running, filter: wire::EventFilter) -> Watch {
    let request = wire::WatchEventsRequest { filter: Some(filter) };
    running.api.events.clone().watch_events(request).await.expect("it is watched").into_inner()
}

async fn next(watch: &mut Watch) -> wire::WatchEventsResponse {
    let told = tokio::time::timeout(DEADLINE, watch.message()).await.expect("it is told in time");
    told.expect("the watch goes on").expect("the watch goes on")
}

async fn a_watched_event_tells_what_each_campaign_decided(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running.activate(&campaigns(&target)).await;
    let filter = wire::EventFilter { names: vec!["purchase".to_owned()], ..Default::default() };
    let mut watch = watch(&running, filter).await;
    running
        .track(vec![
            event("mary", "other", "{}"),
            event("mary", "purchase", r#"{"total": 12}"#),
            event("mary", "purchase", &format!(r#"{{"total": 600, "note": "{}"}}"#, "x".repeat(3_000))),
        ])
        .await;
    let refused = next(&mut watch).await.seen.expect("an event");
    assert_eq!(refused.event.as_ref().map(|e| e.properties.as_str()), Some(r#"{"total":12}"#));
    let [met, every] = refused.met.as_slice() else { panic!("{refused:?}") };
    assert_eq!((met.campaign_id.as_str(), met.refusal()), ("first", wire::RefusalReason::ConditionFalse));
    assert_eq!(met.detail, "properties.total >= 500 was false: properties.total is 12");
    assert!(every.campaign_id == "every" && every.send_ids.len() == 1 && every.due_at.is_some(), "{every:?}");
    let entered = next(&mut watch).await.seen.expect("an event");
    assert!(entered.properties_left_out && entered.event.as_ref().is_some_and(|e| e.properties.is_empty()));
    let received = target.wait_for(1).await;
    assert_eq!(entered.met[0].send_ids, [received[0].webhook_id()]);
}

async fn the_latest_events_are_listed_and_filtered(running: Running) {
    let target = Target::start().await;
    running.activate(&campaigns(&target)).await;
    running
        .track(vec![
            event("mary", "purchase", r#"{"total": 12}"#),
            event("bob", "other", "{}"),
            event("bob", "purchase", r#"{"total": 900}"#),
        ])
        .await;
    let list = async |user: &str, campaign: &str, names: &[&str]| {
        let filter = wire::EventFilter {
            user_id: user.to_owned(),
            campaign_id: campaign.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let request = wire::ListRecentEventsRequest { filter: Some(filter), page_size: 10 };
        let answer = running.api.events.clone().list_recent_events(request).await;
        let events = answer.expect("they are listed").into_inner().events;
        let name = |seen: wire::SeenEvent| seen.event.map(|e| format!("{} {}", e.user_id, e.name));
        let mut named: Vec<String> = events.into_iter().filter_map(name).collect();
        named.sort();
        named
    };
    let looked = until(DEADLINE, async || Some(list("", "", &[]).await).filter(|all| all.len() == 3)).await;
    looked.expect("all three are listed");
    assert_eq!(list("bob", "", &[]).await, ["bob other", "bob purchase"]);
    assert_eq!(list("", "first", &[]).await, ["bob purchase", "mary purchase"]);
    assert_eq!(list("", "", &["other"]).await, ["bob other"]);
    assert_eq!(list("nobody", "", &[]).await, Vec::<String>::new());
    let output = command(&running.processes[0], &["events", "list", "--user", "mary"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(r#"mary purchase {"total":12}"#), "{said}");
    assert!(said.contains("first: condition_false properties.total >= 500 was false"), "{said}");
    assert!(said.contains("every: entered "), "{said}");
}

async fn an_explanation_knows_the_latest_event(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running.activate(&campaigns(&target)).await;
    running.track(vec![event("mary", "purchase", r#"{"total": 12}"#)]).await;
    running.stats_until("every", |stats| stats.pending == 1).await;
    let explain = async |campaign: &str| {
        let request = wire::ExplainSendRequest {
            user_id: "mary".to_owned(),
            campaign_id: campaign.to_owned(),
            ..Default::default()
        };
        running.api.sends.clone().explain_send(request).await.expect("it is explained").into_inner()
    };
    let answer = explain("first").await;
    assert!(answer.sentence.starts_with("Not sent: mary did purchase at "), "{}", answer.sentence);
    let if_now = answer.if_now.expect("it is judged");
    assert_eq!(if_now.event.map(|event| event.properties), Some(r#"{"total":12}"#.to_owned()));
    assert!(if_now.sentence.ends_with("properties.total is 12."), "{}", if_now.sentence);
    let answer = explain("every").await;
    assert!(answer.sentence.starts_with("Not sent yet: mary entered on purchase"), "{}", answer.sentence);
}
