//! The connection: one, shared by every call of the process; calls that run at the same time go in one packet. It comes back by
//! itself. No verb is repeated here but where a cluster points to another node: whoever asked knows whether it may be.

use std::sync::Arc;

use campanile_core::ports::{Clock, StoreError};
use jiff::Timestamp;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::reply::Reply;
use crate::scripts::Code;
use crate::sentinel::Elected;
use crate::server::{RESPONSE_TIMEOUT, Server};

#[derive(Clone)]
pub(crate) enum Link {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    Elected(Arc<Elected>),
}

pub(crate) struct Connection {
    link: Link,
    clock: Arc<dyn Clock>,
}

impl Connection {
    pub(crate) async fn open(server: &Server, clock: Arc<dyn Clock>) -> Result<Connection, StoreError> {
        Ok(Connection { link: server.connect().await?, clock })
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

    /// What every server that takes writes says of itself.
    pub(crate) async fn info(&self) -> Result<Vec<Value>, StoreError> {
        let cmd = redis::cmd("INFO");
        let Link::Cluster(cluster) = &self.link else { return Ok(vec![self.command("info", &cmd).await?]) };
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        match cluster.clone().route_command(cmd, all).await.map_err(|e| store_error("info", &e))? {
            Value::Map(nodes) => Ok(nodes.into_iter().map(|(_, info)| info).collect()),
            one => Ok(vec![one]),
        }
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        let value = match &self.link {
            Link::Single(server) => server.clone().req_packed_command(cmd).await?,
            Link::Cluster(cluster) => cluster.clone().req_packed_command(cmd).await?,
            Link::Elected(elected) => elected.send(cmd).await?,
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
            let text = "this redis is one node of a cluster: write redis+cluster://HOST:PORT,HOST:PORT";
            StoreError::Refused(format!("{what}: {text}"))
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
