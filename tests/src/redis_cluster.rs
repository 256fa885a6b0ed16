//! A real Redis Cluster of a test's own: three masters with a replica each, all on loopback.

use redis::Value;

use crate::redis_server::RedisServer;
use crate::target::DEADLINE;
use crate::until::until_so;

pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(until_so(DEADLINE, is_so), "{what}");
}

pub(crate) fn ask(server: &RedisServer, command: &[&str]) -> String {
    let (name, arguments) = command.split_first().expect("a command");
    match redis::cmd(name).arg(arguments).query(&mut server.connection()).expect("an answer") {
        Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
        Value::Okay => "OK".to_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text,
        other => panic!("{command:?} answered {other:?}"),
    }
}

/// Until the replica has what the master has.
pub(crate) fn copied(master: &RedisServer, replica: &RedisServer) {
    let offset = |server: &RedisServer| {
        let info = ask(server, &["INFO", "replication"]);
        let line = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
        line.expect("an offset").to_owned()
    };
    until("the replica has caught up", || offset(master) == offset(replica));
}

/// The first three nodes are masters, the fourth is the first one's replica, and so on.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub fn start() -> RedisCluster {
        let nodes: Vec<RedisServer> = (0..6).map(|_| RedisServer::start_node()).collect();
        let (first, first_bus) = (nodes[0].port().to_string(), nodes[0].bus_port().to_owned());
        for (n, node) in nodes.iter().enumerate() {
            if n < 3 {
                let (from, to) = (n * 16_384 / 3, (n + 1) * 16_384 / 3 - 1);
                ask(node, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
                ask(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            }
            if n > 0 {
                ask(node, &["CLUSTER", "MEET", "127.0.0.1", &first, &first_bus]);
            }
        }
        let cluster = RedisCluster { nodes };
        until("the nodes know each other", || {
            cluster.nodes.iter().all(|node| ask(node, &["CLUSTER", "INFO"]).contains("cluster_known_nodes:6"))
        });
        for n in 0..3 {
            let master = ask(&cluster.nodes[n], &["CLUSTER", "MYID"]);
            ask(&cluster.nodes[n + 3], &["CLUSTER", "REPLICATE", &master]);
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Until every node says that all slots are served, and every replica follows its master.
    pub fn wait_until_whole(&self) {
        until("the cluster is whole", || {
            let is_fine = |node: &RedisServer| ask(node, &["CLUSTER", "INFO"]).contains("cluster_state:ok");
            let follows = |node: &RedisServer| {
                let info = ask(node, &["INFO", "replication"]);
                info.contains("role:master") || info.contains("master_link_status:up")
            };
            self.nodes.iter().all(|node| is_fine(node) && follows(node))
        });
    }

    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// Until every replica has what its master has.
    pub fn wait_until_copied(&self) {
        for (master, replica) in self.nodes[..3].iter().zip(&self.nodes[3..]) {
            copied(master, replica);
        }
    }

    /// Kills a master and waits until its replica has taken over.
    pub fn fail_over(&mut self, master: usize) {
        self.nodes[master].stop();
        let replica = &self.nodes[master + 3];
        until("the replica takes over", || ask(replica, &["INFO", "replication"]).contains("role:master"));
    }
}
