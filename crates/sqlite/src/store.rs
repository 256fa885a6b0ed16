//! The ports, on the writer: each verb is one closure that runs inside a transaction with others.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use campanile_core::access::AccessToken;
use campanile_core::campaign_history::CampaignHistory;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::caps::{CapAnswer, CapAsk};
use campanile_core::caps_port::Caps;
use campanile_core::control_word::ControlWord;
use campanile_core::counter::Counter;
use campanile_core::delivery_record::StoredRecord;
use campanile_core::destination_port::Rooms;
use campanile_core::draft::Draft;
use campanile_core::due_send::{Lease, SendId};
use campanile_core::history_port::CampaignHistories;
use campanile_core::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo};
use campanile_core::ports::{
    Add, Added, Advance, Advanced, Answer, Campaigns, Changes, Claimed, Clock, EventCommit, EventPage,
    Events, Ledger, Limits, NewEvent, OccurrenceKey, Occurrences, Queue, RecentEvents, RefusedRow, Released,
    Secrets, Settlement, Store, StoreError, StoredUser, Users, Walk, Work,
};
use campanile_core::ports_access::{Resealed, Tokens};
use campanile_core::ports_changes::{ChangedUser, SavedUsers, UserChanges};
use campanile_core::sealing::Sealer;
use campanile_core::secret::Secret;
use campanile_core::segment::SegmentRecord;
use campanile_core::segment_port::SegmentStore;
use campanile_core::sends_query::{SendTrail, SendsPage, SendsQuery};
use campanile_core::settings::SettingsRecord;
use campanile_core::settings_port::SettingsStore;
use campanile_core::throttle::{Bucket, Taken, Throttle};
use campanile_core::user_list::{ListRecord, UserIds};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::destinations::FarEnds;
use crate::open::{Opened, open_file, open_in_memory};
use crate::readers::Readers;
use crate::room::{Done, Room, View};
use crate::throttles::Throttles;
use crate::writer::{Woken, Writer};

/// Everything in one file.
pub struct SqliteStore {
    layout: Layout,
    /// None in memory, where only the writer sees what there is. Ends before the writer does.
    readers: Option<Readers>,
    writer: Writer,
    woken: Woken,
    throttles: Throttles,
    pub(crate) far_ends: FarEnds,
    sealer: Option<Arc<dyn Sealer>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Let go after the writer has ended.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens or makes the file at `path`; refused while another process has it. `seed` is for a new one.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, seed: [u8; 19]) -> Result<SqliteStore, StoreError> {
        let mut store = SqliteStore::start(open_file(path, seed)?, clock)?;
        store.readers = Some(Readers::start(path)?);
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
        let first = move |room: &mut Room<'_>| room.reclaim_all(&taken).map(drop);
        let writer = Writer::start(opened.connection, clock.clone(), woken.clone(), first)?;
        let (throttles, far_ends) = (Throttles::default(), FarEnds::default());
        Ok(SqliteStore {
            layout,
            readers: None,
            writer,
            woken,
            throttles,
            far_ends,
            sealer: None,
            clock,
            _lock: opened.lock,
        })
    }

    /// Secrets are sealed by it from now on; `None`: stored as they are.
    pub fn sealed_by(mut self, sealer: Option<Arc<dyn Sealer>>) -> SqliteStore {
        self.sealer = sealer;
        self
    }

    /// What writes: durable when answered.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.writer.run(verb))
    }

    /// What only reads.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        verb: impl FnOnce(View<'_>) -> Done<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match &self.readers {
            Some(readers) => Box::pin(readers.run(verb)),
            None => Box::pin(self.writer.run(move |room| verb(room.view))),
        }
    }

    /// As if every reader had ended.
    #[cfg(test)]
    pub(crate) fn end_readers_for_test(&mut self) {
        self.readers = Some(Readers::none_for_test());
    }

    /// Reads until it is let go.
    #[cfg(test)]
    pub(crate) async fn hold_reader_for_test(&self, held: std::sync::mpsc::Receiver<()>) {
        let looking = self.read(move |view| {
            view.all("SELECT seq FROM log", [], |row| row.get::<_, i64>(0))?;
            held.recv().map_err(|_| StoreError::Away("nobody let it go".to_owned()))
        });
        assert_eq!(looking.await, Ok(()));
    }

    /// As if the disk had room for so many pages more.
    #[cfg(test)]
    pub(crate) async fn limit_pages_for_test(&self, more: i64) {
        let limited = self.write(move |room| {
            let there = room.one("PRAGMA page_count", [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
            room.one(&format!("PRAGMA max_page_count = {}", there + more), [], |_| Ok(()))
        });
        assert_eq!(limited.await, Ok(Some(())));
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
        self.write(move |room| room.create_campaign(record))
    }

    fn campaign<'a>(&'a self, id: &'a str) -> Answer<'a, Option<CampaignRecord>> {
        let id = id.to_owned();
        self.read(move |view| view.campaign(&id))
    }

    fn campaigns<'a>(&'a self, numbers: &'a [CampaignNo]) -> Answer<'a, Vec<CampaignRecord>> {
        let numbers = numbers.to_vec();
        self.read(move |view| view.campaigns(&numbers))
    }

    fn list_campaigns<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<CampaignRecord>> {
        let after = after.to_owned();
        self.read(move |view| view.list_campaigns(&after, limit))
    }

    fn save_campaign(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        self.write(move |room| room.save_campaign(record))
    }

    fn revision(&self, no: CampaignNo, revision: u32) -> Answer<'_, Option<Draft>> {
        self.read(move |view| view.revision(no, revision))
    }

    fn changes<'a>(&'a self, cursor: &'a str) -> Answer<'a, Changes> {
        let cursor = cursor.to_owned();
        self.read(move |view| view.changes(&cursor))
    }

    fn destinations<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<DestinationNo>> {
        let names = names.to_vec();
        self.write(move |room| room.destinations(&names))
    }
}

impl Users for SqliteStore {
    fn open_users<'a>(
        &'a self,
        _shard: Shard,
        ids: &'a [String],
        create: Option<Timestamp>,
    ) -> Answer<'a, Vec<Option<StoredUser>>> {
        let asked = ids.to_vec();
        Box::pin(async move {
            let found: Vec<Option<StoredUser>> =
                self.read(move |view| asked.iter().map(|id| view.find_user(id)).collect()).await?;
            match create {
                // Mostly everybody is there, and the writer need not be asked.
                Some(at) if found.iter().any(Option::is_none) => {
                    let ids = ids.to_vec();
                    self.write(move |room| ids.iter().map(|id| room.open_user(id, at)).collect()).await
                }
                _ => Ok(found),
            }
        })
    }

    fn load_users<'a>(&'a self, _shard: Shard, users: &'a [UserNo]) -> Answer<'a, Vec<Option<StoredUser>>> {
        let users = users.to_vec();
        self.read(move |view| users.iter().map(|no| view.load_user(*no)).collect())
    }

    fn save_users<'a>(&'a self, _shard: Shard, users: &'a [StoredUser]) -> Answer<'a, Vec<bool>> {
        let users = users.to_vec();
        self.write(move |room| users.iter().map(|user| room.save_user(user)).collect())
    }

    fn list_users(&self, _shard: Shard, after: UserNo, limit: usize) -> Answer<'_, Vec<StoredUser>> {
        self.read(move |view| view.users_between(after.0, u64::MAX, limit))
    }
}

impl UserChanges for SqliteStore {
    fn change_users<'a>(
        &'a self,
        _shard: Shard,
        control: u64,
        users: &'a [ChangedUser],
    ) -> Answer<'a, SavedUsers> {
        let users = users.to_vec();
        self.write(move |room| room.change_users(control, &users))
    }
}

impl Events for SqliteStore {
    fn accept_events<'a>(&'a self, _shard: Shard, events: &'a [NewEvent]) -> Answer<'a, Vec<bool>> {
        let events = events.to_vec();
        self.write(move |room| room.accept_events(&events))
    }

    fn read_events(&self, _shard: Shard, limit: usize) -> Answer<'_, EventPage> {
        self.read(move |view| view.read_events(limit))
    }

    fn read_records<'a>(
        &'a self,
        _shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<StoredRecord>> {
        let asked = asked.to_vec();
        self.read(move |view| asked.iter().map(|(user, no)| view.stored_record(*user, *no)).collect())
    }

    fn commit_events<'a>(&'a self, _shard: Shard, commit: &'a EventCommit) -> Answer<'a, bool> {
        let commit = commit.clone();
        self.write(move |room| room.commit_events(&commit))
    }
}

impl Occurrences for SqliteStore {
    fn walk(
        &self,
        _shard: Shard,
        occurrence: OccurrenceKey,
        joiners: bool,
        limit: usize,
    ) -> Answer<'_, Walk> {
        self.read(move |view| view.walk(occurrence, joiners, limit))
    }

    fn advance<'a>(&'a self, _shard: Shard, advance: &'a Advance) -> Answer<'a, Advanced> {
        let advance = advance.clone();
        self.write(move |room| room.advance(&advance))
    }

    fn close_occurrence(&self, _shard: Shard, occurrence: OccurrenceKey) -> Answer<'_, ()> {
        self.write(move |room| room.close_occurrence(occurrence))
    }
}

impl Queue for SqliteStore {
    fn add<'a>(&'a self, _shard: Shard, add: &'a Add) -> Answer<'a, Added> {
        let add = add.clone();
        self.write(move |room| room.add(&add))
    }

    fn release(&self, _shard: Shard, limit: usize) -> Answer<'_, Released> {
        self.write(move |room| room.release(limit))
    }

    fn claim_within<'a>(&'a self, _shard: Shard, want: usize, rooms: &'a Rooms) -> Answer<'a, Claimed> {
        let rooms = rooms.clone();
        Box::pin(async move {
            // The lease holds what belongs to its sends in place, so that can be looked up beside the writer.
            let leased = self.write(move |room| room.lease(want, &rooms)).await?;
            let again = leased.clone();
            match self.read(move |view| view.jobs(leased)).await {
                Ok(claimed) => Ok(claimed),
                // They are leased already: the writer looks, or takes them back.
                Err(_) => self.write(move |room| room.jobs_or_back(again)).await?,
            }
        })
    }

    fn settle<'a>(&'a self, _shard: Shard, settlements: &'a [Settlement]) -> Answer<'a, Vec<bool>> {
        let settlements = settlements.to_vec();
        self.write(move |room| room.settle(&settlements))
    }

    fn reclaim(&self, _shard: Shard, limit: usize) -> Answer<'_, usize> {
        let layout = self.layout.clone();
        self.write(move |room| room.reclaim(&layout, limit))
    }

    fn set_control(&self, _shard: Shard, campaign: CampaignNo, word: ControlWord) -> Answer<'_, ()> {
        self.write(move |room| room.set_control(campaign, word))
    }

    fn control<'a>(
        &'a self,
        _shard: Shard,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Vec<Option<ControlWord>>> {
        let campaigns = campaigns.to_vec();
        self.read(move |view| campaigns.iter().map(|no| view.control_word(*no)).collect())
    }
}

impl Limits for SqliteStore {
    fn take_tokens(&self, bucket: Bucket, throttle: Throttle, want: usize) -> Answer<'_, Taken> {
        let taken = self.throttles.take(bucket, throttle, want, self.clock.now());
        Box::pin(std::future::ready(Ok(taken)))
    }
}

impl Caps for SqliteStore {
    fn reserve_caps<'a>(&'a self, _shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        let asks = asks.to_vec();
        self.write(move |room| room.reserve_caps(&asks))
    }

    fn look_at_caps<'a>(&'a self, _shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        let (asks, now) = (asks.to_vec(), self.clock.now());
        self.read(move |view| view.look_at_caps(&asks, now))
    }

    fn release_caps<'a>(&'a self, _shard: Shard, leases: &'a [Lease]) -> Answer<'a, ()> {
        let leases = leases.to_vec();
        self.write(move |room| room.release_caps(&leases))
    }
}

impl Ledger for SqliteStore {
    fn sends<'a>(&'a self, query: &'a SendsQuery) -> Answer<'a, SendsPage> {
        let query = query.clone();
        self.read(move |view| view.sends(&query))
    }

    fn send<'a>(&'a self, id: &'a SendId) -> Answer<'a, SendTrail> {
        let id = *id;
        self.read(move |view| view.send(&id))
    }

    fn sends_after<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, SendsPage> {
        let after = after.to_owned();
        self.read(move |view| view.sends_after(&after, limit))
    }

    fn stats(&self, campaign: CampaignNo) -> Answer<'_, Vec<(Counter, i64)>> {
        self.read(move |view| view.stats(campaign))
    }

    fn refusals(&self, campaign: CampaignNo, limit: usize) -> Answer<'_, Vec<RefusedRow>> {
        self.read(move |view| view.refusals(campaign, limit))
    }

    fn recent_events(&self, _shard: Shard, from: u64, limit: usize) -> Answer<'_, RecentEvents> {
        self.read(move |view| view.recent_events(from, limit))
    }
}

impl CampaignHistories for SqliteStore {
    fn histories<'a>(
        &'a self,
        _shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<CampaignHistory>> {
        let asked = asked.to_vec();
        self.read(move |view| asked.iter().map(|(user, no)| view.history(*user, *no)).collect())
    }
}

impl Secrets for SqliteStore {
    fn put_secret(&self, secret: Secret) -> Answer<'_, ()> {
        let sealer = self.sealer.clone();
        self.write(move |room| room.put_secret(secret, sealer.as_deref()))
    }

    fn secrets(&self) -> Answer<'_, Vec<Secret>> {
        let sealer = self.sealer.clone();
        self.read(move |view| view.secrets(sealer.as_deref()))
    }

    fn reseal_secrets(&self) -> Answer<'_, Resealed> {
        let sealer = self.sealer.clone();
        self.write(move |room| room.reseal_secrets(sealer.as_deref()))
    }

    fn delete_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.write(move |room| room.delete_secret(&name))
    }
}

impl Tokens for SqliteStore {
    fn put_token(&self, token: AccessToken) -> Answer<'_, ()> {
        self.write(move |room| room.put_token(&token))
    }

    fn tokens(&self) -> Answer<'_, Vec<AccessToken>> {
        self.read(move |view| view.tokens())
    }

    fn delete_token<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.write(move |room| room.delete_token(&name))
    }
}

impl SettingsStore for SqliteStore {
    fn settings(&self) -> Answer<'_, Option<SettingsRecord>> {
        self.read(|view| view.settings())
    }

    fn save_settings(&self, record: SettingsRecord) -> Answer<'_, Option<SettingsRecord>> {
        self.write(move |room| room.save_settings(record))
    }
}

impl SegmentStore for SqliteStore {
    fn segments(&self) -> Answer<'_, Vec<SegmentRecord>> {
        self.read(move |view| view.segments())
    }

    fn save_segment(&self, record: SegmentRecord) -> Answer<'_, bool> {
        self.write(move |room| room.save_segment(&record))
    }

    fn delete_segment<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.write(move |room| room.delete_named("segments", &name, revision))
    }

    fn user_lists(&self) -> Answer<'_, Vec<ListRecord>> {
        self.read(move |view| view.user_lists())
    }

    fn user_list<'a>(&'a self, name: &'a str) -> Answer<'a, Option<(ListRecord, UserIds)>> {
        let name = name.to_owned();
        self.read(move |view| view.user_list(&name))
    }

    fn put_user_list(&self, record: ListRecord, ids: UserIds) -> Answer<'_, bool> {
        self.write(move |room| room.put_user_list(&record, &ids))
    }

    fn delete_user_list<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool> {
        let name = name.to_owned();
        self.write(move |room| room.delete_named("user_lists", &name, revision))
    }
}
