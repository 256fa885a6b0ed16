//! Deliveries a second and what each costs. All sends of a round are queued while the receiver holds its answers; then it lets go.

use std::time::Instant;

use crate::cases::{Bench, ROUND_WITHIN};
use crate::ceiling;
use crate::deployment::{Cpu, Deployment};
use crate::payload::{AUDIENCE, webhook};
use crate::receiver::Receiver;
use crate::row::{Row, Target, median};

const CAMPAIGN: &str = "deliver";
/// At full speed for about a second.
const SENDS: u64 = 60_000;

/// What one round took.
pub(crate) struct Round {
    pub(crate) per_sec: f64,
    /// CPU seconds per 10,000 deliveries.
    pub(crate) cpu: Cpu,
}

/// A campaign to be entered by hand, as users that are all in its audience.
pub(crate) fn prepare(deployment: &Deployment, receiver: &Receiver, users: u64) -> Result<(), String> {
    let webhook = webhook(receiver.port);
    deployment
        .activate(&format!("id: {CAMPAIGN}\naudience: {AUDIENCE}\ndelivery: {{manual: {{}}}}\n{webhook}"))?;
    deployment.import(0..users, 1)
}

/// Queues and delivers this many sends, each to a user of its own.
pub(crate) fn round(deployment: &Deployment, receiver: &Receiver, sends: u64) -> Result<Round, String> {
    receiver.begin(true, false);
    receiver.hold();
    deployment.enter(CAMPAIGN, 0..sends)?;
    let before = deployment.cpu();
    let began: Instant = receiver.release();
    receiver.wait(sends, ROUND_WITHIN)?;
    let (_, ended) = receiver.span().unwrap_or((began, began));
    deployment.wait_stat(CAMPAIGN, "pending", 0)?;
    let cpu = deployment.cpu().since(before);
    receiver.check(sends)?;
    let per_10k = |seconds: f64| seconds * 1e4 / sends as f64;
    let cpu = Cpu {
        sender: per_10k(cpu.sender),
        scheduler: per_10k(cpu.scheduler),
        redis: per_10k(cpu.redis),
        control: per_10k(cpu.control),
    };
    Ok(Round { per_sec: sends as f64 / (ended - began).as_secs_f64(), cpu })
}

fn medians(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}

pub(crate) fn on_redis(bench: &Bench) -> Result<Vec<Row>, String> {
    let sends = bench.size(SENDS);
    let receiver = Receiver::start()?;
    let deployment = Deployment::redis(&bench.binary)?;
    prepare(&deployment, &receiver, sends)?;
    round(&deployment, &receiver, sends / 4)?;
    let url = deployment.redis.as_ref().map(|redis| redis.url.clone());
    let (mut rounds, mut ceilings) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        ceilings.push(ceiling::run(&receiver, sends, url.as_deref())?);
        rounds.push(round(&deployment, &receiver, sends)?);
    }
    let peak = deployment.senders.iter().map(|sender| sender.peak_mib()).fold(0.0, f64::max);
    deployment.stop()?;
    let ceiling = median(ceilings.iter().map(|ceiling| ceiling.per_sec).collect());
    let ceiling_cpu = median(ceilings.iter().map(|ceiling| ceiling.cpu_per_10k).collect());
    let row = |what: &str, unit, figure, target| Row::new("deliver", what, unit, figure, target);
    let cpu = "CPU s per 10,000";
    Ok(vec![
        row("deliveries", "/s", medians(&rounds, |r| r.per_sec), Target::AtLeast(0.6)).of_ceiling(ceiling),
        row("sender CPU", cpu, medians(&rounds, |r| r.cpu.sender), Target::AtMost(0.20)).beside(ceiling_cpu),
        row("Redis CPU", cpu, medians(&rounds, |r| r.cpu.redis), Target::AtMost(0.10)),
        row("scheduler CPU", cpu, medians(&rounds, |r| r.cpu.scheduler), Target::None),
        row("sender peak memory", "MiB", peak, Target::AtMost(64.0)),
    ])
}

pub(crate) fn on_sqlite(bench: &Bench) -> Result<Vec<Row>, String> {
    let sends = bench.size(SENDS);
    let receiver = Receiver::start()?;
    let deployment = Deployment::sqlite(&bench.binary)?;
    prepare(&deployment, &receiver, sends)?;
    round(&deployment, &receiver, sends / 4)?;
    let (mut rounds, mut ceilings) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        ceilings.push(ceiling::run(&receiver, sends, None)?);
        rounds.push(round(&deployment, &receiver, sends)?);
    }
    let peak = deployment.control.peak_mib();
    deployment.stop()?;
    let ceiling = median(ceilings.iter().map(|ceiling| ceiling.per_sec).collect());
    let ceiling_cpu = median(ceilings.iter().map(|ceiling| ceiling.cpu_per_10k).collect());
    let row = |what: &str, unit, figure, target| Row::new("deliver-sqlite", what, unit, figure, target);
    let cpu = medians(&rounds, |r| r.cpu.sender);
    Ok(vec![
        row("deliveries", "/s", medians(&rounds, |r| r.per_sec), Target::AtLeast(0.3)).of_ceiling(ceiling),
        row("CPU of the one process", "CPU s per 10,000", cpu, Target::None).beside(ceiling_cpu),
        row("peak memory of the one process", "MiB", peak, Target::None),
    ])
}

/// Rounds with one and with two senders, each in turn, so that what else the machine does falls on both.
pub(crate) fn second_sender(bench: &Bench) -> Result<Vec<Row>, String> {
    let sends = bench.size(SENDS);
    let receiver = Receiver::start()?;
    let mut deployment = Deployment::redis(&bench.binary)?;
    prepare(&deployment, &receiver, sends)?;
    round(&deployment, &receiver, sends / 4)?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        one.push(round(&deployment, &receiver, sends)?);
        deployment.add_sender()?;
        round(&deployment, &receiver, sends / 10)?;
        two.push(round(&deployment, &receiver, sends)?);
        if let Some(second) = deployment.senders.pop() {
            second.stop()?;
        }
    }
    deployment.stop()?;
    let figure = medians(&two, |r| r.per_sec);
    let row = Row::new("second-sender", "deliveries, beside one sender", "/s", figure, Target::AtLeast(1.0));
    Ok(vec![row.of_ceiling(medians(&one, |r| r.per_sec))])
}
