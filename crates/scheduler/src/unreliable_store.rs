//! A store in memory that goes away once, at a verb of the test's choosing: before the verb was carried out, or right after. What
//! a scheduler knew then is lost, as if it had been killed between two steps.

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use campanile_core::access::AccessToken;
use campanile_core::campaign_history::CampaignHistory;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::caps::{CapAnswer, CapAsk};
use campanile_core::caps_port::Caps;
use campanile_core::control_word::ControlWord;
use campanile_core::counter::Counter;
use campanile_core::delivery_record::StoredRecord;
use campanile_core::destination::{DestinationPolicy, StoredDestination};
use campanile_core::destination_port::{BreakerChange, Destinations, FollowedDestinations, Place, Rooms};
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
use campanile_core::settings::SettingsRecord;
use campanile_core::settings_port::SettingsStore;
use campanile_core::throttle::{Bucket, Taken, Throttle};
use campanile_core::user_list::{ListRecord, UserIds};
use campanile_sqlite::store::SqliteStore;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) struct UnreliableStore {
    pub(crate) inner: SqliteStore,
    /// Verbs left until it goes away, counted in halves: before a verb, and after it.
    pub(crate) fuse: AtomicI64,
    /// A campaign that somebody else pauses right before the first such verb.
    meanwhile: Mutex<Option<(&'static str, String)>>,
    /// A verb that finds bytes of another version, again and again.
    spoilt: Mutex<Option<&'static str>>,
}

impl UnreliableStore {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> UnreliableStore {
        let inner = SqliteStore::open_in_memory(clock, [5; 19]).expect("a store in memory");
        UnreliableStore {
            inner,
            fuse: AtomicI64::new(i64::MAX),
            meanwhile: Mutex::new(None),
            spoilt: Mutex::new(None),
        }
    }

    /// Goes away after this many half steps of a scheduler.
    pub(crate) fn break_after(&self, half_steps: i64) {
        self.fuse.store(half_steps, Ordering::SeqCst);
    }

    /// Whether it went away since it was told to.
    pub(crate) fn has_broken(&self) -> bool {
        self.fuse.load(Ordering::SeqCst) < 0
    }

    fn half_step(&self) -> Result<(), StoreError> {
        match self.fuse.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(StoreError::Away("the test cut the line".to_owned())),
            _ => Ok(()),
        }
    }

    /// Somebody else pauses a campaign, as control does, right before the scheduler's next call of `verb`.
    pub(crate) fn pause_before(&self, verb: &'static str, id: &str) {
        *self.meanwhile.lock().unwrap() = Some((verb, id.to_owned()));
    }

    pub(crate) fn spoil(&self, verb: Option<&'static str>) {
        *self.spoilt.lock().unwrap() = verb;
    }

    fn intact(&self, verb: &str) -> Result<(), StoreError> {
        match *self.spoilt.lock().unwrap() {
            Some(spoilt) if spoilt == verb => {
                Err(StoreError::Foreign { place: "a test".to_owned(), text: "format 9".to_owned() })
            }
            _ => Ok(()),
        }
    }

    async fn pause_meanwhile(&self, verb: &str) -> Result<(), StoreError> {
        let taken = self.meanwhile.lock().unwrap().take_if(|(before, _)| *before == verb);
        let Some((_, id)) = taken else { return Ok(()) };
        let mut record = self.inner.campaign(&id).await?.expect("it is there");
        let at = record.updated_at;
        record.move_to(State::Paused, at, "a test", "");
        let saved = self.inner.save_campaign(record).await?.expect("nobody was faster");
        let word = saved.control_word().expect("no draft");
        for shard in self.layout().shards() {
            self.inner.set_control(shard, saved.no, word).await?;
        }
        Ok(())
    }

    fn shaky<'a, T: Send + 'a>(&'a self, name: &'static str, verb: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            self.pause_meanwhile(name).await?;
            self.intact(name)?;
            self.half_step()?;
            let done = verb.await;
            self.half_step()?;
            done
        })
    }
}

impl Store for UnreliableStore {
    fn layout(&self) -> &Layout {
        self.inner.layout()
    }

    fn woken(&self, work: Work, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        self.inner.woken(work, seen)
    }
}

/// The first group are a scheduler's verbs, which may break; the others are the tests' own.
macro_rules! verbs {
    ($port:ident: $(shaky $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* $(plain $pname:ident($($parg:ident: $ptype:ty),*) -> $panswer:ty;)*) => {
        impl $port for UnreliableStore {
            $(fn $name<'a>(&'a self, $($arg: $type),*) -> Answer<'a, $answer> {
                self.shaky(stringify!($name), self.inner.$name($($arg),*))
            })*
            $(fn $pname<'a>(&'a self, $($parg: $ptype),*) -> Answer<'a, $panswer> {
                self.inner.$pname($($parg),*)
            })*
        }
    };
}

verbs! { Campaigns:
    shaky campaigns(numbers: &'a [CampaignNo]) -> Vec<CampaignRecord>;
    shaky list_campaigns(after: &'a str, limit: usize) -> Vec<CampaignRecord>;
    shaky save_campaign(record: CampaignRecord) -> Option<CampaignRecord>;
    shaky revision(no: CampaignNo, revision: u32) -> Option<Draft>;
    shaky changes(cursor: &'a str) -> Changes;
    shaky destinations(names: &'a [String]) -> Vec<DestinationNo>;
    plain create(record: CampaignRecord) -> Option<CampaignRecord>;
    plain campaign(id: &'a str) -> Option<CampaignRecord>;
}
verbs! { Users:
    plain open_users(shard: Shard, ids: &'a [String], create: Option<Timestamp>) -> Vec<Option<StoredUser>>;
    plain load_users(shard: Shard, users: &'a [UserNo]) -> Vec<Option<StoredUser>>;
    plain save_users(shard: Shard, users: &'a [StoredUser]) -> Vec<bool>;
    plain list_users(shard: Shard, after: UserNo, limit: usize) -> Vec<StoredUser>;
}
verbs! { UserChanges:
    plain change_users(shard: Shard, control: u64, users: &'a [ChangedUser]) -> SavedUsers;
}
verbs! { Events:
    shaky read_events(shard: Shard, limit: usize) -> EventPage;
    shaky read_records(shard: Shard, asked: &'a [(UserNo, CampaignNo)]) -> Vec<StoredRecord>;
    shaky commit_events(shard: Shard, commit: &'a EventCommit) -> bool;
    plain accept_events(shard: Shard, events: &'a [NewEvent]) -> Vec<bool>;
}
verbs! { Occurrences:
    shaky walk(shard: Shard, occurrence: OccurrenceKey, joiners: bool, limit: usize) -> Walk;
    shaky advance(shard: Shard, advance: &'a Advance) -> Advanced;
    shaky close_occurrence(shard: Shard, occurrence: OccurrenceKey) -> ();
}
verbs! { Queue:
    shaky release(shard: Shard, limit: usize) -> Released;
    shaky reclaim(shard: Shard, limit: usize) -> usize;
    shaky set_control(shard: Shard, campaign: CampaignNo, word: ControlWord) -> ();
    shaky control(shard: Shard, campaigns: &'a [CampaignNo]) -> Vec<Option<ControlWord>>;
    plain add(shard: Shard, add: &'a Add) -> Added;
    plain claim_within(shard: Shard, want: usize, rooms: &'a Rooms) -> Claimed;
    plain settle(shard: Shard, settlements: &'a [Settlement]) -> Vec<bool>;
}
verbs! { Limits:
    plain take_tokens(bucket: Bucket, throttle: Throttle, want: usize) -> Taken;
}
verbs! { Destinations:
    plain list_destinations(after: &'a str, limit: usize) -> Vec<StoredDestination>;
    plain follow_destinations(seen: u64) -> FollowedDestinations;
    plain save_destination(no: DestinationNo, revision: u64, policy: DestinationPolicy) -> bool;
    plain save_breakers(breakers: &'a [BreakerChange]) -> Vec<bool>;
    plain take_places(no: DestinationNo, limit: usize, places: &'a [Place], lasts: Duration) -> usize;
    plain leave_places(no: DestinationNo, places: &'a [Place]) -> ();
}
verbs! { Caps:
    plain reserve_caps(shard: Shard, asks: &'a [CapAsk]) -> Vec<CapAnswer>;
    plain look_at_caps(shard: Shard, asks: &'a [CapAsk]) -> Vec<CapAnswer>;
    plain release_caps(shard: Shard, leases: &'a [Lease]) -> ();
}
verbs! { SettingsStore:
    shaky settings() -> Option<SettingsRecord>;
    plain save_settings(record: SettingsRecord) -> Option<SettingsRecord>;
}
verbs! { Ledger:
    shaky stats(campaign: CampaignNo) -> Vec<(Counter, i64)>;
    plain sends(query: &'a SendsQuery) -> SendsPage;
    plain send(id: &'a SendId) -> SendTrail;
    plain sends_after(after: &'a str, limit: usize) -> SendsPage;
    plain recent_events(shard: Shard, from: u64, limit: usize) -> RecentEvents;
    plain refusals(campaign: CampaignNo, limit: usize) -> Vec<RefusedRow>;
}
verbs! { FailedSends:
    plain failed_sends(shard: Shard, from: Timestamp, skip: usize, limit: usize) -> Vec<FailedSend>;
    plain redrive(shard: Shard, sends: &'a [Redriven], rerender: bool) -> Vec<bool>;
}
verbs! { Erasure:
    plain erase_user(shard: Shard, id: &'a str, campaigns: &'a [CampaignNo]) -> Erased;
}
verbs! { Secrets:
    plain put_secret(secret: Secret) -> ();
    plain secrets() -> Vec<Secret>;
    plain reseal_secrets() -> Resealed;
    plain delete_secret(name: &'a str) -> bool;
}

impl CampaignHistories for UnreliableStore {
    fn histories<'a>(
        &'a self,
        shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<CampaignHistory>> {
        self.shaky("histories", self.inner.histories(shard, asked))
    }
}
verbs! { Tokens:
    plain put_token(token: AccessToken) -> ();
    plain tokens() -> Vec<AccessToken>;
    plain delete_token(name: &'a str) -> bool;
}
verbs! { SegmentStore:
    shaky segments() -> Vec<SegmentRecord>;
    shaky user_lists() -> Vec<ListRecord>;
    plain save_segment(record: SegmentRecord) -> bool;
    plain delete_segment(name: &'a str, revision: u32) -> bool;
    plain user_list(name: &'a str) -> Option<(ListRecord, UserIds)>;
    plain put_user_list(record: ListRecord, ids: UserIds) -> bool;
    plain delete_user_list(name: &'a str, revision: u32) -> bool;
}
