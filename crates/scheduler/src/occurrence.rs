//! Pure. When a one-time or recurring campaign fires: at activation, at each look, after downtime, while paused.
//!
//! Answers with the record as it is afterwards; whoever saves it first has decided. `fan_out` walks what fired.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::{OneTimeAt, When};
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::fault::Fault;
use campanile_core::limits;
use jiff::{SignedDuration, Timestamp};

/// Who moves campaigns that move by themselves.
pub const BY_ITSELF: &str = "campanile";

/// Where a campaign stands right after its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstDue {
    pub next_at: Option<Timestamp>,
    pub state: State,
}

/// A one-time campaign whose time is past for longer than a missed occurrence would be run, or a schedule with nothing left, is a
/// fault.
pub fn first_due(campaign: &Campaign, now: Timestamp) -> Result<FirstDue, Fault> {
    let fault = |field: &str, text: String| Fault { field: field.to_owned(), text };
    match &campaign.when {
        When::OneTime(OneTimeAt::Now) => Ok(FirstDue { next_at: Some(now), state: State::Active }),
        When::OneTime(OneTimeAt::At(at)) if is_too_late(*at, now) => {
            Err(fault("delivery.one_time.at", format!("{at} is past: give a time to come, or now")))
        }
        When::OneTime(OneTimeAt::At(at)) => {
            let state = if *at > now { State::Scheduled } else { State::Active };
            Ok(FirstDue { next_at: Some(*at), state })
        }
        When::Recurring(recurring) => {
            let next = recurring.recurrence.next(now, 0);
            let next = next.ok_or_else(|| {
                fault("delivery.recurring", "has no occurrence left from now on".to_owned())
            })?;
            let is_ahead = recurring.recurrence.start.is_some_and(|start| start > now);
            let state = if is_ahead { State::Scheduled } else { State::Active };
            Ok(FirstDue { next_at: Some(next), state })
        }
        When::Triggered(_) | When::Manual => Ok(FirstDue { next_at: None, state: State::Active }),
    }
}

/// Whether a one-time occurrence that was not fired is given up.
fn is_too_late(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) > SignedDuration::try_from(limits::CATCH_UP_DEFAULT).unwrap_or_default()
}

/// What to do about a campaign's schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing before this instant; none: nothing at all.
    Wait(Option<Timestamp>),
    /// Something fired, was missed, or began.
    Save(Box<Stepped>),
}

/// The record as it is after what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Stepped {
    pub record: CampaignRecord,
    pub fired: Option<Timestamp>,
    /// Counted as `recurrence` counts them.
    pub missed: u64,
}

/// Looks at a campaign's schedule. At most one occurrence fires; earlier ones are recorded as missed, and all of them while the campaign
/// is paused.
pub fn decide(record: &CampaignRecord, campaign: &Campaign, now: Timestamp) -> Step {
    if !matches!(record.state, State::Scheduled | State::Active | State::Paused) {
        return Step::Wait(None);
    }
    let Some(due) = record.schedule.next_at else { return Step::Wait(None) };
    let begins_at = match &campaign.when {
        When::Recurring(recurring) if record.state == State::Scheduled => recurring.recurrence.start,
        _ => None,
    };
    let looks_at = begins_at.map_or(due, |begins_at| begins_at.min(due));
    if looks_at > now {
        return Step::Wait(Some(looks_at));
    }
    let mut stepped = Stepped { record: record.clone(), fired: None, missed: 0 };
    if record.state == State::Scheduled {
        stepped.record.move_to(State::Active, now, BY_ITSELF, "its start has come");
    }
    if due <= now {
        stepped.record.updated_at = now;
        stepped.pass_due(campaign, due, now);
    }
    Step::Save(Box::new(stepped))
}

impl Stepped {
    fn pass_due(&mut self, campaign: &Campaign, due: Timestamp, now: Timestamp) {
        let schedule = &self.record.schedule;
        let may_fire =
            self.record.state == State::Active && schedule.open.len() < limits::OPEN_OCCURRENCES_MAX;
        let mut next = None;
        match &campaign.when {
            When::OneTime(_) if may_fire && !is_too_late(due, now) => self.fire(due),
            When::OneTime(_) => self.miss(due, 1),
            When::Recurring(recurring) => {
                let found = recurring.recurrence.catch_up(due, now, recurring.catch_up, schedule.fired);
                next = found.next;
                if let Some(missed) = found.missed {
                    self.miss(missed.last_at, u64::from(missed.count));
                }
                match found.fire {
                    Some(at) if may_fire => self.fire(at),
                    Some(at) => {
                        self.miss(at, 1);
                        // One that did not fire does not count, so a schedule of so many occurrences has one left.
                        next = recurring.recurrence.next(now, self.record.schedule.fired);
                    }
                    None => {}
                }
            }
            When::Triggered(_) | When::Manual => {}
        }
        self.record.schedule.next_at = next;
    }

    fn fire(&mut self, at: Timestamp) {
        self.fired = Some(at);
        self.record.schedule.fired += 1;
        self.record.schedule.open.push(OpenOccurrence { at, revision: self.record.revision });
    }

    fn miss(&mut self, last_at: Timestamp, count: u64) {
        self.missed += count;
        self.record.schedule.missed += count;
        self.record.schedule.last_missed_at = Some(last_at);
    }
}
