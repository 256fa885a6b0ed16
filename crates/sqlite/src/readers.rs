//! The readers: a few threads, each with a connection that cannot write. Pages and looks through the log run here, so that they never
//! keep the writer waiting. A reading verb sees one state of the file, at least as new as every answer given before it was asked.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use campanile_core::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::open::{broken, open_reader};
use crate::room::{Done, View};

/// Two may be looking through the whole log for somebody; the third serves claims and walks meanwhile.
const READERS: usize = 3;
/// Callers that may wait; more are told that the store is full.
const WAITING_MAX: usize = 4_096;

type Verb = Box<dyn FnOnce(&Connection) + Send>;

pub(crate) struct Readers {
    verbs: Option<SyncSender<Verb>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(path: &Path) -> Result<Readers, StoreError> {
        let (verbs, waiting) = sync_channel::<Verb>(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut readers = Readers { verbs: Some(verbs), threads: Vec::with_capacity(READERS) };
        for n in 0..READERS {
            let (connection, waiting) = (open_reader(path)?, Arc::clone(&waiting));
            let run = move || {
                while let Some(verb) = next(&waiting) {
                    verb(&connection);
                }
            };
            let thread = std::thread::Builder::new().name(format!("sqlite-reader-{n}")).spawn(run);
            readers.threads.push(thread.map_err(|e| StoreError::Refused(format!("start a reader: {e}")))?);
        }
        Ok(readers)
    }

    #[cfg(test)]
    pub(crate) fn none_for_test() -> Readers {
        Readers { verbs: None, threads: Vec::new() }
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(View<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let verb: Verb = Box::new(move |connection| {
            let _ = tell.send(in_one_state(connection, verb));
        });
        let gone = || StoreError::Away("the readers have stopped".to_owned());
        match self.verbs.as_ref().ok_or_else(gone)?.try_send(verb) {
            Ok(()) => told.await.map_err(|_| gone())?,
            Err(TrySendError::Full(_)) => Err(StoreError::Full(format!("{WAITING_MAX} calls are waiting"))),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.verbs.take();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn next(waiting: &Mutex<Receiver<Verb>>) -> Option<Verb> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn in_one_state<T>(connection: &Connection, verb: impl FnOnce(View<'_>) -> Done<T>) -> Done<T> {
    connection.execute_batch("BEGIN").map_err(|e| broken(&e))?;
    let done = verb(View { connection });
    // Nothing was written; an error here would only say that the transaction had ended by itself.
    let _ = connection.execute_batch("COMMIT");
    done
}
