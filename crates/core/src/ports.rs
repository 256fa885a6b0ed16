//! What the engine asks of a store. Verbs name promises (fence, head, cursor, compare), not keys.
//!
//! Every verb takes a batch and lives in one shard, or among the campaigns. Every verb may be repeated after an error: a call
//! that timed out may have been carried out. Every answer of a store tells the clock what the store's time is.
//! One conformance suite holds every store to what is written here.

use std::{future::Future, pin::Pin};

use jiff::Timestamp;

use crate::campaign_record::CampaignRecord;
use crate::caps_port::Caps;
use crate::control_word::ControlWord;
use crate::conversion::Converted;
use crate::counter::{Count, Counter};
use crate::delivery_record::{RecordChange, StoredRecord};
use crate::destination_port::{Destinations, Rooms};
use crate::draft::Draft;
use crate::due_send::{DueEntry, Lease, SendId};
use crate::history_port::CampaignHistories;
use crate::log_row::LogRow;
use crate::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo};
use crate::ports_access::{Resealed, Tokens};
use crate::ports_changes::UserChanges;
use crate::ports_kept::FailedSends;
use crate::reason::{Failure, Refusal, Suppression};
use crate::recent_event::RecentRow;
use crate::secret::Secret;
use crate::sends_query::{SendTrail, SendsPage, SendsQuery};
use crate::settings_port::SettingsStore;
use crate::slug::Slug;
use crate::throttle::{Bucket, Taken, Throttle};
use crate::user::Profile;

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Our own trouble. What happened to the caller is in the variant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// Nothing is known to have been done; the same call may be repeated.
    #[error("the store is away: {0}")]
    Away(String),
    /// A bound would be passed; nothing was done; later it may pass.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store holds something that this version does not understand; nothing was done.
    #[error("{place} holds foreign bytes: {text}")]
    Foreign { place: String, text: String },
    /// The store will never do this as it is set up.
    #[error("the store refused: {0}")]
    Refused(String),
}

/// The store's time: its last answer's, plus monotonic time since.
pub trait Clock: Send + Sync {
    /// To the millisecond.
    fn now(&self) -> Timestamp;
    /// A store that has a clock of its own says here what it reads.
    fn observe(&self, store_now: Timestamp);
}

/// Everything together; one object per process.
pub trait Store:
    Campaigns
    + Users
    + UserChanges
    + Events
    + Occurrences
    + Queue
    + Limits
    + Caps
    + Destinations
    + Ledger
    + FailedSends
    + Secrets
    + Tokens
    + CampaignHistories
    + SettingsStore
    + crate::segment_port::SegmentStore
{
    fn layout(&self) -> &Layout;

    /// Waits until the number of wake-ups for `work` is no longer `seen`, and answers it: none is lost between two waits. They are hints only.
    fn woken(&self, work: Work, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// An event log or a lane went from empty to non-empty, or something is due earlier than before.
    Schedule,
    /// A lane went from empty to non-empty or was let go.
    Send,
}

pub trait Campaigns {
    /// Takes the id for good and gives the campaign a number. `record.no` and `record.version` are filled in (version 1), and the
    /// draft is kept as its revision. `None`: the id is taken, also by a deleted campaign.
    fn create(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>>;

    fn campaign<'a>(&'a self, id: &'a str) -> Answer<'a, Option<CampaignRecord>>;

    /// In the order asked; the unknown left out.
    fn campaigns<'a>(&'a self, numbers: &'a [CampaignNo]) -> Answer<'a, Vec<CampaignRecord>>;

    /// In the order of ids, those after `after`.
    fn list_campaigns<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<CampaignRecord>>;

    /// Writes `record` (with `version` grown by one) if the stored version is still `record.version`, keeps the draft if the
    /// revision is new, and reports the change. `None`: it was not; load again and decide again.
    fn save_campaign(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>>;

    /// An immutable revision.
    fn revision(&self, no: CampaignNo, revision: u32) -> Answer<'_, Option<Draft>>;

    /// What changed since `cursor` (of an earlier answer; empty: everything).
    fn changes<'a>(&'a self, cursor: &'a str) -> Answer<'a, Changes>;

    /// The numbers of destinations (`https://host:port`), given where new.
    fn destinations<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<DestinationNo>>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    pub cursor: String,
    pub campaigns: Changed,
    /// A secret was put or deleted.
    pub secrets: bool,
    /// The deployment's settings were changed.
    pub settings: bool,
    /// A segment or a list was put or deleted.
    pub segments: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// The cursor is too old or empty: read all.
    All,
    These(Vec<CampaignNo>),
}

// ---- users -----------------------------------------------------------------------------------------------------------

pub trait Users {
    /// Users by id, in order. With `create`, the unknown get a number and an empty profile created then.
    fn open_users<'a>(
        &'a self,
        shard: Shard,
        ids: &'a [String],
        create: Option<Timestamp>,
    ) -> Answer<'a, Vec<Option<StoredUser>>>;

    /// Users by number, in order.
    fn load_users<'a>(&'a self, shard: Shard, users: &'a [UserNo]) -> Answer<'a, Vec<Option<StoredUser>>>;

    /// Writes each profile whose stored version is still the given one. In order: whether it was written.
    fn save_users<'a>(&'a self, shard: Shard, users: &'a [StoredUser]) -> Answer<'a, Vec<bool>>;

    /// Users of the shard with a number above `after`, ascending.
    fn list_users(&self, shard: Shard, after: UserNo, limit: usize) -> Answer<'_, Vec<StoredUser>>;
}

/// A profile, and the version that a save compares.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredUser {
    pub no: UserNo,
    pub version: u64,
    pub profile: Profile,
}

// ---- events ----------------------------------------------------------------------------------------------------------

pub trait Events {
    /// Appends events to the shard's log in order, creating unknown users; a repeated id (24 to 48 h) is left out. All or nothing but for
    /// repeats; `Full` when the log has `limits::EVENT_LOG_MAX`. Durable when answered. In order: whether it was new.
    fn accept_events<'a>(&'a self, shard: Shard, events: &'a [NewEvent]) -> Answer<'a, Vec<bool>>;

    /// The first events of the log, with their users' profiles.
    fn read_events(&self, shard: Shard, limit: usize) -> Answer<'_, EventPage>;

    /// What is kept of users' entries into campaigns, in the order asked.
    fn read_records<'a>(
        &'a self,
        shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<StoredRecord>>;

    /// If the log's head, the shard's control number, every user's version and every delivery record are still those read, and no
    /// send that was taken for waiting was claimed: writes the users' profiles and records, adds the entries, logs what ended at once, counts, keeps the refusals, moves foreign events aside and the head on by `read`.
    /// Else nothing: `false`.
    fn commit_events<'a>(&'a self, shard: Shard, commit: &'a EventCommit) -> Answer<'a, bool>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub user_id: String,
    /// Keyed hash of user and event id.
    pub id_hash: u64,
    pub accepted_at: Timestamp,
    /// A packed `LogItem`.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// Events taken from the log so far.
    pub head: u64,
    /// Grows whenever a control word of the shard changes: what is known of campaigns must be as new.
    pub control: u64,
    pub events: Vec<LoggedEvent>,
    /// Each user of the page once; a user may be gone.
    pub users: Vec<StoredUser>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    pub accepted_at: Timestamp,
    pub user: UserNo,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventCommit {
    pub head: u64,
    pub control: u64,
    pub read: usize,
    /// With the version that was read.
    pub users: Vec<StoredUser>,
    pub records: Vec<RecordChange>,
    pub entries: Vec<NewEntry>,
    /// Sends that ended in being planned: they are only logged.
    pub ended: Vec<LogRow>,
    pub counts: Vec<Count>,
    pub refused: Vec<RefusedRow>,
    /// Last sends that an event has turned into conversions: marked, if they are still the last. Who counts them is who decides.
    pub converted: Vec<Converted>,
    /// What is kept for those who watch, oldest first.
    pub recent: Vec<RecentRow>,
    /// Places in the page of events that could not be understood.
    pub foreign: Vec<usize>,
}

/// A due-send on its way in, with what its entry keeps. With `send.has_data` the entry keeps something, brought here or by an earlier send.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    pub due: DueEntry,
    /// A packed `EntryData`, kept under campaign and key until the send has ended.
    pub data: Option<Vec<u8>>,
}

/// A refusal kept singly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    pub campaign: CampaignNo,
    pub at: Timestamp,
    pub user_id: String,
    pub reason: Refusal,
    /// The event or request that was refused.
    pub cause: String,
    /// The first condition that was false, in words.
    pub text: String,
}

pub trait Occurrences {
    /// The next users to walk for an open occurrence: those who belong, or with `joiners` also those who came since.
    fn walk(&self, shard: Shard, occurrence: OccurrenceKey, joiners: bool, limit: usize) -> Answer<'_, Walk>;

    /// If the cursor is still `from`: adds entries, logs what ended at once, counts, and moves it to `to`. The first advance fixes who belongs: the shard's last user number then.
    fn advance<'a>(&'a self, shard: Shard, advance: &'a Advance) -> Answer<'a, Advanced>;

    /// The occurrence was walked to its end by all shards: its cursor may go, but not before nobody can hold an old one (48 h).
    fn close_occurrence(&self, shard: Shard, occurrence: OccurrenceKey) -> Answer<'_, ()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OccurrenceKey {
    pub campaign: CampaignNo,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// Whether an advance has fixed who belongs.
    pub begun: bool,
    /// The last number walked.
    pub cursor: u64,
    /// The last number that belongs; before the first advance, the shard's last number now.
    pub last: u64,
    /// The last number that was asked for: `last`, or with joiners the shard's last number now.
    pub until: u64,
    pub control: u64,
    /// With numbers above the cursor, at most `until`; numbers may be missing. Fewer than asked for: there are no more.
    pub users: Vec<StoredUser>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Advance {
    pub occurrence: OccurrenceKey,
    pub from: u64,
    pub to: u64,
    pub entries: Vec<NewEntry>,
    /// Sends that ended in being planned: they are only logged.
    pub ended: Vec<LogRow>,
    pub counts: Vec<Count>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    Moved,
    /// Somebody else moved it; look again.
    Elsewhere,
    /// A lane of its own is at the high-water mark; wait.
    Busy,
}

pub trait Queue {
    /// Adds the entries of one request, once: the same `request` again answers what the first one stored.
    fn add<'a>(&'a self, shard: Shard, add: &'a Add) -> Answer<'a, Added>;

    /// Moves sends whose time has come from the wheel into their lanes, at most `limit`.
    fn release(&self, shard: Shard, limit: usize) -> Answer<'_, Released>;

    /// Leases up to `want` sends, fair over lanes; pins revision and first claim of each. Lanes of campaigns that are held, or
    /// have no control word, are passed over; so are sends of campaigns that wait for events while one waits that was accepted before
    /// the send was due; so is what is beyond the room of its destination. An entry that its delivery record lists is marked as begun, and its settle marks how it ended.
    fn claim_within<'a>(&'a self, shard: Shard, want: usize, rooms: &'a Rooms) -> Answer<'a, Claimed>;

    /// The same, with room for everything.
    fn claim(&self, shard: Shard, want: usize) -> Answer<'_, Claimed> {
        self.claim_within(shard, want, const { &Rooms::UNBOUNDED })
    }

    /// Ends or moves leased sends. A send whose lease is gone is left alone: `false` in its place. Counts, logs. Where the control word has `EMIT`,
    /// a send that ends, or was first posted, appends a `SendOutcome` to the event log, however long that is. What follows from each is `settled::effects`.
    fn settle<'a>(&'a self, shard: Shard, settlements: &'a [Settlement]) -> Answer<'a, Vec<bool>>;

    /// Takes back sends whose lease ran out; the fifth time the send fails as `abandoned`.
    fn reclaim(&self, shard: Shard, limit: usize) -> Answer<'_, usize>;

    /// Shows the shard a control word; an older epoch than the stored one changes nothing. Lets held lanes go, or holds them.
    fn set_control(&self, shard: Shard, campaign: CampaignNo, word: ControlWord) -> Answer<'_, ()>;

    fn control<'a>(
        &'a self,
        shard: Shard,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Vec<Option<ControlWord>>>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// Names the request in this shard for 24 h.
    pub request: [u8; 16],
    /// Of what was asked: the same request with another body is refused.
    pub body: [u8; 16],
    pub entries: Vec<NewEntry>,
    pub counts: Vec<Count>,
    pub refused: Vec<RefusedRow>,
    /// What a repeat is answered.
    pub answer: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Added {
    Now,
    /// The stored answer of the first time.
    Before(Vec<u8>),
    /// The request id was used for something else.
    OtherBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    pub moved: usize,
    /// When something is next to be released, as far as the store knows.
    pub next_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub at: Timestamp,
    pub jobs: Vec<Job>,
    /// Whether lanes were left with work that could be claimed now.
    pub more: bool,
    /// Whether lanes were left with work only because their destinations had no more room.
    pub passed_over: bool,
    /// When the first parked lane is let go.
    pub next_at: Option<Timestamp>,
}

/// A leased due-send with what is needed to decide and render it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub lease: Lease,
    /// The campaign's control word at the claim.
    pub control: ControlWord,
    /// None: the user is gone.
    pub profile: Option<Profile>,
    /// A packed `EntryData`.
    pub data: Option<Vec<u8>>,
    /// A packed rendered request with its attempts, after a first failed attempt.
    pub kept: Option<Vec<u8>>,
    /// A packed `DeliveryRecord`, where the campaign keeps them.
    pub record: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    pub lease: Lease,
    pub settle: Settle,
    /// Whether a POST was made.
    pub attempted: bool,
    /// The variant it is counted under, if its action has some.
    pub variant: Option<Slug>,
    /// Campaigns that set one another off until this send, told with its outcome.
    pub hops: u8,
    /// What the log keeps; none for `Hold` and `Back`.
    pub row: Option<LogRow>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Settle {
    Delivered,
    /// `kept`: a packed rendered request with its attempts; stays with the failed send.
    Failed {
        reason: Failure,
        kept: Vec<u8>,
    },
    Suppressed(Suppression),
    /// Passed over, or it waited in vain: counted as never planned, and told. `Dropped`: no longer its entry's send, gone without a trace.
    Skipped,
    Dropped,
    /// Its user does not enter after all: entry and send are counted as never made, and the refusal instead.
    Refused(Refusal),
    /// Into the wheel until `at`, class retry, one more attempt settled, with `kept`.
    Retry {
        at: Timestamp,
        kept: Vec<u8>,
    },
    /// Into the wheel until `at`, as it was claimed, unpinned if never attempted; `due_at`: what it is due at from now on.
    Hold {
        at: Timestamp,
        due_at: Option<Timestamp>,
    },
    /// To the front of its lane, as it was claimed: the sender is stopping.
    Back,
    /// The same, and nothing of the lane is claimed until `until`: what stops this send stops them all.
    Park {
        until: Timestamp,
        /// Where it is known to go by now, if its lane does not say so: it is moved to that lane, which is the one that waits.
        to: Option<DestinationNo>,
    },
}

pub trait Limits {
    /// Takes at most `want` tokens of a campaign's or destination's bucket, which all senders share; each may be used at its instant. A call repeated
    /// after a time-out wastes tokens: slower, never faster.
    fn take_tokens(&self, bucket: Bucket, throttle: Throttle, want: usize) -> Answer<'_, Taken>;
}

pub trait Ledger {
    /// Newest first.
    fn sends<'a>(&'a self, query: &'a SendsQuery) -> Answer<'a, SendsPage>;

    /// Rows of one send, newest first, and what is kept of its request.
    fn send<'a>(&'a self, id: &'a SendId) -> Answer<'a, SendTrail>;

    /// Rows since `after` (of an earlier answer; empty: none, only where the log ends now), oldest first.
    fn sends_after<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, SendsPage>;

    /// All counters of a campaign, summed over shards.
    fn stats(&self, campaign: CampaignNo) -> Answer<'_, Vec<(Counter, i64)>>;

    /// Newest first.
    fn refusals(&self, campaign: CampaignNo, limit: usize) -> Answer<'_, Vec<RefusedRow>>;

    /// The events looked at last in this shard, oldest first: those of number `from` or above, of them the newest `limit`. The newest
    /// `limits::RECENT_MAX` are kept.
    fn recent_events(&self, shard: Shard, from: u64, limit: usize) -> Answer<'_, RecentEvents>;
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentEvents {
    /// The number that the next event will have.
    pub head: u64,
    pub rows: Vec<RecentRow>,
}

pub trait Secrets {
    fn put_secret(&self, secret: Secret) -> Answer<'_, ()>;
    /// What cannot be opened or read is left out and logged.
    fn secrets(&self) -> Answer<'_, Vec<Secret>>;
    /// Seals anew what the key of today did not seal. One that changes meanwhile keeps the change.
    fn reseal_secrets(&self) -> Answer<'_, Resealed>;
    /// Whether there was one.
    fn delete_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;
}
