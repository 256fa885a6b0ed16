//! Pure. A campaign as the store keeps it: its definition, its state, and where its schedule stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control_word::{ControlWord, EMIT, EVENTS_FIRST, Flow, HISTORY, STEPS};
use crate::draft::{Draft, IfPending, Kind};
use crate::entry_run::EntryRun;
use crate::limits;
use crate::notice::{self, Notice, What};
use crate::number::{CampaignNo, Shard, UserNo};
use crate::watch::Looks;

/// Who is noted for what a campaign does of itself.
pub const BY_ITSELF: &str = "campanile";
/// Transitions kept with a campaign, newest last.
const TRANSITIONS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Draft,
    /// Activated; its start lies ahead.
    Scheduled,
    Active,
    Paused,
    /// Nobody enters; what is inside is sent to its end.
    Finishing,
    /// Nothing more is sent. Never revived.
    Ended,
}

/// One document in the store, written whole and compared by `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CampaignRecord {
    pub no: CampaignNo,
    pub id: String,
    pub state: State,
    /// Grows by one with every change of the definition. 24 bits.
    pub revision: u32,
    /// Unpinned sends of older revisions are claimed under this one; 0: none.
    pub apply_revision: u32,
    /// Grows by one with every change that shards must see. 40 bits.
    pub epoch: u64,
    /// Grows by one with every write: what a save compares.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(default)]
    pub schedule: Schedule,
    /// Sends due before this instant and not yet sent were dropped by a resume: they end as `cancelled`.
    #[serde(default)]
    pub dropped_until: Option<Timestamp>,
    #[serde(default)]
    pub transitions: Vec<Transition>,
    /// Some revision kept delivery records: they are read until the end, also if the newest one needs none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
    /// The campaign itself listened to its sends under some revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emitted: bool,
    /// Another live campaign listens to its sends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heard: bool,
    /// Planned sends that somebody cancelled.
    #[serde(default, skip_serializing_if = "Cancelled::is_empty")]
    pub cancelled: Cancelled,
    /// Manual entries of whole audiences, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<EntryRun>,
    /// When everybody was looked at for its triggers by segment.
    #[serde(default, skip_serializing_if = "Looks::is_default")]
    pub looks: Looks,
    /// What the deployment's operators are to be told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// Nobody finds it any more; what is left of its sends ends unsent. Its id stays taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Some revision had several messages: what becomes of its sends is told to the scheduler until the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steps: bool,
    /// Names that actions had, each at its number. Empty: actions have their places as numbers so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub action_names: Vec<String>,
    /// The request that last changed it: the same request again answers the same.
    #[serde(default)]
    pub last_request: Option<String>,
    pub draft: Draft,
}

/// Where a one-time or recurring campaign stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// The next occurrence, once active; none: nothing more is to come.
    pub next_at: Option<Timestamp>,
    /// Occurrences fired so far.
    pub fired: u64,
    /// Occurrences missed so far: the system was down or the campaign paused.
    pub missed: u64,
    pub last_missed_at: Option<Timestamp>,
    /// Fired and not yet walked to the end by every shard.
    pub open: Vec<OpenOccurrence>,
}

/// Which planned sends are cancelled: those of a revision up to the one named here. A cancellation makes a new revision, so that sends
/// planned after it are told from those before, whenever they are due. Users are numbers: nobody is named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cancelled {
    /// Of all users; 0: none.
    pub through: u32,
    /// Of some users, by shard and number.
    pub users: BTreeMap<String, u32>,
}

impl Cancelled {
    pub fn is_empty(&self) -> bool {
        self.through == 0 && self.users.is_empty()
    }

    /// Whether a send of this user and revision is cancelled.
    pub fn covers(&self, shard: Shard, user: UserNo, revision: u32) -> bool {
        revision <= self.through
            || self.users.get(&Cancelled::name(shard, user)).is_some_and(|through| revision <= *through)
    }

    /// How a user is named in `users`.
    pub fn name(shard: Shard, user: UserNo) -> String {
        format!("{}.{}", shard.0, user.0)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenOccurrence {
    /// The scheduled instant; names the occurrence.
    pub at: Timestamp,
    /// The revision it was decided under.
    pub revision: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    pub at: Timestamp,
    /// Who asked: a caller's name, or `campanile`.
    pub by: String,
    pub to: State,
    pub note: String,
}

impl CampaignRecord {
    /// A new draft at revision 1; the store gives it its number.
    pub fn new(draft: Draft, now: Timestamp) -> CampaignRecord {
        CampaignRecord {
            no: CampaignNo(0),
            id: draft.id.clone(),
            state: State::Draft,
            revision: 1,
            apply_revision: 0,
            epoch: 1,
            version: 0,
            created_at: now,
            updated_at: now,
            schedule: Schedule::default(),
            dropped_until: None,
            history: false,
            emitted: false,
            heard: false,
            cancelled: Cancelled::default(),
            deleted_at: None,
            steps: false,
            action_names: Vec::new(),
            runs: Vec::new(),
            notices: Vec::new(),
            looks: Default::default(),
            transitions: Vec::new(),
            last_request: None,
            draft,
        }
    }

    /// Moves to `state` and notes it; the epoch grows, so every shard will hear of it.
    pub fn move_to(&mut self, state: State, at: Timestamp, by: &str, note: &str) {
        self.note_history();
        self.state = state;
        self.epoch += 1;
        self.updated_at = at;
        match state {
            State::Paused if by == BY_ITSELF => self.tell(at, What::AutoPaused { reason: note.to_owned() }),
            State::Ended => {
                self.tell(at, What::Ended { by: by.to_owned(), reason: note.to_owned() });
            }
            _ => {}
        }
        self.transitions.push(Transition { at, by: by.to_owned(), to: state, note: note.to_owned() });
        if self.transitions.len() > TRANSITIONS_MAX {
            self.transitions.remove(0);
        }
    }

    /// Has operators told; together with whatever it is that is told.
    pub fn tell(&mut self, at: Timestamp, what: What) {
        let id = match &what {
            What::OccurrencesMissed { .. } => format!("{}-missed-{}", self.id, self.schedule.missed),
            _ => format!("{}-{}", self.id, self.epoch),
        };
        notice::push(&mut self.notices, Notice::new(id, at, what));
    }

    /// As it is when another campaign listens to its sends, or none does any more; every shard will hear of it.
    pub fn heard(&self, heard: bool) -> CampaignRecord {
        CampaignRecord { heard, epoch: self.epoch + u64::from(self.heard != heard), ..self.clone() }
    }

    /// To be called before the definition changes.
    pub fn note_history(&mut self) {
        self.history |= keeps_history(&self.draft);
        self.emitted |= emits(&self.draft);
        self.steps |= has_steps(&self.draft);
    }

    /// The word every shard must hold. A draft has none.
    pub fn control_word(&self) -> Option<ControlWord> {
        let flow = match self.state {
            State::Draft => return None,
            State::Scheduled | State::Active | State::Finishing => Flow::Running,
            State::Paused => Flow::Held,
            State::Ended => Flow::Stopped,
        };
        let lease = limits::EXCHANGE_TIMEOUT + limits::LEASE_SLACK;
        Some(ControlWord {
            flow,
            apply_revision: self.apply_revision,
            lease_secs: lease.as_secs().min(255) as u8,
            weight: self.draft.limits.weight.clamp(1, 255) as u8,
            epoch: self.epoch,
            bits: self.bits(),
        })
    }

    fn bits(&self) -> u8 {
        let history = if self.history || keeps_history(&self.draft) { HISTORY | EVENTS_FIRST } else { 0 };
        let emit = if self.heard || self.emitted || emits(&self.draft) { EMIT } else { 0 };
        let steps = if self.has_steps() { STEPS } else { 0 };
        history | emit | steps
    }

    /// Whether its entries go from one message to the next.
    pub fn has_steps(&self) -> bool {
        self.steps || has_steps(&self.draft)
    }

    /// Whether triggers and requests may enter users.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Active)
    }
}

fn has_steps(draft: &Draft) -> bool {
    draft.actions.len() > 1
}

/// Whether the entries of a definition depend on one another, or on events after them.
fn keeps_history(draft: &Draft) -> bool {
    if has_steps(draft) {
        return true;
    }
    match &draft.delivery.kind {
        Some(Kind::Triggered(triggered)) => {
            !triggered.cancel_on.is_empty()
                || triggered.entry_limits.is_some()
                || !matches!(triggered.if_pending, IfPending::Unspecified | IfPending::Each)
        }
        _ => false,
    }
}

/// Whether a definition listens to its own sends: a further message, or a conversion, follows from them.
fn emits(draft: &Draft) -> bool {
    draft.actions.len() > 1 || draft.conversion.is_some()
}
