//! A Redis Cluster of several nodes, and a master that Sentinels watch over: everything works on them, and goes on after a failover.

use campanile_proto::v1 as wire;
use campanile_tests::binary::Process;
use campanile_tests::redis_cluster::RedisCluster;
use campanile_tests::redis_sentinels::RedisSentinels;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Target};
use campanile_tests::until::until;

async fn run(store: String) -> Running {
    let processes: Vec<Process> = ["control", "scheduler", "sender"]
        .iter()
        .map(|role| Process::start(role, &store, &["--dev"]))
        .collect();
    let api = processes[0].api().await;
    let folder = tempfile::tempdir().expect("a folder");
    Running { processes, api, store, redis: None, folder }
}

async fn begin(running: &Running, target: &Target) {
    let url = target.url("/hook");
    running
        .activate(&format!(
            "id: seen\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{url}\", data: {{user: \"{{{{ user_id }}}}\"}}}}\n"
        ))
        .await;
}

/// One event each for users of every shard, in bounded batches; repeated while the store is away, which the event ids make safe.
async fn track(running: &Running, users: std::ops::Range<usize>) {
    let events: Vec<wire::Event> = users
        .map(|n| wire::Event { event_id: format!("e{n}"), ..event(&format!("u{n}"), "seen", "{}") })
        .collect();
    for events in events.chunks(500) {
        let taken = until(DEADLINE, async || {
            let request = wire::TrackEventsRequest { events: events.to_vec(), ..Default::default() };
            running.api.events.clone().track_events(request).await.ok()
        });
        let answer = taken.await.expect("they are taken").into_inner();
        assert!(answer.events.iter().all(|event| event.faults.is_empty()), "{answer:?}");
    }
}

async fn all_delivered(running: &Running, target: &Target, n: usize) {
    let all = async || {
        let request = wire::GetCampaignStatsRequest { id: "seen".to_owned() };
        let stats =
            running.api.campaigns.clone().get_campaign_stats(request).await.ok()?.into_inner().stats?;
        (stats.delivered == n as i64).then_some(stats)
    };
    let stats = until(DEADLINE, all).await;
    let stats = stats.unwrap_or_else(|| panic!("{} of {n} came", target.received().len()));
    assert_eq!((stats.entered, stats.pending, stats.finished), (n as i64, 0, n as i64), "{stats:?}");
    let mut users: Vec<String> = target.received().into_iter().map(|received| received.body).collect();
    users.sort();
    users.dedup();
    assert_eq!(users.len(), n, "everybody got theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_works_and_goes_on_after_a_node_has_failed_over() {
    let target = Target::start().await;
    let mut cluster = tokio::task::block_in_place(RedisCluster::start);
    let running = run(cluster.url()).await;
    begin(&running, &target).await;
    track(&running, 0..1_000).await;
    all_delivered(&running, &target, 1_000).await;
    tokio::task::block_in_place(|| {
        cluster.wait_until_copied();
        cluster.fail_over(0);
    });
    track(&running, 1_000..2_000).await;
    all_delivered(&running, &target, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_chosen_by_sentinels_is_followed_when_they_choose_another() {
    let target = Target::start().await;
    let mut servers = tokio::task::block_in_place(RedisSentinels::start);
    let running = run(servers.url()).await;
    begin(&running, &target).await;
    track(&running, 0..500).await;
    all_delivered(&running, &target, 500).await;
    tokio::task::block_in_place(|| servers.fail_over());
    track(&running, 500..1_000).await;
    all_delivered(&running, &target, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_of_a_cluster_is_refused_with_the_url_to_write() {
    let cluster = tokio::task::block_in_place(RedisCluster::start);
    let output = std::process::Command::new(campanile_tests::binary::campanile())
        .args(["sender", "--listen-health", "127.0.0.1:0", "--store", &cluster.nodes[0].url()])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("redis+cluster://"), "{said}");
}
