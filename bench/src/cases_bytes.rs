//! What things weigh: in Redis, counted key by key, and the binary.

use std::time::Duration;

use crate::cases::Bench;
use crate::deployment::Deployment;
use crate::intake::{Intake, batch};
use crate::payload::{AUDIENCE, user_id, webhook};
use crate::processes::until;
use crate::receiver::Receiver;
use crate::row::{Row, Target};

const SENDS: u64 = 50_000;
const EVENT_NAMES: u64 = 5;

pub(crate) fn in_redis(bench: &Bench) -> Result<Vec<Row>, String> {
    let users = bench.size(SENDS);
    let receiver = Receiver::start()?;
    let mut deployment = Deployment::control(&bench.binary)?;
    deployment.add_scheduler()?;
    let webhook = webhook(receiver.port);
    deployment.activate(&format!(
        "id: later\naudience: {AUDIENCE}\ndelivery: {{triggered: {{when: e0, delay: 3d}}}}\n{webhook}---\n\
         id: queued\naudience: {AUDIENCE}\ndelivery: {{manual: {{}}}}\n{webhook}"
    ))?;
    deployment.import(0..users, 1)?;
    let mut intake = Intake::connect(&deployment.intake)?;
    let all: Vec<u64> = (0..users).collect();
    for name in 0..EVENT_NAMES {
        for chunk in all.chunks(500) {
            let track = |n: &u64| {
                let id = user_id(*n);
                format!(
                    "{{\"type\":\"track\",\"userId\":\"{id}\",\"event\":\"e{name}\",\"properties\":{{\"value\":{n}}}}}"
                )
            };
            intake.post("/v1/batch", &batch(chunk.iter().map(track)))?;
        }
    }
    deployment.enter("queued", 0..users)?;
    deployment.wait_stat("later", "pending", users)?;
    deployment.wait_stat("queued", "pending", users)?;
    let redis = deployment.redis.as_ref().ok_or("no redis")?;
    until("every event is looked at", || {
        std::thread::sleep(Duration::from_millis(20));
        redis.bytes_of(&["}:ev"]).ok().filter(|(_, keys)| *keys <= 32)
    })?;
    let each = |parts: &[&str]| redis.bytes_of(parts).map(|(bytes, _)| bytes as f64 / users as f64);
    let row = |what, figure, most| Row::new("bytes", what, "bytes", figure, Target::AtMost(most));
    let rows = vec![
        row("pending delayed send, no event data", each(&["}:w:", "}:wheel", "}:soon"])?, 60.0),
        row("queued send, lanes of 20 or more", each(&["}:q:", "}:ring"])?, 60.0),
        row("user of 10 attributes and 5 events, with the id map", each(&["}:u:", "}:id:", "}:un"])?, 600.0),
    ];
    // They are not to be sent: only the receiver would mind.
    drop(deployment);
    Ok(rows)
}

pub(crate) fn binary(bench: &Bench) -> Result<Vec<Row>, String> {
    let shown = bench.binary.display();
    let bytes = std::fs::metadata(&bench.binary).map_err(|e| format!("{shown}: {e}"))?.len();
    let mib = bytes as f64 / 1024.0 / 1024.0;
    Ok(vec![Row::new("binary", "the stripped binary", "MiB", mib, Target::AtMost(25.0))])
}
