//! Pure. Syntax tree to typed tree: every name, function, test and kind is checked here, all faults at once.
//!
//! A condition that could only ever be true or only false (two constants, text with a number) is refused: it is a slip.

use serde_json::Value;

use crate::expression::{FaultList, Scope};
use crate::expression_operand::{Kind, literal_kind, operand};
use crate::expression_parser::{Comparison, Form, Syntax};
use crate::expression_predicate;
use crate::expression_tree::{Condition, Node, Operand, Source};
use crate::expression_value::ValueList;
use crate::time_value::TimeValue;

/// The typed tree of a whole expression; nothing where there was a fault.
pub(crate) fn check(syntax: &Syntax, scope: Scope, faults: &mut FaultList<'_>) -> Option<Node> {
    let condition = match &syntax.form {
        Form::All(parts) => Condition::All(check_all(parts, scope, faults)?),
        Form::Any(parts) => Condition::Any(check_all(parts, scope, faults)?),
        Form::Not(inner) => Condition::Not(Box::new(check(inner, scope, faults)?)),
        Form::Compare(comparison, left, right) => {
            let (left, right) = (operand(left, scope, faults), operand(right, scope, faults));
            compare(*comparison, left?, right?, faults)?
        }
        Form::In { needle, haystack, negated } => {
            let (needle, haystack) = (operand(needle, scope, faults), operand(haystack, scope, faults));
            let (needle, haystack) = (needle?, haystack?);
            let found = within(&needle, &haystack).map_err(|text| faults.add(haystack.span.start, text));
            found.ok()?;
            Condition::In { needle, haystack, negated: *negated }
        }
        Form::Is { subject, test, negated } => {
            let subject = operand(subject, scope, faults);
            let test = expression_predicate::test(test, subject.as_ref(), scope, faults);
            Condition::Is { subject: subject?, test: test?, negated: *negated }
        }
        Form::Path(name, steps) if name == "everyone" && steps.is_empty() && scope != Scope::Response => {
            Condition::Everyone
        }
        _ => Condition::Truth(truth(operand(syntax, scope, faults)?, faults)?),
    };
    Some(Node { condition, span: syntax.span })
}

/// Checks every part, also past a faulty one.
fn check_all(parts: &[Syntax], scope: Scope, faults: &mut FaultList<'_>) -> Option<Vec<Node>> {
    let checked: Vec<Option<Node>> = parts.iter().map(|part| check(part, scope, faults)).collect();
    checked.into_iter().collect()
}

fn truth(operand: Operand, faults: &mut FaultList<'_>) -> Option<Operand> {
    let text = match (operand.kind(), &operand.source) {
        (Kind::Any, _) => return Some(operand),
        (_, Source::Literal(Value::Bool(_))) => {
            "a constant is not a condition: write everyone if everybody is meant".to_owned()
        }
        (kind, _) => format!("{} is not a condition: compare it with something", kind.name()),
    };
    faults.add(operand.span.start, text);
    None
}

fn compare(
    comparison: Comparison,
    left: Operand,
    right: Operand,
    faults: &mut FaultList<'_>,
) -> Option<Condition> {
    let at = left.span.start;
    if left.is_constant() && right.is_constant() {
        faults.add(at, "two constants are compared: the answer is always the same");
        return None;
    }
    let times = left.kind() == Kind::Time || right.kind() == Kind::Time;
    let (left, right) = if times { (as_time(left, faults)?, as_time(right, faults)?) } else { (left, right) };
    if !times {
        comparable(comparison, &left, &right).map_err(|text| faults.add(at, text)).ok()?;
    }
    Some(Condition::Compare { comparison, left, right, times })
}

/// `operand` where a point in time is expected: a constant is read now, so that a wrong one is a fault.
pub(crate) fn as_time(operand: Operand, faults: &mut FaultList<'_>) -> Option<Operand> {
    if operand.kind().may_be(Kind::Time) {
        return Some(operand);
    }
    let text = match &operand.source {
        Source::Literal(value @ (Value::String(_) | Value::Number(_))) => match TimeValue::read(value) {
            Some(time) => return Some(Operand { source: Source::Time(time), span: operand.span }),
            None => format!(
                "{value} is not a point in time: write \"2026-12-01\", \"2026-12-01T09:00:00Z\" or ago(\"30d\")"
            ),
        },
        _ => format!("{} is compared with a point in time", operand.kind().name()),
    };
    faults.add(operand.span.start, text);
    None
}

fn comparable(comparison: Comparison, left: &Operand, right: &Operand) -> Result<(), String> {
    let kinds = [left.kind(), right.kind()];
    if kinds.contains(&Kind::Range) {
        return Err("a range is searched, not compared: write x in range(0, 100)".to_owned());
    }
    let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if let Some(kind) = kinds.into_iter().find(|kind| ordered && matches!(kind, Kind::Truth | Kind::List)) {
        return Err(format!("{} has no order: compare it with == or !=", kind.name()));
    }
    if !left.kind().may_be(right.kind()) {
        let [left, right] = kinds.map(Kind::name);
        return Err(format!(
            "{left} is compared with {right}: they are never equal, types are not converted"
        ));
    }
    Ok(())
}

/// Whether `needle` may be in `haystack` at all.
fn within(needle: &Operand, haystack: &Operand) -> Result<(), String> {
    if needle.is_constant() && haystack.is_constant() {
        return Err("a constant is searched in a constant: the answer is always the same".to_owned());
    }
    let kind = needle.kind();
    let fits = match (&haystack.source, haystack.kind()) {
        _ if matches!(kind, Kind::List | Kind::Range) => {
            return Err(format!("{} is not searched for: write x is any_of([...])", kind.name()));
        }
        (Source::List(list), _) => return in_list(kind, list),
        (Source::Literal(Value::String(text)), _) => {
            return Err(format!(
                "in needs a list: write in [{text:?}], or x is containing(...) for a part of a text"
            ));
        }
        (_, Kind::Range) => kind.may_be(Kind::Number),
        (_, Kind::Text) => kind.may_be(Kind::Text),
        (_, Kind::Any) => true,
        (_, other) => return Err(format!("in needs a list but found {}", other.name())),
    };
    if fits { Ok(()) } else { Err(format!("{} is never in {}", kind.name(), haystack.kind().name())) }
}

fn in_list(needle: Kind, list: &ValueList) -> Result<(), String> {
    if needle == Kind::Time {
        return Err("a point in time is not searched for in a list: write is between(...)".to_owned());
    }
    match list.written.iter().find(|value| !needle.may_be(literal_kind(value))) {
        Some(value) => Err(format!("{} is never {value}: types are not converted", needle.name())),
        None => Ok(()),
    }
}
