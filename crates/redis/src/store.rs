//! The store: connect once, share everywhere. Its ports are in the other files, one each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use campanile_core::number::{Layout, Shard};
use campanile_core::ports::{Clock, Store, StoreError, StoredUser, Work};
use campanile_core::sealing::Sealer;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::arguments::Arguments;
use crate::claim::ProfileBytes;
use crate::connection::Connection;
use crate::keys;
use crate::reply::{ForeignValue, Reply};
use crate::scripts::{Code, Scripts};
use crate::server::Server;
use crate::shards::Shards;
use crate::start;
use crate::wake::{self, Wakes};
use crate::words::Words;

/// Bytes of profiles, events and requests of one reply; what does not fit is asked for again.
pub(crate) const REPLY_BYTES_MAX: usize = 1024 * 1024;

pub struct RedisStore {
    pub(crate) layout: Layout,
    pub(crate) shards: Shards,
    pub(crate) scripts: Scripts,
    pub(crate) connection: Connection,
    pub(crate) sealer: Option<Arc<dyn Sealer>>,
    pub(crate) words: Words,
    pub(crate) profile_bytes: ProfileBytes,
    wakes: Arc<Wakes>,
    listener: JoinHandle<()>,
}

impl RedisStore {
    /// Connects, checks that the server keeps what it is given, and fixes the layout if this is the first start.
    ///
    /// `seed`: 3 random bytes for the ids of sends, 16 for hashes; used by the first start only. `shards`: 16 where not given, fixed
    /// at the first start. `Refused` names what does not fit.
    pub async fn connect(
        url: &str,
        clock: Arc<dyn Clock>,
        seed: [u8; 19],
        shards: Option<u16>,
    ) -> Result<RedisStore, StoreError> {
        let server = Server::read(url)?;
        let connection = Connection::open(&server, clock).await?;
        start::check_server(&connection).await?;
        let scripts = Scripts::new();
        let layout = start::fix_layout(&connection, &scripts, seed, shards).await?;
        let shards = Shards::new(keys::tags(layout.shards));
        let wakes = Arc::new(Wakes::new());
        let channels = shards.prefixes().map(|prefix| format!("{prefix}wake")).collect();
        let listener = tokio::spawn(wake::listen(server, channels, Arc::clone(&wakes)));
        Ok(RedisStore {
            layout,
            shards,
            scripts,
            connection,
            sealer: None,
            words: Words::default(),
            profile_bytes: ProfileBytes::default(),
            wakes,
            listener,
        })
    }

    /// Secrets are sealed by it from now on; `None`: stored as they are.
    pub fn sealed_by(mut self, sealer: Option<Arc<dyn Sealer>>) -> RedisStore {
        self.sealer = sealer;
        self
    }

    /// Runs a script in a shard.
    pub(crate) async fn run(
        &self,
        shard: Shard,
        code: &Code,
        arguments: Arguments,
    ) -> Result<Reply, StoreError> {
        self.run_at(shard, code, arguments).await.map(|(_, reply)| reply)
    }

    /// The same, with the store's time.
    pub(crate) async fn run_at(
        &self,
        shard: Shard,
        code: &Code,
        arguments: Arguments,
    ) -> Result<(Timestamp, Reply), StoreError> {
        self.connection.run(code, &[self.shards.prefix(shard)?], arguments).await
    }

    /// Runs a script on keys that are not a shard's.
    pub(crate) async fn run_on<K: AsRef<str>>(
        &self,
        keys: &[K],
        code: &Code,
        arguments: Arguments,
    ) -> Result<Reply, StoreError> {
        self.connection.run(code, keys, arguments).await.map(|(_, reply)| reply)
    }

    /// Users that a reply ends with. Foreign ones are kept aside and passed over: one of them must not stop a shard.
    pub(crate) async fn users_of(&self, shard: Shard, reply: Reply) -> Result<Vec<StoredUser>, StoreError> {
        let (users, foreign) = reply.users()?;
        self.pass_over(shard, foreign).await?;
        Ok(users)
    }

    pub(crate) async fn pass_over(&self, shard: Shard, foreign: Vec<ForeignValue>) -> Result<(), StoreError> {
        if foreign.is_empty() {
            return Ok(());
        }
        let mut arguments = Arguments::new();
        for ForeignValue { no, value, text } in foreign {
            tracing::error!(shard = shard.0, user = no.0, text, "a user's stored bytes are foreign");
            arguments = arguments.bytes(format!("u:{}", no.0)).bytes(value);
        }
        self.run(shard, &self.scripts.put_aside, arguments).await?;
        Ok(())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Store for RedisStore {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn woken(&self, work: Work, seen: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(self.wakes.woken(work, seen))
    }
}
