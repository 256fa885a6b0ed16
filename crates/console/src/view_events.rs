//! Pure. What users did lately, and what each campaign decided about it.

use campanile_proto::v1 as wire;

use crate::reasons::refusal;
use crate::words::{Moment, cut, explain_href};

/// Characters of an event's properties that a page shows.
const PROPERTIES_CHARS_SHOWN: usize = 300;

pub(crate) struct EventLine {
    pub(crate) at: Moment,
    pub(crate) name: String,
    /// JSON; empty where there are none, or none are kept.
    pub(crate) properties: String,
    /// Why no campaign decided anything; empty where one did.
    pub(crate) note: &'static str,
    pub(crate) met: Vec<MetLine>,
}

/// One campaign that names the event.
pub(crate) struct MetLine {
    pub(crate) campaign: String,
    pub(crate) explain: String,
    pub(crate) outcome: &'static str,
    /// entered or ended: what it looks like.
    pub(crate) mark: &'static str,
    pub(crate) due_at: Moment,
    pub(crate) detail: String,
}

pub(crate) fn event_line(seen: &wire::SeenEvent) -> EventLine {
    let event = seen.event.clone().unwrap_or_default();
    let note = match (seen.imported, seen.met.is_empty()) {
        (true, _) => "Imported: it sets nothing off.",
        (false, true) => "No campaign names it.",
        (false, false) => "",
    };
    EventLine {
        at: Moment::at(seen.accepted_at.as_ref()),
        name: event.name,
        properties: properties(&event.properties, seen.properties_left_out),
        note,
        met: seen.met.iter().map(|met| met_line(&event.user_id, met)).collect(),
    }
}

fn properties(text: &str, are_left_out: bool) -> String {
    match (text, are_left_out) {
        (_, true) => "too long to be kept".to_owned(),
        ("{}", _) => String::new(),
        (text, false) => {
            let (text, is_whole) = cut(text, PROPERTIES_CHARS_SHOWN);
            if is_whole { text } else { format!("{text} ...") }
        }
    }
}

fn met_line(user: &str, met: &wire::CampaignMet) -> MetLine {
    let (outcome, mark) = match refusal(met.refusal()).label {
        "" => ("entered", "entered"),
        label => (label, "ended"),
    };
    MetLine {
        campaign: met.campaign_id.clone(),
        explain: explain_href(user, &met.campaign_id),
        outcome,
        mark,
        due_at: Moment::at(met.due_at.as_ref()),
        detail: met.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_with_what_each_campaign_decided() {
        let event = wire::Event {
            user_id: "a b".to_owned(),
            name: "bought".to_owned(),
            properties: "{}".to_owned(),
            ..Default::default()
        };
        let mut seen = wire::SeenEvent { event: Some(event), ..Default::default() };
        let line = event_line(&seen);
        assert_eq!((line.note, line.properties.as_str()), ("No campaign names it.", ""));
        let met = |refusal: wire::RefusalReason| wire::CampaignMet {
            campaign_id: "first".to_owned(),
            refusal: refusal as i32,
            ..Default::default()
        };
        seen.met = vec![met(wire::RefusalReason::Unspecified), met(wire::RefusalReason::Paused)];
        seen.properties_left_out = true;
        let line = event_line(&seen);
        assert_eq!((line.note, line.properties.as_str()), ("", "too long to be kept"));
        let outcomes: Vec<(&str, &str)> = line.met.iter().map(|met| (met.outcome, met.mark)).collect();
        assert_eq!(outcomes, [("entered", "entered"), ("paused", "ended")]);
        assert_eq!(line.met[0].explain, "/users/a%20b/explain/first");
    }
}
