//! Pure. Whether an expression holds: one walk over the typed tree, without allocation.
//!
//! Every condition that is not made of others judges to yes, no, or nothing (a value it needs is missing or names no
//! time); nothing is false, also negated. What its values are is `expression_given`'s.

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::Value;

use crate::expression_given::Given;
use crate::expression_parser::Comparison;
use crate::expression_tree::{Condition, Node, Operand, Test};
use crate::expression_value::{Seen, contains, equal, order};
use crate::time_value::TimeValue;

/// Whether the condition holds.
pub(crate) fn holds<'a>(node: &'a Node, given: &Given<'a>) -> bool {
    match &node.condition {
        Condition::All(parts) => parts.iter().all(|part| holds(part, given)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, given)),
        Condition::Not(inner) => !holds(inner, given),
        single => judge(single, given).unwrap_or(false),
    }
}

/// Judges a condition that is not made of others. None: what it needs is missing.
fn judge<'a>(condition: &'a Condition, given: &Given<'a>) -> Option<bool> {
    match condition {
        Condition::Truth(operand) => Some(matches!(given.see(operand), Seen::Truth(true))),
        Condition::Compare { comparison, left, right, times } => {
            compare(*comparison, given.see(left), given.see(right), *times, given)
        }
        Condition::In { needle, haystack, negated } => {
            let (needle, haystack) = present(given.see(needle), given.see(haystack))?;
            Some(contains(haystack, needle) != *negated)
        }
        Condition::Is { subject, test, negated } => {
            judge_test(given.see(subject), test, given).map(|result| result != *negated)
        }
        Condition::Everyone => Some(true),
        Condition::All(_) | Condition::Any(_) | Condition::Not(_) => None,
    }
}

fn present<'a>(a: Seen<'a>, b: Seen<'a>) -> Option<(Seen<'a>, Seen<'a>)> {
    (!a.is_missing() && !b.is_missing()).then_some((a, b))
}

fn compare<'a>(
    comparison: Comparison,
    left: Seen<'a>,
    right: Seen<'a>,
    times: bool,
    given: &Given<'a>,
) -> Option<bool> {
    if times {
        let order = left.time()?.compare(right.time()?, || given.zone());
        return Some(fits(comparison, Some(order)));
    }
    let (left, right) = present(left, right)?;
    Some(match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::NotEqual => !equal(left, right),
        _ => fits(comparison, order(left, right)),
    })
}

/// Values without an order are not equal, and nothing else.
fn fits(comparison: Comparison, order: Option<Ordering>) -> bool {
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn judge_test<'a>(subject: Seen<'a>, test: &'a Test, given: &Given<'a>) -> Option<bool> {
    match test {
        Test::Set => return Some(!subject.is_missing()),
        Test::Empty => return Some(subject.is_empty()),
        _ if subject.is_missing() => return None,
        _ => {}
    }
    let text = |operand: &'a Operand, judge: fn(&str, &str) -> bool| {
        let (subject, part) = present(subject, given.see(operand))?;
        Some(matches!((subject, part), (Seen::Text(text), Seen::Text(part)) if judge(text, part)))
    };
    match test {
        Test::Containing(part) => {
            let (subject, part) = present(subject, given.see(part))?;
            Some(!matches!(subject, Seen::Map(_)) && contains(subject, part))
        }
        Test::StartingWith(part) => text(part, |text, part| text.starts_with(part)),
        Test::EndingWith(part) => text(part, |text, part| text.ends_with(part)),
        Test::Matching(pattern) => Some(matches!(subject, Seen::Text(text) if pattern.is_match(text))),
        Test::Between { low, high, times } => {
            let above = compare(Comparison::GreaterOrEqual, subject, given.see(low), *times, given)?;
            let below = compare(Comparison::LessOrEqual, subject, given.see(high), *times, given)?;
            Some(above && below)
        }
        Test::Before(time) => compare(Comparison::Less, subject, given.see(time), true, given),
        Test::After(time) => compare(Comparison::Greater, subject, given.see(time), true, given),
        Test::InLast(length) => in_last(subject.time()?, *length, given),
        Test::InNext(length) => in_next(subject.time()?, *length, given),
        Test::Anniversary => Some(subject.time()?.is_anniversary(given.today()?, given.zone())),
        Test::AnyOf(list) => {
            let list = given.see(list);
            let found = |value| contains(list, Seen::json(value));
            shared(subject, list, |subject, _| subject.iter().any(found))
        }
        Test::AllOf(list) => {
            let list = given.see(list);
            let found = |value| contains(subject, Seen::json(value));
            shared(subject, list, |_, list| list.iter().all(found))
        }
        Test::Set | Test::Empty => None,
    }
}

/// Judges two lists; what is no list has nothing in common with one.
fn shared<'a>(
    subject: Seen<'a>,
    list: Seen<'a>,
    judge: impl FnOnce(&'a [Value], &'a [Value]) -> bool,
) -> Option<bool> {
    let (subject, list) = present(subject, list)?;
    Some(subject.elements().zip(list.elements()).is_some_and(|(subject, list)| judge(subject, list)))
}

/// From `length` ago to now, both included; a plain date by days.
fn in_last(time: TimeValue, length: Duration, given: &Given<'_>) -> Option<bool> {
    let now = TimeValue::Instant(given.as_of()?);
    let from = TimeValue::Instant(given.ago(length)?);
    let zone = || given.zone();
    Some(time.compare(from, zone).is_ge() && time.compare(now, zone).is_le())
}

/// From just after now to `length` ahead; a plain date by days, today included.
fn in_next(time: TimeValue, length: Duration, given: &Given<'_>) -> Option<bool> {
    let now = TimeValue::Instant(given.as_of()?);
    let until = TimeValue::Instant(given.ahead(length)?);
    let zone = || given.zone();
    let order = time.compare(now, zone);
    let ahead = if matches!(time, TimeValue::Day(_)) { order.is_ge() } else { order.is_gt() };
    Some(ahead && time.compare(until, zone).is_le())
}

#[cfg(test)]
mod tests {
    use crate::expression_examples::{at, check, mary, parsed};

    #[test]
    fn numbers_compare_as_numbers_and_nothing_is_converted() {
        check("user.age == 41", true);
        check("user.age == 41.0", true);
        check("41 == user.age", true);
        check("user.age == \"41\"", false);
        check("user.age != \"41\"", true);
        check("user.age < \"50\"", false);
        check("user.vip == 1", false);
        check("user.digest == 0", false);
        check("user.score > 4", true);
        check("user.score <= 4.5", true);
        check("user.score >= 4.6", false);
        check("user.age > -1", true);
        check("user.big == 9007199254740993", true);
        check("user.big == 9007199254740992", false);
        check("user.big > 9007199254740992.0", true);
        check("user.plan < \"q\"", true);
        check("user.plan > \"Z\"", true);
        check("user.tags == [\"vip\", \"beta\", 7]", true);
        check("user.tags == [\"beta\", \"vip\", 7]", false);
        check("user.none_yet == []", true);
        check("user.age > user.low and user.age < user.high", true);
        check("user.vip > user.digest", false);
        check("user.vip != user.digest", true);
    }

    #[test]
    fn a_comparison_with_a_missing_value_is_false_also_negated() {
        for missing in ["user.nope", "properties.nothing", "properties.deep.x.y", "values.x", "user.tags[5]"]
        {
            for test in [
                "== 1",
                "!= 1",
                "< 1",
                ">= 1",
                "in [1]",
                "not in [1]",
                "in range(0, 5)",
                "not in range(0, 5)",
                "== true",
                "!= \"\"",
                "is containing(\"a\")",
                "is not containing(\"a\")",
                "is starting_with(\"\")",
                "is not matching(\".\")",
                "is between(0, 5)",
                "is not between(0, 5)",
                "is before(\"2999-01-01\")",
                "is not before(\"2000-01-01\")",
                "is in_last(\"9w\")",
                "is not in_next(\"9w\")",
                "is anniversary",
                "is not anniversary",
                "is any_of([1])",
                "is not all_of([1])",
                "is set",
                "is not empty",
                "== user.nope",
                "!= user.age",
                "in user.tags",
                "not in user.tags",
                "< ago(\"1d\")",
            ] {
                check(&format!("{missing} {test}"), false);
            }
            check(&format!("{missing} is not set"), true);
            check(&format!("{missing} is empty"), true);
            check(&format!("not ({missing} == 1)"), true);
            check(&format!("not ({missing} != 1)"), true);
            check(missing, false);
            check(&format!("not {missing}"), true);
            check(&format!("\"a\" in {missing}"), false);
            check(&format!("\"a\" not in {missing}"), false);
            check(&format!("user.age is containing({missing})"), false);
            check(&format!("user.age is not containing({missing})"), false);
            check(&format!("user.age is between(0, {missing})"), false);
        }
        check("last(\"never\") < ago(\"1d\")", false);
        check("last(\"never\") is not set", true);
        check("first(\"never\") is set", false);
    }

    #[test]
    fn set_and_empty_see_what_is_there() {
        check("user.nick is set", true);
        check("user.nick is empty", true);
        check("user.nick is not empty", false);
        check("user.none_yet is empty", true);
        check("user.tags is not empty", true);
        check("user.digest is empty", false);
        check("user.address is not empty", true);
        check("properties.nothing is set", false);
        check("first(\"session\") is set", true);
    }

    #[test]
    fn a_bare_value_holds_only_if_it_is_true() {
        check("user.vip", true);
        check("properties.gift and user.vip", true);
        check("user.digest", false);
        check("user.plan", false);
        check("user.age", false);
        check("user.tags", false);
        check("not user.plan", true);
    }

    #[test]
    fn in_searches_lists_ranges_texts_and_keys() {
        check("user.plan in [\"pro\", \"team\"]", true);
        check("user.plan not in [\"pro\", \"team\"]", false);
        check("user.plan in []", false);
        check("user.plan not in []", true);
        check("user.age in [1, 41.0, \"x\"]", true);
        check("user.age in [\"41\"]", false);
        check("user.vip in [true]", true);
        check("user.vip in [false, 1]", false);
        check("user.age in range(41, 42)", true);
        check("user.age in range(0, 41)", false);
        check("user.age in range(50)", true);
        check("user.score in range(0, 10)", false);
        check("user.plan in range(0, 10)", false);
        check("user.plan not in range(0, 10)", true);
        check("\"vip\" in user.tags", true);
        check("7.0 in user.tags", true);
        check("\"7\" in user.tags", false);
        check("\"Doe\" in user.name", true);
        check("\"city\" in user.address", true);
        check("\"ar\" in user_id", true);
        check("user.plan in user.allowed", true);
        check("user.plan in user.age", false);
        check("user.plan not in user.age", true);
    }

    #[test]
    fn text_tests_read_text_and_lists() {
        check("user.name is containing(\"ry D\")", true);
        check("user.name is containing(\"RY\")", false);
        check("user.name is not containing(\"RY\")", true);
        check("user.tags is containing(\"vip\")", true);
        check("user.tags is containing(\"vi\")", false);
        check("user.tags is containing(7)", true);
        check("user.age is containing(\"4\")", false);
        check("user.address is containing(\"city\")", false);
        check("user.name is containing(user[\"First name\"])", true);
        check("user.name is starting_with(\"Mary\")", true);
        check("user.name is starting_with(\"Doe\")", false);
        check("user.name is not starting_with(\"Doe\")", true);
        check("user.name is ending_with(\"Doe\")", true);
        check("user.tags is starting_with(\"v\")", false);
        check("user_id is starting_with(\"ma\")", true);
        check(r#"user.name is matching("^\w+ \w+$")"#, true);
        check(r#"user.name is matching("^\\w+$")"#, false);
        check("user.name is matching(\"ary\")", true);
        check("user.age is matching(\"4\")", false);
        check("user.address.city is matching(\"^K.ln$\")", true);
    }

    #[test]
    fn list_tests_read_lists() {
        check("user.tags is any_of([\"x\", \"beta\"])", true);
        check("user.tags is any_of([\"x\"])", false);
        check("user.tags is not any_of([\"x\"])", true);
        check("user.tags is any_of([])", false);
        check("user.tags is all_of([\"beta\", 7, \"vip\"])", true);
        check("user.tags is all_of([\"beta\", \"x\"])", false);
        check("user.tags is all_of([])", true);
        check("user.plan is any_of([\"pro\"])", false);
        check("user.allowed is any_of(user.tags)", false);
        check("user.allowed is all_of(user.allowed)", true);
        check("user.tags is any_of(user.name)", false);
    }

    #[test]
    fn between_includes_both_ends() {
        check("user.age is between(41, 50)", true);
        check("user.age is between(30, 41)", true);
        check("user.age is between(42, 50)", false);
        check("user.age is not between(42, 50)", true);
        check("user.age is between(user.low, user.high)", true);
        check("user.plan is between(1, 5)", false);
        check("user.birthday is between(\"1985-03-01\", \"1985-03-01\")", true);
        check("user.birthday is between(\"1985-03-02\", \"1990-01-01\")", false);
        check("last(\"purchase\") is between(\"2026-02-01\", \"2026-02-28\")", false);
        check("last(\"purchase\") is between(\"2026-02-01\", \"2026-03-01\")", true);
        check("last(\"purchase\") is between(ago(\"1h\"), ago(\"0s\"))", true);
        check("count(\"purchase\") is between(2, 2)", true);
    }

    #[test]
    fn times_are_read_from_text_numbers_and_dates() {
        check("user.trial_ends_at is in_next(\"3d\")", true);
        check("user.trial_ends_at is in_next(\"2d\")", false);
        check("user.trial_ends_at is not in_next(\"2d\")", true);
        check("user.trial_ends_at is in_last(\"3d\")", false);
        check("user.trial_ends_at is after(\"2026-03-02\")", true);
        check("user.trial_ends_at is after(\"2026-03-03\")", false);
        check("user.trial_ends_at is before(\"2026-03-03T11:00:01Z\")", true);
        check("user.trial_ends_at is before(\"2026-03-03T11:00:00Z\")", false);
        check("user.signed_up is before(\"2025-02-20\")", true);
        check("user.signed_up_ms is after(1739999999)", true);
        check("user.signed_up == user.signed_up_ms", false);
        check("user.signed_up is in_last(\"60w\")", true);
        check("user.renews is in_next(\"1h\") and user.renews is in_last(\"1h\")", true);
        check("user.renews is before(ago(\"0s\"))", false);
        check("user.renews == ago(\"0s\")", true);
        check("user.soon is before(\"2999-01-01\")", false);
        check("user.soon is not before(\"2999-01-01\")", false);
        check("user.soon != ago(\"1d\")", false);
        check("user.vip is in_last(\"1d\")", false);
        check("event.occurred_at > ago(\"1m\")", false);
        check("event.occurred_at >= ago(\"1m\")", true);
        check("event.occurred_at is in_last(\"59s\")", false);
        check("event.occurred_at is in_last(\"60s\")", true);
        check("first_seen < ago(\"10000000000s\")", false);
    }

    #[test]
    fn an_anniversary_is_kept_in_the_users_zone() {
        // It is 1 March in Berlin and still 28 February in UTC.
        check("user.birthday is anniversary", true);
        check("user.leap is anniversary", false);
        let mut example = mary();
        example.profile.time_zone = None;
        let holds = |text: &str, example: &crate::expression_examples::Example| {
            parsed(text).matches(&example.facts())
        };
        assert!(!holds("user.birthday is anniversary", &example));
        assert!(holds("user.leap is anniversary", &example));
        example.as_of = at("2028-02-28T12:00:00Z");
        assert!(!holds("user.leap is anniversary", &example));
        example.as_of = at("2028-02-29T12:00:00Z");
        assert!(holds("user.leap is anniversary", &example));
    }

    #[test]
    fn and_binds_before_or_and_not_before_both() {
        check("user.vip or user.digest and user.digest", true);
        check("(user.vip or user.digest) and user.digest", false);
        check("not user.digest and user.vip", true);
        check("not (user.digest and user.vip)", true);
        check("not user.digest or user.vip", true);
        check("not user.age == 41", false);
        check("not not user.vip", true);
        check("not user.nope is set", true);
        check("user.plan == \"free\" or user.age > 40 and not user.digest", true);
        check("(((user.vip)))\n  and (user.age) == (41)", true);
    }
}
