//! A user who is erased: looked for in every key and every row of the store, and in every answer.

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};
use redis::Commands;
use rusqlite::types::ValueRef;
use tonic::Code;

crate::on_both_stores!(an_erased_user_is_in_no_key_and_no_row_and_is_sent_nothing_more,);

const ID: &str = "mary-who-asked-to-be-forgotten";
const SECRET: &str = "what-only-mary-told";

fn files(target: &Target) -> String {
    let campaign = |id: &str, rest: &str| {
        format!(
            "id: {id}\n{rest}\nwebhook: {{url: \"{}\", data: {{told: \"{{{{ user.told }}}}\", more: \"{{{{ properties.told | default('') }}}}\"}}}}\n",
            target.url(&format!("/{id}"))
        )
    };
    [
        campaign("works", "delivery: {triggered: asked}"),
        campaign("fails", "delivery: {triggered: asked}"),
        campaign("waits", "delivery: {triggered: {when: asked, delay: 2s, if_pending: restart}}"),
        campaign("refuses", "audience: user.told == \"something else\"\ndelivery: {triggered: asked}"),
        campaign("by-hand", "delivery: {manual: {}}"),
        several(target),
    ]
    .join("---\n")
}

/// Its second message is waiting when the user is erased.
fn several(target: &Target) -> String {
    let action = |name: &str, delay: &str| {
        let url = target.url(&format!("/several-{name}"));
        format!(
            "  - {{name: {name}, {delay}webhook: {{url: \"{url}\", data: {{told: \"{{{{ properties.told | default('') }}}}\"}}}}}}\n"
        )
    };
    let actions = [action("one", ""), action("two", "delay: 2s, ")].concat();
    format!("id: several\ndelivery: {{triggered: asked}}\nactions:\n{actions}")
}

async fn an_erased_user_is_in_no_key_and_no_row_and_is_sent_nothing_more(running: Running) {
    let target = Target::scripted(|request, _| {
        Reply::status(if request.target.contains("fails") { 404 } else { 204 })
    })
    .await;
    let list = wire::PutUserListRequest {
        name: "guests".to_owned(),
        user_ids: [ID, "ben"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    running.api.segments.clone().put_user_list(tokio_stream::iter([list])).await.expect("it is put");
    running.activate(&files(&target)).await;
    let attributes = |told: &str| format!("{{\"told\": \"{told}\"}}");
    running.users([(ID.to_owned(), attributes(SECRET)), ("ben".to_owned(), attributes("nothing"))]).await;
    let properties = attributes(SECRET);
    running.track(vec![event(ID, "asked", &properties), event("ben", "asked", "{}")]).await;
    running.enter("by-hand", &[(ID, ""), ("ben", "")]).await;
    running.stats_until("works", |stats| stats.delivered == 2).await;
    running.stats_until("fails", |stats| stats.failed == 2).await;
    running.stats_until("by-hand", |stats| stats.delivered == 2).await;
    running.stats_until("waits", |stats| stats.pending == 2).await;
    running.stats_until("several", |stats| stats.delivered == 2 && stats.pending == 2).await;
    running.stats_until("refuses", |stats| stats.refused.iter().map(|row| row.count).sum::<i64>() == 2).await;
    assert!(!found(&running, ID).is_empty() && !found(&running, SECRET).is_empty(), "it is there before");

    let mut api = running.api.users.clone();
    let request = |validate_only| wire::DeleteUserRequest {
        id: ID.to_owned(),
        validate_only,
        request_id: "forget".to_owned(),
    };
    let would = api.delete_user(request(true)).await.expect("it is only looked at").into_inner();
    assert!(would.log_rows >= 3 && would.lists == ["guests"], "{would:?}");
    assert!(!found(&running, ID).is_empty(), "nothing was erased");
    let done = api.delete_user(request(false)).await.expect("it is erased").into_inner();
    let again = api.delete_user(request(false)).await.expect("the same answer again").into_inner();
    assert_eq!(done, again);
    for text in [ID, SECRET] {
        assert_eq!(found(&running, text), Vec::<String>::new(), "{text}");
    }
    assert!(!found(&running, "ben").is_empty(), "another user stays");
    let request = wire::GetUserListRequest { name: "guests".to_owned(), ..Default::default() };
    let list = running.api.segments.clone().get_user_list(request).await.expect("it is there").into_inner();
    assert_eq!(list.user_ids, ["ben"]);

    let get = wire::GetUserRequest { id: ID.to_owned() };
    assert_eq!(api.get_user(get).await.expect_err("it is gone").code(), Code::NotFound);
    let other = wire::DeleteUserRequest { id: ID.to_owned(), ..Default::default() };
    assert_eq!(api.delete_user(other).await.expect_err("it is gone").code(), Code::NotFound);
    // What was planned for it ends unsent, the other user's is sent.
    let stats = running.stats_until("waits", |stats| stats.finished == 2).await;
    let suppressed: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!((stats.delivered, suppressed), (1, vec![(wire::SuppressionReason::UserDeleted, 1)]));
    let stats = running.stats_until("several", |stats| stats.finished == 2).await;
    let suppressed: Vec<_> = stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!((stats.delivered, suppressed), (3, vec![(wire::SuppressionReason::UserDeleted, 1)]));
    let ends: Vec<_> = stats.entry_ends.iter().map(|row| (row.end(), row.count)).collect();
    assert_eq!(ends, [(wire::EntryEnd::Completed, 1), (wire::EntryEnd::CampaignEnded, 1)]);
    for id in ["works", "fails", "waits", "by-hand", "several"] {
        for send in running.sends(id).await {
            assert!(send.user_id == "ben" || (send.user_id.is_empty() && send.detail.is_empty()), "{send:?}");
        }
    }
    let waiting = target.received().iter().filter(|request| request.target.contains("waits")).count();
    assert_eq!(waiting, 1);
    for text in [ID, SECRET] {
        assert_eq!(found(&running, text), Vec::<String>::new(), "{text}, after its sends have ended");
    }
}

/// Where a text stands in the store.
fn found(running: &Running, text: &str) -> Vec<String> {
    match &running.redis {
        Some(redis) => in_redis(&mut redis.connection(), text),
        None => in_sqlite(running.store.trim_start_matches("sqlite:"), text),
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn in_redis(redis: &mut redis::Connection, text: &str) -> Vec<String> {
    let keys: Vec<Vec<u8>> = redis.keys("*").expect("an answer");
    let mut found = Vec::new();
    for key in keys {
        let kind: String = redis.key_type(&key).expect("an answer");
        let values: Vec<Vec<u8>> = match kind.as_str() {
            "string" => vec![redis.get(&key).expect("a string")],
            "hash" => {
                let fields: Vec<(Vec<u8>, Vec<u8>)> = redis.hgetall(&key).expect("a hash");
                fields.into_iter().flat_map(|(field, value)| [field, value]).collect()
            }
            "list" => redis.lrange(&key, 0, -1).expect("a list"),
            "set" => redis.smembers(&key).expect("a set"),
            "zset" => redis.zrange(&key, 0, -1).expect("a sorted set"),
            "stream" => {
                let mut all = redis::cmd("XRANGE");
                let mut bytes = Vec::new();
                collect(all.arg(&key).arg("-").arg("+").query(redis).expect("a stream"), &mut bytes);
                bytes
            }
            other => panic!("a key of type {other}"),
        };
        if holds(&key, text) || values.iter().any(|value| holds(value, text)) {
            found.push(String::from_utf8_lossy(&key).into_owned());
        }
    }
    found
}

/// Every text in an answer, however nested.
fn collect(value: redis::Value, bytes: &mut Vec<Vec<u8>>) {
    match value {
        redis::Value::BulkString(text) => bytes.push(text),
        redis::Value::Array(values) => values.into_iter().for_each(|value| collect(value, bytes)),
        _ => {}
    }
}

fn in_sqlite(path: &str, text: &str) -> Vec<String> {
    let file = rusqlite::Connection::open(path).expect("the file");
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = file.prepare(names).expect("a statement");
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).expect("rows").map(|name| name.expect("a name")).collect();
    let mut found = Vec::new();
    for table in tables {
        let mut statement = file.prepare(&format!("SELECT * FROM {table}")).expect("a statement");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..columns {
                let is_there = match row.get_ref(column).expect("a value") {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => holds(bytes, text),
                    ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
                };
                if is_there && !found.contains(&table) {
                    found.push(table.clone());
                }
            }
        }
    }
    found
}
