//! The suite of the ports on each store: SQLite on disk and in memory, Redis, and a Redis Cluster of one node, which refuses a script
//! that leaves its slot.

use std::sync::Arc;

use campanile_core::manual_clock::ManualClock;
use campanile_core::number::Shard;
use campanile_core::ports::{Clock, Store};
use campanile_redis::store::RedisStore;
use campanile_sqlite::store::SqliteStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;
use jiff::Timestamp;

/// This machine's clock: what an embedded store is given.
struct MachineClock;

impl Clock for MachineClock {
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the store under test has no clock of its own"
    )]
    fn now(&self) -> Timestamp {
        let now = Timestamp::try_from(std::time::SystemTime::now()).expect("a time");
        Timestamp::from_millisecond(now.as_millisecond()).expect("a time")
    }

    fn observe(&self, _: Timestamp) {}
}

mod sqlite_on_disk {
    use super::*;

    async fn make() -> (tempfile::TempDir, Arc<dyn Store>, Shard) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("c.db"), Arc::new(MachineClock), [3; 19])
            .expect("it opens");
        (folder, Arc::new(store), Shard(0))
    }

    campanile_tests::conforms!(make);
}

mod sqlite_in_memory {
    use super::*;

    async fn make() -> ((), Arc<dyn Store>, Shard) {
        let store = SqliteStore::open_in_memory(Arc::new(MachineClock), [3; 19]).expect("it opens");
        ((), Arc::new(store), Shard(0))
    }

    campanile_tests::conforms!(make);
}

mod redis {
    use super::*;

    async fn make() -> (RedisServer, Arc<dyn Store>, Shard) {
        connect(RedisServer::start()).await
    }

    pub(super) async fn connect(server: RedisServer) -> (RedisServer, Arc<dyn Store>, Shard) {
        let store = RedisStore::connect(&server.url(), Arc::new(StoreClock::new()), [3; 19], Some(4)).await;
        (server, Arc::new(store.expect("it connects")), Shard(2))
    }

    campanile_tests::conforms!(make);
}

mod redis_cluster_of_one {
    use super::*;

    async fn make() -> (RedisServer, Arc<dyn Store>, Shard) {
        super::redis::connect(RedisServer::start_cluster()).await
    }

    campanile_tests::conforms!(make);
}

#[tokio::test]
async fn a_file_reopened_has_what_was_acknowledged_and_frees_every_lease() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.db");
    let clock = Arc::new(ManualClock::at("2026-11-24T08:00:00Z".parse().expect("an instant")));
    let open = || SqliteStore::open(&path, clock.clone(), [3; 19]).expect("it opens");
    let store = open();
    campanile_tests::conformance_queue::a_request_adds_once(&store, Shard(0)).await;
    // Three sends are leased now; their holder goes away.
    drop(store);
    let store = open();
    let jobs =
        campanile_core::ports::Queue::claim(&store, Shard(0), 9).await.expect("the store answers").jobs;
    let redelivered: Vec<(u64, u8)> =
        jobs.iter().map(|job| (job.lease.send.user.0, job.lease.send.redeliveries)).collect();
    assert_eq!(redelivered, [(1, 1), (2, 1), (3, 1)]);
}

#[tokio::test]
async fn a_file_belongs_to_one_process_and_to_one_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.db");
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let store = SqliteStore::open(&path, clock.clone(), [3; 19]).expect("it opens");
    let second = SqliteStore::open(&path, clock.clone(), [3; 19]).err().expect("it is refused").to_string();
    assert!(second.contains("in use by another campanile process"), "{second}");
    drop(store);
    std::fs::write(&path, b"this is no database, and never was one; it is only text of some length")
        .expect("written");
    let foreign = SqliteStore::open(&path, clock, [3; 19]).err().expect("it is refused").to_string();
    assert!(foreign.contains("foreign bytes"), "{foreign}");
}
