//! Campaigns that change while sends are planned, are copied and deleted; planned sends that are cancelled; secrets in use. Both stores.

use std::collections::BTreeMap;

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Reply, Target};
use campanile_tests::until::until;
use tonic::Code;

crate::on_both_stores!(
    an_edit_reaches_planned_sends_only_if_it_says_so_and_never_what_was_attempted,
    cancelled_sends_are_not_sent_and_later_ones_are,
    a_deleted_campaign_is_gone_its_id_stays_taken_and_its_sends_end,
    a_duplicate_is_a_new_draft,
    a_secret_in_use_changes_only_when_told_so,
    failed_sends_are_sent_again_under_their_ids_also_when_the_campaign_has_ended,
);

/// Sends 2 s after its event.
fn delayed(target: &Target, body: &str) -> String {
    format!(
        "id: slow\ndelivery: {{triggered: {{when: asked, delay: 2s}}}}\nwebhook: {{url: \"{}\", data: {{user: \"{{{{ user_id }}}}\", text: \"{body}\"}}}}\nlimits: {{retry: {{waits: [3s]}}}}\n",
        target.url("/slow")
    )
}

fn read(file: &str) -> wire::Campaign {
    campanile_proto::campaign_file::read(file.as_bytes()).expect("a campaign file").remove(0).campaign
}

async fn ask(running: &Running, users: &[&str]) {
    running.track(users.iter().map(|user| event(user, "asked", "{}")).collect()).await;
}

async fn edit(
    running: &Running,
    file: &str,
    apply_to_pending: bool,
    validate_only: bool,
) -> wire::UpdateCampaignResponse {
    let request = wire::UpdateCampaignRequest {
        campaign: Some(read(file)),
        apply_to_pending,
        validate_only,
        ..Default::default()
    };
    running.api.campaigns.clone().update_campaign(request).await.expect("it is changed").into_inner()
}

async fn an_edit_reaches_planned_sends_only_if_it_says_so_and_never_what_was_attempted(running: Running) {
    // Who is called retry fails once, and is tried again after the edits.
    let target = Target::scripted(|request, before| {
        Reply::status(if request.body.contains("retry") && before == 0 { 503 } else { 204 })
    })
    .await;
    running.activate(&delayed(&target, "one")).await;
    ask(&running, &["retry"]).await;
    running.stats_until("slow", |stats| stats.retries == 1).await;
    ask(&running, &["ann", "ben"]).await;
    running.stats_until("slow", |stats| stats.pending == 3).await;

    let would = edit(&running, &delayed(&target, "two"), true, true).await;
    assert_eq!((would.pending_kept, would.pending_changed), (1, 2));
    assert_eq!(running.campaign("slow").await.revision, 1, "nothing was changed");
    let kept = edit(&running, &delayed(&target, "two"), false, false).await;
    assert_eq!((kept.pending_kept, kept.pending_changed), (3, 0));
    let changed = edit(&running, &delayed(&target, "three"), true, false).await;
    assert_eq!((changed.pending_kept, changed.pending_changed), (1, 2));
    assert_eq!(changed.campaign.map(|campaign| campaign.revision), Some(3));

    running.stats_until("slow", |stats| stats.delivered == 3).await;
    let bodies: BTreeMap<String, Vec<String>> =
        target.received().into_iter().fold(BTreeMap::new(), |mut bodies, request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
            let text = |name: &str| body[name].as_str().expect("text").to_owned();
            bodies.entry(text("user")).or_insert_with(Vec::new).push(text("text"));
            bodies
        });
    assert_eq!(bodies["retry"], ["one", "one"], "what was attempted keeps its revision");
    assert_eq!((&bodies["ann"], &bodies["ben"]), (&vec!["three".to_owned()], &vec!["three".to_owned()]));
    let revisions: Vec<u32> = running.sends("slow").await.iter().map(|send| send.revision).collect();
    assert!(revisions.iter().all(|revision| [1, 3].contains(revision)), "{revisions:?}");
}

async fn cancel(running: &Running, user: &str, validate_only: bool) -> wire::CancelSendsResponse {
    let filter =
        wire::SendFilter { campaign_id: "slow".to_owned(), user_id: user.to_owned(), ..Default::default() };
    let request = wire::CancelSendsRequest { filter: Some(filter), validate_only, ..Default::default() };
    running.api.sends.clone().cancel_sends(request).await.expect("they are cancelled").into_inner()
}

async fn cancelled_sends_are_not_sent_and_later_ones_are(running: Running) {
    let target = Target::start().await;
    running.activate(&delayed(&target, "one")).await;
    ask(&running, &["ann", "ben"]).await;
    running.stats_until("slow", |stats| stats.pending == 2).await;
    let told = cancel(&running, "ann", false).await;
    assert_eq!((told.pending, told.cancelled), (2, None));
    let stats = running.stats_until("slow", |stats| stats.finished == 2).await;
    assert_eq!((stats.delivered, stats.suppressed.len()), (1, 1));
    assert_eq!(stats.suppressed[0].reason(), wire::SuppressionReason::Cancelled);

    // What is planned after a cancellation is sent, also to whom it named.
    ask(&running, &["ann", "cyd"]).await;
    running.stats_until("slow", |stats| stats.delivered == 3).await;

    ask(&running, &["dan", "eve"]).await;
    running.stats_until("slow", |stats| stats.pending == 2).await;
    let would = cancel(&running, "", true).await;
    assert_eq!((would.pending, would.cancelled), (2, Some(2)));
    assert_eq!(cancel(&running, "", false).await, would);
    // It would take cancelled sends along.
    let request = wire::UpdateCampaignRequest {
        campaign: Some(read(&delayed(&target, "two"))),
        apply_to_pending: true,
        ..Default::default()
    };
    let refused = running.api.campaigns.clone().update_campaign(request).await.expect_err("it is refused");
    assert!(refused.message().contains("apply_to_pending"), "{refused:?}");
    let stats = running.stats_until("slow", |stats| stats.finished == 6).await;
    assert_eq!((stats.delivered, stats.suppressed[0].count), (3, 3));
    edit(&running, &delayed(&target, "two"), true, false).await;
}

async fn a_deleted_campaign_is_gone_its_id_stays_taken_and_its_sends_end(running: Running) {
    let target = Target::start().await;
    running.activate(&delayed(&target, "one")).await;
    let mut api = running.api.campaigns.clone();
    let delete = |validate_only| wire::DeleteCampaignRequest {
        id: "slow".to_owned(),
        validate_only,
        request_id: "gone".to_owned(),
    };
    let live = api.delete_campaign(delete(false)).await.expect_err("it is live");
    assert_eq!(live.code(), Code::FailedPrecondition);
    ask(&running, &["ann"]).await;
    running.stats_until("slow", |stats| stats.pending == 1).await;
    let mode = wire::EndMode::StopNow as i32;
    let end = wire::EndCampaignRequest { id: "slow".to_owned(), mode, ..Default::default() };
    api.end_campaign(end).await.expect("it is ended");
    for validate_only in [true, false, false] {
        let answer = api.delete_campaign(delete(validate_only)).await.expect("it is deleted").into_inner();
        assert!(answer.pending <= 1, "{answer:?}");
    }
    let get = wire::GetCampaignRequest { id: "slow".to_owned(), ..Default::default() };
    assert_eq!(api.get_campaign(get).await.expect_err("it is gone").code(), Code::NotFound);
    let listed =
        api.list_campaigns(wire::ListCampaignsRequest::default()).await.expect("a page").into_inner();
    assert_eq!(listed.campaigns, vec![]);
    let create =
        wire::CreateCampaignRequest { campaign: Some(read(&delayed(&target, "one"))), ..Default::default() };
    assert_eq!(api.create_campaign(create).await.expect_err("it is taken").code(), Code::AlreadyExists);
    let ended = until(DEADLINE, async || {
        let request = wire::ListSendsRequest::default();
        let sends = running.api.sends.clone().list_sends(request).await.expect("a page").into_inner().sends;
        sends.first().map(wire::Send::suppression)
    });
    assert_eq!(ended.await, Some(wire::SuppressionReason::CampaignEnded));
    assert_eq!(target.received().len(), 0);
}

async fn a_duplicate_is_a_new_draft(running: Running) {
    let target = Target::start().await;
    running.create(&delayed(&target, "one")).await;
    let request = |new_id: &str| wire::DuplicateCampaignRequest {
        id: "slow".to_owned(),
        new_id: new_id.to_owned(),
        title: "Again".to_owned(),
        include_received: true,
        ..Default::default()
    };
    let mut api = running.api.campaigns.clone();
    let copy = api.duplicate_campaign(request("second")).await.expect("a copy").into_inner().campaign;
    let copy = copy.expect("the copy");
    assert_eq!((copy.id.as_str(), copy.title.as_str(), copy.revision), ("second", "Again", 1));
    assert_eq!(copy.state(), wire::CampaignState::Draft);
    let original = running.campaign("slow").await;
    assert_eq!((&copy.webhook, &copy.delivery), (&original.webhook, &original.delivery));
    let without = wire::DuplicateCampaignRequest { include_received: false, ..request("third") };
    let refused = api.duplicate_campaign(without).await.expect_err("not in this version");
    assert!(refused.message().starts_with("include_received: "), "{refused}");
    for (id, code) in
        [("second", Code::AlreadyExists), ("A b", Code::InvalidArgument), ("", Code::InvalidArgument)]
    {
        assert_eq!(api.duplicate_campaign(request(id)).await.expect_err(id).code(), code, "{id}");
    }
}

async fn a_secret_in_use_changes_only_when_told_so(running: Running) {
    let target = Target::start().await;
    let mut api = running.api.secrets.clone();
    let put = |value: &str, allow_in_use, validate_only| wire::PutSecretRequest {
        name: "key".to_owned(),
        values: vec![value.to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        allow_in_use,
        validate_only,
        ..Default::default()
    };
    api.put_secret(put("one", false, false)).await.expect("a new one is stored");
    let file = format!(
        "id: keyed\ndelivery: {{triggered: asked}}\nwebhook: {{url: \"{}\", headers: {{x-key: \"{{{{ secret.key }}}}\"}}}}\n",
        target.url("/keyed")
    );
    running.activate(&file).await;
    api.put_secret(put("one", false, false)).await.expect("the same again changes nothing");
    let refused = api.put_secret(put("two", false, false)).await.expect_err("it is in use");
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("keyed"), "{refused:?}");
    let would = api.put_secret(put("two", false, true)).await.expect("it is only looked at").into_inner();
    assert_eq!(would.in_use_by, ["keyed"]);
    ask(&running, &["ann"]).await;
    assert_eq!(target.wait_for(1).await[0].header("x-key"), "one");
    let stored = api.put_secret(put("two", true, false)).await.expect("it is replaced").into_inner();
    assert_eq!(stored.in_use_by, ["keyed"]);
    let sent = until(DEADLINE, async || {
        ask(&running, &["ben"]).await;
        target.received().iter().any(|request| request.header("x-key") == "two").then_some(())
    });
    sent.await.expect("the new value is sent");
}

async fn redrive(running: &Running, request: wire::RedriveSendsRequest) -> wire::RedriveSendsResponse {
    running.api.sends.clone().redrive_sends(request).await.expect("they are sent again").into_inner()
}

async fn failed_sends_are_sent_again_under_their_ids_also_when_the_campaign_has_ended(running: Running) {
    let target = Target::scripted(|_, before| Reply::status(if before < 3 { 404 } else { 204 })).await;
    let file = format!(
        "id: once\naudience: everyone\ndelivery: {{one_time: now}}\nwebhook: {{url: \"{}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\nlimits: {{auto_pause: false}}\n",
        target.url("/once")
    );
    let user = |id: &str, name: &str| (id.to_owned(), format!("{{\"name\": \"{name}\"}}"));
    running.users([user("ann", "Ann"), user("ben", "Ben"), user("cyd", "Cyd")]).await;
    running.activate(&file).await;
    running.stats_until("once", |stats| stats.failed == 3).await;
    let ended = until(DEADLINE, async || {
        (running.campaign("once").await.state() == wire::CampaignState::Ended).then_some(())
    });
    ended.await.expect("its last send is settled");
    running.users([user("ann", "Anna"), user("ben", "Benno")]).await;

    let of = |user: &str| wire::RedriveSendsRequest {
        filter: Some(wire::SendFilter {
            campaign_id: "once".to_owned(),
            user_id: user.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let would = wire::RedriveSendsRequest { validate_only: true, ..of("") };
    assert_eq!(redrive(&running, would).await.redriven, 3);
    assert_eq!(redrive(&running, of("nobody")).await.redriven, 0);
    let rerender = wire::RedriveMode::Rerender as i32;
    assert_eq!(
        redrive(&running, wire::RedriveSendsRequest { mode: rerender, ..of("ann") }).await.redriven,
        1
    );
    running.stats_until("once", |stats| stats.delivered == 1).await;
    let failed = running.sends("once").await.into_iter().find(|send| send.user_id == "ben").expect("of ben");
    let ids = vec![failed.id.clone()];
    let by_id = wire::RedriveSendsRequest { send_ids: ids, request_id: "r".to_owned(), ..Default::default() };
    assert_eq!(
        redrive(&running, by_id.clone()).await,
        wire::RedriveSendsResponse { redriven: 1, not_failed: 0 }
    );
    running.stats_until("once", |stats| stats.delivered == 2).await;
    assert_eq!(redrive(&running, by_id).await, wire::RedriveSendsResponse { redriven: 0, not_failed: 1 });
    assert_eq!(redrive(&running, of("")).await.redriven, 1);
    let stats = running.stats_until("once", |stats| stats.delivered == 3).await;
    assert_eq!((stats.planned, stats.pending, stats.failed, stats.finished), (3, 0, 0, 3));
    assert_eq!((stats.attempts, stats.retries), (6, 0));

    let mut names = BTreeMap::new();
    for request in target.received() {
        names.entry(request.webhook_id().to_owned()).or_insert_with(Vec::new).push(request.body.clone());
    }
    let mut names: Vec<Vec<String>> = names.into_values().collect();
    names.sort();
    let body = |name: &str| format!("{{\"name\":\"{name}\"}}");
    let expected = [("Ann", "Anna"), ("Ben", "Ben"), ("Cyd", "Cyd")].map(|(a, b)| vec![body(a), body(b)]);
    assert_eq!(names, expected, "the same id twice: once rendered again, twice the same bytes");
}
