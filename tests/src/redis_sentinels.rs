//! A real Redis master with a replica, and three Sentinels that watch over them, all on loopback.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::redis_cluster::{ask, copied, until};
use crate::redis_server::{RedisServer, free_port};

pub struct RedisSentinels {
    pub master: RedisServer,
    pub replica: RedisServer,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl RedisSentinels {
    pub fn start() -> RedisSentinels {
        let durable = [("appendonly", "yes"), ("appendfsync", "always")];
        let master = RedisServer::start_with(&durable);
        let of = format!("127.0.0.1 {}", master.port());
        let replica = RedisServer::start_with(&[&durable[..], &[("replicaof", &of)]].concat());
        until("the replica follows", || {
            ask(&replica, &["INFO", "replication"]).contains("master_link_status:up")
        });
        let sentinels = (0..3).map(|_| Sentinel::start(master.port())).collect();
        let all = RedisSentinels { master, replica, sentinels };
        until("the sentinels know each other and the replica", || {
            all.sentinels.iter().all(|sentinel| {
                sentinel.knows("num-other-sentinels", "2") && sentinel.knows("num-slaves", "1")
            })
        });
        all
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|s| format!("127.0.0.1:{}", s.port)).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// Kills the master once the replica has all of it, and waits until the Sentinels have made the replica the master.
    pub fn fail_over(&mut self) {
        copied(&self.master, &self.replica);
        self.master.stop();
        until("the replica takes over", || {
            ask(&self.replica, &["INFO", "replication"]).contains("role:master")
        });
    }
}

impl Sentinel {
    fn start(master: u16) -> Sentinel {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sentinel.conf");
        let port = free_port();
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
            folder.path().display()
        );
        std::fs::write(&file, settings).expect("it is written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("a sentinel starts");
        Sentinel { child, port, _folder: folder }
    }

    fn knows(&self, name: &str, value: &str) -> bool {
        let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)) else {
            return false;
        };
        let Ok(mut connection) = client.get_connection() else { return false };
        let told: redis::RedisResult<std::collections::HashMap<String, String>> =
            redis::cmd("SENTINEL").arg(&["MASTER", "main"]).query(&mut connection);
        told.is_ok_and(|told| told.get(name).is_some_and(|told| told == value))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
