//! Posts a request and says what happened: always an outcome, never an error.
//!
//! Before: `outgoing`. After: `judge`. One deadline covers the exchange from the first connect to the last byte of the answer.
//! Redirects are not followed. A request is sent a second time only if none of its bytes left this process the first time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use campanile_core::attempt::{Answer, Outcome, Phase};
use campanile_core::limits;
use campanile_core::network::Policy;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::RootCertStore;
use tokio::time::{Instant, timeout_at};

use crate::dial::{Connection, Dialer, broken};
use crate::measure::Requests;
use crate::outgoing::{Outgoing, Target, fit_http1, fit_http2};
use crate::pool::Pool;
use crate::tls;

/// Pooled connections that turned out to be closed, before a fresh one is made.
const STALE_MAX: usize = 3;

pub struct WireConfig {
    pub policy: Policy,
    pub connect_timeout: Duration,
    /// Idle connections kept, of all destinations together.
    pub idle_max: usize,
    /// Certificates to trust; none: the machine's.
    pub roots: Option<RootCertStore>,
}

pub struct Wire {
    pub(crate) dialer: Dialer,
    pool: Pool,
    pub(crate) connect_timeout: Duration,
    requests: Requests,
}

type Request = http::Request<Full<Bytes>>;
type Response = http::Response<Incoming>;

impl Wire {
    pub fn new(config: WireConfig) -> Result<Wire, rustls::Error> {
        let tls = tls::client_config(config.roots.unwrap_or_else(tls::machine_roots))?;
        Ok(Wire {
            dialer: Dialer { policy: config.policy, tls },
            pool: Pool::new(config.idle_max),
            connect_timeout: config.connect_timeout,
            requests: Requests::default(),
        })
    }

    /// Sends once and reads the answer, all within `within`. Of an answer that is not 2xx the beginning of its body is kept; of
    /// one that is, all that was read of it if that is wanted, else nothing.
    pub async fn exchange(&self, outgoing: Outgoing, within: Duration) -> Outcome {
        let began_at = Instant::now();
        let kept_max = if outgoing.wants_answer {
            limits::RESPONSE_BODY_BYTES_MAX
        } else {
            limits::RESPONSE_KEPT_BYTES_MAX
        };
        let (target, request) = outgoing.into_request();
        let (key, deadline) = (target.key(), began_at + within);
        let mut phase = Phase::Connect;
        // One timer for all of it: each costs about as much as rendering a short template.
        let posting = self.post(&target, &key, (request, kept_max), deadline, &mut phase);
        let outcome = match timeout_at(deadline, posting).await {
            Ok(Ok(answer)) => Outcome::Answered(answer),
            Ok(Err(outcome)) => outcome,
            Err(_) => Outcome::TimedOut(phase),
        };
        self.requests.request(&key, &outcome, began_at.elapsed());
        outcome
    }

    /// Closes connections that have been idle for too long; to be called every second or so.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.pool.sweep();
        self.pool.idle()
    }

    async fn post(
        &self,
        target: &Target,
        key: &str,
        (mut request, kept_max): (Request, usize),
        deadline: Instant,
        phase: &mut Phase,
    ) -> Result<Answer, Outcome> {
        for tries in 0.. {
            *phase = Phase::Connect;
            let pooled = if tries < STALE_MAX { self.pool.take(key).await } else { None };
            let is_pooled = pooled.is_some();
            let mut connection = match pooled {
                Some(connection) => connection,
                // Seldom, and large: in a box, so that not every send is as large.
                None => Box::pin(self.connect(target, key, deadline)).await?,
            };
            self.requests.connection(is_pooled);
            *phase = Phase::Answer;
            match send(&mut connection, target, request).await {
                Ok(response) => {
                    *phase = Phase::Body;
                    return self.read(connection, key, response, kept_max).await;
                }
                Err(Unsent::Untouched(back, _)) if is_pooled => request = *back,
                Err(Unsent::Untouched(_, outcome) | Unsent::Perhaps(outcome)) => return Err(outcome),
            }
        }
        Err(Outcome::Broken("no connection stayed open".to_owned()))
    }

    async fn connect(&self, target: &Target, key: &str, deadline: Instant) -> Result<Connection, Outcome> {
        let deadline = deadline.min(Instant::now() + self.connect_timeout);
        let turn = if target.is_https { self.pool.turn(key) } else { None };
        let mut _guard = None;
        if let Some(turn) = turn {
            let timed_out = |_| Outcome::TimedOut(Phase::Connect);
            _guard = Some(timeout_at(deadline, turn.lock_owned()).await.map_err(timed_out)?);
            // Somebody may have made a connection while we waited for our turn.
            if let Some(connection) = self.pool.take(key).await {
                return Ok(connection);
            }
            if self.pool.turn(key).is_none() {
                _guard = None;
            }
        }
        let connection = self.dialer.dial(target, deadline).await?;
        if target.is_https {
            self.pool.learn(key, &connection);
        }
        Ok(connection)
    }

    async fn read(
        &self,
        connection: Connection,
        key: &str,
        response: Response,
        kept_max: usize,
    ) -> Result<Answer, Outcome> {
        let (head, body) = response.into_parts();
        let header = |name: HeaderName| header_text(&head.headers, name);
        let mut answer = Answer {
            status: head.status.as_u16(),
            retry_after: header(RETRY_AFTER),
            content_type: header(CONTENT_TYPE),
            body: String::new(),
        };
        let body = read_body(body, kept_max).await?;
        if !head.status.is_success() {
            answer.body = beginning(&body.start);
        } else if kept_max > limits::RESPONSE_KEPT_BYTES_MAX {
            answer.body = String::from_utf8_lossy(&body.start).into_owned();
        }
        if let (Connection::Http1(http1), true) = (connection, body.is_whole) {
            self.pool.give_back(key.to_owned(), http1);
        }
        Ok(answer)
    }
}

/// Why there is no answer.
pub(crate) enum Unsent {
    /// No byte of it was sent.
    Untouched(Box<Request>, Outcome),
    /// It may have arrived.
    Perhaps(Outcome),
}

pub(crate) async fn send(
    connection: &mut Connection,
    target: &Target,
    mut request: Request,
) -> Result<Response, Unsent> {
    let sent = match connection {
        Connection::Http1(http1) => {
            fit_http1(&mut request, target);
            http1.sender.try_send_request(request).await
        }
        Connection::Http2(sender) => {
            fit_http2(&mut request, target);
            sender.try_send_request(request).await
        }
    };
    match sent {
        Ok(response) => Ok(response),
        Err(mut error) => {
            let back = error.take_message();
            let outcome = broken(error.error());
            Err(match back {
                Some(request) => Unsent::Untouched(Box::new(request), outcome),
                None => Unsent::Perhaps(outcome),
            })
        }
    }
}

pub(crate) struct Body {
    /// At most what is kept of it.
    pub(crate) start: BytesMut,
    /// It was read to its end: the connection can be used again.
    is_whole: bool,
}

/// Reads to the end or to the bound, and keeps the beginning, at most `kept_max` bytes.
pub(crate) async fn read_body(mut body: Incoming, kept_max: usize) -> Result<Body, Outcome> {
    let mut read = Body { start: BytesMut::new(), is_whole: false };
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = kept_max.saturating_sub(read.start.len());
        read.start.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        seen += data.len();
        if seen > limits::RESPONSE_BODY_BYTES_MAX {
            return Ok(read);
        }
    }
    read.is_whole = true;
    Ok(read)
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(beginning(value.as_bytes()))
}

/// As text, within the bound of what is kept.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    let start = bytes.get(..limits::RESPONSE_KEPT_BYTES_MAX.min(bytes.len())).unwrap_or_default();
    let mut text = String::from_utf8_lossy(start).into_owned();
    // What stands for a byte that is no text is longer than the byte.
    text.truncate(text.floor_char_boundary(limits::RESPONSE_KEPT_BYTES_MAX));
    text
}
