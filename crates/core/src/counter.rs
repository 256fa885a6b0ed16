//! Pure. What is counted per campaign and shard, in the same step that moves the send.
//!
//! At every moment, per shard: planned = pending + delivered + failed + suppressed; entered = open + finished.

use crate::reason::{EntryEnd, Refusal, Suppression};
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
    /// How entries of campaigns of several messages ended: their share of the finished.
    Ended(EntryEnd),
    Planned(u8),
    Pending(u8),
    Delivered(u8),
    Failed(u8),
    Suppressed(u8, Suppression),
    /// POSTs made.
    Attempts(u8),
    /// Attempts that led to another one.
    Retries(u8),
    /// Users for whom at least one POST was made.
    Users,
    /// Entries of which at least one POST was made.
    Reached,
    /// Sends whose first POST began so late: a bucket of `latency`.
    Latency(u8, u8),
    /// Sends that an event followed which counts as a success of the campaign.
    Converted(u8),
    /// The same, of those whose users are held back.
    ConvertedHeldBack(u8),
    /// Of the pending: those attempted already.
    Retrying(u8),
    /// What a manual entry of an audience does, by the slot of its run.
    Run(u8, RunCounter),
    /// How sends of one variant of the action ended, and its POSTs; not those whose sender died too often.
    Variant(u8, Slug, VariantCounter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunCounter {
    /// Users of the run's audience.
    Asked,
    Entered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VariantCounter {
    Delivered,
    Failed,
    Suppressed,
    Attempts,
    Retries,
    Latency(u8),
    Converted,
}

impl VariantCounter {
    fn field(self) -> String {
        match self {
            VariantCounter::Delivered => "delivered".to_owned(),
            VariantCounter::Failed => "failed".to_owned(),
            VariantCounter::Suppressed => "suppressed".to_owned(),
            VariantCounter::Attempts => "attempts".to_owned(),
            VariantCounter::Retries => "retries".to_owned(),
            VariantCounter::Latency(bucket) => format!("latency.{bucket}"),
            VariantCounter::Converted => "converted".to_owned(),
        }
    }

    fn parse(name: &str, rest: Option<&str>) -> Option<VariantCounter> {
        Some(match name {
            "delivered" => VariantCounter::Delivered,
            "failed" => VariantCounter::Failed,
            "suppressed" => VariantCounter::Suppressed,
            "attempts" => VariantCounter::Attempts,
            "retries" => VariantCounter::Retries,
            "latency" => VariantCounter::Latency(rest?.parse().ok()?),
            "converted" => VariantCounter::Converted,
            _ => return None,
        })
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
    /// The stored name: `entered`, `refused.paused`, `planned.0`, `suppressed.0.expired`, `latency.0.37`, `variant.0.bold.delivered`.
    pub fn field(self) -> String {
        match self {
            Counter::Triggered => "triggered".to_owned(),
            Counter::Refused(reason) => format!("refused.{}", reason.name()),
            Counter::Entered => "entered".to_owned(),
            Counter::Open => "open".to_owned(),
            Counter::Finished => "finished".to_owned(),
            Counter::Ended(end) => format!("ended.{}", end.name()),
            Counter::Planned(a) => format!("planned.{a}"),
            Counter::Pending(a) => format!("pending.{a}"),
            Counter::Delivered(a) => format!("delivered.{a}"),
            Counter::Failed(a) => format!("failed.{a}"),
            Counter::Suppressed(a, reason) => format!("suppressed.{a}.{}", reason.name()),
            Counter::Attempts(a) => format!("attempts.{a}"),
            Counter::Retries(a) => format!("retries.{a}"),
            Counter::Users => "users".to_owned(),
            Counter::Reached => "reached".to_owned(),
            Counter::Latency(a, bucket) => format!("latency.{a}.{bucket}"),
            Counter::Converted(a) => format!("converted.{a}"),
            Counter::ConvertedHeldBack(a) => format!("converted_held_back.{a}"),
            Counter::Variant(a, name, of) => format!("variant.{a}.{}.{}", name.as_str(), of.field()),
            Counter::Retrying(a) => format!("retrying.{a}"),
            Counter::Run(slot, RunCounter::Asked) => format!("run.{slot}.asked"),
            Counter::Run(slot, RunCounter::Entered) => format!("run.{slot}.entered"),
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
            "ended" => Counter::Ended(EntryEnd::from_name(rest?)?),
            "planned" => Counter::Planned(action()?),
            "pending" => Counter::Pending(action()?),
            "delivered" => Counter::Delivered(action()?),
            "failed" => Counter::Failed(action()?),
            "suppressed" => Counter::Suppressed(action()?, Suppression::from_name(parts.next()?)?),
            "attempts" => Counter::Attempts(action()?),
            "retries" => Counter::Retries(action()?),
            "users" => Counter::Users,
            "reached" => Counter::Reached,
            "latency" => Counter::Latency(action()?, parts.next()?.parse().ok()?),
            "converted" => Counter::Converted(action()?),
            "converted_held_back" => Counter::ConvertedHeldBack(action()?),
            "retrying" => Counter::Retrying(action()?),
            "run" => match parts.next()? {
                "asked" => Counter::Run(action()?, RunCounter::Asked),
                "entered" => Counter::Run(action()?, RunCounter::Entered),
                _ => return None,
            },
            "variant" => {
                let name = Slug::new(parts.next()?)?;
                let of = VariantCounter::parse(parts.next()?, parts.next())?;
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
