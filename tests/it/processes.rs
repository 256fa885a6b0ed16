//! Processes and faces: clean stops, settings, generic clients, the command line's exit codes.

use campanile_proto::v1::{StreamEventsRequest, WatchSendsRequest};
use campanile_tests::binary::{Process, campanile, command};
use campanile_tests::running::Running;
use campanile_tests::running::event;
use campanile_tests::target::{Reply, Target};
use std::process::Command;
use std::time::Duration;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let target = Target::scripted(|_, _| Reply { delay: Duration::from_secs(2), ..Reply::status(200) }).await;
    let mut running = Running::sqlite().await;
    running
        .activate(&format!(
            "id: slow\ndelivery: {{triggered: seen}}\nwebhook: {{url: \"{}\", data: {{a: b}}}}\n",
            target.url("/slow")
        ))
        .await;
    running.track(vec![event("mary", "seen", "{}")]).await;
    target.wait_for(1).await;
    // The far end has the request and has not answered.
    let process = running.processes.remove(0);
    assert_eq!(process.terminate().await, Some(0));
    let process = Process::start("serve", &running.store, &["--dev"]);
    running.api = process.api().await;
    running.processes.push(process);
    let stats = running.stats("slow").await;
    assert_eq!((stats.delivered, stats.pending), (1, 0), "it was settled before the end");
    assert_eq!(target.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_caller_keeps_open_does_not_hold_up_the_end() {
    let mut running = Running::sqlite().await;
    let (parts, streamed) = tokio::sync::mpsc::channel(1);
    let request = tokio_stream::wrappers::ReceiverStream::new(streamed);
    let events = vec![event("mary", "seen", "{}")];
    parts.send(StreamEventsRequest { events, ..Default::default() }).await.expect("it is taken");
    let mut answers = running.api.events.clone().stream_events(request).await.expect("a stream").into_inner();
    assert_eq!(answers.message().await.expect("an answer").expect("one").accepted, 1);
    let watched = running.api.sends.clone().watch_sends(WatchSendsRequest::default()).await.expect("a watch");
    let process = running.processes.remove(0);
    assert_eq!(process.terminate().await, Some(0));
    let told = answers.message().await.expect_err("the stream is ended");
    assert!(told.message().contains("stopping"), "{told:?}");
    drop((parts, watched));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_kill_9_of_an_embedded_server() {
    let target = Target::start().await;
    let mut running = Running::sqlite().await;
    running
        .activate(&format!(
            "id: seen\ndelivery: {{triggered: {{when: seen, delay: 1s}}}}\nwebhook: {{url: \"{}\", data: {{u: \"{{{{ user_id }}}}\"}}}}\n",
            target.url("/seen")
        ))
        .await;
    let events = (0..200).map(|i| event(&format!("u{i}"), "seen", "{}")).collect();
    running.track(events).await;
    running.processes[0].kill();
    let process = Process::start("serve", &running.store, &["--dev"]);
    running.api = process.api().await;
    running.processes.push(process);
    let stats = running.stats_until("seen", |stats| stats.finished == 200).await;
    assert_eq!((stats.entered, stats.delivered), (200, 200));
    let mut bodies: Vec<String> = target.received().into_iter().map(|r| r.body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_file_is_told_so() {
    let running = Running::sqlite().await;
    let second = Command::new(campanile())
        .args([
            "serve",
            "--store",
            &running.store,
            "--listen-grpc",
            "127.0.0.1:0",
            "--listen-console",
            "127.0.0.1:0",
        ])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("in use by another campanile process"), "{said}");
    let apart =
        Command::new(campanile()).args(["sender", "--store", &running.store]).output().expect("it runs");
    let said = String::from_utf8_lossy(&apart.stderr).into_owned();
    assert!(!apart.status.success() && said.contains("--store redis://"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generic_clients_need_no_proto_files() {
    let running = Running::sqlite().await;
    let channel =
        Endpoint::from_shared(running.processes[0].grpc.clone()).expect("a URL").connect().await.expect("up");
    let ask = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([ask])).await.expect("it answers").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one").message_response;
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in
        ["CampaignService", "UserService", "EventService", "SendService", "SecretService", "SegmentService"]
    {
        assert!(names.contains(&format!("campanile.v1.{service}")), "{names:?}");
    }
    let ask = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "campanile.v1.Campaign".to_owned(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([ask])).await.expect("it answers").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one").message_response;
    assert!(
        matches!(
            answer,
            Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_))
        ),
        "{answer:?}"
    );
    let health = HealthCheckRequest { service: "campanile.v1.CampaignService".to_owned() };
    let status = HealthClient::new(channel).check(health).await.expect("it answers").into_inner().status();
    assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_scripts_what_happened() {
    let mut running = Running::sqlite().await;
    let check = |process: &Process, arguments: &[&str], code: i32, said: &str| {
        let output = command(process, arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    };
    let file = running.folder.path().join("bad.yaml");
    std::fs::write(&file, "id: x\ndelivery: {triggered: seen}\nwebhook:\n  url: https://example.com\n  data: {a: \"{{ usr.x }}\"}\n")
        .expect("written");
    let file = file.display().to_string();
    let people = running.folder.path().join("people.csv");
    std::fs::write(&people, "id,age:int\nmary,41\nbob,old\n").expect("written");
    let people = people.display().to_string();
    {
        let process = &running.processes[0];
        check(process, &["campaign", "list"], 0, "CAMPAIGN");
        check(process, &["campaign", "show", "nothing"], 1, "nothing");
        check(process, &["campaign", "apply", "-f", &file], 2, "usr");
        check(process, &["users", "import", &people], 1, ":3");
        check(process, &["users", "show", "mary"], 0, "41");
        check(process, &["no-such-command"], 2, "no-such-command");
    }
    running.processes[0].kill();
    check(&running.processes[0], &["campaign", "list"], 3, "campanile serve");
}

#[test]
fn settings_are_checked_by_name_and_the_manual_is_the_default() {
    let run = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut command = Command::new(campanile());
        command.args(arguments).envs(variable);
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, manual) = run(&["config"], None);
    assert!(code == Some(0) && manual.contains("[sender]") && manual.contains("slots = 256"), "{manual}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("campanile.toml");
    std::fs::write(&path, &manual).expect("written");
    let file = path.display().to_string();
    assert_eq!(
        run(&["config", "--check", "--config", &file], None).0,
        Some(0),
        "the printed file is a valid one"
    );
    let (code, said) = run(&["config", "--check"], Some(("CAMPANILE_SENDER__SLOTZ", "7")));
    assert!(code == Some(2) && said.contains("CAMPANILE_SENDER__SLOTZ") && said.contains("slotz"), "{said}");
    let (code, said) = run(&["serve", "--dev", "--listen-console", "0.0.0.0:0"], None);
    assert!(code == Some(2) && said.contains("loopback"), "{said}");
}

#[test]
fn next_prints_instants_and_needs_no_server() {
    let run = |arguments: &[&str]| {
        let output = Command::new(campanile()).arg("next").args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = run(&[
        "30 2 * * *",
        "--zone",
        "Europe/Berlin",
        "--from",
        "2026-03-28T00:00:00+01:00",
        "--count",
        "3",
    ]);
    let expected = "2026-03-28T02:30:00+01:00\n2026-03-29T03:00:00+02:00\n2026-03-30T02:30:00+02:00\n";
    assert_eq!((code, said.as_str()), (Some(0), expected));
    let (code, said) = run(&["0 0 30 2 *"]);
    assert!(code == Some(2) && !said.is_empty(), "{said}");
}
