//! Pure. A plan counted, occurrence by occurrence, and what a throttle makes of it; told on the wire and in one sentence.

use std::collections::BTreeMap;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::counter::{Count, Counter};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::throttle::Throttle;
use campanile_proto::v1 as wire;
use jiff::Timestamp;

use crate::backlog::{Arrival, Backlog};
use crate::plan_occurrences::{Coming, Fired};
use crate::tally::Tally;
use crate::trial::{Course, Fate};
use crate::write_campaign::timestamp;

/// One occurrence, or all that is not of one.
#[derive(Clone, Debug, Default)]
pub struct PlannedTally {
    considered: i64,
    after_quiet_hours: i64,
    last_sent_at: Option<Timestamp>,
    tally: Tally,
    /// Sends of a campaign with a throttle, by when they may go and when they expire.
    arrivals: BTreeMap<(Timestamp, Timestamp), i64>,
}

impl PlannedTally {
    /// Takes what the scheduler would count of a chunk of users; how their sends end comes by `end`.
    pub fn count(&mut self, counts: &[Count]) {
        for count in counts {
            match count.counter {
                Counter::Triggered => self.considered += count.by,
                Counter::Refused(reason) => self.tally.refuse(reason, count.by),
                Counter::Suppressed(_, reason) => {
                    *self.tally.suppressed.entry(reason).or_default() += count.by;
                }
                _ => {}
            }
        }
    }

    /// Somebody who is considered and does not enter.
    pub fn refuse(&mut self, reason: Refusal) {
        self.considered += 1;
        self.tally.refuse(reason, 1);
    }

    /// Somebody who is considered, and does not enter or whose send ends in being planned.
    pub fn note(&mut self, fate: Fate) {
        self.considered += 1;
        self.tally.note(fate);
    }

    /// Somebody who is considered and enters.
    pub fn enter(&mut self) {
        self.considered += 1;
    }

    /// How the send of somebody who entered ends. `expires_at`: with a throttle only.
    pub fn end(&mut self, course: Course, expires_at: Option<Timestamp>) {
        if matches!(course.fate, Fate::Sent(_)) {
            self.after_quiet_hours += i64::from(course.has_waited);
            self.last_sent_at = self.last_sent_at.max(Some(course.at));
            if let Some(expires_at) = expires_at {
                *self.arrivals.entry((course.at, expires_at)).or_default() += 1;
            }
        }
        self.tally.note(course.fate);
    }

    pub fn add(&mut self, other: PlannedTally) {
        self.considered += other.considered;
        self.after_quiet_hours += other.after_quiet_hours;
        self.last_sent_at = self.last_sent_at.max(other.last_sent_at);
        self.tally.add(other.tally);
        for (arrival, n) in other.arrivals {
            *self.arrivals.entry(arrival).or_default() += n;
        }
    }

    fn write(&self) -> wire::PlannedCounts {
        wire::PlannedCounts {
            considered: self.considered,
            refused: self.tally.write_refused(),
            entered: self.tally.entered(),
            sent: self.tally.sent,
            after_quiet_hours: self.after_quiet_hours.min(self.tally.sent),
            suppressed: self.tally.write_suppressed(),
            waiting: self.tally.waits,
        }
    }
}

/// What is told of.
pub struct Planned<'a> {
    pub campaign: &'a Campaign,
    pub coming: &'a Coming,
}

impl Planned<'_> {
    /// The plan without its entries.
    pub fn write(&self, mut tallies: Vec<PlannedTally>) -> wire::CampaignPlan {
        if let Some(throttle) = self.campaign.throttle {
            drain(throttle, &mut tallies);
        }
        let mut total = PlannedTally::default();
        let occurrences = match &self.campaign.when {
            When::Triggered(_) => Vec::new(),
            When::Manual => tallies.iter().map(|tally| occurrence(None, false, tally)).collect(),
            When::OneTime(_) | When::Recurring(_) => {
                let are_own = self.campaign.zones.are_own;
                let fired = self.coming.fired.iter();
                fired.zip(&tallies).map(|(fired, tally)| occurrence(Some(fired), are_own, tally)).collect()
            }
        };
        tallies.into_iter().for_each(|tally| total.add(tally));
        wire::CampaignPlan {
            sentence: self.sentence(&total),
            occurrences,
            total: Some(total.write()),
            missed: self.coming.missed,
            has_more: self.coming.has_more,
            entries: Vec::new(),
        }
    }

    fn sentence(&self, total: &PlannedTally) -> String {
        let is_nobody = total.tally.entered() == 0;
        match &self.campaign.when {
            When::Triggered(_) if total.considered == 0 => {
                "no event that it names came lately, so there is nothing to plan with".to_owned()
            }
            When::Triggered(_) => {
                format!("of the latest events that it names, {}", total.tally.sentence(true))
            }
            When::Manual if is_nobody => "nobody is in its audience".to_owned(),
            When::Manual => {
                format!("if everybody in its audience were entered now, {}", total.tally.sentence(false))
            }
            When::OneTime(_) | When::Recurring(_) => match self.coming.fired.len() {
                0 => "it has no occurrence in this time".to_owned(),
                1 if is_nobody => "nobody is in its audience".to_owned(),
                1 => total.tally.sentence(false),
                n => format!("{n} occurrences: {}", total.tally.sentence(false)),
            },
        }
    }
}

fn occurrence(fired: Option<&Fired>, are_own: bool, tally: &PlannedTally) -> wire::PlannedOccurrence {
    wire::PlannedOccurrence {
        at: fired.map(|fired| timestamp(fired.at)),
        is_on_own_clocks: are_own,
        counts: Some(tally.write()),
        last_sent_at: tally.last_sent_at.map(timestamp),
    }
}

/// Lets all sends through the throttle in the order in which they may go.
fn drain(throttle: Throttle, tallies: &mut [PlannedTally]) {
    let mut arrivals = BTreeMap::new();
    for (place, tally) in tallies.iter_mut().enumerate() {
        tally.last_sent_at = None;
        for ((at, expires_at), n) in std::mem::take(&mut tally.arrivals) {
            arrivals.insert(Arrival { at, expires_at, place }, n);
        }
    }
    let mut backlog = Backlog::new(throttle);
    for (arrival, n) in arrivals {
        let drained = backlog.drain(&arrival, n);
        let tally = &mut tallies[arrival.place];
        tally.last_sent_at = tally.last_sent_at.max(drained.last_at);
        tally.tally.suppress(Suppression::Expired, drained.expired, || {
            "the throttle lets through fewer than are due before they expire".to_owned()
        });
    }
}
