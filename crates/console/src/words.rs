//! Pure. How pages say things: states, deliveries and times in the words of people.

use campanile_core::duration_text;
use campanile_proto::v1 as wire;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::reasons::suppression;

/// An instant for people and for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Empty: there is none.
    pub(crate) iso: String,
    pub(crate) shown: String,
}

impl Moment {
    /// In UTC, to the second.
    pub(crate) fn at(at: Option<&prost_types::Timestamp>) -> Moment {
        let Some(at) = instant(at) else { return Moment::default() };
        let shown = at.to_zoned_datetime(TimeZone::UTC).strftime("%-d %b %Y, %H:%M:%S").to_string();
        Moment { iso: at.to_string(), shown }
    }
}

pub(crate) fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// `Mon 30 Nov 2026, 09:00 Europe/Berlin, in 6 days`.
pub(crate) fn occurrence(at: Timestamp, zone: &str, now: Timestamp) -> Moment {
    let found = if zone.is_empty() { None } else { TimeZone::get(zone).ok() };
    let (zone, name) = found.map_or((TimeZone::UTC, "UTC"), |found| (found, zone));
    let when = at.to_zoned_datetime(zone).strftime("%a %-d %b %Y, %H:%M").to_string();
    Moment { iso: at.to_string(), shown: format!("{when} {name}, {}", away(at, now)) }
}

/// How far off, in one unit.
fn away(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left <= SignedDuration::ZERO {
        return "now".to_owned();
    }
    let minutes = (left.as_secs() + 30) / 60;
    match minutes {
        0 => "in less than a minute".to_owned(),
        1..120 => format!("in {}", counted(minutes, "minute")),
        120..2_880 => format!("in {}", counted((minutes + 30) / 60, "hour")),
        _ => format!("in {}", counted((minutes + 720) / 1_440, "day")),
    }
}

/// `1 send`, `2 sends`.
pub(crate) fn counted(n: i64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

pub(crate) fn state(state: wire::CampaignState) -> &'static str {
    match state {
        wire::CampaignState::Unspecified => "unknown",
        wire::CampaignState::Draft => "draft",
        wire::CampaignState::Scheduled => "scheduled",
        wire::CampaignState::Active => "active",
        wire::CampaignState::Paused => "paused",
        wire::CampaignState::Ended => "ended",
    }
}

/// A send that is told of and pending waits for a retry.
pub(crate) fn send_state(state: wire::SendState) -> &'static str {
    match state {
        wire::SendState::Unspecified => "unknown",
        wire::SendState::Pending => "retrying",
        wire::SendState::Delivered => "delivered",
        wire::SendState::Failed => "failed",
        wire::SendState::Suppressed => "not sent",
        wire::SendState::Skipped => "passed over",
    }
}

/// What became of a send, beyond its state.
pub(crate) fn why(send: &wire::Send) -> String {
    match (suppression(send.suppression()).label, send.detail.as_str()) {
        ("", detail) => detail.to_owned(),
        (label, "") => label.to_owned(),
        (label, detail) => format!("{label}: {detail}"),
    }
}

/// When a campaign sends, in a few words.
pub(crate) fn delivery(campaign: &wire::Campaign) -> String {
    use wire::delivery::Kind;
    let Some(delivery) = &campaign.delivery else { return "not said".to_owned() };
    let zone = match delivery.zone.as_str() {
        "" => String::new(),
        "user" => " on everybody's own clock".to_owned(),
        zone => format!(" in {zone}"),
    };
    match &delivery.kind {
        None => "not said".to_owned(),
        Some(Kind::Manual(_)) => "by hand".to_owned(),
        Some(Kind::OneTime(one_time)) if one_time.at == "now" => "once, when activated".to_owned(),
        Some(Kind::OneTime(one_time)) => format!("once, at {}{zone}", one_time.at.replace('T', " ")),
        Some(Kind::Recurring(recurring)) => match &recurring.rule {
            Some(wire::recurring::Rule::Every(rule)) => format!("{}{zone}", every(rule)),
            Some(wire::recurring::Rule::Cron(cron)) => format!("at cron {cron}{zone}"),
            None => "not said".to_owned(),
        },
        Some(Kind::Triggered(triggered)) => triggered_words(triggered),
    }
}

fn triggered_words(triggered: &wire::Triggered) -> String {
    let causes: Vec<String> = triggered.when.iter().map(cause).collect();
    let shown = match causes.as_slice() {
        [first, _, _, _, ..] => format!("{first} and {} others", causes.len() - 1),
        few => few.join(", "),
    };
    let after = triggered.delay.as_ref().and_then(|delay| match &delay.amount {
        Some(wire::delay::Amount::After(after)) => std::time::Duration::try_from(*after).ok(),
        _ => None,
    });
    match (after.filter(|after| !after.is_zero()), &triggered.delay) {
        (Some(after), _) => format!("{} after {shown}", duration_text::show(after)),
        (None, Some(delay)) if delay.amount.is_some() => format!("some time after {shown}"),
        _ => format!("on {shown}"),
    }
}

fn cause(trigger: &wire::Trigger) -> String {
    use wire::trigger::Kind;
    match &trigger.kind {
        Some(Kind::Event(name)) => name.clone(),
        Some(Kind::FirstEvent(name)) => format!("the first {name}"),
        Some(Kind::AttributeChanged(name)) => format!("a change of {name}"),
        Some(Kind::UserCreated(_)) => "a new user".to_owned(),
        Some(Kind::SegmentEntered(name)) => format!("entering {name}"),
        Some(Kind::SegmentLeft(name)) => format!("leaving {name}"),
        Some(Kind::CampaignSent(id)) => format!("{id} being sent"),
        Some(Kind::CampaignDelivered(id)) => format!("{id} being delivered"),
        Some(Kind::CampaignFailed(id)) => format!("{id} failing"),
        Some(Kind::CampaignConverted(id)) => format!("{id} converting"),
        None => "nothing".to_owned(),
    }
}

fn every(rule: &wire::Every) -> String {
    use wire::every::Step;
    let times = rule.at.join(", ");
    let days = || {
        let names = rule.weekdays.iter().filter_map(|day| wire::Weekday::try_from(*day).ok());
        let names = names.map(|day| day.as_str_name().trim_start_matches("WEEKDAY_").to_lowercase());
        names.collect::<Vec<_>>().join(", ")
    };
    let many = |n: u32, one: &str| {
        if n == 1 { format!("every {one}") } else { format!("every {n} {one}s") }
    };
    match &rule.step {
        None => format!("on {} at {times}", days()),
        Some(Step::Days(n)) => format!("{} at {times}", many(*n, "day")),
        Some(Step::Weeks(n)) => format!("{} on {} at {times}", many(*n, "week"), days()),
        Some(Step::Months(n)) => {
            format!("{} on {} at {times}", many(*n, "month"), rule.month_days.join(", "))
        }
    }
}

pub(crate) fn took(began_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> String {
    let Some((began_at, ended_at)) = began_at.zip(ended_at) else { return String::new() };
    let millis = ended_at.duration_since(began_at).as_millis().max(0);
    match millis {
        0..1_000 => format!("{millis} ms"),
        _ => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}

/// `12.3 ms`.
pub(crate) fn millis(took: &prost_types::Duration) -> String {
    format!("{:.1} ms", took.seconds as f64 * 1_000.0 + f64::from(took.nanos) / 1_000_000.0)
}

/// At most `chars` characters of a text, and whether that is all of it.
pub(crate) fn cut(text: &str, chars: usize) -> (String, bool) {
    match text.char_indices().nth(chars) {
        Some((at, _)) => (text[..at].to_owned(), false),
        None => (text.to_owned(), true),
    }
}

/// The page that says why, and why not.
pub(crate) fn explain_href(user: &str, campaign: &str) -> String {
    format!("/users/{}/explain/{}", segment(user), segment(campaign))
}

/// A path segment of a link.
pub(crate) fn segment(text: &str) -> String {
    campanile_core::encode::component(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_said_in_words() {
        let check = |text: &str, expected: &str| {
            let file = format!("id: a\ndelivery: {text}\n");
            let read = campanile_proto::campaign_file::read(file.as_bytes()).unwrap().remove(0);
            assert_eq!(delivery(&read.campaign), expected, "{text}");
        };
        check("{manual: {}}", "by hand");
        check("{one_time: now}", "once, when activated");
        check(
            "{one_time: \"2026-12-01T09:00\", zone: Europe/Berlin}",
            "once, at 2026-12-01 09:00 in Europe/Berlin",
        );
        check("{recurring: \"0 9 * * 1\", zone: user}", "at cron 0 9 * * 1 on everybody's own clock");
        check(
            "{recurring: {every: {weeks: 2, weekdays: [mon, fri], at: \"08:00\"}}}",
            "every 2 weeks on mon, fri at 08:00",
        );
        check("{recurring: {every: {days: 1, at: [\"08:00\", \"20:00\"]}}}", "every day at 08:00, 20:00");
        check("{triggered: bought}", "on bought");
        check("{triggered: {when: cart_updated, delay: 90m}}", "1h30m after cart_updated");
        check("{triggered: {when: a, delay: {days: 3, at: \"10:00\"}}}", "some time after a");
        check("{triggered: {when: [a, b, c, {first_event: d}]}}", "on a and 3 others");
    }

    #[test]
    fn an_occurrence_is_told_on_its_own_clock_and_how_far_off_it_is() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let check = |at: &str, zone: &str, expected: &str| {
            assert_eq!(occurrence(at.parse().unwrap(), zone, now).shown, expected);
        };
        check("2026-11-30T08:00:00Z", "Europe/Berlin", "Mon 30 Nov 2026, 09:00 Europe/Berlin, in 6 days");
        check("2026-11-24T09:00:00Z", "", "Tue 24 Nov 2026, 09:00 UTC, in 60 minutes");
        check("2026-11-24T08:00:10Z", "user", "Tue 24 Nov 2026, 08:00 UTC, in less than a minute");
        check("2026-11-24T12:00:00Z", "", "Tue 24 Nov 2026, 12:00 UTC, in 4 hours");
        check("2026-11-24T07:00:00Z", "", "Tue 24 Nov 2026, 07:00 UTC, now");
    }
}
