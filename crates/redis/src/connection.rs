//! The connection: one, shared by every call of the process; calls that run at the same time go in one packet. It comes back by
//! itself. No verb is repeated here: whoever asked knows whether it may be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_core::ports::{Clock, StoreError};
use jiff::Timestamp;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::arguments::Arguments;
use crate::reply::Reply;
use crate::scripts::Code;

/// A script runs for some milliseconds at most; a server that does not answer within this is away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between attempts to come back.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// Where the store is. Sentinel and Cluster become further variants.
#[derive(Clone)]
enum Server {
    Single(ConnectionManager),
}

pub(crate) struct Connection {
    server: Server,
    clock: Arc<dyn Clock>,
}

impl Connection {
    pub(crate) async fn open(
        client: &redis::Client,
        address: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Connection, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(RECONNECT_MAX);
        let server = ConnectionManager::new_with_config(client.clone(), config)
            .await
            .map_err(|e| store_error(&format!("connect to {address}"), &e))?;
        Ok(Connection { server: Server::Single(server), clock })
    }

    /// Runs a script; its answer tells the clock what time it is.
    pub(crate) async fn run<K: AsRef<str>>(
        &self,
        code: &Code,
        keys: &[K],
        arguments: Arguments,
    ) -> Result<(Timestamp, Reply), StoreError> {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(code.script.get_hash()).arg(keys.len());
        for key in keys {
            cmd.arg(key.as_ref());
        }
        arguments.add_to(&mut cmd);
        let asked_at = Instant::now();
        let mut answer = self.send(&cmd).await;
        if let Err(e) = &answer
            && e.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            self.command(code.name, redis::cmd("SCRIPT").arg("LOAD").arg(&code.text)).await?;
            answer = self.send(&cmd).await;
        }
        metrics::histogram!("campanile_store_call_seconds", "call" => code.name)
            .record(asked_at.elapsed().as_secs_f64());
        let value = answer.map_err(|e| store_error(code.name, &e))?;
        let (at, reply) = Reply::read(code.name, value)?;
        self.clock.observe(at);
        Ok((at, reply))
    }

    /// Any other command; `what` names it in errors.
    pub(crate) async fn command(&self, what: &str, cmd: &Cmd) -> Result<Value, StoreError> {
        self.send(cmd).await.map_err(|e| store_error(what, &e))
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        let value = match &self.server {
            Server::Single(server) => server.clone().req_packed_command(cmd).await?,
        };
        value.extract_error()
    }
}

/// Says what happened to the caller; never says where the server is, for a URL may hold a password.
pub(crate) fn store_error(what: &str, e: &RedisError) -> StoreError {
    if e.is_timeout() {
        return StoreError::Away(format!(
            "{what}: redis did not answer within {}s",
            RESPONSE_TIMEOUT.as_secs()
        ));
    }
    let text = match e.detail() {
        Some(detail) => format!("{what}: {} {detail}", e.code().unwrap_or(e.category())),
        None => format!("{what}: {e}"),
    };
    let foreign =
        ["WRONGTYPE", "not an integer", "not a valid float"].iter().any(|fault| text.contains(fault));
    match e.code() {
        _ if foreign => StoreError::Foreign { place: what.to_owned(), text },
        Some("OOM") => StoreError::Full(text),
        Some("MOVED" | "ASK") => {
            StoreError::Refused(format!("{what}: this redis is one node of a cluster of several"))
        }
        Some("ERR") if text.contains("max number of clients") => StoreError::Away(text),
        Some("ERR" | "EXECABORT" | "NOPERM" | "NOAUTH" | "WRONGPASS" | "CROSSSLOT") => {
            StoreError::Refused(text)
        }
        // LOADING, BUSY, READONLY, MISCONF, CLUSTERDOWN and their like pass.
        Some(_) => StoreError::Away(text),
        None if matches!(e.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig) => {
            StoreError::Refused(text)
        }
        None => StoreError::Away(text),
    }
}
