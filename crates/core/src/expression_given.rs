//! Pure. What an expression is matched against, and the value each of its operands has there.
//!
//! Borrows and never copies; the zone is resolved only where a day is asked about. What is not at hand is missing.

use std::cell::OnceCell;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::behaviour::Reading;
use crate::bucket::bucket;
use crate::expression::Expression;
use crate::expression_match::holds;
use crate::expression_parser::Step;
use crate::expression_tree::{Operand, Root, Source};
use crate::expression_value::{Exact, Seen};
use crate::facts::Facts;
use crate::limits;
use crate::time_value::TimeValue;

/// What an expression is matched against: a user's facts, or an answer.
pub(crate) struct Given<'a> {
    facts: Option<&'a Facts<'a>>,
    response: Option<(u16, &'a Value)>,
    zone: OnceCell<TimeZone>,
    /// Segments inside segments.
    depth: usize,
}

impl<'a> Given<'a> {
    pub(crate) fn facts(facts: &'a Facts<'a>) -> Given<'a> {
        Given { facts: Some(facts), response: None, zone: OnceCell::new(), depth: 0 }
    }

    pub(crate) fn response(status: u16, body: &'a Value) -> Given<'a> {
        Given { facts: None, response: Some((status, body)), zone: OnceCell::new(), depth: 0 }
    }

    /// The condition of a segment, and what it is matched against. None: there is none, or it lies too deep.
    pub(crate) fn inside(&self, segment: &str) -> Option<(&'a Expression, Given<'a>)> {
        let facts = self.facts?;
        let expression = &facts.segments.get(segment)?.expression;
        let depth = self.depth + 1;
        let given = Given { facts: self.facts, response: None, zone: self.zone.clone(), depth };
        (depth <= limits::SEGMENT_DEPTH_MAX).then_some((expression, given))
    }

    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        self.facts.map(|facts| facts.as_of)
    }

    /// The user's zone; UTC for an answer.
    pub(crate) fn zone(&self) -> &TimeZone {
        self.zone.get_or_init(|| self.facts.map_or(TimeZone::UTC, Facts::zone))
    }

    /// The day it is for the user.
    pub(crate) fn today(&self) -> Option<Date> {
        self.as_of().map(|at| TimeValue::Instant(at).day(self.zone()))
    }

    /// The instant `length` before now.
    pub(crate) fn ago(&self, length: Duration) -> Option<Timestamp> {
        self.as_of().map(|at| at.saturating_sub(length).unwrap_or(Timestamp::MIN))
    }

    /// The instant `length` after now.
    pub(crate) fn ahead(&self, length: Duration) -> Option<Timestamp> {
        self.as_of().map(|at| at.saturating_add(length).unwrap_or(Timestamp::MAX))
    }

    /// The value an operand has here.
    pub(crate) fn see(&self, operand: &'a Operand) -> Seen<'a> {
        self.seen(&operand.source).unwrap_or(Seen::Missing)
    }

    fn seen(&self, source: &'a Source) -> Option<Seen<'a>> {
        let instant = |at: Timestamp| Seen::Time(TimeValue::Instant(at));
        let integer = |number: i128| Seen::Number(Exact::Integer(number));
        Some(match source {
            Source::Literal(value) => Seen::json(value),
            Source::Time(time) => Seen::Time(*time),
            Source::List(list) => Seen::Listed(list),
            Source::Range(from, until) => Seen::Range(*from, *until),
            Source::Path(root, steps) => return self.walk(*root, steps),
            Source::UserId => Seen::Text(&self.facts?.profile.id),
            Source::Bucket(salt) => integer(bucket(salt, &self.facts?.profile.id).into()),
            // `+ 0.0`: the sum over no events is minus zero.
            Source::LifetimeValue => {
                Seen::Number(Exact::Fraction(self.facts?.profile.lifetime_value() + 0.0))
            }
            Source::FirstSeen => instant(self.facts?.profile.first_seen()?),
            Source::LastSeen => instant(self.facts?.profile.last_seen()?),
            Source::Behaviour(figure, event, window) => {
                let facts = self.facts?;
                match figure.read(facts.profile.behaviour.get(event), *window, facts.as_of)? {
                    Reading::Count(count) => integer(count.into()),
                    Reading::Number(number) => Seen::Number(Exact::Fraction(number + 0.0)),
                    Reading::At(at) => instant(at),
                }
            }
            Source::History(past, campaign, window) => {
                let facts = self.facts?;
                let history = facts.profile.histories.of(campaign);
                Seen::Truth(past.holds(history, *window, facts.as_of))
            }
            Source::Ago(length) => instant(self.ago(*length)?),
            Source::InSegment(name) => {
                let (expression, given) = self.inside(name)?;
                Seen::Truth(holds(expression.root(), &given))
            }
            Source::InList(name) => {
                let facts = self.facts?;
                Seen::Truth(facts.segments.list(name)?.ids.contains(&facts.profile.id))
            }
            Source::EventName => Seen::Text(&self.facts?.event?.name),
            Source::EventValue => Seen::Number(Exact::Fraction(self.facts?.event?.value? + 0.0)),
            Source::EventTime => instant(self.facts?.event?.occurred_at),
            Source::Status => integer(self.response?.0.into()),
            Source::PreviousOutcome => Seen::Text(self.facts?.previous?.outcome.name()),
            // No answer has no status.
            Source::PreviousStatus => match self.facts?.previous?.status {
                0 => return None,
                status => integer(status.into()),
            },
        })
    }

    fn walk(&self, root: Root, steps: &'a [Step]) -> Option<Seen<'a>> {
        let map = match root {
            Root::User => &self.facts?.profile.attributes,
            Root::Properties => &self.facts?.event?.properties,
            Root::Change => self.facts?.event?.change()?,
            Root::Values => self.facts?.values?,
            Root::Response => return deeper(self.response?.1, steps).map(Seen::json),
        };
        let (Step::Name(first), rest) = steps.split_first()? else {
            return None;
        };
        deeper(map.get(first)?, rest).map(Seen::json)
    }
}

fn deeper<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(name),
        Step::Index(index) => value.as_array()?.get(*index),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::campaign_history::CampaignHistory;
    use crate::expression::{Expression, Scope};
    use crate::expression_examples::{check, mary, parsed};

    #[test]
    fn values_are_reached_by_name_and_position() {
        check("user.plan == \"pro\"", true);
        check("user[\"First name\"] == 'Mary'", true);
        check("user['address'].city == \"Köln\"", true);
        check("user.address[\"zip\"] == \"50667\"", true);
        check("user.größe == 170", true);
        check("user.tags[0] == \"vip\"", true);
        check("user.visits[0].page == \"/a\"", true);
        check("user.tags[9] is set", false);
        check("user.plan.x is set", false);
        check("user.tags.x is set", false);
        check("user.address[0] is set", false);
        check("properties.items[1].sku == \"b-2\"", true);
        check("properties.deep.a.b.c == 1", true);
        check("properties.in == 1", true);
        check("event.name == \"purchase\" and event.value == 12", true);
        check("event.occurred_at is in_last(\"1m\")", true);
        check("values.cents == 250", true);
        check("user_id == \"mary\"", true);
        check("user_id in [\"john\", \"mary\"]", true);
        check("user_id not in [\"john\"]", true);
        check("everyone", true);
        check("not everyone", false);
    }

    #[test]
    fn behaviour_is_counted_for_ever() {
        check("count(\"purchase\") == 2", true);
        check("count(\"never\") == 0", true);
        check("count(\"purchase\") >= user.score", false);
        check("last(\"session\") < ago(\"30d\")", true);
        check("first(\"purchase\") < last(\"purchase\")", true);
        check("first(\"purchase\") == \"2026-01-10\"", true);
        check("lifetime_value == 42.5", true);
        check("first_seen == first(\"session\")", true);
        check("last_seen is in_last(\"1h\")", true);
    }

    #[test]
    fn behaviour_is_counted_over_windows_of_days() {
        check("count(\"purchase\", \"1d\") == 1", true);
        check("count(\"purchase\", \"30d\") == 1", true);
        check("count(\"purchase\", \"90d\") == 2", true);
        check("count(\"session\", \"90d\") == 0", true);
        check("count(\"never\", \"90d\") == 0", true);
        check("sum(\"purchase\") == 42.5 and sum(\"purchase\", \"1w\") == 12", true);
        check("sum(\"session\") == 0 and sum(\"never\", \"1d\") == 0", true);
        check("avg(\"purchase\") == 21.25 and avg(\"purchase\", \"1d\") == 12", true);
        check("min(\"purchase\") == 12 and max(\"purchase\") == 30.5", true);
        check("min(\"purchase\", \"90d\") < max(\"purchase\", \"90d\")", true);
        check("max(\"purchase\", \"7d\") > 12", false);
        for figure in ["avg", "min", "max"] {
            check(&format!("{figure}(\"session\") is set"), false);
            check(&format!("{figure}(\"never\", \"7d\") != 1"), false);
            check(&format!("{figure}(\"session\") > 0 or {figure}(\"session\") <= 0"), false);
        }
    }

    #[test]
    fn what_the_user_had_of_campaigns_is_known() {
        let mut example = mary();
        let delivered_at = Some(example.as_of - jiff::SignedDuration::from_hours(24 * 10));
        let history = CampaignHistory { delivered_at, ..CampaignHistory::default() };
        example.profile.histories.put("welcome", history);
        let holds = |text: &str| parsed(text).matches(&example.facts());
        assert!(holds("received(\"welcome\")") && holds("received(\"welcome\", \"10d\")"));
        assert!(!holds("received(\"welcome\", \"9d\")") && holds("not received(\"welcome\", \"9d\")"));
        assert!(!holds("failed(\"welcome\")") && !holds("received(\"other\")"));
        assert!(holds("received(\"welcome\") == true and failed(\"welcome\") == false"));
        let explained = parsed("received(\"welcome\", \"9d\")").explain(&example.facts());
        let expected = "received(\"welcome\", \"9d\") was false";
        assert!(explained.first_false().unwrap().starts_with(expected), "{explained:?}");
    }

    #[test]
    fn buckets_are_stable_numbers() {
        check("bucket(\"\") in range(0, 1000)", true);
        check("bucket(\"\") >= 1000", false);
        let own = crate::bucket::bucket("salt", "mary");
        check(&format!("bucket(\"salt\") == {own}"), true);
        check(&format!("bucket(\"salt\") in range({own}, {})", own + 1), true);
        check(&format!("bucket(\"salt\") < {own}"), false);
    }

    #[test]
    fn an_answer_is_judged_by_status_and_body() {
        let matches = |text: &str, status: u16, body: serde_json::Value| {
            let expression = Expression::parse(text, Scope::Response).unwrap();
            assert_eq!(
                expression.explain_response(status, &body).result,
                expression.matches_response(status, &body)
            );
            expression.matches_response(status, &body)
        };
        assert!(matches("status == 200 and response.ok == true", 200, json!({"ok": true})));
        assert!(matches("response.ok", 200, json!({"ok": true})));
        assert!(!matches("response.ok", 200, json!({"ok": false})));
        assert!(!matches("response.ok != false", 200, json!(null)));
        assert!(matches("response.errors is empty", 200, json!({"errors": []})));
        assert!(matches("status in range(200, 300)", 204, json!(null)));
        assert!(matches("response[0].id is set", 200, json!([{"id": 1}])));
        assert!(matches("response is containing(\"ok\")", 200, json!("it is ok")));
        assert!(matches("response.until is after(\"2026-01-01\")", 200, json!({"until": "2026-01-02"})));
        assert!(!matches("not (status == 200)", 200, json!({})));
    }

    #[test]
    fn what_is_not_at_hand_is_missing() {
        let example = mary();
        let mut facts = example.facts();
        facts.event = None;
        facts.values = None;
        for text in [
            "properties.total is set",
            "event.value is set",
            "event.name == \"purchase\"",
            "values.cents == 250",
        ] {
            assert!(!parsed(text).matches(&facts), "{text}");
        }
        let response =
            Expression::parse("not (status == 200) and response is not set", Scope::Response).unwrap();
        assert!(response.matches(&facts));
        assert!(!parsed("user_id == \"mary\"").matches_response(200, &json!({})));
    }
}
