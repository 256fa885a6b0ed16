//! Pure. The page of one user: attributes, what the user did and what campaigns made of it, what was sent.

use askama::Template;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::view_campaign::{SendLine, send_line};
use crate::view_events::{EventLine, event_line};
use crate::words::{Moment, cut, segment};

/// Characters of an attribute's value that a page shows.
const VALUE_CHARS_SHOWN: usize = 300;

/// What the page of a user is made of; the latest events and sends, newest first.
pub(crate) struct KnownUser {
    pub(crate) user: wire::User,
    pub(crate) events: Vec<wire::SeenEvent>,
    pub(crate) sends: Vec<wire::Send>,
    /// Some of the campaigns, to be offered where one is asked for.
    pub(crate) campaigns: Vec<wire::Campaign>,
}

#[derive(Template)]
#[template(path = "user.html")]
pub(crate) struct UserPage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) created_at: Moment,
    pub(crate) time_zone: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) behaviour: Vec<BehaviourLine>,
    pub(crate) events: Vec<EventLine>,
    pub(crate) sends: Vec<SendLine>,
    /// Ids that are offered.
    pub(crate) campaigns: Vec<String>,
    /// Where the user is erased.
    pub(crate) erase: String,
}

pub(crate) struct BehaviourLine {
    pub(crate) event: String,
    pub(crate) count: i64,
    pub(crate) first_at: Moment,
    pub(crate) last_at: Moment,
}

pub(crate) fn user_page(frame: Frame, known: &KnownUser) -> UserPage {
    let user = &known.user;
    let attributes: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&user.attributes).unwrap_or_default();
    UserPage {
        frame,
        id: user.id.clone(),
        created_at: Moment::at(user.created_at.as_ref()),
        time_zone: user.time_zone.clone(),
        attributes: attributes.iter().map(attribute).collect(),
        behaviour: user.behaviour.iter().map(behaviour).collect(),
        events: known.events.iter().map(event_line).collect(),
        sends: known.sends.iter().map(send_line).collect(),
        campaigns: known.campaigns.iter().map(|campaign| campaign.id.clone()).collect(),
        erase: format!("/users/{}/erase", segment(&user.id)),
    }
}

fn attribute((name, value): (&String, &serde_json::Value)) -> (String, String) {
    let (text, is_whole) = cut(&value.to_string(), VALUE_CHARS_SHOWN);
    (name.clone(), if is_whole { text } else { format!("{text} ...") })
}

fn behaviour(did: &wire::Behaviour) -> BehaviourLine {
    BehaviourLine {
        event: did.event.clone(),
        count: did.count,
        first_at: Moment::at(did.first_at.as_ref()),
        last_at: Moment::at(did.last_at.as_ref()),
    }
}
