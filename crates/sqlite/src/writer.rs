//! The writer: one thread that owns the only connection that writes. Takes what callers wait with, runs each in a savepoint, commits
//! once, answers all.
//!
//! An error of one verb undoes that verb only. An answer is given after the commit, so what is answered is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use campanile_core::ports::{Clock, StoreError};
use jiff::Timestamp;
use metrics::histogram;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::memory::Memory;
use crate::open::broken;
use crate::room::{Done, Room, View, Wake};

/// Verbs that one commit carries.
const GROUP_MAX: usize = 256;
/// Callers that may wait; more are told that the store is full.
const WAITING_MAX: usize = 4_096;

/// Runs in a savepoint, or is told why there is none.
type Verb = Box<dyn FnOnce(Result<&mut Room<'_>, StoreError>) -> Outcome + Send>;
/// What the verb answers, unless the commit failed.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Outcome {
    error: Option<StoreError>,
    answer: Answer,
}

pub(crate) struct Writer {
    verbs: Option<SyncSender<Verb>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// `first` runs before anybody else's verb; if it fails the store does not start.
    pub(crate) fn start(
        connection: Connection,
        clock: Arc<dyn Clock>,
        woken: Woken,
        first: impl FnOnce(&mut Room<'_>) -> Done<()> + Send + 'static,
    ) -> Result<Writer, StoreError> {
        let (verbs, waiting) = sync_channel(WAITING_MAX);
        let memory = Memory::load(&connection)?;
        let mut writing = Writing { connection, clock, woken, memory, waiting };
        let (tell, mut told) = oneshot::channel();
        writing.commit(vec![verb(first, tell)]);
        told.try_recv().map_err(|_| StoreError::Away("the writer did not start".to_owned()))??;
        let thread =
            std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || writing.run());
        let thread = thread.map_err(|e| StoreError::Refused(format!("start the writer: {e}")))?;
        Ok(Writer { verbs: Some(verbs), thread: Some(thread) })
    }

    /// Runs `done` and answers what it answers, once that is durable.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        done: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let gone = || StoreError::Away("the writer has stopped".to_owned());
        match self.verbs.as_ref().ok_or_else(gone)?.try_send(verb(done, tell)) {
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

fn verb<T: Send + 'static>(
    done: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    tell: oneshot::Sender<Result<T, StoreError>>,
) -> Verb {
    Box::new(move |room| {
        // A fault of ours in one verb must not take the store away from all others.
        let done = room.and_then(|room| {
            catch_unwind(AssertUnwindSafe(|| done(room)))
                .unwrap_or_else(|_| Err(StoreError::Away("the verb panicked".to_owned())))
        });
        let error = done.as_ref().err().cloned();
        let answer: Answer = Box::new(move |committed| {
            let _ = tell.send(committed.and(done));
        });
        Outcome { error, answer }
    })
}

/// Counts of wake-ups.
#[derive(Clone)]
pub(crate) struct Woken {
    pub(crate) schedule: Arc<watch::Sender<u64>>,
    pub(crate) send: Arc<watch::Sender<u64>>,
}

struct Writing {
    connection: Connection,
    clock: Arc<dyn Clock>,
    woken: Woken,
    memory: Memory,
    waiting: Receiver<Verb>,
}

impl Writing {
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
        let _ = self.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Runs and commits all of a group; in several steps where an error undoes more than its own verb.
    fn commit(&mut self, group: Vec<Verb>) {
        let mut left = group;
        while !left.is_empty() {
            left = self.commit_some(left);
        }
    }

    /// Answers with the verbs it did not come to.
    fn commit_some(&mut self, group: Vec<Verb>) -> Vec<Verb> {
        let mut wake = Wake::default();
        let mut answers = Vec::with_capacity(group.len());
        let mut verbs = group.into_iter();
        let now = self.clock.now();
        let mut state = self.execute("BEGIN IMMEDIATE");
        if let Err(error) = &state {
            answers.extend(verbs.by_ref().map(|verb| verb(Err(error.clone())).answer));
        }
        while state.is_ok()
            && let Some(verb) = verbs.next()
        {
            let (answer, after) = self.run_one(verb, now, &mut wake);
            answers.push(answer);
            state = after;
        }
        let committed = state.and_then(|()| {
            let began_at = Instant::now();
            let committed = self.execute("COMMIT");
            histogram!("campanile_store_call_seconds", "call" => "commit")
                .record(began_at.elapsed().as_secs_f64());
            committed
        });
        if committed.is_err() {
            if !self.connection.is_autocommit() {
                let _ = self.execute("ROLLBACK");
            }
            self.reload();
        }
        answers.into_iter().for_each(|answer| answer(committed.clone()));
        if committed.is_ok() {
            self.tell(wake);
        }
        verbs.collect()
    }

    /// The second answer is whether the transaction still stands: a full disk may have ended it, with all that was done in it, and
    /// those before are told so too.
    fn run_one(&mut self, verb: Verb, now: Timestamp, wake: &mut Wake) -> (Answer, Result<(), StoreError>) {
        if let Err(error) = self.execute("SAVEPOINT verb") {
            return (verb(Err(error.clone())).answer, Err(error));
        }
        self.memory.is_touched = false;
        let view = View { connection: &self.connection };
        let outcome = verb(Ok(&mut Room { view, now, memory: &mut self.memory, wake }));
        let Some(error) = outcome.error else { return (outcome.answer, self.execute("RELEASE verb")) };
        if self.connection.is_autocommit() {
            return (outcome.answer, Err(error));
        }
        let undone = self.execute("ROLLBACK TO verb").and_then(|()| self.execute("RELEASE verb"));
        if self.memory.is_touched {
            self.reload();
        }
        (outcome.answer, undone)
    }

    fn tell(&self, wake: Wake) {
        if wake.schedule {
            self.woken.schedule.send_modify(|n| *n += 1);
        }
        if wake.send {
            self.woken.send.send_modify(|n| *n += 1);
        }
    }

    /// What is in memory may be ahead of what was undone.
    fn reload(&mut self) {
        match Memory::load(&self.connection) {
            Ok(memory) => self.memory = memory,
            Err(error) => tracing::error!(%error, "the lanes cannot be read again"),
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(|e| broken(&e))
    }
}
