//! Pure. The page of one user: attributes, what the user did, what was sent.

use askama::Template;
use campanile_core::number::Layout;
use campanile_core::ports::SendRow;
use campanile_core::user::Profile;

use crate::view_campaign::{SendLine, send_line};
use crate::words::{Moment, cut};

/// Characters of an attribute's value that a page shows.
const VALUE_CHARS_SHOWN: usize = 300;

#[derive(Template)]
#[template(path = "user.html")]
pub(crate) struct UserPage {
    pub(crate) id: String,
    pub(crate) created_at: Moment,
    pub(crate) time_zone: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) behaviour: Vec<BehaviourLine>,
    pub(crate) sends: Vec<SendLine>,
}

pub(crate) struct BehaviourLine {
    pub(crate) event: String,
    pub(crate) count: u64,
    pub(crate) first_at: Moment,
    pub(crate) last_at: Moment,
}

pub(crate) fn user_page(layout: &Layout, profile: &Profile, sends: &[SendRow]) -> UserPage {
    let attribute = |(name, value): (&String, &serde_json::Value)| {
        let (text, is_whole) = cut(&value.to_string(), VALUE_CHARS_SHOWN);
        (name.clone(), if is_whole { text } else { format!("{text} ...") })
    };
    UserPage {
        id: profile.id.clone(),
        created_at: Moment::at(profile.created_at),
        time_zone: profile.time_zone.clone().unwrap_or_default(),
        attributes: profile.attributes.iter().map(attribute).collect(),
        behaviour: profile
            .behaviour
            .iter()
            .map(|(event, b)| BehaviourLine {
                event: event.clone(),
                count: b.count,
                first_at: Moment::at(b.first_at),
                last_at: Moment::at(b.last_at),
            })
            .collect(),
        sends: sends.iter().map(|row| send_line(layout, row)).collect(),
    }
}
