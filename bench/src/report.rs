//! What is shown: a table on the terminal, JSON, a page of the documentation. The only file that prints.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use crate::cases::CASES;
use crate::row::{Row, number};

/// For the person who waits.
#[expect(clippy::print_stderr, reason = "progress belongs to standard error")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(crate) fn cases() {
    for (name, about, _) in CASES {
        println!("{name:<16} {about}");
    }
}

pub(crate) fn rows(rows: &[Row]) {
    for row in rows {
        note(&format!(
            "  {:<62} {:>10} {:<18} {:<40} {}",
            row.what,
            number(row.figure),
            row.unit,
            beside(row),
            met(row)
        ));
    }
}

fn beside(row: &Row) -> String {
    match (row.ceiling, row.ratio()) {
        (Some(ceiling), Some(ratio)) => format!("beside {}, ratio {ratio:.2}", number(ceiling)),
        _ => String::new(),
    }
}

fn met(row: &Row) -> String {
    match row.is_met() {
        Some(true) => format!("ok, {}", row.target_text()),
        Some(false) => format!("MISSED, {}", row.target_text()),
        None => String::new(),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(crate) fn json(rows: &[Row], faults: &[String]) {
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    println!("{}", json!({ "machine": machine(), "rows": rows, "faults": faults }));
}

/// Writes `docs/performance.md`.
pub(crate) fn page(path: &Path, rows: &[Row], faults: &[String], quick: bool) -> Result<(), String> {
    let mut page = String::from(
        "# Performance\n\nWritten by `cargo xtask bench`: absolute figures are of one machine, ratios and bytes hold elsewhere. `profiles.md` says where the time goes.\n\n",
    );
    let _ = writeln!(page, "Machine: {}.\n", machine());
    if quick {
        page.push_str("A quick run: a tenth of the load, one round.\n\n");
    }
    page.push_str("| case | what | figure | ceiling | ratio | target | |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let ceiling = row.ceiling.map(number).unwrap_or_default();
        let ratio = row.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let met = row.is_met().map_or("", |met| if met { "met" } else { "**missed**" });
        let _ = writeln!(
            page,
            "| {} | {} | {} {} | {ceiling} | {ratio} | {} | {met} |",
            row.case,
            row.what,
            number(row.figure),
            row.unit,
            row.target_text()
        );
    }
    for fault in faults {
        let _ = writeln!(page, "\nFailed: {fault}");
    }
    page.push_str(HOW);
    let measured: BTreeSet<&str> = rows.iter().map(|row| row.case).collect();
    for (name, about, _) in CASES.iter().filter(|(name, ..)| measured.contains(name)) {
        let _ = writeln!(page, "| `{name}` | {about} |");
    }
    std::fs::write(path, page).map_err(|e| format!("write {}: {e}", path.display()))
}

const HOW: &str = "
## How it is measured

The release binary as shipped, driven through its public doors (HTTP intake, command line), logs to a file at their default level, Redis
with an append-only file synced each second and `noeviction`, SQLite with its default durability. The full path: facts fetched, audience and
gates checked, URL and about 300 bytes of JSON rendered from Jinja templates, signed with HMAC-SHA256, POSTed, the attempt recorded, counters kept.

The receiver knows which body every send must have; a case fails unless every send came exactly once with the right body, and one signature in 64
is verified. A delivery round queues all its sends while the receiver holds its answers, then lets go. Figures are medians of three rounds
after a warm-up. CPU seconds are of whole processes, user and kernel. The *ceiling* is hyper-util's pooled client with 64 requests in
flight, fed from a Redis stream (beside SQLite: from nowhere), doing nothing else, in the same run against the same receiver; where a row
compares two loads, the smaller one stands there.

| case | is |
| --- | --- |
";

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib: f64 = memory.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, {:.0} GiB, Linux {}", kib / 1024.0 / 1024.0, kernel.trim())
}
