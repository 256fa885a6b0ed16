//! People whom the deployment sends nothing, on both stores: whatever a campaign, a manual entry or a resend says.

use std::collections::BTreeSet;

use campanile_proto::settings_file;
use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};
use tonic::{Code, Status};

crate::on_both_stores!(who_is_never_sent_anything_gets_nothing_whatever_is_asked);

async fn set(running: &Running, file: &str) -> Result<wire::UpdateSettingsResponse, Status> {
    let settings = Some(settings_file::read(file.as_bytes()).expect("a settings file"));
    let request = wire::UpdateSettingsRequest { settings, ..Default::default() };
    Ok(running.api.settings.clone().update_settings(request).await?.into_inner())
}

async fn put_segment(running: &Running, name: &str, condition: &str) -> Result<(), Status> {
    let segment =
        wire::Segment { name: name.to_owned(), r#where: condition.to_owned(), ..Default::default() };
    let mut api = running.api.segments.clone();
    let there = api.get_segment(wire::GetSegmentRequest { name: name.to_owned() }).await.is_ok();
    match there {
        true => {
            let request = wire::UpdateSegmentRequest { segment: Some(segment), ..Default::default() };
            api.update_segment(request).await.map(drop)
        }
        false => {
            let request = wire::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
            api.create_segment(request).await.map(drop)
        }
    }
}

fn opted_out(stats: &wire::CampaignStats) -> i64 {
    let reason = wire::SuppressionReason::OptedOut;
    stats.suppressed.iter().filter(|row| row.reason() == reason).map(|row| row.count).sum()
}

async fn who_is_never_sent_anything_gets_nothing_whatever_is_asked(running: Running) {
    let target =
        Target::scripted(|received, _| Reply::status(if received.target == "/fails" { 400 } else { 204 }))
            .await;
    let people = [("mary", "false"), ("out", "true"), ("listed", "false"), ("turns", "false")];
    running.users(people.map(|(id, out)| (id.to_owned(), format!(r#"{{"out": {out}}}"#)))).await;
    let list = wire::PutUserListRequest {
        name: "blocked".to_owned(),
        user_ids: vec!["listed".to_owned()],
        ..Default::default()
    };
    running.api.segments.clone().put_user_list(tokio_stream::iter([list])).await.expect("it is put");
    put_segment(&running, "blocked", "in_list(\"blocked\")").await.expect("it is stored");
    put_segment(&running, "opted-out", "user.out or in_segment(\"blocked\")").await.expect("it is stored");

    let refused = set(&running, "never_send: opted-outs").await.expect_err("there is none");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("did you mean opted-out?"), "{refused}");
    set(&running, "never_send: opted-out").await.expect("it is stored");

    let url = |path: &str| target.url(path);
    let webhook =
        |path: &str| format!("webhook: {{url: \"{}\", data: {{id: \"{{{{ user_id }}}}\"}}}}", url(path));
    let manual = "delivery: {manual: {}}";
    running
        .activate(&format!(
            "id: once\naudience: {{where: everyone, sticky: true}}\ndelivery: {{one_time: now}}\n{}\n---\n\
             id: by-hand\n{manual}\n{}\n---\n\
             id: internal\ntags: internal\n{manual}\n{}\n---\n\
             id: fails\n{manual}\n{}\n---\n\
             id: later\ndelivery: {{triggered: {{when: seen, delay: 2s}}}}\n{}\n",
            webhook("/once"),
            webhook("/by-hand"),
            webhook("/internal"),
            webhook("/fails"),
            webhook("/later"),
        ))
        .await;
    let once = running.stats_until("once", |stats| stats.finished == 4).await;
    assert_eq!((once.entered, once.delivered, opted_out(&once)), (4, 2, 2), "people enter, and are not sent");

    // Neither values of an entry nor what it may skip open anybody up.
    let request = wire::EnterUsersRequest {
        campaign_id: "by-hand".to_owned(),
        users: ["mary", "out", "listed"]
            .map(|id| wire::UserToEnter { user_id: id.to_owned(), values: r#"{"out": false}"#.to_owned() })
            .to_vec(),
        skip: vec![
            wire::EnterSkip::Audience as i32,
            wire::EnterSkip::Caps as i32,
            wire::EnterSkip::QuietHours as i32,
        ],
        ..Default::default()
    };
    running.api.campaigns.clone().enter_users(request).await.expect("they are answered");
    let stats = running.stats_until("by-hand", |stats| stats.finished == 3).await;
    assert_eq!((stats.delivered, opted_out(&stats)), (1, 2));
    running.enter("internal", &[("out", ""), ("listed", "")]).await;
    running.stats_until("internal", |stats| stats.delivered == 2).await;

    // Who opts out while a send waits, or before one is sent again, gets nothing more.
    running.enter("fails", &[("turns", "")]).await;
    running.stats_until("fails", |stats| stats.failed == 1).await;
    running.track(vec![event("turns", "seen", "")]).await;
    running.stats_until("later", |stats| stats.entered == 1).await;
    running.users([("turns".to_owned(), r#"{"out": true}"#.to_owned())]).await;
    let later = running.stats_until("later", |stats| stats.finished == 1).await;
    assert_eq!((later.delivered, opted_out(&later)), (0, 1));
    let filter = wire::SendFilter { campaign_id: "fails".to_owned(), ..Default::default() };
    let request = wire::RedriveSendsRequest { filter: Some(filter), ..Default::default() };
    running.api.sends.clone().redrive_sends(request).await.expect("it is sent again");
    let fails = running.stats_until("fails", |stats| stats.pending == 0 && stats.failed == 0).await;
    assert_eq!(opted_out(&fails), 1);
    let expected: BTreeSet<(&str, &str)> = BTreeSet::from([
        ("/once", "mary"),
        ("/once", "turns"),
        ("/by-hand", "mary"),
        ("/internal", "out"),
        ("/internal", "listed"),
        ("/fails", "turns"),
    ]);
    let received = target.received();
    let got: BTreeSet<(&str, &str)> = received
        .iter()
        .map(|r| (r.target.as_str(), r.body.trim_start_matches(r#"{"id":""#).trim_end_matches(r#""}"#)))
        .collect();
    assert_eq!(got, expected);
    assert_eq!(received.len(), expected.len());
    it_is_explained(&running).await;
    what_it_asks_is_in_use(&running).await;
}

async fn it_is_explained(running: &Running) {
    let request = wire::ExplainSendRequest {
        user_id: "out".to_owned(),
        campaign_id: "by-hand".to_owned(),
        ..Default::default()
    };
    let answer = running.api.sends.clone().explain_send(request).await.expect("it is explained").into_inner();
    assert!(answer.sentence.contains("segment opted-out"), "{}", answer.sentence);
    let now = answer.if_now.expect("it says what would be");
    let last = now.steps.last().expect("steps");
    assert_eq!((last.gate.as_str(), last.suppression()), ("opted out", wire::SuppressionReason::OptedOut));
    assert!(last.saw.contains("user.out"), "{last:?}");
}

async fn what_it_asks_is_in_use(running: &Running) {
    let mut api = running.api.segments.clone();
    let words = "is used by never_send of the settings";
    let refused = put_segment(running, "opted-out", "user.other").await.expect_err("it is in use");
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains(words), "{refused}");
    let request = wire::DeleteSegmentRequest { name: "opted-out".to_owned(), ..Default::default() };
    let refused = api.delete_segment(request).await.expect_err("it is in use");
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains(words), "{refused}");
    let request = wire::DeleteUserListRequest { name: "blocked".to_owned(), ..Default::default() };
    let refused = api.delete_user_list(request).await.expect_err("it is in use");
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains(words), "{refused}");
    let request = wire::GetSegmentRequest { name: "blocked".to_owned() };
    let used_by = api.get_segment(request).await.expect("it is there").into_inner().used_by;
    assert!(used_by.expect("it is told").never_send, "through another segment");
    // On purpose it changes, and is let go where the settings no longer name it.
    set(running, "{}").await.expect("they are cleared");
    put_segment(running, "opted-out", "user.other").await.expect("nobody uses it");
    let request = wire::DeleteSegmentRequest { name: "opted-out".to_owned(), ..Default::default() };
    api.delete_segment(request).await.expect("nobody uses it");
}
