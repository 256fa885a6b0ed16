//! Pure. The closed lists of reasons, each with its name and a sentence that says what it means and what can be done about it.

use campanile_proto::v1::{RefusalReason, SuppressionReason};

/// A reason as pages say it. Both are empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) label: &'static str,
    pub(crate) meaning: &'static str,
}

const fn said(label: &'static str, meaning: &'static str) -> Reason {
    Reason { label, meaning }
}

/// Why a user did not enter.
pub(crate) fn refusal(reason: RefusalReason) -> Reason {
    match reason {
        RefusalReason::Unspecified => said("", ""),
        RefusalReason::NotInAudience => {
            said("not in audience", "The audience's condition was false for the user.")
        }
        RefusalReason::ConditionFalse => {
            said("condition false", "The event came, and the trigger's condition was false for it.")
        }
        RefusalReason::EntryLimit => {
            said("entry limit", "The user has entered as often as entry_limits allows.")
        }
        RefusalReason::Pending => {
            said("pending", "An entry of the user waits for its send, and if_pending says ignore.")
        }
        RefusalReason::Paused => said("paused", "Nobody enters while the campaign is paused."),
        RefusalReason::BeforeStart => said("before start", "The campaign or its window had not begun."),
        RefusalReason::AfterEnd => said("after end", "The campaign or its window was over."),
        RefusalReason::EventRepeated => said("event repeated", "An event with the same id was taken before."),
        RefusalReason::EventTooOld => {
            said("event too old", "The event happened too long ago to set anything off; it was counted.")
        }
        RefusalReason::UnknownUser => said("unknown user", "There is no user of this id."),
        RefusalReason::MissingValues => {
            said("missing values", "A value that requires_values names was not given.")
        }
    }
}

/// Why a send was deliberately not sent.
pub(crate) fn suppression(reason: SuppressionReason) -> Reason {
    match reason {
        SuppressionReason::Unspecified => said("", ""),
        SuppressionReason::AudienceLeft => said(
            "audience left",
            "The user entered, and no longer met the audience's condition when the send was due.",
        ),
        SuppressionReason::Holdback => said(
            "holdback",
            "The user belongs to the part of the audience that is held back to compare with.",
        ),
        SuppressionReason::OptedOut => {
            said("opted out", "The user is in the never_send segment of the deployment.")
        }
        SuppressionReason::Capped => {
            said("capped", "The user has had as many webhooks as the delivery caps allow.")
        }
        SuppressionReason::MinGap => said("minimum gap", "The last send to the user was too recent."),
        SuppressionReason::QuietHoursDrop => {
            said("quiet hours", "It fell into quiet hours, and they say drop.")
        }
        SuppressionReason::Late => said("late", "Its time was already past when it was planned."),
        SuppressionReason::Expired => said("expired", "It could not be delivered within its expiry."),
        SuppressionReason::CancelledByEvent => {
            said("cancelled by event", "The user did an event of cancel_on before the send was due.")
        }
        SuppressionReason::Exited => said("exited", "The user did an event of exit_on."),
        SuppressionReason::Superseded => said("superseded", "A newer event took its place."),
        SuppressionReason::Cancelled => said("cancelled", "Somebody cancelled it, or dropped what was held."),
        SuppressionReason::TemplateMissingValue => said(
            "template missing value",
            "A template prints a value this user or event does not have. Give it a default(...), or ask for it in the audience.",
        ),
        SuppressionReason::TemplateAbort => said("template abort", "A template called abort(...)."),
        SuppressionReason::TemplateError => {
            said("template error", "A template could not be carried out for this user.")
        }
        SuppressionReason::BodyInvalid => said("body invalid", "What was rendered is no valid request."),
        SuppressionReason::NoTimeZone => {
            said("no time zone", "The user has no time zone, and fallback_zone is none.")
        }
        SuppressionReason::TargetForbidden => said("target forbidden", "Webhooks may not go to this host."),
        SuppressionReason::CampaignEnded => said("campaign ended", "The campaign or its window was over."),
        SuppressionReason::UserDeleted => said("user deleted", "The user was deleted."),
        SuppressionReason::Loop => said("loop", "Campaigns triggered one another too often."),
    }
}
