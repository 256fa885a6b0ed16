//! Segments and lists, on both stores: who belongs enters and is sent, whoever leaves is not, and what live campaigns use is not pulled
//! away from under them.

use std::collections::{BTreeMap, BTreeSet};

use campanile_proto::v1 as wire;
use campanile_tests::binary::{Api, command};
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Target};
use campanile_tests::until::until;
use tonic::{Code, Status};

crate::on_both_stores!(
    segments_and_lists_decide_who_enters_and_who_is_sent,
    what_live_campaigns_use_is_changed_only_on_purpose_and_never_deleted,
);

fn segment(name: &str, condition: &str) -> wire::Segment {
    wire::Segment { name: name.to_owned(), r#where: condition.to_owned(), ..Default::default() }
}

async fn create(api: &Api, name: &str, condition: &str) -> Result<wire::Segment, Status> {
    let segment = Some(segment(name, condition));
    let request = wire::CreateSegmentRequest { segment, ..Default::default() };
    Ok(api.segments.clone().create_segment(request).await?.into_inner().segment.expect("a segment"))
}

async fn update(api: &Api, name: &str, condition: &str, allow_in_use: bool) -> Result<u32, Status> {
    let segment = Some(segment(name, condition));
    let request = wire::UpdateSegmentRequest { segment, allow_in_use, ..Default::default() };
    let answer = api.segments.clone().update_segment(request).await?.into_inner();
    Ok(answer.segment.expect("a segment").revision)
}

async fn put(api: &Api, name: &str, ids: &[&str], mode: wire::PutMode) -> Result<wire::UserList, Status> {
    // An id a part: a stream of any shape is one list.
    let parts: Vec<_> = ids
        .iter()
        .map(|id| wire::PutUserListRequest {
            name: name.to_owned(),
            user_ids: vec![(*id).to_owned()],
            mode: mode as i32,
        })
        .collect();
    let answer = api.segments.clone().put_user_list(tokio_stream::iter(parts)).await?;
    Ok(answer.into_inner().list.expect("a list"))
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, words: &[&str]) {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status}");
    for word in words {
        assert!(status.message().contains(word), "{word}: {status}");
    }
}

async fn segments_and_lists_decide_who_enters_and_who_is_sent(running: Running) {
    let target = Target::start().await;
    let user = |plan: &str| format!(r#"{{"plan": "{plan}", "email": "x@example.com"}}"#);
    let users = [("mary", "pro"), ("john", "pro"), ("zoe", "free"), ("staff-1", "pro"), ("ann", "pro")];
    running.users(users.map(|(id, plan)| (id.to_owned(), user(plan)))).await;
    create(&running.api, "pros", "user.plan == \"pro\"").await.expect("it is stored");
    create(&running.api, "good", "in_segment(\"pros\") and user.email is set").await.expect("it is stored");
    put(&running.api, "staff", &["staff-1", "staff-2"], wire::PutMode::Replace).await.expect("it is put");
    create(&running.api, "internal", "in_list(\"staff\")").await.expect("it is stored");
    let url = target.url("/hook");
    let webhook = format!("webhook: {{url: \"{url}\", data: {{id: \"{{{{ user_id }}}}\"}}}}");
    running
        .activate(&format!(
            "id: once\naudience: {{include_segments: good, exclude_segments: internal}}\ndelivery: {{one_time: now}}\n{webhook}\n---\n\
             id: later\naudience: in_segment(\"good\") and not in_list(\"staff\")\ndelivery: {{triggered: {{when: seen, delay: 3s}}}}\n{webhook}\n"
        ))
        .await;
    let received = target.wait_for(3).await;
    let got: BTreeSet<String> = received.iter().map(|r| r.body.clone()).collect();
    let expected = ["mary", "john", "ann"].map(|id| format!(r#"{{"id":"{id}"}}"#));
    assert_eq!(got, BTreeSet::from(expected));
    running.stats_until("once", |stats| stats.finished == 3 && stats.entered == 3).await;

    // Who belongs at the event and no longer at the send is not sent.
    running.track(["mary", "john", "zoe", "staff-1"].map(|id| event(id, "seen", "")).to_vec()).await;
    running.stats_until("later", |stats| stats.triggered == 4).await;
    put(&running.api, "staff", &["john"], wire::PutMode::Add).await.expect("it is put");
    let stats = running.stats_until("later", |stats| stats.finished == 2).await;
    let refused: BTreeMap<_, _> = stats.refused.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(refused, BTreeMap::from([(wire::RefusalReason::NotInAudience, 2)]));
    let suppressed: BTreeMap<_, _> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(suppressed, BTreeMap::from([(wire::SuppressionReason::AudienceLeft, 1)]));
    assert_eq!((stats.delivered, target.received().len()), (1, 4));

    // Both are explained by the segment's own condition.
    let why = async |user: &str| {
        let request = wire::ExplainSendRequest {
            user_id: user.to_owned(),
            campaign_id: "later".to_owned(),
            ..Default::default()
        };
        running.api.sends.clone().explain_send(request).await.expect("it is explained").into_inner().sentence
    };
    let zoe = why("zoe").await;
    assert!(zoe.contains("in_segment(\"good\") was false"), "{zoe}");
    assert!(zoe.contains("user.plan is \"free\""), "{zoe}");
    let john = why("john").await;
    assert!(john.contains("not in_list(\"staff\") was false"), "{john}");

    // What a list holds is seen by whoever is asked next.
    put(&running.api, "staff", &["staff-1", "staff-2", "none"], wire::PutMode::Remove)
        .await
        .expect("it is put");
    let request = wire::GetUserListRequest { name: "staff".to_owned(), ..Default::default() };
    let kept = running.api.segments.clone().get_user_list(request).await.expect("it is there").into_inner();
    let list = kept.list.expect("a list");
    assert_eq!((kept.user_ids, list.users, list.revision), (vec!["john".to_owned()], 1, 3));
    assert_eq!(kept.used_by.expect("it is told").segments, ["internal"]);
}

async fn what_live_campaigns_use_is_changed_only_on_purpose_and_never_deleted(running: Running) {
    let target = Target::start().await;
    let api = &running.api;
    running.users([("mary".to_owned(), r#"{"plan": "pro"}"#.to_owned())]).await;
    create(api, "pros", "user.plan == \"pro\"").await.expect("it is stored");
    create(api, "good", "in_segment(\"pros\")").await.expect("it is stored");
    put(api, "beta", &["mary"], wire::PutMode::Replace).await.expect("it is put");
    let url = target.url("/hook");
    let draft = format!(
        "id: uses\naudience: {{include_segments: good}}\ndelivery: {{triggered: {{when: {{event: seen, where: in_list(\"beta\")}}}}}}\n\
         webhook: {{url: \"{url}\", data: {{a: b}}}}\n"
    );
    running.create(&draft).await;
    // A draft holds nobody back.
    assert_eq!(update(api, "pros", "user.plan in [\"pro\"]", false).await.expect("it is changed"), 2);
    let request = wire::ActivateCampaignRequest { id: "uses".to_owned(), ..Default::default() };
    api.campaigns.clone().activate_campaign(request).await.expect("it is activated");

    let live = &["live campaigns: uses"];
    check_refused(update(api, "pros", "user.vip", false).await, Code::FailedPrecondition, live);
    let delete = async |name: &str| {
        let request = wire::DeleteSegmentRequest { name: name.to_owned(), ..Default::default() };
        api.segments.clone().delete_segment(request).await
    };
    check_refused(delete("good").await, Code::FailedPrecondition, live);
    check_refused(delete("pros").await, Code::FailedPrecondition, live);
    let delete_list = async |name: &str| {
        let request = wire::DeleteUserListRequest { name: name.to_owned(), ..Default::default() };
        api.segments.clone().delete_user_list(request).await
    };
    check_refused(delete_list("beta").await, Code::FailedPrecondition, live);
    let request = wire::GetSegmentRequest { name: "pros".to_owned() };
    let used_by = api.segments.clone().get_segment(request).await.expect("it is there").into_inner().used_by;
    let used_by = used_by.expect("it is told");
    assert_eq!(
        (used_by.live_campaigns, used_by.segments),
        (vec!["uses".to_owned()], vec!["good".to_owned()])
    );

    // On purpose it changes, and so does who is sent.
    let pass = async || {
        let before = running.stats("uses").await;
        running.track(vec![event("mary", "seen", "")]).await;
        let after = running.stats_until("uses", |now| now.triggered > before.triggered).await;
        after.entered > before.entered
    };
    assert!(pass().await, "she is pro");
    assert_eq!(update(api, "pros", "user.plan == \"free\"", true).await.expect("it is changed"), 3);
    let left = until(DEADLINE, async || (!pass().await).then_some(())).await;
    left.expect("the changed segment decides");

    // Wrong ones are refused whole, with every fault.
    let wrong = create(api, "pros-2", "in_segment(\"prs\") and in_list(\"bta\")").await;
    check_refused(wrong, Code::InvalidArgument, &["there is no segment \"prs\"", "and 1 more"]);
    check_refused(create(api, "No", "user.vip ==").await, Code::InvalidArgument, &["segment.name"]);
    check_refused(create(api, "good", "everyone").await, Code::AlreadyExists, &["good"]);
    let circle = update(api, "pros", "in_segment(\"good\")", true).await;
    check_refused(circle, Code::InvalidArgument, &["contain itself: pros -> good -> pros"]);
    check_refused(update(api, "none", "everyone", true).await, Code::NotFound, &["none"]);
    check_refused(
        put(api, "beta", &["", "x"], wire::PutMode::Add).await,
        Code::InvalidArgument,
        &["user_ids[0]"],
    );
    check_refused(put(api, "B", &["x"], wire::PutMode::Add).await, Code::InvalidArgument, &["name"]);
    let unknown = draft.replace("id: uses", "id: other").replace("good", "godo");
    let file = campanile_proto::campaign_file::read(unknown.as_bytes()).expect("a file").remove(0);
    let request = wire::CreateCampaignRequest { campaign: Some(file.campaign), ..Default::default() };
    let created = api.campaigns.clone().create_campaign(request).await;
    check_refused(created, Code::InvalidArgument, &["include_segments", "did you mean good?"]);

    // Once it has ended nothing holds them.
    let request = wire::EndCampaignRequest {
        id: "uses".to_owned(),
        mode: wire::EndMode::StopNow as i32,
        ..Default::default()
    };
    api.campaigns.clone().end_campaign(request).await.expect("it is ended");
    check_refused(delete("pros").await, Code::FailedPrecondition, &["segments good"]);
    delete("good").await.expect("it is deleted");
    delete("pros").await.expect("it is deleted");
    delete_list("beta").await.expect("it is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_keeps_segments_and_lists() {
    let running = Running::sqlite().await;
    let run = |arguments: &[&str]| {
        let out = command(&running.processes[0], arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.success(), text(&out.stdout), text(&out.stderr))
    };
    let (done, out, _) = run(&["list", "set", "staff", "ann", "bob", "ann"]);
    assert!(done && out.contains("list staff has 2 users"), "{out}");
    let (_, out, _) = run(&["list", "remove", "staff", "bob"]);
    assert!(out.contains("has 1 users"), "{out}");
    let (done, out, err) =
        run(&["segment", "set", "team", "in_list(\"staff\") or user.staff", "--title", "The team"]);
    assert!(done && out.contains("team is at revision 1"), "{out} {err}");
    let (_, out, err) = run(&["segment", "set", "team", "in_list(\"staff\")"]);
    assert!(out.contains("revision 2") && err.contains("in_segment(\"team\")"), "{out} {err}");
    let (done, _, err) = run(&["list", "delete", "staff"]);
    assert!(!done && err.contains("used by the segments team"), "{err}");
    running.activate("id: uses\naudience: in_segment(\"team\")\ndelivery: {manual: {}}\nwebhook: {url: \"https://example.com/\"}\n").await;
    let (done, _, err) = run(&["segment", "set", "team", "user.staff"]);
    assert!(!done && err.contains("uses") && err.contains("--yes"), "{err}");
    let (done, out, _) = run(&["segment", "set", "team", "user.staff", "--yes"]);
    assert!(done && out.contains("revision 3"), "{out}");
    let (_, out, err) = run(&["segment", "show", "team"]);
    assert!(out.contains("user.staff") && err.contains("live campaigns uses"), "{out} {err}");
    let (_, out, _) = run(&["list", "show", "staff"]);
    assert_eq!(out, "ann\n");
    let (_, out, _) = run(&["--json", "segment", "list"]);
    assert!(out.contains("\"name\":\"team\"") || out.contains("\"name\": \"team\""), "{out}");
}
