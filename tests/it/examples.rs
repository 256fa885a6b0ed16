//! The recipes of `examples/recipes`, each run as it stands against a scripted far end. A new file needs a case in `cases`.

use std::collections::BTreeSet;

use campanile_proto::v1 as wire;
use campanile_tests::hand::root;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Received, Target};
use serde_json::{Value, json};

/// Who there is, what happens, and what must then come; in whatever order.
struct Case {
    file: &'static str,
    /// Names, and what they hold; `{target}` is the far end.
    secrets: &'static [(&'static str, &'static str)],
    users: Vec<(&'static str, Value)>,
    happens: Happens,
    expected: Vec<Expected>,
}

/// User, event, properties.
type Event = (&'static str, &'static str, Value);

enum Happens {
    /// The campaign is active.
    Nothing,
    /// User, event, properties.
    Events(Vec<(&'static str, &'static str, Value)>),
    /// User and new attributes, one write after the other.
    Changes(Vec<(&'static str, Value)>),
    /// The same in turns, each until so many sends were delivered.
    InTurn(Vec<(Vec<Event>, i64)>),
    /// User and values.
    Entry(&'static str, Value),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    method: &'static str,
    target: String,
    body: String,
}

fn expected(method: &'static str, target: &str, body: Value) -> Expected {
    Expected { method, target: target.to_owned(), body: body.to_string() }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            file: "slack-alert.yaml",
            secrets: &[("slack_orders", "{target}/services/T0/B0/x")],
            users: vec![("mary", json!({"name": "Mary"}))],
            happens: Happens::Events(vec![
                ("mary", "order_completed", json!({"total": 1250, "currency": "CHF"})),
                ("mary", "order_completed", json!({"total": 12})),
                ("bob", "order_completed", json!({"total": 1000.5})),
            ]),
            expected: vec![
                expected(
                    "POST",
                    "/services/T0/B0/x",
                    json!({"channel": "#sales", "text": "Mary ordered for 1250.00 CHF"}),
                ),
                expected(
                    "POST",
                    "/services/T0/B0/x",
                    json!({"channel": "#sales", "text": "bob ordered for 1000.50 EUR"}),
                ),
            ],
        },
        Case {
            file: "terms-change.yaml",
            secrets: &[],
            users: vec![
                ("ann", json!({"country": "DE", "email": "ann@example.com", "name": "Ann"})),
                ("ben", json!({"country": "AT", "email": "ben@example.com"})),
                ("cat", json!({"country": "CH", "email": "cat@example.com"})),
                ("dan", json!({"email": "dan@example.com"})),
            ],
            happens: Happens::Nothing,
            expected: vec![
                expected(
                    "POST",
                    "/v1/send",
                    json!({"to": "ann@example.com", "template": "terms-change", "name": "Ann"}),
                ),
                expected(
                    "POST",
                    "/v1/send",
                    json!({"to": "ben@example.com", "template": "terms-change", "name": ""}),
                ),
            ],
        },
        Case {
            file: "goodwill-credit.yaml",
            secrets: &[],
            users: vec![("mary", json!({}))],
            happens: Happens::Entry("mary", json!({"cents": 500})),
            expected: vec![Expected {
                method: "POST",
                target: "/credits".to_owned(),
                body: "customer=mary&cents=500".to_owned(),
            }],
        },
        Case {
            file: "message-read.yaml",
            secrets: &[],
            users: vec![("mary", json!({}))],
            happens: Happens::Events(vec![(
                "mary",
                "message_read",
                json!({"message_id": "m 1/2", "device": "phone"}),
            )]),
            expected: vec![expected(
                "PUT",
                "/messages/m%201%2F2/readers/mary",
                json!({"read_at": "{now}", "device": "phone"}),
            )],
        },
        Case {
            file: "crm-sync.yaml",
            secrets: &[("crm_key", "k-2")],
            users: vec![("mary", json!({"email": "m@example.com", "plan": "free", "age": 41}))],
            happens: Happens::Changes(vec![
                ("mary", json!({"plan": "pro"})),
                ("mary", json!({"age": 42})),
                ("mary", json!({"name": "Mary"})),
                ("mary", json!({"plan": "team"})),
                ("bob", json!({"plan": "team"})),
            ]),
            expected: vec![expected(
                "PUT",
                "/v2/contacts/mary",
                json!({"email": "m@example.com", "name": "Mary", "plan": "team"}),
            )],
        },
        Case {
            file: "task-digest.yaml",
            secrets: &[],
            users: vec![("mary", json!({"email": "m@example.com"}))],
            happens: Happens::Events(vec![
                ("mary", "task_finished", json!({"team": "ops", "task": "Backups", "by": "Tom"})),
                ("mary", "task_finished", json!({"team": "web", "task": "Search", "by": "Eve"})),
                ("mary", "task_finished", json!({"team": "ops", "task": "Alarms", "by": "Ann"})),
            ]),
            expected: [("ops", 2, "Backups by Tom. Alarms by Ann. "), ("web", 1, "Search by Eve. ")]
                .map(|(team, count, text)| {
                    let body = json!({"to": "m@example.com", "template": "task-digest", "team": team, "count": count, "text": text});
                    expected("POST", "/v1/send", body)
                })
                .to_vec(),
        },
        Case {
            file: "provider-email.yaml",
            secrets: &[("mail_key", "k-1")],
            users: vec![
                (
                    "mary",
                    json!({"email": "mary@example.com", "name": "Mary", "contact_email": "tom@us.example"}),
                ),
                ("bob", json!({"email": "bob@example.com"})),
            ],
            happens: Happens::Events(vec![
                ("mary", "plan_changed", json!({"to": "team", "seats": 5})),
                ("mary", "plan_changed", json!({"to": "free"})),
                ("bob", "plan_changed", json!({"to": "team", "seats": 2})),
            ]),
            expected: vec![expected(
                "POST",
                "/v3/mail/send",
                json!({
                    "from": {"email": "tom@us.example", "name": "Your contact"},
                    "to": [{"email": "mary@example.com", "name": "Mary"}],
                    "subject": "Welcome to the team plan, Mary",
                    "text": "You now have 5 seats.",
                }),
            )],
        },
        Case {
            file: "win-back.yaml",
            secrets: &[],
            users: vec![
                ("ann", json!({"email": "ann@example.com", "consent": true, "tier": "gold"})),
                ("ben", json!({"email": "ben@example.com", "consent": true})),
                ("cat", json!({"email": "cat@example.com"})),
            ],
            happens: Happens::Events(vec![
                ("ann", "app_opened", json!({})),
                ("ben", "app_opened", json!({})),
                ("cat", "app_opened", json!({})),
            ]),
            expected: vec![
                expected("POST", "/v1/send", json!({"to": "ann@example.com", "template": "hello"})),
                expected("POST", "/v1/send", json!({"to": "ann@example.com", "template": "last-call"})),
                expected("POST", "/v1/send", json!({"to": "ben@example.com", "template": "hello"})),
            ],
        },
        Case {
            file: "nps-survey.yaml",
            secrets: &[],
            users: vec![("mary", json!({"email": "mary@example.com"}))],
            happens: Happens::InTurn(vec![
                (vec![("mary", "parcel_delivered", json!({"order_id": "o-1"}))], 1),
                (vec![("mary", "survey_answered", json!({"order_id": "o-2"}))], 1),
                (vec![("mary", "survey_answered", json!({"order_id": "o-1"}))], 2),
            ]),
            expected: vec![
                expected(
                    "POST",
                    "/v1/send",
                    json!({"to": "mary@example.com", "template": "nps", "order": "o-1"}),
                ),
                expected(
                    "POST",
                    "/v1/send",
                    json!({"to": "mary@example.com", "template": "nps-thanks", "order": "o-1"}),
                ),
            ],
        },
    ]
}

/// Waits of days, as no test can sit through them.
const WAITS: [(&str, &str); 3] =
    [("delay: 30d", "delay: 1s"), ("{days: 7, at: \"10:00\"}", "1s"), ("{days: 3, at: \"10:00\"}", "1s")];

/// The file as it stands, but for its host, and for a time that lies ahead.
fn text(file: &str, target: &Target) -> String {
    let path = root().join("examples/recipes").join(file);
    let mut text = std::fs::read_to_string(path).expect(file);
    while let Some(at) = text.find("https://") {
        let host =
            text[at..].find(".example.com").expect("examples send to example.com") + ".example.com".len();
        text.replace_range(at..at + host, &target.url(""));
    }
    WAITS
        .iter()
        .fold(text.replace("\"2099-12-01T09:00\"", "now"), |text, (wait, none)| text.replace(wait, none))
}

/// What came, with instants that no test can know left out.
fn came(received: &Received) -> (String, String, String) {
    let mut body = received.body.clone();
    if let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(&body)
        && let Some(at) = object.get_mut("read_at")
    {
        assert!(at.as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()), "{at}");
        *at = "{now}".into();
        body = Value::Object(object).to_string();
    }
    (received.method.clone(), received.target.clone(), body)
}

async fn run(case: Case) {
    let (target, running) = (Target::start().await, Running::sqlite().await);
    for (name, value) in case.secrets {
        let request = wire::PutSecretRequest {
            name: (*name).to_owned(),
            values: vec![value.replace("{target}", &target.url(""))],
            hosts: vec!["127.0.0.1".to_owned()],
            ..Default::default()
        };
        running.api.secrets.clone().put_secret(request).await.expect("it is stored");
    }
    running.users(case.users.iter().map(|(id, user)| ((*id).to_owned(), user.to_string()))).await;
    running.activate(&text(case.file, &target)).await;
    let id = case.file.trim_end_matches(".yaml");
    match &case.happens {
        Happens::Nothing => {}
        Happens::Events(events) => {
            let events =
                events.iter().map(|(user, name, properties)| event(user, name, &properties.to_string()));
            running.track(events.collect()).await;
        }
        Happens::Changes(changes) => {
            for (user, attributes) in changes {
                running.users([((*user).to_owned(), attributes.to_string())]).await;
            }
        }
        Happens::InTurn(turns) => {
            for (events, delivered) in turns {
                let events =
                    events.iter().map(|(user, name, properties)| event(user, name, &properties.to_string()));
                running.track(events.collect()).await;
                running.stats_until(id, |stats| stats.delivered == *delivered).await;
            }
        }
        Happens::Entry(user, values) => drop(running.enter(id, &[(user, &values.to_string())]).await),
    }
    let received = target.wait_for(case.expected.len()).await;
    let stats = running
        .stats_until(id, |stats| stats.delivered == case.expected.len() as i64 && stats.pending == 0)
        .await;
    assert_eq!((stats.failed, stats.suppressed.len()), (0, 0), "{id}: {stats:?}");
    let mut came: Vec<_> = received.iter().map(came).collect();
    let mut expected: Vec<_> =
        case.expected.into_iter().map(|e| (e.method.to_owned(), e.target, e.body)).collect();
    came.sort();
    expected.sort();
    assert_eq!(came, expected, "{id}");
    match id {
        "goodwill-credit" => {
            assert_eq!(received[0].header("idempotency-key"), received[0].webhook_id());
            assert_eq!(received[0].header("content-type"), "application/x-www-form-urlencoded");
        }
        "provider-email" => assert_eq!(received[0].header("authorization"), "Bearer k-1"),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_sends_what_it_says() {
    let entries = std::fs::read_dir(root().join("examples/recipes")).expect("the recipes");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let files: BTreeSet<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    let tested: BTreeSet<String> = cases().iter().map(|case| case.file.to_owned()).collect();
    assert_eq!(files, tested, "every file has a case, and every case a file");
    let readme = std::fs::read_to_string(root().join("examples/recipes/README.md")).expect("the list");
    files.iter().for_each(|file| assert!(readme.contains(&format!("`{file}`")), "{file} is not in the list"));
    for case in cases() {
        run(case).await;
    }
}
