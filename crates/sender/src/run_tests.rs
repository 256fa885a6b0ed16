//! The whole sender against a scripted store and a scripted far end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile_core::attempt::Outcome;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::fault::Faults;
use campanile_core::kept::Kept;
use campanile_core::log_row::Ended;
use campanile_core::manual_clock::ManualClock;
use campanile_core::network::Policy;
use campanile_core::number::Shard;
use campanile_core::ports::{Job, Settle};
use campanile_core::reason::{Failure, Suppression};
use campanile_core::secret::Secret;
use campanile_core::webhook_draft::Row;
use rustls::RootCertStore;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::run::{SenderConfig, run};
use crate::sample::{draft, job, now, record};
use crate::scripted_store::ScriptedStore;

const LONG: Duration = Duration::from_secs(20);

/// Answers each request with a status, once it may.
struct Target {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
    /// As many answers as there are permits.
    gate: Arc<Semaphore>,
}

impl Target {
    async fn start(status: u16) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (into, open, counted) = (received.clone(), gate.clone(), Arc::new(counted));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (into, open, counted) = (into.clone(), open.clone(), counted.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream).await {
                        into.lock().unwrap().push(request);
                        counted.send_modify(|n| *n += 1);
                        open.acquire().await.unwrap().forget();
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 3\r\n\r\nsay");
                        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Target { url, received, count, gate }
    }

    /// Holds all answers back from now on.
    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.gate.add_permits(1_000);
    }

    async fn received(&self, n: usize) -> Vec<String> {
        let mut count = self.count.clone();
        tokio::time::timeout(LONG, count.wait_for(|count| *count >= n)).await.unwrap().unwrap();
        self.received.lock().unwrap().clone()
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// A sender at work.
struct Running {
    store: Arc<ScriptedStore>,
    shutdown: CancellationToken,
    sender: JoinHandle<()>,
}

fn config() -> SenderConfig {
    SenderConfig {
        policy: Policy { dev: true, ..Policy::default() },
        roots: Some(RootCertStore::empty()),
        ..SenderConfig::default()
    }
}

fn start(store: ScriptedStore, config: SenderConfig) -> Running {
    let (store, shutdown) = (Arc::new(store), CancellationToken::new());
    let clock = Arc::new(ManualClock::at(now()));
    let sender = run(store.clone(), clock, config, Box::new(|| 0.0), shutdown.clone());
    let sender = tokio::spawn(async move { sender.await.unwrap() });
    Running { store, shutdown, sender }
}

impl Running {
    async fn stop(self) -> Arc<ScriptedStore> {
        self.shutdown.cancel();
        tokio::time::timeout(LONG, self.sender).await.unwrap().unwrap();
        self.store
    }
}

/// A store with the jobs of these users, spread over both shards.
fn store_of(record: &CampaignRecord, users: std::ops::Range<u64>) -> ScriptedStore {
    let store = ScriptedStore::new(record.clone());
    for user in users {
        store.push(Shard((user % 2) as u16), job(user, record));
    }
    store
}

/// The settlement of one job.
async fn settled(record: CampaignRecord, change: impl FnOnce(&mut Job)) -> campanile_core::ports::Settlement {
    let store = ScriptedStore::new(record.clone());
    let mut job = job(1, &record);
    change(&mut job);
    store.push(Shard(1), job);
    let running = start(store, config());
    running.store.settled(1).await;
    let store = running.stop().await;
    let (shard, settlement) = store.state().settlements.pop().unwrap();
    assert_eq!(shard, Shard(1));
    settlement
}

fn ended(settlement: &campanile_core::ports::Settlement) -> Option<Ended> {
    settlement.row.as_ref().map(|row| row.ended)
}

#[tokio::test]
async fn every_send_is_posted_once_and_settled_in_batches() {
    let target = Target::start(204).await;
    let record = record(draft(&target.url));
    let running = start(store_of(&record, 0..1_000), config());
    let settlements = running.store.settled(1_000).await;
    let store = running.stop().await;
    assert!(settlements.iter().all(|(_, s)| s.settle == Settle::Delivered && s.attempted));
    let received = target.received(1_000).await;
    let bodies: BTreeSet<&str> = received.iter().filter_map(|r| r.split("\r\n\r\n").nth(1)).collect();
    assert_eq!((received.len(), bodies.len()), (1_000, 1_000));
    let state = store.state();
    assert!(state.settles.iter().all(|size| *size <= campanile_core::limits::SETTLE_MAX));
    assert!(state.settles.len() < 500, "{} calls for 1,000 sends", state.settles.len());
    assert!(state.loads <= 10, "a campaign is loaded once, not per send: {}", state.loads);
}

#[tokio::test]
async fn a_send_that_arrives_while_the_sender_sleeps_is_sent() {
    let target = Target::start(204).await;
    let record = record(draft(&target.url));
    let running = start(ScriptedStore::new(record.clone()), config());
    for user in 1..=3 {
        running.store.push(Shard(0), job(user, &record));
        running.store.settled(user as usize).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_failed_attempt_is_kept_for_the_next_one_which_posts_the_same_bytes() {
    let target = Target::start(503).await;
    let record = record(draft(&target.url));
    let first = settled(record.clone(), |_| {}).await;
    let Settle::Retry { at, kept } = first.settle else { panic!("{first:?}") };
    assert_eq!(at, now() + Duration::from_secs(10));
    let row = first.row.unwrap();
    assert_eq!((row.ended, row.attempts, row.status), (Ended::Retrying, 1, 503));
    assert_eq!(row.text, "answered 503");

    let second = settled(record, |job| {
        job.lease.send.attempts = 1;
        job.lease.send.has_request = true;
        job.profile.as_mut().unwrap().attributes.insert("name".to_owned(), json!("Somebody else"));
        job.kept = Some(kept);
    })
    .await;
    let Settle::Retry { at, kept } = second.settle else { panic!("{second:?}") };
    assert_eq!(at, now() + Duration::from_secs(30));
    let kept = Kept::unpack(&kept).unwrap();
    assert_eq!(kept.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 2]);
    assert!(matches!(&kept.attempts[0].outcome, Outcome::Answered(answer) if answer.body == "say"));
    assert_eq!(kept.request.shown().body, r#"{"name":"N1"}"#);

    let received = target.received(2).await;
    let part = |request: &str, name: &str| {
        let line = request.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{name} in {request}"))
    };
    assert_eq!(part(&received[0], "webhook-id"), part(&received[1], "webhook-id"));
    assert_eq!(part(&received[0], "campanile-attempt"), "campanile-attempt: 1");
    assert_eq!(part(&received[1], "campanile-attempt"), "campanile-attempt: 2");
    assert!(received.iter().all(|request| request.ends_with(r#"{"name":"N1"}"#)));
}

#[tokio::test]
async fn a_send_fails_at_once_for_good_or_when_its_attempts_are_used_up() {
    for (status, attempts, reason) in [(404, 0, Failure::Final), (503, 5, Failure::Exhausted)] {
        let target = Target::start(status).await;
        let settlement = settled(record(draft(&target.url)), |job| job.lease.send.attempts = attempts).await;
        let Settle::Failed { reason: given, kept } = &settlement.settle else { panic!("{settlement:?}") };
        assert_eq!(*given, reason);
        assert_eq!(Kept::unpack(kept).unwrap().attempts.len(), 1);
        assert_eq!(ended(&settlement), Some(Ended::Failed(reason)));
        assert!(settlement.attempted);
    }
}

#[tokio::test]
async fn a_send_that_is_not_admitted_is_suppressed_without_a_request() {
    let target = Target::start(204).await;
    let settlement = settled(record(draft(&target.url)), |job| {
        job.profile.as_mut().unwrap().attributes.shift_remove("name");
    })
    .await;
    assert_eq!(settlement.settle, Settle::Suppressed(Suppression::TemplateMissingValue));
    let row = settlement.row.unwrap();
    assert!(row.text.contains("user.name"), "{}", row.text);
    assert_eq!((row.attempts, settlement.attempted), (0, false));
    assert_eq!(target.received.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_forbidden_address_behind_a_name_is_suppressed_and_counts_as_no_attempt() {
    let target = Target::start(204).await;
    let url = target.url.replace("127.0.0.1", "localhost.");
    let store = store_of(&record(draft(&url)), 1..2);
    let policy = Policy { allow_http: true, ..Policy::default() };
    let running = start(store, SenderConfig { policy, ..config() });
    let settlements = running.store.settled(1).await;
    running.stop().await;
    let settlement = &settlements[0].1;
    assert_eq!(settlement.settle, Settle::Suppressed(Suppression::TargetForbidden));
    assert!(!settlement.attempted);
    assert_eq!(target.received.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_newer_control_word_brings_the_newer_record() {
    let target = Target::start(204).await;
    let old = record(draft(&target.url));
    let running = start(store_of(&old, 1..2), config());
    running.store.settled(1).await;
    let mut new = old.clone();
    new.epoch = 2;
    new.dropped_until = Some(now());
    {
        let mut state = running.store.state();
        // No change is ever reported: only the job tells.
        state.unchanged = true;
        state.records.insert(new.no, new.clone());
    }
    running.store.push(Shard(0), job(2, &new));
    let settlements = running.store.settled(2).await;
    running.stop().await;
    assert_eq!(settlements[1].1.settle, Settle::Suppressed(Suppression::Cancelled));
}

#[tokio::test]
async fn a_campaign_that_cannot_be_read_holds_its_sends_unless_it_was_ended() {
    let target = Target::start(204).await;
    let mut broken = record(draft(&target.url));
    broken.draft.audience.condition = "user.plan ==".to_owned();
    let in_a_minute = Settle::Hold { at: now() + Duration::from_secs(60), due_at: None };
    assert_eq!(settled(broken.clone(), |_| {}).await.settle, in_a_minute);
    broken.state = State::Ended;
    let settlement = settled(broken, |_| {}).await;
    assert_eq!(settlement.settle, Settle::Suppressed(Suppression::CampaignEnded));
}

#[tokio::test]
async fn a_secret_put_a_moment_ago_is_found_at_once() {
    let target = Target::start(204).await;
    let mut record = record(draft(&target.url));
    let running = start(store_of(&record, 1..2), config());
    running.store.settled(1).await;

    let row = Row { name: "x-key".to_owned(), value: json!("{{ secret.KEY }}") };
    record.draft.webhook.as_mut().unwrap().headers.push(row);
    (record.epoch, record.revision) = (2, 2);
    let hosts = ["127.0.0.1".to_owned()];
    let secret = Secret::new("KEY", vec!["s3cr3t".to_owned()], &hosts, "", &mut Faults::default()).unwrap();
    {
        let mut state = running.store.state();
        state.records.insert(record.no, record.clone());
        state.secrets.push(secret);
    }
    let mut second = job(2, &record);
    second.lease.send.revision = 2;
    running.store.push(Shard(0), second);
    let settlements = running.store.settled(2).await;
    running.stop().await;
    assert_eq!(settlements[1].1.settle, Settle::Delivered);
    assert!(target.received(2).await[1].contains("x-key: s3cr3t\r\n"));
}

#[tokio::test]
async fn a_throttled_claim_takes_tokens_once_and_parks_the_lane_of_what_got_none() {
    let target = Target::start(204).await;
    let mut throttled = draft(&target.url);
    throttled.limits.throttle = "1000/s".to_owned();
    let record = record(throttled);
    let store = ScriptedStore::new(record.clone());
    for user in 1..=8 {
        let mut job = job(user, &record);
        if user > 6 {
            // Not of the audience any more: it takes no token.
            job.profile = Some(campanile_core::user::Profile::new(format!("u{user}"), now()));
        }
        store.push(Shard(0), job);
    }
    let running = start(store, config());
    let settlements = running.store.settled(8).await;
    let store = running.stop().await;
    assert_eq!(store.state().token_calls, [6], "one call for all that would be posted");
    let of = |wanted: fn(&Settle) -> bool| settlements.iter().filter(|(_, s)| wanted(&s.settle)).count();
    assert_eq!(of(|settle| matches!(settle, Settle::Delivered)), 3);
    assert_eq!(of(|settle| matches!(settle, Settle::Suppressed(Suppression::AudienceLeft))), 2);
    let until = now() + Duration::from_millis(1 + 2);
    assert_eq!(of(|settle| matches!(settle, Settle::Park { .. })), 3);
    assert!(settlements.iter().all(|(_, s)| match s.settle {
        Settle::Park { until: at, .. } => at == until,
        _ => true,
    }));
    assert_eq!(target.received.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_loses_nothing() {
    let target = Target::start(204).await;
    let record = record(draft(&target.url));
    let store = store_of(&record, 0..20);
    {
        let mut state = store.state();
        (state.claims_away, state.settles_away, state.answers_lost) = (2, 3, 1);
    }
    let running = start(store, config());
    let settlements = running.store.settled(20).await;
    let store = running.stop().await;
    assert_eq!(settlements.len(), 20, "a repeated call settles nothing twice");
    assert_eq!(target.received(20).await.len(), 20);
    assert_eq!(store.state().settles_away, 0);
}

#[tokio::test]
async fn no_more_is_posted_than_can_be_settled() {
    let target = Target::start(204).await;
    let record = record(draft(&target.url));
    let store = store_of(&record, 0..40);
    store.state().settles_away = 8;
    let running = start(store, SenderConfig { slots: 4, ..config() });
    target.received(4).await;
    let away = async {
        while running.store.state().settles_away > 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, away).await.unwrap();
    assert_eq!(target.received.lock().unwrap().len(), 4, "posted while the store is away");
    running.store.settled(40).await;
    running.stop().await;
}

#[tokio::test]
async fn told_to_stop_it_ends_what_is_under_way_and_claims_no_more() {
    let target = Target::start(204).await;
    target.close();
    let record = record(draft(&target.url));
    let running = start(store_of(&record, 0..40), SenderConfig { slots: 4, ..config() });
    target.received(4).await;
    running.shutdown.cancel();
    target.open();
    let store = running.stop().await;
    let state = store.state();
    assert_eq!(state.settlements.len(), 4);
    assert!(state.settlements.iter().all(|(_, s)| s.settle == Settle::Delivered));
}

#[tokio::test]
async fn what_was_claimed_when_it_is_told_to_stop_is_put_back_unsent() {
    let target = Target::start(204).await;
    let record = record(draft(&target.url));
    let store = Arc::new(store_of(&record, 0..40));
    let shutdown = CancellationToken::new();
    store.state().stops_at_claim = Some(shutdown.clone());
    let clock = Arc::new(ManualClock::at(now()));
    let sender = run(store.clone(), clock, config(), Box::new(|| 0.0), shutdown);
    tokio::time::timeout(LONG, sender).await.unwrap().unwrap();
    let state = store.state();
    assert_eq!(state.settlements.len(), 20, "those of the shard that was asked");
    assert!(state.settlements.iter().all(|(_, s)| s.settle == Settle::Back && s.row.is_none()));
    assert_eq!(target.received.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_left_to_its_lease() {
    let target = Target::start(204).await;
    target.close();
    let record = record(draft(&target.url));
    let finish_timeout = Duration::from_millis(50);
    let running = start(store_of(&record, 0..4), SenderConfig { slots: 4, finish_timeout, ..config() });
    target.received(4).await;
    let store = running.stop().await;
    assert_eq!(store.state().settlements.len(), 0);
}

#[tokio::test]
async fn a_settlement_after_the_lease_has_gone_changes_nothing() {
    let target = Target::start(204).await;
    target.close();
    let record = record(draft(&target.url));
    let running = start(store_of(&record, 1..2), config());
    target.received(1).await;
    running.store.take_leases();
    target.open();
    let store = running.stop().await;
    let state = store.state();
    assert_eq!((state.settles.len(), state.settlements.len()), (1, 0));
}

#[tokio::test]
async fn a_send_whose_lease_is_almost_over_is_put_back() {
    let target = Target::start(204).await;
    let settlement = settled(record(draft(&target.url)), |job| job.control.lease_secs = 1).await;
    assert_eq!(settlement.settle, Settle::Back);
    assert_eq!((settlement.row, settlement.attempted), (None, false));
    assert_eq!(target.received.lock().unwrap().len(), 0);
}
