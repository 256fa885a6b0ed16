//! `campanile track`: one event from the command line, or many from a file, part by part, in bounded memory.

use std::collections::BTreeSet;
use std::path::Path;

use campanile_core::encode::shell_word;
use campanile_core::limits::EVENT_AGE_MAX;
use campanile_proto::v1 as wire;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::bad_lines::BadLines;
use crate::cli::TrackArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::hints;
use crate::json_lines::JsonLines;
use crate::output::Output;
use crate::progress;
use crate::track_line;
use crate::words;

/// Events and bytes of one part of the stream.
const PART_EVENTS_MAX: usize = 1_000;
const PART_BYTES_MAX: usize = 1024 * 1024;
/// A line that has more than properties may have is bad; the server says so where it can still read it.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Campaigns that are asked whether they wait for an event.
const CAMPAIGNS_LOOKED_AT_MAX: i32 = 200;

/// `now` tells which events of a file are too old to fire anything.
pub async fn run(api: Api, args: TrackArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    match &args.file {
        Some(path) => stream(api, path, args.now, now, output).await,
        None => track(api, &args, output).await,
    }
}

async fn track(mut api: Api, args: &TrackArgs, output: Output) -> Result<(), Fail> {
    let (user, name) = (args.user.as_deref().unwrap_or_default(), args.event.as_deref().unwrap_or_default());
    let more = (args.value, args.at.as_deref(), args.event_id.as_str());
    let event = track_line::typed(name, user, &args.properties, more).map_err(Fail::input)?;
    let request = wire::TrackEventsRequest { events: vec![event], ..Default::default() };
    let answer = api.events.track_events(request).await?.into_inner();
    let tracked = answer.events.into_iter().next().unwrap_or_default();
    if !tracked.faults.is_empty() {
        return Err(Fail::inputs(tracked.faults.iter().map(words::finding).collect()));
    }
    if output.is_json() {
        return output.message(&tracked);
    }
    match tracked.receipt() {
        wire::EventReceipt::Repeated => output.line("dropped: an event of this id was taken before"),
        _ => output.line(&format!("taken as {}", tracked.event_id)),
    }
    match unheard(&mut api, name).await? {
        Some(said) => {
            output.warning(&said);
            output.next("campanile campaign list");
        }
        None => output.next(&format!("campanile sends list --user {}", shell_word(user))),
    }
    Ok(())
}

/// What is to be said of an event that no live campaign waits for. Where there are more campaigns than a page has, nothing is.
async fn unheard(api: &mut Api, name: &str) -> Result<Option<String>, Fail> {
    let live = [wire::CampaignState::Active, wire::CampaignState::Paused, wire::CampaignState::Scheduled];
    let request = wire::ListCampaignsRequest {
        states: live.map(|state| state as i32).to_vec(),
        page_size: CAMPAIGNS_LOOKED_AT_MAX,
        ..Default::default()
    };
    let page = api.campaigns.list_campaigns(request).await?.into_inner();
    let is_all = page.next_page_token.is_empty();
    Ok(hints::unheard_event(name, &page.campaigns).filter(|_| is_all))
}

async fn stream(
    mut api: Api,
    path: &Path,
    at_arrival: bool,
    now: Timestamp,
    output: Output,
) -> Result<(), Fail> {
    let name = path.display().to_string();
    let (source, bar) = progress::open(path, output)?;
    let (parts, streamed) = mpsc::channel(1);
    let mut answers = api.events.stream_events(ReceiverStream::new(streamed)).await?.into_inner();
    let mut told = Told::default();
    let mut part = Part::default();
    let mut broken = None;
    let oldest = now.checked_sub(SignedDuration::try_from(EVENT_AGE_MAX).unwrap_or_default()).unwrap_or(now);
    for line in JsonLines::new(source) {
        let line = match line {
            Ok(line) => line,
            Err(e) => {
                broken = Some(Fail::input(format!("{name}: {e}")));
                break;
            }
        };
        match line.object.and_then(|object| track_line::read(object, at_arrival)) {
            Err(text) => told.bad.add(line.number, text),
            Ok(read) if read.event.encoded_len() > EVENT_BYTES_MAX => {
                told.bad.add(line.number, format!("is larger than {} MiB", EVENT_BYTES_MAX / 1024 / 1024));
            }
            Ok(read) => {
                told.old += u64::from(is_before(&read.event, oldest));
                told.ignored.extend(read.ignored);
                if part.is_full_for(&read.event) {
                    part = send(part, &parts, &mut answers, &mut told).await?;
                }
                part.take(line.number, read.event);
            }
        }
    }
    if !part.events.is_empty() {
        send(part, &parts, &mut answers, &mut told).await?;
    }
    bar.finish_and_clear();
    told.report(&name, output);
    broken.map_or(Ok(()), Err)?;
    told.bad.verdict()?;
    output.next("campanile sends list");
    Ok(())
}

fn is_before(event: &wire::Event, oldest: Timestamp) -> bool {
    event.occurred_at.is_some_and(|at| at.seconds < oldest.as_second())
}

/// Sends a part and waits for what became of it; answers an empty part.
async fn send(
    part: Part,
    parts: &mpsc::Sender<wire::StreamEventsRequest>,
    answers: &mut tonic::Streaming<wire::StreamEventsResponse>,
    told: &mut Told,
) -> Result<Part, Fail> {
    // A server that takes no more says why in its answer.
    let _ = parts.send(wire::StreamEventsRequest { events: part.events, ..Default::default() }).await;
    match answers.message().await {
        Ok(Some(answer)) => told.add(&answer, &part.lines),
        Ok(None) => {
            return Err(Fail::refused(
                "the server ended the stream: tracking the file again is safe where events have ids",
            ));
        }
        Err(status) => return Err(status.into()),
    }
    Ok(Part::default())
}

#[derive(Default)]
struct Part {
    events: Vec<wire::Event>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Part {
    fn is_full_for(&self, event: &wire::Event) -> bool {
        let bytes = self.bytes + event.encoded_len();
        self.events.len() >= PART_EVENTS_MAX || bytes > PART_BYTES_MAX && !self.events.is_empty()
    }

    fn take(&mut self, line: u64, event: wire::Event) {
        self.bytes += event.encoded_len();
        self.events.push(event);
        self.lines.push(line);
    }
}

/// What became of a file.
#[derive(Default)]
struct Told {
    accepted: i64,
    repeats: i64,
    /// Events that happened too long ago to fire anything.
    old: u64,
    /// Keys that no event has.
    ignored: BTreeSet<String>,
    bad: BadLines,
}

impl Told {
    fn add(&mut self, answer: &wire::StreamEventsResponse, lines: &[u64]) {
        self.accepted += answer.accepted;
        self.repeats += answer.repeats;
        for item in &answer.bad_events {
            let line = usize::try_from(item.index).ok().and_then(|index| lines.get(index));
            self.bad.add(line.copied().unwrap_or_default(), words::findings(&item.faults));
        }
    }

    fn report(&mut self, name: &str, output: Output) {
        if output.is_json() {
            let count = self.bad.count();
            let bad: Vec<_> =
                self.bad.sorted().iter().map(|(line, text)| json!({"line": line, "text": text})).collect();
            let line = json!({
                "accepted": self.accepted, "repeats": self.repeats, "bad": count, "badLines": bad,
                "ignoredKeys": self.ignored,
            });
            output.line(&line.to_string());
            return;
        }
        self.bad.told(name).iter().for_each(|line| output.bad_line(line));
        if !self.ignored.is_empty() {
            let keys: Vec<&str> = self.ignored.iter().map(String::as_str).collect();
            output.warning(&format!(
                "keys that no event has were ignored: {} (properties go under \"properties\")",
                keys.join(", ")
            ));
        }
        if self.old > 0 {
            output.warning(&format!("{} happened more than an hour ago: counted, but nothing is fired (--now lets them happen now)", words::counted(self.old.cast_signed(), "event")));
        }
        output.line(&format!(
            "{} taken, {} dropped",
            words::counted(self.accepted, "event"),
            words::counted(self.repeats, "repeat")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_event_is_told_by_its_line() {
        let fault = wire::Finding {
            field: "name".to_owned(),
            description: "is missing".to_owned(),
            ..Default::default()
        };
        let item = wire::BadItem { faults: vec![fault], index: 1, user_id: String::new() };
        let answer = wire::StreamEventsResponse {
            accepted: 2,
            repeats: 1,
            bad_events: vec![item],
            ..Default::default()
        };
        let mut told = Told::default();
        told.add(&answer, &[3, 7]);
        assert_eq!(told.bad.told("e.ndjson"), ["e.ndjson:7: name: is missing"]);
        assert_eq!((told.accepted, told.repeats), (2, 1));
    }

    #[test]
    fn a_part_is_bounded_by_events_and_bytes() {
        let light = wire::Event { name: "e".to_owned(), ..Default::default() };
        let heavy = wire::Event { properties: "x".repeat(700_000), ..Default::default() };
        let mut part = Part::default();
        assert!(!part.is_full_for(&heavy));
        part.take(1, heavy.clone());
        assert!(part.is_full_for(&heavy) && !part.is_full_for(&light));
        let mut part = Part::default();
        (0..1_000).for_each(|line| part.take(line, light.clone()));
        assert!(part.is_full_for(&light));
    }

    #[test]
    fn events_of_long_ago_are_told_apart() {
        let at = |seconds| wire::Event {
            occurred_at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..Default::default()
        };
        let oldest = Timestamp::from_second(1_000).unwrap();
        assert!(is_before(&at(999), oldest) && !is_before(&at(1_000), oldest));
        assert!(!is_before(&wire::Event::default(), oldest));
    }
}
