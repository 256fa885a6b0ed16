//! Pure. Why a user did not enter, why a send was not sent, why one was given up: closed lists with stored codes.
//!
//! Codes are stored bytes: never reused, never renumbered.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $code),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stored code.
            pub fn code(self) -> u8 {
                self as u8
            }

            pub fn from_code(code: u8) -> Option<$name> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }

            /// The word used in counters, answers and pages.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

reasons! {
    /// A decision not to let a user enter.
    Refusal {
        NotInAudience = 1 "not_in_audience",
        ConditionFalse = 2 "condition_false",
        EntryLimit = 3 "entry_limit",
        Pending = 4 "pending",
        Paused = 5 "paused",
        BeforeStart = 6 "before_start",
        AfterEnd = 7 "after_end",
        EventRepeated = 8 "event_repeated",
        EventTooOld = 9 "event_too_old",
        UnknownUser = 10 "unknown_user",
        MissingValues = 11 "missing_values",
    }
}

reasons! {
    /// A due-send deliberately not sent.
    Suppression {
        AudienceLeft = 1 "audience_left",
        Holdback = 2 "holdback",
        OptedOut = 3 "opted_out",
        Capped = 4 "capped",
        MinGap = 5 "min_gap",
        QuietHoursDrop = 6 "quiet_hours_drop",
        Late = 7 "late",
        Expired = 8 "expired",
        CancelledByEvent = 9 "cancelled_by_event",
        Exited = 10 "exited",
        Superseded = 11 "superseded",
        Cancelled = 12 "cancelled",
        TemplateMissingValue = 13 "template_missing_value",
        TemplateAbort = 14 "template_abort",
        TemplateError = 15 "template_error",
        BodyInvalid = 16 "body_invalid",
        NoTimeZone = 17 "no_time_zone",
        TargetForbidden = 18 "target_forbidden",
        CampaignEnded = 19 "campaign_ended",
        UserDeleted = 20 "user_deleted",
        Loop = 21 "loop",
    }
}

reasons! {
    /// Why a send that was attempted is given up.
    Failure {
        /// The answer says that trying again is useless.
        Final = 1 "final",
        /// Every attempt of the schedule was used.
        Exhausted = 2 "exhausted",
        /// Its lease ran out too often: it probably kills its sender.
        Abandoned = 3 "abandoned",
    }
}

reasons! {
    /// How an entry of a campaign of several messages ended.
    EntryEnd {
        /// Nothing more is owed.
        Completed = 1 "completed",
        /// An exit event came.
        Exited = 2 "exited",
        /// An action failed or was suppressed, and does not say that the next one follows all the same.
        PreviousFailed = 3 "previous_failed",
        /// What an action waited for did not come in time.
        StepMissed = 4 "step_missed",
        /// It ended with its campaign, or its user is gone.
        CampaignEnded = 5 "campaign_ended",
    }
}
