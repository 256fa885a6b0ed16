//! Pure. When a one-time or recurring campaign fires: at activation, at each look, after downtime, while paused.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::{OneTimeAt, When};
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::fault::Fault;
use campanile_core::limits;
use jiff::Timestamp;

/// Who moves campaigns that move by themselves.
pub const BY_ITSELF: &str = "campanile";
/// Occurrences of one campaign that may be fanned out at once; more are missed.
const OPEN_MAX: usize = 100;

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
        When::OneTime(OneTimeAt::At(at))
            if now.duration_since(*at).unsigned_abs() > limits::CATCH_UP_DEFAULT && *at < now =>
        {
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

/// What to do about a campaign's schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing before this instant.
    Wait(Option<Timestamp>),
    /// The record as it is after what happened: something fired, was missed, or began.
    Save(Box<CampaignRecord>),
}

/// Looks at a campaign's schedule. At most one occurrence fires; earlier ones are recorded as missed, and all of them while the campaign
/// is paused.
pub fn decide(record: &CampaignRecord, campaign: &Campaign, now: Timestamp) -> Step {
    if !matches!(record.state, State::Scheduled | State::Active | State::Paused) {
        return Step::Wait(None);
    }
    let Some(due) = record.schedule.next_at else { return Step::Wait(None) };
    let start = match &campaign.when {
        When::Recurring(recurring) => recurring.recurrence.start,
        _ => None,
    };
    let has_begun = start.is_some_and(|start| start <= now);
    if due > now && !(record.state == State::Scheduled && has_begun) {
        let begins = start.filter(|_| record.state == State::Scheduled);
        return Step::Wait(Some(begins.map_or(due, |start| start.min(due))));
    }
    let mut next = record.clone();
    if record.state == State::Scheduled {
        next.move_to(State::Active, now, BY_ITSELF, "its start has come");
    }
    if due <= now {
        pass_due(&mut next, campaign, due, now);
        next.updated_at = now;
    }
    Step::Save(Box::new(next))
}

fn pass_due(record: &mut CampaignRecord, campaign: &Campaign, due: Timestamp, now: Timestamp) {
    let may_fire = record.state == State::Active && record.schedule.open.len() < OPEN_MAX;
    match &campaign.when {
        When::OneTime(_) => {
            record.schedule.next_at = None;
            let age = now.duration_since(due).unsigned_abs();
            if may_fire && age <= limits::CATCH_UP_DEFAULT {
                fire(record, due);
            } else {
                miss(record, due, 1);
            }
        }
        When::Recurring(recurring) => {
            let found = recurring.recurrence.catch_up(due, now, recurring.catch_up, record.schedule.fired);
            record.schedule.next_at = found.next;
            if let Some(missed) = found.missed {
                miss(record, missed.last_at, u64::from(missed.count));
            }
            match found.fire {
                Some(at) if may_fire => fire(record, at),
                Some(at) => {
                    miss(record, at, 1);
                    // One that did not fire does not count, so a schedule of so many occurrences has one left.
                    record.schedule.next_at = recurring.recurrence.next(now, record.schedule.fired);
                }
                None => {}
            }
        }
        When::Triggered(_) | When::Manual => record.schedule.next_at = None,
    }
}

fn fire(record: &mut CampaignRecord, at: Timestamp) {
    record.schedule.fired += 1;
    record.schedule.open.push(OpenOccurrence { at, revision: record.revision });
}

fn miss(record: &mut CampaignRecord, last_at: Timestamp, count: u64) {
    record.schedule.missed += count;
    record.schedule.last_missed_at = Some(last_at);
}
