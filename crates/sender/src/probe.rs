//! One request for somebody to look at: sent as every other is, over a connection of its own, with the whole answer and the time each
//! phase took.

use std::time::Duration;

use campanile_core::attempt::{Answer, Outcome, Phase};
use campanile_core::limits;
use tokio::time::{Instant, timeout_at};

use crate::outgoing::Outgoing;
use crate::wire::{Unsent, Wire, read_body, send};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Probed {
    pub outcome: Outcome,
    /// Of the answer, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The beginning of the answer's body, as text.
    pub body: String,
    pub timing: Timing,
}

/// How long each phase took; none where it was not reached, or there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the request to the head of its answer.
    pub first_byte: Option<Duration>,
    pub total: Duration,
}

impl Wire {
    /// Sends once, over a new connection, and reads the answer, all within `within`.
    pub async fn probe(&self, outgoing: Outgoing, within: Duration) -> Probed {
        let began = Instant::now();
        let mut probed = Probed {
            outcome: Outcome::TimedOut(Phase::Connect),
            headers: Vec::new(),
            body: String::new(),
            timing: Timing::default(),
        };
        probed.outcome = match self.try_probe(outgoing, began + within, &mut probed).await {
            Ok(answer) => Outcome::Answered(answer),
            Err(outcome) => outcome,
        };
        probed.timing.total = began.elapsed();
        probed
    }

    async fn try_probe(
        &self,
        outgoing: Outgoing,
        deadline: Instant,
        probed: &mut Probed,
    ) -> Result<Answer, Outcome> {
        let (target, request) = outgoing.into_request();
        let dialed_until = deadline.min(Instant::now() + self.connect_timeout);
        let mut connection = self.dialer.dial_timed(&target, dialed_until, &mut probed.timing).await?;
        let asked = Instant::now();
        let sent = timeout_at(deadline, send(&mut connection, &target, request)).await;
        let sent = sent.map_err(|_| Outcome::TimedOut(Phase::Answer))?;
        let response = sent.map_err(|(Unsent::Untouched(_, outcome) | Unsent::Perhaps(outcome))| outcome)?;
        probed.timing.first_byte = Some(asked.elapsed());
        let (head, body) = response.into_parts();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        probed.headers =
            headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
        let read = timeout_at(deadline, read_body(body, limits::RESPONSE_BODY_BYTES_MAX)).await;
        probed.body = text(&read.map_err(|_| Outcome::TimedOut(Phase::Body))??.start);
        Ok(Answer { status: head.status.as_u16(), ..Answer::default() })
    }
}
