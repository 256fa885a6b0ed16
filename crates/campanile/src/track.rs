//! `campanile track`: one event from the command line, or many from a file.

use std::io::BufRead;

use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

use crate::cli::TrackArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::Output;

/// Events and bytes of one part of a stream.
const PART_EVENTS_MAX: usize = 500;
const PART_BYTES_MAX: usize = 1024 * 1024;

pub async fn run(mut api: Api, args: TrackArgs, output: Output) -> Result<(), Fail> {
    if let Some(path) = &args.file {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|e| Fail::input(format!("{name}: {e}")))?;
        return stream(api, std::io::BufReader::new(file), &name, args.now, output).await;
    }
    let event = read_arguments(&args).map_err(Fail::input)?;
    let request = wire::TrackEventsRequest { events: vec![event], ..Default::default() };
    let answer = api.events.track_events(request).await?.into_inner();
    let tracked = answer.events.into_iter().next().unwrap_or_default();
    if !tracked.faults.is_empty() {
        let lines = tracked.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.description));
        return Err(Fail { code: 2, lines: lines.collect() });
    }
    if output.is_json() {
        return output.message(&tracked);
    }
    match tracked.receipt() {
        wire::EventReceipt::Repeated => output.line("dropped: an event of this id was taken before"),
        _ => output.line(&format!("taken as {}", tracked.event_id)),
    }
    output.note(&format!("next: campanile sends list --user {}", args.user.unwrap_or_default()));
    Ok(())
}

fn read_arguments(args: &TrackArgs) -> Result<wire::Event, String> {
    let mut properties = Map::new();
    for pair in &args.properties {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?}: write properties as key=value"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        properties.insert(key.to_owned(), value);
    }
    let occurred_at = args.at.as_deref().map(instant).transpose().map_err(|e| format!("--at: {e}"))?;
    Ok(wire::Event {
        name: args.event.clone().unwrap_or_default(),
        user_id: args.user.clone().unwrap_or_default(),
        properties: if properties.is_empty() { String::new() } else { Value::Object(properties).to_string() },
        value: args.value,
        occurred_at,
        event_id: args.event_id.clone(),
    })
}

fn instant(text: &str) -> Result<prost_types::Timestamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not RFC 3339, such as 2026-01-31T08:00:00Z"))?;
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

async fn stream(
    mut api: Api,
    file: impl BufRead,
    name: &str,
    now: bool,
    output: Output,
) -> Result<(), Fail> {
    let (parts, streamed) = tokio::sync::mpsc::channel(1);
    let request = tokio_stream::wrappers::ReceiverStream::new(streamed);
    let mut answers = api.events.stream_events(request).await?.into_inner();
    let mut sum = wire::StreamEventsResponse::default();
    let mut bad: Vec<(u64, String)> = Vec::new();
    let mut part = Part::default();
    let mut lines = (1..).zip(file.lines());
    loop {
        let line = lines.next();
        let is_last = line.is_none();
        if let Some((number, line)) = line {
            match line.map_err(|e| e.to_string()) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => match read_line(&line, now) {
                    Ok(event) => part.take(number, line.len(), event),
                    Err(text) => bad.push((number, text)),
                },
                Err(text) => bad.push((number, text)),
            }
        }
        if part.is_full() || is_last && !part.events.is_empty() {
            let sent = std::mem::take(&mut part);
            let events = sent.events;
            if parts.send(wire::StreamEventsRequest { events, ..Default::default() }).await.is_err() {
                break;
            }
            let Some(answer) = answers.message().await? else { break };
            sum.accepted += answer.accepted;
            sum.repeats += answer.repeats;
            bad.extend(answer.bad_events.iter().map(|item| {
                let line = sent.lines.get(item.index as usize).copied().unwrap_or_default();
                let why = item.faults.iter().map(|f| format!("{}: {}", f.field, f.description));
                (line, why.collect::<Vec<_>>().join("; "))
            }));
        }
        if is_last {
            break;
        }
    }
    if output.is_json() {
        output.message(&sum)?;
    } else {
        output.line(&format!("{} events taken, {} repeats dropped", sum.accepted, sum.repeats));
    }
    bad.sort();
    bad.iter().for_each(|(line, text)| output.error(&format!("{name}:{line}: {text}")));
    if bad.is_empty() { Ok(()) } else { Err(Fail::refused(format!("{} lines are bad and were left out", bad.len()))) }
}

#[derive(Default)]
struct Part {
    events: Vec<wire::Event>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Part {
    fn take(&mut self, line: u64, bytes: usize, event: wire::Event) {
        self.events.push(event);
        self.lines.push(line);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.events.len() >= PART_EVENTS_MAX || self.bytes >= PART_BYTES_MAX
    }
}

/// A Segment `track` line, or an object with the fields of an event.
fn read_line(line: &str, now: bool) -> Result<wire::Event, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let Value::Object(object) = value else { return Err("expected a JSON object".to_owned()) };
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| object.get(*name)).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let properties = match object.get("properties") {
        None | Some(Value::Null) => String::new(),
        Some(properties) => properties.to_string(),
    };
    let occurred = text(&["timestamp", "occurred_at"]);
    let own = object.get("properties").and_then(|p| p.get("value").or_else(|| p.get("revenue")));
    Ok(wire::Event {
        name: text(&["event", "name"]),
        user_id: text(&["userId", "user_id"]),
        properties,
        value: object.get("value").or(own).and_then(Value::as_f64),
        occurred_at: if now || occurred.is_empty() { None } else { Some(instant(&occurred)?) },
        event_id: text(&["messageId", "event_id"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(properties: &[&str]) -> Result<wire::Event, String> {
        read_arguments(&TrackArgs {
            user: Some("mary".to_owned()),
            event: Some("purchase".to_owned()),
            properties: properties.iter().map(|p| (*p).to_owned()).collect(),
            value: None,
            event_id: String::new(),
            at: None,
            file: None,
            now: false,
        })
    }

    #[test]
    fn a_value_that_reads_as_json_is_json() {
        let event = typed(&["total=600", "gift=true", "note=a=b", "zip=01067", "tags=[\"x\"]", "empty="]).unwrap();
        let expected = r#"{"total":600,"gift":true,"note":"a=b","zip":"01067","tags":["x"],"empty":""}"#;
        assert_eq!(event.properties, expected);
        assert!(typed(&["total"]).unwrap_err().contains("key=value"));
    }

    #[test]
    fn segment_lines_are_events() {
        let line = r#"{"type":"track","messageId":"m-1","userId":"mary","event":"push","properties":{"n":1,"value":2.5},"timestamp":"2026-11-24T08:00:00Z"}"#;
        let event = read_line(line, false).unwrap();
        assert_eq!((event.name.as_str(), event.user_id.as_str(), event.event_id.as_str()), ("push", "mary", "m-1"));
        assert_eq!((event.properties.as_str(), event.value), (r#"{"n":1,"value":2.5}"#, Some(2.5)));
        assert!(event.occurred_at.is_some() && read_line(line, true).unwrap().occurred_at.is_none());
    }
}
