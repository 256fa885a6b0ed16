//! Reads beside the writer, for listings: a look through a long log must not hold writes up. Sees what is committed, and so all that
//! was ever answered.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use campanile_core::ports::{Clock, StoreError};
use rusqlite::Connection;

use crate::open::open_reader;
use crate::ring::Ring;
use crate::room::{Done, Room, Wake};

#[derive(Clone)]
pub(crate) struct Reader {
    connection: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
}

impl Reader {
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Reader, StoreError> {
        Ok(Reader { connection: Arc::new(Mutex::new(open_reader(path)?)), clock })
    }

    /// Runs a verb that only reads, on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Room<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let connection = reader.connection.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is queued and nobody is woken by reading.
            let (mut ring, mut wake) = (Ring::default(), Wake::default());
            let now = reader.clock.now();
            verb(&mut Room { connection: &connection, now, ring: &mut ring, wake: &mut wake })
        });
        read.await.unwrap_or_else(|e| Err(StoreError::Away(format!("a read was broken off: {e}"))))
    }
}
