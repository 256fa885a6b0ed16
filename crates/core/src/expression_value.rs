//! Pure. Values as conditions see them: what is equal, what is less, what contains what.
//!
//! No coercion: values of different kinds are never equal and have no order. Numbers compare exactly, also past 2^53.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::time_value::TimeValue;

/// A value met while matching; borrowed, never copied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// Absent or null.
    Missing,
    Truth(bool),
    Number(Exact),
    Text(&'a str),
    List(&'a [Value]),
    Map(&'a Map<String, Value>),
    Time(TimeValue),
    /// A list written in the expression.
    Listed(&'a ValueList),
    /// Integers from the first up to, not with, the second.
    Range(i64, i64),
}

impl<'a> Seen<'a> {
    pub(crate) fn json(value: &'a Value) -> Seen<'a> {
        match value {
            Value::Null => Seen::Missing,
            Value::Bool(truth) => Seen::Truth(*truth),
            Value::Number(number) => Seen::Number(Exact::from_json(number)),
            Value::String(text) => Seen::Text(text),
            Value::Array(values) => Seen::List(values),
            Value::Object(map) => Seen::Map(map),
        }
    }

    pub(crate) fn is_missing(self) -> bool {
        matches!(self, Seen::Missing)
    }

    /// Missing, `""`, `[]` or `{}`.
    pub(crate) fn is_empty(self) -> bool {
        match self {
            Seen::Missing => true,
            Seen::Text(text) => text.is_empty(),
            Seen::List(values) => values.is_empty(),
            Seen::Map(map) => map.is_empty(),
            _ => false,
        }
    }

    /// The point in time it names, if it names one.
    pub(crate) fn time(self) -> Option<TimeValue> {
        match self {
            Seen::Time(time) => Some(time),
            Seen::Text(text) => TimeValue::read_text(text),
            Seen::Number(Exact::Integer(unix)) => i64::try_from(unix).ok().and_then(TimeValue::read_unix),
            Seen::Number(Exact::Fraction(unix)) => TimeValue::read_unix_fraction(unix),
            _ => None,
        }
    }

    pub(crate) fn elements(self) -> Option<&'a [Value]> {
        match self {
            Seen::List(values) => Some(values),
            Seen::Listed(list) => Some(&list.written),
            _ => None,
        }
    }
}

/// A number without loss: JSON's 64-bit integers, signed or not, and its fractions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exact {
    Integer(i128),
    Fraction(f64),
}

impl Exact {
    pub(crate) fn from_json(number: &Number) -> Exact {
        match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Exact::Integer(integer.into()),
            (_, Some(integer)) => Exact::Integer(integer.into()),
            // `+ 0.0` turns minus zero into zero.
            _ => Exact::Fraction(number.as_f64().unwrap_or(f64::NAN) + 0.0),
        }
    }

    /// None only for NaN, which no JSON holds.
    pub(crate) fn compare(self, other: Exact) -> Option<Ordering> {
        match (self, other) {
            (Exact::Integer(a), Exact::Integer(b)) => Some(a.cmp(&b)),
            (Exact::Fraction(a), Exact::Fraction(b)) => a.partial_cmp(&b),
            (Exact::Integer(a), Exact::Fraction(b)) => compare_mixed(a, b),
            (Exact::Fraction(a), Exact::Integer(b)) => compare_mixed(b, a).map(Ordering::reverse),
        }
    }

    /// Its integer value, if it has one.
    fn whole(self) -> Option<i128> {
        match self {
            Exact::Integer(integer) => Some(integer),
            Exact::Fraction(number) if number.fract() == 0.0 => Some(number as i128),
            Exact::Fraction(_) => None,
        }
    }
}

/// Compares the whole parts as integers first: going through f64 would make 2^53 and 2^53 + 1 equal.
fn compare_mixed(integer: i128, fraction: f64) -> Option<Ordering> {
    if fraction.is_nan() {
        return None;
    }
    // Past the 128-bit range the cast saturates, which orders rightly against a 64-bit integer.
    let whole = fraction.trunc();
    Some(integer.cmp(&(whole as i128)).then_with(|| whole.total_cmp(&fraction)))
}

/// Equal by kind and value; lists in order, maps by key.
pub(crate) fn equal(a: Seen<'_>, b: Seen<'_>) -> bool {
    match (a, b) {
        (Seen::Truth(a), Seen::Truth(b)) => a == b,
        (Seen::Number(a), Seen::Number(b)) => a.compare(b) == Some(Ordering::Equal),
        (Seen::Text(a), Seen::Text(b)) => a == b,
        (Seen::Map(a), Seen::Map(b)) => {
            let same = |(key, value)| b.get(key).is_some_and(|other| json_equal(value, other));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => match (a.elements(), b.elements()) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b)),
            _ => false,
        },
    }
}

/// As `equal`, but inside lists and maps null is a value like another.
fn json_equal(a: &Value, b: &Value) -> bool {
    (a.is_null() && b.is_null()) || equal(Seen::json(a), Seen::json(b))
}

/// The order of two numbers, or of two texts by code point; nothing else has one.
pub(crate) fn order(a: Seen<'_>, b: Seen<'_>) -> Option<Ordering> {
    match (a, b) {
        (Seen::Number(a), Seen::Number(b)) => a.compare(b),
        (Seen::Text(a), Seen::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Text contains text, a list its elements, a map its keys, a range its integers.
pub(crate) fn contains(haystack: Seen<'_>, needle: Seen<'_>) -> bool {
    match (haystack, needle) {
        (Seen::Text(text), Seen::Text(part)) => text.contains(part),
        (Seen::Map(map), Seen::Text(key)) => map.contains_key(key),
        (Seen::List(values), _) => values.iter().any(|value| equal(Seen::json(value), needle)),
        (Seen::Listed(list), _) => list.contains(needle),
        (Seen::Range(from, until), Seen::Number(number)) => {
            number.whole().is_some_and(|whole| (i128::from(from)..i128::from(until)).contains(&whole))
        }
        _ => false,
    }
}

/// A list written in an expression: sorted by kind, so that a long one is searched and not walked.
#[derive(Clone, Debug)]
pub(crate) struct ValueList {
    /// In the author's order.
    pub(crate) written: Vec<Value>,
    texts: Vec<String>,
    numbers: Vec<Exact>,
}

impl ValueList {
    /// Of text, numbers and booleans.
    pub(crate) fn new(written: Vec<Value>) -> ValueList {
        let mut texts: Vec<String> = written.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let numbers = written.iter().filter_map(Value::as_number).map(Exact::from_json);
        let mut numbers: Vec<Exact> = numbers.collect();
        texts.sort_unstable();
        numbers.sort_unstable_by(|a, b| a.compare(*b).unwrap_or(Ordering::Equal));
        ValueList { written, texts, numbers }
    }

    fn contains(&self, needle: Seen<'_>) -> bool {
        match needle {
            Seen::Text(text) => self.texts.binary_search_by(|known| known.as_str().cmp(text)).is_ok(),
            Seen::Number(number) => {
                // A NaN orders as smaller than all, and is found nowhere.
                let by = |known: &Exact| known.compare(number).unwrap_or(Ordering::Greater);
                self.numbers.binary_search_by(by).is_ok()
            }
            Seen::Truth(truth) => self.written.contains(&Value::Bool(truth)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(a: Value, b: Value, expected: Option<Ordering>) {
        let (seen_a, seen_b) = (Seen::json(&a), Seen::json(&b));
        assert_eq!(order(seen_a, seen_b), expected, "{a} {b}");
        assert_eq!(order(seen_b, seen_a), expected.map(Ordering::reverse), "{b} {a}");
        assert_eq!(equal(seen_a, seen_b), expected == Some(Ordering::Equal), "{a} {b}");
    }

    #[test]
    fn integers_and_fractions_compare_as_exact_numbers() {
        let past = 9_007_199_254_740_993i64;
        check(json!(1), json!(1.0), Some(Ordering::Equal));
        check(json!(0), json!(-0.0), Some(Ordering::Equal));
        check(json!(1), json!(1.5), Some(Ordering::Less));
        check(json!(-1), json!(-1.5), Some(Ordering::Greater));
        check(json!(past), json!(past - 1), Some(Ordering::Greater));
        check(json!(past), json!(9_007_199_254_740_992.0), Some(Ordering::Greater));
        check(json!(past - 1), json!(9_007_199_254_740_992.0), Some(Ordering::Equal));
        check(json!(i64::MAX), json!(9_223_372_036_854_775_808.0), Some(Ordering::Less));
        check(json!(u64::MAX), json!(i64::MAX), Some(Ordering::Greater));
        check(json!(u64::MAX), json!(18_446_744_073_709_551_616.0), Some(Ordering::Less));
        check(json!(i64::MIN), json!(-9_223_372_036_854_775_808.0), Some(Ordering::Equal));
        check(json!(i64::MAX), json!(1e300), Some(Ordering::Less));
        check(json!(i64::MIN), json!(-1e300), Some(Ordering::Greater));
    }

    #[test]
    fn values_of_different_kinds_are_neither_equal_nor_ordered() {
        let kinds = [json!("5"), json!(5), json!(true), json!([5]), json!({"5": 5}), json!(null)];
        for (i, a) in kinds.iter().enumerate() {
            for b in kinds.iter().skip(i + 1) {
                check(a.clone(), b.clone(), None);
            }
        }
    }

    #[test]
    fn lists_and_maps_are_equal_by_value() {
        let same = |a: Value, b: Value| equal(Seen::json(&a), Seen::json(&b));
        assert!(same(json!([1, "a", null]), json!([1.0, "a", null])));
        assert!(!same(json!([1, 2]), json!([2, 1])));
        assert!(same(json!({"a": 1, "b": [2]}), json!({"b": [2.0], "a": 1})));
        assert!(!same(json!({"a": 1}), json!({"a": 1, "b": null})));
    }

    #[test]
    fn a_written_list_finds_what_it_holds_and_nothing_else() {
        let list =
            ValueList::new(vec![json!("b"), json!(3), json!(1.5), json!("a"), json!(true), json!("a")]);
        for (value, expected) in [
            (json!("a"), true),
            (json!("b"), true),
            (json!("c"), false),
            (json!("3"), false),
            (json!(3), true),
            (json!(3.0), true),
            (json!(1.5), true),
            (json!(2), false),
            (json!(true), true),
            (json!(false), false),
            (json!(null), false),
            (json!(["a"]), false),
        ] {
            assert_eq!(contains(Seen::Listed(&list), Seen::json(&value)), expected, "{value}");
        }
        assert!(!contains(Seen::Listed(&list), Seen::Number(Exact::Fraction(f64::NAN))));
    }
}
