//! Pure. Why an expression held or did not, condition by condition, in the author's own words.
//!
//! Judges with `expression_match`, so an explanation never disagrees with it; unlike it, looks at every part.

use serde_json::Value;

use crate::expression::shorten;
use crate::expression_given::Given;
use crate::expression_match::holds;
use crate::expression_tree::{Condition, Node, Operand, Source, Test};
use crate::expression_value::{Exact, Seen};
use crate::time_value::TimeValue;

/// Characters of a condition's text that are shown.
const TEXT_CHARS_MAX: usize = 160;
/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 60;
/// Values named in one phrase.
const PHRASE_VALUES_MAX: usize = 4;

/// One condition, what it looked at, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// As the author wrote it, shortened.
    pub text: String,
    pub result: bool,
    /// The values it looked at itself, in its own order.
    pub seen: Vec<ValueSeen>,
    /// The conditions it is made of.
    pub parts: Vec<Explanation>,
    joined: Joined,
}

/// A value a condition looked at, ready to be read: `user.plan`, `"pro"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSeen {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    ByAnd,
    /// A segment, by its own condition.
    BySegment,
    Otherwise,
}

impl Explanation {
    /// Why it did not hold, in one phrase: `properties.total >= 500 was false: properties.total is 12`.
    ///
    /// Of conditions joined by `and`, the first that was false; of others, the whole with all it looked at. None if it held.
    pub fn first_false(&self) -> Option<String> {
        if self.result {
            return None;
        }
        let culprit = match self.joined {
            Joined::ByAnd => self.parts.iter().find(|part| !part.result),
            Joined::BySegment => {
                let why = self.parts.first().and_then(Explanation::first_false)?;
                return Some(format!("{} was false: {why}", self.text));
            }
            Joined::Otherwise => None,
        };
        Some(culprit.and_then(Explanation::first_false).unwrap_or_else(|| self.phrase()))
    }

    /// What it came to and what it looked at, in one phrase: why it did not hold, or the whole of it where it did.
    pub fn saw(&self) -> String {
        self.first_false().unwrap_or_else(|| self.phrase())
    }

    fn phrase(&self) -> String {
        let mut values = Vec::new();
        self.collect(&mut values);
        let shown: Vec<String> =
            values.iter().take(PHRASE_VALUES_MAX).map(|v| format!("{} is {}", v.name, v.value)).collect();
        let more = if values.len() > PHRASE_VALUES_MAX { ", ..." } else { "" };
        match shown.as_slice() {
            [] => format!("{} was {}", self.text, self.result),
            _ => format!("{} was {}: {}{more}", self.text, self.result, shown.join(", ")),
        }
    }

    /// The values seen here and below, each name once.
    fn collect<'a>(&'a self, values: &mut Vec<&'a ValueSeen>) {
        for seen in &self.seen {
            if !values.contains(&seen) {
                values.push(seen);
            }
        }
        for part in &self.parts {
            part.collect(values);
        }
    }
}

pub(crate) fn explain<'a>(node: &'a Node, text: &str, given: &Given<'a>) -> Explanation {
    if let Some(explanation) = explain_segment(node, text, given) {
        return explanation;
    }
    let parts: Vec<Explanation> =
        node.condition.parts().iter().map(|part| explain(part, text, given)).collect();
    let (result, joined) = match &node.condition {
        Condition::All(_) => (parts.iter().all(|part| part.result), Joined::ByAnd),
        Condition::Any(_) => (parts.iter().any(|part| part.result), Joined::Otherwise),
        Condition::Not(_) => (!parts.iter().any(|part| part.result), Joined::Otherwise),
        _ => (holds(node, given), Joined::Otherwise),
    };
    let text_shown = one_line(node.span.of(text), TEXT_CHARS_MAX);
    Explanation { text: text_shown, result, seen: seen(&node.condition, text, given), parts, joined }
}

/// A segment is explained by its own condition.
fn explain_segment<'a>(node: &'a Node, text: &str, given: &Given<'a>) -> Option<Explanation> {
    let Condition::Truth(Operand { source: Source::InSegment(name), .. }) = &node.condition else {
        return None;
    };
    let (expression, inside) = given.inside(name)?;
    let why = explain(expression.root(), expression.text(), &inside);
    Some(Explanation {
        text: one_line(node.span.of(text), TEXT_CHARS_MAX),
        result: why.result,
        seen: Vec::new(),
        parts: vec![why],
        joined: Joined::BySegment,
    })
}

fn seen<'a>(condition: &'a Condition, text: &str, given: &Given<'a>) -> Vec<ValueSeen> {
    let times = wants_times(condition);
    let mut values: Vec<ValueSeen> = Vec::new();
    for operand in condition.operands().into_iter().filter(|operand| !operand.is_constant()) {
        let name = one_line(operand.span.of(text), VALUE_CHARS_MAX);
        if !values.iter().any(|known| known.name == name) {
            values.push(ValueSeen { name, value: shown_operand(operand, times, given) });
        }
    }
    values.extend(clock_seen(condition, given));
    values
}

/// The user's day or the instant, where the condition looks at it without naming it.
fn clock_seen(condition: &Condition, given: &Given<'_>) -> Option<ValueSeen> {
    let Condition::Is { test, .. } = condition else {
        return None;
    };
    let (name, value) = match test {
        Test::Anniversary => ("today", given.today()?.to_string()),
        Test::InLast(_) | Test::InNext(_) => ("the time", given.as_of()?.to_string()),
        _ => return None,
    };
    Some(ValueSeen { name: name.to_owned(), value })
}

/// Whether the condition reads its values as points in time.
fn wants_times(condition: &Condition) -> bool {
    match condition {
        Condition::Compare { times, .. } => *times,
        Condition::Is { test, .. } => match test {
            Test::Between { times, .. } => *times,
            Test::Before(_) | Test::After(_) | Test::InLast(_) | Test::InNext(_) | Test::Anniversary => true,
            _ => false,
        },
        _ => false,
    }
}

fn shown_operand<'a>(operand: &'a Operand, times: bool, given: &Given<'a>) -> String {
    let seen = given.see(operand);
    let value = shown(seen);
    if times && !seen.is_missing() && seen.time().is_none() {
        return format!("{value}, which is not a point in time");
    }
    value
}

fn shown(seen: Seen<'_>) -> String {
    let text = match seen {
        Seen::Missing => "missing".to_owned(),
        Seen::Truth(truth) => truth.to_string(),
        Seen::Number(Exact::Integer(integer)) => integer.to_string(),
        Seen::Number(Exact::Fraction(number)) => number.to_string(),
        // Cut before it is quoted: an attribute may have 16 KiB.
        Seen::Text(text) => Value::from(shorten(text, VALUE_CHARS_MAX)).to_string(),
        Seen::List(values) => Value::from(values).to_string(),
        Seen::Map(map) => Value::from(map.clone()).to_string(),
        Seen::Time(TimeValue::Instant(at)) => at.to_string(),
        Seen::Time(TimeValue::Day(day)) => day.to_string(),
        Seen::Listed(list) => Value::from(list.written.as_slice()).to_string(),
        Seen::Range(from, until) => format!("range({from}, {until})"),
    };
    match seen {
        Seen::Text(_) => text,
        _ => shorten(&text, VALUE_CHARS_MAX),
    }
}

/// Runs of white space become one space: authors break long expressions over lines.
fn one_line(text: &str, chars_max: usize) -> String {
    shorten(&text.split_whitespace().collect::<Vec<_>>().join(" "), chars_max)
}

#[cfg(test)]
mod tests {
    use crate::expression_examples::{mary, parsed};

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let phrase = parsed(text).explain(&mary().facts()).first_false();
        assert_eq!(phrase.as_deref(), expected, "{text}");
    }

    #[test]
    fn the_first_false_condition_is_told_with_what_it_saw() {
        check("properties.total >= 500", Some("properties.total >= 500 was false: properties.total is 12"));
        check(
            "user.vip and (user.age > 18 and user.nope == 1) and user.age < 0",
            Some("user.nope == 1 was false: user.nope is missing"),
        );
        check(
            "user.age < user.low or user.plan == \"free\"",
            Some(
                "user.age < user.low or user.plan == \"free\" was false: user.age is 41, user.low is 18, user.plan is \"pro\"",
            ),
        );
        check("not user.vip", Some("not user.vip was false: user.vip is true"));
        check("not everyone", Some("not everyone was false"));
        check("count(\"purchase\") > 5", Some("count(\"purchase\") > 5 was false: count(\"purchase\") is 2"));
        check(
            "avg(\"purchase\", \"30d\") > 20 or min(\"session\") > 1",
            Some(
                "avg(\"purchase\", \"30d\") > 20 or min(\"session\") > 1 was false: avg(\"purchase\", \"30d\") is 12, min(\"session\") is missing",
            ),
        );
        check(
            "user.trial_ends_at is in_last(\"1d\")",
            Some(
                "user.trial_ends_at is in_last(\"1d\") was false: user.trial_ends_at is \"2026-03-03T12:00:00+01:00\", the time is 2026-02-28T23:30:00Z",
            ),
        );
        check(
            "user.leap is anniversary",
            Some("user.leap is anniversary was false: user.leap is \"2000-02-29\", today is 2026-03-01"),
        );
        check(
            "user.soon is before(\"2026-01-01\")",
            Some(
                "user.soon is before(\"2026-01-01\") was false: user.soon is \"soon\", which is not a point in time",
            ),
        );
        check(
            "last(\"purchase\") < ago(\"30d\")",
            Some(
                "last(\"purchase\") < ago(\"30d\") was false: last(\"purchase\") is 2026-02-28T23:29:00Z, ago(\"30d\") is 2026-01-29T23:30:00Z",
            ),
        );
        check(
            "user.tags is any_of([\"x\"])",
            Some("user.tags is any_of([\"x\"]) was false: user.tags is [\"vip\",\"beta\",7]"),
        );
        check(
            "user.vip\n  and   lifetime_value\n > 50",
            Some("lifetime_value > 50 was false: lifetime_value is 42.5"),
        );
        check("user.vip", None);
    }

    #[test]
    fn long_texts_and_values_are_cut() {
        let mut example = mary();
        example.profile.attributes.insert("long".to_owned(), "ä".repeat(10_000).into());
        let text = format!("user.long in [{}\"x\"]", "\"abcdefgh\", ".repeat(500));
        let phrase = parsed(&text).explain(&example.facts()).first_false().unwrap();
        assert!(phrase.chars().count() < 300, "{phrase}");
        assert!(phrase.contains("… was false: user.long is \"ää") && phrase.ends_with("ä…\""), "{phrase}");
    }

    #[test]
    fn every_part_is_explained_also_past_the_first_false_one() {
        let explanation = parsed("user.nope == 1 and (user.vip or user.digest)").explain(&mary().facts());
        assert!(!explanation.result);
        let parts: Vec<(&str, bool)> =
            explanation.parts.iter().map(|part| (part.text.as_str(), part.result)).collect();
        assert_eq!(parts, [("user.nope == 1", false), ("user.vip or user.digest", true)]);
        assert_eq!(explanation.parts[1].parts[1].seen[0].value, "false");
    }
}
