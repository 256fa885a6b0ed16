//! Pure. What a deployment tells its operators by a webhook of its own: a campaign that paused itself or ended, missed occurrences, a far
//! end that is left alone for long.
//!
//! A notice is written in the same step as what it tells of, into the campaign's record or the destination's breaker, and leaves it when
//! the far end has taken it: so it is told at least once. `notify` makes its request; the sender's `notify` delivers it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::limits;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Unique in the deployment, and the same over all attempts; without a dot.
    pub id: String,
    pub at: Timestamp,
    pub what: What,
    /// Attempts begun so far.
    #[serde(default)]
    pub attempts: u32,
    /// Not before then; none: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Too many of its last sends came to nothing.
    AutoPaused {
        reason: String,
    },
    Ended {
        by: String,
        reason: String,
    },
    OccurrencesMissed {
        count: u64,
        last_at: Timestamp,
    },
    /// A destination to which nothing has been sent since then.
    LeftAlone {
        since: Timestamp,
    },
    /// It takes sends again.
    TakesAgain {
        since: Timestamp,
    },
}

impl What {
    /// The `type` of its body.
    pub fn name(&self) -> &'static str {
        match self {
            What::AutoPaused { .. } => "campaign.auto_paused",
            What::Ended { .. } => "campaign.ended",
            What::OccurrencesMissed { .. } => "campaign.occurrences_missed",
            What::LeftAlone { .. } => "destination.left_alone",
            What::TakesAgain { .. } => "destination.takes_again",
        }
    }

    /// The `data` of its body, but for the subject.
    fn said(&self) -> Value {
        match self {
            What::AutoPaused { reason } => json!({"reason": reason}),
            What::Ended { by, reason } => json!({"by": by, "reason": reason}),
            What::OccurrencesMissed { count, last_at } => {
                json!({"count": count, "last_at": last_at.to_string()})
            }
            What::LeftAlone { since } | What::TakesAgain { since } => json!({"since": since.to_string()}),
        }
    }
}

/// Whom a notice is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Campaign { id: &'a str, title: &'a str },
    Destination(&'a str),
}

impl Notice {
    pub fn new(id: String, at: Timestamp, what: What) -> Notice {
        Notice { id, at, what, attempts: 0, next_at: None }
    }

    pub fn data(&self, subject: Subject<'_>) -> Map<String, Value> {
        let mut data = Map::new();
        match subject {
            Subject::Campaign { id, title } => {
                data.insert("campaign".to_owned(), id.into());
                data.insert("title".to_owned(), title.into());
            }
            Subject::Destination(name) => {
                data.insert("destination".to_owned(), name.into());
            }
        }
        if let Value::Object(said) = self.what.said() {
            data.extend(said);
        }
        data
    }

    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_at.is_none_or(|at| at <= now)
    }
}

/// Adds one; where nobody takes them, the oldest go.
pub fn push(notices: &mut Vec<Notice>, notice: Notice) {
    if notices.len() >= limits::NOTICES_MAX {
        notices.remove(0);
    }
    notices.push(notice);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_to_whom() {
        let at = Timestamp::UNIX_EPOCH;
        let check = |what: What, subject, expected: Value| {
            assert!(!what.name().is_empty());
            assert_eq!(Value::Object(Notice::new("n".to_owned(), at, what).data(subject)), expected);
        };
        let first = Subject::Campaign { id: "first", title: "First" };
        check(
            What::AutoPaused { reason: "why".to_owned() },
            first,
            json!({"campaign": "first", "title": "First", "reason": "why"}),
        );
        check(
            What::OccurrencesMissed { count: 2, last_at: at },
            first,
            json!({"campaign": "first", "title": "First", "count": 2, "last_at": "1970-01-01T00:00:00Z"}),
        );
        check(
            What::LeftAlone { since: at },
            Subject::Destination("https://a.example:443"),
            json!({"destination": "https://a.example:443", "since": "1970-01-01T00:00:00Z"}),
        );
    }

    #[test]
    fn where_nobody_takes_them_the_oldest_go() {
        let mut notices = Vec::new();
        for n in 0..limits::NOTICES_MAX + 3 {
            let what = What::LeftAlone { since: Timestamp::UNIX_EPOCH };
            push(&mut notices, Notice::new(n.to_string(), Timestamp::UNIX_EPOCH, what));
        }
        assert_eq!((notices.len(), notices[0].id.as_str()), (limits::NOTICES_MAX, "3"));
    }
}
