//! A scripted far end on loopback: answers as told, and records everything that came.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a test waits for facts before it says what is missing.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Lower-case names.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id")
    }
}

/// What the target answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: String::new(), delay: Duration::ZERO }
    }
}

type Script = Box<dyn Fn(&Received, usize) -> Reply + Send + Sync>;

struct State {
    script: Script,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

/// Serves until it is dropped.
pub struct Target {
    pub address: SocketAddr,
    state: Arc<State>,
    _stop: DropGuard,
}

impl Target {
    /// Answers 204 to everything.
    pub async fn start() -> Target {
        Target::scripted(|_, _| Reply::status(204)).await
    }

    /// Answers by `script`, which is told how many requests came before.
    pub async fn scripted(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let (count, _) = watch::channel(0);
        let state = Arc::new(State { script: Box::new(script), received: Mutex::default(), count });
        let stop = CancellationToken::new();
        let (serving, stopped) = (state.clone(), stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = stopped.run_until_cancelled(listener.accept()).await {
                let (state, stopped) = (serving.clone(), stopped.clone());
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    let _ = stopped.run_until_cancelled(connection).await;
                });
            }
        });
        Target { address, state, _stop: stop.drop_guard() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.lock().clone()
    }

    /// Waits until at least `n` requests came.
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        let mut count = self.state.count.subscribe();
        let waited = tokio::time::timeout(DEADLINE, count.wait_for(|count| *count >= n)).await;
        let received = self.received();
        assert!(waited.is_ok(), "{} of {n} webhooks came within {DEADLINE:?}: {received:#?}", received.len());
        received
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.state.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let received = Received {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let (reply, count) = {
        let mut all = state.received.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = (state.script)(&received, all.len());
        all.push(received);
        (reply, all.len())
    };
    state.count.send_replace(count);
    if reply.delay > Duration::ZERO {
        tokio::time::sleep(reply.delay).await;
    }
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().expect("a header value"));
    }
    Ok(response)
}
