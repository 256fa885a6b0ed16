//! Pure. Counters to wire: the stats of a campaign, in all and per action.

use std::collections::BTreeMap;

use campanile_core::action_numbers;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::{Counter, VariantCounter};
use campanile_core::latency::Latency;
use campanile_core::ports::RefusedRow;
use campanile_core::reason::{EntryEnd, Refusal, Suppression};
use campanile_core::slug::Slug;
use campanile_proto::v1 as wire;

use crate::entry_runs;
use crate::write_campaign::{duration, timestamp};

pub fn write_stats(record: &CampaignRecord, counters: &[(Counter, i64)]) -> wire::CampaignStats {
    let mut stats = wire::CampaignStats { campaign_id: record.id.clone(), ..Default::default() };
    // In the order of the campaign; what was taken away comes last.
    for name in
        record.draft.actions.iter().map(|action| &action.name).filter(|_| record.draft.actions.len() > 1)
    {
        stats.actions.push(wire::ActionStats { action: name.clone(), ..Default::default() });
    }
    let mut suppressed = BTreeMap::<Suppression, i64>::new();
    let mut latencies = Latencies::default();
    for &(counter, n) in counters {
        match counter {
            Counter::Triggered => stats.triggered += n,
            Counter::Refused(reason) => {
                stats.refused.push(wire::RefusalCount { reason: refusal(reason) as i32, count: n });
            }
            Counter::Entered => stats.entered += n,
            Counter::Finished => stats.finished += n,
            Counter::Open | Counter::Retrying(_) | Counter::Run(..) => {}
            Counter::Ended(end) => {
                stats.entry_ends.push(wire::EntryEndCount { end: entry_end(end) as i32, count: n });
            }
            Counter::Planned(action) => {
                stats.planned += n;
                at(&mut stats, record, action).planned += n;
            }
            Counter::Pending(action) => {
                stats.pending += n;
                at(&mut stats, record, action).pending += n;
            }
            Counter::Delivered(action) => {
                stats.delivered += n;
                at(&mut stats, record, action).delivered += n;
            }
            Counter::Failed(action) => {
                stats.failed += n;
                at(&mut stats, record, action).failed += n;
            }
            Counter::Suppressed(action, reason) => {
                if reason == Suppression::Holdback {
                    stats.held_back += n;
                    at(&mut stats, record, action).held_back += n;
                }
                *suppressed.entry(reason).or_default() += n;
                at(&mut stats, record, action).suppressed.push(suppression_count(reason, n));
            }
            Counter::Attempts(action) => {
                stats.attempts += n;
                at(&mut stats, record, action).attempts += n;
            }
            Counter::Retries(action) => {
                stats.retries += n;
                at(&mut stats, record, action).retries += n;
            }
            Counter::Users => stats.users += n,
            Counter::Reached => stats.reached += n,
            Counter::Latency(action, bucket) => {
                note(&mut latencies.all, bucket, n);
                note(latencies.actions.entry(action).or_default(), bucket, n);
            }
            Counter::Converted(action) => {
                stats.converted += n;
                at(&mut stats, record, action).converted += n;
            }
            Counter::ConvertedHeldBack(action) => {
                stats.held_back_converted += n;
                at(&mut stats, record, action).held_back_converted += n;
            }
            Counter::Variant(action, name, of) => {
                let variant = variant(at(&mut stats, record, action), name.as_str());
                match of {
                    VariantCounter::Delivered => variant.delivered += n,
                    VariantCounter::Failed => variant.failed += n,
                    VariantCounter::Suppressed => variant.suppressed += n,
                    VariantCounter::Attempts => variant.attempts += n,
                    VariantCounter::Retries => variant.retries += n,
                    VariantCounter::Converted => variant.converted += n,
                    VariantCounter::Latency(bucket) => {
                        note(latencies.variants.entry((action, name)).or_default(), bucket, n);
                    }
                }
            }
        }
    }
    latencies.write(&mut stats, record);
    stats.suppressed = suppressed.into_iter().map(|(reason, n)| suppression_count(reason, n)).collect();
    stats.refused.sort_by_key(|row| row.reason);
    stats.entry_ends.sort_by_key(|row| row.end);
    stats.runs = record.runs.iter().rev().map(|run| entry_runs::write(run, counters)).collect();
    for action in &mut stats.actions {
        action.suppressed.sort_by_key(|row| row.reason);
        action.variants.sort_by(|a, b| a.variant.cmp(&b.variant));
    }
    stats
}

/// Histograms that are still filled.
#[derive(Default)]
struct Latencies {
    all: Latency,
    actions: BTreeMap<u8, Latency>,
    variants: BTreeMap<(u8, Slug), Latency>,
}

impl Latencies {
    fn write(self, stats: &mut wire::CampaignStats, record: &CampaignRecord) {
        stats.latency = write_latency(&self.all);
        for (action, latency) in self.actions {
            at(stats, record, action).latency = write_latency(&latency);
        }
        for ((action, name), latency) in self.variants {
            variant(at(stats, record, action), name.as_str()).latency = write_latency(&latency);
        }
    }
}

fn note(latency: &mut Latency, bucket: u8, n: i64) {
    latency.add(bucket, n.max(0).unsigned_abs());
}

/// None where nothing was counted.
fn write_latency(latency: &Latency) -> Option<wire::Latency> {
    let within = |share| {
        let ms = latency.within_ms(share)?;
        Some(duration(std::time::Duration::from_millis(ms)))
    };
    let longest = within(1.0)?;
    Some(wire::Latency {
        sends: i64::try_from(latency.sends()).unwrap_or(i64::MAX),
        p50: within(0.5),
        p90: within(0.9),
        p99: within(0.99),
        longest: Some(longest),
    })
}

/// A refusal kept singly.
pub fn write_refusal(row: &RefusedRow) -> wire::Refusal {
    wire::Refusal {
        at: Some(timestamp(row.at)),
        user_id: row.user_id.clone(),
        reason: refusal(row.reason) as i32,
        detail: row.text.clone(),
        cause: row.cause.clone(),
    }
}

/// The stats of the action of this number; they are made.
fn at<'a>(
    stats: &'a mut wire::CampaignStats,
    record: &CampaignRecord,
    action: u8,
) -> &'a mut wire::ActionStats {
    let name = action_name(record, action);
    let there = stats.actions.iter().position(|stats| stats.action == name);
    let place = there.unwrap_or(stats.actions.len());
    if there.is_none() {
        stats.actions.push(wire::ActionStats { action: name, ..Default::default() });
    }
    &mut stats.actions[place]
}

/// The stats of the variant of this name; they are made.
fn variant<'a>(action: &'a mut wire::ActionStats, name: &str) -> &'a mut wire::VariantStats {
    let there = action.variants.iter().position(|variant| variant.variant == name);
    let place = there.unwrap_or(action.variants.len());
    if there.is_none() {
        action.variants.push(wire::VariantStats { variant: name.to_owned(), ..Default::default() });
    }
    &mut action.variants[place]
}

/// The name of the action of this number; `webhook` for a campaign of one message.
pub fn action_name(record: &CampaignRecord, number: u8) -> String {
    action_numbers::name(record, number).unwrap_or_else(|| format!("action {number}"))
}

pub fn entry_end(end: EntryEnd) -> wire::EntryEnd {
    wire::EntryEnd::try_from(i32::from(end.code())).unwrap_or_default()
}

fn suppression_count(reason: Suppression, count: i64) -> wire::SuppressionCount {
    wire::SuppressionCount { reason: suppression(reason) as i32, count }
}

/// Stored codes and wire numbers are the same lists; a test holds them together.
pub fn suppression(reason: Suppression) -> wire::SuppressionReason {
    wire::SuppressionReason::try_from(i32::from(reason.code())).unwrap_or_default()
}

pub fn refusal(reason: Refusal) -> wire::RefusalReason {
    wire::RefusalReason::try_from(i32::from(reason.code())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_same_name_on_the_wire() {
        for reason in Suppression::ALL {
            let name = format!("SUPPRESSION_REASON_{}", reason.name().to_uppercase());
            assert_eq!(suppression(*reason).as_str_name(), name);
        }
        for end in EntryEnd::ALL {
            let name = format!("ENTRY_END_{}", end.name().to_uppercase());
            assert_eq!(entry_end(*end).as_str_name(), name);
        }
        for reason in Refusal::ALL {
            let name = format!("REFUSAL_REASON_{}", reason.name().to_uppercase());
            assert_eq!(refusal(*reason).as_str_name(), name);
        }
    }
}
