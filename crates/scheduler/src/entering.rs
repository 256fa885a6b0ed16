//! Pure. Whether a user enters a campaign: gates in the order of the contract, the first that stops an entry names the reason.
//!
//! `GATES` is the one list of these rules. Whoever decides asks it (`trigger`, `plan`, `manual`), and so does whoever explains or
//! rehearses (`steps`): there is no second copy. The gates of sending stand the same way in the sender's `admit`.
//!
//! **To add a gate**: gather the facts it needs beforehand and put them into `Entering`; write `stops`, which decides, runs for every user of a
//! fan-out and so allocates nothing; write `saw`, which puts into words what was looked at, never decides, and runs only for an entry that
//! was stopped or when somebody asks; then give it its line in `GATES`, where the contract has it. Nothing else has to be told.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::due_send::Skip;
use campanile_core::event::Event;
use campanile_core::facts::Facts;
use campanile_core::limits;
use campanile_core::own_zone;
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::segments::Segments;
use campanile_core::triggered::{Triggered, Window};
use campanile_core::user::Profile;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::standing::Standing;

/// How far the clock of whoever reports an event may be behind ours without its event lying before a start.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(5);

/// The facts about one user who may enter.
#[derive(Clone, Copy, Debug)]
pub struct Entering<'a> {
    pub record: &'a CampaignRecord,
    /// Of the revision that is decided under. None: it is over and no longer known.
    pub campaign: Option<&'a Campaign>,
    pub cause: Cause<'a>,
    /// What conditions may name.
    pub segments: &'a Segments,
    /// None: there is no such user.
    pub profile: Option<&'a Profile>,
    /// When the first send of the entry would be due.
    pub due_at: Timestamp,
    /// What the user's earlier entries say, where the campaign asks.
    pub standing: Option<Standing<'a>>,
    pub now: Timestamp,
}

/// What makes the user enter.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    Occurrence,
    Event {
        event: &'a Event,
        accepted_at: Timestamp,
        /// When the campaign was first activated.
        began_at: Option<Timestamp>,
    },
    Request {
        values: &'a Map<String, Value>,
        skip: Skip,
    },
}

/// One rule about entering.
pub struct Gate {
    /// As an explanation calls it.
    pub name: &'static str,
    pub stops: fn(&Entering<'_>) -> Option<Refusal>,
    /// What it looked at, in words. Empty: it does not concern this kind of entry.
    pub saw: fn(&Entering<'_>) -> String,
}

/// Every rule about entering, in the order in which reasons are told.
pub const GATES: &[Gate] = &[
    Gate { name: "campaign", stops: campaign, saw: saw_campaign },
    Gate { name: "start", stops: start, saw: saw_start },
    Gate { name: "event age", stops: event_age, saw: saw_event_age },
    Gate { name: "trigger", stops: trigger, saw: saw_trigger },
    Gate { name: "delay", stops: delay, saw: saw_delay },
    Gate { name: "user", stops: user, saw: saw_user },
    Gate { name: "values", stops: values, saw: saw_values },
    Gate { name: "audience", stops: audience, saw: saw_audience },
    Gate { name: "entry limit", stops: entry_limit, saw: saw_entry_limit },
    Gate { name: "pending", stops: pending, saw: saw_pending },
];

/// The gate that stops the entry, with its reason; none: the user enters.
pub fn refused(entering: &Entering<'_>) -> Option<(&'static Gate, Refusal)> {
    GATES.iter().find_map(|gate| (gate.stops)(entering).map(|reason| (gate, reason)))
}

/// A gate and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub gate: &'static str,
    pub saw: String,
    /// None: it let the user pass.
    pub refused: Option<Refusal>,
}

/// The gates that concern the entry, up to the one that stops it.
pub fn steps(entering: &Entering<'_>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(GATES.len());
    for gate in GATES {
        let refused = (gate.stops)(entering);
        let saw = (gate.saw)(entering);
        if refused.is_some() || !saw.is_empty() {
            steps.push(Step { gate: gate.name, saw, refused });
        }
        if refused.is_some() {
            break;
        }
    }
    steps
}

impl<'a> Entering<'a> {
    pub fn by_occurrence(
        (record, campaign, segments): (&'a CampaignRecord, &'a Campaign, &'a Segments),
        due_at: Timestamp,
        profile: Option<&'a Profile>,
        now: Timestamp,
    ) -> Entering<'a> {
        let (campaign, cause) = (Some(campaign), Cause::Occurrence);
        Entering { record, campaign, segments, cause, profile, due_at, standing: None, now }
    }

    /// With what is known of the campaign; the delay of a triggered one counts from the event.
    pub fn by_event(
        (record, campaign, began_at): (&'a CampaignRecord, Option<&'a Campaign>, Option<Timestamp>),
        segments: &'a Segments,
        event: &'a Event,
        accepted_at: Timestamp,
        profile: Option<&'a Profile>,
        now: Timestamp,
    ) -> Entering<'a> {
        let cause = Cause::Event { event, accepted_at, began_at };
        let occurred_at = event.occurred_at.min(accepted_at);
        let undelayed =
            Entering { record, campaign, segments, cause, profile, due_at: occurred_at, standing: None, now };
        let due_at = undelayed.delayed().and_then(Result::ok).unwrap_or(occurred_at);
        Entering { due_at, ..undelayed }
    }

    pub fn by_request(
        (record, campaign, segments): (&'a CampaignRecord, &'a Campaign, &'a Segments),
        (values, skip): (&'a Map<String, Value>, Skip),
        profile: Option<&'a Profile>,
        now: Timestamp,
    ) -> Entering<'a> {
        let due_at = profile.map_or(now, |profile| first_due(campaign, profile, now));
        let (campaign, cause) = (Some(campaign), Cause::Request { values, skip });
        Entering { record, campaign, segments, cause, profile, due_at, standing: None, now }
    }

    pub fn with(self, standing: Option<Standing<'a>>) -> Entering<'a> {
        Entering { standing, ..self }
    }

    /// What conditions look at, those about time as of this instant. None: there is no such user.
    fn facts(&self, as_of: Timestamp) -> Option<Facts<'a>> {
        let (event, values) = match self.cause {
            Cause::Occurrence => (None, None),
            Cause::Event { event, .. } => (Some(event), None),
            Cause::Request { values, .. } => (None, Some(values)),
        };
        let (now, segments, fallback_zone) = (self.now, self.segments, &self.campaign?.zones.fallback);
        Some(Facts {
            profile: self.profile?,
            event,
            values,
            previous: None,
            as_of,
            now,
            segments,
            fallback_zone,
        })
    }

    /// When the delay of a triggered campaign ends, counted from the event; the error says which time is missing.
    fn delayed(&self) -> Option<Result<Timestamp, String>> {
        let Cause::Event { event, .. } = self.cause else { return None };
        let (occurred_at, _) = self.happened()?;
        let (campaign, profile) = (self.campaign?, self.profile?);
        let zone = campaign.zones.of(profile).unwrap_or_else(|| campaign.zones.fallback.clone());
        Some(triggered_of(campaign)?.delay.due_at(occurred_at, &zone, profile, Some(event)))
    }

    /// Why the first send of a triggered entry that is made ends in being planned; none: it is on its way.
    pub fn ends_at_once(&self) -> Option<(Suppression, String)> {
        let (campaign, (_, accepted_at)) = (self.campaign?, self.happened()?);
        let due_at = self.due_at;
        if let Cause::Event { event, .. } = self.cause
            && event.hops() > limits::HOPS_MAX
        {
            let text = format!("{} campaigns have set one another off in a row", limits::HOPS_MAX);
            return Some((Suppression::Loop, text));
        }
        if triggered_of(campaign)?.window.cuts(due_at) {
            let text = format!("it would be due at {due_at}, after the campaign's end");
            return Some((Suppression::CampaignEnded, text));
        }
        if campaign.zones.of(self.profile?).is_none() {
            return Some((Suppression::NoTimeZone, "the user has no time zone".to_owned()));
        }
        // By when the trigger arrived: what waits in our own log is not late by that.
        let text = || format!("it was due at {due_at}, the event arrived at {accepted_at}");
        own_zone::is_late(due_at, accepted_at).then(|| (Suppression::Late, text()))
    }

    fn window(&self) -> Window {
        self.campaign.and_then(triggered_of).map(|triggered| triggered.window).unwrap_or_default()
    }

    fn skip(&self) -> Skip {
        match self.cause {
            Cause::Request { skip, .. } => skip,
            Cause::Occurrence | Cause::Event { .. } => Skip::default(),
        }
    }

    /// A clock that runs ahead of ours says nothing about the future.
    fn happened(&self) -> Option<(Timestamp, Timestamp)> {
        match self.cause {
            Cause::Event { event, accepted_at, .. } => {
                Some((event.occurred_at.min(accepted_at), accepted_at))
            }
            Cause::Occurrence | Cause::Request { .. } => None,
        }
    }
}

/// By hand: when the delay of its first action ends. One from a time that the user lacks is none.
fn first_due(campaign: &Campaign, profile: &Profile, now: Timestamp) -> Timestamp {
    let Some(delay) = campaign.actions.first().and_then(|first| first.step.delay.as_ref()) else {
        return now;
    };
    let zone = campaign.zones.of(profile).unwrap_or_else(|| campaign.zones.fallback.clone());
    delay.due_at(now, &zone, profile, None).unwrap_or(now).max(now)
}

fn triggered_of(campaign: &Campaign) -> Option<&Triggered> {
    match &campaign.when {
        When::Triggered(triggered) => Some(triggered),
        _ => None,
    }
}

// ---- the gates, in their order ---------------------------------------------------------------------------------------

fn campaign(entering: &Entering<'_>) -> Option<Refusal> {
    match entering.record.state {
        State::Active => {}
        State::Paused => return Some(Refusal::Paused),
        State::Draft | State::Scheduled => return Some(Refusal::BeforeStart),
        State::Finishing | State::Ended => return Some(Refusal::AfterEnd),
    }
    let Some(campaign) = entering.campaign else { return Some(Refusal::AfterEnd) };
    let is_manual = matches!(campaign.when, When::Manual);
    (matches!(entering.cause, Cause::Request { .. }) && !is_manual).then_some(Refusal::ConditionFalse)
}

fn saw_campaign(entering: &Entering<'_>) -> String {
    let text = match (entering.record.state, campaign(entering)) {
        (_, Some(Refusal::ConditionFalse)) => "its delivery is not manual",
        (State::Active, _) => "the campaign is active",
        (State::Paused, _) => "the campaign is paused",
        (State::Draft, _) => "the campaign is a draft: activate it",
        (State::Scheduled, _) => "the campaign has not started",
        (State::Finishing | State::Ended, _) => "the campaign has ended",
    };
    text.to_owned()
}

/// When it arrived is by our clock, when it happened may be by a client's.
fn start(entering: &Entering<'_>) -> Option<Refusal> {
    let Cause::Event { event, accepted_at, began_at } = entering.cause else { return None };
    let (occurred_at, _) = entering.happened()?;
    let Window { start, end, .. } = entering.window();
    if start.is_some_and(|start| occurred_at < start) {
        return Some(Refusal::BeforeStart);
    }
    if end.is_some_and(|end| occurred_at > end) {
        return Some(Refusal::AfterEnd);
    }
    let began_at = began_at?;
    let is_before = accepted_at < began_at || began_at.duration_since(event.occurred_at) > CLOCK_SLACK;
    is_before.then_some(Refusal::BeforeStart)
}

fn saw_start(entering: &Entering<'_>) -> String {
    let Cause::Event { event, began_at, .. } = entering.cause else { return String::new() };
    let Window { start, end, .. } = entering.window();
    let mut saw = format!("it happened at {}", event.occurred_at);
    for (what, at) in [("starts", start), ("ends", end)] {
        if let Some(at) = at {
            saw.push_str(&format!(", the campaign {what} at {at}"));
        }
    }
    match (began_at, start.or(end)) {
        (Some(began_at), None) => format!("{saw}, the campaign began at {began_at}"),
        (None, None) => String::new(),
        (_, Some(_)) => saw,
    }
}

fn event_age(entering: &Entering<'_>) -> Option<Refusal> {
    let (occurred_at, accepted_at) = entering.happened()?;
    let age_max = SignedDuration::try_from(limits::EVENT_AGE_MAX).unwrap_or(SignedDuration::MAX);
    (accepted_at.duration_since(occurred_at) > age_max).then_some(Refusal::EventTooOld)
}

fn saw_event_age(entering: &Entering<'_>) -> String {
    let happened = entering.happened();
    happened.map_or_else(String::new, |(occurred_at, accepted_at)| {
        format!("it happened at {occurred_at} and arrived at {accepted_at}")
    })
}

fn trigger(entering: &Entering<'_>) -> Option<Refusal> {
    let (Cause::Event { event, .. }, Some(triggered)) =
        (entering.cause, entering.campaign.and_then(triggered_of))
    else {
        return None;
    };
    let (occurred_at, _) = entering.happened()?;
    let is_fit = entering.facts(occurred_at).is_some_and(|facts| triggered.fits(event, &facts));
    (!is_fit).then_some(Refusal::ConditionFalse)
}

fn saw_trigger(entering: &Entering<'_>) -> String {
    let (Cause::Event { event, .. }, Some(triggered)) =
        (entering.cause, entering.campaign.and_then(triggered_of))
    else {
        return String::new();
    };
    let facts = entering.happened().and_then(|(occurred_at, _)| entering.facts(occurred_at));
    facts.map_or_else(|| "there is no such user".to_owned(), |facts| triggered.saw(event, &facts))
}

/// A delay from a time that the event or the user lacks never ends.
fn delay(entering: &Entering<'_>) -> Option<Refusal> {
    entering.delayed()?.is_err().then_some(Refusal::ConditionFalse)
}

fn saw_delay(entering: &Entering<'_>) -> String {
    match entering.delayed() {
        Some(Err(text)) => text,
        Some(Ok(due_at)) if entering.happened().is_some_and(|(at, _)| at != due_at) => {
            format!("its send is due at {due_at}")
        }
        _ => String::new(),
    }
}

fn user(entering: &Entering<'_>) -> Option<Refusal> {
    entering.profile.is_none().then_some(Refusal::UnknownUser)
}

fn saw_user(entering: &Entering<'_>) -> String {
    match entering.profile {
        Some(profile) => format!("the user is known since {}", profile.created_at),
        None => "there is no such user".to_owned(),
    }
}

fn missing_values<'a>(entering: &Entering<'a>) -> impl Iterator<Item = &'a str> {
    let (names, given) = match entering.cause {
        Cause::Request { values, .. } => (entering.record.draft.requires_values.as_slice(), Some(values)),
        Cause::Occurrence | Cause::Event { .. } => (&[][..], None),
    };
    let is_missing =
        move |name: &&String| given.and_then(|given| given.get(*name)).is_none_or(Value::is_null);
    names.iter().filter(is_missing).map(String::as_str)
}

fn values(entering: &Entering<'_>) -> Option<Refusal> {
    missing_values(entering).next().map(|_| Refusal::MissingValues)
}

fn saw_values(entering: &Entering<'_>) -> String {
    let required = &entering.record.draft.requires_values;
    let missing: Vec<&str> = missing_values(entering).collect();
    match (entering.cause, missing.as_slice()) {
        (Cause::Request { .. }, [_, ..]) => format!("missing: {}", missing.join(", ")),
        (Cause::Request { .. }, []) if !required.is_empty() => format!("given: {}", required.join(", ")),
        _ => String::new(),
    }
}

/// Conditions of the audience about time are judged as of the due instant, here and again before the send.
fn audience(entering: &Entering<'_>) -> Option<Refusal> {
    if entering.skip().audience {
        return None;
    }
    let (campaign, facts) = (entering.campaign?, entering.facts(entering.due_at)?);
    let is_in = entering.segments.missing(&campaign.named).is_none() && campaign.takes(&facts);
    (!is_in).then_some(Refusal::NotInAudience)
}

fn saw_audience(entering: &Entering<'_>) -> String {
    if entering.skip().audience {
        return "skipped, as asked".to_owned();
    }
    match (entering.campaign, entering.facts(entering.due_at)) {
        (Some(campaign), Some(facts)) => {
            let missing = entering.segments.missing(&campaign.named);
            missing.unwrap_or_else(|| campaign.audience.explain(&facts).saw())
        }
        _ => String::new(),
    }
}

fn entry_limit(entering: &Entering<'_>) -> Option<Refusal> {
    let (standing, (_, accepted_at)) = (entering.standing?, entering.happened()?);
    let triggered = triggered_of(entering.campaign?)?;
    standing.limited(triggered, accepted_at).map(|_| Refusal::EntryLimit)
}

fn saw_entry_limit(entering: &Entering<'_>) -> String {
    match (entering.standing, entering.happened(), entering.campaign.and_then(triggered_of)) {
        (Some(standing), Some((_, accepted_at)), Some(triggered)) => standing.saw(triggered, accepted_at),
        _ => String::new(),
    }
}

fn pending(entering: &Entering<'_>) -> Option<Refusal> {
    let triggered = triggered_of(entering.campaign?)?;
    entering.standing?.is_ignored(triggered).then_some(Refusal::Pending)
}

fn saw_pending(entering: &Entering<'_>) -> String {
    entering.standing.map_or_else(String::new, |standing| standing.saw_pending())
}
