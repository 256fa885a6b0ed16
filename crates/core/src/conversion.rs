//! Pure. What counts as a success of a campaign: an event of the user within a time after the last send.
//!
//! An event converts the last send of its user, delivered or held back, and each send once: who buys three times after one send is one
//! conversion, and of two sends before one purchase the later one made it.

use jiff::{SignedDuration, Timestamp};

use crate::campaign_fields::{check_name, expression};
use crate::campaign_history::{CampaignHistory, LastSend};
use crate::draft;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;
use crate::number::{CampaignNo, UserNo};

#[derive(Debug)]
pub struct Conversion {
    pub event: String,
    pub condition: Option<Expression>,
    pub within: SignedDuration,
}

/// The last send of a campaign to a user, which an event has turned into a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    pub user: UserNo,
    pub campaign: CampaignNo,
    pub key: u64,
    pub action: u8,
}

impl Conversion {
    pub fn read(written: &draft::Conversion, faults: &mut Faults) -> Conversion {
        check_name(&written.event, "conversion.event", faults);
        let condition = match written.condition.trim() {
            "" => None,
            _ => expression(&written.condition, Scope::Trigger, "conversion.where", faults),
        };
        let within = written.within.unwrap_or(limits::CONVERSION_DEFAULT);
        if within.is_zero() || within > limits::CONVERSION_MAX {
            faults.add("conversion.within", "expected more than 0s and at most 90 days");
        }
        let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
        Conversion { event: written.event.clone(), condition, within }
    }

    /// The send that an event which happened at `at` turns into a conversion, if it does.
    pub fn of<'h>(
        &self,
        history: &'h CampaignHistory,
        facts: &Facts<'_>,
        at: Timestamp,
    ) -> Option<&'h LastSend> {
        let last = history.last.as_ref().filter(|last| !last.is_converted)?;
        let after = at.duration_since(last.at);
        let is_in_time = !after.is_negative() && after <= self.within;
        let fits = || self.condition.as_ref().is_none_or(|condition| condition.matches(facts));
        (is_in_time && fits()).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign_history::Happened;
    use crate::expression_examples::{at, mary};

    #[test]
    fn the_last_send_is_converted_once_and_in_time() {
        let written = draft::Conversion {
            event: "bought".to_owned(),
            condition: "event.value >= 12".to_owned(),
            within: Some(std::time::Duration::from_secs(60)),
        };
        let conversion = Conversion::read(&written, &mut Faults::default());
        let (example, sent_at) = (mary(), at("2026-03-01T00:00:00Z"));
        let facts = example.facts();
        let mut history = CampaignHistory::default();
        let converts = |history: &CampaignHistory, seconds: i64| {
            let at = sent_at + SignedDuration::from_secs(seconds);
            conversion.of(history, &facts, at).map(|last| last.key)
        };
        assert_eq!(converts(&history, 0), None, "nothing was sent");
        history.note(Happened::Delivered(None), (7, 0), true, sent_at);
        assert_eq!([0, 60].map(|after| converts(&history, after)), [Some(7); 2]);
        assert_eq!([-1, 61].map(|after| converts(&history, after)), [None; 2]);
        history.last.as_mut().unwrap().is_converted = true;
        assert_eq!(converts(&history, 1), None, "once");
        history.note(Happened::HeldBack, (8, 0), false, sent_at);
        assert_eq!(converts(&history, 1), Some(8), "who is held back is compared");
        let stricter = draft::Conversion { condition: "event.value > 12".to_owned(), ..written };
        let stricter = Conversion::read(&stricter, &mut Faults::default());
        assert_eq!(stricter.of(&history, &facts, sent_at), None);
    }

    #[test]
    fn faults_name_their_fields() {
        let written = draft::Conversion {
            event: String::new(),
            condition: "event.value >".to_owned(),
            within: Some(std::time::Duration::from_secs(91 * 24 * 3600)),
        };
        let mut faults = Faults::default();
        Conversion::read(&written, &mut faults);
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["conversion.event", "conversion.where", "conversion.within"]);
    }
}
