//! Pure. What came of those whom a campaign was tried with: counted by reason, and told in one sentence. Rehearsals and plans end here.

use std::collections::BTreeMap;

use campanile_core::reason::{Refusal, Suppression};
use campanile_proto::v1 as wire;

use crate::trial::Fate;
use crate::write_stats::{refusal, suppression};

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub sent: i64,
    pub waits: i64,
    /// The first message was passed over; the next one would be considered.
    pub passed_over: i64,
    pub refused: BTreeMap<Refusal, i64>,
    pub suppressed: BTreeMap<Suppression, i64>,
    /// The first that was said against a send, else against an entry.
    suppressed_because: Option<String>,
    refused_because: Option<String>,
}

impl Tally {
    pub fn note(&mut self, fate: Fate) {
        match fate {
            Fate::Sent(_) => self.sent += 1,
            Fate::Waits(_, text) => {
                self.waits += 1;
                self.suppressed_because.get_or_insert(text);
            }
            Fate::Skipped(text) => {
                self.passed_over += 1;
                self.suppressed_because.get_or_insert(text);
            }
            Fate::Refused(reason, text) => {
                self.refuse(reason, 1);
                if !text.is_empty() {
                    self.refused_because.get_or_insert(text);
                }
            }
            Fate::Suppressed(reason, text) => {
                *self.suppressed.entry(reason).or_default() += 1;
                self.suppressed_because.get_or_insert(text);
            }
        }
    }

    pub fn refuse(&mut self, reason: Refusal, n: i64) {
        if n != 0 {
            *self.refused.entry(reason).or_default() += n;
        }
    }

    /// What would have been sent, if it were not suppressed after all.
    pub fn suppress(&mut self, reason: Suppression, n: i64, because: impl FnOnce() -> String) {
        if n > 0 {
            self.sent -= n;
            *self.suppressed.entry(reason).or_default() += n;
            self.suppressed_because.get_or_insert_with(because);
        }
    }

    pub fn add(&mut self, other: Tally) {
        self.sent += other.sent;
        self.waits += other.waits;
        self.passed_over += other.passed_over;
        for (reason, n) in other.refused {
            *self.refused.entry(reason).or_default() += n;
        }
        for (reason, n) in other.suppressed {
            *self.suppressed.entry(reason).or_default() += n;
        }
        self.suppressed_because = self.suppressed_because.take().or(other.suppressed_because);
        self.refused_because = self.refused_because.take().or(other.refused_because);
    }

    pub fn all_refused(&self) -> i64 {
        self.refused.values().sum()
    }

    pub fn all_suppressed(&self) -> i64 {
        self.suppressed.values().sum()
    }

    /// Those who entered.
    pub fn entered(&self) -> i64 {
        self.sent + self.waits + self.passed_over + self.all_suppressed()
    }

    /// `97 would be sent, 3 suppressed: user.first_name is missing`. Who is in no audience is told only where `tells_refused`.
    pub fn sentence(&self, tells_refused: bool) -> String {
        let because = |text: &Option<String>| text.as_ref().map_or(String::new(), |text| format!(": {text}"));
        let (refused, suppressed) = (self.all_refused(), self.all_suppressed());
        let mut parts = vec![format!("{} would be sent", self.sent)];
        if refused > 0 && tells_refused {
            parts.push(format!("{refused} would not enter{}", because(&self.refused_because)));
        }
        if self.waits > 0 {
            parts.push(format!("{} would wait{}", self.waits, because(&self.suppressed_because)));
        }
        if self.passed_over > 0 {
            let because = because(&self.suppressed_because);
            parts.push(format!("{} passed over for their next message{because}", self.passed_over));
        }
        if suppressed > 0 {
            parts.push(format!("{suppressed} suppressed{}", because(&self.suppressed_because)));
        }
        parts.join(", ")
    }

    pub fn write_suppressed(&self) -> Vec<wire::SuppressionCount> {
        let row = |(reason, count): (&Suppression, &i64)| wire::SuppressionCount {
            reason: suppression(*reason) as i32,
            count: *count,
        };
        self.suppressed.iter().map(row).collect()
    }

    pub fn write_refused(&self) -> Vec<wire::RefusalCount> {
        let row = |(reason, count): (&Refusal, &i64)| wire::RefusalCount {
            reason: refusal(*reason) as i32,
            count: *count,
        };
        self.refused.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_in_one_sentence() {
        let mut tally = Tally { sent: 97, ..Tally::default() };
        for _ in 0..3 {
            let why = "`user.first_name` is missing".to_owned();
            tally.note(Fate::Suppressed(Suppression::TemplateMissingValue, why));
        }
        let expected = "97 would be sent, 3 suppressed: `user.first_name` is missing";
        assert_eq!(tally.sentence(true), expected);
        assert_eq!((tally.entered(), tally.write_suppressed()[0].count), (100, 3));
        tally.note(Fate::Refused(Refusal::ConditionFalse, "x was false".to_owned()));
        assert_eq!(tally.sentence(false), expected);
        assert_eq!(
            tally.sentence(true),
            "97 would be sent, 1 would not enter: x was false, 3 suppressed: `user.first_name` is missing"
        );
        tally.suppress(Suppression::Expired, 7, || "too slow".to_owned());
        assert_eq!((tally.sent, tally.entered(), tally.all_suppressed()), (90, 100, 10));
    }
}
