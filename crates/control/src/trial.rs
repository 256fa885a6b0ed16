//! Pure. A campaign tried with a user: asks the scheduler's and the sender's own gates what would be decided, and sends nothing.
//!
//! Previews, explanations, rehearsals and plans all come through here; there is no second copy of a rule.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::caps::{CapAnswer, CapAsk};
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::due_send::{Class, DueSend, EntryKind, Skip};
use campanile_core::event::EntryData;
use campanile_core::inside::Previous;
use campanile_core::network::Policy;
use campanile_core::number::{UserNo, millis};
use campanile_core::own_zone;
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_core::user::Profile;
use campanile_core::webhook::{Request, Unsendable};
use campanile_scheduler::campaigns::began_at;
use campanile_scheduler::entering::{self, Entering};
use campanile_sender::admit::{self, Decision, Given};
use campanile_sender::closed::Closed;
use jiff::Timestamp;

use crate::imagined::Imagined;

/// Stands where a real send has its id.
pub const NO_SEND: &str = "preview";
/// How often a send is looked at again that has to wait; one that still waits then waits for something else than the clock.
const LOOKS_MAX: usize = 4;

/// A campaign, and all it is judged by.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    pub record: &'a CampaignRecord,
    /// Of the record's revision.
    pub campaign: &'a Campaign,
    pub secrets: &'a Secrets,
    pub segments: &'a Segments,
    pub policy: &'a Policy,
    pub limits: &'a DeploymentLimits,
    pub control: ControlWord,
    closed: Option<&'a Closed>,
}

/// Whom it is tried with.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// None: there is no such user.
    pub profile: Option<&'a Profile>,
    /// The event of a triggered campaign, the values of a manual one. None: an occurrence, or nothing that could set it off.
    pub entry: Option<&'a EntryData>,
    /// The number of the action it is about, where that is not the first, and what it is told of the one before.
    pub step: Option<(u8, &'a Previous)>,
    /// When the event arrives, the request comes, or the occurrence fires.
    pub at: Timestamp,
    /// What the store says of the caps that concern it. None: nobody asked.
    pub counted: Option<CapAnswer>,
}

/// What would become of a candidate, with why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent(Request),
    Refused(Refusal, String),
    Suppressed(Suppression, String),
    Waits(Timestamp, String),
    /// The condition of the action was false: the next one is considered.
    Skipped(String),
}

/// A send as it was planned, with what it is known by.
#[derive(Clone, Copy)]
pub struct Planned<'a> {
    pub send: &'a DueSend,
    pub send_id: &'a str,
}

/// What would become of a planned send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    pub fate: Fate,
    /// When that is decided.
    pub at: Timestamp,
    /// It had to wait first, for the end of quiet hours.
    pub has_waited: bool,
}

/// The gates of both parts, up to the one that stops the candidate.
pub struct Steps {
    pub entering: Vec<entering::Step>,
    /// Empty where the candidate does not enter.
    pub sending: Vec<admit::Step>,
}

impl<'a> Trial<'a> {
    pub fn new(
        (record, campaign): (&'a CampaignRecord, &'a Campaign),
        (secrets, segments): (&'a Secrets, &'a Segments),
        policy: &'a Policy,
        limits: &'a DeploymentLimits,
    ) -> Trial<'a> {
        // A draft has none yet: nobody enters it, so nobody asks.
        let none = || ControlWord {
            flow: Flow::Held,
            apply_revision: 0,
            lease_secs: 0,
            weight: 1,
            epoch: 0,
            bits: 0,
        };
        let control = record.control_word().unwrap_or_else(none);
        Trial { record, campaign, secrets, segments, policy, limits, control, closed: None }
    }

    /// Where its destination takes nothing now.
    pub fn with_closed(self, closed: Option<&'a Closed>) -> Trial<'a> {
        Trial { closed, ..self }
    }

    pub fn fate(&self, candidate: &Candidate<'_>) -> Fate {
        let entering = self.entering(candidate);
        if let Some((gate, reason)) = entering::refused(&entering) {
            return Fate::Refused(reason, (gate.saw)(&entering));
        }
        if let Some((reason, text)) = entering.ends_at_once() {
            return Fate::Suppressed(reason, text);
        }
        fate(self.with_given(candidate, entering.due_at, admit::admit))
    }

    /// What would become of a planned send from its due instant on, if it were claimed whenever it may go.
    pub fn course(&self, candidate: &Candidate<'_>, planned: Planned<'_>) -> Course {
        let mut at = planned.send.due_at.max(candidate.at);
        let mut has_waited = false;
        for _ in 0..LOOKS_MAX {
            match fate(admit::admit(&self.given_as(candidate, planned, at))) {
                Fate::Waits(until, _) if until > at => (at, has_waited) = (until, true),
                fate => return Course { fate, at, has_waited },
            }
        }
        Course { fate: fate(admit::admit(&self.given_as(candidate, planned, at))), at, has_waited }
    }

    /// The send of somebody who enters by an event or by hand; the error says why it ends in being planned.
    pub fn planned(&self, candidate: &Candidate<'_>) -> Result<DueSend, (Suppression, String)> {
        let entering = self.entering(candidate);
        match entering.ends_at_once() {
            Some(ends) => Err(ends),
            None => Ok(self.due_send(candidate, entering.due_at)),
        }
    }

    /// The request of a planned send as it may be shown, with secrets masked.
    pub fn masked(&self, candidate: &Candidate<'_>, planned: Planned<'_>, at: Timestamp) -> Option<Request> {
        let given = self.given_as(candidate, planned, at);
        given.version()?.webhook.render_masked(&given.context()?).ok()
    }

    /// What the store is to be asked of a stored user's caps, as of when the send would be due.
    pub fn cap_ask(&self, candidate: &Candidate<'_>, user: UserNo) -> Option<CapAsk> {
        let due_at = self.entering(candidate).due_at;
        let ask = self.with_given(candidate, due_at, |given| given.cap_ask())?;
        Some(CapAsk { user, ..ask })
    }

    pub fn steps(&self, candidate: &Candidate<'_>) -> Steps {
        let facts = self.entering(candidate);
        let entering = entering::steps(&facts);
        let enters = entering.iter().all(|step| step.refused.is_none());
        let sending = match facts.ends_at_once().filter(|_| enters) {
            Some((reason, saw)) => {
                let stopped = Some(Decision::Suppress(reason, saw.clone()));
                vec![admit::Step { gate: "due", saw, stopped }]
            }
            None if enters => self.with_given(candidate, facts.due_at, admit::steps),
            None => Vec::new(),
        };
        Steps { entering, sending }
    }

    /// Why the user would not enter.
    pub fn refused(&self, candidate: &Candidate<'_>) -> Option<(Refusal, String)> {
        let entering = self.entering(candidate);
        entering::refused(&entering).map(|(gate, reason)| (reason, (gate.saw)(&entering)))
    }

    /// Whether the user would not enter, without the words.
    pub fn refused_quietly(&self, candidate: &Candidate<'_>) -> bool {
        entering::refused(&self.entering(candidate)).is_some()
    }

    /// Whether the user belongs to the audience, whatever sets the campaign off.
    pub fn is_in_audience(&self, profile: &Profile, due_at: Timestamp) -> bool {
        let by_occurrence = Entering::by_occurrence(
            (self.record, self.campaign, self.segments),
            due_at,
            Some(profile),
            due_at,
        );
        entering::refused(&by_occurrence).is_none()
    }

    /// The request as it would be posted, whatever the gates say; and as it may be shown, with secrets masked.
    pub fn render(&self, candidate: &Candidate<'_>, send_id: &str) -> Result<(Request, Request), Unsendable> {
        let due_at = self.entering(candidate).due_at;
        let send = self.due_send(candidate, due_at);
        let given = Given { send_id, ..self.given(candidate, &send, due_at) };
        let (Some(version), Some(context)) = (given.version(), given.context()) else {
            let detail = "there is no such user".to_owned();
            return Err(Unsendable { reason: Suppression::UserDeleted, detail });
        };
        Ok((version.webhook.render(&context)?, version.webhook.render_masked(&context)?))
    }

    fn entering<'c>(&'c self, candidate: &Candidate<'c>) -> Entering<'c> {
        let (record, campaign, profile) = (self.record, self.campaign, candidate.profile);
        match candidate.entry {
            Some(EntryData::Event(event)) => {
                let of = (record, Some(campaign), began_at(record));
                Entering::by_event(of, self.segments, event, candidate.at, profile, candidate.at)
            }
            Some(EntryData::Values(values)) => {
                let given = (values, Skip::default());
                Entering::by_request((record, campaign, self.segments), given, profile, candidate.at)
            }
            None => {
                let of = (record, campaign, self.segments);
                Entering::by_occurrence(of, candidate.at, profile, candidate.at)
            }
        }
    }

    /// As if the send were claimed the moment it is due.
    fn with_given<T>(
        &self,
        candidate: &Candidate<'_>,
        due_at: Timestamp,
        ask: impl FnOnce(&Given<'_>) -> T,
    ) -> T {
        let send = self.due_send(candidate, due_at);
        ask(&self.given(candidate, &send, due_at))
    }

    fn due_send(&self, candidate: &Candidate<'_>, due_at: Timestamp) -> DueSend {
        let kind = match candidate.entry {
            _ if candidate.step.is_some() => EntryKind::Chain,
            Some(EntryData::Event(_)) => EntryKind::Event,
            Some(EntryData::Values(_)) => EntryKind::Request,
            None => EntryKind::Occurrence,
        };
        let first = self.campaign.actions.first().map_or(0, |first| first.number);
        DueSend {
            pinned: false,
            has_data: candidate.entry.is_some(),
            has_request: false,
            skip: Skip::default(),
            kind,
            user: UserNo(0),
            key: self.key(candidate, due_at),
            action: candidate.step.map_or(first, |(number, _)| number),
            due_at,
            revision: self.record.revision,
            attempts: 0,
            redeliveries: 0,
            first_claim_after_ms: 0,
        }
    }

    /// On users' own clocks an occurrence is named by the wall clock it is due at.
    fn key(&self, candidate: &Candidate<'_>, due_at: Timestamp) -> u64 {
        let zones = &self.campaign.zones;
        let zone = candidate.profile.filter(|_| zones.are_own).and_then(|profile| zones.of(profile));
        zone.map_or(0, |zone| millis(own_zone::name_of(zone.to_datetime(due_at))))
    }

    fn given<'c>(&'c self, candidate: &Candidate<'c>, send: &'c DueSend, due_at: Timestamp) -> Given<'c> {
        self.given_as(candidate, Planned { send, send_id: NO_SEND }, due_at.max(candidate.at))
    }

    fn given_as<'c>(
        &'c self,
        candidate: &Candidate<'c>,
        Planned { send, send_id }: Planned<'c>,
        now: Timestamp,
    ) -> Given<'c> {
        Given {
            send,
            send_id,
            class: Class::First,
            control: &self.control,
            record: self.record,
            campaign: self.campaign,
            profile: candidate.profile,
            entry: Ok(candidate.entry),
            opened: None,
            others: None,
            previous: candidate.step.map(|(_, previous)| previous),
            kept: None,
            secrets: self.secrets,
            segments: self.segments,
            policy: self.policy,
            limits: self.limits,
            counted: candidate.counted,
            closed: self.closed,
            now,
        }
    }
}

fn fate(decision: Decision) -> Fate {
    match decision {
        Decision::Send(request) => Fate::Sent(request),
        Decision::Suppress(reason, text) => Fate::Suppressed(reason, text),
        Decision::Hold(until, text) | Decision::Park(until, text) => Fate::Waits(until, text),
        Decision::Later(due_at) => Fate::Waits(due_at, "the user's clock is not there yet".to_owned()),
        Decision::Skip(text) | Decision::Miss(text) => Fate::Skipped(text),
        // It has a place of its own.
        Decision::Drop => Fate::Skipped(String::new()),
        Decision::Refuse(reason, text) => Fate::Refused(reason, text),
    }
}

/// The record of a campaign as it would be if it were active: what previews and rehearsals are about.
pub fn as_if_active(record: &CampaignRecord) -> CampaignRecord {
    CampaignRecord { state: State::Active, transitions: Vec::new(), ..record.clone() }
}

/// What sets a campaign off, of what a caller gave.
pub fn entry_of(campaign: &Campaign, given: &Imagined) -> Option<EntryData> {
    match campaign.when {
        When::Triggered(_) => given.event.clone().map(EntryData::Event),
        When::Manual => Some(EntryData::Values(given.values.clone())),
        When::OneTime(_) | When::Recurring(_) => None,
    }
}
