//! `cargo xtask first-hour`: what a newcomer waits for, measured and printed: the README's commands up to the first webhook, how fast
//! `serve` is ready, and how long an event over HTTP takes to become a POST. Judges nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a developer command measures by this machine's clock"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::shell::{build_binary, run as shell, say, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure an optimised build
    #[arg(long)]
    release: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    binary: Option<PathBuf>,
    /// Events whose way is measured
    #[arg(long, default_value_t = 500, value_name = "N")]
    events: u32,
}

const STARTS: usize = 9;
const DEADLINE: Duration = Duration::from_secs(30);
/// What the README's example sends to.
const EXAMPLE_TARGET: &str = "127.0.0.1:9000";

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let binary = match &arguments.binary {
        Some(binary) => fs::canonicalize(binary).map_err(|e| format!("{}: {e}", binary.display()))?,
        None => build(arguments.release)?,
    };
    let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
    let mut starts = Vec::new();
    for n in 0..STARTS {
        let (_, took) = Serve::start(&binary, &folder.path().join(format!("start-{n}.db")))?;
        starts.push(took);
    }
    say(&format!("serve ready, on a new file: {}", spread(&mut starts)));
    let (arrivals, target) = receiver()?;
    let (serve, ready) = Serve::start(&binary, &folder.path().join("first.db"))?;
    first_webhook(&binary, &serve, &arrivals, &target, ready)?;
    way_of_events(&serve, &arrivals, arguments.events)
}

fn build(release: bool) -> Result<PathBuf, String> {
    if !release {
        build_binary()?;
        return Ok(workspace().join("target/debug/campanile"));
    }
    shell("cargo", &["build", "--release", "-p", "campanile"])?;
    Ok(workspace().join("target/release/campanile"))
}

/// The commands that the README types in its third terminal, as printed.
fn commands() -> Result<Vec<String>, String> {
    let path = workspace().join("README.md");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("    campanile "));
    let typed = lines.skip_while(|line| !line.starts_with("users import"));
    let until_track: Vec<String> =
        typed.map(str::to_owned).take_while(|line| !line.starts_with("explain")).collect();
    if until_track.last().is_some_and(|line| line.starts_with("track")) {
        Ok(until_track)
    } else {
        Err(format!("README.md: its commands do not end with track: {until_track:?}"))
    }
}

/// Runs them in a folder with the examples, and waits for the webhook.
fn first_webhook(
    binary: &Path,
    serve: &Serve,
    arrivals: &Receiver<(Instant, String)>,
    target: &str,
    ready: Duration,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| format!("make a folder: {e}"))?;
    let examples = folder.path().join("examples");
    fs::create_dir(&examples).map_err(|e| format!("make {}: {e}", examples.display()))?;
    for name in ["first.yaml", "people.csv"] {
        let text = fs::read_to_string(workspace().join("examples").join(name))
            .map_err(|e| format!("{name}: {e}"))?;
        fs::write(examples.join(name), text.replace(EXAMPLE_TARGET, target))
            .map_err(|e| format!("{name}: {e}"))?;
    }
    let commands = commands()?;
    let began = Instant::now();
    for line in &commands {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{} {line}", binary.display())]).current_dir(folder.path());
        command.env("CAMPANILE_SERVER", format!("http://{}", serve.grpc)).stdin(Stdio::null());
        let output = command.output().map_err(|e| format!("run sh: {e}"))?;
        if !output.status.success() {
            return Err(format!("campanile {line}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    let (arrived, _) =
        arrivals.recv_timeout(DEADLINE).map_err(|_| "the first webhook does not come".to_owned())?;
    let took = arrived.duration_since(began) + ready;
    // git clone, cd, cargo install, serve and receive come before.
    say(&format!(
        "from the end of the build to the first own webhook: {} commands (serve, receive and {} more; clone and install come before), {:.2} s of waiting",
        commands.len() + 2,
        commands.len(),
        took.as_secs_f64()
    ));
    Ok(())
}

/// Event after event over one connection, each waited for until its POST arrives.
fn way_of_events(serve: &Serve, arrivals: &Receiver<(Instant, String)>, n: u32) -> Result<(), String> {
    let in_way = |e: std::io::Error| format!("the intake: {e}");
    let stream = TcpStream::connect(&serve.intake).map_err(in_way)?;
    stream.set_nodelay(true).map_err(in_way)?;
    let mut answers = BufReader::new(stream.try_clone().map_err(in_way)?);
    let mut stream = stream;
    let (mut posts, mut acknowledgements) = (Vec::new(), Vec::new());
    for i in 0..n {
        let total = 1_000 + i;
        let body = format!(r#"{{"userId":"mary","event":"purchase","properties":{{"total":{total}}}}}"#);
        let request = format!(
            "POST /v1/track HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            serve.intake,
            body.len()
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes()).map_err(in_way)?;
        let answer = read_message(&mut answers).map_err(in_way)?;
        acknowledgements.push(began.elapsed());
        if !answer.contains("true") {
            return Err(format!("the intake answered {answer}"));
        }
        let wanted = format!("\"total\":{total}}}");
        loop {
            let (at, body) =
                arrivals.recv_timeout(DEADLINE).map_err(|_| "a webhook does not come".to_owned())?;
            if body.ends_with(&wanted) {
                posts.push(at.duration_since(began));
                break;
            }
        }
    }
    say(&format!("event over HTTP to its acknowledgement, one at a time: {}", spread(&mut acknowledgements)));
    say(&format!("event over HTTP to its POST, one at a time: {}", spread(&mut posts)));
    Ok(())
}

/// `p50 1.2 ms, p95 ..., p99 ..., of 500`.
fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    };
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, of {}", at(50), at(95), at(99), times.len())
}

/// A far end that answers 204 and tells when each request began, with its body.
fn receiver() -> Result<(Receiver<(Instant, String)>, String), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("listen: {e}"))?;
    let address = listener.local_addr().map_err(|e| format!("listen: {e}"))?.to_string();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            std::thread::spawn(move || serve_one(stream, &tell));
        }
    });
    Ok((told, address))
}

fn serve_one(stream: TcpStream, tell: &Sender<(Instant, String)>) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    loop {
        match reader.fill_buf() {
            Ok([]) | Err(_) => return,
            Ok(_) => {}
        }
        let at = Instant::now();
        let Ok(body) = read_message(&mut reader) else { return };
        if tell.send((at, body)).is_err() || writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
    }
}

/// The body of an HTTP/1.1 message that says its length.
fn read_message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

struct Serve {
    child: Child,
    grpc: String,
    intake: String,
}

impl Serve {
    /// `campanile serve --dev` on free ports, and how long it took until all of them answered.
    fn start(binary: &Path, file: &Path) -> Result<(Serve, Duration), String> {
        let (grpc, console, intake, health) = (free()?, free()?, free()?, free()?);
        let mut command = Command::new(binary);
        command.args([
            "serve",
            "--dev",
            "--log-level",
            "error",
            "--store",
            &format!("sqlite:{}", file.display()),
        ]);
        command.args(["--listen-grpc", &grpc, "--listen-console", &console, "--listen-intake", &intake]);
        command.args(["--listen-health", &health]).stdin(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().map_err(|e| format!("start {}: {e}", binary.display()))?;
        let serve = Serve { child, grpc, intake };
        for address in [&health, &serve.grpc, &console, &serve.intake] {
            while TcpStream::connect(address).is_err() {
                if began.elapsed() > DEADLINE {
                    return Err(format!("nothing listens on {address}"));
                }
                std::thread::sleep(Duration::from_micros(500));
            }
        }
        let took = began.elapsed();
        Ok((serve, took))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free() -> Result<String, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.to_string()).map_err(|e| format!("find a free port: {e}"))
}
