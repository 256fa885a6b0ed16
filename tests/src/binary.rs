//! The real binary: started on free ports with a store of its own, stopped by its own process id.

#![allow(clippy::print_stderr, reason = "what a process under test logs belongs to its test's output")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use campanile_proto::v1::campaign_service_client::CampaignServiceClient;
use campanile_proto::v1::destination_service_client::DestinationServiceClient;
use campanile_proto::v1::event_service_client::EventServiceClient;
use campanile_proto::v1::secret_service_client::SecretServiceClient;
use campanile_proto::v1::segment_service_client::SegmentServiceClient;
use campanile_proto::v1::send_service_client::SendServiceClient;
use campanile_proto::v1::settings_service_client::SettingsServiceClient;
use campanile_proto::v1::user_service_client::UserServiceClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::target::DEADLINE;

/// The binary beside the tests' own, built by `cargo xtask test`.
pub fn campanile() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let folder = own.parent().and_then(Path::parent).expect("target/debug/deps");
    let path = folder.join("campanile");
    assert!(path.exists(), "{} is missing: run `cargo xtask test`, which builds it", path.display());
    path
}

/// One process of the binary; killed when it is dropped.
pub struct Process {
    child: Child,
    /// What it says of itself, once it can work.
    told: Receiver<Value>,
    /// Where its control API listens, if it has one.
    pub grpc: String,
    pub console: String,
    pub intake: String,
    /// Empty: it does without.
    pub health: String,
}

impl Process {
    /// `role` is serve, control, scheduler or sender; `store` what follows `--store`. It has said where its health is served
    /// when this answers, and a role that listens has told where.
    pub fn start(role: &str, store: &str, flags: &[&str]) -> Process {
        Process::start_with(role, store, flags, &[])
    }

    /// The same, with these variables in its environment.
    pub fn start_with(role: &str, store: &str, flags: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut process = Process::spawn(role, store, flags, variables);
        if matches!(role, "serve" | "control") {
            process.listening();
        }
        process
    }

    /// The same, but a role that listens may still wait for its store.
    pub fn start_waiting(role: &str, store: &str, flags: &[&str]) -> Process {
        Process::spawn(role, store, flags, &[])
    }

    fn spawn(role: &str, store: &str, flags: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(campanile());
        command.args([role, "--store", store, "--log-format", "json"]);
        command.args(["--log-level", "warn,campanile::roles=info,campanile::faces=info"]);
        // Free ports of the system's choice: nobody else can take them in between.
        if !flags.contains(&"--listen-health") {
            command.args(["--listen-health", "127.0.0.1:0"]);
        }
        if matches!(role, "serve" | "control") {
            command.args(["--listen-grpc", "127.0.0.1:0", "--listen-console", "127.0.0.1:0"]);
            command.args(["--listen-intake", "127.0.0.1:0"]);
        }
        command.envs(variables.iter().copied());
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("its log"));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                match serde_json::from_str::<Value>(&line) {
                    Ok(told) if told["message"] == "starting" || told["message"] == "listening" => {
                        drop(tell.send(told));
                    }
                    _ => eprintln!("{line}"),
                }
            }
        });
        let none = String::new;
        let mut process =
            Process { child, told, grpc: none(), console: none(), intake: none(), health: none() };
        let starting = process.told.recv_timeout(DEADLINE).expect("it says that it starts");
        process.health = starting["health"].as_str().map(|at| format!("http://{at}")).unwrap_or_default();
        process
    }

    /// Waits until it has said where it listens.
    pub fn listening(&mut self) {
        let told = self.told.recv_timeout(DEADLINE).expect("it says where it listens");
        let address = |name: &str| format!("http://{}", told[name].as_str().expect("an address"));
        (self.grpc, self.console, self.intake) = (address("grpc"), address("console"), address("intake"));
    }

    pub async fn api(&self) -> Api {
        let endpoint =
            Endpoint::from_shared(self.grpc.clone()).expect("a URL").connect_timeout(Duration::from_secs(5));
        Api::new(endpoint.connect().await.expect("the control API listens"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
        let ended = tokio::task::spawn_blocking(move || self.child.wait().expect("it ends").code());
        tokio::time::timeout(DEADLINE, ended).await.expect("it ends in time").expect("it was waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All clients of one control API.
#[derive(Clone)]
pub struct Api {
    pub campaigns: CampaignServiceClient<Channel>,
    pub users: UserServiceClient<Channel>,
    pub events: EventServiceClient<Channel>,
    pub sends: SendServiceClient<Channel>,
    pub secrets: SecretServiceClient<Channel>,
    pub settings: SettingsServiceClient<Channel>,
    pub segments: SegmentServiceClient<Channel>,
    pub destinations: DestinationServiceClient<Channel>,
}

impl Api {
    fn new(channel: Channel) -> Api {
        Api {
            campaigns: CampaignServiceClient::new(channel.clone()),
            users: UserServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            sends: SendServiceClient::new(channel.clone()),
            secrets: SecretServiceClient::new(channel.clone()),
            settings: SettingsServiceClient::new(channel.clone()),
            segments: SegmentServiceClient::new(channel.clone()),
            destinations: DestinationServiceClient::new(channel),
        }
    }
}

/// Runs a client command against a process, and answers what it printed.
pub fn command(process: &Process, arguments: &[&str]) -> Output {
    Command::new(campanile())
        .args(["--server", &process.grpc])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// Runs a client command that needs no server.
pub fn without_server(arguments: &[&str]) -> Output {
    let mut command = Command::new(campanile());
    command.args(["--server", "http://127.0.0.1:1"]).args(arguments).stdin(Stdio::null());
    command.output().expect("the binary runs")
}
