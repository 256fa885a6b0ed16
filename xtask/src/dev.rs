//! `cargo xtask dev`: the distributed system on this machine, on the default ports (health of scheduler and sender on 7074 and 7075): Redis, control, scheduler, sender. Ctrl-C ends it.

use std::process::{Child, Command, Stdio};

use crate::shell::{build_binary, say, workspace};
use crate::tools;

const REDIS_PORT: &str = "6390";

pub(crate) fn run_all() -> Result<(), String> {
    tools::redis_server()?;
    build_binary()?;
    let folder = workspace().join("campanile-data/redis");
    std::fs::create_dir_all(&folder).map_err(|e| format!("make {}: {e}", folder.display()))?;
    let folder = folder.display().to_string();
    let redis =
        ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--dir", &folder, "--save", "", "--appendonly", "yes"];
    let mut all = Processes(vec![start("redis-server", &redis)?]);
    let binary = workspace().join("target/debug/campanile").display().to_string();
    let store = format!("redis://127.0.0.1:{REDIS_PORT}");
    for (role, health) in [("control", "7073"), ("scheduler", "7074"), ("sender", "7075")] {
        let health = format!("127.0.0.1:{health}");
        all.0.push(start(&binary, &[role, "--dev", "--store", &store, "--listen-health", &health])?);
    }
    say("control API on 127.0.0.1:7070, console on http://127.0.0.1:7071; Ctrl-C ends");
    // Ctrl-C reaches every process of the group; the first that ends takes the others along.
    loop {
        for child in &mut all.0 {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(format!("a process ended: {status}")),
                Err(e) => return Err(format!("wait: {e}")),
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn start(program: &str, arguments: &[&str]) -> Result<Child, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.spawn().map_err(|e| format!("start {program}: {e}"))
}

struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}
