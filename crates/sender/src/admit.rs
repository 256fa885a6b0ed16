//! Pure. Whether a claimed send is sent: gates in the order of the contract, the first that stops it names the reason.
//!
//! Facts are gathered beforehand, as of the claim. `admit` decides; `steps` shows the same gates to somebody who asks why.

use std::time::Duration;

use campanile_core::campaign::{Action, Campaign};
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::due_send::{Class, DueSend};
use campanile_core::event::EntryData;
use campanile_core::facts::Facts;
use campanile_core::kept::Kept;
use campanile_core::network::Policy;
use campanile_core::reason::Suppression;
use campanile_core::secret::Secrets;
use campanile_core::user::Profile;
use campanile_core::webhook::{RenderContext, Request, Unsendable};
use jiff::Timestamp;

/// What this version cannot read may be read by another sender, or after an upgrade: it waits this long and is looked at again.
pub const UNREADABLE_WAIT: Duration = Duration::from_secs(60);

/// The facts about one claimed send.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub send: &'a DueSend,
    pub send_id: &'a str,
    pub class: Class,
    pub control: &'a ControlWord,
    pub record: &'a CampaignRecord,
    /// Of the send's revision.
    pub campaign: &'a Campaign,
    /// None: the user is gone.
    pub profile: Option<&'a Profile>,
    /// What opened the entry; `Err` says why it cannot be read.
    pub entry: Result<Option<&'a EntryData>, &'a str>,
    /// The request that was sent before.
    pub kept: Option<&'a Kept>,
    pub secrets: &'a Secrets,
    pub policy: &'a Policy,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Send(Request),
    /// With the detail: which condition, which expression.
    Suppress(Suppression, String),
    /// Not now; why not.
    Hold(Timestamp, String),
}

/// A gate and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub gate: &'static str,
    /// None: it let the send pass.
    pub stopped: Option<Decision>,
}

type Gate = for<'a> fn(&Given<'a>) -> Option<Decision>;

/// All gates but the last one, which renders the request.
const GATES: [(&str, Gate); 6] = [
    ("campaign", campaign_gate),
    ("user", user_gate),
    ("audience", audience_gate),
    ("expiry", expiry_gate),
    ("entry", entry_gate),
    ("secrets", secrets_gate),
];

const REQUEST: &str = "request";

pub fn admit(given: &Given<'_>) -> Decision {
    GATES.iter().find_map(|(_, gate)| gate(given)).unwrap_or_else(|| request(given))
}

/// The gates up to the one that stops the send.
pub fn steps(given: &Given<'_>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(GATES.len() + 1);
    for (name, gate) in GATES {
        let stopped = gate(given);
        let is_end = stopped.is_some();
        steps.push(Step { gate: name, stopped });
        if is_end {
            return steps;
        }
    }
    let stopped = Some(request(given)).filter(|decision| !matches!(decision, Decision::Send(_)));
    steps.push(Step { gate: REQUEST, stopped });
    steps
}

/// What can be said without the campaign's definition, where that cannot be read.
pub fn admit_blind(control: &ControlWord, class: Class, is_user_there: bool) -> Option<Decision> {
    if control.flow == Flow::Stopped && class != Class::Resent {
        return Some(Decision::Suppress(Suppression::CampaignEnded, "the campaign was ended".to_owned()));
    }
    (!is_user_there).then(|| Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned()))
}

fn campaign_gate(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent {
        return None;
    }
    if given.control.flow == Flow::Stopped {
        return Some(Decision::Suppress(Suppression::CampaignEnded, "the campaign was ended".to_owned()));
    }
    let dropped = given.record.dropped_until.filter(|until| given.send.due_at <= *until)?;
    let text = format!("what was due until {dropped} was dropped when the campaign was resumed");
    Some(Decision::Suppress(Suppression::Cancelled, text))
}

fn user_gate(given: &Given<'_>) -> Option<Decision> {
    let gone = || Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned());
    given.profile.is_none().then(gone)
}

/// As of the due instant, however late the send goes.
fn audience_gate(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent || given.send.skip.audience {
        return None;
    }
    let facts = given.facts()?;
    if given.campaign.takes(&facts) {
        return None;
    }
    let why = given.campaign.audience.explain(&facts).first_false().unwrap_or_default();
    Some(Decision::Suppress(Suppression::AudienceLeft, why))
}

fn expiry_gate(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent {
        return None;
    }
    let expires_at = given.campaign.expires_at(given.send.due_at);
    (given.now > expires_at)
        .then(|| Decision::Suppress(Suppression::Expired, format!("it was good until {expires_at}")))
}

fn entry_gate(given: &Given<'_>) -> Option<Decision> {
    let text = given.entry.err()?;
    Some(given.wait(text.to_owned()))
}

/// A secret that is gone may be put again: the send waits for it as long as it is good.
fn secrets_gate(given: &Given<'_>) -> Option<Decision> {
    let mut names = given.action()?.webhook.secrets().iter();
    let missing = names.find(|name| given.secrets.get(name).is_none())?;
    Some(given.wait(format!("secret {missing} does not exist")))
}

fn request(given: &Given<'_>) -> Decision {
    let Some(action) = given.action() else {
        let text = "the campaign no longer has this action".to_owned();
        return Decision::Suppress(Suppression::Cancelled, text);
    };
    let Some(context) = given.context(action) else {
        return Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned());
    };
    let rendered = match given.kept {
        Some(kept) => action.webhook.again(&kept.request, &context),
        None => action.webhook.render(&context),
    };
    match rendered {
        Ok(request) => Decision::Send(request),
        Err(Unsendable { reason, detail }) => Decision::Suppress(reason, detail),
    }
}

impl<'a> Given<'a> {
    pub fn action(&self) -> Option<&'a Action> {
        self.campaign.actions.get(usize::from(self.send.action))
    }

    fn wait(&self, text: String) -> Decision {
        Decision::Hold(self.now.checked_add(UNREADABLE_WAIT).unwrap_or(Timestamp::MAX), text)
    }

    /// None: the user is gone.
    pub fn facts(&self) -> Option<Facts<'a>> {
        let (event, values) = match self.entry {
            Ok(Some(EntryData::Event(event))) => (Some(event), None),
            Ok(Some(EntryData::Values(values))) => (None, Some(values)),
            Ok(None) | Err(_) => (None, None),
        };
        Some(Facts {
            profile: self.profile?,
            event,
            values,
            as_of: self.send.due_at,
            now: if self.send.pinned { self.send.first_claim_at() } else { self.now },
            fallback_zone: &self.campaign.fallback_zone,
        })
    }

    /// What its request is rendered from. None: the user is gone.
    pub fn context(&self, action: &'a Action) -> Option<RenderContext<'a>> {
        Some(RenderContext {
            facts: self.facts()?,
            due_at: self.send.due_at,
            send_id: self.send_id,
            campaign_id: &self.record.id,
            campaign_title: &self.campaign.draft.title,
            action_name: &action.name,
            secrets: self.secrets,
            policy: self.policy,
        })
    }
}
