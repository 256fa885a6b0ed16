//! Pure. Trials of a campaign: whom and what one is about, and what a preview or a test send showed.

use askama::Template;
use campanile_proto::v1 as wire;
use campanile_proto::v1::{preview_send_request, send_test_request};

use crate::frame::Frame;
use crate::hidden;
use crate::reasons::{refusal, suppression};
use crate::view_send::{BODY_CHARS_SHOWN, RequestView};
use crate::words::{cut, millis};

/// Where a stored campaign is tried.
#[derive(Template)]
#[template(path = "try.html")]
pub(crate) struct TryPage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) trial: Trial,
    pub(crate) tried: Option<Tried>,
}

/// Which campaign a trial is of.
pub(crate) enum About {
    /// The stored one of this id.
    Stored(String),
    /// One as it is being written.
    Written(Box<wire::Campaign>),
}

/// Whom and what a trial is about, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trial {
    pub(crate) user: String,
    pub(crate) attributes: String,
    pub(crate) event: String,
    pub(crate) properties: String,
    pub(crate) values: String,
    /// Of a campaign of several; empty: the first one.
    pub(crate) action: String,
    /// Its actions, where there are several.
    pub(crate) actions: Vec<String>,
    /// The campaign follows events.
    pub(crate) wants_event: bool,
    /// The campaign is entered by hand.
    pub(crate) wants_values: bool,
}

/// What a trial showed.
#[derive(Default)]
pub(crate) struct Tried {
    pub(crate) heading: &'static str,
    /// What it comes to, in a sentence.
    pub(crate) verdict: String,
    pub(crate) is_good: bool,
    /// What is wrong with the trial itself.
    pub(crate) faults: Vec<String>,
    /// What else should be known: that the user would not enter, and what probably helps.
    pub(crate) notes: Vec<String>,
    /// Of a test send that was answered.
    pub(crate) answer: Option<AnswerView>,
    /// How long each part of a test send took.
    pub(crate) phases: Vec<(&'static str, String)>,
    pub(crate) request: Option<RequestView>,
}

/// An answer as pages show it.
pub(crate) struct AnswerView {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body is longer than what is shown.
    pub(crate) is_cut: bool,
}

impl Trial {
    /// What the campaign asks for; what was typed stays.
    pub(crate) fn fit(&mut self, campaign: &wire::Campaign) {
        use wire::delivery::Kind;
        use wire::trigger::Kind::{Event, FirstEvent};
        let kind = campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref());
        self.wants_event = matches!(kind, Some(Kind::Triggered(_)));
        self.wants_values = matches!(kind, Some(Kind::Manual(_)));
        let actions = campaign.actions.iter().filter(|_| campaign.actions.len() > 1);
        self.actions = actions.map(|action| action.name.clone()).collect();
        if let (Some(Kind::Triggered(triggered)), true) = (kind, self.event.is_empty()) {
            let name = triggered.when.iter().find_map(|trigger| match &trigger.kind {
                Some(Event(name) | FirstEvent(name)) => Some(name.clone()),
                _ => None,
            });
            self.event = name.unwrap_or_default();
        }
    }

    pub(crate) fn request(&self, about: About) -> wire::PreviewSendRequest {
        let subject = match about {
            About::Stored(id) => preview_send_request::Subject::CampaignId(id),
            About::Written(campaign) => preview_send_request::Subject::Campaign(*campaign),
        };
        wire::PreviewSendRequest {
            subject: Some(subject),
            user_id: self.user.clone(),
            profile: self.profile(),
            event: self.event(),
            values: self.values(),
            action: self.action.clone(),
        }
    }

    pub(crate) fn test_request(&self, about: About) -> wire::SendTestRequest {
        let subject = match about {
            About::Stored(id) => send_test_request::Subject::CampaignId(id),
            About::Written(campaign) => send_test_request::Subject::Campaign(*campaign),
        };
        wire::SendTestRequest {
            subject: Some(subject),
            user_id: self.user.clone(),
            profile: self.profile(),
            event: self.event(),
            values: self.values(),
            action: self.action.clone(),
        }
    }

    fn event(&self) -> Option<wire::Event> {
        (self.wants_event && !self.event.is_empty()).then(|| wire::Event {
            name: self.event.clone(),
            properties: self.properties.clone(),
            ..Default::default()
        })
    }

    fn profile(&self) -> Option<wire::UserUpdate> {
        (!self.attributes.is_empty())
            .then(|| wire::UserUpdate { attributes: self.attributes.clone(), ..Default::default() })
    }

    fn values(&self) -> String {
        if self.wants_values { self.values.clone() } else { String::new() }
    }
}

/// A reason's meaning with what it was this time.
fn because(meaning: &str, detail: &str) -> String {
    if detail.is_empty() { meaning.to_owned() } else { format!("{meaning} {detail}") }
}

impl Tried {
    pub(crate) fn preview(answer: &wire::PreviewSendResponse) -> Tried {
        let (refused, suppressed) = (refusal(answer.refusal()), suppression(answer.suppression()));
        let (verdict, is_good) = if !refused.label.is_empty() {
            (format!("The user would not enter. {}", because(refused.meaning, &answer.detail)), false)
        } else if !suppressed.label.is_empty() {
            (format!("It would not be sent. {}", because(suppressed.meaning, &answer.detail)), false)
        } else {
            ("This would be sent.".to_owned(), true)
        };
        let request = answer.request.as_ref().map(|request| RequestView::of(request, &answer.curl));
        Tried { heading: "Preview", verdict, is_good, request, ..Tried::default() }
    }

    pub(crate) fn test(answer: &wire::SendTestResponse) -> Tried {
        let (refused, suppressed) = (refusal(answer.refusal()), suppression(answer.suppression()));
        let is_good = (200..300).contains(&answer.status);
        let verdict = if !suppressed.label.is_empty() {
            format!("Nothing was posted. {}", because(suppressed.meaning, &answer.why))
        } else if is_good {
            format!("It was posted, and taken: {}.", answer.detail)
        } else if answer.request.is_none() {
            "Nothing was posted: there is nothing to send to this user.".to_owned()
        } else {
            format!("It was posted, and not taken: {}.", answer.detail)
        };
        let mut notes = Vec::new();
        if !refused.label.is_empty() {
            let meaning = if suppressed.label.is_empty() { &answer.why } else { "" };
            notes.push(format!("The user would not enter. {}", because(refused.meaning, meaning)));
        }
        if !answer.hint.is_empty() {
            notes.push(format!("Hint: {}.", answer.hint));
        }
        Tried {
            heading: "Test send",
            verdict,
            is_good,
            notes,
            answer: (answer.status > 0).then(|| AnswerView::of(answer)),
            phases: answer.timing.as_ref().map(phases).unwrap_or_default(),
            request: answer.request.as_ref().map(|request| RequestView::of(request, "")),
            ..Tried::default()
        }
    }

    /// The trial could not be made.
    pub(crate) fn refused(heading: &'static str, faults: Vec<String>) -> Tried {
        Tried { heading, verdict: "This could not be tried.".to_owned(), faults, ..Tried::default() }
    }
}

impl AnswerView {
    /// What the far end repeats of credentials that are written out in the request is masked.
    fn of(answer: &wire::SendTestResponse) -> AnswerView {
        let pieces = answer.request.as_ref().map(hidden::written_out).unwrap_or_default();
        let masked = |text: &str| hidden::masked(text, &pieces);
        let (body, is_whole) = cut(&masked(&answer.body), BODY_CHARS_SHOWN);
        let headers = answer.headers.iter();
        AnswerView {
            status: answer.status,
            headers: headers.map(|header| (header.name.clone(), masked(&header.value))).collect(),
            body,
            is_cut: !is_whole,
        }
    }
}

/// The phases that were reached, then all of it.
fn phases(timing: &wire::ExchangeTiming) -> Vec<(&'static str, String)> {
    let phases = [
        ("address", &timing.dns),
        ("connecting", &timing.connect),
        ("TLS", &timing.tls),
        ("first byte", &timing.first_byte),
        ("all", &timing.total),
    ];
    let reached = phases.iter().filter_map(|(name, took)| took.as_ref().map(|took| (*name, millis(took))));
    reached.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> wire::Campaign {
        campanile_proto::campaign_file::read(text.as_bytes()).unwrap().remove(0).campaign
    }

    #[test]
    fn a_trial_asks_for_what_the_delivery_needs() {
        let mut trial = Trial::default();
        trial.fit(&read("id: a\ndelivery: {triggered: {when: bought}}\n"));
        assert_eq!((trial.event.as_str(), trial.wants_event, trial.wants_values), ("bought", true, false));
        trial.fit(&read("id: a\ndelivery: {manual: {}}\n"));
        assert_eq!((trial.wants_event, trial.wants_values), (false, true));
        let about = || About::Written(Box::default());
        assert_eq!((trial.request(about()).event, trial.test_request(about()).event), (None, None));
    }

    #[test]
    fn a_preview_ends_in_a_sentence() {
        let refused = wire::PreviewSendResponse {
            refusal: wire::RefusalReason::NotInAudience as i32,
            detail: "user.email is set was false".to_owned(),
            ..Default::default()
        };
        let tried = Tried::preview(&refused);
        assert!(!tried.is_good && tried.verdict.starts_with("The user would not enter. "));
        assert!(tried.verdict.ends_with("user.email is set was false"));
        assert!(Tried::preview(&wire::PreviewSendResponse::default()).is_good);
    }

    #[test]
    fn a_test_send_ends_in_a_sentence_and_shows_no_credential_that_comes_back() {
        let header =
            |name: &str, value: &str| wire::Header { name: name.to_owned(), value: value.to_owned() };
        let headers = vec![header("x-api-key", "canary")];
        let request = wire::RenderedRequest { headers, ..Default::default() };
        let taken = wire::SendTestResponse {
            status: 201,
            detail: "answered 201".to_owned(),
            body: "you sent canary".to_owned(),
            headers: vec![header("x-echo", "canary")],
            request: Some(request),
            refusal: wire::RefusalReason::NotInAudience as i32,
            ..Default::default()
        };
        let tried = Tried::test(&taken);
        assert_eq!(
            (tried.verdict.as_str(), tried.is_good),
            ("It was posted, and taken: answered 201.", true)
        );
        assert_eq!(tried.notes.len(), 1, "{:?}", tried.notes);
        let answer = tried.answer.unwrap();
        assert_eq!((answer.body.as_str(), answer.headers[0].1.as_str()), ("you sent ***", "***"));
        let missing = wire::SuppressionReason::TemplateMissingValue as i32;
        let tried = Tried::test(&wire::SendTestResponse { suppression: missing, ..Default::default() });
        assert!(!tried.is_good && tried.verdict.starts_with("Nothing was posted. "));
        assert!(tried.answer.is_none());
    }

    #[test]
    fn phases_that_were_not_reached_are_left_out() {
        let took = |nanos| Some(prost_types::Duration { seconds: 0, nanos });
        let timing =
            wire::ExchangeTiming { total: took(12_340_000), dns: took(40_000), ..Default::default() };
        let expected = [("address", "0.0 ms".to_owned()), ("all", "12.3 ms".to_owned())];
        assert_eq!(phases(&timing), expected);
    }
}
