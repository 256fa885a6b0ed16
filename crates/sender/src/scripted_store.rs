//! A store for the tests of the loop: hands out the jobs it is given, notes what is settled, and can go away.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};

use campanile_core::access::AccessToken;
use campanile_core::campaign_history::CampaignHistory;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::caps::{CapAnswer, CapAsk, CapKey, CapRows};
use campanile_core::caps_port::Caps;
use campanile_core::control_word::ControlWord;
use campanile_core::counter::Counter;
use campanile_core::delivery_record::StoredRecord;
use campanile_core::destination::StoredDestination;
use campanile_core::destination_port::Rooms;
use campanile_core::draft::Draft;
use campanile_core::due_send::{Lease, SendId};
use campanile_core::history_port::CampaignHistories;
use campanile_core::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo};
use campanile_core::ports::*;
use campanile_core::ports_access::{Resealed, Tokens};
use campanile_core::ports_changes::{ChangedUser, SavedUsers, UserChanges};
use campanile_core::ports_kept::{Erased, Erasure, FailedSend, FailedSends, Redriven};
use campanile_core::secret::Secret;
use campanile_core::segment::SegmentRecord;
use campanile_core::segment_port::SegmentStore;
use campanile_core::sends_query::{SendTrail, SendsPage, SendsQuery};
use campanile_core::settings::{Settings, SettingsRecord};
use campanile_core::settings_port::SettingsStore;
use campanile_core::throttle::{Bucket, Taken, Throttle};
use campanile_core::user_list::{ListRecord, UserIds};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::sample;

pub(crate) struct ScriptedStore {
    layout: Layout,
    state: Mutex<State>,
    /// Settlements so far.
    settled: watch::Sender<usize>,
    woken: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) records: HashMap<CampaignNo, CampaignRecord>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) settings: Settings,
    pub(crate) caps: HashMap<UserNo, CapRows>,
    /// Who gave caps back, in order.
    pub(crate) released: Vec<UserNo>,
    /// What `changes` answers next, instead of everything.
    pub(crate) unchanged: bool,
    lanes: HashMap<Shard, VecDeque<Job>>,
    leased: HashSet<u64>,
    fence: u64,
    pub(crate) settlements: Vec<(Shard, Settlement)>,
    /// Sizes of the batches.
    pub(crate) settles: Vec<usize>,
    pub(crate) claims: usize,
    /// So many calls of claim and settle find the store away.
    pub(crate) claims_away: usize,
    pub(crate) settles_away: usize,
    /// Settled, but the answer is lost.
    pub(crate) answers_lost: usize,
    pub(crate) loads: usize,
    pub(crate) destinations: Vec<StoredDestination>,
    pub(crate) far_version: u64,
    /// What was asked for of a bucket, call by call.
    pub(crate) token_calls: Vec<usize>,
    /// The order to stop comes while a claim is under way.
    pub(crate) stops_at_claim: Option<CancellationToken>,
}

impl ScriptedStore {
    pub(crate) fn new(record: CampaignRecord) -> ScriptedStore {
        let state = State { records: HashMap::from([(record.no, record)]), ..State::default() };
        ScriptedStore {
            layout: sample::layout(),
            state: Mutex::new(state),
            settled: watch::Sender::new(0),
            woken: watch::Sender::new(1),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn push(&self, shard: Shard, job: Job) {
        self.state().lanes.entry(shard).or_default().push_back(job);
        self.woken.send_modify(|n| *n += 1);
    }

    /// How often anything was saved of destinations.
    pub(crate) fn far_version(&self) -> u64 {
        self.state().far_version
    }

    /// The lease of every claimed send runs out.
    pub(crate) fn take_leases(&self) {
        self.state().leased.clear();
    }

    /// Waits until `n` sends have been settled.
    pub(crate) async fn settled(&self, n: usize) -> Vec<(Shard, Settlement)> {
        let enough = async { self.settled.subscribe().wait_for(|settled| *settled >= n).await.map(|n| *n) };
        tokio::time::timeout(std::time::Duration::from_secs(20), enough).await.unwrap().unwrap();
        self.state().settlements.clone()
    }

    fn settle_now(&self, shard: Shard, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        let mut state = self.state();
        if state.settles_away > 0 {
            state.settles_away -= 1;
            return Err(away());
        }
        state.settles.push(settlements.len());
        let mut answers = Vec::new();
        for settlement in settlements {
            let was_leased = state.leased.remove(&settlement.lease.fence);
            if was_leased {
                state.settlements.push((shard, settlement.clone()));
            }
            answers.push(was_leased);
        }
        self.settled.send_replace(state.settlements.len());
        if state.answers_lost > 0 {
            state.answers_lost -= 1;
            return Err(away());
        }
        Ok(answers)
    }

    fn claim_now(&self, shard: Shard, want: usize) -> Result<Claimed, StoreError> {
        let mut state = self.state();
        state.claims += 1;
        if state.claims_away > 0 {
            state.claims_away -= 1;
            return Err(away());
        }
        if let Some(stop) = &state.stops_at_claim {
            stop.cancel();
        }
        let mut jobs = Vec::new();
        while jobs.len() < want {
            let Some(mut job) = state.lanes.get_mut(&shard).and_then(VecDeque::pop_front) else { break };
            state.fence += 1;
            job.lease.fence = state.fence;
            let fence = state.fence;
            state.leased.insert(fence);
            jobs.push(job);
        }
        let more = state.lanes.get(&shard).is_some_and(|lane| !lane.is_empty());
        Ok(Claimed { at: sample::now(), jobs, more, passed_over: false, next_at: None })
    }
}

fn away() -> StoreError {
    StoreError::Away("scripted".to_owned())
}

pub(crate) fn answer<'a, T: Send + 'a>(answer: T) -> Answer<'a, T> {
    Box::pin(ready(Ok(answer)))
}

/// What a sender never asks for.
pub(crate) fn never<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(ready(Err(StoreError::Refused("no sender asks for this".to_owned()))))
}

impl Store for ScriptedStore {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn woken(&self, _work: Work, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        let mut woken = self.woken.subscribe();
        Box::pin(async move { woken.wait_for(|n| *n != seen).await.map_or(seen, |n| *n) })
    }
}

impl Campaigns for ScriptedStore {
    fn campaigns<'a>(&'a self, numbers: &'a [CampaignNo]) -> Answer<'a, Vec<CampaignRecord>> {
        let mut state = self.state();
        state.loads += 1;
        answer(numbers.iter().filter_map(|no| state.records.get(no).cloned()).collect())
    }

    fn revision(&self, no: CampaignNo, _revision: u32) -> Answer<'_, Option<Draft>> {
        answer(self.state().records.get(&no).map(|record| record.draft.clone()))
    }

    fn changes<'a>(&'a self, _cursor: &'a str) -> Answer<'a, Changes> {
        let campaigns = if self.state().unchanged { Changed::These(Vec::new()) } else { Changed::All };
        let secrets = campaigns == Changed::All;
        answer(Changes { cursor: "1".to_owned(), campaigns, secrets, settings: secrets, segments: false })
    }

    fn create(&self, _: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        never()
    }

    fn campaign<'a>(&'a self, _: &'a str) -> Answer<'a, Option<CampaignRecord>> {
        never()
    }

    fn list_campaigns<'a>(&'a self, _: &'a str, _: usize) -> Answer<'a, Vec<CampaignRecord>> {
        never()
    }

    fn save_campaign(&self, _: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        never()
    }

    fn destinations<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<DestinationNo>> {
        answer(names.iter().map(|_| sample::DESTINATION).collect())
    }
}

impl Users for ScriptedStore {
    fn open_users<'a>(
        &'a self,
        _: Shard,
        _: &'a [String],
        _: Option<Timestamp>,
    ) -> Answer<'a, Vec<Option<StoredUser>>> {
        never()
    }

    fn load_users<'a>(&'a self, _: Shard, _: &'a [UserNo]) -> Answer<'a, Vec<Option<StoredUser>>> {
        never()
    }

    fn save_users<'a>(&'a self, _: Shard, _: &'a [StoredUser]) -> Answer<'a, Vec<bool>> {
        never()
    }

    fn list_users(&self, _: Shard, _: UserNo, _: usize) -> Answer<'_, Vec<StoredUser>> {
        never()
    }
}

impl UserChanges for ScriptedStore {
    fn change_users<'a>(&'a self, _: Shard, _: u64, _: &'a [ChangedUser]) -> Answer<'a, SavedUsers> {
        never()
    }
}

impl Events for ScriptedStore {
    fn accept_events<'a>(&'a self, _: Shard, _: &'a [NewEvent]) -> Answer<'a, Vec<bool>> {
        never()
    }

    fn read_events(&self, _: Shard, _: usize) -> Answer<'_, EventPage> {
        never()
    }

    fn read_records<'a>(&'a self, _: Shard, _: &'a [(UserNo, CampaignNo)]) -> Answer<'a, Vec<StoredRecord>> {
        never()
    }

    fn commit_events<'a>(&'a self, _: Shard, _: &'a EventCommit) -> Answer<'a, bool> {
        never()
    }
}

impl Occurrences for ScriptedStore {
    fn walk(&self, _: Shard, _: OccurrenceKey, _: bool, _: usize) -> Answer<'_, Walk> {
        never()
    }

    fn advance<'a>(&'a self, _: Shard, _: &'a Advance) -> Answer<'a, Advanced> {
        never()
    }

    fn close_occurrence(&self, _: Shard, _: OccurrenceKey) -> Answer<'_, ()> {
        never()
    }
}

impl Queue for ScriptedStore {
    fn claim_within<'a>(&'a self, shard: Shard, want: usize, _: &'a Rooms) -> Answer<'a, Claimed> {
        Box::pin(ready(self.claim_now(shard, want)))
    }

    fn settle<'a>(&'a self, shard: Shard, settlements: &'a [Settlement]) -> Answer<'a, Vec<bool>> {
        Box::pin(ready(self.settle_now(shard, settlements)))
    }

    fn add<'a>(&'a self, _: Shard, _: &'a Add) -> Answer<'a, Added> {
        never()
    }

    fn release(&self, _: Shard, _: usize) -> Answer<'_, Released> {
        never()
    }

    fn reclaim(&self, _: Shard, _: usize) -> Answer<'_, usize> {
        never()
    }

    fn set_control(&self, _: Shard, _: CampaignNo, _: ControlWord) -> Answer<'_, ()> {
        never()
    }

    fn control<'a>(&'a self, _: Shard, _: &'a [CampaignNo]) -> Answer<'a, Vec<Option<ControlWord>>> {
        never()
    }
}

impl Ledger for ScriptedStore {
    fn sends<'a>(&'a self, _: &'a SendsQuery) -> Answer<'a, SendsPage> {
        never()
    }

    fn send<'a>(&'a self, _: &'a SendId) -> Answer<'a, SendTrail> {
        never()
    }

    fn sends_after<'a>(&'a self, _: &'a str, _: usize) -> Answer<'a, SendsPage> {
        never()
    }

    fn stats(&self, _: CampaignNo) -> Answer<'_, Vec<(Counter, i64)>> {
        never()
    }

    fn refusals(&self, _: CampaignNo, _: usize) -> Answer<'_, Vec<RefusedRow>> {
        never()
    }

    fn recent_events(&self, _: Shard, _: u64, _: usize) -> Answer<'_, RecentEvents> {
        never()
    }
}

impl Limits for ScriptedStore {
    /// Gives half of what is asked for.
    fn take_tokens(&self, _: Bucket, throttle: Throttle, want: usize) -> Answer<'_, Taken> {
        self.state().token_calls.push(want);
        let now = sample::now();
        answer(Taken { tokens: want as u64 / 2, first_at: now, next_at: now + throttle.time_for(1) })
    }
}

impl CampaignHistories for ScriptedStore {
    fn histories<'a>(
        &'a self,
        _: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<CampaignHistory>> {
        answer(vec![CampaignHistory::default(); asked.len()])
    }
}

impl Caps for ScriptedStore {
    /// By the rules, for one user after the other.
    fn reserve_caps<'a>(&'a self, _: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        let mut state = self.state();
        let reserve = |ask: &CapAsk| state.caps.entry(ask.user).or_default().reserve(ask, sample::now());
        answer(asks.iter().map(reserve).collect())
    }

    fn look_at_caps<'a>(&'a self, _: Shard, _: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        never()
    }

    fn release_caps<'a>(&'a self, _: Shard, leases: &'a [Lease]) -> Answer<'a, ()> {
        let mut state = self.state();
        for lease in leases {
            state.caps.entry(lease.send.user).or_default().release(&CapKey::of(lease));
            state.released.push(lease.send.user);
        }
        answer(())
    }
}

impl SettingsStore for ScriptedStore {
    fn settings(&self) -> Answer<'_, Option<SettingsRecord>> {
        let settings = self.state().settings.clone();
        answer(Some(SettingsRecord { revision: 1, updated_at: sample::now(), notify_since: None, settings }))
    }

    fn save_settings(&self, _: SettingsRecord) -> Answer<'_, Option<SettingsRecord>> {
        never()
    }
}

impl Erasure for ScriptedStore {
    fn erase_user<'a>(&'a self, _: Shard, _: &'a str, _: &'a [CampaignNo]) -> Answer<'a, Erased> {
        never()
    }
}

impl FailedSends for ScriptedStore {
    fn failed_sends(&self, _: Shard, _: Timestamp, _: usize, _: usize) -> Answer<'_, Vec<FailedSend>> {
        never()
    }

    fn redrive<'a>(&'a self, _: Shard, _: &'a [Redriven], _: bool) -> Answer<'a, Vec<bool>> {
        never()
    }
}

impl Secrets for ScriptedStore {
    fn secrets(&self) -> Answer<'_, Vec<Secret>> {
        answer(self.state().secrets.clone())
    }

    fn put_secret(&self, _: Secret) -> Answer<'_, ()> {
        never()
    }

    fn reseal_secrets(&self) -> Answer<'_, Resealed> {
        never()
    }

    fn delete_secret<'a>(&'a self, _: &'a str) -> Answer<'a, bool> {
        never()
    }
}

impl Tokens for ScriptedStore {
    fn put_token(&self, _: AccessToken) -> Answer<'_, ()> {
        never()
    }

    fn tokens(&self) -> Answer<'_, Vec<AccessToken>> {
        never()
    }

    fn delete_token<'a>(&'a self, _: &'a str) -> Answer<'a, bool> {
        never()
    }
}

impl SegmentStore for ScriptedStore {
    fn segments(&self) -> Answer<'_, Vec<SegmentRecord>> {
        answer(Vec::new())
    }

    fn save_segment(&self, _: SegmentRecord) -> Answer<'_, bool> {
        never()
    }

    fn delete_segment<'a>(&'a self, _: &'a str, _: u32) -> Answer<'a, bool> {
        never()
    }

    fn user_lists(&self) -> Answer<'_, Vec<ListRecord>> {
        answer(Vec::new())
    }

    fn user_list<'a>(&'a self, _: &'a str) -> Answer<'a, Option<(ListRecord, UserIds)>> {
        never()
    }

    fn put_user_list(&self, _: ListRecord, _: UserIds) -> Answer<'_, bool> {
        never()
    }

    fn delete_user_list<'a>(&'a self, _: &'a str, _: u32) -> Answer<'a, bool> {
        never()
    }
}
