//! Health and metrics over HTTP, and processes that were started before their store.

use std::path::Path;
use std::time::Duration;

use campanile_tests::binary::Process;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Target};
use campanile_tests::until::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

crate::on_both_stores!(metrics_tell_what_was_done);

/// Status and body.
async fn get(process: &Process, path: &str) -> (u16, String) {
    let address = process.health.replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

async fn metrics_tell_what_was_done(running: Running) {
    let target = Target::start().await;
    let campaign = format!(
        "id: seen\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{}\", data: {{a: \"{{{{ user.a }}}}\"}}}}\n",
        target.url("/seen")
    );
    running.activate(&campaign).await;
    running.users([("mary".to_owned(), r#"{"a": 1}"#.to_owned())]).await;
    running.track(vec![event("mary", "seen", "{}"), event("bob", "seen", "{}")]).await;
    running.stats_until("seen", |stats| stats.delivered == 1 && stats.pending == 0).await;
    let address = target.url("");
    let wanted = [
        "campanile_events_accepted_total 2".to_owned(),
        "campanile_events_decided_total 2".to_owned(),
        "campanile_entries_total 2".to_owned(),
        format!(
            "campanile_attempts_total{{outcome=\"2xx\",destination=\"{}\"}} 1",
            address.trim_end_matches('/')
        ),
        "campanile_attempt_seconds_count 1".to_owned(),
        "campanile_lateness_seconds_count 1".to_owned(),
        "campanile_connections_total{from=\"dial\"} 1".to_owned(),
        "campanile_sends_settled_total{ended=\"delivered\",reason=\"\"} 1".to_owned(),
        "campanile_sends_settled_total{ended=\"suppressed\",reason=\"template_missing_value\"} 1".to_owned(),
        "campanile_store_up 1".to_owned(),
        "campanile_store_ping_seconds_count".to_owned(),
        "campanile_store_call_seconds_count{call=".to_owned(),
    ];
    // A process counts a moment after the store has.
    let told = until(DEADLINE, async || {
        let mut told = String::new();
        for process in &running.processes {
            told.push_str(&get(process, "/metrics").await.1);
        }
        wanted.iter().all(|line| told.contains(line)).then_some(told)
    });
    if told.await.is_none() {
        let mut told = String::new();
        for process in &running.processes {
            told.push_str(&get(process, "/metrics").await.1);
        }
        let missing: Vec<&String> = wanted.iter().filter(|line| !told.contains(*line)).collect();
        panic!("missing {missing:?} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_told_is_in_the_docs() {
    let target = Target::start().await;
    let running = Running::sqlite().await;
    running
        .activate(&format!(
            "id: a\ndelivery: {{triggered: a}}\nwebhook: {{url: \"{}\", data: {{b: c}}}}\n",
            target.url("/")
        ))
        .await;
    running.track(vec![event("mary", "a", "{}")]).await;
    target.wait_for(1).await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let docs = std::fs::read_to_string(docs).expect("the page");
    let (_, told) = get(&running.processes[0], "/metrics").await;
    let names: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    assert!(names.len() > 5, "{told}");
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "docs/operating.md does not have {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_can_work_is_ready() {
    let running = Running::sqlite().await;
    let process = &running.processes[0];
    assert_eq!(get(process, "/healthz").await, (200, "alive\n".to_owned()));
    let ready = until(DEADLINE, async || {
        (get(process, "/readyz").await == (200, "ready\n".to_owned())).then_some(())
    });
    assert_eq!(ready.await, Some(()));
    assert_eq!(get(process, "/").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_started_before_their_redis_wait_for_it_and_say_so() {
    let target = Target::start().await;
    let mut redis = RedisServer::start_with(&[("appendonly", "yes")]);
    redis.stop();
    let workers = ["scheduler", "sender"].map(|role| Process::start(role, &redis.url(), &["--dev"]));
    let mut control = Process::start_waiting("control", &redis.url(), &["--dev"]);
    for process in workers.iter().chain([&control]) {
        let waits = until(DEADLINE, async || {
            let (status, text) = get(process, "/readyz").await;
            let address = redis.url().replace("redis://", "").replace('/', "");
            (status == 503 && text.contains(&format!("connect to {address}"))).then_some(())
        });
        assert_eq!(waits.await, Some(()), "{:?}", get(process, "/readyz").await);
        assert_eq!(get(process, "/healthz").await.0, 200);
    }
    redis.start_again();
    control.listening();
    let running = Running {
        api: control.api().await,
        store: redis.url(),
        processes: vec![control],
        redis: Some(redis),
        folder: tempfile::tempdir().unwrap(),
    };
    running
        .activate(&format!(
            "id: a\ndelivery: {{triggered: a}}\nwebhook: {{url: \"{}\", data: {{b: c}}}}\n",
            target.url("/")
        ))
        .await;
    running.track(vec![event("mary", "a", "{}")]).await;
    assert_eq!(target.wait_for(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_store_away_and_back() {
    let mut running = Running::redis().await;
    let channel = Endpoint::from_shared(running.processes[0].grpc.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let mut says = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        match health.check(request).await {
            Ok(answer) => answer.into_inner().status(),
            Err(status) => panic!("{status}"),
        }
    };
    for (is_there, status) in
        [(true, ServingStatus::Serving), (false, ServingStatus::NotServing), (true, ServingStatus::Serving)]
    {
        let redis = running.redis.as_mut().expect("a redis");
        if is_there {
            redis.start_again()
        } else {
            redis.stop()
        }
        for service in ["", "campanile.v1.CampaignService", "campanile.v1.EventService"] {
            let told = until(DEADLINE, async || (says(service).await == status).then_some(())).await;
            assert_eq!(told, Some(()), "{service} should be {status:?}");
        }
        for process in &running.processes {
            let wanted = if is_there { 200 } else { 503 };
            let told =
                until(DEADLINE, async || (get(process, "/readyz").await.0 == wanted).then_some(())).await;
            assert_eq!(told, Some(()), "{:?}", get(process, "/readyz").await);
        }
    }
    let unknown = HealthClient::new(
        Endpoint::from_shared(running.processes[0].grpc.clone()).unwrap().connect().await.unwrap(),
    )
    .check(HealthCheckRequest { service: "nobody".to_owned() })
    .await;
    assert_eq!(unknown.expect_err("it is unknown").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_health_port_is_taken_works_without() {
    let redis = RedisServer::start();
    let first = Process::start("sender", &redis.url(), &["--dev"]);
    let taken = first.health.replace("http://", "");
    let second = Process::start("sender", &redis.url(), &["--dev", "--listen-health", &taken]);
    assert_eq!(second.health, "");
    assert_eq!(second.terminate().await, Some(0));
    tokio::time::timeout(Duration::from_secs(5), get(&first, "/healthz"))
        .await
        .expect("the first is still there");
}
