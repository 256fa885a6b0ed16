//! The deployment's own notices, on both stores: signed, told at least once whoever is killed, and only what happened since somebody said where.

use std::collections::BTreeMap;

use campanile_core::signature::{Key, verify};
use campanile_proto::settings_file;
use campanile_proto::v1 as wire;
use campanile_tests::binary::Process;
use campanile_tests::running::Running;
use campanile_tests::target::{DEADLINE, Received, Reply, Target};
use campanile_tests::until::until;
use serde_json::Value;
use tonic::{Code, Status};

crate::on_both_stores!(operators_are_told_what_happens_of_itself, a_notice_survives_its_sender);

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn set(running: &Running, file: &str) -> Result<(), Status> {
    let settings = Some(settings_file::read(file.as_bytes()).expect("a settings file"));
    let request = wire::UpdateSettingsRequest { settings, ..Default::default() };
    running.api.settings.clone().update_settings(request).await.map(drop)
}

async fn put_secret(running: &Running, name: &str, value: &str) {
    let secret = wire::PutSecretRequest {
        name: name.to_owned(),
        values: vec![value.to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        ..Default::default()
    };
    running.api.secrets.clone().put_secret(secret).await.expect("it is stored");
}

async fn end(running: &Running, id: &str) {
    let mode = wire::EndMode::StopNow as i32;
    let request = wire::EndCampaignRequest { id: id.to_owned(), mode, ..Default::default() };
    running.api.campaigns.clone().end_campaign(request).await.expect("it ends");
}

fn manual(id: &str, target: &Target) -> String {
    format!(
        "id: {id}\ntitle: The {id}\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{}\", data: {{a: 1}}}}\n",
        target.url("/hook")
    )
}

/// Notices that came, by type and campaign, oldest first.
fn told(target: &Target) -> Vec<(String, String, Received)> {
    let told = target.received().into_iter().filter(|request| request.target.starts_with("/ops"));
    told.map(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&body["type"]), text(&body["data"]["campaign"]), request)
    })
    .collect()
}

async fn told_of(target: &Target, kind: &str, campaign: &str) -> Received {
    let looked = until(DEADLINE, async || {
        told(target)
            .into_iter()
            .find(|(of, by, _)| of == kind && by == campaign)
            .map(|(_, _, request)| request)
    });
    looked.await.unwrap_or_else(|| panic!("{kind} of {campaign} is not among {:?}", told(target)))
}

async fn operators_are_told_what_happens_of_itself(running: Running) {
    let target = Target::scripted(|request, _| match request.target.as_str() {
        "/fails" => Reply::status(404),
        // Everything is refused once, whatever it is.
        "/ops/x" if request.header("campanile-attempt") == "1" => Reply::status(503),
        _ => Reply::status(204),
    })
    .await;
    what_is_wrong_is_named(&running).await;
    put_secret(&running, "ops_path", "x").await;
    put_secret(&running, "ops", SIGNING).await;
    running.activate(&manual("before", &target)).await;
    end(&running, "before").await;
    let url = target.url("/ops/{{ secret.ops_path }}");
    set(&running, &format!("notify_url: \"{url}\"\nnotify_signing_secret: ops\n"))
        .await
        .expect("it is stored");
    let request = wire::DeleteSecretRequest { name: "ops".to_owned(), ..Default::default() };
    let refused = running.api.secrets.clone().delete_secret(request).await.expect_err("it is in use");
    assert!(
        refused.code() == Code::FailedPrecondition && refused.message().contains("settings"),
        "{refused}"
    );

    running.users((0..150).map(|i| (format!("u{i}"), String::new()))).await;
    let fails = format!(
        "id: fails\naudience: everyone\ndelivery: {{one_time: now}}\nwebhook: {{url: \"{}\", data: {{a: 1}}}}\nlimits: {{throttle: 60/s}}\n",
        target.url("/fails")
    );
    let tick = format!(
        "id: tick\naudience: user.nobody\ndelivery: {{recurring: {{cron: \"* * * * * *\"}}}}\nwebhook: {{url: \"{}\", data: {{a: 1}}}}\n",
        target.url("/hook")
    );
    running.activate(&[manual("ended", &target), fails, tick].join("---\n")).await;
    end(&running, "ended").await;
    let pause = wire::PauseCampaignRequest { id: "tick".to_owned(), ..Default::default() };
    running.api.campaigns.clone().pause_campaign(pause).await.expect("it is paused");

    let ended = told_of(&target, "campaign.ended", "ended").await;
    let body: Value = serde_json::from_str(&ended.body).expect("JSON");
    assert_eq!(
        (&body["data"]["title"], &body["data"]["by"]),
        (&Value::from("The ended"), &Value::from("control api"))
    );
    assert!(body["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{body}");
    let paused = told_of(&target, "campaign.auto_paused", "fails").await;
    let body: Value = serde_json::from_str(&paused.body).expect("JSON");
    assert!(body["data"]["reason"].as_str().is_some_and(|why| why.contains("came to nothing")), "{body}");
    told_of(&target, "campaign.occurrences_missed", "tick").await;
    end(&running, "tick").await;
    // Refused the first time, it comes again: the same notice under the same id, signed anew.
    let again = until(DEADLINE, async || {
        let all = told(&target);
        let of = all.into_iter().filter(|(kind, by, _)| kind == "campaign.ended" && by == "ended");
        let attempts: Vec<Received> = of.map(|(_, _, request)| request).collect();
        (attempts.len() == 2).then_some(attempts)
    });
    let again = again.await.expect("it is tried again");
    assert_eq!((again[0].webhook_id(), &again[0].body), (again[1].webhook_id(), &again[1].body));
    assert!(again[0].webhook_id().starts_with("notice-") && !again[0].webhook_id().contains('.'));
    assert_eq!(again[1].header("campanile-attempt"), "2");
    let keys = [Key::read(SIGNING).expect("a key")];
    let mut ids = BTreeMap::<String, usize>::new();
    for (_, campaign, request) in told(&target) {
        let at = request.header("webhook-timestamp").parse().expect("seconds");
        let signature = request.header("webhook-signature");
        assert!(verify(&keys, request.webhook_id(), at, request.body.as_bytes(), signature), "{request:?}");
        assert_ne!(campaign, "before", "nobody had said where to");
        *ids.entry(request.webhook_id().to_owned()).or_default() += 1;
    }
    assert!(ids.values().all(|attempts| *attempts <= 2), "what was taken is told no more: {ids:?}");
}

async fn what_is_wrong_is_named(running: &Running) {
    for (file, words) in [
        ("notify_url: ops.example", "notify_url"),
        ("notify_url: \"https://ops.example/{{ user_id }}\"", "notify_url"),
        ("notify_url: \"https://ops.example/{{ secret.NONE }}\"", "NONE"),
        ("{notify_url: \"https://ops.example/\", notify_signing_secret: none}", "notify_signing_secret"),
        ("notify_signing_secret: ops", "notify_url, which is missing"),
    ] {
        let refused = set(running, file).await.expect_err(file);
        assert!(
            refused.code() == Code::InvalidArgument && refused.message().contains(words),
            "{file}: {refused}"
        );
    }
}

async fn a_notice_survives_its_sender(mut running: Running) {
    let is_up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let up = is_up.clone();
    let target = Target::scripted(move |_, _| {
        Reply::status(if up.load(std::sync::atomic::Ordering::SeqCst) { 204 } else { 503 })
    })
    .await;
    set(&running, &format!("notify_url: \"{}\"", target.url("/ops"))).await.expect("it is stored");
    running.activate(&manual("ended", &target)).await;
    end(&running, "ended").await;
    let first = told_of(&target, "campaign.ended", "ended").await;
    // Every process dies at once, and others take over.
    let roles: &[&str] = if running.redis.is_some() { &["scheduler", "sender"] } else { &["serve"] };
    for process in &mut running.processes {
        process.kill();
    }
    is_up.store(true, std::sync::atomic::Ordering::SeqCst);
    let after: Vec<Process> =
        roles.iter().map(|role| Process::start(role, &running.store, &["--dev"])).collect();
    let again = until(DEADLINE, async || {
        let of = told(&target).into_iter().map(|(_, _, request)| request);
        of.into_iter().find(|request| request.header("campanile-attempt") != "1")
    });
    let again = again.await.expect("another sender tells it");
    assert_eq!((again.webhook_id(), &again.body), (first.webhook_id(), &first.body));
    drop(after);
}
