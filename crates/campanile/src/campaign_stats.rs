//! Pure. The counters of a campaign as a table: each count under the one it is a part of, and how the arms compare.

use campanile_proto::v1 as wire;

use crate::words;

pub fn rows(stats: &wire::CampaignStats) -> Vec<Vec<String>> {
    let mut rows = Rows::default();
    rows.count("users considered", stats.triggered);
    rows.count("  entered", stats.entered);
    if stats.held_back > 0 {
        rows.count("    of these held back", stats.held_back);
    }
    for refused in &stats.refused {
        rows.count(&format!("  refused: {}", words::refusal(refused.reason())), refused.count);
    }
    rows.count("entries finished", stats.finished);
    for ended in &stats.entry_ends {
        rows.count(&format!("  {}", words::entry_end(ended.end())), ended.count);
    }
    rows.count("  reached", stats.reached);
    rows.count("  different users", stats.users);
    rows.count("sends planned", stats.planned);
    rows.count("  pending", stats.pending);
    rows.count("  delivered", stats.delivered);
    rows.count("  failed", stats.failed);
    for suppressed in &stats.suppressed {
        rows.count(&format!("  suppressed: {}", words::suppression(suppressed.reason())), suppressed.count);
    }
    rows.count("requests made", stats.attempts);
    rows.count("  again after one that failed", stats.retries);
    rows.lateness("first request after it was due", stats.latency.as_ref());
    if stats.converted > 0 || stats.held_back_converted > 0 {
        rows.share("converted", stats.converted, stats.delivered);
    }
    if stats.held_back_converted > 0 {
        rows.share("  of those held back", stats.held_back_converted, stats.held_back);
    }
    let is_one = stats.actions.len() == 1;
    for action in &stats.actions {
        if !is_one {
            rows.action(action);
        }
        for variant in &action.variants {
            rows.variant(&action.action, variant);
        }
    }
    for run in &stats.runs {
        rows.run(run);
    }
    rows.0
}

#[derive(Default)]
struct Rows(Vec<Vec<String>>);

impl Rows {
    fn put(&mut self, name: &str, value: String) {
        self.0.push(vec![name.to_owned(), value]);
    }

    fn count(&mut self, name: &str, n: i64) {
        self.put(name, n.to_string());
    }

    fn run(&mut self, run: &wire::EntryRun) {
        let ended = if run.ended_at.is_some() { "" } else { ", going on" };
        self.put(
            &format!("run {}", run.name),
            format!("{} asked, {} entered{ended}", run.asked, run.entered),
        );
    }

    fn share(&mut self, name: &str, n: i64, of: i64) {
        let value =
            if of > 0 { format!("{n} ({:.1} %)", 100.0 * n as f64 / of as f64) } else { n.to_string() };
        self.put(name, value);
    }

    fn lateness(&mut self, name: &str, latency: Option<&wire::Latency>) {
        let Some(latency) = latency else { return };
        self.put(&format!("{name}: half within"), length(latency.p50));
        self.put("  90 of 100 within", length(latency.p90));
        self.put("  99 of 100 within", length(latency.p99));
        self.put("  all within", length(latency.longest));
    }

    fn action(&mut self, action: &wire::ActionStats) {
        let suppressed: i64 = action.suppressed.iter().map(|row| row.count).sum();
        let name = |what: &str| format!("{}: {what}", action.action);
        self.count(&name("planned"), action.planned);
        self.count(&name("pending"), action.pending);
        self.count(&name("delivered"), action.delivered);
        self.count(&name("failed"), action.failed);
        self.count(&name("suppressed"), suppressed);
        if action.converted > 0 {
            self.share(&name("converted"), action.converted, action.delivered);
        }
        if action.held_back_converted > 0 {
            self.share(&name("converted, held back"), action.held_back_converted, action.held_back);
        }
    }

    fn variant(&mut self, action: &str, variant: &wire::VariantStats) {
        let name = |what: &str| format!("{action}, variant {}: {what}", variant.variant);
        self.count(&name("delivered"), variant.delivered);
        self.count(&name("failed"), variant.failed);
        self.count(&name("suppressed"), variant.suppressed);
        if variant.converted > 0 {
            self.share(&name("converted"), variant.converted, variant.delivered);
        }
    }
}

/// `7ms`, `1.4s`, `3h 12m`.
fn length(from: Option<prost_types::Duration>) -> String {
    let from = from.unwrap_or_default();
    let ms = from.seconds.max(0) * 1000 + i64::from(from.nanos.max(0)) / 1_000_000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{}m {}s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{}h {}m", ms / 3_600_000, ms / 60_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(stats: &wire::CampaignStats, name: &str, value: &str) {
        let rows = rows(stats);
        assert!(rows.contains(&vec![name.to_owned(), value.to_owned()]), "{name}, {value}: {rows:?}");
    }

    #[test]
    fn every_reason_has_its_row() {
        let stats = wire::CampaignStats {
            triggered: 5,
            entered: 4,
            refused: vec![wire::RefusalCount { reason: wire::RefusalReason::EntryLimit as i32, count: 1 }],
            suppressed: vec![wire::SuppressionCount {
                reason: wire::SuppressionReason::Expired as i32,
                count: 2,
            }],
            ..Default::default()
        };
        has(&stats, "  refused: entry_limit", "1");
        has(&stats, "  suppressed: expired", "2");
    }

    #[test]
    fn conversions_are_shown_as_shares_of_their_arm() {
        let bold = wire::VariantStats {
            variant: "bold".to_owned(),
            delivered: 40,
            converted: 5,
            ..Default::default()
        };
        let action =
            wire::ActionStats { action: "webhook".to_owned(), variants: vec![bold], ..Default::default() };
        let stats = wire::CampaignStats {
            delivered: 80,
            converted: 8,
            held_back: 20,
            held_back_converted: 1,
            actions: vec![action],
            ..Default::default()
        };
        has(&stats, "converted", "8 (10.0 %)");
        has(&stats, "  of those held back", "1 (5.0 %)");
        has(&stats, "webhook, variant bold: converted", "5 (12.5 %)");
        assert!(rows(&wire::CampaignStats::default()).iter().all(|row| row[0] != "converted"));
    }

    #[test]
    fn lengths_are_told_as_finely_as_they_matter() {
        let of = |ms: i64| {
            length(Some(prost_types::Duration { seconds: ms / 1000, nanos: (ms % 1000) as i32 * 1_000_000 }))
        };
        assert_eq!([of(7), of(1_449), of(61_000), of(11_520_000)], ["7ms", "1.4s", "1m 1s", "3h 12m"]);
    }
}
