//! Pure. What is counted per campaign and shard, in the same step that moves the send.
//!
//! At every moment, per shard: planned = pending + delivered + failed + suppressed; entered = open + finished.

use crate::reason::{Refusal, Suppression};
use crate::slug::Slug;

/// One counter of a campaign; `action` is the action's place, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Events and requests that named the campaign, and users walked for it.
    Triggered,
    Refused(Refusal),
    Entered,
    Open,
    Finished,
    Planned(u8),
    Pending(u8),
    Delivered(u8),
    Failed(u8),
    Suppressed(u8, Suppression),
    /// POSTs made.
    Attempts(u8),
    /// Attempts that led to another one.
    Retries(u8),
    /// How sends of one variant of the action ended, and its POSTs; not those whose sender died too often.
    Variant(u8, Slug, VariantCounter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VariantCounter {
    Delivered,
    Failed,
    Suppressed,
    Attempts,
}

impl VariantCounter {
    const ALL: [VariantCounter; 4] = [
        VariantCounter::Delivered,
        VariantCounter::Failed,
        VariantCounter::Suppressed,
        VariantCounter::Attempts,
    ];

    fn name(self) -> &'static str {
        match self {
            VariantCounter::Delivered => "delivered",
            VariantCounter::Failed => "failed",
            VariantCounter::Suppressed => "suppressed",
            VariantCounter::Attempts => "attempts",
        }
    }
}

/// A change of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub campaign: crate::number::CampaignNo,
    pub counter: Counter,
    pub by: i64,
}

impl Counter {
    /// The stored name: `entered`, `refused.paused`, `planned.0`, `suppressed.0.expired`, `variant.0.bold.delivered`.
    pub fn field(self) -> String {
        match self {
            Counter::Triggered => "triggered".to_owned(),
            Counter::Refused(reason) => format!("refused.{}", reason.name()),
            Counter::Entered => "entered".to_owned(),
            Counter::Open => "open".to_owned(),
            Counter::Finished => "finished".to_owned(),
            Counter::Planned(a) => format!("planned.{a}"),
            Counter::Pending(a) => format!("pending.{a}"),
            Counter::Delivered(a) => format!("delivered.{a}"),
            Counter::Failed(a) => format!("failed.{a}"),
            Counter::Suppressed(a, reason) => format!("suppressed.{a}.{}", reason.name()),
            Counter::Attempts(a) => format!("attempts.{a}"),
            Counter::Retries(a) => format!("retries.{a}"),
            Counter::Variant(a, name, of) => format!("variant.{a}.{}.{}", name.as_str(), of.name()),
        }
    }

    pub fn parse(field: &str) -> Option<Counter> {
        let mut parts = field.split('.');
        let name = parts.next()?;
        let rest = parts.next();
        let action = || rest.and_then(|a| a.parse::<u8>().ok());
        Some(match name {
            "triggered" => Counter::Triggered,
            "refused" => Counter::Refused(Refusal::from_name(rest?)?),
            "entered" => Counter::Entered,
            "open" => Counter::Open,
            "finished" => Counter::Finished,
            "planned" => Counter::Planned(action()?),
            "pending" => Counter::Pending(action()?),
            "delivered" => Counter::Delivered(action()?),
            "failed" => Counter::Failed(action()?),
            "suppressed" => Counter::Suppressed(action()?, Suppression::from_name(parts.next()?)?),
            "attempts" => Counter::Attempts(action()?),
            "retries" => Counter::Retries(action()?),
            "variant" => {
                let (name, of) = (Slug::new(parts.next()?)?, parts.next()?);
                let of = VariantCounter::ALL.into_iter().find(|known| known.name() == of)?;
                Counter::Variant(action()?, name, of)
            }
            _ => return None,
        })
    }
}

/// Sums changes of the same counter, so that a call carries each once.
pub fn summed(counts: impl IntoIterator<Item = Count>) -> Vec<Count> {
    let mut sums = std::collections::BTreeMap::new();
    for count in counts {
        *sums.entry((count.campaign, count.counter)).or_insert(0) += count.by;
    }
    sums.into_iter()
        .filter(|(_, by)| *by != 0)
        .map(|((campaign, counter), by)| Count { campaign, counter, by })
        .collect()
}
