//! A real redis-server of a test's own: a free port on loopback, a temporary directory, stopped when dropped.
//!
//! Never a default port, never somebody else's server: what answers must be the process that was started here.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::Value;
use tempfile::TempDir;

use crate::target::DEADLINE;
use crate::until::until_so;

const STARTS_MAX: usize = 10;

pub struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<(String, String)>,
    directory: TempDir,
}

impl RedisServer {
    /// In memory only.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// With settings of redis.conf, such as `("appendonly", "yes")`.
    pub fn start_with(options: &[(&str, &str)]) -> RedisServer {
        let directory = tempfile::tempdir().expect("a temporary directory for redis-server");
        let options: Vec<(String, String)> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for _ in 0..STARTS_MAX {
            // Somebody may take the port before redis-server does; then another one is tried.
            let port = free_port();
            if let Some(child) = spawn(port, &options, directory.path()) {
                return RedisServer { child, port, options, directory };
            }
        }
        panic!("redis-server did not start in {STARTS_MAX} tries: {}", log_text(directory.path()));
    }

    /// A node of a cluster that is not made yet.
    pub(crate) fn start_node() -> RedisServer {
        let bus = free_port().to_string();
        RedisServer::start_with(&[
            ("cluster-enabled", "yes"),
            ("cluster-port", &bus),
            ("cluster-node-timeout", "2000"),
            ("appendonly", "yes"),
            ("appendfsync", "always"),
        ])
    }

    /// A cluster of one node: whatever a script touches must lie in one slot.
    pub fn start_cluster() -> RedisServer {
        let server = RedisServer::start_with(&[("cluster-enabled", "yes")]);
        let mut connection = server.connection();
        let mut cluster = |arguments: &[&str]| -> String {
            let answer: String = redis::cmd("CLUSTER")
                .arg(arguments)
                .query(&mut connection)
                .expect("an answer about the cluster");
            answer
        };
        cluster(&["ADDSLOTSRANGE", "0", "16383"]);
        let is_ready = until_so(DEADLINE, || cluster(&["INFO"]).contains("cluster_state:ok"));
        assert!(is_ready, "the cluster of one node is not ready: {}", log_text(server.directory.path()));
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the other nodes of its cluster reach it.
    pub(crate) fn bus_port(&self) -> &str {
        let bus = self.options.iter().find(|(name, _)| name == "cluster-port");
        bus.map_or("", |(_, port)| port)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Every byte that was written so far: the commands, as with `appendonly yes` they are kept.
    pub fn dump(&self) -> Vec<u8> {
        let folder = self.directory().join("appendonlydir");
        let files = std::fs::read_dir(folder).expect("started with appendonly").map_while(Result::ok);
        files.flat_map(|file| std::fs::read(file.path()).expect("a file")).collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A plain connection, to look at what is stored.
    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("a redis url");
        client.get_connection().expect("the redis-server of this test answers")
    }

    /// Kills it (no farewell, as a crash would) and starts it again on the same port and directory.
    pub fn crash_and_start_again(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Kills it, without a farewell.
    pub fn stop(&mut self) {
        self.kill();
    }

    /// On the same port and directory; it is fine if it still runs.
    pub fn start_again(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.child = spawn(self.port, &self.options, self.directory.path())
            .unwrap_or_else(|| panic!("redis-server did not come back: {}", log_text(self.directory.path())));
    }

    fn kill(&mut self) {
        // Only ever the process started here; that it is gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
    listener.local_addr().expect("the address of a listener").port()
}

/// A server that answers, or none if it ended by itself.
fn spawn(port: u16, options: &[(String, String)], directory: &Path) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no", "--save", ""]);
    command.args(["--logfile", "redis.log", "--dir"]).arg(directory);
    for (name, value) in options {
        command.args([&format!("--{name}"), value]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            panic!("redis-server is not installed: run `cargo xtask test`, which installs it")
        }
        Err(e) => panic!("start redis-server: {e}"),
    };
    let mut has_ended = false;
    let mut answers = false;
    until_so(DEADLINE, || {
        has_ended = child.try_wait().expect("the state of redis-server").is_some();
        answers = !has_ended && answering_pid(port) == Some(child.id());
        has_ended || answers
    });
    if answers {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The process id of the server that answers on the port, once it has read its files.
fn answering_pid(port: u16) -> Option<u32> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
    let info = match redis::cmd("INFO").query(&mut connection).ok()? {
        Value::BulkString(info) => String::from_utf8_lossy(&info).into_owned(),
        _ => return None,
    };
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    field("process_id:").filter(|_| field("loading:").as_deref() == Some("0"))?.parse().ok()
}

fn log_text(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("redis.log")).unwrap_or_else(|e| format!("no log: {e}"))
}
