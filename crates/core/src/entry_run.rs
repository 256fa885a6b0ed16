//! Pure. A manual entry of a whole audience: a named run over all users, walked like an occurrence, listed with its campaign for a while.
//!
//! `schedule.open` of its campaign lists it while it is walked. What it did is counted in a slot of the campaign's counters, which a later
//! run takes over once this one is forgotten; `before` is what stood there.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::campaign;
use crate::campaign_record::CampaignRecord;
use crate::counter::{Counter, RunCounter};
use crate::draft::Audience;
use crate::due_send::Skip;
use crate::expression::Expression;
use crate::fault::Faults;
use crate::limits;
use crate::segments::Segments;

/// How long a run that is over is listed and answers its request again, at least.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRun {
    /// The request's id, the caller's or a made one.
    pub name: String,
    /// Of all that was asked, in hexadecimal: the same request with anything else in it is another one.
    pub body: String,
    /// Names it in `schedule.open`.
    pub at: Timestamp,
    pub revision: u32,
    pub audience: Audience,
    /// Emptied when it is over.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    #[serde(default)]
    pub skip: Skip,
    pub slot: u8,
    pub before: RunCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounts {
    /// Users of its audience so far.
    pub asked: i64,
    pub entered: i64,
}

impl RunCounts {
    /// What stands in a slot.
    pub fn of(slot: u8, counters: &[(Counter, i64)]) -> RunCounts {
        let sum = |wanted| counters.iter().filter(|(counter, _)| *counter == wanted).map(|(_, n)| n).sum();
        RunCounts {
            asked: sum(Counter::Run(slot, RunCounter::Asked)),
            entered: sum(Counter::Run(slot, RunCounter::Entered)),
        }
    }
}

impl EntryRun {
    pub fn counts(&self, counters: &[(Counter, i64)]) -> RunCounts {
        let now = RunCounts::of(self.slot, counters);
        RunCounts { asked: now.asked - self.before.asked, entered: now.entered - self.before.entered }
    }

    /// What entries of it are made by: the same user enters once.
    pub fn request(&self) -> String {
        format!("run/{}/{}", self.at.as_millisecond(), self.name)
    }

    /// Its audience as it was checked when it was asked for; none: this version cannot read it.
    pub fn condition(&self) -> Option<Expression> {
        let mut faults = Faults::default();
        campaign::whole_audience(&self.audience, &Segments::unchecked(), "audience", &mut faults)
    }
}

impl CampaignRecord {
    /// The run that an open occurrence is.
    pub fn run_at(&self, at: Timestamp) -> Option<&EntryRun> {
        self.runs.iter().find(|run| run.at == at && run.closed_at.is_none())
    }

    /// Forgets the oldest runs that are over, as far as there must be room for another; answers a free slot. None: too many are kept
    /// or open.
    pub fn room_for_run(&mut self, now: Timestamp) -> Option<u8> {
        let open = self.runs.iter().filter(|run| run.closed_at.is_none()).count();
        if open >= limits::ENTRY_RUNS_OPEN_MAX {
            return None;
        }
        if self.runs.len() >= limits::ENTRY_RUNS_MAX {
            let is_old = |closed: Timestamp| now.duration_since(closed) > KEPT;
            let oldest = self.runs.iter().position(|run| run.closed_at.is_some_and(is_old))?;
            self.runs.remove(oldest);
        }
        (0..limits::ENTRY_RUNS_MAX as u8).find(|slot| self.runs.iter().all(|run| run.slot != *slot))
    }

    /// Every user of it was walked.
    pub fn close_run(&mut self, at: Timestamp, now: Timestamp) {
        for run in self.runs.iter_mut().filter(|run| run.at == at && run.closed_at.is_none()) {
            run.closed_at = Some(now);
            run.values = Map::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn run(slot: u8, closed_at: Option<Timestamp>) -> EntryRun {
        EntryRun {
            name: format!("r{slot}"),
            body: String::new(),
            at: at(i64::from(slot)),
            revision: 1,
            audience: Audience { condition: "everyone".to_owned(), ..Audience::default() },
            values: Map::new(),
            skip: Skip::default(),
            slot,
            before: RunCounts { asked: 5, entered: 3 },
            closed_at,
        }
    }

    #[test]
    fn a_run_takes_over_the_slot_of_one_that_was_over_a_day_ago() {
        let mut record = CampaignRecord::new(Draft::default(), at(0));
        assert_eq!(record.room_for_run(at(0)), Some(0));
        record.runs = (0..limits::ENTRY_RUNS_MAX as u8).map(|slot| run(slot, Some(at(60)))).collect();
        assert_eq!(record.room_for_run(at(60 + 86_400)), None, "each answers its request for a day");
        record.runs[7].closed_at = Some(at(50));
        assert_eq!(record.room_for_run(at(60 + 86_400)), Some(7));
        assert_eq!(record.runs.len(), limits::ENTRY_RUNS_MAX - 1);
        record.runs = (0..limits::ENTRY_RUNS_OPEN_MAX as u8).map(|slot| run(slot, None)).collect();
        assert_eq!(record.room_for_run(at(9_999_999)), None, "so many are walked at once");
    }

    #[test]
    fn what_an_earlier_run_of_the_slot_counted_is_not_told() {
        let counters = [
            (Counter::Run(3, RunCounter::Asked), 15),
            (Counter::Run(3, RunCounter::Entered), 10),
            (Counter::Run(4, RunCounter::Entered), 99),
        ];
        assert_eq!(run(3, None).counts(&counters), RunCounts { asked: 10, entered: 7 });
        assert_eq!(run(5, None).counts(&[]), RunCounts { asked: -5, entered: -3 });
    }
}
