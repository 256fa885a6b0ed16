//! Where the store is: one server, a cluster, or whichever server Sentinel calls the master. Read from a URL, connected here.
//!
//! | URL | is |
//! | --- | --- |
//! | `redis://[USER:PASSWORD@]HOST:PORT[/DB]` | one server |
//! | `redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT` | a cluster; some of its nodes, which name the others |
//! | `redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME[/DB]` | Sentinels, and what they call the master |
//!
//! `rediss` instead of `redis` is TLS.

use std::time::Duration;

use campanile_core::ports::StoreError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo, RedisError,
    RedisResult, TlsMode,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::connection::{Link, store_error};
use crate::sentinel::Elected;

/// A script runs for some milliseconds at most; a server that does not answer within this is away.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between attempts to come back.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// A cluster's answer that points elsewhere is followed, and a node that is gone is looked for again, this often.
const CLUSTER_RETRIES: u32 = 3;
/// A connection whose bytes nobody took in for this long is dead.
#[cfg(target_os = "linux")]
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    place: Place,
    /// For errors: where it is, without credentials.
    address: String,
}

enum Place {
    Single(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel { sentinels: Vec<ConnectionInfo>, name: String },
}

/// A connection that hears what is published.
pub(crate) enum Listening {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Server {
    pub(crate) fn read(url: &str) -> Result<Server, StoreError> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let wrong = |text: &str| StoreError::Refused(format!("redis url: {text}"));
        let nodes = |rest: &str| -> Result<Vec<ConnectionInfo>, StoreError> {
            let (user, hosts) = match rest.rsplit_once('@') {
                Some((user, hosts)) => (format!("{user}@"), hosts),
                None => (String::new(), rest),
            };
            let (hosts, path) = hosts.split_once('/').unwrap_or((hosts, ""));
            hosts.split(',').map(|host| info(&format!("{plain}://{user}{host}/{path}"))).collect()
        };
        let place = match kind {
            "" => Place::Single(info(url)?),
            "cluster" => match rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts).split_once('/') {
                Some((_, path)) if !path.is_empty() => {
                    return Err(wrong("a cluster has one database: leave the path away"));
                }
                _ => Place::Cluster(nodes(rest)?),
            },
            "sentinel" => {
                let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(wrong(
                        "say what the Sentinels call the master: redis+sentinel://HOST:PORT/NAME",
                    ));
                }
                Place::Sentinel { sentinels: nodes(&format!("{hosts}/{db}"))?, name: name.to_owned() }
            }
            other => return Err(wrong(&format!("{other:?} is not known, expected cluster or sentinel"))),
        };
        let address = place.address();
        Ok(Server { place, address })
    }

    pub(crate) async fn connect(&self) -> Result<Link, StoreError> {
        self.place.connect().await.map_err(|e| store_error(&format!("connect to {}", self.address), &e))
    }

    /// Listens to sharded channels: each lies on the node of its slot.
    pub(crate) async fn listen(
        &self,
        channels: &[String],
        pushes: UnboundedSender<PushInfo>,
    ) -> RedisResult<Listening> {
        let mut listening = self.place.open_listening(pushes).await?;
        for channel in channels {
            // One at a time: they lie in different slots.
            match &mut listening {
                Listening::Single(connection) => {
                    let cmd = redis::cmd("SSUBSCRIBE").arg(channel).take();
                    connection.send_packed_command(&cmd).await?.extract_error()?;
                }
                Listening::Cluster(connection) => connection.ssubscribe(channel).await?,
            }
        }
        Ok(listening)
    }
}

impl Place {
    fn address(&self) -> String {
        let all = |nodes: &[ConnectionInfo]| {
            nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>().join(",")
        };
        match self {
            Place::Single(info) => info.addr().to_string(),
            Place::Cluster(nodes) => format!("the cluster of {}", all(nodes)),
            Place::Sentinel { sentinels, name } => format!("{name} of the sentinels {}", all(sentinels)),
        }
    }

    async fn connect(&self) -> RedisResult<Link> {
        match self {
            Place::Single(info) => {
                let config = ConnectionManagerConfig::new()
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_number_of_retries(1)
                    .set_max_delay(RECONNECT_MAX);
                let client = Client::open(info.clone())?;
                Ok(Link::Single(ConnectionManager::new_with_config(client, config).await?))
            }
            Place::Cluster(nodes) => {
                let client = cluster(nodes).build()?;
                Ok(Link::Cluster(client.get_async_connection().await?))
            }
            Place::Sentinel { .. } => {
                let elected = Elected::new(self.sentinel()?, timeouts());
                elected.master().await?;
                Ok(Link::Elected(std::sync::Arc::new(elected)))
            }
        }
    }

    async fn open_listening(&self, pushes: UnboundedSender<PushInfo>) -> RedisResult<Listening> {
        let config = timeouts().set_push_sender(pushes.clone());
        Ok(match self {
            Place::Single(info) => {
                let client = Client::open(info.clone())?;
                Listening::Single(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Place::Cluster(nodes) => {
                let client = cluster(nodes).push_sender(pushes).build()?;
                Listening::Cluster(client.get_async_connection().await?)
            }
            Place::Sentinel { .. } => {
                Listening::Single(self.sentinel()?.get_async_connection_with_config(&config).await?)
            }
        })
    }

    /// Credentials, database and TLS of the URL are the server's; Sentinels are asked without credentials.
    fn sentinel(&self) -> RedisResult<SentinelClient> {
        let Place::Sentinel { sentinels, name } = self else {
            return Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, "there are no sentinels")));
        };
        let addresses = sentinels.iter().map(|node| node.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_tcp_settings(tcp());
        if let Some(first) = sentinels.first() {
            let settings = first.redis_settings();
            builder = builder.set_client_to_redis_db(settings.db());
            if let Some(user) = settings.username() {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = settings.password() {
                builder = builder.set_client_to_redis_password(password);
            }
            if matches!(first.addr(), redis::ConnectionAddr::TcpTls { .. }) {
                builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            }
        }
        builder.build()
    }
}

/// Wake-ups come as pushes, which the older protocol does not have.
fn info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|e| store_error("redis url", &e))?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp()))
}

/// Small packets go at once; a peer that vanished is noticed.
fn tcp() -> TcpSettings {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PEER_TIMEOUT);
    tcp
}

fn timeouts() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
}

fn cluster(nodes: &[ConnectionInfo]) -> ClusterClientBuilder {
    ClusterClientBuilder::new(nodes.to_vec())
        .use_protocol(ProtocolVersion::RESP3)
        .tcp_settings(tcp())
        .response_timeout(RESPONSE_TIMEOUT)
        .connection_timeout(CONNECT_TIMEOUT)
        .retries(CLUSTER_RETRIES)
        .max_retry_wait(RECONNECT_MAX.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_which_kind_of_server_it_is() {
        let check = |url: &str, address: &str| match Server::read(url) {
            Ok(server) => assert_eq!(server.address, address, "{url}"),
            Err(error) => assert_eq!(error.to_string(), address, "{url}"),
        };
        check("redis://u:secret@a:7/2", "a:7");
        check("redis+cluster://u:secret@a:1,b:2", "the cluster of a:1,b:2");
        check("rediss+cluster://a:1/", "the cluster of a:1");
        check("redis+sentinel://u:secret@a:1,b:2/main/3", "main of the sentinels a:1,b:2");
        check(
            "redis+cluster://a:1/3",
            "the store refused: redis url: a cluster has one database: leave the path away",
        );
        check(
            "redis+sentinel://a:1",
            "the store refused: redis url: say what the Sentinels call the master: redis+sentinel://HOST:PORT/NAME",
        );
        check(
            "redis+ring://a:1",
            "the store refused: redis url: \"ring\" is not known, expected cluster or sentinel",
        );
    }
}
