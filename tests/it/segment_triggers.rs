//! Campaigns that are set off by who comes into a segment or leaves it, on both stores, through the real binary.

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;
use tonic::{Code, Status};

crate::on_both_stores!(who_comes_into_a_segment_or_leaves_it_sets_off_a_campaign);

async fn put_segment(running: &Running, name: &str, condition: &str) -> Result<(), Status> {
    let segment =
        wire::Segment { name: name.to_owned(), r#where: condition.to_owned(), ..Default::default() };
    let mut api = running.api.segments.clone();
    if api.get_segment(wire::GetSegmentRequest { name: name.to_owned() }).await.is_ok() {
        let request =
            wire::UpdateSegmentRequest { segment: Some(segment), allow_in_use: true, ..Default::default() };
        return api.update_segment(request).await.map(drop);
    }
    let request = wire::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
    api.create_segment(request).await.map(drop)
}

async fn put_list(running: &Running, ids: &[&str]) {
    let user_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let list = wire::PutUserListRequest { name: "guests".to_owned(), user_ids, ..Default::default() };
    running.api.segments.clone().put_user_list(tokio_stream::iter([list])).await.expect("it is put");
}

async fn import(running: &Running, id: &str, attributes: &str, fire_triggers: bool) {
    let user =
        wire::UserUpdate { id: id.to_owned(), attributes: attributes.to_owned(), ..Default::default() };
    let part = wire::ImportUsersRequest { users: vec![user], fire_triggers };
    running.api.users.clone().import_users(tokio_stream::iter([part])).await.expect("it is imported");
}

fn campaign(id: &str, trigger: &str, target: &Target) -> String {
    format!(
        "id: {id}\ndelivery: {{triggered: {{when: {{{trigger}}}}}}}\n\
         webhook: {{url: \"{}\", json: {{user: \"{{{{ user_id }}}}\", why: \"{{{{ event.name }}}}\", of: \"{{{{ properties.segment }}}}\"}}}}\n",
        target.url(&format!("/{id}"))
    )
}

/// Who was told on a path, in order.
fn told(target: &Target, path: &str) -> Vec<String> {
    let received = target.received().into_iter().filter(|request| request.target == path);
    received
        .map(|request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
            body["user"].as_str().expect("a user").to_owned()
        })
        .collect()
}

async fn who_comes_into_a_segment_or_leaves_it_sets_off_a_campaign(running: Running) {
    let target = Target::start().await;
    put_segment(&running, "pros", r#"user.plan == "pro""#).await.expect("it is stored");
    put_segment(&running, "buyers", r#"count("bought", "30d") >= 2"#).await.expect("it is stored");
    put_list(&running, &["guest-1"]).await;
    put_segment(&running, "guests", r#"in_list("guests") and in_segment("pros")"#)
        .await
        .expect("it is stored");
    let plan = |plan: &str| format!(r#"{{"plan": "{plan}"}}"#);
    running.users(["ann", "guest-1", "guest-2"].map(|id| (id.to_owned(), plan("pro")))).await;
    running.users([("bob".to_owned(), plan("free"))]).await;
    let files = [
        campaign("came", "segment_entered: pros", &target),
        campaign("went", "segment_left: pros", &target),
        campaign("bought", "segment_entered: buyers", &target),
        campaign("invited", "segment_entered: guests, where: user.plan == \"pro\"", &target),
    ];
    running.activate(&files.join("---\n")).await;

    // By a change of attributes: once, and there and back.
    for next in ["pro", "pro", "free", "pro"] {
        running.users([("bob".to_owned(), plan(next))]).await;
    }
    running.users([("new".to_owned(), plan("pro"))]).await;
    running.users([("ann".to_owned(), r#"{"name": "Ann"}"#.to_owned())]).await;
    running.stats_until("came", |stats| stats.delivered == 3).await;
    running.stats_until("went", |stats| stats.delivered == 1).await;
    let mut came = told(&target, "/came");
    came.sort();
    assert_eq!(
        (came, told(&target, "/went")),
        (["bob", "bob", "new"].map(str::to_owned).to_vec(), vec!["bob".to_owned()])
    );
    let first = target.received().into_iter().find(|request| request.target == "/went").expect("one");
    assert_eq!(first.body, r#"{"user":"bob","why":"segment_left","of":"pros"}"#);

    // By events that are counted; the explanation knows what it was.
    running.track((0..3).map(|_| event("bob", "bought", "{}")).collect()).await;
    running.stats_until("bought", |stats| stats.delivered == 1).await;
    assert_eq!(told(&target, "/bought"), ["bob"]);

    // What is imported is no news, then or later, unless that is asked for.
    import(&running, "cleo", &plan("pro"), false).await;
    running.users([("cleo".to_owned(), r#"{"name": "Cleo"}"#.to_owned())]).await;
    import(&running, "dora", &plan("pro"), true).await;
    let came = running.stats_until("came", |stats| stats.delivered == 4).await;
    assert_eq!((told(&target, "/came").last().map(String::as_str), came.triggered), (Some("dora"), 4));

    // By a list, and by a segment that was changed: everybody is looked at.
    assert_eq!(told(&target, "/invited"), [""; 0]);
    put_list(&running, &["guest-1", "guest-2", "bob", "nobody"]).await;
    running.stats_until("invited", |stats| stats.delivered == 2).await;
    put_segment(&running, "pros", r#"user.plan in ["pro", "team"]"#).await.expect("it is changed");
    let mut invited = told(&target, "/invited");
    invited.sort();
    assert_eq!(invited, ["bob", "guest-2"]);
    running.users([("eve".to_owned(), plan("team"))]).await;
    running.stats_until("came", |stats| stats.delivered == 5).await;

    // What sets a live campaign off is in use, and must be there.
    let request = wire::DeleteSegmentRequest { name: "buyers".to_owned(), ..Default::default() };
    let refused = running.api.segments.clone().delete_segment(request).await.expect_err("it is in use");
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("bought"), "{refused}");
    let file = campaign("wrong", "segment_left: buyer", &target);
    let campaign = campanile_proto::campaign_file::read(file.as_bytes()).expect("a file").remove(0).campaign;
    let request = wire::ValidateCampaignRequest { campaign: Some(campaign) };
    let answer =
        running.api.campaigns.clone().validate_campaign(request).await.expect("an answer").into_inner();
    let text = format!("{:?}", answer.violations);
    assert!(text.contains("did you mean buyers?") && text.contains("delivery.triggered.when[0]"), "{text}");
}
