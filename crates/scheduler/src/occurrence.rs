//! Pure. When a one-time or recurring campaign fires: at activation, at each look, after downtime, while paused.
//!
//! Answers with the record as it is afterwards; whoever saves it first has decided. `fan_out` walks what fired. In users' own zones an
//! occurrence is named by its wall clock read as UTC, and fires before the first place on earth shows it.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::{OneTimeAt, Recurring, When};
use campanile_core::campaign_record::{BY_ITSELF, CampaignRecord, OpenOccurrence, State};
use campanile_core::fault::Fault;
use campanile_core::limits;
use campanile_core::notice::What;
use campanile_core::own_zone;
use campanile_core::triggered::Window;
use jiff::{SignedDuration, Timestamp};

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
    let state = |is_ahead: bool| if is_ahead { State::Scheduled } else { State::Active };
    match &campaign.when {
        When::OneTime(OneTimeAt::Now) => Ok(FirstDue { next_at: Some(now), state: State::Active }),
        When::OneTime(OneTimeAt::At(at)) if is_too_late(campaign, *at, now) => {
            Err(fault("delivery.one_time.at", format!("{at} is past: give a time to come, or now")))
        }
        When::OneTime(OneTimeAt::At(at)) => {
            Ok(FirstDue { next_at: Some(*at), state: state(fires_at(campaign, *at) > now) })
        }
        When::Recurring(recurring) => {
            let after = if campaign.zones.are_own { own_zone::open_walls(now).0 } else { now };
            let next = recurring.recurrence.next(after, 0);
            let next = next.ok_or_else(|| {
                fault("delivery.recurring", "has no occurrence left from now on".to_owned())
            })?;
            let start = recurring.recurrence.start.map(|start| fires_at(campaign, start));
            Ok(FirstDue { next_at: Some(next), state: state(start.is_some_and(|start| start > now)) })
        }
        When::Triggered(triggered) => {
            let Window { start, end, .. } = triggered.window;
            if let Some(end) = end.filter(|end| *end <= now) {
                return Err(fault("delivery.triggered.end", format!("{end} is past: give a time to come")));
            }
            Ok(FirstDue { next_at: None, state: state(start.is_some_and(|start| start > now)) })
        }
        When::Manual => Ok(FirstDue { next_at: None, state: State::Active }),
    }
}

/// When an occurrence is decided on.
fn fires_at(campaign: &Campaign, at: Timestamp) -> Timestamp {
    if campaign.zones.are_own { own_zone::opens_at(at) } else { at }
}

/// Whether a one-time occurrence that was not fired is given up.
fn is_too_late(campaign: &Campaign, at: Timestamp, now: Timestamp) -> bool {
    match campaign.zones.are_own {
        true => own_zone::closes_at(at) <= now,
        false => own_zone::is_late(at, now),
    }
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
    if let When::Triggered(triggered) = &campaign.when {
        return decide_window(record, triggered.window, now);
    }
    let Some(due) = record.schedule.next_at else { return Step::Wait(None) };
    let begins_at = match &campaign.when {
        When::Recurring(recurring) if record.state == State::Scheduled => recurring.recurrence.start,
        _ => None,
    };
    let fires_at = |at| fires_at(campaign, at);
    let looks_at = begins_at.map_or(fires_at(due), |begins_at| fires_at(begins_at.min(due)));
    if looks_at > now {
        return Step::Wait(Some(looks_at));
    }
    let mut stepped = Stepped { record: record.clone(), fired: None, missed: 0 };
    if record.state == State::Scheduled {
        stepped.record.move_to(State::Active, now, BY_ITSELF, "its start has come");
    }
    if fires_at(due) <= now {
        stepped.record.updated_at = now;
        match &campaign.when {
            When::Recurring(recurring) if campaign.zones.are_own => stepped.pass_own(recurring, due, now),
            _ => stepped.pass_due(campaign, due, now),
        }
        stepped.tell(now);
    }
    Step::Save(Box::new(stepped))
}

/// A triggered campaign begins and ends by its window. Who is inside at its end is sent to the end.
fn decide_window(record: &CampaignRecord, window: Window, now: Timestamp) -> Step {
    let (at, to, note) = match record.state {
        State::Scheduled => (window.start.unwrap_or(now), State::Active, "its start has come"),
        State::Active => match window.end {
            // The end itself belongs to the window.
            Some(end) => (
                end.checked_add(SignedDuration::from_millis(1)).unwrap_or(end),
                State::Finishing,
                "its end has come",
            ),
            None => return Step::Wait(None),
        },
        _ => return Step::Wait(None),
    };
    if at > now {
        return Step::Wait(Some(at));
    }
    let mut stepped = Stepped { record: record.clone(), fired: None, missed: 0 };
    stepped.record.move_to(to, now, BY_ITSELF, note);
    Step::Save(Box::new(stepped))
}

impl Stepped {
    fn pass_due(&mut self, campaign: &Campaign, due: Timestamp, now: Timestamp) {
        let may_fire = self.may_fire();
        let mut next = None;
        match &campaign.when {
            When::OneTime(_) if may_fire && !is_too_late(campaign, due, now) => self.fire(due),
            When::OneTime(_) => self.miss(due, 1),
            When::Recurring(recurring) => {
                let found =
                    recurring.recurrence.catch_up(due, now, recurring.catch_up, self.record.schedule.fired);
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

    /// One occurrence on users' own clocks; a later one that is open as well comes with the next look.
    fn pass_own(&mut self, recurring: &Recurring, due: Timestamp, now: Timestamp) {
        let recurrence = &recurring.recurrence;
        let (over_until, _) = own_zone::open_walls(now);
        if due <= over_until {
            // Nobody can be on time for these any more.
            if let Some(missed) = recurrence.missed(due, over_until) {
                self.miss(missed.last_at, u64::from(missed.count));
            }
            self.record.schedule.next_at = recurrence.next(over_until, self.record.schedule.fired);
            return;
        }
        // The rule as it stands decides: after an edit `due` itself may be none of its times.
        let is_one = recurrence.latest(due) == Some(due);
        if is_one && self.may_fire() {
            self.fire(due);
        } else if is_one {
            self.miss(due, 1);
        }
        self.record.schedule.next_at = recurrence.next(due, self.record.schedule.fired);
    }

    fn may_fire(&self) -> bool {
        self.record.state == State::Active && self.record.schedule.open.len() < limits::OPEN_OCCURRENCES_MAX
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

    /// Once for all that a look found missed.
    fn tell(&mut self, now: Timestamp) {
        if let Some(last_at) = self.record.schedule.last_missed_at.filter(|_| self.missed > 0) {
            self.record.tell(now, What::OccurrencesMissed { count: self.missed, last_at });
        }
    }
}
