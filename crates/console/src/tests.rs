//! The pages over a real listener and a real store.

use std::sync::Arc;

use campanile_core::campaign_record::{CampaignRecord, Schedule, State};
use campanile_core::counter::{Count, Counter};
use campanile_core::draft::{Audience, Delivery, Draft, Kind};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip, user_hash};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::manual_clock::ManualClock;
use campanile_core::number::{CampaignNo, DestinationNo, Shard};
use campanile_core::ports::{Add, NewEntry, RefusedRow, Settle, Settlement, Store, StoredUser};
use campanile_core::reason::{Refusal, Suppression};
use campanile_sqlite::store::SqliteStore;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::serve;

const HOSTILE: &str = "<script>alert('x')</script>\"&\u{1f600}";
const SHARD: Shard = Shard(0);

struct Console {
    address: std::net::SocketAddr,
    send_id: String,
    _stop: DropGuard,
}

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

impl Console {
    /// A campaign with a suppressed send, a refusal and a hostile user, served.
    async fn start() -> Console {
        let clock = Arc::new(ManualClock::at(now()));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_in_memory(clock, [5; 19]).unwrap());
        let send_id = fill(store.as_ref()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(store, listener, stop.clone()));
        Console { address, send_id, _stop: stop.drop_guard() }
    }

    /// Status line with headers, and the page.
    async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn check(&self, path: &str, status: &str, said: &[&str]) {
        let (head, body) = self.get(path).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
        for text in said {
            assert!(body.contains(text), "{path} does not say {text:?}:\n{body}");
        }
        assert!(!body.contains("<script"), "{path}: nothing of a user is markup");
        assert!(head.contains("default-src 'none'") && head.contains("nosniff"), "{head}");
    }
}

async fn fill(store: &dyn Store) -> String {
    let record = store.create(record()).await.unwrap().unwrap();
    store.set_control(SHARD, record.no, record.control_word().unwrap()).await.unwrap();
    let mut user: StoredUser =
        store.open_users(SHARD, &[HOSTILE.to_owned()], Some(now())).await.unwrap().remove(0).unwrap();
    user.profile.attributes.insert("note".to_owned(), HOSTILE.into());
    store.save_users(SHARD, &[user.clone()]).await.unwrap();
    let send = DueSend {
        pinned: false,
        has_data: false,
        has_request: false,
        skip: Skip::default(),
        kind: EntryKind::Request,
        user: user.no,
        key: 7,
        action: 0,
        due_at: now(),
        revision: 1,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    };
    let lane = Lane { campaign: record.no, destination: DestinationNo(0), class: Class::First };
    let counts = [
        Counter::Entered,
        Counter::Open,
        Counter::Planned(0),
        Counter::Pending(0),
        Counter::Refused(Refusal::ConditionFalse),
    ];
    let refused = RefusedRow {
        campaign: record.no,
        at: now(),
        user_id: HOSTILE.to_owned(),
        reason: Refusal::ConditionFalse,
        cause: "e-1".to_owned(),
        text: format!("properties.x was false: properties.x is {HOSTILE}"),
    };
    let add = Add {
        request: [1; 16],
        body: [1; 16],
        entries: vec![NewEntry { due: DueEntry { at: now(), lane, send }, data: None }],
        counts: counts.map(|counter| Count { campaign: record.no, counter, by: 1 }).to_vec(),
        refused: vec![refused],
        answer: Vec::new(),
    };
    store.add(SHARD, &add).await.unwrap();
    let lease = store.claim(SHARD, 1).await.unwrap().jobs.remove(0).lease;
    let row = LogRow {
        ended: Ended::Suppressed(Suppression::TemplateMissingValue),
        campaign: record.no,
        user: user.no,
        user_hash: user_hash(store.layout(), HOSTILE),
        key: 7,
        action: 0,
        due_at: now(),
        at: now(),
        revision: 1,
        attempts: 0,
        status: 0,
        took_ms: 0,
        text: "user.first_name is missing".to_owned(),
    };
    let id = row.send_id(store.layout(), SHARD).to_string();
    let settle = Settle::Suppressed(Suppression::TemplateMissingValue);
    store
        .settle(SHARD, &[Settlement { lease, settle, attempted: false, variant: None, row: Some(row) }])
        .await
        .unwrap();
    id
}

fn record() -> CampaignRecord {
    CampaignRecord {
        no: CampaignNo(0),
        id: "first".to_owned(),
        state: State::Active,
        revision: 1,
        apply_revision: 0,
        epoch: 1,
        version: 0,
        created_at: now(),
        updated_at: now(),
        schedule: Schedule::default(),
        dropped_until: None,
        history: false,
        transitions: Vec::new(),
        last_request: None,
        draft: Draft {
            id: "first".to_owned(),
            title: HOSTILE.to_owned(),
            audience: Audience { condition: "user.x == \"<b>\"".to_owned(), ..Default::default() },
            delivery: Delivery { kind: Some(Kind::Manual), ..Default::default() },
            ..Default::default()
        },
    }
}

#[tokio::test]
async fn every_page_shows_what_there_is_and_the_command_that_does_the_same() {
    let console = Console::start().await;
    console.check("/", "200", &["first", "by hand", "active", "campanile campaign list"]).await;
    let said = [
        "template missing value",
        "condition false",
        "user.first_name is missing",
        "campanile campaign stats first",
        "not sent",
    ];
    console.check("/campaigns/first", "200", &said).await;
    console
        .check("/campaigns/first/sends?state=suppressed", "200", &["not sent", "--state suppressed"])
        .await;
    console.check("/campaigns/first/sends?state=failed", "200", &["There is none"]).await;
    let send = format!("/sends/{}", console.send_id);
    console
        .check(&send, "200", &["user.first_name is missing", "campanile sends show", "None was made"])
        .await;
    let user = format!("/users/{}", campanile_core::encode::component(HOSTILE));
    console.check(&user, "200", &["Attributes", "campanile users show"]).await;
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so() {
    let console = Console::start().await;
    for path in ["/nothing", "/campaigns/none", "/sends/xyz", "/users/nobody", "/campaigns/none/sends"] {
        console.check(path, "404", &["Not found", "All campaigns"]).await;
    }
    let (head, style) = console.get("/style.css").await;
    assert!(head.contains("text/css") && style.contains("prefers-color-scheme"), "{head}");
}
