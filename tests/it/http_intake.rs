//! The HTTP intake: what Segment's libraries send, byte by byte over a socket, with the answers they look at.

use campanile_proto::v1 as wire;
use campanile_tests::running::Running;
use campanile_tests::target::Target;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

crate::on_both_stores!(
    segment_calls_become_users_and_events,
    an_import_counts_and_fires_nothing,
    a_batch_names_its_bad_items_and_takes_the_good_ones,
    users_enter_over_http,
);

/// Status and JSON of the answer.
async fn post(running: &Running, path: &str, headers: &str, body: &[u8]) -> (u16, Value) {
    let address = running.processes[0].intake.replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Basic a2V5Og==\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.write_all(body).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}")))
}

async fn say(running: &Running, path: &str, body: Value) -> (u16, Value) {
    post(running, path, "", body.to_string().as_bytes()).await
}

fn seen(target: &Target) -> String {
    format!(
        "id: seen\ndelivery: {{triggered: \"Order Completed\"}}\nwebhook: {{url: \"{}\", data: {{plan: \"{{{{ user.plan }}}}\", total: \"{{{{ event.value }}}}\"}}}}\n",
        target.url("/seen")
    )
}

async fn segment_calls_become_users_and_events(running: Running) {
    let target = Target::start().await;
    running.activate(&seen(&target)).await;
    let identify =
        json!({"userId": "mary", "traits": {"plan": "pro"}, "context": {"timezone": "Europe/Berlin"}});
    assert_eq!(say(&running, "/v1/identify", identify).await, (200, json!({"success": true})));
    let track = json!({"userId": "mary", "event": "Order Completed", "messageId": "m-1", "properties": {"revenue": 12.5}});
    assert_eq!(say(&running, "/v1/track", track.clone()).await.0, 200);
    assert_eq!(say(&running, "/v1/track", track).await.0, 200, "a library's own retry");
    assert_eq!(say(&running, "/v1/page", json!({"userId": "mary", "name": "Home"})).await.0, 200);
    let received = target.wait_for(1).await;
    assert_eq!(received[0].body, r#"{"plan":"pro","total":12.5}"#);
    let user = wire::GetUserRequest { id: "mary".to_owned() };
    let user = running.api.users.clone().get_user(user).await.expect("she is there").into_inner().user;
    assert_eq!(user.expect("a user").time_zone, "Europe/Berlin");
    running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!(target.received().len(), 1, "the same messageId is one event");
}

async fn an_import_counts_and_fires_nothing(running: Running) {
    let target = Target::start().await;
    running.activate(&seen(&target)).await;
    let track =
        |id: &str| json!({"type": "track", "userId": "mary", "event": "Order Completed", "messageId": id});
    let import = json!({"batch": [track("m-1"), track("m-2"), {"type": "identify", "userId": "mary", "traits": {"plan": "pro"}}]});
    assert_eq!(say(&running, "/v1/import", import).await.0, 200);
    let fired = json!({"userId": "mary", "event": "Order Completed", "properties": {"value": 3}});
    assert_eq!(say(&running, "/v1/track", fired).await.0, 200);
    let stats = running.stats_until("seen", |stats| stats.finished == 1).await;
    assert_eq!((stats.triggered, stats.delivered), (1, 1));
    let user = wire::GetUserRequest { id: "mary".to_owned() };
    let user = running.api.users.clone().get_user(user).await.expect("she is there").into_inner().user;
    assert_eq!(user.expect("a user").behaviour[0].count, 3);
}

async fn a_batch_names_its_bad_items_and_takes_the_good_ones(running: Running) {
    let batch = json!({"batch": [
        {"type": "track", "userId": "ann", "event": "seen"},
        {"type": "track", "anonymousId": "x", "event": "seen"},
        {"type": "track", "userId": "ann", "event": "seen", "properties": {"big": "x".repeat(70_000)}},
        {"type": "identify", "userId": "ann", "traits": {"a": 1}},
        {"type": "shout"},
    ], "sentAt": "2026-11-24T08:00:00.000Z"});
    let (status, answer) = say(&running, "/v1/batch", batch.clone()).await;
    let items: Vec<i64> = answer["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["item"].as_i64().expect("an item"))
        .collect();
    assert_eq!((status, answer["accepted"].as_i64()), (200, Some(2)), "{answer}");
    let mut sorted = items.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 4], "{answer}");
    // The same, gzipped as a library would.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, batch.to_string().as_bytes()).expect("in memory");
    let gzipped = gzip.finish().expect("in memory");
    let (status, again) = post(&running, "/v1/batch", "content-encoding: gzip\r\n", &gzipped).await;
    assert_eq!((status, again["accepted"].as_i64()), (200, Some(2)), "{again}");
    for (path, headers, body) in [
        ("/v1/batch", "", "{".as_bytes()),
        ("/v1/batch", "", br#"{"items": []}"#),
        ("/v1/track", "", br#"{"userId": "ann"}"#),
        ("/v1/track", "content-encoding: gzip\r\n", b"not gzip"),
        ("/v1/track", "content-encoding: br\r\n", b"x"),
    ] {
        let (status, answer) = post(&running, path, headers, body).await;
        assert!(status == 400 && answer["errors"][0]["text"].is_string(), "{path} {answer}");
    }
    // Sixteen MiB of zeros are a few KiB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut bomb, &vec![b' '; 16 * 1024 * 1024]).expect("in memory");
    let (status, answer) =
        post(&running, "/v1/batch", "content-encoding: gzip\r\n", &bomb.finish().expect("in memory")).await;
    assert!(
        status == 400 && answer["errors"][0]["text"].as_str().is_some_and(|text| text.contains("4 MiB")),
        "{answer}"
    );
}

async fn users_enter_over_http(running: Running) {
    let target = Target::start().await;
    running
        .activate(&format!(
            "id: credit\nrequires_values: [cents]\ndelivery: {{manual: {{}}}}\nwebhook: {{url: \"{}\", data: {{cents: \"{{{{ values.cents }}}}\"}}}}\n",
            target.url("/credit")
        ))
        .await;
    let users = json!({"users": [{"userId": "ann", "values": "{\"cents\": 5}"}, {"userId": "bob"}], "createMissing": true, "requestId": "r-1"});
    let (status, answer) = say(&running, "/v1/campaigns/credit:enter", users.clone()).await;
    assert_eq!((status, answer["entered"].as_str()), (200, Some("1")), "{answer}");
    assert_eq!(answer["users"][1]["refusal"], "REFUSAL_REASON_MISSING_VALUES");
    assert_eq!(say(&running, "/v1/campaigns/credit:enter", users).await.1, answer, "the same request again");
    assert_eq!(target.wait_for(1).await[0].body, r#"{"cents":5}"#);
    let unknown = json!({"users": [{"userId": "ann"}]});
    assert_eq!(say(&running, "/v1/campaigns/nothing:enter", unknown.clone()).await.0, 404);
    assert_eq!(say(&running, "/v1/campaigns/credit:leave", unknown).await.0, 404);
    let (status, answer) = say(&running, "/v1/campaigns/credit:enter", json!({"users": [], "usrs": 1})).await;
    assert!(
        status == 400 && answer["errors"][0]["text"].as_str().is_some_and(|text| text.contains("usrs")),
        "{answer}"
    );
}
