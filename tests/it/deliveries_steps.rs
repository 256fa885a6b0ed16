//! Campaigns of several messages on both stores, through the real binary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Received, Reply, Target};

crate::on_both_stores!(
    messages_follow_one_another_branch_wait_and_know_what_became_of_the_one_before,
    an_exit_event_ends_an_entry_at_once_and_a_failure_goes_no_further,
    what_is_cancelled_ends_its_entry_and_what_is_sent_again_leads_no_further,
);

fn ends(stats: &wire::CampaignStats) -> BTreeMap<wire::EntryEnd, i64> {
    stats.entry_ends.iter().map(|row| (row.end(), row.count)).collect()
}

fn of(received: &[Received], path: &str) -> Vec<String> {
    let of = received.iter().filter(|request| request.target == path);
    of.map(|request| request.body.clone()).collect()
}

async fn messages_follow_one_another_branch_wait_and_know_what_became_of_the_one_before(running: Running) {
    // Bob's first message fails for good, Mary's is tried twice.
    let target = Target::scripted(|request, before| match request.target.as_str() {
        "/ask" if request.body.contains("bob") => Reply::status(404),
        "/ask" if before == 0 => Reply::status(503),
        "/ask" => Reply::status(202),
        _ => Reply::status(204),
    })
    .await;
    let campaign = format!(
        r#"
id: onboarding
delivery: {{triggered: {{when: signed_up}}}}
limits: {{retry: {{waits: [1s]}}}}
actions:
  - name: ask
    continue_on_failure: true
    webhook: {{url: "{ask}", data: {{user: "{{{{ user_id }}}}"}}}}
  - name: sorry
    where: previous.outcome == "failed"
    webhook: {{url: "{sorry}", data: {{user: "{{{{ user_id }}}}", status: "{{{{ previous.status }}}}"}}}}
  - name: answered
    where: previous.status in [202, 204]
    wait_for: {{event: answered, where: properties.score > 5, same: form}}
    wait_at_most: 1h
    webhook: {{url: "{answered}", data: {{user: "{{{{ user_id }}}}", form: "{{{{ properties.form }}}}", was: "{{{{ previous.outcome }}}}"}}}}
  - name: last
    delay: 1s
    webhook: {{url: "{last}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
        ask = target.url("/ask"),
        sorry = target.url("/sorry"),
        answered = target.url("/answered"),
        last = target.url("/last"),
    );
    running.activate(&campaign).await;
    running.track(vec![event("mary", "signed_up", r#"{"form": "a"}"#)]).await;
    running.stats_until("onboarding", |stats| stats.delivered == 1).await;
    running.track(vec![event("bob", "signed_up", r#"{"form": "b"}"#)]).await;
    running.stats_until("onboarding", |stats| stats.failed == 1 && stats.delivered == 2).await;
    // Another form, too low a score, and the one that is waited for; twice.
    let answered = |user: &str, form: &str, score: u32| {
        event(user, "answered", &format!(r#"{{"form": "{form}", "score": {score}}}"#))
    };
    let yes = answered("mary", "a", 9);
    running
        .track(vec![
            answered("mary", "b", 9),
            answered("mary", "a", 1),
            yes.clone(),
            yes,
            answered("bob", "b", 7),
        ])
        .await;
    let stats = running.stats_until("onboarding", |stats| stats.finished == 2).await;
    let received = target.received();
    assert_eq!(of(&received, "/sorry"), [r#"{"user":"bob","status":404}"#]);
    let mut answers = of(&received, "/answered");
    answers.sort();
    let expected =
        [r#"{"user":"bob","form":"b","was":"delivered"}"#, r#"{"user":"mary","form":"a","was":"delivered"}"#];
    assert_eq!(answers, expected);
    assert_eq!((of(&received, "/ask").len(), of(&received, "/last").len()), (3, 2));
    assert_eq!(ends(&stats), BTreeMap::from([(wire::EntryEnd::Completed, 2)]));
    assert_eq!((stats.planned, stats.pending, stats.delivered, stats.failed), (7, 0, 6, 1));
    let planned: Vec<(&str, i64)> =
        stats.actions.iter().map(|action| (action.action.as_str(), action.planned)).collect();
    assert_eq!(planned, [("ask", 2), ("sorry", 1), ("answered", 2), ("last", 2)]);
    let mut ids: Vec<&str> = received.iter().map(Received::webhook_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7, "each message has an id of its own, a retry has the same");
    let skipped = wire::SendFilter {
        user_id: "mary".to_owned(),
        states: vec![wire::SendState::Skipped as i32],
        ..Default::default()
    };
    let request = wire::ListSendsRequest { filter: Some(skipped), ..Default::default() };
    let sends = running.api.sends.clone().list_sends(request).await.expect("sends").into_inner().sends;
    assert_eq!(sends.iter().map(|send| send.action.as_str()).collect::<Vec<_>>(), ["sorry"]);
    assert!(sends[0].detail.contains("previous.outcome"), "{:?}", sends[0]);
}

async fn an_exit_event_ends_an_entry_at_once_and_a_failure_goes_no_further(running: Running) {
    let target = Target::scripted(|request, _| match request.body.contains("bob") {
        true => Reply::status(400),
        false => Reply::status(204),
    })
    .await;
    let campaign = format!(
        r#"
id: course
delivery: {{triggered: {{when: began}}}}
exit_on: {{event: left, where: properties.why == "done"}}
actions:
  - {{name: one, webhook: {{url: "{one}", data: {{user: "{{{{ user_id }}}}"}}}}}}
  - {{name: two, delay: 1h, webhook: {{url: "{two}", data: {{user: "{{{{ user_id }}}}"}}}}}}
"#,
        one = target.url("/one"),
        two = target.url("/two"),
    );
    running.activate(&campaign).await;
    let began = |user| event(user, "began", "{}");
    running.track(vec![began("mary"), began("bob"), began("ann")]).await;
    running.stats_until("course", |stats| stats.delivered == 2 && stats.pending == 2).await;
    // Who is inside does not enter again.
    let left = |why: &str| event("mary", "left", &format!(r#"{{"why": "{why}"}}"#));
    running.track(vec![began("mary"), left("bored"), left("done")]).await;
    let stats = running.stats_until("course", |stats| stats.finished == 2).await;
    let expected = [(wire::EntryEnd::Exited, 1), (wire::EntryEnd::PreviousFailed, 1)];
    assert_eq!(ends(&stats), BTreeMap::from(expected));
    assert_eq!((stats.entered, stats.pending, stats.triggered), (3, 1, 4));
    assert_eq!(
        stats.refused.iter().map(|row| (row.reason(), row.count)).collect::<Vec<_>>(),
        [(wire::RefusalReason::Pending, 1)]
    );
    let reasons: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(reasons, [(wire::SuppressionReason::Exited, 1)]);
    // After the end she may enter again.
    running.track(vec![began("mary")]).await;
    running.stats_until("course", |stats| stats.entered == 4 && stats.delivered == 3).await;
    // What is previewed of a later action is told of the one before.
    let preview = wire::PreviewSendRequest {
        subject: Some(wire::preview_send_request::Subject::CampaignId("course".to_owned())),
        user_id: "mary".to_owned(),
        event: Some(began("mary")),
        action: "two".to_owned(),
        ..Default::default()
    };
    let answer = running.api.campaigns.clone().preview_send(preview.clone()).await.expect("a preview");
    assert_eq!(answer.into_inner().request.expect("it renders").url, target.url("/two"));
    let unknown = wire::PreviewSendRequest { action: "three".to_owned(), ..preview };
    let refused = running.api.campaigns.clone().preview_send(unknown).await.unwrap_err();
    assert!(
        refused.message().contains("action") || format!("{refused:?}").contains("one, two"),
        "{refused:?}"
    );
}

async fn what_is_cancelled_ends_its_entry_and_what_is_sent_again_leads_no_further(running: Running) {
    // Bob's first message fails, then works.
    let has_failed = AtomicBool::new(false);
    let target = Target::scripted(move |request, _| {
        let fails = request.body.contains("bob") && !has_failed.swap(true, Ordering::Relaxed);
        Reply::status(if fails { 404 } else { 204 })
    })
    .await;
    let url = |path: &str| target.url(path);
    let campaign = format!(
        r#"
id: course
delivery: {{triggered: {{when: began}}}}
actions:
  - {{name: one, webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}", way: "{{{{ properties.way }}}}"}}}}}}
  - {{name: two, delay: 2s, webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}", way: "{{{{ properties.way }}}}"}}}}}}
"#,
        url("/one"),
        url("/two"),
    );
    running.activate(&campaign).await;
    let began = |user| event(user, "began", r#"{"way": "web"}"#);
    running.track(vec![began("mary")]).await;
    running.stats_until("course", |stats| stats.delivered == 1 && stats.pending == 1).await;
    running.track(vec![began("ann")]).await;
    running.stats_until("course", |stats| stats.delivered == 2 && stats.pending == 2).await;
    let of_mary = wire::SendFilter {
        campaign_id: "course".to_owned(),
        user_id: "mary".to_owned(),
        ..Default::default()
    };
    let request = wire::CancelSendsRequest { filter: Some(of_mary), ..Default::default() };
    running.api.sends.clone().cancel_sends(request).await.expect("it is cancelled");
    running.track(vec![began("bob")]).await;
    let stats = running.stats_until("course", |stats| stats.finished == 3).await;
    // Mary's second one went unsent, Ann's did not; Bob got none.
    let expected = [(wire::EntryEnd::Completed, 2), (wire::EntryEnd::PreviousFailed, 1)];
    assert_eq!(ends(&stats), BTreeMap::from(expected));
    let reasons: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(reasons, [(wire::SuppressionReason::Cancelled, 1)]);
    assert_eq!((stats.failed, stats.delivered, stats.pending), (1, 3, 0));
    let again = wire::RedriveSendsRequest {
        filter: Some(wire::SendFilter { campaign_id: "course".to_owned(), ..Default::default() }),
        mode: wire::RedriveMode::Rerender as i32,
        ..Default::default()
    };
    let answer = running.api.sends.clone().redrive_sends(again).await.expect("it is sent again").into_inner();
    assert_eq!(answer.redriven, 1);
    let stats = running.stats_until("course", |stats| stats.delivered == 4).await;
    assert_eq!((stats.failed, stats.pending, stats.finished, stats.entered), (0, 0, 3, 3));
    assert_eq!(ends(&stats), BTreeMap::from(expected), "his entry stays as it ended");
    let received = target.received();
    let of_bob: Vec<&Received> = received.iter().filter(|request| request.body.contains("bob")).collect();
    assert_eq!(of_bob.len(), 2);
    assert_eq!((of_bob[0].webhook_id(), &of_bob[0].body), (of_bob[1].webhook_id(), &of_bob[1].body));
    assert_eq!(of(&received, "/two"), [r#"{"user":"ann","way":"web"}"#]);
}
