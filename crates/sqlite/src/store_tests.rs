//! What the suite of the ports cannot ask: foreign bytes in the file, a full disk, what is answered when.

use std::path::PathBuf;
use std::sync::Arc;

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Lease, SendId, Skip};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::manual_clock::ManualClock;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{
    Add, Added, Campaigns, Claimed, EventCommit, Events, Ledger, NewEntry, NewEvent, OccurrenceKey,
    Occurrences, Queue, Settle, Settlement, Store, StoreError, Users,
};
use campanile_core::reason::Failure;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use crate::queue::FORGET_REQUESTS;
use crate::store::SqliteStore;

const S: Shard = Shard(0);
const NO: CampaignNo = CampaignNo(1);

/// A file, a clock, and a store on it that can be closed and opened again.
struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<ManualClock>,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    Bench { _folder: folder, path, clock: Arc::new(ManualClock::at(now())) }
}

impl Bench {
    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path, self.clock.clone(), [3; 19]).unwrap()
    }

    /// Another hand on the same file, while no store has it.
    fn alter(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }
}

fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn entry(user: u64, at: Timestamp) -> NewEntry {
    let send = DueSend {
        pinned: false,
        has_data: false,
        has_request: false,
        skip: Skip::default(),
        kind: EntryKind::Request,
        user: UserNo(user),
        key: user,
        action: 0,
        due_at: at,
        revision: 1,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    };
    let lane = Lane { campaign: NO, destination: DestinationNo(1), class: Class::First };
    NewEntry { due: DueEntry { at, lane, send }, data: None }
}

fn request(name: u16, entries: Vec<NewEntry>) -> Add {
    let mut request = [0; 16];
    request[..2].copy_from_slice(&name.to_be_bytes());
    Add { request, body: [0; 16], entries, counts: Vec::new(), refused: Vec::new(), answer: vec![7] }
}

async fn run_campaign(store: &SqliteStore) {
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight: 1, epoch: 1, bits: 0 };
    store.set_control(S, NO, word).await.unwrap();
}

fn users_of(claimed: &Claimed) -> Vec<u64> {
    claimed.jobs.iter().map(|job| job.lease.send.user.0).collect()
}

#[tokio::test]
async fn a_foreign_profile_does_not_end_a_walk() {
    let bench = bench();
    let store = bench.open();
    let ids: Vec<String> = (1..=30).map(|n| format!("user-{n}")).collect();
    store.open_users(S, &ids, Some(now())).await.unwrap();
    drop(store);
    bench.alter("UPDATE users SET profile = x'FF00' WHERE no IN (3, 4, 17)");
    let store = bench.open();
    let walk = store.walk(S, OccurrenceKey { campaign: NO, at: now() }, false, 10).await.unwrap();
    assert_eq!(walk.users.len(), 10, "fewer would say that nobody follows");
    assert_eq!(walk.users.last().map(|user| user.no), Some(UserNo(12)));
    assert_eq!(store.list_users(S, UserNo(12), 10).await.unwrap().len(), 10);
    assert_eq!(store.list_users(S, UserNo(23), 10).await.unwrap().len(), 7);
}

#[tokio::test]
async fn foreign_sends_are_put_aside_and_the_rest_goes_on() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    let soon = now() + SignedDuration::from_secs(60);
    let entries = (1..=3).map(|user| entry(user, now())).chain((4..=6).map(|user| entry(user, soon)));
    store.add(S, &request(1, entries.collect())).await.unwrap();
    drop(store);
    bench.alter("UPDATE lanes SET core = x'09' WHERE seq = 2; UPDATE wheel SET lane = x'09' WHERE seq = 2");
    bench.alter("INSERT INTO lanes (lane, seq, core) VALUES (x'FFFF', 1, x'00')");
    let store = bench.open();
    assert_eq!(users_of(&store.claim(S, 9).await.unwrap()), [1, 3]);
    bench.clock.set(soon);
    store.release(S, 100).await.unwrap();
    assert_eq!(users_of(&store.claim(S, 9).await.unwrap()), [4, 6]);
    assert!(!store.claim(S, 9).await.unwrap().more);
}

#[tokio::test]
async fn a_foreign_lease_neither_panics_nor_stops_the_start() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    store.add(S, &request(1, (1..=3).map(|user| entry(user, now())).collect())).await.unwrap();
    let claimed = store.claim(S, 3).await.unwrap();
    drop(store);
    let mut worn = claimed.jobs[0].lease.send.clone();
    worn.redeliveries = 255;
    let file = Connection::open(&bench.path).unwrap();
    file.execute("UPDATE leases SET core = ?1 WHERE fence = 1", params![worn.encode().as_slice()]).unwrap();
    file.execute("UPDATE leases SET core = x'00' WHERE fence = 2", []).unwrap();
    drop(file);
    let store = bench.open();
    assert_eq!(users_of(&store.claim(S, 9).await.unwrap()), [3], "one was given up, one put aside");
}

#[tokio::test]
async fn an_unreadable_campaign_hides_no_other() {
    let bench = bench();
    drop(bench.open());
    bench.alter("INSERT INTO campaigns (no, id, version, doc) VALUES (1, 'a', 1, '{}')");
    let store = bench.open();
    assert_eq!(store.list_campaigns("", 9).await, Ok(Vec::new()));
    assert!(matches!(store.campaign("a").await, Err(StoreError::Foreign { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_and_spoils_nothing() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    store.add(S, &request(1, vec![entry(1, now())])).await.unwrap();
    let leased = store.claim(S, 1).await.unwrap().jobs.remove(0).lease;
    store.limit_pages_for_test(0).await;
    let mut fat = entry(2, now());
    (fat.data, fat.due.send.has_data) = (Some(vec![1; 60_000]), true);
    let big = request(2, (0..40).map(|_| fat.clone()).collect());
    let (refused, asked) = tokio::join!(store.add(S, &big), store.stats(NO));
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(asked, Ok(Vec::new()), "reading goes on");
    store.limit_pages_for_test(1_000_000).await;
    assert_eq!(store.claim(S, 9).await.unwrap().jobs.len(), 0, "nothing of it is there");
    let done = Settlement {
        lease: leased,
        settle: Settle::Delivered,
        attempted: true,
        variant: None,
        hops: 0,
        row: None,
    };
    assert_eq!(store.settle(S, &[done]).await, Ok(vec![true]), "leases of before still hold");
    assert_eq!(store.add(S, &request(2, vec![entry(3, now())])).await, Ok(Added::Now));
    assert_eq!(users_of(&store.claim(S, 9).await.unwrap()), [3]);
}

#[tokio::test]
async fn a_refused_call_in_a_group_undoes_only_itself() {
    let bench = bench();
    let store = bench.open();
    let events: Vec<NewEvent> = (0..500).map(event).collect();
    let no_log = EventCommit { head: 9, ..EventCommit::default() };
    let (first, stale, second) = tokio::join!(
        store.accept_events(S, &events),
        store.commit_events(S, &no_log),
        store.accept_events(S, &events)
    );
    assert_eq!((first, stale, second), (Ok(vec![true; 500]), Ok(false), Ok(vec![false; 500])));
    assert_eq!(store.read_events(S, 1_000).await.unwrap().events.len(), 500);
}

fn event(n: u64) -> NewEvent {
    NewEvent { user_id: "ann".to_owned(), id_hash: n, accepted_at: now(), bytes: vec![1] }
}

#[tokio::test]
async fn what_is_answered_is_in_the_file() {
    let bench = bench();
    let store = bench.open();
    for n in 0..20 {
        store.accept_events(S, &[event(n)]).await.unwrap();
        let file = Connection::open(&bench.path).unwrap();
        let there = file.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(there, n as i64 + 1, "seen by another connection, so committed");
    }
}

#[tokio::test]
async fn a_request_is_known_for_a_day() {
    let bench = bench();
    let store = bench.open();
    let add = request(1, vec![entry(1, now())]);
    assert_eq!(store.add(S, &add).await, Ok(Added::Now));
    bench.clock.advance(SignedDuration::from_hours(23));
    assert_eq!(store.add(S, &add).await, Ok(Added::Before(vec![7])));
    bench.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(store.add(S, &add).await, Ok(Added::Now));
}

#[test]
fn forgetting_requests_reads_no_request_that_stays() {
    let bench = bench();
    drop(bench.open());
    let file = Connection::open(&bench.path).unwrap();
    let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN {FORGET_REQUESTS}")).unwrap();
    let steps: Vec<String> = plan.query_map([0], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert!(!steps.is_empty() && !steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
}

#[tokio::test]
async fn an_event_is_known_for_a_day_and_forgotten_after_two() {
    let bench = bench();
    let store = bench.open();
    for (hours, is_new) in [(0, true), (23, false), (24, false), (49, true), (50, false)] {
        bench.clock.set(now() + SignedDuration::from_hours(hours));
        assert_eq!(store.accept_events(S, &[event(1)]).await, Ok(vec![is_new]), "after {hours} h");
    }
}

#[tokio::test]
async fn an_event_of_a_user_whose_profile_is_foreign_is_not_lost() {
    let bench = bench();
    let store = bench.open();
    store.open_users(S, &["ann".to_owned()], Some(now())).await.unwrap();
    drop(store);
    bench.alter("UPDATE users SET profile = x'FF'");
    let store = bench.open();
    assert_eq!(store.accept_events(S, &[event(1)]).await, Ok(vec![true]));
    let page = store.read_events(S, 9).await.unwrap();
    assert_eq!((page.events.len(), page.users.len()), (1, 0), "what was acknowledged is in the log");
    assert_eq!(
        store.open_users(S, &["ann".to_owned(), "bob".to_owned()], Some(now())).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_file_of_the_format_before_is_upgraded_and_a_later_one_refused() {
    let bench = bench();
    drop(bench.open());
    bench.alter(
        "DROP INDEX requests_at; DROP INDEX failed_at; ALTER TABLE failed DROP COLUMN at;
         ALTER TABLE failed DROP COLUMN lane; ALTER TABLE failed DROP COLUMN core; ALTER TABLE log DROP COLUMN at;
         DROP TABLE records; DROP TABLE marks; DROP TABLE recent; DROP TABLE histories; DROP TABLE tokens;
         DROP TABLE settings; DROP TABLE caps; DROP TABLE policies;
         DROP TABLE segments; DROP TABLE user_lists; UPDATE meta SET value = 1 WHERE name = 'format'",
    );
    let store = bench.open();
    assert_eq!(store.add(S, &request(1, vec![entry(1, now())])).await, Ok(Added::Now));
    drop(store);
    bench.alter("UPDATE meta SET value = 99 WHERE name = 'format'");
    let refused = SqliteStore::open(&bench.path, bench.clock.clone(), [3; 19]).err().unwrap().to_string();
    assert!(refused.contains("its format is 99"), "{refused}");
}

#[tokio::test]
async fn failed_sends_and_log_rows_end_by_age() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    store.add(S, &request(1, (1..=3).map(|user| entry(user, now())).collect())).await.unwrap();
    let fail = async || {
        let lease = store.claim(S, 1).await.unwrap().jobs.remove(0).lease;
        let row = failed_row(&lease);
        let id = row.send_id(store.layout(), S);
        let settle = Settle::Failed { reason: Failure::Final, kept: vec![4] };
        let settlement =
            Settlement { lease, settle, attempted: true, variant: None, hops: 0, row: Some(row) };
        assert_eq!(store.settle(S, &[settlement]).await, Ok(vec![true]));
        id
    };
    let trail = async |id: &SendId| {
        let trail = store.send(id).await.unwrap();
        (trail.rows.len(), trail.kept.is_some())
    };
    let first = fail().await;
    assert_eq!(trail(&first).await, (1, true));
    bench.clock.advance(SignedDuration::from_hours(8 * 24));
    let second = fail().await;
    assert_eq!((trail(&first).await, trail(&second).await), ((0, true), (1, true)), "the log keeps a week");
    bench.clock.advance(SignedDuration::from_hours(23 * 24));
    fail().await;
    assert_eq!(
        (trail(&first).await, trail(&second).await),
        ((0, false), (0, true)),
        "a request stays for a month"
    );
}

fn failed_row(lease: &Lease) -> LogRow {
    LogRow {
        ended: Ended::Failed(Failure::Final),
        campaign: lease.lane.campaign,
        user: lease.send.user,
        user_hash: [0; 3],
        key: lease.send.key,
        action: lease.send.action,
        due_at: lease.send.due_at,
        at: now(),
        revision: 1,
        attempts: 1,
        status: 404,
        took_ms: 1,
        text: String::new(),
    }
}

#[tokio::test]
async fn a_look_through_the_log_does_not_keep_the_writer_waiting() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    // Somebody reads for long: all that is asked of the writer meanwhile is answered.
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let looking = store.hold_reader_for_test(held);
    let writing = async {
        assert_eq!(store.add(S, &request(1, vec![entry(1, now())])).await, Ok(Added::Now));
        assert_eq!(store.claim(S, 1).await.unwrap().jobs.len(), 1);
        let_go.send(()).unwrap();
    };
    tokio::join!(looking, writing);
}

#[tokio::test]
async fn a_claim_is_answered_though_no_reader_is_there() {
    let bench = bench();
    let mut store = bench.open();
    run_campaign(&store).await;
    store.add(S, &request(1, vec![entry(1, now())])).await.unwrap();
    store.end_readers_for_test();
    assert_eq!(users_of(&store.claim(S, 9).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_claim_that_nobody_can_look_up_strands_no_lease() {
    let bench = bench();
    let store = bench.open();
    run_campaign(&store).await;
    let mut with_data = entry(1, now());
    (with_data.data, with_data.due.send.has_data) = (Some(vec![5]), true);
    store.add(S, &request(1, vec![with_data, entry(2, now())])).await.unwrap();
    drop(store);
    bench.alter("ALTER TABLE entry_data RENAME TO gone");
    let store = bench.open();
    assert!(store.claim(S, 9).await.is_err());
    drop(store);
    bench.alter("ALTER TABLE gone RENAME TO entry_data");
    let store = bench.open();
    let claimed = store.claim(S, 9).await.unwrap();
    let redelivered: Vec<u8> = claimed.jobs.iter().map(|job| job.lease.send.redeliveries).collect();
    assert_eq!((users_of(&claimed), redelivered), (vec![1, 2], vec![0, 0]), "a stranded lease would count");
}
