//! Pure. The typed tree of an expression: what was checked, ready to be matched.
//!
//! Made only by `expression_check`; new conditions are new variants here.

use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use crate::behaviour::{Figure, Window};
use crate::campaign_history::Past;
use crate::duration_text;
use crate::expression_lexer::Span;
use crate::expression_parser::{Comparison, Step};
use crate::expression_value::ValueList;
use crate::time_value::TimeValue;

/// A condition and the text it was written as.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) condition: Condition,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Everyone,
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A bare value: holds if it is the boolean true.
    Truth(Operand),
    /// `times`: both sides are read as points in time.
    Compare {
        comparison: Comparison,
        left: Operand,
        right: Operand,
        times: bool,
    },
    In {
        needle: Operand,
        haystack: Operand,
        negated: bool,
    },
    Is {
        subject: Operand,
        test: Test,
        negated: bool,
    },
}

/// A test after `is`, with what it is given.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Set,
    Empty,
    Containing(Operand),
    StartingWith(Operand),
    EndingWith(Operand),
    Matching(Regex),
    /// Both ends included. `times`: all three are read as points in time.
    Between {
        low: Operand,
        high: Operand,
        times: bool,
    },
    Before(Operand),
    After(Operand),
    InLast(Duration),
    InNext(Duration),
    Anniversary,
    AnyOf(Operand),
    AllOf(Operand),
}

/// A value and the text it was written as.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) source: Source,
    pub(crate) span: Span,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Text, number or boolean.
    Literal(Value),
    /// Text or number that names a point in time.
    Time(TimeValue),
    List(ValueList),
    Range(i64, i64),
    Path(Root, Vec<Step>),
    UserId,
    LifetimeValue,
    FirstSeen,
    LastSeen,
    /// How the action before ended: delivered, failed, suppressed.
    PreviousOutcome,
    PreviousStatus,
    /// A figure of an event's behaviour.
    Behaviour(Figure, String, Option<Window>),
    /// What the user had of a campaign, at any time or within a window.
    History(Past, String, Option<Duration>),
    Ago(Duration),
    Bucket(String),
    InSegment(String),
    InList(String),
    EventName,
    EventValue,
    EventTime,
    Status,
}

/// What a path starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    User,
    Properties,
    Change,
    Values,
    Response,
}

impl Root {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Root::User => "user",
            Root::Properties => "properties",
            Root::Change => "change",
            Root::Values => "values",
            Root::Response => "response",
        }
    }
}

impl Condition {
    /// The operands it looks at itself, not those of conditions inside it.
    pub(crate) fn operands(&self) -> Vec<&Operand> {
        match self {
            Condition::Everyone | Condition::All(_) | Condition::Any(_) | Condition::Not(_) => Vec::new(),
            Condition::Truth(operand) => vec![operand],
            Condition::Compare { left, right, .. } => vec![left, right],
            Condition::In { needle, haystack, .. } => vec![needle, haystack],
            Condition::Is { subject, test, .. } => [vec![subject], test.operands()].concat(),
        }
    }

    /// The conditions inside it.
    pub(crate) fn parts(&self) -> &[Node] {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts,
            Condition::Not(inner) => std::slice::from_ref(inner),
            _ => &[],
        }
    }
}

impl Test {
    fn operands(&self) -> Vec<&Operand> {
        match self {
            Test::Containing(given) | Test::StartingWith(given) | Test::EndingWith(given) => vec![given],
            Test::Before(given) | Test::After(given) | Test::AnyOf(given) | Test::AllOf(given) => vec![given],
            Test::Between { low, high, .. } => vec![low, high],
            Test::Set | Test::Empty | Test::Matching(_) | Test::Anniversary => Vec::new(),
            Test::InLast(_) | Test::InNext(_) => Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Test::Set => "set",
            Test::Empty => "empty",
            Test::Containing(_) => "containing",
            Test::StartingWith(_) => "starting_with",
            Test::EndingWith(_) => "ending_with",
            Test::Matching(_) => "matching",
            Test::Between { .. } => "between",
            Test::Before(_) => "before",
            Test::After(_) => "after",
            Test::InLast(_) => "in_last",
            Test::InNext(_) => "in_next",
            Test::Anniversary => "anniversary",
            Test::AnyOf(_) => "any_of",
            Test::AllOf(_) => "all_of",
        }
    }

    fn given_json(&self) -> Vec<Value> {
        match self {
            Test::Matching(pattern) => vec![json!(pattern.as_str())],
            Test::InLast(length) | Test::InNext(length) => vec![json!(duration_text::show(*length))],
            _ => self.operands().into_iter().map(Operand::to_json).collect(),
        }
    }
}

impl Operand {
    /// Written in the expression, so always the same.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self.source, Source::Literal(_) | Source::Time(_) | Source::List(_) | Source::Range(..))
    }

    /// Whether some users, events or answers may not have it.
    pub(crate) fn may_be_missing(&self) -> bool {
        match &self.source {
            Source::PreviousOutcome | Source::PreviousStatus => true,
            Source::Path(..) | Source::FirstSeen | Source::LastSeen | Source::EventValue => true,
            Source::Behaviour(figure, ..) => figure.may_be_missing(),
            _ => false,
        }
    }

    /// Constants stand for themselves, other values are objects that name them.
    fn to_json(&self) -> Value {
        match &self.source {
            Source::Literal(value) => value.clone(),
            Source::Time(TimeValue::Instant(at)) => json!({"time": at.to_string()}),
            Source::Time(TimeValue::Day(day)) => json!({"time": day.to_string()}),
            Source::List(list) => json!(list.written),
            Source::Range(from, until) => json!({"range": [from, until]}),
            Source::Path(root, steps) => json!({"path": path_json(*root, steps)}),
            Source::UserId => json!({"path": ["user_id"]}),
            Source::LifetimeValue => json!({"path": ["lifetime_value"]}),
            Source::FirstSeen => json!({"path": ["first_seen"]}),
            Source::LastSeen => json!({"path": ["last_seen"]}),
            Source::EventName => json!({"path": ["event", "name"]}),
            Source::EventValue => json!({"path": ["event", "value"]}),
            Source::EventTime => json!({"path": ["event", "occurred_at"]}),
            Source::Status => json!({"path": ["status"]}),
            Source::PreviousOutcome => json!({"path": ["previous", "outcome"]}),
            Source::PreviousStatus => json!({"path": ["previous", "status"]}),
            Source::Behaviour(figure, event, None) => json!({ (figure.name()): event}),
            Source::Behaviour(figure, event, Some(window)) => {
                json!({ (figure.name()): [event, duration_text::show(window.length())]})
            }
            Source::History(past, campaign, None) => json!({ (past.name()): campaign}),
            Source::History(past, campaign, Some(window)) => {
                json!({ (past.name()): [campaign, duration_text::show(*window)]})
            }
            Source::Ago(length) => json!({"ago": duration_text::show(*length)}),
            Source::Bucket(salt) => json!({"bucket": salt}),
            Source::InSegment(name) => json!({"in_segment": name}),
            Source::InList(name) => json!({"in_list": name}),
        }
    }
}

fn path_json(root: Root, steps: &[Step]) -> Vec<Value> {
    let steps = steps.iter().map(|step| match step {
        Step::Name(name) => json!(name),
        Step::Index(index) => json!(index),
    });
    std::iter::once(json!(root.name())).chain(steps).collect()
}

impl Node {
    pub(crate) fn to_json(&self) -> Value {
        let all = |parts: &[Node]| -> Vec<Value> { parts.iter().map(Node::to_json).collect() };
        match &self.condition {
            Condition::Everyone => json!({"everyone": true}),
            Condition::All(parts) => json!({"and": all(parts)}),
            Condition::Any(parts) => json!({"or": all(parts)}),
            Condition::Not(inner) => json!({"not": inner.to_json()}),
            Condition::Truth(operand) => json!({"true": operand.to_json()}),
            Condition::Compare { comparison, left, right, .. } => {
                json!({ (comparison.sign()): [left.to_json(), right.to_json()]})
            }
            Condition::In { needle, haystack, negated } => {
                let name = if *negated { "not in" } else { "in" };
                json!({ (name): [needle.to_json(), haystack.to_json()]})
            }
            Condition::Is { subject, test, negated } => {
                let name = format!("is {}{}", if *negated { "not " } else { "" }, test.name());
                let mut values = vec![subject.to_json()];
                values.extend(test.given_json());
                json!({ (name): values })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression_examples::parsed;

    #[test]
    fn the_tree_is_shown_as_json() {
        let text = "user.plan in [\"pro\", 1] and not (count(\"a\") >= 2 or properties.items[0].sku is set) and user.vip";
        let expected = json!({"and": [
            {"in": [{"path": ["user", "plan"]}, ["pro", 1]]},
            {"not": {"or": [
                {">=": [{"count": "a"}, 2]},
                {"is set": [{"path": ["properties", "items", 0, "sku"]}]},
            ]}},
            {"true": {"path": ["user", "vip"]}},
        ]});
        assert_eq!(parsed(text).tree(), expected);
        let text = "avg(\"a\", \"30d\") > 1.5 and min(\"a\") < 2";
        let expected = json!({"and": [{">": [{"avg": ["a", "30d"]}, 1.5]}, {"<": [{"min": "a"}, 2]}]});
        assert_eq!(parsed(text).tree(), expected);
        let text = "last(\"a\") < ago(\"90s\") or user.x is not between(\"2026-01-01\", 5) or bucket(\"s\") not in range(9)";
        let expected = json!({"or": [
            {"<": [{"last": "a"}, {"ago": "1m30s"}]},
            {"is not between": [{"path": ["user", "x"]}, {"time": "2026-01-01"}, {"time": "1970-01-01T00:00:05Z"}]},
            {"not in": [{"bucket": "s"}, {"range": [0, 9]}]},
        ]});
        assert_eq!(parsed(text).tree(), expected);
        let text = "received(\"c\") and not failed(\"d\", \"30d\")";
        let expected =
            json!({"and": [{"true": {"received": "c"}}, {"not": {"true": {"failed": ["d", "30d"]}}}]});
        assert_eq!(parsed(text).tree(), expected);
        assert_eq!(parsed("everyone").tree(), json!({"everyone": true}));
        assert_eq!(
            parsed("user.x is matching(\"a+\") or user.y is in_last(\"1w\")").tree(),
            json!({"or": [
                {"is matching": [{"path": ["user", "x"]}, "a+"]},
                {"is in_last": [{"path": ["user", "y"]}, "1w"]},
            ]})
        );
    }
}
