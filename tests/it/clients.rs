//! Foreign client libraries, unchanged: users and events arrive, webhooks go out; and generic gRPC clients in other languages.

use std::process::Output;

use campanile_proto::v1 as wire;
use campanile_tests::clients;
use campanile_tests::running::Running;
use campanile_tests::target::Target;

fn succeeded(name: &str, output: &Output) {
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("next: campanile "), "{name}: {said}");
}

/// The library is pointed at the intake by its host option alone.
async fn a_library_feeds_campanile(client: &str) {
    let (target, running) = (Target::start().await, Running::sqlite().await);
    let first = include_str!("../../examples/first.yaml").replace("http://127.0.0.1:9000", &target.url(""));
    running.activate(&first).await;
    let intake = running.processes[0].intake.clone();
    let name = client.to_owned();
    let output = tokio::task::spawn_blocking(move || clients::run(&name, &[&intake])).await.expect("it ran");
    succeeded(client, &output);
    let received = target.wait_for(1).await;
    assert_eq!(received[0].body, r#"{"name":"Mary","email":"mary@example.com","total":600}"#, "{client}");
    let user = wire::GetUserRequest { id: "mary".to_owned() };
    let user = running.api.users.clone().get_user(user).await.expect("she is there").into_inner().user;
    let user = user.expect("a user");
    assert_eq!((user.behaviour.len(), user.behaviour[0].count), (1, 1), "{client}: {user:?}");
    let stats = running.stats_until("first", |stats| stats.delivered == 1).await;
    assert_eq!(stats.entered, 1, "{client}");
}

#[tokio::test(flavor = "multi_thread")]
async fn segment_s_python_library_feeds_campanile_unchanged() {
    a_library_feeds_campanile("segment_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segment_s_node_library_feeds_campanile_unchanged() {
    a_library_feeds_campanile("segment_client.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rudderstack_s_node_library_feeds_campanile_unchanged() {
    a_library_feeds_campanile("rudderstack_client.mjs").await;
}

/// The client creates and activates a campaign and tells of an event that sets it off.
async fn a_grpc_client_makes_a_campaign(client: &str, id: &str) {
    let (target, running) = (Target::start().await, Running::sqlite().await);
    let server = running.processes[0].grpc.replace("http://", "");
    let (name, url) = (client.to_owned(), target.url("/bought"));
    let output =
        tokio::task::spawn_blocking(move || clients::run(&name, &[&server, &url])).await.expect("it ran");
    succeeded(client, &output);
    let received = target.wait_for(1).await;
    assert_eq!((received[0].target.as_str(), received[0].body.as_str()), ("/bought", r#"{"total":600}"#));
    assert_eq!(received[0].header("campanile-campaign"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_needs_no_generated_code() {
    a_grpc_client_makes_a_campaign("grpc_client.py", "from-python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_client_needs_the_protos_only() {
    a_grpc_client_makes_a_campaign("grpc_client.mjs", "from-node").await;
}
