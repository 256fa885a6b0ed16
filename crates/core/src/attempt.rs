//! Pure. An attempt, what the far end did (outcome), and what is done next (verdict).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reason::{Failure, Suppression};

/// One POST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, 2, ... as the far end saw it.
    pub number: u32,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub began_at: Timestamp,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub ended_at: Timestamp,
    pub outcome: Outcome,
}

/// What happened to a POST; never an error of ours. The order is stored: new ones go at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    Answered(Answer),
    /// The name did not resolve.
    Dns(String),
    /// No connection.
    Connect(String),
    /// No TLS session, though a later try may get one.
    Tls(String),
    /// The far end's certificate, or ours, was refused.
    Certificate(String),
    TimedOut(Phase),
    /// More than the bound of headers, or bytes that are not HTTP.
    Protocol(String),
    /// The connection broke after the request was (partly) sent: it may have arrived.
    Broken(String),
    /// Every address of the name is one this deployment does not send to.
    Forbidden(String),
    /// A 2xx that the webhook's `success_when` does not count as a success.
    Refused(Answer),
}

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    /// As the far end wrote it: seconds, or an HTTP date.
    pub retry_after: Option<String>,
    pub content_type: Option<String>,
    /// The beginning of the body, kept only when the attempt did not succeed.
    pub body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Connect,
    /// The request was being sent, or its answer awaited.
    Answer,
    /// The answer's body was being read.
    Body,
}

/// What is done next with a send that was attempted.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Done,
    RetryAt(Timestamp),
    GiveUp(Failure),
    /// Not sent after all, by a rule that only the connection could apply.
    Suppress(Suppression, String),
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Answered(answer) if (200..300).contains(&answer.status))
    }

    /// 0 where there was no answer.
    pub fn status(&self) -> u16 {
        match self {
            Outcome::Answered(answer) | Outcome::Refused(answer) => answer.status,
            _ => 0,
        }
    }

    /// The class, as logs, counters and pages name it.
    pub fn class(&self) -> &'static str {
        match self {
            Outcome::Answered(_) => "answered",
            Outcome::Dns(_) => "dns",
            Outcome::Connect(_) => "connect",
            Outcome::Tls(_) => "tls",
            Outcome::Certificate(_) => "certificate",
            Outcome::TimedOut(Phase::Connect) => "timeout_connect",
            Outcome::TimedOut(Phase::Answer) => "timeout_answer",
            Outcome::TimedOut(Phase::Body) => "timeout_body",
            Outcome::Protocol(_) => "protocol",
            Outcome::Broken(_) => "broken",
            Outcome::Forbidden(_) => "forbidden",
            Outcome::Refused(_) => "refused",
        }
    }

    /// One plain phrase.
    pub fn text(&self) -> String {
        match self {
            Outcome::Answered(answer) => format!("answered {}", answer.status),
            Outcome::Refused(answer) => format!("answered {}, which success_when refuses", answer.status),
            Outcome::TimedOut(Phase::Connect) => "timed out connecting".to_owned(),
            Outcome::TimedOut(Phase::Answer) => "timed out waiting for the answer".to_owned(),
            Outcome::TimedOut(Phase::Body) => "timed out reading the answer".to_owned(),
            Outcome::Dns(t)
            | Outcome::Connect(t)
            | Outcome::Tls(t)
            | Outcome::Certificate(t)
            | Outcome::Protocol(t)
            | Outcome::Broken(t)
            | Outcome::Forbidden(t) => format!("{}: {t}", self.class()),
        }
    }
}
