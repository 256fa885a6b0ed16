//! What a deployment decides for all of its campaigns: caps, the minimum gap, quiet hours; on both stores, with several senders.

use std::collections::{BTreeMap, BTreeSet};

use campanile_proto::v1 as wire;
use campanile_proto::{json, settings_file};
use campanile_tests::binary::command;
use campanile_tests::running::Running;
use campanile_tests::target::{Reply, Target};

async fn set(running: &Running, file: &str) -> wire::Settings {
    let settings = Some(settings_file::read(file.as_bytes()).expect("a settings file"));
    let request = wire::UpdateSettingsRequest { settings, ..Default::default() };
    let answer = running.api.settings.clone().update_settings(request).await.expect("they are stored");
    answer.into_inner().settings.expect("they are answered")
}

fn manual(id: &str, target: &Target, more: &str) -> String {
    let url = target.url(&format!("/{id}/{{{{ user_id }}}}"));
    format!("id: {id}\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{url}\", data: {{a: 1}}}}\n{more}\n")
}

fn suppressed(stats: &wire::CampaignStats) -> Vec<(wire::SuppressionReason, i64)> {
    stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect()
}

async fn explained(running: &Running, user: &str, campaign: &str) -> wire::IfNow {
    let request = wire::ExplainSendRequest {
        user_id: user.to_owned(),
        campaign_id: campaign.to_owned(),
        ..Default::default()
    };
    let answer = running.api.sends.clone().explain_send(request).await.expect("it is explained");
    answer.into_inner().if_now.expect("it says what would be")
}

mod nobody_is_sent_more_than_the_caps_allow {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn on_sqlite() {
        check(Running::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn on_redis_with_several_senders() {
        check(Running::on_redis(&["control", "scheduler", "sender", "sender", "sender"]).await).await;
    }

    const USERS: usize = 40;

    async fn check(running: Running) {
        // The first attempt of each send of `a` fails: its retry is the same send.
        let target = Target::scripted(|received, _| {
            let is_first = received.header("campanile-attempt") == "1";
            Reply::status(if received.target.starts_with("/a/") && is_first { 503 } else { 204 })
        })
        .await;
        set(&running, "caps: [{at_most: 2, within: 1d}, {at_most: 1, per: week, tags: promo}]").await;
        running.users((0..USERS).map(|i| (format!("u{i}"), String::new()))).await;
        let retry = "limits: {retry: {waits: 1s}}";
        for (id, more) in [
            ("a", retry),
            ("b", ""),
            ("c", "tags: promo"),
            ("d", "tags: [promo, other]"),
            ("ignoring", "limits: {ignore_caps: true}"),
            ("alert", "tags: internal"),
        ] {
            running.activate(&manual(id, &target, more)).await;
        }
        let ids: Vec<String> = (0..USERS).map(|i| format!("u{i}")).collect();
        let users: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
        let campaigns = ["a", "b", "c", "d", "ignoring", "alert"];
        futures_util::future::join_all(campaigns.iter().map(|id| running.enter(id, &users))).await;
        let mut capped = 0;
        for id in campaigns {
            let stats = running.stats_until(id, |stats| stats.finished == USERS as i64).await;
            let reached: i64 = suppressed(&stats)
                .iter()
                .inspect(|(reason, _)| assert_eq!(*reason, wire::SuppressionReason::Capped, "{id}"))
                .map(|(_, n)| n)
                .sum();
            assert_eq!(stats.delivered + reached, USERS as i64, "{id}");
            capped += reached;
        }
        assert_eq!(capped, 2 * USERS as i64, "of four sends to each user, two");
        let mut sends = BTreeMap::<String, BTreeMap<String, BTreeSet<String>>>::new();
        for received in target.received() {
            let mut path = received.target.trim_start_matches('/').split('/').map(str::to_owned);
            let (campaign, user) = (path.next().expect("a campaign"), path.next().expect("a user"));
            sends
                .entry(user)
                .or_default()
                .entry(campaign)
                .or_default()
                .insert(received.webhook_id().to_owned());
        }
        assert_eq!(sends.len(), USERS);
        for (user, of) in sends {
            let sent =
                |ids: &[&str]| ids.iter().map(|id| of.get(*id).map_or(0, BTreeSet::len)).sum::<usize>();
            assert_eq!(sent(&["a", "b", "c", "d"]), 2, "{user}: {of:?}");
            assert!(sent(&["c", "d"]) <= 1, "{user}: {of:?}");
            assert_eq!((sent(&["ignoring"]), sent(&["alert"])), (1, 1), "{user}: {of:?}");
        }
        its_caps_are_explained(&running, &target).await;
    }

    async fn its_caps_are_explained(running: &Running, target: &Target) {
        let now = explained(running, "u0", "b").await;
        let last = now.steps.last().expect("steps");
        assert!(last.gate == "caps" && last.suppression() == wire::SuppressionReason::Capped, "{now:#?}");
        assert!(last.saw.contains("at most 2 webhooks within 1d"), "{last:?}");
        // Asked to be skipped, they neither stop nor count.
        let before = target.received().len();
        let user = wire::UserToEnter { user_id: "u0".to_owned(), ..Default::default() };
        let request = wire::EnterUsersRequest {
            campaign_id: "b".to_owned(),
            users: vec![user],
            skip: vec![wire::EnterSkip::Caps as i32],
            ..Default::default()
        };
        running.api.campaigns.clone().enter_users(request).await.expect("they enter");
        target.wait_for(before + 1).await;
        running.stats_until("b", |stats| stats.finished == USERS as i64 + 1).await;
    }
}

crate::on_both_stores!(
    what_is_not_posted_counts_nothing_and_the_gap_is_kept,
    the_deployments_quiet_hours_are_everybodys,
);

async fn what_is_not_posted_counts_nothing_and_the_gap_is_kept(running: Running) {
    let target = Target::start().await;
    set(&running, "min_gap: 1h").await;
    running.users([("mary".to_owned(), String::new())]).await;
    running.activate(&manual("broken", &target, "").replace("a: 1", r#"a: "{{ user.missing }}""#)).await;
    running.activate(&manual("throttled", &target, "limits: {throttle: 1/s}")).await;
    running.activate(&manual("next", &target, "")).await;
    running.enter("broken", &[("mary", "")]).await;
    let stats = running.stats_until("broken", |stats| stats.finished == 1).await;
    assert_eq!(suppressed(&stats), [(wire::SuppressionReason::TemplateMissingValue, 1)]);
    running.enter("throttled", &[("mary", "")]).await;
    running.stats_until("throttled", |stats| stats.delivered == 1).await;
    let now = explained(&running, "mary", "next").await;
    assert_eq!(now.steps.last().expect("steps").suppression(), wire::SuppressionReason::MinGap, "{now:#?}");
    running.enter("next", &[("mary", "")]).await;
    let stats = running.stats_until("next", |stats| stats.finished == 1).await;
    assert_eq!(suppressed(&stats), [(wire::SuppressionReason::MinGap, 1)]);
    assert_eq!(target.received().len(), 1);
    let sends = running.sends("next").await;
    assert!(sends[0].detail.contains("at least 1h between two webhooks"), "{sends:?}");
}

async fn the_deployments_quiet_hours_are_everybodys(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), String::new())]).await;
    running.activate(&manual("plain", &target, "")).await;
    let created_at = running.campaign("plain").await.created_at.expect("a time").seconds;
    let hour = |later: i64| (created_at / 3_600 + later).rem_euclid(24);
    let quiet = |then: &str| {
        format!("quiet_hours: {{from: \"{:02}:00\", to: \"{:02}:00\", then: {then}}}", hour(-1), hour(3))
    };
    let stored = set(&running, &quiet("drop")).await;
    assert_eq!(stored.revision, 1);
    let step = async |campaign: &str| explained(&running, "mary", campaign).await.steps;
    let stopped = step("plain").await;
    let last = stopped.last().expect("steps");
    assert_eq!(
        (last.gate.as_str(), last.suppression()),
        ("quiet hours", wire::SuppressionReason::QuietHoursDrop)
    );
    running.activate(&manual("ignoring", &target, "limits: {ignore_quiet_hours: true}")).await;
    // The senders have heard of it once one send was dropped.
    let mut dropped = 0;
    while dropped == 0 {
        let before = running.stats("plain").await.finished;
        running.enter("plain", &[("mary", "")]).await;
        let stats = running.stats_until("plain", |stats| stats.finished > before).await;
        dropped = suppressed(&stats).len();
    }
    running.enter("ignoring", &[("mary", "")]).await;
    running.stats_until("ignoring", |stats| stats.delivered == 1).await;
    set(&running, &quiet("hold")).await;
    let held = explained(&running, "mary", "plain").await;
    assert!(held.sentence.contains("wait"), "{}", held.sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_applied_from_a_file_and_shown_as_one() {
    let running = Running::sqlite().await;
    let process = &running.processes[0];
    let run = |arguments: &[&str], code: i32| {
        let output = command(process, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        (out, err)
    };
    let (out, err) = run(&["settings", "show"], 0);
    assert!(out == "{}\n" && err.contains("nothing is set yet"), "{out}{err}");
    let path = running.folder.path().join("settings.yaml");
    let file = path.display().to_string();
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    write(
        "caps:\n  - {at_most: 0, within: 1d}\n  - {at_most: 3}\nquiet_hours: {from: \"21:00\", to: \"21:00\"}\n",
    );
    let (_, err) = run(&["settings", "apply", "-f", &file, "--yes"], 2);
    for fault in
        ["caps[0].at_most: expected 1 to 500", "caps[1]: expected one of", "quiet_hours.to: is the same"]
    {
        assert!(err.contains(fault), "{fault} is not in {err}");
    }
    write("caps: {at_most: 3, within: 1d, tags: promo}\nmin_gap: 2h\n");
    let (_, err) = run(&["settings", "apply", "-f", &file], 1);
    assert!(
        err.contains("min_gap: 2h")
            && err.contains("no campaign is tagged \"promo\"")
            && err.contains("--yes"),
        "{err}"
    );
    assert_eq!(run(&["settings", "show"], 0).0, "{}\n", "nothing was done");
    let (out, _) = run(&["settings", "apply", "-f", &file, "--yes"], 0);
    assert_eq!(out, "the settings are changed, now at revision 1\n");
    let (shown, _) = run(&["settings", "show"], 0);
    write(&shown);
    assert_eq!(run(&["settings", "apply", "-f", &file], 0).0, "the settings are as written\n");
    let (out, _) = run(&["--json", "settings", "show"], 0);
    let stored: wire::Settings = json::read(out.trim()).expect("settings");
    assert_eq!((stored.revision, stored.caps[0].tags[0].as_str()), (1, "promo"));
    // A mask changes what it names; an older revision changes nothing.
    let request = wire::UpdateSettingsRequest {
        settings: Some(wire::Settings::default()),
        update_mask: Some(prost_types::FieldMask { paths: vec!["min_gap".to_owned()] }),
        expected_revision: 1,
        ..Default::default()
    };
    let mut settings = running.api.settings.clone();
    let changed = settings.update_settings(request.clone()).await.expect("it is changed").into_inner();
    let changed = changed.settings.expect("settings");
    assert_eq!((changed.revision, changed.caps.len(), changed.min_gap), (2, 1, None));
    let refused = settings.update_settings(request).await.expect_err("it is of an older revision");
    assert_eq!(refused.code(), tonic::Code::Aborted, "{refused}");
}
