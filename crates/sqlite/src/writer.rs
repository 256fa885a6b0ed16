//! The writer: one thread that owns the connection. Takes what callers wait with, runs each in a savepoint, commits once, answers all.
//!
//! An error of one verb undoes that verb only. An answer is given after the commit, so what is answered is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use campanile_core::ports::{Clock, StoreError};
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::open::broken;
use crate::ring::Ring;
use crate::room::{Done, Room, Wake};

/// Verbs that one commit carries.
const GROUP_MAX: usize = 256;
/// Callers that may wait; more are told that the store is full.
const WAITING_MAX: usize = 4_096;

/// Runs in a savepoint; what it answers is sent after the commit, or replaced by the commit's error.
type Verb = Box<dyn FnOnce(&mut Room<'_>) -> Outcome + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Outcome {
    /// What the verb failed with.
    error: Option<StoreError>,
    answer: Answer,
}

/// A verb that panics is a bug of ours: its caller is told, and the store goes on.
fn run_guarded(verb: Verb, room: &mut Room<'_>) -> Outcome {
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| verb(room)));
    done.unwrap_or_else(|_| Outcome {
        error: Some(StoreError::Refused("a verb panicked".to_owned())),
        answer: Box::new(drop),
    })
}

pub(crate) struct Writer {
    verbs: Option<SyncSender<Verb>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        clock: Arc<dyn Clock>,
        woken: Woken,
        first: impl FnOnce(&mut Room<'_>) -> Done<usize> + Send + 'static,
    ) -> Result<Writer, StoreError> {
        let (verbs, waiting) = sync_channel(WAITING_MAX);
        let ring = Ring::load(&connection)?;
        let run = move || {
            let mut room = Loop { connection, clock, woken, ring, waiting };
            let first: Verb = Box::new(move |room| {
                let done = first(room);
                let error = done.err();
                if let Some(error) = &error {
                    tracing::error!(%error, "leases of the last run are not taken back");
                }
                Outcome { error, answer: Box::new(drop) }
            });
            room.commit(vec![first]);
            room.run();
        };
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(run);
        let thread = thread.map_err(|e| StoreError::Refused(format!("start the writer: {e}")))?;
        Ok(Writer { verbs: Some(verbs), thread: Some(thread) })
    }

    /// Runs `verb` and answers what it answers, once that is durable.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let verb: Verb = Box::new(move |room| {
            let done = verb(room);
            let error = done.as_ref().err().cloned();
            let answer: Answer = Box::new(move |committed| {
                let _ = tell.send(committed.and(done));
            });
            Outcome { error, answer }
        });
        let gone = || StoreError::Away("the writer has stopped".to_owned());
        match self.verbs.as_ref().ok_or_else(gone)?.try_send(verb) {
            Ok(()) => told.await.map_err(|_| gone())?,
            Err(TrySendError::Full(_)) => Err(StoreError::Full(format!("{WAITING_MAX} calls are waiting"))),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more; what it has taken it finishes.
        self.verbs.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Counts of wake-ups.
#[derive(Clone)]
pub(crate) struct Woken {
    pub(crate) schedule: Arc<watch::Sender<u64>>,
    pub(crate) send: Arc<watch::Sender<u64>>,
}

struct Loop {
    connection: Connection,
    clock: Arc<dyn Clock>,
    woken: Woken,
    ring: Ring,
    waiting: Receiver<Verb>,
}

impl Loop {
    fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX {
                match self.waiting.try_recv() {
                    Ok(verb) => group.push(verb),
                    Err(_) => break,
                }
            }
            self.commit(group);
        }
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Runs and commits all of a group; in several steps where an error undoes more than its own verb.
    fn commit(&mut self, group: Vec<Verb>) {
        let mut left = group;
        while !left.is_empty() {
            left = self.commit_some(left);
        }
    }

    /// Answers the verbs it did not come to.
    fn commit_some(&mut self, group: Vec<Verb>) -> Vec<Verb> {
        let mut wake = Wake::default();
        let mut answers = Vec::with_capacity(group.len());
        let mut verbs = group.into_iter();
        let mut undone = self.execute("BEGIN IMMEDIATE").err();
        if undone.is_some() {
            answers.extend(verbs.by_ref().map(|verb| self.refuse(verb, &mut wake)));
        }
        let now = self.clock.now();
        for verb in verbs.by_ref() {
            let _ = self.execute("SAVEPOINT verb");
            let mut room = Room { connection: &self.connection, now, ring: &mut self.ring, wake: &mut wake };
            let outcome = run_guarded(verb, &mut room);
            answers.push(outcome.answer);
            if let Some(error) = outcome.error {
                // A full disk or a failed write ends the whole transaction: those before are undone too, and told so.
                if self.connection.is_autocommit() {
                    undone = Some(error);
                    break;
                }
                let _ = self.execute("ROLLBACK TO verb");
                self.reload();
            }
            let _ = self.execute("RELEASE verb");
        }
        let committed = match undone {
            Some(error) => Err(error),
            None => self.execute("COMMIT"),
        };
        if committed.is_err() {
            if !self.connection.is_autocommit() {
                let _ = self.execute("ROLLBACK");
            }
            self.reload();
        }
        answers.into_iter().for_each(|answer| answer(committed.clone()));
        if committed.is_ok() {
            if wake.schedule {
                self.woken.schedule.send_modify(|n| *n += 1);
            }
            if wake.send {
                self.woken.send.send_modify(|n| *n += 1);
            }
        }
        verbs.collect()
    }

    /// No transaction could be begun: the verb's answer will carry that error, whatever it finds.
    fn refuse(&mut self, verb: Verb, wake: &mut Wake) -> Answer {
        let now = self.clock.now();
        // Reads only what is there; outside a transaction each of its writes fails or is undone with it.
        let _ = self.execute("PRAGMA query_only = ON");
        let answer = verb(&mut Room { connection: &self.connection, now, ring: &mut self.ring, wake }).answer;
        let _ = self.execute("PRAGMA query_only = OFF");
        self.reload();
        answer
    }

    /// What is in memory may be ahead of what was undone.
    fn reload(&mut self) {
        match Ring::load(&self.connection) {
            Ok(ring) => self.ring = ring,
            Err(error) => tracing::error!(%error, "the lanes cannot be read again"),
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(|e| broken(&e))
    }
}
