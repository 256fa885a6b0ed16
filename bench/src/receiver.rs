//! The far end: HTTP/1.1 on one thread, read by hand, several times as fast as anything measured against it.
//!
//! It knows which body every user's send must have, counts distinct `webhook-id`s and users, verifies one signature in 64, and can hold
//! its answers back until everything to be measured is queued.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::payload::{Checker, is_signed};
use crate::processes::until_within;

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const HEADERS_MAX: usize = 32;
/// One signature in so many is verified: all of them would cost more than receiving.
const VERIFY_EVERY: u64 = 64;
const FAULTS_SHOWN: usize = 3;

pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    hold: watch::Sender<bool>,
}

/// What came since the last `begin`.
#[derive(Default)]
struct State {
    /// Hashes of `webhook-id`s.
    ids: HashSet<u64>,
    users: HashSet<u64>,
    requests: u64,
    faults: Vec<String>,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
    /// Whether arrivals are written down one by one.
    is_timed: bool,
    arrivals: Vec<Arrival>,
    is_signed: bool,
}

/// One send, when it came and when it was due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) user: u64,
    pub(crate) at: Timestamp,
    pub(crate) due_at: Option<Timestamp>,
}

impl Arrival {
    /// Negative: it came early.
    pub(crate) fn late_ms(&self) -> f64 {
        self.due_at.map_or(0.0, |due| self.at.duration_since(due).as_secs_f64() * 1e3)
    }
}

impl Receiver {
    pub(crate) fn start() -> Result<Receiver, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("listen: {e}"))?;
        listener.set_nonblocking(true).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let (hold, held) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("start the receiver: {e}"))?;
        let shared = state.clone();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, shared.clone(), held.clone()));
                }
            });
        });
        Ok(Receiver { port, state, hold })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Forgets everything. `is_signed`: what comes carries signatures.
    pub(crate) fn begin(&self, is_signed: bool, is_timed: bool) {
        *self.lock() = State { is_signed, is_timed, ..State::default() };
    }

    /// Answers nobody until `release`.
    pub(crate) fn hold(&self) {
        let _ = self.hold.send(true);
    }

    /// Answers those that wait and all that come; the measurement begins here.
    pub(crate) fn release(&self) -> Instant {
        let now = Instant::now();
        let _ = self.hold.send(false);
        now
    }

    pub(crate) fn requests(&self) -> u64 {
        self.lock().requests
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// The instants of the first and of the last request.
    pub(crate) fn span(&self) -> Option<(Instant, Instant)> {
        let state = self.lock();
        state.first_at.zip(state.last_at)
    }

    /// Waits for this many sends, each to a user of its own.
    pub(crate) fn wait(&self, sends: u64, within: Duration) -> Result<(), String> {
        let waited = until_within(within, "sends arrive", || {
            let state = self.lock();
            (state.requests >= sends || !state.faults.is_empty()).then_some(())
        });
        waited.map_err(|e| format!("{e}: {} of {sends} came", self.requests()))?;
        self.check(sends)
    }

    /// `Err` unless exactly this many came, each once, to a user of its own, with the right body.
    pub(crate) fn check(&self, sends: u64) -> Result<(), String> {
        let state = self.lock();
        if let Some(fault) = state.faults.first() {
            return Err(format!("{} wrong requests, the first: {fault}", state.faults.len()));
        }
        let (ids, users) = (state.ids.len() as u64, state.users.len() as u64);
        if (state.requests, ids, users) == (sends, sends, sends) {
            return Ok(());
        }
        let requests = state.requests;
        Err(format!("{sends} sends expected; {requests} requests came, of {ids} ids, for {users} users"))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, mut held: watch::Receiver<bool>) {
    let mut input = BytesMut::with_capacity(4096);
    let mut checker = Checker::default();
    loop {
        let mut answers = 0;
        while let Some(length) = take(&input, &state, &mut checker) {
            input.advance(length);
            answers += 1;
        }
        if answers > 0 {
            if *held.borrow() && held.wait_for(|held| !held).await.is_err() {
                return;
            }
            if stream.write_all(&ANSWER.repeat(answers)).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Takes note of the request that `input` begins with; its length, or none if it is not whole.
fn take(input: &[u8], state: &Mutex<State>, checker: &mut Checker) -> Option<usize> {
    if input.is_empty() {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(e) => {
            lock(state).fault(format!("no HTTP: {e}"));
            return Some(input.len());
        }
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    let body = input.get(head..head + length)?;
    let (id, timestamp, signature) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    lock(state).note(id, checker.check(body), |of| !of || is_signed(id, timestamp, signature, body));
    Some(head + length)
}

impl State {
    fn note(&mut self, id: &str, checked: Result<(u64, &str), String>, verify: impl FnOnce(bool) -> bool) {
        let now = Instant::now();
        self.first_at.get_or_insert(now);
        self.last_at = Some(now);
        self.requests += 1;
        if id.is_empty() {
            self.fault("it has no webhook-id".to_owned());
        }
        self.ids.insert(hash(id));
        let is_looked_at = self.is_signed && self.requests.is_multiple_of(VERIFY_EVERY);
        if !verify(is_looked_at) {
            self.fault(format!("the signature of {id} is wrong"));
        }
        match checked {
            Ok((user, due)) => {
                self.users.insert(user);
                if self.is_timed {
                    self.arrivals.push(Arrival { user, at: Timestamp::now(), due_at: due.parse().ok() });
                }
            }
            Err(fault) => self.fault(fault),
        }
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_SHOWN {
            self.faults.push(text);
        }
    }
}

/// The same in every process and on every connection.
fn hash(id: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}
