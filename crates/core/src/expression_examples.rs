//! Pure. One well-known user and event for the tests of expressions, and the checks they share.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::event::Event;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::segments::Segments;
use crate::user::Profile;

/// A user, an event and an instant, owned; `facts` lends them.
pub(crate) struct Example {
    pub(crate) profile: Profile,
    pub(crate) event: Event,
    pub(crate) values: Map<String, Value>,
    pub(crate) as_of: Timestamp,
    pub(crate) fallback_zone: TimeZone,
}

impl Example {
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            profile: &self.profile,
            event: Some(&self.event),
            values: Some(&self.values),
            previous: None,
            as_of: self.as_of,
            now: self.as_of,
            segments: Segments::none(),
            fallback_zone: &self.fallback_zone,
        }
    }
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Mary in Berlin, at half past midnight of 1 March 2026 there, who has just bought for 12.
pub(crate) fn mary() -> Example {
    let mut profile = Profile::new("mary", at("2025-01-01T00:00:00Z"));
    profile.time_zone = Some("Europe/Berlin".to_owned());
    profile.attributes = map(json!({
        "name": "Mary Doe", "First name": "Mary", "plan": "pro", "age": 41, "score": 4.5, "vip": true, "digest": false,
        "nick": "", "tags": ["vip", "beta", 7], "none_yet": [], "größe": 170, "address": {"city": "Köln", "zip": "50667"},
        "big": 9_007_199_254_740_993i64, "birthday": "1985-03-01", "leap": "2000-02-29", "visits": [{"page": "/a"}],
        "trial_ends_at": "2026-03-03T12:00:00+01:00", "renews": "2026-03-01", "signed_up": 1_740_000_000,
        "signed_up_ms": 1_740_000_000_000i64, "soon": "soon", "low": 18, "high": 65, "allowed": ["pro", "team"],
    }));
    for (name, value, when) in [
        ("session", None, "2025-06-01T10:00:00Z"),
        ("purchase", Some(30.5), "2026-01-10T10:00:00Z"),
        ("purchase", Some(12.0), "2026-02-28T23:29:00Z"),
    ] {
        let properties = Map::new();
        let event = Event {
            name: name.to_owned(),
            value,
            properties,
            occurred_at: at(when),
            id: "e".to_owned(),
            happening: None,
            collected: Vec::new(),
        };
        profile.count(&event, at(when));
    }
    let event = Event {
        name: "purchase".to_owned(),
        value: Some(12.0),
        properties: map(json!({
            "total": 12, "currency": "EUR", "nothing": null, "items": [{"sku": "a-1"}, {"sku": "b-2"}],
            "deep": {"a": {"b": {"c": 1}}}, "in": 1, "gift": true,
        })),
        occurred_at: at("2026-02-28T23:29:00Z"),
        id: "e-1".to_owned(),
        happening: None,
        collected: Vec::new(),
    };
    let values = map(json!({"cents": 250}));
    Example { profile, event, values, as_of: at("2026-02-28T23:30:00Z"), fallback_zone: TimeZone::UTC }
}

pub(crate) fn parsed(text: &str) -> Expression {
    Expression::parse(text, Scope::Trigger).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

/// `text` comes out as `expected` for Mary, and its explanation says the same.
#[track_caller]
pub(crate) fn check(text: &str, expected: bool) {
    let example = mary();
    let expression = parsed(text);
    assert_eq!(expression.matches(&example.facts()), expected, "{text}");
    assert_eq!(expression.explain(&example.facts()).result, expected, "explaining {text}");
}

/// `text` is refused in `scope` with a fault at `column` that says `expected`.
#[track_caller]
pub(crate) fn check_refused_in(scope: Scope, text: &str, column: usize, expected: &str) {
    let faults = match Expression::parse(text, scope) {
        Ok(_) => panic!("{text} was not refused, expected {expected:?}"),
        Err(faults) => faults,
    };
    let found = faults.iter().any(|fault| fault.column == column && fault.text.contains(expected));
    assert!(found, "{text} gave {faults:?}, expected {expected:?} at {column}");
}

#[track_caller]
pub(crate) fn check_refused(text: &str, column: usize, expected: &str) {
    check_refused_in(Scope::Trigger, text, column, expected);
}
