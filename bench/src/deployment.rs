//! Campanile under measurement: one process on SQLite, or control, scheduler and senders on a Redis, as shipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::intake::{Intake, batch};
use crate::payload::{SIGNING_SECRET, traits, user_id};
use crate::processes::{Process, until};
use crate::redis_server::{RedisServer, free_port};

pub(crate) struct Deployment {
    binary: PathBuf,
    store: String,
    pub(crate) grpc: String,
    pub(crate) intake: String,
    /// Control, or everything.
    pub(crate) control: Process,
    pub(crate) scheduler: Option<Process>,
    pub(crate) senders: Vec<Process>,
    pub(crate) redis: Option<RedisServer>,
    folder: TempDir,
}

impl Deployment {
    /// Everything in one process, on a file.
    pub(crate) fn sqlite(binary: &Path) -> Result<Deployment, String> {
        Deployment::start(binary, None)
    }

    /// One control, one scheduler and one sender on a Redis of their own.
    pub(crate) fn redis(binary: &Path) -> Result<Deployment, String> {
        let mut deployment = Deployment::start(binary, Some(RedisServer::start()?))?;
        deployment.add_scheduler()?;
        deployment.add_sender()?;
        Ok(deployment)
    }

    /// Control alone on a Redis of its own.
    pub(crate) fn control(binary: &Path) -> Result<Deployment, String> {
        Deployment::start(binary, Some(RedisServer::start()?))
    }

    fn start(binary: &Path, redis: Option<RedisServer>) -> Result<Deployment, String> {
        let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
        let (role, store) = match &redis {
            Some(redis) => ("control", redis.url.clone()),
            None => ("serve", format!("sqlite:{}", folder.path().join("campanile.db").display())),
        };
        let address = || free_port().map(|port| format!("127.0.0.1:{port}"));
        let (grpc, console, intake) = (address()?, address()?, address()?);
        let listen = ["--listen-grpc", &grpc, "--listen-console", &console, "--listen-intake", &intake];
        let control = start_role(binary, role, &store, &listen, folder.path())?;
        let deployment = Deployment {
            binary: binary.to_owned(),
            store,
            grpc: format!("http://{grpc}"),
            intake,
            control,
            scheduler: None,
            senders: Vec::new(),
            redis,
            folder,
        };
        until("the intake listens", || Intake::connect(&deployment.intake).ok())?;
        deployment.command(&["secret", "set", "bench", "--host", "127.0.0.1"], SIGNING_SECRET)?;
        Ok(deployment)
    }

    pub(crate) fn add_scheduler(&mut self) -> Result<(), String> {
        self.scheduler = Some(start_role(&self.binary, "scheduler", &self.store, &[], self.folder.path())?);
        Ok(())
    }

    pub(crate) fn add_sender(&mut self) -> Result<(), String> {
        let name = format!("sender-{}", self.senders.len() + 1);
        self.senders.push(start_named(&self.binary, "sender", &name, &self.store, &[], self.folder.path())?);
        Ok(())
    }

    /// Runs a client command with this on its standard input; what it printed.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let shown = arguments.join(" ");
        let fail = |e: std::io::Error| format!("campanile {shown}: {e}");
        let mut command = Command::new(&self.binary);
        command.args(["--server", &self.grpc]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(fail)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(fail)?;
        }
        let output = child.wait_with_output().map_err(fail)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("campanile {shown}: {} {}", text(&output.stdout), text(&output.stderr)))
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).map_err(|e| format!("write {}: {e}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Creates and starts the campaigns of a file's text.
    pub(crate) fn activate(&self, campaigns: &str) -> Result<(), String> {
        let path = self.file("campaigns.yaml", campaigns)?;
        self.command(&["campaign", "apply", "-f", &path, "--activate", "--yes"], "").map(drop)
    }

    /// One counter of a campaign, of all its actions.
    pub(crate) fn stat(&self, campaign: &str, name: &str) -> Result<u64, String> {
        let text = self.command(&["--json", "campaign", "stats", campaign], "")?;
        let stats: Value = serde_json::from_str(&text).map_err(|e| format!("stats: {e}: {text}"))?;
        Ok(match &stats[name] {
            Value::Null => 0,
            Value::String(text) => text.parse().map_err(|e| format!("stats: {name}: {e}"))?,
            other => other.as_u64().ok_or_else(|| format!("stats: {name}: {other}"))?,
        })
    }

    /// Waits until a counter of a campaign has this value.
    pub(crate) fn wait_stat(&self, campaign: &str, name: &str, value: u64) -> Result<(), String> {
        until(&format!("{campaign} has {value} {name}"), || {
            // A look costs a process: not too often.
            std::thread::sleep(std::time::Duration::from_millis(20));
            (self.stat(campaign, name) == Ok(value)).then_some(())
        })
        .map_err(|e| format!("{e}; it has {:?}", self.stat(campaign, name)))
    }

    /// Stores the users of these numbers, firing nothing. Of every `one_in` the first is in the audience.
    pub(crate) fn import(&self, users: std::ops::Range<u64>, one_in: u64) -> Result<(), String> {
        let mut intake = Intake::connect(&self.intake)?;
        let all: Vec<u64> = users.collect();
        for chunk in all.chunks(500) {
            let identify = |n: &u64| {
                let traits = traits(*n, n.is_multiple_of(one_in));
                format!("{{\"type\":\"identify\",\"userId\":\"{}\",\"traits\":{traits}}}", user_id(*n))
            };
            intake.post("/v1/import", &batch(chunk.iter().map(identify)))?;
        }
        Ok(())
    }

    /// Enters the users of these numbers by hand.
    pub(crate) fn enter(&self, campaign: &str, users: std::ops::Range<u64>) -> Result<(), String> {
        let mut intake = Intake::connect(&self.intake)?;
        let all: Vec<u64> = users.collect();
        for chunk in all.chunks(10_000) {
            let users: Vec<String> =
                chunk.iter().map(|n| format!("{{\"userId\":\"{}\"}}", user_id(*n))).collect();
            let body = format!("{{\"users\":[{}]}}", users.join(","));
            let answer = intake.post(&format!("/v1/campaigns/{campaign}:enter"), &body)?;
            let told: Value = serde_json::from_str(&answer).map_err(|e| format!("enter: {e}"))?;
            if told["refused"].as_str().is_some_and(|refused| refused != "0") {
                return Err(format!("enter: {answer:.400}"));
            }
        }
        Ok(())
    }

    /// CPU seconds so far of senders (or the one process), of the scheduler, and of Redis.
    pub(crate) fn cpu(&self) -> Cpu {
        let senders = match self.senders.as_slice() {
            [] => self.control.cpu(),
            senders => senders.iter().map(Process::cpu).sum(),
        };
        Cpu {
            sender: senders,
            scheduler: self.scheduler.as_ref().map_or(0.0, Process::cpu),
            redis: self.redis.as_ref().map_or(0.0, |redis| redis.process.cpu()),
            control: self.control.cpu(),
        }
    }

    /// Stops everything, and wants it to end well.
    pub(crate) fn stop(self) -> Result<(), String> {
        for process in self.senders.into_iter().chain(self.scheduler).chain([self.control]) {
            process.stop()?;
        }
        Ok(())
    }
}

/// CPU seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) sender: f64,
    pub(crate) scheduler: f64,
    pub(crate) redis: f64,
    pub(crate) control: f64,
}

impl Cpu {
    pub(crate) fn since(self, before: Cpu) -> Cpu {
        Cpu {
            sender: self.sender - before.sender,
            scheduler: self.scheduler - before.scheduler,
            redis: self.redis - before.redis,
            control: self.control - before.control,
        }
    }
}

fn start_role(
    binary: &Path,
    role: &str,
    store: &str,
    flags: &[&str],
    folder: &Path,
) -> Result<Process, String> {
    start_named(binary, role, role, store, flags, folder)
}

/// As shipped: nothing is set but addresses and that loopback is allowed. Its log goes to a file.
fn start_named(
    binary: &Path,
    role: &str,
    name: &str,
    store: &str,
    flags: &[&str],
    folder: &Path,
) -> Result<Process, String> {
    let path = folder.join(format!("{name}.log"));
    let log = std::fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut command = Command::new(binary);
    command
        .args([role, "--dev", "--listen-health", "127.0.0.1:0", "--store", store])
        .args(flags)
        .stdout(Stdio::null())
        .stderr(log);
    Process::start(name, &mut command)
}

/// How long from starting a fresh process on a fresh file to the first webhook of a campaign that waits for it.
pub(crate) fn restart(deployment: &mut Deployment) -> Result<Instant, String> {
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (grpc, intake) = (address(&deployment.grpc), deployment.intake.clone());
    let console = format!("127.0.0.1:{}", free_port()?);
    let listen = ["--listen-grpc", &grpc, "--listen-console", &console, "--listen-intake", &intake];
    let began = Instant::now();
    deployment.control =
        start_role(&deployment.binary, "serve", &deployment.store, &listen, deployment.folder.path())?;
    Ok(began)
}
