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
        (_, Source::InSegment(_) | Source::InList(_)) => return Some(operand),
        (_, Source::Literal(Value::Bool(_))) => {
            "a constant is not a condition: write everyone if everybody is meant".to_owned()
        }
        (_, Source::History(..)) => return Some(operand),
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

#[cfg(test)]
mod tests {
    use crate::expression::{Expression, Scope};
    use crate::expression_examples::{check_refused, check_refused_in};
    use crate::limits;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_or_the_likely_one() {
        check_refused("usr.plan == 1", 1, "did you mean user?");
        check_refused("propertys.total == 1", 1, "did you mean properties?");
        check_refused("user.plan == pro", 14, "text is written in quotes, \"pro\"");
        check_refused("plan == \"pro\"", 1, "an attribute is written user.plan");
        check_refused("customer.plan == 1", 1, "known are user, user_id");
        check_refused("user == 1", 1, "name one, as in user.plan");
        check_refused("user[0] == 1", 1, "read by name");
        check_refused("user[\"\"] == 1", 1, "read by name");
        check_refused("user_id.x == \"1\"", 1, "has no parts");
        check_refused("event.properties.x == 1", 1, "written properties.x");
        check_refused("event.total == 1", 1, "an event has event.name");
        check_refused("event == 1", 1, "an event has event.name");
        check_refused("count > 1", 1, "count is a function");
        check_refused("conut(\"x\") > 1", 1, "did you mean count(\"purchase\")?");
        check_refused("lower(user.x) == \"a\"", 1, "unknown function lower: known are count");
        check_refused("first_seen() < ago(\"1d\")", 1, "without brackets");
        check_refused("starting_with(user.x, \"a\")", 1, "is a test: write x is starting_with");
        check_refused("everyone == true", 1, "a condition of its own");
        check_refused("everyone.x", 1, "a condition of its own");
    }

    #[test]
    fn an_unknown_test_is_answered_with_the_right_one() {
        check_refused("user.x is sett", 11, "did you mean set?");
        check_refused("user.x is defined", 11, "write is set");
        check_refused("user.x is not none", 15, "write is not set");
        check_refused("user.x is startingwith(\"a\")", 11, "write is starting_with");
        check_refused("user.x is true", 11, "write == true");
        check_refused("user.x is eq(1)", 11, "write ==");
        check_refused("user.x is odd", 11, "known are set, empty");
    }

    #[test]
    fn a_scope_allows_its_names_only() {
        let audience = |text, column, expected| check_refused_in(Scope::Audience, text, column, expected);
        audience("properties.total > 1", 1, "not in an audience");
        audience("user.x == 1 and event.value > 1", 17, "not in an audience");
        audience("values.x == 1", 1, "not in an audience");
        audience("status == 200", 1, "only in success_when");
        let response = |text, column, expected| check_refused_in(Scope::Response, text, column, expected);
        response("user.plan == 1", 1, "only status and response");
        response("everyone", 1, "only status and response");
        response("status == 200 and count(\"x\") > 1", 19, "only status and response");
        response("response.x < ago(\"1d\")", 14, "only status and response");
        response("response.x is in_last(\"1d\")", 15, "cannot be used here");
        response("response.x is anniversary", 15, "cannot be used here");
        response("stauts == 200", 1, "did you mean status?");
        response("response.x == ok", 15, "in quotes, \"ok\"");
    }

    #[test]
    fn what_came_before_is_asked_of_later_actions_only() {
        check_refused("user.x == 1 or previous.status == 202", 16, "an action that comes after another");
    }

    #[test]
    fn a_history_is_asked_of_a_campaign_by_its_id() {
        for function in ["received", "failed"] {
            check_refused(&format!("{function}()"), 1, "takes a campaign's id and a window");
            check_refused(&format!("{function}(user.x)"), 1, "takes a campaign's id and a window");
            check_refused(
                &format!("{function}(\"Not One\")"),
                1,
                "expected 1 to 63 characters of a-z, 0-9 and -",
            );
            check_refused(&format!("{function}(\"x\", \"soon\")"), 1, "not a duration");
            check_refused(&format!("{function}(\"x\", \"0s\")"), 1, "never true");
            check_refused(&format!("{function}(\"x\") > 1"), 1, "");
            check_refused(&format!("{function} == 1"), 1, "is a function");
        }
    }

    #[test]
    fn a_window_that_is_not_kept_is_refused() {
        let days = "a window is whole days, 1d to 90d";
        for figure in ["count", "sum", "avg", "min", "max"] {
            check_refused(&format!("{figure}(\"x\", \"91d\") > 1"), 1, days);
            check_refused(&format!("{figure}(\"x\", \"90m\") > 1"), 1, days);
            check_refused(&format!("{figure}(\"x\", \"0d\") > 1"), 1, days);
            check_refused(&format!("{figure}(\"x\", \"soon\") > 1"), 1, "not a duration");
            check_refused(&format!("{figure}(\"x\", 30) > 1"), 1, "takes an event and a window");
            check_refused(&format!("{figure}() > 1"), 1, "takes an event and a window");
            check_refused(&format!("{figure}(\"\", \"30d\") > 1"), 1, "needs the name of an event");
            check_refused(&format!("{figure}(\"x\", \"30d\") == \"1\""), 1, "a number is compared with text");
        }
        check_refused("last(\"x\", \"30d\") is set", 1, "last takes one text in quotes");
    }

    #[test]
    fn kinds_that_never_meet_are_refused() {
        check_refused("user_id == 5", 1, "text is compared with a number");
        check_refused("count(\"x\") == \"5\"", 1, "a number is compared with text");
        check_refused("count(\"x\") > user_id", 1, "a number is compared with text");
        check_refused("event.value == true", 1, "true or false");
        check_refused("user.vip > true", 1, "has no order");
        check_refused("user.tags < [1]", 1, "has no order");
        check_refused("user.age == range(0, 5)", 1, "is searched, not compared");
        check_refused("1 == 1", 1, "two constants");
        check_refused("\"a\" < \"b\"", 1, "two constants");
        check_refused("user.x == none", 11, "is not set");
        check_refused("user.x == null", 11, "is not set");
        check_refused("user.x == (user.y == 1)", 12, "a condition stands here");
        check_refused("true", 1, "write everyone");
        check_refused("user.x == 1 or True", 16, "write everyone");
        check_refused("5", 1, "a number is not a condition");
        check_refused("\"pro\"", 1, "text is not a condition");
        check_refused("[1]", 1, "a list is not a condition");
        check_refused("user_id", 1, "text is not a condition");
        check_refused("not count(\"x\")", 5, "a number is not a condition");
        check_refused("user.x and lifetime_value", 12, "a number is not a condition");
        check_refused("first_seen", 1, "a point in time is not a condition");
    }

    #[test]
    fn times_are_compared_with_times() {
        check_refused("last(\"x\") < \"yesterday\"", 13, "not a point in time");
        check_refused("last(\"x\") < \"2026-02-30\"", 13, "not a point in time");
        check_refused("last(\"x\") == true", 14, "true or false is compared with a point in time");
        check_refused("last(\"x\") > count(\"x\")", 13, "a number is compared with a point in time");
        check_refused("user_id < ago(\"1d\")", 1, "text is compared with a point in time");
        check_refused("last(\"x\") in [1]", 14, "is between");
        check_refused("user.x < ago(30)", 10, "one text in quotes");
        check_refused("user.x < ago(\"30\")", 10, "needs a unit");
        check_refused("user.x < ago(\"1month\")", 10, "no fixed length");
        check_refused("user.x is before(\"soon\")", 18, "not a point in time");
        check_refused("user.x is in_last(\"soon\")", 19, "not a duration");
        check_refused("user.x is in_last(30)", 19, "text in quotes");
        check_refused("count(\"x\") is in_last(\"1d\")", 15, "judges a point in time");
        check_refused("user_id is anniversary", 12, "judges a point in time");
        check_refused("event.value is between(1, \"2026-01-01\")", 24, "between two numbers");
        check_refused("user.x is between(\"a\", \"b\")", 19, "not a point in time");
        check_refused("user.x is between(5, 1)", 19, "the lower end comes first");
        check_refused("user.x is between(\"2026-02-01\", \"2026-01-01\")", 19, "the lower end comes first");
        check_refused("user.x is between(1, true)", 22, "two numbers or two points in time");
    }

    #[test]
    fn in_searches_only_what_can_hold_it() {
        check_refused("user.x in \"pro\"", 11, "in needs a list: write in [\"pro\"]");
        check_refused("user.x in 5", 11, "in needs a list");
        check_refused("user.x in count(\"x\")", 11, "in needs a list");
        check_refused("5 in [5]", 6, "always the same");
        check_refused("user_id in [1]", 12, "text is never 1");
        check_refused("user_id in range(0, 5)", 12, "text is never in a range");
        check_refused("5 in user_id", 6, "a number is never in text");
        check_refused("count(\"x\") in [1, \"2\"]", 15, "a number is never \"2\"");
        check_refused("[1] in user.tags", 8, "any_of");
        check_refused("user.x in [user.y]", 11, "a list holds text");
        check_refused("user.x in [[1]]", 11, "a list holds text");
        check_refused("user.x in range(5, 5)", 11, "is empty");
        check_refused("user.x in range(\"a\")", 11, "range takes");
        check_refused("user.x in range(0, 10, 2)", 11, "range takes");
        check_refused("user.x in range(0.5, 2)", 11, "range takes");
    }

    #[test]
    fn tests_are_given_what_they_take() {
        check_refused("user.x is set(1)", 11, "set takes no value");
        check_refused("user.x is containing", 11, "takes one value: is containing(\"text\")");
        check_refused("user.x is between(1)", 11, "takes two values");
        check_refused("user.x is containing([1])", 22, "any_of");
        check_refused("user_id is containing(1)", 23, "a text contains text");
        check_refused("user.x is starting_with(1)", 25, "expected text but found a number");
        check_refused("user.x is any_of(\"a\")", 18, "expected a list but found text");
        check_refused("user_id is any_of([\"a\"])", 12, "judges a list");
        check_refused("\"a\" is set", 8, "always the same");
        check_refused("count(\"x\") is empty", 15, "judges text");
        check_refused("user.x is matching(\"(\")", 20, "not a regular expression: unclosed group");
        check_refused("user.x is matching(\"\\w{1000}\")", 20, "too large");
        check_refused("user.x is matching(\"\\bfoo\")", 20, "backspace");
        check_refused("user.x is matching(user.y)", 20, "text in quotes");
        check_refused("count(\"\") > 1", 1, "name of an event");
        check_refused("count(5) > 1", 1, "one text in quotes");
        check_refused("count() > 1", 1, "one text in quotes");
        check_refused(&format!("count(\"{}\") > 1", "x".repeat(201)), 1, "at most 200 bytes");
        let many = vec!["user.x is matching(\"a\")"; limits::PATTERNS_MAX + 1].join(" and ");
        check_refused(&many, many.rfind("matching").unwrap() + 1, "at most 16 patterns");
    }

    #[test]
    fn all_faults_are_told_at_once_in_the_order_of_the_text() {
        let text =
            "usr.a == 1 and (user.b is sett or not cont(\"x\") > 2) and user.ü == pro and user_id == 5";
        let faults = Expression::parse(text, Scope::Trigger).unwrap_err();
        let columns: Vec<usize> = faults.iter().map(|fault| fault.column).collect();
        assert_eq!(columns, [1, 27, 39, 68, 76], "{faults:?}");
        let many = vec!["nope"; 1_000].join(" and ");
        assert_eq!(Expression::parse(&many, Scope::Audience).unwrap_err().len(), 20);
    }
}
