//! Takes one claimed send through decision, exchange and verdict to its settlement.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::attempt::Attempt;
use campanile_core::caps::CapAsk;
use campanile_core::event::EntryData;
use campanile_core::log_row::Ended;
use campanile_core::network::Policy;
use campanile_core::number::DestinationNo;
use campanile_core::ports::{Clock, Settlement};
use campanile_core::reason::Suppression;
use campanile_core::slug::Slug;
use campanile_core::webhook::{Request, Unsendable};
use campanile_core::webhook_headers::AttemptHead;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::admit::{Decision, Given, admit, gates};
use crate::campaigns::Live;
use crate::case::Case;
use crate::content::by_content;
use crate::divert::Divert;
use crate::far_ends::FarEnds;
use crate::hide::hide;
use crate::judge::judge;
use crate::measure;
use crate::outgoing::{Outgoing, outgoing};
use crate::settlement;
use crate::wire::Wire;

/// What every send of this process is sent by.
pub struct Means {
    pub wire: Wire,
    pub far_ends: Arc<FarEnds>,
    pub policy: Policy,
    /// Where everything goes instead.
    pub divert: Option<Divert>,
    /// Of this program, as `user-agent` says it.
    pub version: String,
    /// In -1 to 1.
    pub jitter: Box<dyn Fn() -> f64 + Send + Sync>,
}

/// Where a send goes.
#[derive(Clone, Copy)]
pub struct Toward {
    pub no: DestinationNo,
    /// It is the one send that finds out whether the destination takes sends again.
    pub is_probe: bool,
}

/// A send that passed every gate, with its request.
pub struct Ready {
    request: Request,
    outgoing: Outgoing,
    planned_at: Timestamp,
}

impl Ready {
    /// The name of where it goes.
    pub fn destination(&self) -> String {
        self.outgoing.target.key()
    }
}

/// Posts what was planned, and says what becomes of the send.
pub async fn post(
    means: &Means,
    clock: &dyn Clock,
    case: &Case,
    live: &Live,
    ready: Ready,
    (toward, within): (Toward, Duration),
) -> Settlement {
    let Ready { request, outgoing, planned_at } = ready;
    let (began_at, began) = (clock.now(), Instant::now());
    let outcome = means.wire.exchange(outgoing, within).await;
    means.far_ends.ended(toward.no, toward.is_probe, (&outcome, began.elapsed()), clock.now());
    let given = given(means, case, live, planned_at);
    let webhook = given.version().map(|version| &version.webhook);
    let mut outcome = match webhook {
        Some(webhook) => by_content(outcome, webhook),
        None => outcome,
    };
    hide(&mut outcome, &request, webhook.map_or(&[], |webhook| webhook.secrets()), &live.secrets);
    let ended_at = clock.now();
    let attempt = Attempt { number: case.lease.send.next_attempt(), began_at, ended_at, outcome };
    measure::lateness(&case.lease.send, &attempt);
    let schedule = &live.compiled.campaign.retry;
    // Random bytes are a call of the operating system: only a retry has use for them.
    let jitter = if attempt.outcome.is_success() { 0.0 } else { (means.jitter)() };
    let verdict = judge(&attempt.outcome, case.lease.send.attempts, schedule, ended_at, jitter);
    report(case, live, &attempt);
    let keep = || Some(webhook?.keep(&request, &given.context()?));
    of_variant(settlement::attempted(case, attempt, verdict, keep), &given)
}

/// A line for each attempt. Those that succeed are in the send log too, and many: they are told only to who asks for `debug`.
fn report(case: &Case, live: &Live, attempt: &Attempt) {
    let took_ms = attempt.ended_at.duration_since(attempt.began_at).as_millis() as i64;
    let (send, campaign, number) = (&case.id_text, &live.record.id, attempt.number);
    if attempt.outcome.is_success() {
        let outcome = attempt.outcome.status();
        tracing::debug!(send, campaign, attempt = number, outcome, took_ms, "attempt");
    } else {
        let outcome = attempt.outcome.text();
        tracing::info!(send, campaign, attempt = number, outcome, took_ms, "attempt");
    }
}

/// The request to be posted, or what becomes of the send without one.
pub fn plan(means: &Means, case: &Case, live: &Live, now: Timestamp) -> Result<Ready, Box<Settlement>> {
    let given = given(means, case, live, now);
    let request = match admit(&given) {
        Decision::Send(request) => request,
        stopped => return Err(Box::new(unsent(case, live, &given, stopped))),
    };
    match attempt_request(means, case, live, (&request, &given)) {
        Ok(outgoing) => Ok(Ready { request, outgoing, planned_at: now }),
        Err(Unsendable { reason, detail }) => {
            Err(Box::new(unsent(case, live, &given, Decision::Suppress(reason, detail))))
        }
    }
}

/// What its caps are to be asked, or what becomes of a send that another gate stops.
pub fn before_caps(
    means: &Means,
    case: &Case,
    live: &Live,
    now: Timestamp,
) -> Result<Option<CapAsk>, Box<Settlement>> {
    let given = given(means, case, live, now);
    let Some(ask) = given.cap_ask() else { return Ok(None) };
    match gates(&given) {
        None => Ok(Some(ask)),
        Some(stopped) => Err(Box::new(unsent(case, live, &given, stopped))),
    }
}

fn unsent(case: &Case, live: &Live, given: &Given<'_>, stopped: Decision) -> Settlement {
    let lease = case.lease.clone();
    match stopped {
        Decision::Suppress(reason, text) => {
            of_variant(settlement::suppressed(case, reason, text, given.now), given)
        }
        Decision::Skip(text) => settlement::skipped(case, Ended::Skipped, text, given.now),
        Decision::Miss(text) => settlement::skipped(case, Ended::Missed, text, given.now),
        Decision::Drop => settlement::dropped(lease),
        Decision::Later(due_at) => settlement::moved(lease, due_at),
        Decision::Refuse(reason, _) => settlement::refused(lease, reason),
        Decision::Park(until, text) => {
            tracing::debug!(send = case.id_text, campaign = live.record.id, %until, "a lane has to wait: {text}");
            settlement::parked(lease, until, None)
        }
        Decision::Hold(until, text) => {
            tracing::info!(send = case.id_text, campaign = live.record.id, %until, "a send has to wait: {text}");
            settlement::held(lease, until)
        }
        // It is not stopped.
        Decision::Send(_) => settlement::put_back(lease),
    }
}

/// Counted under the variant of its action, if that has some; and with what led to it.
fn of_variant(settlement: Settlement, given: &Given<'_>) -> Settlement {
    let hops = match given.entry {
        Ok(Some(EntryData::Event(event))) => event.hops(),
        _ => 0,
    };
    Settlement { variant: given.version().and_then(|version| Slug::new(&version.name)), hops, ..settlement }
}

fn attempt_request(
    means: &Means,
    case: &Case,
    live: &Live,
    (request, given): (&Request, &Given<'_>),
) -> Result<Outgoing, Unsendable> {
    let user_id = case.profile.as_ref().map_or("", |profile| profile.id.as_str());
    let number = case.lease.send.action;
    let place = live.compiled.campaign.actions.iter().position(|action| action.number == number);
    let action = place.and_then(|place| live.compiled.campaign.actions.get(place));
    let version = action.map_or(0, |action| action.place_of(user_id));
    let wants_answer = action
        .and_then(|action| action.versions.get(version))
        .is_some_and(|version| version.webhook.reads_answers());
    let keys = match place.and_then(|place| live.compiled.keys.get(place)).and_then(|keys| keys.get(version))
    {
        Some(keys) => keys.as_ref().map_err(Unsendable::clone)?,
        None => &Vec::new(),
    };
    let head = AttemptHead {
        send_id: &case.id_text,
        campaign_id: &live.record.id,
        number: case.lease.send.next_attempt(),
        at: given.now,
        version: &means.version,
    };
    let outgoing = match &means.divert {
        None => outgoing(request, &head, keys)?,
        Some(divert) => divert.outgoing(masked(given)?, &head, keys)?,
    };
    Ok(Outgoing { wants_answer, ..outgoing })
}

/// As it may leave for somewhere else. Rendered anew at each attempt: what was kept of the first one holds secrets.
fn masked(given: &Given<'_>) -> Result<Request, Unsendable> {
    match given.version().zip(given.context()) {
        Some((version, context)) => version.webhook.render_masked(&context),
        None => Err(Unsendable { reason: Suppression::Cancelled, detail: "its action is gone".to_owned() }),
    }
}

fn given<'a>(means: &'a Means, case: &'a Case, live: &'a Live, now: Timestamp) -> Given<'a> {
    let opened = case.record.as_ref().and_then(|record| record.entry(case.lease.send.key));
    Given {
        send: &case.lease.send,
        send_id: &case.id_text,
        class: case.class(),
        control: &case.control,
        record: &live.record,
        campaign: &live.compiled.campaign,
        profile: case.profile.as_ref(),
        entry: case.entry.as_ref().map(Option::as_ref).map_err(String::as_str),
        kept: case.kept.as_ref(),
        opened,
        others: case.record.as_ref().map(|record| record.open.as_slice()),
        previous: opened.and_then(|opened| opened.inside.as_ref()?.previous.as_ref()),
        secrets: &live.secrets,
        segments: &live.segments,
        policy: &means.policy,
        limits: &live.limits,
        counted: case.counted,
        closed: case.closed.as_ref(),
        now,
    }
}
