//! `cargo xtask dev`: the distributed system on this machine: Redis, control, scheduler, sender. Ctrl-C ends it, and so does whatever
//! else ends this command.

use std::process::{Child, Command, Stdio};

use crate::shell::{build_binary, say, workspace};
use crate::tools;
use crate::watchdog::Watchdog;

/// Beside a Redis of the machine's own, which has 6379.
const REDIS_PORT: &str = "6390";

pub(crate) fn run_all() -> Result<(), String> {
    tools::redis_server()?;
    build_binary()?;
    let folder = workspace().join("campanile-data/redis");
    std::fs::create_dir_all(&folder).map_err(|e| format!("make {}: {e}", folder.display()))?;
    let folder = folder.display().to_string();
    let redis =
        ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--dir", &folder, "--save", "", "--appendonly", "yes"];
    let mut all = Processes { started: Vec::new(), watchdog: Watchdog::start()? };
    all.start("redis-server", &redis)?;
    let binary = workspace().join("target/debug/campanile").display().to_string();
    let store = format!("redis://127.0.0.1:{REDIS_PORT}");
    for (role, health) in [("control", "7073"), ("scheduler", "7074"), ("sender", "7075")] {
        let health = format!("127.0.0.1:{health}");
        all.start(&binary, &[role, "--dev", "--store", &store, "--listen-health", &health])?;
    }
    say(&format!(
        "control API on 127.0.0.1:7070, console on http://127.0.0.1:7071, HTTP intake on 127.0.0.1:7072, health on 7073 to 7075, Redis on {REDIS_PORT}; Ctrl-C ends"
    ));
    // The first that ends takes the others along.
    loop {
        for (name, child) in &mut all.started {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(format!("{name} ended: {status}")),
                Err(e) => return Err(format!("wait for {name}: {e}")),
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

struct Processes {
    /// In the order in which they were started.
    started: Vec<(String, Child)>,
    watchdog: Watchdog,
}

impl Processes {
    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let name = [&[program][..], &arguments[..1]].concat().join(" ");
        self.started.push((name, self.watchdog.spawn(&mut command)?));
        Ok(())
    }
}

/// The last one started ends first: Redis after those that write to it.
impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in self.started.iter_mut().rev() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}
