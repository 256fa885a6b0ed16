//! Which cases there are, and running those that were asked for, one after the other.

use std::path::PathBuf;
use std::time::Duration;

use crate::row::Row;
use crate::{Arguments, cases_brain, cases_bytes, cases_delivery, cases_latency, cases_scale, report};

/// How the cases are run.
pub(crate) struct Bench {
    pub(crate) binary: PathBuf,
    pub(crate) quick: bool,
}

/// How long a round's webhooks may take.
pub(crate) const ROUND_WITHIN: Duration = Duration::from_secs(120);

impl Bench {
    /// After a warm-up.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    pub(crate) fn size(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }
}

type Measure = fn(&Bench) -> Result<Vec<Row>, String>;

/// In the order of the page: name, what it measures, how.
pub(crate) const CASES: [(&str, &str, Measure); 15] = [
    ("deliver", "deliveries on Redis: one sender, one scheduler", cases_delivery::on_redis),
    ("deliver-sqlite", "deliveries on SQLite: one process", cases_delivery::on_sqlite),
    ("second-sender", "a second sender process on the same Redis", cases_delivery::second_sender),
    ("fan-out", "a one-time campaign over many users, half of them in its audience", cases_scale::fan_out),
    ("event-idle", "from the call of an event to its POST, nothing else going on", cases_latency::event_idle),
    ("events", "events a second, 1,000 campaigns, each event matching one", cases_scale::events),
    ("late-second", "1,000 sends due at one instant", cases_latency::one_instant),
    ("late-spaced", "one send due each 10 ms", cases_latency::spaced),
    ("late-many", "50,000 sends due at one instant", cases_latency::many_at_one_instant),
    ("pending", "what a thousand times more pending sends cost a delivery", cases_scale::pending),
    (
        "campaigns",
        "what a thousand times more campaigns cost an event and a delivery",
        cases_scale::campaigns,
    ),
    ("bytes", "bytes in Redis of a pending send, a queued send, a user", cases_bytes::in_redis),
    ("cold-start", "from the start of a process to its first webhook", cases_latency::cold_start),
    ("binary", "the size of the binary", cases_bytes::binary),
    ("expression", "users an audience is matched against, on one core", cases_brain::expression),
];

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.cases.iter().any(|case| case == "list") {
        report::cases();
        return Ok(());
    }
    for asked in &arguments.cases {
        if !CASES.iter().any(|(name, ..)| name == asked) {
            let names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
            return Err(format!("there is no case {asked:?}, expected {}", names.join(", ")));
        }
    }
    let bench = Bench { binary: arguments.binary.clone(), quick: arguments.quick };
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (name, about, measure) in CASES {
        if !arguments.cases.is_empty() && !arguments.cases.iter().any(|asked| asked == name) {
            continue;
        }
        report::note(&format!("{name}: {about}"));
        match measure(&bench) {
            Ok(measured) => {
                report::rows(&measured);
                rows.extend(measured);
            }
            Err(fault) => {
                report::note(&format!("{name}: FAILED: {fault}"));
                faults.push(format!("{name}: {fault}"));
            }
        }
    }
    if arguments.json {
        report::json(&rows, &faults);
    }
    if let Some(page) = &arguments.page {
        report::page(page, &rows, &faults, arguments.quick)?;
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("cases failed:\n  {}", faults.join("\n  "))) }
}
