//! `campanile receive`: a far end for trying things out. Shows each webhook on a line, answers as told, checks signatures.
//!
//! `receive_shown` makes the lines, `receive_tls` the certificate and the connections of `--tls`.

use campanile_core::encode::shell_word;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use campanile_core::duration_text;
use campanile_core::ports::Clock;
use campanile_core::signature::Key;
use tokio::net::TcpListener;

use crate::clock::StoreClock;
use crate::config;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::receive_shown::{Came, Signature, curl};
use crate::receive_tls::{self, TlsListener};
use crate::secret_commands;
use crate::table::{plain, plain_lines};
use crate::words;

/// More than any webhook of ours has.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub struct ReceiveArgs {
    /// Where to listen.
    #[arg(long, env = "CAMPANILE_RECEIVE_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDR")]
    listen: SocketAddr,
    /// Answer with this status instead of 204.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..600))]
    status: Option<u16>,
    /// Only the first N requests get that status; later ones get 204.
    #[arg(long = "for", value_name = "N", requires = "status")]
    first: Option<u64>,
    /// Wait before each answer, such as 500ms or 2s.
    #[arg(long, value_name = "DURATION", value_parser = read_delay)]
    delay: Option<Duration>,
    /// Speak https with a certificate made for this run; prints the file that a sender must trust.
    #[arg(long)]
    tls: bool,
    /// Check signatures with a whsec_ secret typed here, or given on standard input; one a line.
    #[arg(long)]
    secret: bool,
    /// Check signatures with the whsec_ secrets of this file, one a line.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Check signatures with the whsec_ secret of this environment variable.
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Show whole bodies.
    #[arg(long)]
    body: bool,
    /// Show each webhook again as a curl command that repeats it.
    #[arg(long)]
    curl: bool,
}

fn read_delay(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms").map(str::parse) {
        Some(Ok(millis)) => Ok(Duration::from_millis(millis)),
        _ => duration_text::parse(text),
    }
}

struct Receiver {
    args: ReceiveArgs,
    /// Where it listens, as a URL.
    url: String,
    keys: Vec<Key>,
    seen: AtomicU64,
    clock: StoreClock,
    output: Output,
}

/// Receives until Ctrl-C.
pub async fn run(args: ReceiveArgs, output: Output) -> Result<(), Fail> {
    let keys = keys(&args)?;
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|e| Fail::refused(not_bound(args.listen, &e)))?;
    let address = listener.local_addr().map_err(|e| Fail::refused(e.to_string()))?;
    let scheme = if args.tls { "https" } else { "http" };
    let (tls, url) = (args.tls, format!("{scheme}://{address}"));
    output.note(&format!("receiving on {url}, Ctrl-C ends"));
    let receiver =
        Arc::new(Receiver { args, url, keys, seen: AtomicU64::new(0), clock: StoreClock::start(), output });
    let app = Router::new().fallback(receive).with_state(receiver.clone());
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    if tls {
        let made = receive_tls::make(address.ip()).map_err(Fail::refused)?;
        output.note(&format!("its certificate is signed by itself: {}", made.ca_file().display()));
        let trust = made.ca_file().display().to_string();
        let trust = shell_word(&trust);
        output.next(&format!("SSL_CERT_FILE={trust} campanile serve --dev"));
        let listener = TlsListener::start(listener, made.acceptor(), address);
        axum::serve(listener, app).with_graceful_shutdown(ended).await
    } else {
        output.next(&format!("campanile campaign new triggered --url {}/hook", receiver.url));
        axum::serve(listener, app).with_graceful_shutdown(ended).await
    }
    .map_err(|e| Fail::refused(e.to_string()))?;
    let seen = receiver.seen.load(Ordering::Relaxed);
    output.note(&format!("{} received", words::counted(seen.cast_signed(), "webhook")));
    output.next("campanile sends list");
    Ok(())
}

fn not_bound(address: SocketAddr, error: &std::io::Error) -> String {
    format!("cannot listen on {address}: {error}; choose another with --listen 127.0.0.1:PORT")
}

/// The keys that signatures are checked with; none where no secret was given.
fn keys(args: &ReceiveArgs) -> Result<Vec<Key>, Fail> {
    let mut keys = Vec::new();
    let mut read = |from: &str, text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let found = lines.map(Key::read).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|e| Fail::input(format!("{from}: {e}")))?;
        if found.is_empty() {
            return Err(Fail::input(format!("{from}: there is no secret in it")));
        }
        keys.extend(found);
        Ok(())
    };
    if let Some(path) = &args.secret_file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Fail::input(format!("{name}: {e}")))?;
        read(&name, &text)?;
    }
    if let Some(name) = &args.secret_env {
        let text = config::variable(name).ok_or_else(|| {
            Fail::input(format!("--secret-env: there is no variable {name}: export {name}=whsec_..."))
        })?;
        read(name, &text)?;
    }
    if args.secret {
        read("--secret", &secret_commands::values_given("the signing secret")?.join("\n"))?;
    }
    Ok(keys)
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let number = receiver.seen.fetch_add(1, Ordering::Relaxed) + 1;
    let status = receiver.status(number);
    let came = Came {
        number,
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &head.headers,
        body: &body,
        status,
    };
    receiver.show(&came);
    if let Some(delay) = receiver.args.delay {
        tokio::time::sleep(delay).await;
    }
    status.into_response()
}

impl Receiver {
    fn status(&self, number: u64) -> StatusCode {
        let told = self.args.status.and_then(|code| StatusCode::from_u16(code).ok());
        match (told, self.args.first) {
            (Some(status), Some(first)) if number <= first => status,
            (Some(status), None) => status,
            _ => StatusCode::NO_CONTENT,
        }
    }

    fn show(&self, came: &Came<'_>) {
        let signature = (!self.keys.is_empty()).then(|| came.signature(&self.keys, self.clock.now()));
        if self.output.is_json() {
            self.output.line(&came.json(signature, &self.url).to_string());
            return;
        }
        let tone = if came.status.is_success() { Tone::Good } else { Tone::Bad };
        let status = self.output.paint(tone, came.status.as_str());
        let campaign =
            self.output.paint(Tone::Strong, &plain(came.header("campanile-campaign").unwrap_or("-")));
        let signed = match signature {
            None => String::new(),
            Some(Signature::Signed) => ", signed".to_owned(),
            Some(other) => format!(", {}", self.output.paint(Tone::Bad, other.word())),
        };
        let attempt = came.header("campanile-attempt").unwrap_or("-");
        let (method, target) = (came.method, plain(came.target));
        let shown = if self.args.body { String::new() } else { came.body_on_a_line() };
        let line = format!("{status} {campaign} {method} {target} (attempt {attempt}{signed}) {shown}");
        self.output.line(line.trim_end());
        if self.args.body {
            self.output.line(&plain_lines(&came.text()));
        }
        if self.args.curl {
            self.output.line(&self.output.paint(Tone::Faint, &plain_lines(&curl(came, &self.url))));
        }
    }
}
