//! `campanile events ...`: the latest events, or every one as it arrives, with what campaigns decided.

use campanile_proto::v1 as wire;

use crate::cli_ledger::{EventsCommand, EventsFilter};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::table::plain;
use crate::watch::{follow, note_missed};
use crate::words;

pub async fn run(mut api: Api, command: EventsCommand, output: Output) -> Result<(), Fail> {
    match command {
        EventsCommand::List { filter, limit } => {
            let request = wire::ListRecentEventsRequest { filter: Some(read(filter)), page_size: limit };
            let answer = api.events.list_recent_events(request).await?.into_inner();
            for seen in &answer.events {
                show(seen, output)?;
            }
            output.next("campanile events watch");
            Ok(())
        }
        EventsCommand::Watch { filter } => watch(api, filter, output).await,
    }
}

fn read(filter: EventsFilter) -> wire::EventFilter {
    wire::EventFilter { user_id: filter.user, campaign_id: filter.campaign, names: filter.name }
}

/// Tells of events until Ctrl-C.
async fn watch(mut api: Api, filter: EventsFilter, output: Output) -> Result<(), Fail> {
    let request = wire::WatchEventsRequest { filter: Some(read(filter)) };
    let show = |told: wire::WatchEventsResponse| {
        note_missed(told.missed, output);
        show(&told.seen.unwrap_or_default(), output)
    };
    follow(api.events.watch_events(request), "events", output, show).await
}

/// A line for the event and one for each campaign it met.
fn show(seen: &wire::SeenEvent, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(seen);
    }
    for line in lines(seen, output) {
        output.line(&line);
    }
    Ok(())
}

fn lines(seen: &wire::SeenEvent, output: Output) -> Vec<String> {
    let event = seen.event.clone().unwrap_or_default();
    let properties = if seen.properties_left_out { "{...}" } else { &event.properties };
    let imported = if seen.imported { " (imported: fires nothing)" } else { "" };
    let at = words::instant(seen.accepted_at.as_ref());
    let line = format!("{at} {} {} {properties}{imported}", event.user_id, event.name);
    let mut lines = vec![plain(line.trim_end())];
    if seen.met.is_empty() && !seen.imported {
        lines.push("  no campaign names it".to_owned());
    }
    for met in &seen.met {
        let what = match met.refusal() {
            wire::RefusalReason::Unspecified => {
                let due = words::instant(met.due_at.as_ref());
                format!("{} {}, due {due}", output.paint(Tone::Good, "entered"), met.send_ids.join(" "))
            }
            reason => {
                let reason = words::refusal(reason);
                format!("{} {}", output.paint(Tone::Faint, &reason), plain(&met.detail))
            }
        };
        lines.push(format!("  {}: {what}", plain(&met.campaign_id)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_with_what_each_campaign_decided() {
        let event = wire::Event {
            user_id: "mary".to_owned(),
            name: "purchase".to_owned(),
            properties: r#"{"total":12}"#.to_owned(),
            ..Default::default()
        };
        let refused = wire::CampaignMet {
            campaign_id: "first".to_owned(),
            refusal: wire::RefusalReason::ConditionFalse as i32,
            detail: "properties.total >= 500 was false".to_owned(),
            ..Default::default()
        };
        let mut seen = wire::SeenEvent { event: Some(event), met: vec![refused], ..Default::default() };
        let told = lines(&seen, Output::new(false, true));
        assert!(told[0].ends_with(r#"mary purchase {"total":12}"#), "{told:?}");
        assert_eq!(told[1], "  first: condition_false properties.total >= 500 was false");
        seen.met.clear();
        assert_eq!(lines(&seen, Output::new(false, true))[1], "  no campaign names it");
    }
}
