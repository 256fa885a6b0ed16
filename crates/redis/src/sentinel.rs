//! Whichever server Sentinel calls the master: found when needed, kept while it answers as one, looked for again when it does not.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// After a search that found nobody, callers within this time are told the same: a hundred of them do not ask a hundred times.
const SEARCH_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Elected {
    config: AsyncConnectionConfig,
    search: Mutex<Search>,
}

struct Search {
    client: SentinelClient,
    master: Option<MultiplexedConnection>,
    /// Grows with every master that is given up.
    given_up: u64,
    failed: Option<(Instant, RedisError)>,
}

impl Elected {
    pub(crate) fn new(client: SentinelClient, config: AsyncConnectionConfig) -> Elected {
        Elected { config, search: Mutex::new(Search { client, master: None, given_up: 0, failed: None }) }
    }

    /// The connection, and how many were given up before it.
    pub(crate) async fn master(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut search = self.search.lock().await;
        if let Some(master) = &search.master {
            return Ok((master.clone(), search.given_up));
        }
        if let Some((at, error)) = &search.failed
            && at.elapsed() < SEARCH_PAUSE
        {
            return Err(error.clone());
        }
        match search.client.get_async_connection_with_config(&self.config).await {
            Ok(master) => {
                search.failed = None;
                search.master = Some(master.clone());
                Ok((master, search.given_up))
            }
            Err(error) => {
                search.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    pub(crate) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let (mut master, given_up) = self.master().await?;
        let answer = master.req_packed_command(cmd).await.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(is_no_master) {
            let mut search = self.search.lock().await;
            if search.given_up == given_up {
                search.given_up += 1;
                search.master = None;
            }
        }
        answer
    }
}

/// Whether another server may be the master by now.
fn is_no_master(error: &RedisError) -> bool {
    let is_replica = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown
        )
    );
    is_replica || error.is_timeout() || error.is_connection_dropped() || error.is_io_error()
}
