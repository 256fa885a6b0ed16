//! Wake-ups: one connection of the process listens to the channels of all shards and counts what it hears. They are hints; without
//! them loops only look a little later. A connection that comes back wakes everybody, for it may have missed something.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::ports::Work;
use redis::aio::ConnectionLike;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::server::{Listening, Server};

/// Between attempts to come back.
const RECONNECT: Duration = Duration::from_millis(500);
/// After this much silence the connection is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);

pub(crate) struct Wakes {
    schedule: watch::Sender<u64>,
    send: watch::Sender<u64>,
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        Wakes { schedule: watch::Sender::new(0), send: watch::Sender::new(0) }
    }

    pub(crate) async fn woken(&self, work: Work, seen: u64) -> u64 {
        let mut counter = match work {
            Work::Schedule => self.schedule.subscribe(),
            Work::Send => self.send.subscribe(),
        };
        // The sender lives as long as we do.
        counter.wait_for(|n| *n != seen).await.map_or(seen, |n| *n)
    }

    fn heard(&self, letters: &[u8]) {
        if letters.iter().any(|l| matches!(l, b'e' | b'd')) {
            self.schedule.send_modify(|n| *n += 1);
        }
        if letters.contains(&b'q') {
            self.send.send_modify(|n| *n += 1);
        }
    }
}

/// Runs until it is aborted.
pub(crate) async fn listen(server: Server, channels: Vec<String>, wakes: Arc<Wakes>) {
    loop {
        let (pushes, mut heard) = mpsc::unbounded_channel();
        match server.listen(&channels, pushes).await {
            Ok(mut connection) => {
                wakes.heard(b"edq");
                while let Some(push) = next(&mut connection, &mut heard).await {
                    match letters(&push) {
                        Heard::Letters(letters) => wakes.heard(letters),
                        Heard::Nothing => {}
                        Heard::End => break,
                    }
                }
            }
            Err(e) => tracing::debug!(error = e.category(), "no wake-ups from redis for now"),
        }
        sleep(RECONNECT).await;
    }
}

/// The next push; none once the connection is dead, which silence alone does not show.
async fn next(connection: &mut Listening, heard: &mut mpsc::UnboundedReceiver<PushInfo>) -> Option<PushInfo> {
    loop {
        match timeout(SILENCE, heard.recv()).await {
            Ok(push) => return push,
            Err(_silent) => match connection {
                Listening::Single(connection) => {
                    connection.send_packed_command(&redis::cmd("PING")).await.ok()?
                }
                Listening::Cluster(cluster) => cluster.req_packed_command(&redis::cmd("PING")).await.ok()?,
            },
        };
    }
}

enum Heard<'a> {
    Letters(&'a [u8]),
    Nothing,
    End,
}

fn letters(push: &PushInfo) -> Heard<'_> {
    match (&push.kind, push.data.last()) {
        (PushKind::Disconnection | PushKind::SUnsubscribe, _) => Heard::End,
        (PushKind::SMessage, Some(Value::BulkString(letters))) => Heard::Letters(letters),
        _ => Heard::Nothing,
    }
}
