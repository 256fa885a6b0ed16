//! Pure. Why an expression held or did not, condition by condition, in the author's own words.
//!
//! Judges with `expression_match`, so an explanation never disagrees with it; unlike it, looks at every part.

use serde_json::Value;

use crate::expression::shorten;
use crate::expression_match::{Given, holds};
use crate::expression_tree::{Condition, Node, Operand, Test};
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
            Joined::Otherwise => None,
        };
        Some(culprit.and_then(Explanation::first_false).unwrap_or_else(|| self.phrase()))
    }

    fn phrase(&self) -> String {
        let mut values = Vec::new();
        self.collect(&mut values);
        let shown: Vec<String> =
            values.iter().take(PHRASE_VALUES_MAX).map(|v| format!("{} is {}", v.name, v.value)).collect();
        let more = if values.len() > PHRASE_VALUES_MAX { ", ..." } else { "" };
        match shown.as_slice() {
            [] => format!("{} was false", self.text),
            _ => format!("{} was false: {}{more}", self.text, shown.join(", ")),
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
