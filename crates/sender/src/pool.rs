//! Connections kept open between requests: idle HTTP/1 connections, and one HTTP/2 connection a destination.
//!
//! Written here because the pooled client of hyper-util costs a third of a POST. Never hands out a connection that is known to
//! be closed, and never keeps one whose last answer was not read to its end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use tokio::time::{Instant, timeout};

use crate::dial::{Connection, Http1};

/// Shorter than the 5 s after which widespread servers close an idle connection, so that a request seldom meets a closing one.
const HTTP1_IDLE_MAX: Duration = Duration::from_secs(4);
const HTTP2_IDLE_MAX: Duration = Duration::from_secs(60);
/// A connection just given back may still be tidying up; longer than this it is given up.
const READY_WAIT: Duration = Duration::from_millis(20);

pub(crate) struct Pool {
    hosts: Mutex<Hosts>,
    /// Of all destinations together.
    idle_max: usize,
}

#[derive(Default)]
struct Hosts {
    by_key: HashMap<String, Host>,
    idle: usize,
}

#[derive(Default)]
struct Host {
    /// The one used last at the back.
    idle: VecDeque<(Instant, Http1)>,
    http2: Option<(Instant, http2::SendRequest<Full<Bytes>>)>,
    /// It was seen to speak HTTP/1: its connections are made side by side.
    is_http1: bool,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Pool {
    pub(crate) fn new(idle_max: usize) -> Pool {
        Pool { hosts: Mutex::default(), idle_max }
    }

    /// An open connection that is ready for a request.
    pub(crate) async fn take(&self, key: &str) -> Option<Connection> {
        loop {
            match self.pop(key)? {
                Connection::Http1(http1) if http1.sender.is_ready() => return Some(Connection::Http1(http1)),
                Connection::Http1(mut http1) => {
                    if let Ok(Ok(())) = timeout(READY_WAIT, http1.sender.ready()).await {
                        return Some(Connection::Http1(http1));
                    }
                }
                shared => return Some(shared),
            }
        }
    }

    fn pop(&self, key: &str) -> Option<Connection> {
        let now = Instant::now();
        let mut hosts = self.lock();
        let Hosts { by_key, idle } = &mut *hosts;
        let host = by_key.get_mut(key)?;
        if let Some((used_at, sender)) = &mut host.http2 {
            if !sender.is_closed() {
                *used_at = now;
                return Some(Connection::Http2(sender.clone()));
            }
            host.http2 = None;
        }
        while let Some((since, http1)) = host.idle.pop_back() {
            *idle = idle.saturating_sub(1);
            if !http1.sender.is_closed() && now.duration_since(since) < HTTP1_IDLE_MAX {
                return Some(Connection::Http1(http1));
            }
        }
        None
    }

    /// Gives an HTTP/1 connection back whose answer was read to its end.
    pub(crate) fn give_back(&self, key: String, http1: Http1) {
        if http1.sender.is_closed() {
            return;
        }
        let mut hosts = self.lock();
        if hosts.idle < self.idle_max {
            hosts.idle += 1;
            hosts.by_key.entry(key).or_default().idle.push_back((Instant::now(), http1));
        }
    }

    /// Shares a new HTTP/2 connection, or notes that the destination has none.
    pub(crate) fn learn(&self, key: &str, connection: &Connection) {
        let mut hosts = self.lock();
        let host = hosts.by_key.entry(key.to_owned()).or_default();
        match connection {
            Connection::Http1(_) => host.is_http1 = true,
            Connection::Http2(sender) => {
                host.is_http1 = false;
                host.http2 = Some((Instant::now(), sender.clone()));
            }
        }
    }

    /// The lock under which a destination that may speak HTTP/2 is dialed, so that one connection is made and then shared.
    pub(crate) fn turn(&self, key: &str) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut hosts = self.lock();
        let host = hosts.by_key.entry(key.to_owned()).or_default();
        (!host.is_http1).then(|| host.turn.clone())
    }

    /// Closes what has been idle for too long, and forgets destinations without connections.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut hosts = self.lock();
        let mut left = 0;
        hosts.by_key.retain(|_, host| {
            host.idle.retain(|(since, http1)| {
                !http1.sender.is_closed() && now.duration_since(*since) < HTTP1_IDLE_MAX
            });
            host.http2.take_if(|(used_at, sender)| {
                sender.is_closed() || now.duration_since(*used_at) > HTTP2_IDLE_MAX
            });
            left += host.idle.len();
            !host.idle.is_empty() || host.http2.is_some() || Arc::strong_count(&host.turn) > 1
        });
        hosts.idle = left;
    }

    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
