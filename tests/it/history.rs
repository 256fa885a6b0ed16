//! What users had of campaigns: asked for by other campaigns, and counted; on both stores, through the real binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile_tests::running::{Running, event};
use campanile_tests::target::{Received, Reply, Target};

crate::on_both_stores!(
    who_received_one_campaign_is_known_to_another_at_entry_and_before_the_send,
    users_entries_and_lateness_are_counted_as_they_are,
    an_event_in_time_converts_the_last_send_once_in_its_arm,
);

async fn who_received_one_campaign_is_known_to_another_at_entry_and_before_the_send(running: Running) {
    let is_open = Arc::new(AtomicBool::new(false));
    let seen = is_open.clone();
    let script = move |got: &Received, _| match got.target.as_str() {
        "/lost" => Reply::status(400),
        "/late" if !seen.load(Ordering::SeqCst) => Reply::status(503),
        _ => Reply::status(204),
    };
    let target = Target::scripted(script).await;
    let users = ["ann", "ben", "cleo"].map(|id| (id.to_owned(), "{}".to_owned()));
    running.users(users).await;
    let by_hand = |id: &str, path: &str| {
        format!(
            "id: {id}\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{}\", data: {{id: \"{{{{ user_id }}}}\"}}}}\n",
            target.url(path)
        )
    };
    running.activate(&by_hand("welcome", "/welcome")).await;
    running.activate(&by_hand("lost", "/lost")).await;
    running.enter("welcome", &[("ann", ""), ("cleo", "")]).await;
    running.enter("lost", &[("ben", "")]).await;
    running.stats_until("welcome", |stats| stats.delivered == 2).await;
    running.stats_until("lost", |stats| stats.failed == 1).await;

    // A fan-out, an event and an entry by hand all know.
    let followed = |id: &str, delivery: &str, condition: &str| {
        format!(
            "id: {id}\naudience: '{condition}'\ndelivery: {delivery}\nwebhook: {{url: \"{}\", data: {{id: \"{{{{ user_id }}}}\"}}}}\n",
            target.url(&format!("/{id}"))
        )
    };
    let once = followed("once", "{one_time: now}", r#"received("welcome", "30d") and not received("once")"#);
    running.activate(&once).await;
    let stats = running.stats_until("once", |stats| stats.delivered == 2).await;
    assert_eq!((stats.triggered, stats.entered), (3, 2));
    let sorry = followed("sorry", "{triggered: opened}", r#"failed("lost") or received("nowhere")"#);
    running.activate(&sorry).await;
    running.track(["ann", "ben"].map(|id| event(id, "opened", "{}")).to_vec()).await;
    let stats = running.stats_until("sorry", |stats| stats.delivered == 1).await;
    assert_eq!((stats.triggered, stats.entered), (2, 1));
    running.activate(&followed("only-new", "{manual: {}}", r#"not received("welcome")"#)).await;
    let answer = running.enter("only-new", &[("ann", ""), ("ben", "")]).await;
    assert_eq!((answer.entered, answer.refused), (1, 1));
    assert!(answer.users[0].detail.contains(r#"not received("welcome") was false"#), "{answer:?}");
    running.stats_until("only-new", |stats| stats.delivered == 1).await;

    // It became true while the send waited: known before the send too.
    let late = followed("late", "{triggered: closed}", r#"not received("extra")"#);
    let late = format!("{late}limits: {{retry: {{waits: [1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]}}}}\n");
    running.activate(&late).await;
    running.activate(&by_hand("extra", "/extra")).await;
    running.track(["ann", "ben"].map(|id| event(id, "closed", "{}")).to_vec()).await;
    running.stats_until("late", |stats| stats.entered == 2).await;
    running.enter("extra", &[("ann", "")]).await;
    running.stats_until("extra", |stats| stats.delivered == 1).await;
    is_open.store(true, Ordering::SeqCst);
    let stats = running.stats_until("late", |stats| stats.finished == 2).await;
    assert_eq!((stats.delivered, stats.suppressed[0].count), (1, 1), "{stats:?}");
    let explained = crate::explain::explain(&running, "ann", "only-new").await;
    let steps = explained.if_now.expect("about now").steps;
    let audience = steps.iter().find(|step| step.gate == "audience").expect("the audience is looked at");
    assert!(audience.saw.contains("received"), "{audience:?}");
}

async fn users_entries_and_lateness_are_counted_as_they_are(running: Running) {
    let script = |_: &Received, n: usize| match n {
        0 => Reply::status(503),
        _ => Reply::status(204),
    };
    let target = Target::scripted(script).await;
    running.users(["ann", "ben"].map(|id| (id.to_owned(), "{}".to_owned()))).await;
    let file = format!(
        "id: counted\ndelivery: {{triggered: bought}}\naudience: {{where: user_id != \"ben\" or count(\"bought\") > 1}}\nwebhook: {{url: \"{}\"}}\nlimits: {{retry: {{waits: [1s]}}}}\n",
        target.url("/")
    );
    running.activate(&file).await;
    let users = ["ann", "ann", "ben", "ben", "ann"];
    for (i, user) in users.into_iter().enumerate() {
        let mut bought = event(user, "bought", "{}");
        bought.event_id = format!("b{i}");
        running.track(vec![bought]).await;
    }
    let stats = running.stats_until("counted", |stats| stats.delivered == 4).await;
    assert_eq!((stats.reached, stats.users, stats.attempts, stats.retries), (4, 2, 5, 1));
    let latency = stats.latency.expect("lateness");
    assert_eq!(latency.sends, 4, "first requests only");
    let ms = |length: Option<prost_types::Duration>| {
        length.map(|length| length.seconds * 1000 + i64::from(length.nanos) / 1_000_000).expect("a length")
    };
    assert!(ms(latency.p50) <= ms(latency.p90) && ms(latency.p99) <= ms(latency.longest), "{latency:?}");
    assert!(ms(latency.longest) < 20_000, "{latency:?}");
    assert_eq!(stats.actions[0].latency, stats.latency);
}

async fn an_event_in_time_converts_the_last_send_once_in_its_arm(running: Running) {
    let target = Target::start().await;
    let users: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    running.users(users.iter().map(|id| (id.clone(), "{}".to_owned()))).await;
    let file = format!(
        r#"
id: sale
audience: {{where: everyone, holdback_percent: 50}}
delivery: {{one_time: now}}
actions:
  - name: offer
    variants:
      - {{name: bold, webhook: {{url: "{0}"}}}}
      - {{name: plain, webhook: {{url: "{0}"}}}}
conversion: {{event: bought, where: properties.total >= 10, within: 1h}}
"#,
        target.url("/")
    );
    running.activate(&file).await;
    let stats = running.stats_until("sale", |stats| stats.finished == 40).await;
    assert!(stats.held_back > 0 && stats.delivered > 0 && stats.converted == 0, "{stats:?}");
    // It ended by itself; what follows counts all the same. Everybody buys twice, too little first.
    for total in [1, 10, 11] {
        let bought = |id: &String| event(id, "bought", &format!(r#"{{"total": {total}}}"#));
        running.track(users.iter().map(bought).collect()).await;
    }
    running.track(vec![event("stranger", "bought", r#"{"total": 99}"#)]).await;
    let all = |stats: &campanile_proto::v1::CampaignStats| {
        stats.converted == stats.delivered && stats.held_back_converted == stats.held_back
    };
    let stats = running.stats_until("sale", all).await;
    let action = &stats.actions[0];
    let by_variant: i64 = action.variants.iter().map(|variant| variant.converted).sum();
    assert_eq!((by_variant, action.converted), (stats.delivered, stats.delivered), "{stats:?}");
    assert!(action.variants.iter().all(|variant| variant.converted == variant.delivered));
    // Whatever came after changed nothing: wait for a last event that another campaign shows.
    running
        .activate(&format!(
            "id: last\ndelivery: {{triggered: bought}}\nwebhook: {{url: \"{}\"}}\n",
            target.url("/")
        ))
        .await;
    running.track(vec![event("u1", "bought", r#"{"total": 50}"#)]).await;
    running.stats_until("last", |stats| stats.delivered == 1).await;
    let again = running.stats("sale").await;
    assert_eq!((again.converted, again.held_back_converted), (stats.converted, stats.held_back_converted));
}
