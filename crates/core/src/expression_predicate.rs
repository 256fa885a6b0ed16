//! Pure. Tests after `is`: what each is given and what it can judge.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::duration_text;
use crate::expression::{FaultList, Scope};
use crate::expression_check::as_time;
use crate::expression_operand::{Kind, nearest, operand};
use crate::expression_parser::Call;
use crate::expression_tree::{Operand, Source, Test};
use crate::limits;
use crate::time_value::TimeValue;

/// A test's name, how many values it is given, and how it is written.
const TESTS: [(&str, usize, &str); 14] = [
    ("set", 0, "is set"),
    ("empty", 0, "is empty"),
    ("containing", 1, "is containing(\"text\")"),
    ("starting_with", 1, "is starting_with(\"text\")"),
    ("ending_with", 1, "is ending_with(\"text\")"),
    ("matching", 1, "is matching(\"^[a-z]+$\")"),
    ("between", 2, "is between(18, 30)"),
    ("before", 1, "is before(\"2026-12-01\")"),
    ("after", 1, "is after(\"2026-12-01\")"),
    ("in_last", 1, "is in_last(\"30d\")"),
    ("in_next", 1, "is in_next(\"3d\")"),
    ("anniversary", 0, "is anniversary"),
    ("any_of", 1, "is any_of([\"a\", \"b\"])"),
    ("all_of", 1, "is all_of([\"a\", \"b\"])"),
];

/// Tests of Jinja and of other languages, and what is written here.
const SLIPS: [(&str, &str); 22] = [
    ("defined", "is set"),
    ("undefined", "is not set"),
    ("none", "is not set"),
    ("null", "is not set"),
    ("missing", "is not set"),
    ("present", "is set"),
    ("blank", "is empty"),
    ("true", "== true"),
    ("false", "== false"),
    ("eq", "=="),
    ("equalto", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("le", "<="),
    ("gt", ">"),
    ("ge", ">="),
    ("in", "in [...]"),
    ("contains", "is containing(\"text\")"),
    ("startingwith", "is starting_with(\"text\")"),
    ("endingwith", "is ending_with(\"text\")"),
    ("match", "is matching(\"^[a-z]+$\")"),
    ("birthday", "is anniversary"),
];

pub(crate) fn is_test(name: &str) -> bool {
    TESTS.iter().any(|(known, ..)| *known == name)
}

/// The test `call` names, checked against its subject where that one is sound.
pub(crate) fn test(
    call: &Call,
    subject: Option<&Operand>,
    scope: Scope,
    faults: &mut FaultList<'_>,
) -> Option<Test> {
    let Some((name, arity, example)) = TESTS.iter().find(|(name, ..)| *name == call.name) else {
        faults.add(call.at, unknown(&call.name));
        return None;
    };
    let given: Vec<Option<Operand>> = call.given.iter().map(|given| operand(given, scope, faults)).collect();
    let given = given.into_iter().collect::<Option<Vec<Operand>>>()?;
    if given.len() != *arity {
        let count = ["no value", "one value", "two values"].get(*arity).copied().unwrap_or_default();
        faults.add(call.at, format!("{name} takes {count}: {example}"));
        return None;
    }
    if let Some(text) = subject.and_then(|subject| unfit(name, subject)) {
        faults.add(call.at, text);
        return None;
    }
    if scope == Scope::Response && matches!(*name, "in_last" | "in_next" | "anniversary") {
        faults
            .add(call.at, format!("{name} cannot be used here: an answer is judged without the time of day"));
        return None;
    }
    let mut given = given.into_iter();
    build(name, subject, given.next(), given.next(), faults)
}

/// Why `subject` cannot be judged by the test.
fn unfit(name: &str, subject: &Operand) -> Option<String> {
    let kind = subject.kind();
    if subject.is_constant() {
        return Some("a constant is tested: the answer is always the same".to_owned());
    }
    let wanted = match name {
        "set" => return None,
        "between" if kind != Kind::Text => return None,
        "empty" | "containing" | "starting_with" | "ending_with" | "matching" => Kind::Text,
        "any_of" | "all_of" => Kind::List,
        "between" => Kind::Number,
        _ => Kind::Time,
    };
    let fits = kind.may_be(wanted);
    (!fits).then(|| format!("{name} judges {} but is given {}", wanted.name(), kind.name()))
}

fn build(
    name: &str,
    subject: Option<&Operand>,
    first: Option<Operand>,
    second: Option<Operand>,
    faults: &mut FaultList<'_>,
) -> Option<Test> {
    Some(match name {
        "set" => Test::Set,
        "empty" => Test::Empty,
        "anniversary" => Test::Anniversary,
        "containing" => Test::Containing(part(subject, first?, faults)?),
        "starting_with" => Test::StartingWith(of_kind(first?, Kind::Text, faults)?),
        "ending_with" => Test::EndingWith(of_kind(first?, Kind::Text, faults)?),
        "matching" => Test::Matching(pattern(&first?, faults)?),
        "between" => between(subject, first?, second?, faults)?,
        "before" => Test::Before(as_time(first?, faults)?),
        "after" => Test::After(as_time(first?, faults)?),
        "in_last" => Test::InLast(length(&first?, faults)?),
        "in_next" => Test::InNext(length(&first?, faults)?),
        "any_of" => Test::AnyOf(of_kind(first?, Kind::List, faults)?),
        _ => Test::AllOf(of_kind(first?, Kind::List, faults)?),
    })
}

fn of_kind(given: Operand, kind: Kind, faults: &mut FaultList<'_>) -> Option<Operand> {
    if given.kind().may_be(kind) {
        return Some(given);
    }
    faults.add(given.span.start, format!("expected {} but found {}", kind.name(), given.kind().name()));
    None
}

/// What `containing` looks for: text in a text, any single value in a list.
fn part(subject: Option<&Operand>, given: Operand, faults: &mut FaultList<'_>) -> Option<Operand> {
    let text = match given.kind() {
        Kind::List => "containing looks for one value: write is any_of([...]) or is all_of([...])".to_owned(),
        Kind::Range | Kind::Time => {
            format!("containing looks for text or a number, not {}", given.kind().name())
        }
        kind if subject
            .is_some_and(|subject| !subject.kind().may_be(kind) && subject.kind() == Kind::Text) =>
        {
            format!("a text contains text, not {}", kind.name())
        }
        _ => return Some(given),
    };
    faults.add(given.span.start, text);
    None
}

fn literal_text(given: &Operand) -> Option<&str> {
    match &given.source {
        Source::Literal(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn length(given: &Operand, faults: &mut FaultList<'_>) -> Option<std::time::Duration> {
    let parsed = match literal_text(given) {
        Some(text) => duration_text::parse(text),
        None => Err("a duration is text in quotes, such as \"30d\"".to_owned()),
    };
    parsed.map_err(|text| faults.add(given.span.start, text)).ok()
}

fn pattern(given: &Operand, faults: &mut FaultList<'_>) -> Option<Regex> {
    let Some(text) = literal_text(given) else {
        faults.add(given.span.start, "a pattern is text in quotes, such as \"^[a-z]+$\"");
        return None;
    };
    if text.contains('\u{8}') {
        faults.add(given.span.start, "\\b in text is a backspace: a word boundary is written \\\\b");
        return None;
    }
    let bytes_max = limits::PATTERN_COMPILED_BYTES_MAX;
    match RegexBuilder::new(text).size_limit(bytes_max).dfa_size_limit(bytes_max).build() {
        Ok(pattern) => Some(pattern),
        Err(regex::Error::CompiledTooBig(_)) => {
            faults.add(given.span.start, "the pattern is too large: write fewer or smaller repetitions");
            None
        }
        Err(error) => {
            // The library draws the pattern over several lines; its last one says what is wrong.
            let drawn = error.to_string();
            let reason = drawn.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            faults.add(given.span.start, format!("{text:?} is not a regular expression: {reason}"));
            None
        }
    }
}

/// Numbers, or times where the subject or an end is known to be one.
fn between(
    subject: Option<&Operand>,
    low: Operand,
    high: Operand,
    faults: &mut FaultList<'_>,
) -> Option<Test> {
    let kinds = [low.kind(), high.kind()];
    let subject_kind = subject.map_or(Kind::Any, Operand::kind);
    let times =
        subject_kind == Kind::Time || kinds.iter().any(|kind| matches!(kind, Kind::Time | Kind::Text));
    if times && subject_kind == Kind::Number {
        faults.add(low.span.start, "a number is between two numbers");
        return None;
    }
    let (low, high) =
        if times { (as_time(low, faults), as_time(high, faults)) } else { (Some(low), Some(high)) };
    let (low, high) = (low?, high?);
    if !times {
        let wrong = [&low, &high].into_iter().find(|end| !end.kind().may_be(Kind::Number));
        if let Some(end) = wrong {
            faults.add(end.span.start, "between takes two numbers or two points in time");
            return None;
        }
    }
    if reversed(&low, &high) {
        faults.add(low.span.start, "the lower end comes first");
        return None;
    }
    Some(Test::Between { low, high, times })
}

fn reversed(low: &Operand, high: &Operand) -> bool {
    match (&low.source, &high.source) {
        (Source::Literal(Value::Number(low)), Source::Literal(Value::Number(high))) => {
            use crate::expression_value::Exact;
            Exact::from_json(low).compare(Exact::from_json(high)) == Some(std::cmp::Ordering::Greater)
        }
        (Source::Time(TimeValue::Instant(low)), Source::Time(TimeValue::Instant(high))) => low > high,
        (Source::Time(TimeValue::Day(low)), Source::Time(TimeValue::Day(high))) => low > high,
        _ => false,
    }
}

fn unknown(name: &str) -> String {
    if let Some((_, hint)) = SLIPS.iter().find(|(slip, _)| *slip == name.to_lowercase().replace('_', "")) {
        return format!("unknown test {name}: write {hint}");
    }
    let known = TESTS.iter().map(|(name, ..)| *name);
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown test {name}: did you mean {near}?"),
        None => format!("unknown test {name}: known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
