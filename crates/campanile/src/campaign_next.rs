//! `campanile campaign next`: when a campaign fires, in words; of users' own zones, where it comes first and last on earth.
//!
//! Worked out here from the campaign as it is written, by the functions that the scheduler uses.

use std::path::PathBuf;

use campanile_control::read_campaign::read_campaign;
use campanile_core::civil_text::{parse_instant, parse_zone};
use campanile_core::draft::{Delivery, Kind};
use campanile_core::fault::Faults;
use campanile_core::recurring::read_recurring;
use campanile_proto::v1 as wire;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::apply::next_command;
use crate::campaign_files::{self, Written};
use crate::connect::{ServerAt, connect};
use crate::fail::Fail;
use crate::output::Output;
use crate::words;

/// Where a wall clock shows a time first and last.
const FIRST_ON_EARTH: &str = "Pacific/Kiritimati";
const LAST_ON_EARTH: &str = "Etc/GMT+12";

#[derive(Debug, clap::Args)]
pub struct CampaignNextArgs {
    /// A stored campaign.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    id: Option<String>,
    /// A campaign's file, stored or not; needs no server.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
}

pub async fn run(at: &ServerAt, args: CampaignNextArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    if let Some(path) = args.file {
        let written = campaign_files::read(&[path])?;
        for one in &written {
            let times = times(one.campaign(), now, args.count).map_err(|faults| placed(one, &faults))?;
            show(one.campaign(), &times, now, output);
        }
        return Ok(());
    }
    let id = args.id.unwrap_or_default();
    let mut api = connect(at).await?;
    let request = wire::GetCampaignRequest { id, ..Default::default() };
    let answer = api.campaigns.get_campaign(request).await?.into_inner();
    let campaign = answer.campaign.unwrap_or_default();
    let times = times(&campaign, now, args.count).map_err(|faults| Fail::refused(faults.to_string()))?;
    show(&campaign, &times, now, output);
    if !output.is_json() {
        output.next(&next_command(&campaign));
    }
    Ok(())
}

fn placed(written: &Written, faults: &Faults) -> Fail {
    Fail::placed(faults.0.iter().map(|fault| written.place(&fault.field, &fault.text)).collect())
}

/// When a campaign fires.
#[derive(Debug, PartialEq)]
enum Times {
    /// At these instants on this zone's clock; none when it is over.
    At(TimeZone, Vec<Timestamp>),
    /// When everybody's own clock shows this: where that is first, and where it is last.
    Everywhere(Vec<(Timestamp, Timestamp)>),
    /// Not by the clock; why.
    Never(String),
}

fn times(campaign: &wire::Campaign, now: Timestamp, count: u32) -> Result<Times, Faults> {
    let delivery = read_campaign(campaign)?.delivery;
    let since = campaign.created_at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok()).unwrap_or(now);
    match &delivery.kind {
        Some(Kind::OneTime(at)) if at.at.trim() == "now" => {
            return Ok(Times::Never("fires when it is activated".to_owned()));
        }
        Some(Kind::OneTime(_) | Kind::Recurring(_)) => {}
        Some(Kind::Triggered(_)) => {
            return Ok(Times::Never("fires when its trigger comes, not by the clock".to_owned()));
        }
        Some(Kind::Manual) => return Ok(Times::Never("fires when users are entered by hand".to_owned())),
        None => return Ok(Times::Never("has no delivery".to_owned())),
    }
    let of = |zone: &TimeZone| instants(&delivery, zone, since, now, count);
    if delivery.zone != "user" {
        let zone = zone(&delivery.zone)?;
        let found = of(&zone)?;
        return Ok(Times::At(zone, found));
    }
    // The last places are more than a day behind the first, so what is over there is not over here.
    let (first, last) = (of(&zone(FIRST_ON_EARTH)?)?, of(&zone(LAST_ON_EARTH)?)?);
    let wall = |at: Timestamp, zone: &str| parse_zone(zone).ok().map(|zone| zone.to_datetime(at));
    let pairs = last.into_iter().filter_map(|last| {
        let shown = wall(last, LAST_ON_EARTH)?;
        let first_at = first.iter().copied().find(|at| wall(*at, FIRST_ON_EARTH) == Some(shown));
        // Where it is over already in the first places.
        let begun = || parse_zone(FIRST_ON_EARTH).ok()?.to_timestamp(shown).ok();
        Some((first_at.or_else(begun)?, last))
    });
    Ok(Times::Everywhere(pairs.collect()))
}

fn zone(name: &str) -> Result<TimeZone, Faults> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    parse_zone(name).map_err(|text| one_fault("delivery.zone", text))
}

fn one_fault(field: &str, text: impl Into<String>) -> Faults {
    let mut faults = Faults::default();
    faults.add(field, text);
    faults
}

/// The next instants on one zone's clock.
fn instants(
    delivery: &Delivery,
    zone: &TimeZone,
    since: Timestamp,
    now: Timestamp,
    count: u32,
) -> Result<Vec<Timestamp>, Faults> {
    match &delivery.kind {
        Some(Kind::OneTime(written)) => {
            let at = parse_instant(&written.at, zone, since);
            let at = at.map_err(|text| one_fault("delivery.one_time.at", text))?;
            Ok(if at >= now { vec![at] } else { Vec::new() })
        }
        Some(Kind::Recurring(written)) => {
            let recurrence = read_recurring(written, zone, since).map_err(|faults| {
                let mut placed = Faults::default();
                faults
                    .0
                    .into_iter()
                    .for_each(|f| placed.add(format!("delivery.recurring.{}", f.field), f.text));
                placed
            })?;
            let before = now.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(now);
            Ok(recurrence.occurrences(before, 0).take(count as usize).collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn show(campaign: &wire::Campaign, times: &Times, now: Timestamp, output: Output) {
    if output.is_json() {
        json_lines(&campaign.id, times).iter().for_each(|line| output.line(line));
        return;
    }
    lines(&campaign.id, times, now).iter().for_each(|line| output.line(line));
    if let Some(wire::delivery::Kind::Recurring(recurring)) =
        campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref())
        && recurring.max_occurrences > 0
    {
        output.note(&format!(
            "at most {} in all",
            words::counted(recurring.max_occurrences.into(), "occurrence")
        ));
    }
    match campaign.state() {
        wire::CampaignState::Draft => output.note("it is a draft: nothing is sent before it is activated"),
        wire::CampaignState::Paused => output.note("it is paused: nothing is sent before it is resumed"),
        wire::CampaignState::Ended => output.note("it has ended: nothing more is sent"),
        _ => {}
    }
}

fn json_lines(id: &str, times: &Times) -> Vec<String> {
    match times {
        Times::At(_, found) => {
            found.iter().map(|at| json!({ "id": id, "at": at.to_string() }).to_string()).collect()
        }
        Times::Everywhere(found) => {
            let line = |(first, last): &(Timestamp, Timestamp)| {
                json!({ "id": id, "firstAt": first.to_string(), "lastAt": last.to_string() }).to_string()
            };
            found.iter().map(line).collect()
        }
        Times::Never(_) => Vec::new(),
    }
}

fn lines(id: &str, times: &Times, now: Timestamp) -> Vec<String> {
    match times {
        Times::Never(why) => vec![format!("{id} {why}")],
        Times::At(_, found) if found.is_empty() => vec![format!("{id} fires no more")],
        Times::Everywhere(found) if found.is_empty() => vec![format!("{id} fires no more, nowhere on earth")],
        Times::At(zone, found) => {
            let name = zone.iana_name().unwrap_or("UTC");
            found
                .iter()
                .map(|at| format!("{} {name}, {}", day_and_time(*at, zone, now), from_now(*at, zone, now)))
                .collect()
        }
        Times::Everywhere(found) => {
            let line = |(first, last): &(Timestamp, Timestamp)| {
                let (Ok(earliest), Ok(latest)) = (parse_zone(FIRST_ON_EARTH), parse_zone(LAST_ON_EARTH))
                else {
                    return String::new();
                };
                format!(
                    "{} on everybody's own clock: first {FIRST_ON_EARTH}, {}; last {LAST_ON_EARTH}, {}",
                    day_and_time(*last, &latest, now),
                    from_now(*first, &earliest, now),
                    from_now(*last, &latest, now)
                )
            };
            found.iter().map(line).collect()
        }
    }
}

/// `Mon 30 Nov 09:00`, with the year where it is another one.
fn day_and_time(at: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
    let (there, here) = (zone.to_datetime(at), zone.to_datetime(now));
    let date = if there.year() == here.year() { "%a %-d %b" } else { "%a %-d %b %Y" };
    let time = if there.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    there.strftime(&format!("{date} {time}")).to_string()
}

/// `in 6 days` counts midnights, as people do; what is nearer is told in hours, minutes or seconds.
fn from_now(at: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
    let secs = at.duration_since(now).as_secs();
    let days = (zone.to_datetime(at).date() - zone.to_datetime(now).date()).get_days();
    match secs {
        ..0 => "already past there".to_owned(),
        0..60 => format!("in {secs} s"),
        60..3_600 => format!("in {} min", secs / 60),
        3_600..172_800 => format!("in {}", words::counted(secs / 3_600, "hour")),
        _ => format!("in {}", words::counted(days.into(), "day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday noon in Berlin.
    const NOW: &str = "2026-11-24T11:00:00Z";

    fn check(delivery: &str, count: u32, expected: &[&str]) {
        let now: Timestamp = NOW.parse().unwrap();
        let text = format!("id: a\naudience: everyone\ndelivery: {delivery}\n");
        let read =
            campanile_proto::campaign_file::read(text.as_bytes()).unwrap_or_else(|f| panic!("{text}: {f:?}"));
        let times = times(&read[0].campaign, now, count).unwrap_or_else(|f| panic!("{text}: {f}"));
        assert_eq!(lines("a", &times, now), expected, "{delivery}");
    }

    #[test]
    fn the_next_occurrences_are_told_in_words() {
        check(
            "{recurring: \"0 9 * * 1\", zone: Europe/Berlin}",
            2,
            &["Mon 30 Nov 09:00 Europe/Berlin, in 6 days", "Mon 7 Dec 09:00 Europe/Berlin, in 13 days"],
        );
        check(
            "{recurring: \"30 12 * * *\", zone: Europe/Berlin}",
            1,
            &["Tue 24 Nov 12:30 Europe/Berlin, in 30 min"],
        );
        check(
            "{recurring: \"*/20 * * * * *\"}",
            2,
            &["Tue 24 Nov 11:00 UTC, in 0 s", "Tue 24 Nov 11:00:20 UTC, in 20 s"],
        );
        check("{recurring: \"0 9 * * *\"}", 1, &["Wed 25 Nov 09:00 UTC, in 22 hours"]);
        check("{one_time: \"2027-01-04T09:00\"}", 3, &["Mon 4 Jan 2027 09:00 UTC, in 41 days"]);
        check(
            "{recurring: {every: {days: 1, at: \"08:00\"}, max_occurrences: 1}}",
            3,
            &["Wed 25 Nov 08:00 UTC, in 21 hours"],
        );
    }

    #[test]
    fn of_users_own_zones_the_first_and_the_last_place_on_earth_are_told() {
        check(
            "{recurring: {every: {weeks: 1, weekdays: mon, at: \"08:00\"}}, zone: user}",
            1,
            &[
                "Mon 30 Nov 08:00 on everybody's own clock: first Pacific/Kiritimati, in 5 days; last Etc/GMT+12, in 7 days",
            ],
        );
        // In the first places this morning is past already; in the last ones it is still to come.
        check(
            "{recurring: \"0 9 * * *\", zone: user}",
            1,
            &[
                "Tue 24 Nov 09:00 on everybody's own clock: first Pacific/Kiritimati, already past there; last Etc/GMT+12, in 10 hours",
            ],
        );
    }

    #[test]
    fn what_does_not_fire_by_the_clock_says_so() {
        check("{triggered: bought}", 1, &["a fires when its trigger comes, not by the clock"]);
        check("{manual: {}}", 1, &["a fires when users are entered by hand"]);
        check("{one_time: now}", 1, &["a fires when it is activated"]);
        check("{one_time: \"2026-01-04T09:00\"}", 1, &["a fires no more"]);
    }

    #[test]
    fn a_fault_names_its_field() {
        let now: Timestamp = NOW.parse().unwrap();
        for (delivery, field) in [
            ("{recurring: \"0 9 * *\"}", "delivery.recurring.cron"),
            ("{one_time: soon}", "delivery.one_time.at"),
            ("{one_time: \"2027-01-04T09:00\", zone: Europe/Berlim}", "delivery.zone"),
        ] {
            let text = format!("id: a\ndelivery: {delivery}\n");
            let read = campanile_proto::campaign_file::read(text.as_bytes()).unwrap();
            let faults = times(&read[0].campaign, now, 1).unwrap_err();
            assert_eq!(faults.0[0].field, field, "{faults}");
        }
    }
}
