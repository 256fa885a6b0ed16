//! Pure. Whether a claimed send is sent: gates in the order of the contract, the first that stops it names the reason.
//!
//! Facts are gathered beforehand, as of the claim. `admit` decides; `steps` shows the same gates to somebody who asks why, and there is no
//! second copy of the rules. The gates of entering stand the same way in the scheduler's `entering`.
//!
//! **To add a gate**: put the facts it needs into `Given`; write `stops`, which decides and, where the send may pass, allocates nothing; write
//! `saw`, which puts into words what was looked at where the send passes, never decides, and runs only when somebody asks; then give it its line
//! in `GATES`, where the contract has it. Nothing else has to be told.

use std::time::Duration;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::{Action, Version};
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::caps::{CapAnswer, CapAsk, CapKey};
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::delivery_record::OpenEntry;
use campanile_core::deployment_limits::{Cap, DeploymentLimits};
use campanile_core::due_send::{Class, DueSend, EntryKind, SendId};
use campanile_core::event::EntryData;
use campanile_core::facts::Facts;
use campanile_core::inside::Previous;
use campanile_core::kept::Kept;
use campanile_core::network::Policy;
use campanile_core::number::{Shard, instant};
use campanile_core::own_zone::Own;
use campanile_core::quiet_hours::QuietHours;
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_core::user::Profile;
use campanile_core::webhook::{RenderContext, Request, Unsendable};
use jiff::Timestamp;

use crate::admit_inside::{
    awaited, cancel, condition, due, exit, inside, overtaken, saw_condition, saw_still_current, still_current,
};
use crate::closed::{self, Closed};
use crate::opted_out;

/// What this version cannot read may be read by another sender, or after an upgrade: it waits this long and is looked at again.
pub const UNREADABLE_WAIT: Duration = Duration::from_secs(60);

/// The facts about one claimed send.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub send: &'a DueSend,
    pub send_id: &'a str,
    pub class: Class,
    pub control: &'a ControlWord,
    pub record: &'a CampaignRecord,
    /// Of the send's revision.
    pub campaign: &'a Campaign,
    /// None: the user is gone.
    pub profile: Option<&'a Profile>,
    /// What opened the entry; `Err` says why it cannot be read.
    pub entry: Result<Option<&'a EntryData>, &'a str>,
    /// Its entry, as the user's delivery record lists it.
    pub opened: Option<&'a OpenEntry>,
    /// All open entries of the user, as the delivery record lists them. None: there is none.
    pub others: Option<&'a [OpenEntry]>,
    /// What became of the action before.
    pub previous: Option<&'a Previous>,
    /// The request that was sent before.
    pub kept: Option<&'a Kept>,
    pub secrets: &'a Secrets,
    pub segments: &'a Segments,
    pub policy: &'a Policy,
    /// What the deployment holds every send to.
    pub limits: &'a DeploymentLimits,
    /// What the store answered for its `cap_ask`. None: there is none, or nobody asked yet.
    pub counted: Option<CapAnswer>,
    /// Its destination takes nothing now.
    pub closed: Option<&'a Closed>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Send(Request),
    /// With the detail: which condition, which expression.
    Suppress(Suppression, String),
    /// Not now; why not.
    Hold(Timestamp, String),
    /// Not now, and nothing else of its lane either; why not.
    Park(Timestamp, String),
    /// Due at this instant instead: its user moved, or a newer trigger gave its entry another one.
    Later(Timestamp),
    /// Its action is passed over.
    Skip(String),
    /// The event that its action waits for did not come in time: its entry ends.
    Miss(String),
    /// Another send of its entry has taken its place: it goes without a trace.
    Drop,
    /// The user does not enter after all. Only before anything was sent, where the audience is decided at the due instant.
    Refuse(Refusal, String),
}

/// One rule about sending.
pub struct Gate {
    /// As an explanation calls it.
    pub name: &'static str,
    /// None: the send may pass.
    pub stops: for<'a> fn(&Given<'a>) -> Option<Decision>,
    /// What it looked at when the send passed, in words. Empty: it does not concern this send.
    pub saw: for<'a> fn(&Given<'a>) -> String,
}

/// Every rule about sending, in the order of the contract, but for the last one, which renders the request.
pub const GATES: &[Gate] = &[
    Gate { name: "overtaken", stops: overtaken, saw: |_| String::new() },
    Gate { name: "campaign", stops: campaign, saw: |_| "the campaign sends".to_owned() },
    Gate { name: "user", stops: user, saw: saw_user },
    Gate { name: "due", stops: due, saw: |_| String::new() },
    Gate { name: "awaited event", stops: awaited, saw: |_| String::new() },
    Gate { name: "own time", stops: own_time, saw: saw_own_time },
    Gate { name: "opted out", stops: opted_out::stops, saw: opted_out::saw },
    Gate { name: "segments", stops: segments, saw: |_| String::new() },
    Gate { name: "audience", stops: audience, saw: saw_audience },
    Gate { name: "inside", stops: inside, saw: |_| String::new() },
    Gate { name: "condition", stops: condition, saw: saw_condition },
    Gate { name: "holdback", stops: holdback, saw: saw_holdback },
    Gate { name: "cancel", stops: cancel, saw: |_| String::new() },
    Gate { name: "exit", stops: exit, saw: |_| String::new() },
    Gate { name: "still current", stops: still_current, saw: saw_still_current },
    Gate { name: "expiry", stops: expiry, saw: saw_expiry },
    Gate { name: "quiet hours", stops: quiet_hours, saw: saw_quiet_hours },
    Gate { name: "destination", stops: closed::stops, saw: |_| String::new() },
    Gate { name: "entry", stops: entry, saw: |_| String::new() },
    Gate { name: "secrets", stops: secrets, saw: saw_secrets },
    Gate { name: "caps", stops: caps, saw: saw_caps },
];

/// How an explanation calls the rendering.
const REQUEST: &str = "request";

pub fn admit(given: &Given<'_>) -> Decision {
    gates(given).unwrap_or_else(|| request(given))
}

/// All gates, without the rendering.
pub fn gates(given: &Given<'_>) -> Option<Decision> {
    GATES.iter().find_map(|gate| (gate.stops)(given))
}

/// A gate and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub gate: &'static str,
    /// What it looked at, in words.
    pub saw: String,
    /// None: it let the send pass.
    pub stopped: Option<Decision>,
}

/// The gates that concern the send, up to the one that stops it.
pub fn steps(given: &Given<'_>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(GATES.len() + 1);
    for gate in GATES {
        if let Some(stopped) = (gate.stops)(given) {
            steps.push(Step::stopped(gate.name, stopped));
            return steps;
        }
        let saw = (gate.saw)(given);
        if !saw.is_empty() {
            steps.push(Step { gate: gate.name, saw, stopped: None });
        }
    }
    steps.push(match request(given) {
        Decision::Send(request) => {
            let saw = format!("{} with {} bytes of body", request.method.name(), request.body.len());
            Step { gate: REQUEST, saw, stopped: None }
        }
        stopped => Step::stopped(REQUEST, stopped),
    });
    steps
}

impl Step {
    fn stopped(gate: &'static str, decision: Decision) -> Step {
        let saw = match &decision {
            Decision::Suppress(_, text)
            | Decision::Hold(_, text)
            | Decision::Park(_, text)
            | Decision::Refuse(_, text) => text.clone(),
            Decision::Later(due_at) => format!("it is due at {due_at} now"),
            Decision::Skip(text) | Decision::Miss(text) => text.clone(),
            Decision::Drop => "another send of its entry has taken its place".to_owned(),
            Decision::Send(_) => String::new(),
        };
        Step { gate, saw, stopped: Some(decision) }
    }
}

fn campaign(given: &Given<'_>) -> Option<Decision> {
    if given.record.deleted_at.is_some() {
        return Some(Decision::Suppress(Suppression::CampaignEnded, "the campaign was deleted".to_owned()));
    }
    if given.class == Class::Resent {
        return None;
    }
    if given.control.flow == Flow::Stopped {
        return Some(Decision::Suppress(Suppression::CampaignEnded, "the campaign was ended".to_owned()));
    }
    let due_at = given.opened.map_or(given.send.due_at, |opened| opened.due_at);
    if let When::Triggered(triggered) = &given.campaign.when
        && triggered.window.cuts(due_at)
    {
        let text = format!("it was due at {due_at}, after the campaign's end");
        return Some(Decision::Suppress(Suppression::CampaignEnded, text));
    }
    if given.is_cancelled() {
        return Some(Decision::Suppress(Suppression::Cancelled, "it was cancelled".to_owned()));
    }
    let dropped = given.record.dropped_until.filter(|until| due_at <= *until)?;
    let text = format!("what was due until {dropped} was dropped when the campaign was resumed");
    Some(Decision::Suppress(Suppression::Cancelled, text))
}

fn user(given: &Given<'_>) -> Option<Decision> {
    let gone = || Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned());
    given.profile.is_none().then(gone)
}

fn saw_user(given: &Given<'_>) -> String {
    given
        .profile
        .map_or_else(String::new, |profile| format!("the user is known since {}", profile.created_at))
}

/// On users' own clocks: the user may have moved since this was planned.
fn own_time(given: &Given<'_>) -> Option<Decision> {
    if !given.is_on_own_clock() || given.send.next_attempt() > 1 || given.class == Class::Resent {
        return None;
    }
    let Some(zone) = given.campaign.zones.of(given.profile?) else {
        let text = "the user has no time zone".to_owned();
        return Some(Decision::Suppress(Suppression::NoTimeZone, text));
    };
    let own = given.campaign.own_occurrence(instant(given.send.key));
    let late = |text| Decision::Suppress(Suppression::Late, text);
    match own.again(&zone, given.send.due_at, given.now) {
        Own::Due(due_at) if due_at > given.now => Some(Decision::Later(due_at)),
        Own::Due(_) => None,
        Own::Late(due_at) => Some(late(format!("on the user's clock it was due at {due_at}"))),
        Own::Never => Some(late("the user's clock skips its time".to_owned())),
    }
}

fn saw_own_time(given: &Given<'_>) -> String {
    if !given.is_on_own_clock() {
        return String::new();
    }
    format!("it is due at {} on the user's clock", given.send.due_at)
}

/// A segment may be deleted in the instant in which a campaign comes to name it: the send waits for it as long as it is good.
fn segments(given: &Given<'_>) -> Option<Decision> {
    let missing = given.segments.missing(&given.campaign.named).filter(|_| !given.is_audience_decided());
    missing.map(|missing| given.wait(missing))
}

/// As of the due instant, however late the send goes. On users' own clocks this is where it is decided who enters, once.
fn audience(given: &Given<'_>) -> Option<Decision> {
    if given.is_audience_decided() {
        return None;
    }
    let facts = given.facts()?;
    if given.campaign.takes(&facts) {
        return None;
    }
    let why = given.campaign.audience.explain(&facts).first_false().unwrap_or_default();
    // A sender that died may have posted it.
    let is_first_look = given.is_on_own_clock() && given.send.redeliveries == 0;
    Some(match is_first_look {
        true => Decision::Refuse(Refusal::NotInAudience, why),
        false => Decision::Suppress(Suppression::AudienceLeft, why),
    })
}

fn saw_audience(given: &Given<'_>) -> String {
    match given.facts() {
        _ if given.class == Class::Resent => String::new(),
        _ if given.send.skip.audience => "skipped, as asked".to_owned(),
        _ if given.campaign.is_sticky() => "decided at entry".to_owned(),
        Some(facts) => given.campaign.audience.explain(&facts).saw(),
        None => String::new(),
    }
}

fn holdback(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent || !given.campaign.holds_back(&given.profile?.id) {
        return None;
    }
    let percent = given.campaign.draft.audience.holdback_percent;
    let text = format!("the user is among the {percent} % held back for comparison");
    Some(Decision::Suppress(Suppression::Holdback, text))
}

fn saw_holdback(given: &Given<'_>) -> String {
    let percent = given.campaign.draft.audience.holdback_percent;
    if percent == 0.0 || given.class == Class::Resent {
        return String::new();
    }
    format!("the user is not among the {percent} % held back for comparison")
}

fn expiry(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent {
        return None;
    }
    let expires_at = given.campaign.expires_at(given.send.due_at, given.profile?);
    (given.now > expires_at)
        .then(|| Decision::Suppress(Suppression::Expired, format!("it was good until {expires_at}")))
}

fn saw_expiry(given: &Given<'_>) -> String {
    let Some(profile) = given.profile.filter(|_| given.class != Class::Resent) else {
        return String::new();
    };
    format!("it is good until {}", given.campaign.expires_at(given.send.due_at, profile))
}

/// Of the user's day, wherever the send was due.
fn quiet_hours(given: &Given<'_>) -> Option<Decision> {
    let hours = given.quiet_hours()?;
    let end = hours.end(given.now, &given.facts()?.zone())?;
    let text = format!("it is {} to {} for the user", hours.from, hours.to);
    Some(match hours.drop {
        true => Decision::Suppress(Suppression::QuietHoursDrop, text),
        false => Decision::Hold(end, text),
    })
}

fn saw_quiet_hours(given: &Given<'_>) -> String {
    match given.quiet_hours() {
        Some(hours) => format!("it is not {} to {} for the user", hours.from, hours.to),
        None if given.send.skip.quiet_hours => "skipped, as asked".to_owned(),
        None => String::new(),
    }
}

fn entry(given: &Given<'_>) -> Option<Decision> {
    let text = given.entry.err()?;
    Some(given.wait(text.to_owned()))
}

/// A secret that is gone may be put again: the send waits for it as long as it is good.
fn secrets(given: &Given<'_>) -> Option<Decision> {
    let mut names = given.version()?.webhook.secrets().iter();
    let missing = names.find(|name| given.secrets.get(name).is_none())?;
    Some(given.wait(format!("secret {missing} does not exist")))
}

fn saw_secrets(given: &Given<'_>) -> String {
    let names = given.version().map_or(&[][..], |version| version.webhook.secrets());
    if names.is_empty() { String::new() } else { format!("{} are there", names.join(", ")) }
}

/// Suppressed, never delayed.
fn caps(given: &Given<'_>) -> Option<Decision> {
    let Some(CapAnswer::Over(place)) = given.counted else { return None };
    let cap = given.caps().nth(place)?;
    let text = format!("the deployment allows {}, and that was reached", cap.text());
    Some(Decision::Suppress(cap.reason(), text))
}

fn saw_caps(given: &Given<'_>) -> String {
    if given.class == Class::Resent {
        return String::new();
    }
    if given.send.skip.caps {
        return "skipped, as asked".to_owned();
    }
    let texts: Vec<String> = given.caps().map(Cap::text).collect();
    match given.counted {
        _ if texts.is_empty() => String::new(),
        _ if given.send.attempts > 0 => "it was counted with its first attempt".to_owned(),
        Some(_) => format!("not reached: {}", texts.join("; ")),
        None => String::new(),
    }
}

fn request(given: &Given<'_>) -> Decision {
    if given.profile.is_none() {
        return Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned());
    }
    let Some((version, context)) = given.version().zip(given.context()) else {
        let text = "the campaign no longer has this action".to_owned();
        return Decision::Suppress(Suppression::Cancelled, text);
    };
    let rendered = match given.kept {
        Some(kept) => version.webhook.again(&kept.request, &context),
        None => version.webhook.render(&context),
    };
    match rendered {
        Ok(request) => Decision::Send(request),
        Err(Unsendable { reason, detail }) => Decision::Suppress(reason, detail),
    }
}

impl<'a> Given<'a> {
    pub fn action(&self) -> Option<&'a Action> {
        self.campaign.action(self.send.action)
    }

    fn is_cancelled(&self) -> bool {
        let cancelled = &self.record.cancelled;
        if cancelled.is_empty() {
            return false;
        }
        let shard = SendId::parse(self.send_id).map_or(Shard(0), |id| id.shard);
        cancelled.covers(shard, self.send.user, self.send.revision)
    }

    fn is_on_own_clock(&self) -> bool {
        self.campaign.zones.are_own && self.send.kind == EntryKind::Occurrence
    }

    /// Nobody asks any more whether the user belongs to the audience.
    fn is_audience_decided(&self) -> bool {
        let sticks = self.campaign.is_sticky();
        let is_decided = if self.is_on_own_clock() { self.send.attempts > 0 } else { sticks };
        self.class == Class::Resent || self.send.skip.audience || is_decided
    }

    pub(crate) fn wait(&self, text: String) -> Decision {
        Decision::Hold(self.now.checked_add(UNREADABLE_WAIT).unwrap_or(Timestamp::MAX), text)
    }

    /// Those that concern the send: its campaign's own, else the deployment's.
    fn quiet_hours(&self) -> Option<&'a QuietHours> {
        let skips = self.class == Class::Resent || self.send.skip.quiet_hours;
        let own = self.campaign.quiet_hours.as_ref();
        own.or_else(|| self.limits.quiet_hours_of(&self.campaign.draft)).filter(|_| !skips)
    }

    /// Those that count its campaign.
    fn caps(&self) -> impl Iterator<Item = &'a Cap> {
        self.limits.caps_of(&self.campaign.draft)
    }

    /// What is to be reserved before it is posted. None: no cap concerns it, or it was counted with an earlier attempt.
    pub fn cap_ask(&self) -> Option<CapAsk> {
        let is_free = self.class == Class::Resent || self.send.skip.caps || self.send.attempts > 0;
        if is_free || self.caps().next().is_none() {
            return None;
        }
        let zone = self.facts()?.zone();
        let DueSend { user, key, action, .. } = *self.send;
        Some(CapAsk {
            user,
            send: CapKey { campaign: self.record.no, key, action },
            rules: self.caps().map(|cap| cap.rule(self.now, &zone)).collect(),
        })
    }

    /// None: the user is gone.
    pub fn facts(&self) -> Option<Facts<'a>> {
        let (event, values) = match self.entry {
            Ok(Some(EntryData::Event(event))) => (Some(event), None),
            Ok(Some(EntryData::Values(values))) => (None, Some(values)),
            Ok(None) | Err(_) => (None, None),
        };
        Some(Facts {
            profile: self.profile?,
            event,
            values,
            previous: self.previous,
            as_of: self.send.due_at,
            segments: self.segments,
            now: if self.send.pinned { self.send.first_claim_at() } else { self.now },
            fallback_zone: &self.campaign.zones.fallback,
        })
    }

    /// What of the action this user is sent. None: action or user is gone.
    pub fn version(&self) -> Option<&'a Version> {
        self.action()?.version_of(&self.profile?.id)
    }

    /// What its request is rendered from. None: action or user is gone.
    pub fn context(&self) -> Option<RenderContext<'a>> {
        Some(RenderContext {
            facts: self.facts()?,
            due_at: self.send.due_at,
            send_id: self.send_id,
            campaign_id: &self.record.id,
            campaign_title: &self.campaign.draft.title,
            action_name: &self.action()?.name,
            variant: &self.version()?.name,
            secrets: self.secrets,
            policy: self.policy,
        })
    }
}
