//! A private redis-server as operators run it: append-only file, synced each second, nothing evicted.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::processes::{Process, until};

pub(crate) struct RedisServer {
    pub(crate) process: Process,
    pub(crate) url: String,
    _folder: TempDir,
}

impl RedisServer {
    pub(crate) fn start() -> Result<RedisServer, String> {
        let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--maxmemory-policy",
            "noeviction",
        ]);
        command.arg("--dir").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start("redis-server", &mut command)?;
        let url = format!("redis://127.0.0.1:{port}/");
        let server = RedisServer { process, url, _folder: folder };
        until("redis-server answers", || server.connection().ok())?;
        Ok(server)
    }

    pub(crate) fn connection(&self) -> Result<redis::Connection, String> {
        let client = redis::Client::open(self.url.as_str()).map_err(|e| e.to_string())?;
        client.get_connection().map_err(|e| format!("redis: {e}"))
    }

    /// Bytes of all keys whose name contains one of these parts, values of any length counted whole; and how many keys.
    pub(crate) fn bytes_of(&self, parts: &[&str]) -> Result<(u64, u64), String> {
        let mut connection = self.connection()?;
        let keys: Vec<Vec<u8>> = {
            let found = redis::cmd("SCAN").cursor_arg(0).arg("COUNT").arg(10_000).clone();
            let iter = found.iter::<Vec<u8>>(&mut connection).map_err(|e| format!("redis: {e}"))?;
            iter.collect::<Result<_, _>>().map_err(|e| format!("redis: {e}"))?
        };
        let has = |key: &[u8], part: &str| key.windows(part.len()).any(|window| window == part.as_bytes());
        let keys: Vec<Vec<u8>> =
            keys.into_iter().filter(|key| parts.iter().any(|part| has(key, part))).collect();
        let mut bytes = 0;
        for chunk in keys.chunks(1_000) {
            let mut pipe = redis::pipe();
            for key in chunk {
                pipe.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
            }
            let sizes: Vec<Option<u64>> = pipe.query(&mut connection).map_err(|e| format!("redis: {e}"))?;
            bytes += sizes.into_iter().flatten().sum::<u64>();
        }
        Ok((bytes, keys.len() as u64))
    }
}

/// Free at this moment.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("find a free port: {e}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}
