//! `cargo xtask demo`: every kind of campaign, live, on real events; `--once` checks every webhook and ends.

#![allow(clippy::disallowed_methods, reason = "a developer command waits by this machine's clock")]

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo_expected::{Expected, expected};
use crate::demo_world::World;
use crate::shell::say;

/// How long the webhooks may take to come.
const DEADLINE: Duration = Duration::from_secs(60);
/// Firings of the recurring campaign that are waited for.
const PULSES_MIN: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Check that every expected webhook came with exactly the expected body, print a summary, and end
    #[arg(long)]
    once: bool,
    /// On a Redis of its own, with control, scheduler and two senders apart
    #[arg(long)]
    redis: bool,
    /// Show whole bodies
    #[arg(long)]
    body: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let mut world = World::start(arguments.redis)?;
    say(&format!("console: {}", world.console));
    world.fill()?;
    let expected = expected()?;
    if arguments.once {
        check(&mut world, &expected, arguments.body)
    } else {
        show(&mut world, arguments.body)
    }
}

/// Shows what comes until Ctrl-C.
fn show(world: &mut World, body: bool) -> Result<(), String> {
    say("webhooks as they come; Ctrl-C ends");
    loop {
        if let Some(received) = world.received(Duration::from_secs(1))? {
            show_one(&received, body);
        }
    }
}

/// One webhook as `campanile receive --json` tells of it.
pub(crate) struct Received {
    pub(crate) campaign: String,
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authorization: String,
    pub(crate) signature: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn read(line: &str) -> Result<Received, String> {
        let line: Value = serde_json::from_str(line).map_err(|e| format!("what the receiver prints: {e}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let header = |name: &str| text(&line["headers"][name]);
        Ok(Received {
            campaign: header("campanile-campaign"),
            id: header("webhook-id"),
            method: text(&line["method"]),
            target: text(&line["target"]),
            authorization: header("authorization"),
            signature: text(&line["signature"]),
            body: text(&line["body"]),
        })
    }
}

fn show_one(received: &Received, body: bool) {
    let Received { campaign, method, target, .. } = received;
    let shown = match body {
        true => format!("\n{}", received.body),
        false => received.body.chars().take(90).collect(),
    };
    say(&format!("{} {method} {target} {shown}", paint(campaign)));
}

/// Each campaign in a colour of its own, where a person looks.
fn paint(campaign: &str) -> String {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return campaign.to_owned();
    }
    let colour = 31 + campaign.bytes().map(u32::from).sum::<u32>() % 6;
    format!("\u{1b}[{colour}m{campaign}\u{1b}[0m")
}

/// Waits for every expected webhook, compares all that came, and prints a table.
fn check(world: &mut World, expected: &[Expected], body: bool) -> Result<(), String> {
    let deadline = Instant::now() + DEADLINE;
    let wanted = expected.iter().filter(|e| e.campaign != "admin-pulse").count();
    let pulses_wanted = PULSES_MIN * expected.iter().filter(|e| e.campaign == "admin-pulse").count();
    let mut all: Vec<Received> = Vec::new();
    let done = |all: &[Received]| {
        let pulses = all.iter().filter(|r| r.campaign == "admin-pulse").count();
        all.len() - pulses >= wanted && pulses >= pulses_wanted
    };
    while !done(&all) && Instant::now() < deadline {
        if let Some(received) = world.received(Duration::from_millis(200))? {
            show_one(&received, body);
            all.push(received);
        }
    }
    // What comes although it should not comes soon after.
    while let Some(received) = world.received(Duration::from_millis(300))?.filter(|_| all.len() < 10_000) {
        let is_pulse = received.campaign == "admin-pulse";
        all.push(received);
        if is_pulse && Instant::now() > deadline {
            break;
        }
    }
    let faults = compare(expected, &all);
    world.stop()?.iter().try_for_each(|(name, status)| ended_well(name, *status))?;
    if faults.is_empty() {
        say("every expected webhook came, once, with exactly the expected body");
        Ok(())
    } else {
        Err(format!("{} faults:\n  {}", faults.len(), faults.join("\n  ")))
    }
}

fn ended_well(name: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{name} did not stop cleanly: {status}")) }
}

/// Everything that is missing, different, too much or came twice.
fn compare(expected: &[Expected], received: &[Received]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut left: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut table: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for one in expected {
        *left.entry((&one.campaign, one.shown())).or_default() += 1;
        table.entry(&one.campaign).or_default()[0] += 1;
    }
    let mut ids = BTreeMap::new();
    for one in received {
        let row = table.entry(&one.campaign).or_default();
        row[1] += 1;
        let came = Expected::came(one);
        match left.get_mut(&(one.campaign.as_str(), came.clone())) {
            // It fires again and again, with the same body each time.
            Some(_) if one.campaign == "admin-pulse" => row[2] += 1,
            Some(n) if *n > 0 => {
                *n -= 1;
                row[2] += 1;
            }
            _ => faults.push(format!("not expected: {} {came}", one.campaign)),
        }
        *ids.entry(&one.id).or_insert(0) += 1;
    }
    faults.extend(ids.iter().filter(|(_, n)| **n > 1).map(|(id, n)| format!("{id} came {n} times")));
    let missing = left.iter().filter(|((campaign, _), n)| **n > 0 && *campaign != "admin-pulse");
    faults.extend(missing.map(|((campaign, shown), n)| format!("missing {n}: {campaign} {shown}")));
    say(&format!("{:<20} {:>8} {:>8} {:>8}", "CAMPAIGN", "EXPECTED", "CAME", "EXACT"));
    for (campaign, [expected, came, exact]) in table {
        let expected =
            if campaign == "admin-pulse" { format!("{expected}/firing") } else { expected.to_string() };
        say(&format!("{campaign:<20} {expected:>8} {came:>8} {exact:>8}"));
    }
    faults
}
