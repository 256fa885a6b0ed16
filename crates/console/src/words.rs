//! Pure. How pages say things: states, deliveries, reasons and times in the words of people.

use std::time::Duration;

use campanile_core::campaign_record::State;
use campanile_core::draft::{Draft, Every, Kind, TriggerOn};
use campanile_core::duration_text;
use campanile_core::log_row::{Ended, LogRow};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An instant for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) iso: String,
    pub(crate) shown: String,
}

impl Moment {
    /// In UTC, to the second.
    pub(crate) fn at(at: Timestamp) -> Moment {
        let shown = at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        Moment { iso: at.to_string(), shown }
    }
}

pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Draft => "draft",
        State::Scheduled => "scheduled",
        State::Active => "active",
        State::Paused => "paused",
        State::Finishing => "ending",
        State::Ended => "ended",
    }
}

/// A reason of a closed list, as a person reads it.
pub(crate) fn reason(name: &str) -> String {
    name.replace('_', " ")
}

/// When a campaign sends, in a few words.
pub(crate) fn delivery(draft: &Draft) -> String {
    let zone = match draft.delivery.zone.as_str() {
        "" => String::new(),
        zone => format!(" in {zone}"),
    };
    match &draft.delivery.kind {
        None => "not said".to_owned(),
        Some(Kind::Manual) => "by hand".to_owned(),
        Some(Kind::OneTime(one_time)) if one_time.at == "now" => "once, when activated".to_owned(),
        Some(Kind::OneTime(one_time)) => format!("once, at {}{zone}", one_time.at),
        Some(Kind::Recurring(recurring)) => match &recurring.every {
            Some(rule) => format!("{}{zone}", every(rule)),
            None => format!("at cron {}{zone}", recurring.cron),
        },
        Some(Kind::Triggered(triggered)) => {
            let events = triggered.when.iter().map(|trigger| match &trigger.on {
                TriggerOn::Event(name) => name.as_str(),
                _ => "something else",
            });
            let events: Vec<&str> = events.collect();
            let shown = match events.as_slice() {
                [first, _, _, _, ..] => format!("{first} and {} other events", events.len() - 1),
                few => few.join(", "),
            };
            let delay =
                triggered.delay.as_ref().and_then(|delay| delay.after).filter(|after| !after.is_zero());
            match delay {
                Some(delay) => format!("{} after {shown}", duration_text::show(delay)),
                None => format!("on {shown}"),
            }
        }
    }
}

fn every(rule: &Every) -> String {
    let times = rule.at.join(", ");
    match (rule.days, rule.weeks, rule.months) {
        (0, 0, 0) => format!("on {} at {times}", rule.weekdays.join(", ")),
        (0, 0, n) => format!("every {n} months on {} at {times}", rule.month_days.join(", ")),
        (0, n, _) => format!("every {n} weeks on {} at {times}", rule.weekdays.join(", ")),
        (n, _, _) => format!("every {n} days at {times}"),
    }
}

/// What became of a send.
pub(crate) fn ended(row: &LogRow) -> (&'static str, String) {
    match row.ended {
        Ended::Delivered => ("delivered", row.text.clone()),
        Ended::Failed(why) => ("failed", with(why.name(), &row.text)),
        Ended::Suppressed(why) => ("not sent", with(why.name(), &row.text)),
        Ended::Retrying => ("retrying", row.text.clone()),
    }
}

fn with(name: &str, text: &str) -> String {
    if text.is_empty() { reason(name) } else { format!("{}: {text}", reason(name)) }
}

pub(crate) fn took(millis: u32) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", Duration::from_millis(u64::from(millis)).as_secs_f64()),
    }
}

/// At most `chars` characters of a text, and whether that is all of it.
pub(crate) fn cut(text: &str, chars: usize) -> (String, bool) {
    match text.char_indices().nth(chars) {
        Some((at, _)) => (text[..at].to_owned(), false),
        None => (text.to_owned(), true),
    }
}

/// A path segment of a link.
pub(crate) fn segment(text: &str) -> String {
    campanile_core::encode::component(text).into_owned()
}
