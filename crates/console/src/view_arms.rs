//! Pure. The arms of a campaign side by side: its actions and their variants, and those held back; and how late its sends were.

use campanile_proto::v1 as wire;

use crate::words::millis;

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arm {
    pub(crate) name: String,
    /// Those that ended.
    pub(crate) sends: i64,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    /// How many, and of how many percent: `12 (4.0 %)`.
    pub(crate) converted: String,
}

/// Empty where there is nothing to compare.
pub(crate) fn arms(stats: &wire::CampaignStats) -> Vec<Arm> {
    let mut arms = Vec::new();
    let is_one = stats.actions.len() == 1;
    let is_counted = stats.converted > 0 || stats.held_back_converted > 0 || stats.held_back > 0;
    for action in &stats.actions {
        if !is_one || is_counted {
            let suppressed: i64 = action.suppressed.iter().map(|row| row.count).sum();
            arms.push(Arm {
                name: if is_one { "sent".to_owned() } else { action.action.clone() },
                sends: action.delivered + action.failed + suppressed - action.held_back,
                delivered: action.delivered,
                failed: action.failed,
                converted: share(action.converted, action.delivered),
            });
        }
        arms.extend(action.variants.iter().map(|variant| Arm {
            name: if is_one {
                variant.variant.clone()
            } else {
                format!("{}, {}", action.action, variant.variant)
            },
            sends: variant.delivered + variant.failed + variant.suppressed,
            delivered: variant.delivered,
            failed: variant.failed,
            converted: share(variant.converted, variant.delivered),
        }));
    }
    if stats.held_back > 0 {
        arms.push(Arm {
            name: "held back".to_owned(),
            sends: stats.held_back,
            delivered: 0,
            failed: 0,
            converted: share(stats.held_back_converted, stats.held_back),
        });
    }
    arms
}

fn share(n: i64, of: i64) -> String {
    if of > 0 { format!("{n} ({:.1} %)", 100.0 * n as f64 / of as f64) } else { n.to_string() }
}

/// `half within 7 ms, 99 of 100 within 41 ms`.
pub(crate) fn lateness(latency: &wire::Latency) -> String {
    let within = |length: &Option<prost_types::Duration>| length.as_ref().map(millis).unwrap_or_default();
    format!(
        "half within {}, 99 of 100 within {} of when they were due",
        within(&latency.p50),
        within(&latency.p99)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stats: &wire::CampaignStats) -> Vec<String> {
        arms(stats).into_iter().map(|arm| format!("{} {} {}", arm.name, arm.sends, arm.converted)).collect()
    }

    #[test]
    fn what_is_compared_is_what_there_is_more_than_one_of() {
        let variant = |name: &str, delivered, converted| wire::VariantStats {
            variant: name.to_owned(),
            delivered,
            converted,
            ..Default::default()
        };
        let mut action =
            wire::ActionStats { action: "webhook".to_owned(), delivered: 50, ..Default::default() };
        let stats = |action: &wire::ActionStats, held_back| wire::CampaignStats {
            held_back,
            held_back_converted: held_back / 10,
            actions: vec![action.clone()],
            ..Default::default()
        };
        assert!(names(&stats(&action, 0)).is_empty(), "one arm is no comparison");
        action.variants = vec![variant("bold", 20, 5), variant("plain", 30, 3)];
        assert_eq!(names(&stats(&action, 0)), ["bold 20 5 (25.0 %)", "plain 30 3 (10.0 %)"]);
        action.variants.clear();
        action.converted = 10;
        assert_eq!(names(&stats(&action, 20)), ["sent 50 10 (20.0 %)", "held back 20 2 (10.0 %)"]);
    }
}
