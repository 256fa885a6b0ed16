//! The processes of a demo: the engine, a receiver, a Redis where wanted; in a folder of their own, on free ports, gone with it.

#![allow(clippy::disallowed_methods, reason = "a developer command waits by this machine's clock")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::demo::Received;
use crate::shell::{build_binary, say, workspace};
use crate::tools;
use crate::watchdog::Watchdog;

/// Whom the manual campaign credits, and with how much.
pub(crate) const CREDITED: [(&str, u32); 3] = [("octocat", 500), ("monalisa", 250), ("renovate[bot]", 5)];
/// What the examples send to; the demo puts its receiver's own address in its place.
const EXAMPLE_TARGET: &str = "127.0.0.1:9000";
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Signs one of the campaigns; the receiver knows it too.
const SIGNING_SECRET: &str = "whsec_Y2FtcGFuaWxlLWRlbW8tc2lnbmluZy1zZWNyZXQh";

pub(crate) struct World {
    pub(crate) console: String,
    server: String,
    binary: PathBuf,
    /// In the order in which they are stopped.
    processes: Vec<(String, Child)>,
    watchdog: Watchdog,
    webhooks: Receiver<String>,
    target: String,
    folder: TempDir,
}

pub(crate) fn examples() -> PathBuf {
    workspace().join("examples/github")
}

impl World {
    /// Builds the binary and starts everything.
    pub(crate) fn start(redis: bool) -> Result<World, String> {
        build_binary()?;
        let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
        let target = format!("127.0.0.1:{}", free_port()?);
        let (sender, webhooks) = channel();
        let mut world = World {
            console: format!("http://127.0.0.1:{}", free_port()?),
            server: format!("http://127.0.0.1:{}", free_port()?),
            binary: workspace().join("target/debug/campanile"),
            processes: Vec::new(),
            watchdog: Watchdog::start()?,
            webhooks,
            target,
            folder,
        };
        let secret_file = world.folder.path().join("signing");
        fs::write(&secret_file, SIGNING_SECRET).map_err(|e| format!("write the signing secret: {e}"))?;
        if redis {
            world.start_on_redis()?;
        } else {
            let store = format!("sqlite:{}", world.folder.path().join("campanile.db").display());
            world.start_role("serve", &store)?;
        }
        let secret_file = secret_file.display().to_string();
        let listen = world.target.clone();
        let receive = ["receive", "--json", "--listen", &listen, "--secret-file", &secret_file];
        let mut receiver = world.spawn("receiver", &receive, Stdio::piped())?;
        let lines = BufReader::new(receiver.stdout.take().ok_or("the receiver has no output")?).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        world.processes.push(("receiver".to_owned(), receiver));
        for address in [world.server.clone(), world.console.clone(), format!("http://{listen}")] {
            world.wait_for(&address)?;
        }
        Ok(world)
    }

    fn start_on_redis(&mut self) -> Result<(), String> {
        tools::redis_server()?;
        let port = free_port()?.to_string();
        let folder = self.folder.path().display().to_string();
        let mut redis = Command::new("redis-server");
        redis
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--dir",
                &folder,
                "--save",
                "",
                "--appendonly",
                "yes",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let redis = self.watchdog.spawn(&mut redis)?;
        self.wait_for(&format!("http://127.0.0.1:{port}"))?;
        let store = format!("redis://127.0.0.1:{port}");
        for role in ["control", "scheduler", "sender", "sender"] {
            self.start_role(role, &store)?;
        }
        // Stopped last: the others write to it until they end.
        self.processes.push(("redis-server".to_owned(), redis));
        Ok(())
    }

    fn start_role(&mut self, role: &str, store: &str) -> Result<(), String> {
        let (grpc, console) = (self.server.replace("http://", ""), self.console.replace("http://", ""));
        let mut arguments = vec![role, "--dev", "--store", store, "--log-level", "warn"];
        arguments.extend(["--listen-health", "127.0.0.1:0"]);
        if matches!(role, "serve" | "control") {
            arguments.extend([
                "--listen-grpc",
                &grpc,
                "--listen-console",
                &console,
                "--listen-intake",
                "127.0.0.1:0",
            ]);
        }
        let child = self.spawn(role, &arguments, Stdio::null())?;
        self.processes.push((role.to_owned(), child));
        Ok(())
    }

    fn spawn(&mut self, name: &str, arguments: &[&str], output: Stdio) -> Result<Child, String> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null()).stdout(output);
        self.watchdog.spawn(&mut command).map_err(|e| format!("start the {name}: {e}"))
    }

    /// Until something listens there.
    fn wait_for(&mut self, address: &str) -> Result<(), String> {
        let deadline = Instant::now() + START_DEADLINE;
        let address = address.replace("http://", "");
        while TcpStream::connect(&address).is_err() {
            for (name, child) in &mut self.processes {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(format!("{name} ended: {status}"));
                }
            }
            if Instant::now() > deadline {
                return Err(format!("nothing listens on {address}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Users, campaigns, events and manual entries, all by the command line.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let file = |name: &str| examples().join(name).display().to_string();
        self.command(&["secret", "set", "demo_signing", "--host", "127.0.0.1"], Some(SIGNING_SECRET))?;
        self.command(&["users", "import", &file("users.ndjson")], None)?;
        let campaigns = self.campaigns()?;
        self.command(&["campaign", "apply", "-f", &campaigns, "--activate"], None)?;
        self.command(&["track", "-f", &file("events.ndjson"), "--now"], None)?;
        for (user, cents) in CREDITED {
            let values = format!(r#"{{"cents": {cents}}}"#);
            self.command(&["campaign", "enter", "goodwill-credit", user, "--values", &values], None)?;
        }
        Ok(())
    }

    /// The example campaigns, sending to this demo's receiver.
    fn campaigns(&self) -> Result<String, String> {
        let path = examples().join("campaigns.yaml");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let own = self.folder.path().join("campaigns.yaml");
        fs::write(&own, text.replace(EXAMPLE_TARGET, &self.target))
            .map_err(|e| format!("{}: {e}", own.display()))?;
        Ok(own.display().to_string())
    }

    fn command(&self, arguments: &[&str], input: Option<&str>) -> Result<(), String> {
        say(&format!("$ campanile {}", arguments.join(" ")));
        let mut command = Command::new(&self.binary);
        command.args(["--server", &self.server]).args(arguments).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("run campanile: {e}"))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).map_err(|e| format!("write to campanile: {e}"))?;
        }
        let status = child.wait().map_err(|e| format!("wait for campanile: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("campanile {}: {status}", arguments.join(" "))) }
    }

    /// The next webhook, if one comes in time.
    pub(crate) fn received(&mut self, within: Duration) -> Result<Option<Received>, String> {
        match self.webhooks.recv_timeout(within) {
            Ok(line) => Received::read(&line).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the receiver has ended".to_owned()),
        }
    }

    /// Ends every process in order, each by its own id; answers how they ended.
    pub(crate) fn stop(&mut self) -> Result<Vec<(String, ExitStatus)>, String> {
        let mut ended = Vec::new();
        for (name, mut child) in self.processes.drain(..) {
            let signal = if name == "receiver" { "-INT" } else { "-TERM" };
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
            let status = child.wait().map_err(|e| format!("wait for {name}: {e}"))?;
            ended.push((name, status));
        }
        Ok(ended)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|e| format!("find a free port: {e}"))
}
