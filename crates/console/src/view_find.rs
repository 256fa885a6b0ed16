//! Pure. What was found: campaigns, a user, a send.

use askama::Template;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::view_campaign::UserLink;
use crate::words::{segment, state};

/// What a search turned up.
#[derive(Default)]
pub(crate) struct Found {
    /// By ascending id.
    pub(crate) campaigns: Vec<wire::Campaign>,
    pub(crate) user: Option<String>,
    pub(crate) send: Option<String>,
}

impl Found {
    /// Where to go when there is only one place, or one campaign has exactly the name that was sought.
    pub(crate) fn only(&self, sought: &str) -> Option<String> {
        let exact = self.campaigns.iter().any(|campaign| campaign.id == sought);
        match (self.campaigns.as_slice(), &self.user, &self.send) {
            (_, None, None) if exact => Some(format!("/campaigns/{sought}")),
            ([one], None, None) => Some(format!("/campaigns/{}", one.id)),
            ([], Some(user), None) => Some(format!("/users/{}", segment(user))),
            ([], None, Some(send)) => Some(format!("/sends/{}", segment(send))),
            _ => None,
        }
    }
}

#[derive(Template)]
#[template(path = "find.html")]
pub(crate) struct FindPage {
    pub(crate) frame: Frame,
    pub(crate) campaigns: Vec<CampaignFound>,
    pub(crate) user: Option<UserLink>,
    pub(crate) is_empty: bool,
}

pub(crate) struct CampaignFound {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) state: &'static str,
}

pub(crate) fn find_page(mut frame: Frame, sought: &str, found: &Found) -> FindPage {
    frame.sought = sought.to_owned();
    let line = |campaign: &wire::Campaign| CampaignFound {
        id: campaign.id.clone(),
        title: campaign.title.clone(),
        state: state(campaign.state()),
    };
    FindPage {
        frame,
        campaigns: found.campaigns.iter().map(line).collect(),
        user: found.user.as_deref().map(UserLink::to),
        is_empty: found.campaigns.is_empty() && found.user.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_gone_to_at_once() {
        let check = |ids: &[&str], user: bool, send: bool, expected: Option<&str>| {
            let campaigns =
                ids.iter().map(|id| wire::Campaign { id: (*id).to_owned(), ..Default::default() });
            let some = |is: bool| is.then(|| "a b".to_owned());
            let found = Found { campaigns: campaigns.collect(), user: some(user), send: some(send) };
            assert_eq!(found.only("first").as_deref(), expected);
        };
        check(&["first"], false, false, Some("/campaigns/first"));
        check(&["first", "first-2"], false, false, Some("/campaigns/first"));
        check(&["my-first", "first-2"], false, false, None);
        check(&["my-first"], false, false, Some("/campaigns/my-first"));
        check(&["first"], true, false, None);
        check(&[], true, false, Some("/users/a%20b"));
        check(&[], false, true, Some("/sends/a%20b"));
        check(&[], false, false, None);
    }
}
