//! How long a send takes that has nothing to wait for, and how late one is that has a due instant.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::cases::{Bench, ROUND_WITHIN};
use crate::ceiling;
use crate::deployment::{Deployment, restart};
use crate::intake::{Intake, batch};
use crate::payload::{AUDIENCE, user_id, webhook};
use crate::processes::until;
use crate::receiver::{Arrival, Receiver};
use crate::row::{Row, Target, median, quantile};

const IDLE_EVENTS: u64 = 500;
const WARM_UP: u64 = 50;
/// Between an arrival and the next event.
const PAUSE: Duration = Duration::from_millis(5);

/// A campaign of events named `event`.
fn triggered(id: &str, event: &str, delay: &str, port: u16) -> String {
    let delay = if delay.is_empty() { String::new() } else { format!(", delay: {delay}") };
    let webhook = webhook(port);
    format!("id: {id}\naudience: {AUDIENCE}\ndelivery: {{triggered: {{when: {event}{delay}}}}}\n{webhook}")
}

pub(crate) fn event_idle(bench: &Bench) -> Result<Vec<Row>, String> {
    let events = bench.size(IDLE_EVENTS).max(100);
    let mut rows = Vec::new();
    for store in ["Redis", "SQLite"] {
        let deployment = match store {
            "Redis" => Deployment::redis(&bench.binary)?,
            _ => Deployment::sqlite(&bench.binary)?,
        };
        let took = one_by_one(&deployment, events)?;
        deployment.stop()?;
        let of = |share| quantile(took.clone(), share);
        let row =
            |what: String, figure, most| Row::new("event-idle", what, "ms", figure, Target::AtMost(most));
        rows.push(row(format!("{store}, p50"), of(0.5), 3.0));
        rows.push(row(format!("{store}, p99"), of(0.99), 8.0));
    }
    Ok(rows)
}

/// Milliseconds from the call to the POST, of each.
fn one_by_one(deployment: &Deployment, events: u64) -> Result<Vec<f64>, String> {
    let receiver = Receiver::start()?;
    deployment.activate(&triggered("ping", "ping", "", receiver.port))?;
    let all = WARM_UP + events;
    deployment.import(0..all, 1)?;
    receiver.begin(true, true);
    let mut intake = Intake::connect(&deployment.intake)?;
    let mut called = Vec::new();
    for n in 0..all {
        called.push(Timestamp::now());
        intake.post("/v1/track", &format!("{{\"userId\":\"{}\",\"event\":\"ping\"}}", user_id(n)))?;
        until("the webhook arrives", || (receiver.requests() > n).then_some(()))?;
        std::thread::sleep(PAUSE);
    }
    receiver.wait(all, ROUND_WITHIN)?;
    let took = |arrival: &Arrival| {
        let called = called.get(arrival.user as usize).copied().unwrap_or(arrival.at);
        arrival.at.duration_since(called).as_secs_f64() * 1e3
    };
    Ok(receiver.arrivals().iter().filter(|a| a.user >= WARM_UP).map(took).collect())
}

/// Sends `sends` events of a delayed campaign, the nth due `spacing * n` after the first, and waits for all. The first is due
/// `ahead` after now.
fn delayed(
    deployment: &Deployment,
    receiver: &Receiver,
    sends: u64,
    spacing: SignedDuration,
    ahead: SignedDuration,
) -> Result<Vec<Arrival>, String> {
    let delay = ahead + spacing * i32::try_from(sends).unwrap_or(i32::MAX);
    let campaign = triggered("delayed", "later", &format!("{}s", delay.as_secs() + 1), receiver.port);
    deployment.activate(&campaign)?;
    deployment.import(0..sends, 1)?;
    receiver.begin(true, true);
    // They happened before now, so that the last of them is in the past too; but after the campaign's start.
    std::thread::sleep(
        Duration::from_secs(delay.as_secs().unsigned_abs() + 2).saturating_sub(ahead.unsigned_abs()),
    );
    let began = Timestamp::now() + ahead - SignedDuration::from_secs(delay.as_secs() + 1);
    let mut intake = Intake::connect(&deployment.intake)?;
    let all: Vec<u64> = (0..sends).collect();
    for chunk in all.chunks(500) {
        let track = |n: &u64| {
            let at = began + spacing * i32::try_from(*n).unwrap_or(i32::MAX);
            let id = user_id(*n);
            format!("{{\"type\":\"track\",\"userId\":\"{id}\",\"event\":\"later\",\"timestamp\":\"{at}\"}}")
        };
        intake.post("/v1/batch", &batch(chunk.iter().map(track)))?;
    }
    deployment.wait_stat("delayed", "planned", sends)?;
    if receiver.requests() > 0 {
        return Err(
            "sends were due before all were planned: this machine is too slow for the case".to_owned()
        );
    }
    receiver.wait(sends, ROUND_WITHIN)?;
    Ok(receiver.arrivals())
}

fn late(arrivals: &[Arrival]) -> Vec<f64> {
    arrivals.iter().map(Arrival::late_ms).collect()
}

fn lateness(
    case: &'static str,
    bench: &Bench,
    spacing: SignedDuration,
    p99_max: f64,
) -> Result<Vec<Row>, String> {
    let (mut p50, mut p99, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        let receiver = Receiver::start()?;
        let deployment = Deployment::redis(&bench.binary)?;
        let late = late(&delayed(&deployment, &receiver, 1_000, spacing, SignedDuration::from_secs(3))?);
        deployment.stop()?;
        p50.push(quantile(late.clone(), 0.5));
        p99.push(quantile(late.clone(), 0.99));
        first.push(quantile(late, 0.0));
    }
    let row = |what, figure: Vec<f64>, target| Row::new(case, what, "ms", median(figure), target);
    Ok(vec![
        row("the earliest", first, Target::AtLeast(0.0)),
        row("p50", p50, Target::None),
        row("p99", p99, Target::AtMost(p99_max)),
    ])
}

pub(crate) fn one_instant(bench: &Bench) -> Result<Vec<Row>, String> {
    lateness("late-second", bench, SignedDuration::ZERO, 30.0)
}

pub(crate) fn spaced(bench: &Bench) -> Result<Vec<Row>, String> {
    lateness("late-spaced", bench, SignedDuration::from_millis(10), 4.0)
}

pub(crate) fn many_at_one_instant(bench: &Bench) -> Result<Vec<Row>, String> {
    let sends = bench.size(50_000);
    let (mut rates, mut firsts, mut ceilings) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        let receiver = Receiver::start()?;
        let deployment = Deployment::redis(&bench.binary)?;
        let url = deployment.redis.as_ref().map(|redis| redis.url.clone());
        ceilings.push(ceiling::run(&receiver, sends, url.as_deref())?.per_sec);
        let ahead = SignedDuration::from_secs(if bench.quick { 4 } else { 15 });
        let late = late(&delayed(&deployment, &receiver, sends, SignedDuration::ZERO, ahead)?);
        deployment.stop()?;
        let last = quantile(late.clone(), 1.0);
        rates.push(sends as f64 / (last / 1e3));
        firsts.push(quantile(late, 0.0));
    }
    let row = |what, unit, figure, target| Row::new("late-many", what, unit, figure, target);
    Ok(vec![
        row("first POST", "ms", median(firsts), Target::AtMost(10.0)),
        row("drained at", "/s", median(rates), Target::AtLeast(0.6)).of_ceiling(median(ceilings)),
    ])
}

/// A process starts on a file where a send is due, and posts it.
pub(crate) fn cold_start(bench: &Bench) -> Result<Vec<Row>, String> {
    let receiver = Receiver::start()?;
    let mut deployment = Deployment::sqlite(&bench.binary)?;
    deployment.activate(&triggered("cold", "cold", "1s", receiver.port))?;
    let mut took = Vec::new();
    let rounds = bench.rounds() as u64 * 3;
    deployment.import(0..rounds, 1)?;
    for n in 0..rounds {
        receiver.begin(true, false);
        let track = format!("{{\"userId\":\"{}\",\"event\":\"cold\"}}", user_id(n));
        Intake::connect(&deployment.intake)?.post("/v1/track", &track)?;
        deployment.wait_stat("cold", "planned", n + 1)?;
        // Killed before it is due, so that the send is waiting when the next one starts.
        let _ = deployment.control.child().kill();
        let _ = deployment.control.child().wait();
        if receiver.requests() > 0 {
            return Err("the send went before the process was killed".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1_200));
        let began: Instant = restart(&mut deployment)?;
        receiver.wait(1, ROUND_WITHIN)?;
        let (first, _) = receiver.span().unwrap_or((began, began));
        took.push((first - began).as_secs_f64() * 1e3);
        until("the intake listens", || Intake::connect(&deployment.intake).ok())?;
    }
    deployment.stop()?;
    Ok(vec![Row::new("cold-start", "to the first webhook", "ms", median(took), Target::AtMost(150.0))])
}
