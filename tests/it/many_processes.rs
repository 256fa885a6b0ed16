//! Several schedulers and senders on one Redis: nothing twice while all live, nothing lost when some are killed.

use std::collections::{BTreeMap, BTreeSet};

use campanile_proto::v1 as wire;
use campanile_tests::binary::Process;
use campanile_tests::running::Running;
use campanile_tests::target::{DEADLINE, Received, Target};
use campanile_tests::until::until;

const CREDIT: &str = r#"
id: credit
delivery: {manual: {}}
webhook:
  url: URL
  data: {user: "{{ user_id }}", cents: "{{ values.cents }}"}
"#;

/// Ids of the sends that entered.
async fn enter(running: &Running, range: std::ops::Range<usize>) -> BTreeSet<String> {
    let user = |i| wire::UserToEnter { user_id: format!("u{i}"), values: format!(r#"{{"cents": {i}}}"#) };
    let request = wire::EnterUsersRequest {
        campaign_id: "credit".to_owned(),
        users: range.map(user).collect(),
        create_missing: true,
        ..Default::default()
    };
    let answer = running.api.campaigns.clone().enter_users(request).await.expect("they enter").into_inner();
    assert_eq!(answer.refused, 0);
    answer.users.into_iter().flat_map(|user| user.send_ids).collect()
}

fn count(received: &[Received]) -> BTreeMap<&str, usize> {
    let mut ids = BTreeMap::new();
    for webhook in received {
        *ids.entry(webhook.webhook_id()).or_default() += 1;
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_and_three_senders_deliver_twenty_thousand_sends_exactly_once_each() {
    let target = Target::start().await;
    let roles = ["control", "scheduler", "scheduler", "sender", "sender", "sender"];
    let running = Running::on_redis(&roles).await;
    running.activate(&CREDIT.replace("URL", &target.url("/credit"))).await;
    let mut planned = BTreeSet::new();
    for part in 0..4 {
        planned.extend(enter(&running, part * 5_000..(part + 1) * 5_000).await);
    }
    assert_eq!(planned.len(), 20_000);
    let received = target.wait_for(20_000).await;
    let stats = running.stats_until("credit", |stats| stats.finished == 20_000).await;
    assert_eq!((stats.entered, stats.delivered, stats.attempts), (20_000, 20_000, 20_000));
    let ids = count(&received);
    assert!(ids.values().all(|n| *n == 1), "every id came once");
    assert!(planned.iter().all(|id| ids.contains_key(id.as_str())), "every planned send came");
    let bodies: BTreeSet<&str> = received.iter().map(|r| r.body.as_str()).collect();
    let expected: BTreeSet<String> =
        (0..20_000).map(|i| format!(r#"{{"user":"u{i}","cents":{i}}}"#)).collect();
    assert_eq!(bodies, expected.iter().map(String::as_str).collect());
    assert_eq!(target.received().len(), 20_000, "nothing came after the last");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_sender_and_a_scheduler_under_load_loses_nothing() {
    let target = Target::start().await;
    let mut running = Running::on_redis(&["control", "scheduler", "scheduler", "sender", "sender"]).await;
    running.activate(&CREDIT.replace("URL", &target.url("/credit"))).await;
    let planned = enter(&running, 0..6_000).await;
    running
        .activate(&format!(
            r#"
id: once
audience: everyone
delivery: {{one_time: now}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
            target.url("/once")
        ))
        .await;
    target.wait_for(500).await;
    // A sender holds leases and a scheduler may be in the middle of a pass.
    running.processes[3].kill();
    running.processes[1].kill();
    let later = enter(&running, 6_000..8_000).await;
    let store = running.store.clone();
    running.processes.push(Process::start("sender", &store, &["--dev"]));
    let all_finished = async || Some(running.stats("credit").await).filter(|stats| stats.finished == 8_000);
    let waited = until(DEADLINE * 2, all_finished);
    let stats = waited.await.expect("what the killed ones held is taken over when its leases run out");
    assert_eq!((stats.entered, stats.delivered, stats.pending), (8_000, 8_000, 0));
    let once = running.stats_until("once", |stats| stats.entered >= 6_000 && stats.pending == 0).await;
    assert_eq!((once.delivered, once.finished), (once.entered, once.entered), "{once:?}");
    let received = target.received();
    let credits: Vec<Received> = received.into_iter().filter(|r| r.target == "/credit").collect();
    let ids = count(&credits);
    assert!(planned.iter().chain(&later).all(|id| ids.contains_key(id.as_str())), "nothing is lost");
    let twice = ids.values().filter(|n| **n > 1).count();
    assert!(twice <= 256, "{twice} came twice: more than one sender has in flight");
}
