//! `campanile receive`: a far end for trying things out. Shows each webhook on a line, answers as told, checks signatures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use campanile_core::duration_text;
use campanile_core::signature::{self, Key};
use serde_json::json;
use tokio::net::TcpListener;

use crate::fail::Fail;
use crate::output::{Output, Tone};

/// More than any webhook of ours has.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a line shows of a body.
const BODY_CHARS_SHOWN: usize = 100;

#[derive(Debug, clap::Args)]
pub struct ReceiveArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDR")]
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
    /// Check signatures with the whsec_ secrets of this file, one a line.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Show whole bodies.
    #[arg(long)]
    body: bool,
}

fn read_delay(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms").map(str::parse) {
        Some(Ok(millis)) => Ok(Duration::from_millis(millis)),
        _ => duration_text::parse(text),
    }
}

struct Receiver {
    args: ReceiveArgs,
    keys: Vec<Key>,
    seen: AtomicU64,
    output: Output,
}

/// Receives until Ctrl-C.
pub async fn run(args: ReceiveArgs, output: Output) -> Result<(), Fail> {
    let keys = match &args.secret_file {
        None => Vec::new(),
        Some(path) => {
            let in_file = |e: String| Fail::input(format!("{}: {e}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|e| in_file(e.to_string()))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(Key::read).collect::<Result<_, _>>().map_err(in_file)?
        }
    };
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|e| {
        Fail::refused(format!(
            "cannot listen on {}: {e}; choose another with --listen 127.0.0.1:PORT",
            args.listen
        ))
    })?;
    let address = listener.local_addr().map_err(|e| Fail::refused(e.to_string()))?;
    output.note(&format!("receiving on http://{address}, Ctrl-C ends"));
    let receiver = Arc::new(Receiver { args, keys, seen: AtomicU64::new(0), output });
    let app = Router::new().fallback(receive).with_state(receiver);
    let served = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    served.await.map_err(|e| Fail::refused(e.to_string()))
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let number = receiver.seen.fetch_add(1, Ordering::Relaxed) + 1;
    let status = receiver.status(number);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    receiver.show(number, head.method.as_str(), target, &head.headers, &body, status);
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

    fn show(
        &self,
        number: u64,
        method: &str,
        target: &str,
        headers: &HeaderMap,
        body: &Bytes,
        status: StatusCode,
    ) {
        let text = String::from_utf8_lossy(body);
        let signature = self.signature(headers, body);
        if self.output.is_json() {
            let headers: serde_json::Map<_, _> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect();
            let line = json!({
                "number": number, "method": method, "target": target, "headers": headers, "body": text,
                "status": status.as_u16(), "signature": signature,
            });
            self.output.line(&line.to_string());
            return;
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
        let signed = signature.map(|word| format!(", {word}")).unwrap_or_default();
        let tone = if status.is_success() { Tone::Good } else { Tone::Bad };
        let status = self.output.paint(tone, status.as_str());
        let campaign = self.output.paint(Tone::Strong, header("campanile-campaign"));
        let attempt = header("campanile-attempt");
        let shown = match self.args.body {
            true => format!("\n{text}"),
            false => {
                text.chars().take(BODY_CHARS_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
            }
        };
        self.output
            .line(&format!("{status} {campaign} {method} {target} (attempt {attempt}{signed}) {shown}"));
    }

    /// `signed` or `signature wrong`; nothing where no secret was given.
    fn signature(&self, headers: &HeaderMap, body: &Bytes) -> Option<&'static str> {
        if self.keys.is_empty() {
            return None;
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (id, signatures) = (header("webhook-id"), header("webhook-signature"));
        let timestamp = header("webhook-timestamp").parse().unwrap_or(0);
        let fits = signature::verify(&self.keys, id, timestamp, body, signatures);
        Some(if fits { "signed" } else { "signature wrong" })
    }
}
