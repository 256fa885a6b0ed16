//! Pure. What sets campaigns off besides what a user did: a profile that changed, a segment, another campaign's send.
//!
//! It takes the shape of an event, so that conditions, delays, keys and templates read it as they read every event: its name is fixed, its
//! properties say the rest. An event that somebody tracks under such a name is not one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::draft::TriggerOn;
use crate::event::Event;
use crate::log_row::Ended;
use crate::number::CampaignNo;
use crate::send_outcome::SendOutcome;

/// How many campaigns set one another off in a row is told with what their sends lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    UserCreated,
    /// Properties: `attribute`, `from`, `to`; one that was or is missing is left out.
    AttributeChanged,
    /// Property: `segment`. With the number of the campaign that watches it; 0: any.
    SegmentEntered(u32),
    SegmentLeft(u32),
    /// Properties: `campaign`, `action`, `variant`, `status`, `attempts`, as far as there are some.
    CampaignSent(u8),
    CampaignDelivered(u8),
    CampaignFailed(u8),
    CampaignConverted(u8),
}

impl Happening {
    pub fn name(self) -> &'static str {
        match self {
            Happening::UserCreated => "user_created",
            Happening::AttributeChanged => "attribute_changed",
            Happening::SegmentEntered(_) => "segment_entered",
            Happening::SegmentLeft(_) => "segment_left",
            Happening::CampaignSent(_) => "campaign_sent",
            Happening::CampaignDelivered(_) => "campaign_delivered",
            Happening::CampaignFailed(_) => "campaign_failed",
            Happening::CampaignConverted(_) => "campaign_converted",
        }
    }

    /// What a trigger waits for; none: something the user does.
    pub fn of(on: &TriggerOn) -> Option<Happening> {
        Some(match on {
            TriggerOn::Nothing | TriggerOn::Event(_) | TriggerOn::FirstEvent(_) => return None,
            TriggerOn::UserCreated => Happening::UserCreated,
            TriggerOn::AttributeChanged(_) => Happening::AttributeChanged,
            TriggerOn::SegmentEntered(_) => Happening::SegmentEntered(0),
            TriggerOn::SegmentLeft(_) => Happening::SegmentLeft(0),
            TriggerOn::CampaignSent(_) => Happening::CampaignSent(0),
            TriggerOn::CampaignDelivered(_) => Happening::CampaignDelivered(0),
            TriggerOn::CampaignFailed(_) => Happening::CampaignFailed(0),
            TriggerOn::CampaignConverted(_) => Happening::CampaignConverted(0),
        })
    }

    /// The only campaign it concerns; none: all that wait for such a thing.
    pub fn concerns(self) -> Option<CampaignNo> {
        match self {
            Happening::SegmentEntered(no) | Happening::SegmentLeft(no) => (no > 0).then_some(CampaignNo(no)),
            _ => None,
        }
    }

    /// Campaigns that set one another off until then.
    pub fn hops(self) -> u8 {
        match self {
            Happening::CampaignSent(hops)
            | Happening::CampaignDelivered(hops)
            | Happening::CampaignFailed(hops)
            | Happening::CampaignConverted(hops) => hops,
            _ => 0,
        }
    }
}

/// The trigger that waits for what happened, and for nothing else; none: its properties do not say enough.
pub fn trigger_of(event: &Event) -> Option<TriggerOn> {
    let said = |name: &str| Some(event.properties.get(name)?.as_str()?.to_owned());
    Some(match event.happening {
        None => TriggerOn::Event(event.name.clone()),
        Some(Happening::UserCreated) => TriggerOn::UserCreated,
        Some(Happening::AttributeChanged) => TriggerOn::AttributeChanged(said("attribute")?),
        Some(Happening::SegmentEntered(_)) => TriggerOn::SegmentEntered(said("segment")?),
        Some(Happening::SegmentLeft(_)) => TriggerOn::SegmentLeft(said("segment")?),
        Some(Happening::CampaignSent(_)) => TriggerOn::CampaignSent(said("campaign")?),
        Some(Happening::CampaignDelivered(_)) => TriggerOn::CampaignDelivered(said("campaign")?),
        Some(Happening::CampaignFailed(_)) => TriggerOn::CampaignFailed(said("campaign")?),
        Some(Happening::CampaignConverted(_)) => TriggerOn::CampaignConverted(said("campaign")?),
    })
}

/// What the outcome of a send is to other campaigns: its first POST, and how it ended. `campaign` and `action` by their names.
pub fn of_outcome(outcome: &SendOutcome, campaign: &str, action: Option<&str>) -> Vec<Event> {
    let hops = outcome.hops.saturating_add(1);
    let sent = outcome.is_first_post.then_some(Happening::CampaignSent(hops));
    let ended = match outcome.row.ended {
        Ended::Delivered => Some(Happening::CampaignDelivered(hops)),
        Ended::Failed(_) => Some(Happening::CampaignFailed(hops)),
        Ended::Suppressed(_) | Ended::Retrying | Ended::Skipped | Ended::Missed => None,
    };
    let row = &outcome.row;
    let mut properties = Map::new();
    properties.insert("campaign".to_owned(), campaign.into());
    properties.extend(action.map(|action| ("action".to_owned(), action.into())));
    properties.extend(outcome.variant.map(|variant| ("variant".to_owned(), variant.as_str().into())));
    if row.status > 0 {
        properties.insert("status".to_owned(), row.status.into());
    }
    properties.insert("attempts".to_owned(), row.attempts.into());
    let event = |happening: Happening| Event {
        name: happening.name().to_owned(),
        value: None,
        properties: properties.clone(),
        occurred_at: row.at,
        id: format!("{}/{}/{}/{:x}/{}", happening.name(), campaign, row.user.0, row.key, row.action),
        happening: Some(happening),
        collected: Vec::new(),
    };
    sent.into_iter().chain(ended).map(event).collect()
}

/// An attribute of a user that has another value than before; null: it is missing.
pub fn attribute_changed(attribute: &str, from: &Value, to: &Value) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("attribute".to_owned(), json!(attribute));
    for (name, value) in [("from", from), ("to", to)] {
        if !value.is_null() {
            properties.insert(name.to_owned(), value.clone());
        }
    }
    properties
}

impl Event {
    /// What a caller imagines: an event of such a name is taken for the happening that one of `triggers` waits for.
    pub fn imagined_for<'t>(self, mut triggers: impl Iterator<Item = &'t TriggerOn>) -> Event {
        let meant =
            triggers.find_map(|on| Happening::of(on).filter(|happening| happening.name() == self.name));
        Event { happening: self.happening.or(meant), ..self }
    }

    pub fn hops(&self) -> u8 {
        self.happening.map_or(0, Happening::hops)
    }

    /// `attribute`, `from` and `to` of an attribute that changed.
    pub fn change(&self) -> Option<&Map<String, Value>> {
        (self.happening == Some(Happening::AttributeChanged)).then_some(&self.properties)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::expression::{Expression, Scope};
    use crate::facts::Facts;
    use crate::log_row::LogRow;
    use crate::number::UserNo;
    use crate::reason::{Failure, Suppression};
    use crate::slug::Slug;
    use crate::user::Profile;

    fn outcome(ended: Ended, is_first_post: bool) -> SendOutcome {
        let row = LogRow {
            ended,
            campaign: CampaignNo(7),
            user: UserNo(8),
            user_hash: [1, 2, 3],
            key: 9,
            action: 0,
            due_at: Timestamp::UNIX_EPOCH,
            at: Timestamp::UNIX_EPOCH,
            revision: 3,
            attempts: 2,
            status: 202,
            took_ms: 250,
            text: String::new(),
        };
        SendOutcome { row, variant: Slug::new("bold"), hops: 4, is_first_post, is_open: false }
    }

    #[test]
    fn an_outcome_is_a_first_post_an_end_or_both_and_one_hop_further() {
        use Happening::{CampaignDelivered, CampaignFailed, CampaignSent};
        let check = |ended, is_first, expected: &[Happening]| {
            let events = of_outcome(&outcome(ended, is_first), "offer", Some("hello"));
            let found: Vec<Happening> = events.iter().filter_map(|event| event.happening).collect();
            assert_eq!(found, expected, "{ended:?}");
            for event in events {
                assert_eq!(event.properties["campaign"], "offer");
                assert_eq!(trigger_of(&event).unwrap().campaign(), Some("offer"));
                assert_eq!(Value::Object(event.properties)["variant"], "bold");
            }
        };
        check(Ended::Delivered, true, &[CampaignSent(5), CampaignDelivered(5)]);
        check(Ended::Delivered, false, &[CampaignDelivered(5)]);
        check(Ended::Failed(Failure::Final), true, &[CampaignSent(5), CampaignFailed(5)]);
        check(Ended::Retrying, true, &[CampaignSent(5)]);
        check(Ended::Suppressed(Suppression::Holdback), false, &[]);
    }

    #[test]
    fn each_of_them_has_an_id_of_its_own() {
        let events = of_outcome(&outcome(Ended::Delivered, true), "offer", None);
        assert_ne!(events[0].id, events[1].id);
    }

    #[test]
    fn an_event_of_such_a_name_is_one_only_where_it_is_imagined() {
        let event = Event {
            name: "attribute_changed".to_owned(),
            value: None,
            properties: attribute_changed("plan", &Value::Null, &json!("pro")),
            occurred_at: Timestamp::UNIX_EPOCH,
            id: "e".to_owned(),
            happening: None,
            collected: Vec::new(),
        };
        assert_eq!(trigger_of(&event), Some(TriggerOn::Event("attribute_changed".to_owned())));
        assert_eq!(event.change(), None);
        let on = [TriggerOn::Event("x".to_owned()), TriggerOn::AttributeChanged("plan".to_owned())];
        let imagined = event.imagined_for(on.iter());
        assert_eq!(trigger_of(&imagined), Some(TriggerOn::AttributeChanged("plan".to_owned())));

        let profile = Profile::new("mary", Timestamp::UNIX_EPOCH);
        let facts = Facts {
            previous: None,
            profile: &profile,
            event: Some(&imagined),
            values: None,
            as_of: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            segments: crate::segments::Segments::none(),
            fallback_zone: &TimeZone::UTC,
        };
        for (text, expected) in [
            ("change.to == \"pro\"", true),
            ("change.from is set", false),
            ("change.from != \"pro\"", false),
            ("change.attribute == \"plan\"", true),
        ] {
            assert_eq!(Expression::parse(text, Scope::Trigger).unwrap().matches(&facts), expected, "{text}");
        }
        assert!(Expression::parse("change.was == 1", Scope::Trigger).is_err());
        assert!(Expression::parse("change.to == 1", Scope::Audience).is_err());
    }
}
