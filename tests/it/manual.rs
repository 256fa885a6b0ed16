//! Manual entries, on both stores: whole audiences in runs that enter everybody once, and what becomes of each user who is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::Running;
use campanile_tests::target::{DEADLINE, Reply, Target};
use campanile_tests::until::until;
use tonic::{Code, Status};

crate::on_both_stores!(a_whole_audience_enters_by_hand_once, a_manual_entry_waits_for_what_becomes_of_each,);

async fn ask(
    running: &Running,
    request: wire::EnterUsersRequest,
) -> Result<wire::EnterUsersResponse, Status> {
    Ok(running.api.campaigns.clone().enter_users(request).await?.into_inner())
}

fn audience(campaign: &str, condition: &str, request_id: &str) -> wire::EnterUsersRequest {
    wire::EnterUsersRequest {
        campaign_id: campaign.to_owned(),
        audience: Some(wire::Audience { r#where: condition.to_owned(), ..Default::default() }),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

#[track_caller]
fn check_refused(answer: Result<wire::EnterUsersResponse, Status>, code: Code, words: &str) {
    let status = answer.expect_err("it is refused");
    assert!(status.code() == code && status.message().contains(words), "{words}: {status}");
}

/// The run, once everybody was asked.
async fn over(running: &Running, request: &wire::EnterUsersRequest) -> wire::EntryRun {
    let looked = until(DEADLINE, async || {
        let run = ask(running, request.clone()).await.expect("it is answered").run.expect("a run");
        Some(run).filter(|run| run.ended_at.is_some())
    });
    looked.await.expect("everybody is asked in time")
}

const USERS: usize = 1_200;

async fn a_whole_audience_enters_by_hand_once(running: Running) {
    let target = Target::start().await;
    let user = |i: usize| {
        let email = if i.is_multiple_of(4) { "" } else { r#", "email": "x@example.com""# };
        (format!("u{i}"), format!(r#"{{"odd": {}{email}}}"#, i % 2 == 1))
    };
    running.users((0..USERS).map(user)).await;
    let segment =
        wire::Segment { name: "odd".to_owned(), r#where: "user.odd".to_owned(), ..Default::default() };
    let request = wire::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
    running.api.segments.clone().create_segment(request).await.expect("it is stored");
    let url = target.url("/credit");
    let data = r#"data: {user: "{{ user_id }}", cents: "{{ values.cents }}"}"#;
    running
        .activate(&format!(
            "id: credit\naudience: user.email is set\ndelivery: {{manual: {{}}}}\nrequires_values: cents\nwebhook: {{url: \"{url}\", {data}}}\n"
        ))
        .await;
    what_is_wrong_is_named(&running).await;

    // What it would be is what it then is.
    let values = r#"{"cents": 5}"#.to_owned();
    let all = wire::EnterUsersRequest { values, ..audience("credit", "everyone", "r-1") };
    let would = wire::EnterUsersRequest { validate_only: true, ..all.clone() };
    let would = ask(&running, would).await.expect("it is counted");
    assert_eq!((would.entered, would.refused), (900, 300));
    assert_eq!(running.stats("credit").await.triggered, 0, "nothing is done");
    let run = over(&running, &all).await;
    assert_eq!((run.asked, run.entered, run.refused), (1_200, 900, 300));
    assert_eq!(run.name, "r-1");
    let stats = running.stats_until("credit", |stats| stats.delivered == 900).await;
    assert_eq!((stats.triggered, stats.entered, stats.finished), (1_200, 900, 900));
    let again = over(&running, &all).await;
    assert_eq!(again, run, "the same request tells how it went");
    let other = wire::EnterUsersRequest { values: r#"{"cents": 6}"#.to_owned(), ..all.clone() };
    check_refused(ask(&running, other).await, Code::InvalidArgument, "was used for another request");

    // By segment, with the campaign's own audience skipped: those are told from the first.
    let by_segment = wire::EnterUsersRequest {
        audience: Some(wire::Audience { include_segments: vec!["odd".to_owned()], ..Default::default() }),
        skip: vec![wire::EnterSkip::Audience as i32],
        ..all.clone()
    };
    let by_segment = wire::EnterUsersRequest { request_id: "r-2".to_owned(), ..by_segment };
    let run = over(&running, &by_segment).await;
    assert_eq!((run.asked, run.entered), (600, 600));
    let stats = running.stats_until("credit", |stats| stats.delivered == 1_500).await;
    let runs: Vec<_> = stats.runs.iter().map(|run| (run.name.as_str(), run.entered)).collect();
    assert_eq!(runs, [("r-2", 600), ("r-1", 900)]);
    let mut sends = BTreeMap::<String, BTreeSet<String>>::new();
    for received in target.received() {
        sends.entry(received.body.clone()).or_default().insert(received.webhook_id().to_owned());
    }
    let twice = sends.values().filter(|ids| ids.len() == 2).count();
    assert_eq!((sends.len(), twice), (900, 600), "each once by each run that asked for it");
    it_rests_while_the_campaign_is_paused(&running).await;
    the_command_line_asks_first(&running);
}

async fn what_is_wrong_is_named(running: &Running) {
    let all = audience("credit", "everyone", "");
    check_refused(ask(running, all.clone()).await, Code::InvalidArgument, "the campaign requires: cents");
    let values = r#"{"cents": 1}"#.to_owned();
    let nobody = wire::EnterUsersRequest { values: values.clone(), ..audience("credit", "", "") };
    check_refused(ask(running, nobody).await, Code::InvalidArgument, "write everyone if everybody is meant");
    let bad = wire::EnterUsersRequest {
        audience: Some(wire::Audience {
            r#where: "everyone".to_owned(),
            sticky: true,
            holdback_percent: 5.0,
            include_segments: vec!["no slug".to_owned()],
            ..Default::default()
        }),
        users: vec![wire::UserToEnter { user_id: "u1".to_owned(), ..Default::default() }],
        values: "[]".to_owned(),
        create_missing: true,
        wait: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        skip: vec![0],
        ..all
    };
    let status = ask(running, bad).await.expect_err("it is refused");
    use tonic_types::StatusExt;
    let violations = status.get_details_bad_request().expect("details").field_violations;
    let fields: BTreeSet<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    let expected = BTreeSet::from([
        "users",
        "create_missing",
        "wait",
        "audience.sticky",
        "audience.holdback_percent",
        "audience.include_segments[0]",
        "values",
        "skip[0]",
    ]);
    assert_eq!(fields, expected);
    let unknown = wire::EnterUsersRequest { values, ..audience("credit", "in_segment(\"odds\")", "") };
    check_refused(ask(running, unknown).await, Code::InvalidArgument, "did you mean odd?");
}

async fn it_rests_while_the_campaign_is_paused(running: &Running) {
    let pause = wire::PauseCampaignRequest { id: "credit".to_owned(), ..Default::default() };
    running.api.campaigns.clone().pause_campaign(pause).await.expect("it is paused");
    let values = r#"{"cents": 1}"#.to_owned();
    let request = wire::EnterUsersRequest { values, ..audience("credit", "everyone", "r-3") };
    check_refused(ask(running, request).await, Code::FailedPrecondition, "is paused");
    let resume = wire::ResumeCampaignRequest { id: "credit".to_owned(), ..Default::default() };
    running.api.campaigns.clone().resume_campaign(resume).await.expect("it goes on");
}

fn the_command_line_asks_first(running: &Running) {
    let of = ["campaign", "enter", "credit", "--where", "user_id == \"u1\"", "--values", r#"{"cents": 9}"#];
    let run = |more: &[&str]| {
        let output = command(&running.processes[0], &[&of, more].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = run(&[]);
    assert!(code != Some(0) && said.contains("1 user would enter credit and 0 would not"), "{said}");
    let (code, said) = run(&["--yes", "--request-id", "r-4"]);
    assert!(code == Some(0) && said.contains("run r-4: of 1 user 1 entered, 0 did not"), "{said}");
}

async fn a_manual_entry_waits_for_what_becomes_of_each(running: Running) {
    let target = Target::scripted(|received, _| match received.target.as_str() {
        "/hook/fails" => Reply::status(400),
        "/hook/retries" => Reply::status(503),
        _ => Reply::status(204),
    })
    .await;
    let people = ["ann", "bob", "fails", "retries"].map(|id| (id.to_owned(), r#"{"name": "x"}"#.to_owned()));
    running.users(people).await;
    running.users([("nameless".to_owned(), "{}".to_owned())]).await;
    let url = target.url("/hook/{{ user_id }}");
    running
        .activate(&format!(
            "id: credit\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{url}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\n"
        ))
        .await;
    let request = |users: &[&str], seconds: i64, request_id: &str| wire::EnterUsersRequest {
        campaign_id: "credit".to_owned(),
        users: users
            .iter()
            .map(|id| wire::UserToEnter { user_id: (*id).to_owned(), ..Default::default() })
            .collect(),
        wait: Some(prost_types::Duration { seconds, nanos: 0 }),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    let told =
        |answer: &wire::EnterUsersResponse| -> BTreeMap<String, (wire::SendState, wire::SuppressionReason)> {
            let of = |user: &wire::EnteredUser| {
                let outcome = user.outcome.as_ref()?;
                assert_eq!(
                    (outcome.id.as_str(), outcome.user_id.as_str()),
                    (user.send_ids[0].as_str(), user.user_id.as_str())
                );
                Some((user.user_id.clone(), (outcome.state(), outcome.suppression())))
            };
            answer.users.iter().filter_map(of).collect()
        };
    use wire::SendState::{Delivered, Failed, Pending, Suppressed};
    let none = wire::SuppressionReason::Unspecified;
    let all = request(&["ann", "bob", "fails", "nameless", "nobody"], 10, "w-1");
    let begins = tokio::time::Instant::now();
    let answer = ask(&running, all.clone()).await.expect("it is answered");
    assert!(begins.elapsed() < Duration::from_secs(9), "once all have ended: {:?}", begins.elapsed());
    let expected = BTreeMap::from([
        ("ann".to_owned(), (Delivered, none)),
        ("bob".to_owned(), (Delivered, none)),
        ("fails".to_owned(), (Failed, none)),
        ("nameless".to_owned(), (Suppressed, wire::SuppressionReason::TemplateMissingValue)),
    ]);
    assert_eq!(told(&answer), expected, "nobody is told of who did not enter");
    let again = ask(&running, all).await.expect("it is answered");
    assert_eq!((told(&again), again.entered, again.refused), (expected, 4, 1), "a repeat looks it up");
    // What still waits for a retry is pending, with what its last attempt said.
    let answer = ask(&running, request(&["retries"], 2, "")).await.expect("it is answered");
    assert_eq!(told(&answer)["retries"], (Pending, none));
    let outcome = answer.users[0].outcome.as_ref().expect("an outcome");
    assert_eq!((outcome.last_status, outcome.attempt_count), (503, 1));

    for (seconds, words) in [(11, "at most 10 s"), (-1, "is not a duration")] {
        check_refused(ask(&running, request(&["ann"], seconds, "")).await, Code::InvalidArgument, words);
    }
    let many: Vec<String> = (0..1_001).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check_refused(ask(&running, request(&many, 1, "")).await, Code::InvalidArgument, "at most 1000 users");
    // Many who wait at the same time are all answered.
    let asked = (0..40).map(|_| ask(&running, request(&["ann"], 10, "")));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(told(&answer.expect("it is answered"))["ann"], (Delivered, none));
    }
    // Asked what would be, nothing is done.
    let before = running.stats("credit").await.triggered;
    let would = wire::EnterUsersRequest {
        validate_only: true,
        create_missing: true,
        ..request(&["ann", "new"], 1, "")
    };
    let would = ask(&running, would).await.expect("it is answered");
    assert_eq!((would.entered, would.refused), (2, 0));
    assert!(would.users.iter().all(|user| user.send_ids.is_empty() && user.outcome.is_none()));
    assert_eq!(running.stats("credit").await.triggered, before);
}
