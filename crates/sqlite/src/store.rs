//! The ports, on the writer: each verb is one closure that runs inside a transaction with others.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::control_word::ControlWord;
use campanile_core::counter::Counter;
use campanile_core::draft::Draft;
use campanile_core::due_send::SendId;
use campanile_core::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo};
use campanile_core::ports::{
    Add, Added, Advance, Advanced, Answer, Campaigns, Changes, Claimed, Clock, EventCommit, EventPage,
    Events, Ledger, NewEvent, OccurrenceKey, Occurrences, Queue, RefusedRow, Released, Secrets, SendTrail,
    SendsPage, SendsQuery, Settlement, Store, StoreError, StoredUser, Users, Walk, Work,
};
use campanile_core::secret::Secret;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::open::{Opened, open_file, open_in_memory};
use crate::reader::Reader;
use crate::room::{Done, Room};
use crate::writer::{Woken, Writer};

/// Everything in one file.
pub struct SqliteStore {
    layout: Layout,
    /// None in memory: there is one connection.
    reader: Option<Reader>,
    writer: Writer,
    woken: Woken,
    /// Dropped after the writer has ended.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens or makes the file at `path`; refused while another process has it. `seed` is for a new one.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, seed: [u8; 19]) -> Result<SqliteStore, StoreError> {
        let mut store = SqliteStore::start(open_file(path, seed)?, Arc::clone(&clock))?;
        store.reader = Some(Reader::open(path, clock)?);
        Ok(store)
    }

    /// Gone when it is dropped: for tests and simulation.
    pub fn open_in_memory(clock: Arc<dyn Clock>, seed: [u8; 19]) -> Result<SqliteStore, StoreError> {
        SqliteStore::start(open_in_memory(seed)?, clock)
    }

    fn start(opened: Opened, clock: Arc<dyn Clock>) -> Result<SqliteStore, StoreError> {
        let woken = Woken { schedule: Arc::new(watch::channel(0).0), send: Arc::new(watch::channel(0).0) };
        let layout = opened.layout;
        let taken = layout.clone();
        // Whoever held leases was this file's only process, and is gone.
        let first = move |room: &mut Room<'_>| room.reclaim_all(&taken);
        let writer = Writer::start(opened.connection, clock, woken.clone(), first)?;
        Ok(SqliteStore { layout, reader: None, writer, woken, _lock: opened.lock })
    }

    fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.writer.run(verb))
    }

    /// As if the disk had room for so many pages more.
    #[cfg(test)]
    pub(crate) async fn limit_pages_for_test(&self, more: i64) {
        let limited = self.run(move |room| {
            let there = room.one("PRAGMA page_count", [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
            room.one(&format!("PRAGMA max_page_count = {}", there + more), [], |_| Ok(()))
        });
        assert_eq!(limited.await, Ok(Some(())));
    }

    /// For listings: beside the writer where there is a file.
    fn read<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match &self.reader {
            Some(reader) => Box::pin(reader.run(verb)),
            None => self.run(verb),
        }
    }
}

impl Store for SqliteStore {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn woken(&self, work: Work, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        let mut counts = match work {
            Work::Schedule => self.woken.schedule.subscribe(),
            Work::Send => self.woken.send.subscribe(),
        };
        Box::pin(async move {
            // The sender lives as long as the store.
            let woken = counts.wait_for(|count| *count != seen).await.map(|count| *count);
            match woken {
                Ok(count) => count,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Campaigns for SqliteStore {
    fn create(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        self.run(move |room| room.create_campaign(record))
    }

    fn campaign<'a>(&'a self, id: &'a str) -> Answer<'a, Option<CampaignRecord>> {
        let id = id.to_owned();
        self.run(move |room| room.campaign(&id))
    }

    fn campaigns<'a>(&'a self, numbers: &'a [CampaignNo]) -> Answer<'a, Vec<CampaignRecord>> {
        let numbers = numbers.to_vec();
        self.run(move |room| room.campaigns(&numbers))
    }

    fn list_campaigns<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<CampaignRecord>> {
        let after = after.to_owned();
        self.read(move |room| room.list_campaigns(&after, limit))
    }

    fn save_campaign(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        self.run(move |room| room.save_campaign(record))
    }

    fn revision(&self, no: CampaignNo, revision: u32) -> Answer<'_, Option<Draft>> {
        self.run(move |room| room.revision(no, revision))
    }

    fn changes<'a>(&'a self, cursor: &'a str) -> Answer<'a, Changes> {
        let cursor = cursor.to_owned();
        self.run(move |room| room.changes(&cursor))
    }

    fn destinations<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<DestinationNo>> {
        let names = names.to_vec();
        self.run(move |room| room.destinations(&names))
    }
}

impl Users for SqliteStore {
    fn open_users<'a>(
        &'a self,
        _shard: Shard,
        ids: &'a [String],
        create: Option<Timestamp>,
    ) -> Answer<'a, Vec<Option<StoredUser>>> {
        let ids = ids.to_vec();
        self.run(move |room| room.open_users(&ids, create))
    }

    fn load_users<'a>(&'a self, _shard: Shard, users: &'a [UserNo]) -> Answer<'a, Vec<Option<StoredUser>>> {
        let users = users.to_vec();
        self.run(move |room| users.iter().map(|no| room.load_user(*no)).collect())
    }

    fn save_users<'a>(&'a self, _shard: Shard, users: &'a [StoredUser]) -> Answer<'a, Vec<bool>> {
        let users = users.to_vec();
        self.run(move |room| users.iter().map(|user| room.save_user(user)).collect())
    }

    fn list_users(&self, _shard: Shard, after: UserNo, limit: usize) -> Answer<'_, Vec<StoredUser>> {
        self.read(move |room| room.users_between(after.0, u64::MAX, limit))
    }
}

impl Events for SqliteStore {
    fn accept_events<'a>(&'a self, _shard: Shard, events: &'a [NewEvent]) -> Answer<'a, Vec<bool>> {
        let events = events.to_vec();
        self.run(move |room| room.accept_events(&events))
    }

    fn read_events(&self, _shard: Shard, limit: usize) -> Answer<'_, EventPage> {
        self.run(move |room| room.read_events(limit))
    }

    fn commit_events<'a>(&'a self, _shard: Shard, commit: &'a EventCommit) -> Answer<'a, bool> {
        let commit = commit.clone();
        self.run(move |room| room.commit_events(&commit))
    }
}

impl Occurrences for SqliteStore {
    fn walk(&self, _shard: Shard, occurrence: OccurrenceKey, limit: usize) -> Answer<'_, Walk> {
        self.run(move |room| room.walk(occurrence, limit))
    }

    fn advance<'a>(&'a self, _shard: Shard, advance: &'a Advance) -> Answer<'a, Advanced> {
        let advance = advance.clone();
        self.run(move |room| room.advance(&advance))
    }

    fn close_occurrence(&self, _shard: Shard, occurrence: OccurrenceKey) -> Answer<'_, ()> {
        self.run(move |room| room.close_occurrence(occurrence))
    }
}

impl Queue for SqliteStore {
    fn add<'a>(&'a self, _shard: Shard, add: &'a Add) -> Answer<'a, Added> {
        let add = add.clone();
        self.run(move |room| room.add(&add))
    }

    fn release(&self, _shard: Shard, limit: usize) -> Answer<'_, Released> {
        self.run(move |room| room.release(limit))
    }

    fn claim(&self, _shard: Shard, want: usize) -> Answer<'_, Claimed> {
        self.run(move |room| room.claim(want))
    }

    fn settle<'a>(&'a self, _shard: Shard, settlements: &'a [Settlement]) -> Answer<'a, Vec<bool>> {
        let settlements = settlements.to_vec();
        self.run(move |room| room.settle(&settlements))
    }

    fn reclaim(&self, _shard: Shard, limit: usize) -> Answer<'_, usize> {
        let layout = self.layout.clone();
        self.run(move |room| room.reclaim(&layout, limit))
    }

    fn set_control(&self, _shard: Shard, campaign: CampaignNo, word: ControlWord) -> Answer<'_, ()> {
        self.run(move |room| room.set_control(campaign, word))
    }

    fn control<'a>(
        &'a self,
        _shard: Shard,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Vec<Option<ControlWord>>> {
        let campaigns = campaigns.to_vec();
        self.run(move |room| campaigns.iter().map(|no| room.control_word(*no)).collect())
    }
}

impl Ledger for SqliteStore {
    fn sends<'a>(&'a self, query: &'a SendsQuery) -> Answer<'a, SendsPage> {
        let query = query.clone();
        self.read(move |room| room.sends(&query))
    }

    fn send<'a>(&'a self, id: &'a SendId) -> Answer<'a, SendTrail> {
        let id = *id;
        self.read(move |room| room.send(&id))
    }

    fn sends_after<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, SendsPage> {
        let after = after.to_owned();
        self.read(move |room| room.sends_after(&after, limit))
    }

    fn stats(&self, campaign: CampaignNo) -> Answer<'_, Vec<(Counter, i64)>> {
        self.read(move |room| room.stats(campaign))
    }

    fn refusals(&self, campaign: CampaignNo, limit: usize) -> Answer<'_, Vec<RefusedRow>> {
        self.read(move |room| room.refusals(campaign, limit))
    }
}

impl Secrets for SqliteStore {
    fn put_secret(&self, secret: Secret) -> Answer<'_, ()> {
        self.run(move |room| room.put_secret(&secret))
    }

    fn secrets(&self) -> Answer<'_, Vec<Secret>> {
        self.run(move |room| room.secrets())
    }

    fn delete_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.run(move |room| room.delete_secret(&name))
    }
}
