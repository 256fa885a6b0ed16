//! What grows: users walked, events a second, pending sends, campaigns. Cost has to stay flat.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::cases::{Bench, ROUND_WITHIN};
use crate::deployment::{Cpu, Deployment};
use crate::intake::{Intake, batch};
use crate::payload::{AUDIENCE, user_id, webhook};
use crate::processes::until_within;
use crate::receiver::Receiver;
use crate::row::{Row, Target, median};

/// A one-time campaign, started when everybody is there.
fn one_time(id: &str, port: u16) -> String {
    let webhook = webhook(port);
    format!("id: {id}\naudience: {AUDIENCE}\ndelivery: {{one_time: now}}\n{webhook}")
}

pub(crate) fn fan_out(bench: &Bench) -> Result<Vec<Row>, String> {
    let (few, many) = (10_000, bench.size(1_000_000));
    let (small_rate, small_peak) = walk(bench, few)?;
    let (rate, peak) = walk(bench, many)?;
    let row = |what, unit, figure, target| Row::new("fan-out", what, unit, figure, target);
    Ok(vec![
        row("users walked a scheduler core", "users/s", rate, Target::AtLeast(200_000.0)),
        row("the same, of 10,000 users", "users/s", small_rate, Target::None),
        row("memory over the run of 10,000 users", "MiB", peak - small_peak, Target::AtMost(32.0)),
    ])
}

/// Users walked per second of the scheduler's CPU, and its peak memory in MiB.
fn walk(bench: &Bench, users: u64) -> Result<(f64, f64), String> {
    let receiver = Receiver::start()?;
    let mut deployment = Deployment::redis(&bench.binary)?;
    deployment.import(0..users, 2)?;
    if let Some(scheduler) = deployment.scheduler.take() {
        scheduler.stop()?;
    }
    deployment.add_scheduler()?;
    // A warm-up, and what it costs to do nothing.
    std::thread::sleep(Duration::from_secs(1));
    receiver.begin(true, false);
    let before = deployment.cpu();
    deployment.activate(&one_time("all", receiver.port))?;
    receiver.wait(users / 2, ROUND_WITHIN)?;
    deployment.wait_stat("all", "triggered", users)?;
    deployment.wait_stat("all", "delivered", users / 2)?;
    let cpu = deployment.cpu().since(before);
    receiver.check(users / 2)?;
    let peak = deployment.scheduler.as_ref().map_or(0.0, |scheduler| scheduler.peak_mib());
    deployment.stop()?;
    Ok((users as f64 / cpu.scheduler.max(0.01), peak))
}

/// Active campaigns, each of an event name of its own.
fn many_campaigns(deployment: &Deployment, count: u64, delay: &str, port: u16) -> Result<(), String> {
    let webhook = webhook(port);
    let all: Vec<u64> = (0..count).collect();
    for chunk in all.chunks(500) {
        let mut file = String::new();
        for n in chunk {
            let _ = write!(
                file,
                "---\nid: c{n}\naudience: {AUDIENCE}\ndelivery: {{triggered: {{when: e{n}{delay}}}}}\n{webhook}"
            );
        }
        deployment.activate(&file)?;
    }
    Ok(())
}

/// Sends events of users `users`, the event of user n named after campaign n modulo `campaigns`, on several connections.
fn track(deployment: &Deployment, users: std::ops::Range<u64>, campaigns: u64) -> Result<(), String> {
    const CONNECTIONS: usize = 4;
    let all: Vec<u64> = users.collect();
    let chunks: Vec<&[u64]> = all.chunks(500).collect();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|own| {
                let chunks = chunks.iter().skip(own).step_by(CONNECTIONS);
                scope.spawn(move || {
                    let mut intake = Intake::connect(&deployment.intake)?;
                    for chunk in chunks {
                        let track = |n: &u64| {
                            let (id, name) = (user_id(*n), n % campaigns);
                            format!("{{\"type\":\"track\",\"userId\":\"{id}\",\"event\":\"e{name}\"}}")
                        };
                        intake.post("/v1/batch", &batch(chunk.iter().map(track)))?;
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        senders.into_iter().try_for_each(|sender| sender.join().map_err(|_| "a sender panicked")?)
    })
}

/// What events cost whose sends go at once.
struct Tracked {
    per_sec: f64,
    /// CPU seconds per 10,000 events.
    cpu: Cpu,
}

fn tracked(
    deployment: &Deployment,
    receiver: &Receiver,
    events: u64,
    campaigns: u64,
) -> Result<Tracked, String> {
    receiver.begin(true, false);
    let before = deployment.cpu();
    let began = Instant::now();
    track(deployment, 0..events, campaigns)?;
    receiver.wait(events, ROUND_WITHIN)?;
    let (_, ended) = receiver.span().unwrap_or((began, began));
    // What was posted last is settled within this.
    std::thread::sleep(Duration::from_millis(300));
    let cpu = deployment.cpu().since(before);
    receiver.check(events)?;
    let per_10k = |seconds: f64| seconds * 1e4 / events as f64;
    let cpu = Cpu {
        sender: per_10k(cpu.sender),
        scheduler: per_10k(cpu.scheduler),
        redis: per_10k(cpu.redis),
        control: per_10k(cpu.control),
    };
    Ok(Tracked { per_sec: events as f64 / (ended - began).as_secs_f64(), cpu })
}

/// Rounds of events against so many campaigns.
fn of_campaigns(bench: &Bench, campaigns: u64, events: u64) -> Result<Vec<Tracked>, String> {
    let receiver = Receiver::start()?;
    let deployment = Deployment::redis(&bench.binary)?;
    many_campaigns(&deployment, campaigns, "", receiver.port)?;
    deployment.import(0..events, 1)?;
    tracked(&deployment, &receiver, events / 4, campaigns)?;
    let rounds: Result<Vec<_>, _> =
        (0..bench.rounds()).map(|_| tracked(&deployment, &receiver, events, campaigns)).collect();
    deployment.stop()?;
    rounds
}

fn medians(rounds: &[Tracked], of: impl Fn(&Tracked) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}

pub(crate) fn events(bench: &Bench) -> Result<Vec<Row>, String> {
    let rounds = of_campaigns(bench, bench.size(1_000), bench.size(60_000))?;
    let row = |what, unit, figure, target| Row::new("events", what, unit, figure, target);
    let cpu = "CPU s per 10,000";
    Ok(vec![
        row("events to POSTs", "/s", medians(&rounds, |r| r.per_sec), Target::AtLeast(20_000.0)),
        row("control CPU", cpu, medians(&rounds, |r| r.cpu.control), Target::None),
        row("scheduler CPU", cpu, medians(&rounds, |r| r.cpu.scheduler), Target::None),
        row("sender CPU", cpu, medians(&rounds, |r| r.cpu.sender), Target::None),
        row("Redis CPU", cpu, medians(&rounds, |r| r.cpu.redis), Target::None),
    ])
}

pub(crate) fn campaigns(bench: &Bench) -> Result<Vec<Row>, String> {
    let events = bench.size(40_000);
    let cost = |rounds: &[Tracked]| medians(rounds, |r| r.cpu.sender + r.cpu.redis);
    let few = of_campaigns(bench, 10, events)?;
    let many = of_campaigns(bench, bench.size(10_000), events)?;
    let what = format!("sender and Redis CPU of an event and its delivery, {} campaigns", bench.size(10_000));
    let row = Row::new("campaigns", what, "CPU s per 10,000", cost(&many), Target::AtMost(1.2));
    Ok(vec![row.of_ceiling(cost(&few))])
}

/// How long ten million sends may take to be planned.
const PLANNED_WITHIN: Duration = Duration::from_secs(900);
/// Sends that wait for days, of many campaigns of one event.
const WAITING_CAMPAIGNS: u64 = 100;

pub(crate) fn pending(bench: &Bench) -> Result<Vec<Row>, String> {
    let (few, many) = (10_000, bench.size(10_000_000));
    let sends = bench.size(40_000);
    let receiver = Receiver::start()?;
    let deployment = Deployment::redis(&bench.binary)?;
    let webhook = webhook(receiver.port);
    let mut file = format!(
        "id: soon\naudience: {AUDIENCE}\ndelivery: {{triggered: {{when: e0, delay: 1s}}}}\n{webhook}"
    );
    for n in 0..WAITING_CAMPAIGNS {
        let _ = write!(
            file,
            "---\nid: wait{n}\naudience: {AUDIENCE}\ndelivery: {{triggered: {{when: wait, delay: 5d}}}}\n{webhook}"
        );
    }
    deployment.activate(&file)?;
    deployment.import(0..sends.max(many / WAITING_CAMPAIGNS), 1)?;
    let mut waiting = 0;
    let mut costs = Vec::new();
    for goal in [few, many] {
        wait_for_days(&deployment, waiting / WAITING_CAMPAIGNS..goal / WAITING_CAMPAIGNS)?;
        waiting = goal;
        tracked(&deployment, &receiver, sends / 4, 1)?;
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds() {
            rounds.push(tracked(&deployment, &receiver, sends, 1)?);
        }
        costs.push(medians(&rounds, |r| r.cpu.sender + r.cpu.redis + r.cpu.scheduler));
    }
    drop(deployment);
    let what = format!("sender, scheduler and Redis CPU of a delayed delivery, {many} pending");
    let row = Row::new("pending", what, "CPU s per 10,000", costs[1], Target::AtMost(1.2));
    Ok(vec![row.of_ceiling(costs[0])])
}

/// Plans a send of every waiting campaign for these users.
fn wait_for_days(deployment: &Deployment, users: std::ops::Range<u64>) -> Result<(), String> {
    let mut intake = Intake::connect(&deployment.intake)?;
    let planned = users.end;
    let all: Vec<u64> = users.collect();
    for chunk in all.chunks(100) {
        let track =
            |n: &u64| format!("{{\"type\":\"track\",\"userId\":\"{}\",\"event\":\"wait\"}}", user_id(*n));
        intake.post("/v1/batch", &batch(chunk.iter().map(track)))?;
    }
    let last = format!("wait{}", WAITING_CAMPAIGNS - 1);
    until_within(PLANNED_WITHIN, "all are planned", || {
        std::thread::sleep(Duration::from_millis(500));
        (deployment.stat(&last, "planned") == Ok(planned)).then_some(())
    })
}
