//! The ceiling: the pooled client of hyper-util, fed from a Redis stream or from nowhere, doing nothing else. It bounds whatever
//! renders, signs, decides and records besides.
//!
//! A process of its own: `campanile-bench ceiling PORT SENDS [REDIS]`. Prints what it took as JSON.

use std::collections::{HashMap, VecDeque};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::payload::body;
use crate::processes::cpu_of;
use crate::receiver::Receiver;

const IN_FLIGHT: usize = 64;
const READ: usize = 128;
/// A job has about 500 bytes.
const PAD: &str = "a job carries this much beside its body, so that it has about the five hundred bytes a job of ours would have";

/// What a run of the ceiling took.
pub(crate) struct Ceiling {
    pub(crate) per_sec: f64,
    pub(crate) cpu_per_10k: f64,
}

/// Runs it in a process of its own against `receiver`. `redis`: the URL of a server to be fed from.
pub(crate) fn run(receiver: &Receiver, sends: u64, redis: Option<&str>) -> Result<Ceiling, String> {
    receiver.begin(false, false);
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(own);
    command.args(["ceiling", &receiver.port.to_string(), &sends.to_string()]).args(redis);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("run the ceiling: {e}"))?;
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("the ceiling: {e}"))?;
    receiver.check(sends)?;
    let figure = |name: &str| told[name].as_f64().unwrap_or(0.0);
    Ok(Ceiling { per_sec: sends as f64 / figure("secs"), cpu_per_10k: figure("cpu") * 1e4 / sends as f64 })
}

#[expect(clippy::print_stdout, reason = "its result, for the process that started it")]
pub(crate) fn main(arguments: Vec<String>) -> Result<(), String> {
    let [port, sends, redis @ ..] = arguments.as_slice() else {
        return Err("usage: ceiling PORT SENDS [REDIS]".to_owned());
    };
    let port: u16 = port.parse().map_err(|e| format!("port: {e}"))?;
    let sends: usize = sends.parse().map_err(|e| format!("sends: {e}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.map_err(|e| e.to_string())?.block_on(post_all(port, sends, redis.first()))?;
    println!("{told}");
    Ok(())
}

/// One job of the stream.
struct Job {
    /// None: not from a stream.
    entry: Option<String>,
    id: String,
    body: Bytes,
}

/// What reading streams answers: by name, entries of an id and fields.
type Streams = Vec<(String, Vec<(String, HashMap<String, Vec<u8>>)>)>;

#[derive(Default)]
struct Feed {
    jobs: Mutex<VecDeque<Job>>,
    done: Mutex<Vec<String>>,
    filled: Notify,
    drained: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn post_all(port: u16, sends: usize, redis: Option<&String>) -> Result<Value, String> {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let uri: Uri = format!("http://127.0.0.1:{port}/hooks").parse().map_err(|_| "no uri")?;
    let mut connection = match redis {
        Some(url) => Some(fill(url, sends).await.map_err(|e| format!("redis: {e}"))?),
        None => None,
    };
    let feed = Arc::new(Feed::default());
    if connection.is_none() {
        lock(&feed.jobs).extend((0..sends).map(job));
    }
    let (began, cpu) = (Instant::now(), cpu_of("self"));
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| tokio::spawn(work(client.clone(), uri.clone(), feed.clone(), redis.is_some())))
        .collect();
    if let Some(connection) = &mut connection {
        pump(connection, &feed, sends).await.map_err(|e| format!("redis: {e}"))?;
        for worker in workers {
            worker.abort();
        }
    } else {
        for worker in workers {
            worker.await.map_err(|e| e.to_string())??;
        }
    }
    Ok(json!({ "secs": began.elapsed().as_secs_f64(), "cpu": cpu_of("self") - cpu }))
}

fn job(n: usize) -> Job {
    Job { entry: None, id: format!("msg_{n:038}"), body: Bytes::from(body(n as u64)) }
}

/// A stream of all jobs, and a group to read it by.
async fn fill(url: &str, sends: usize) -> redis::RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("DEL").arg("ceiling").query_async::<()>(&mut connection).await?;
    redis::cmd("XGROUP")
        .arg(&["CREATE", "ceiling", "g", "0", "MKSTREAM"])
        .query_async::<()>(&mut connection)
        .await?;
    let all: Vec<usize> = (0..sends).collect();
    for chunk in all.chunks(500) {
        let mut pipe = redis::pipe();
        for n in chunk {
            let job = job(*n);
            pipe.cmd("XADD").arg("ceiling").arg("*").arg("i").arg(job.id).arg("b").arg(job.body.as_ref());
            pipe.arg("p").arg(PAD).ignore();
        }
        pipe.query_async::<()>(&mut connection).await?;
    }
    Ok(connection)
}

/// Reads jobs and acknowledges those that are done, until all are.
async fn pump(connection: &mut MultiplexedConnection, feed: &Feed, sends: usize) -> redis::RedisResult<()> {
    let (mut read, mut settled) = (0, 0);
    while settled < sends {
        let done: Vec<String> = std::mem::take(&mut *lock(&feed.done));
        let mut pipe = redis::pipe();
        if !done.is_empty() {
            settled += done.len();
            pipe.cmd("XACK").arg("ceiling").arg("g").arg(&done).ignore();
            pipe.cmd("XDEL").arg("ceiling").arg(&done).ignore();
        }
        let wants = read < sends && lock(&feed.jobs).len() < IN_FLIGHT;
        if wants {
            pipe.cmd("XREADGROUP").arg(&["GROUP", "g", "c", "COUNT", &READ.to_string()]);
            pipe.arg(&["STREAMS", "ceiling", ">"]);
        }
        if wants {
            let (streams,): (Streams,) = pipe.query_async(connection).await?;
            for (entry, mut fields) in streams.into_iter().flat_map(|(_, entries)| entries) {
                let mut field = |name: &str| fields.remove(name).unwrap_or_default();
                let id = String::from_utf8(field("i")).unwrap_or_default();
                lock(&feed.jobs).push_back(Job { entry: Some(entry), id, body: Bytes::from(field("b")) });
                read += 1;
            }
            feed.filled.notify_waiters();
        } else if !done.is_empty() {
            pipe.query_async::<()>(connection).await?;
        } else {
            feed.drained.notified().await;
        }
    }
    Ok(())
}

async fn work(
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    feed: Arc<Feed>,
    is_fed: bool,
) -> Result<(), String> {
    loop {
        let filled = feed.filled.notified();
        let (job, left) = {
            let mut jobs = lock(&feed.jobs);
            (jobs.pop_front(), jobs.len())
        };
        let Some(job) = job else {
            if !is_fed {
                return Ok(());
            }
            feed.drained.notify_one();
            filled.await;
            continue;
        };
        if left < IN_FLIGHT {
            feed.drained.notify_one();
        }
        let mut request = Request::new(Full::new(job.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let id = HeaderValue::from_str(&job.id).map_err(|e| e.to_string())?;
        request.headers_mut().insert("webhook-id", id);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = client.request(request).await.map_err(|e| format!("post: {e}"))?;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|e| format!("answer: {e}"))?;
        }
        if let Some(entry) = job.entry {
            lock(&feed.done).push(entry);
            feed.drained.notify_one();
        }
    }
}
