//! Pure. Laws of expressions over random ones: an independent reading of the rules, the algebra, and hostile text.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::expression::{Expression, Scope};
use crate::expression_examples::{Example, mary};
use crate::expression_explain::Explanation;

/// A condition as the test understands it: written out for the parser, judged by `Model::holds` alone.
#[derive(Clone, Debug)]
enum Model {
    Everyone,
    Bare(&'static str),
    Compare(&'static str, &'static str, Side),
    In(&'static str, Vec<Value>, bool),
    Range(&'static str, i64, i64, bool),
    Is(&'static str, Tested, bool),
    All(Vec<Model>),
    Any(Vec<Model>),
    Not(Box<Model>),
}

#[derive(Clone, Debug)]
enum Side {
    Value(Value),
    Attribute(&'static str),
}

#[derive(Clone, Debug)]
enum Tested {
    Set,
    Empty,
    Containing(Value),
    StartingWith(String),
    Between(i64, i64),
    AnyOf(Vec<Value>),
    AllOf(Vec<Value>),
}

type Attributes = Map<String, Value>;

/// Numbers of the generator are halves of integers: twice the number is exact.
fn twice(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    match number.as_i64() {
        Some(integer) => Some(i128::from(integer) * 2),
        None => number.as_f64().map(|fraction| (fraction * 2.0) as i128),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (twice(a), twice(b)) {
        (Some(a), Some(b)) => a == b,
        _ => match (a, b) {
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            _ => a == b,
        },
    }
}

impl Model {
    fn holds(&self, user: &Attributes) -> bool {
        match self {
            Model::Everyone => true,
            Model::Bare(name) => user.get(*name) == Some(&json!(true)),
            Model::All(parts) => parts.iter().all(|part| part.holds(user)),
            Model::Any(parts) => parts.iter().any(|part| part.holds(user)),
            Model::Not(inner) => !inner.holds(user),
            Model::Compare(name, sign, side) => {
                let right = match side {
                    Side::Value(value) => Some(value),
                    Side::Attribute(other) => user.get(*other),
                };
                user.get(*name).zip(right).is_some_and(|(left, right)| compared(left, sign, right))
            }
            Model::In(name, list, negated) => {
                user.get(*name).is_some_and(|value| list.iter().any(|known| same(known, value)) != *negated)
            }
            Model::Range(name, from, until, negated) => user.get(*name).is_some_and(|value| {
                let inside =
                    twice(value).is_some_and(|t| t % 2 == 0 && (*from..*until).contains(&((t / 2) as i64)));
                inside != *negated
            }),
            Model::Is(name, test, negated) => match (test, user.get(*name)) {
                (Tested::Set, value) => value.is_some() != *negated,
                (Tested::Empty, value) => {
                    value.is_none_or(|value| *value == json!("") || *value == json!([])) != *negated
                }
                (_, None) => false,
                (test, Some(value)) => tested(value, test) != *negated,
            },
        }
    }
}

fn compared(left: &Value, sign: &str, right: &Value) -> bool {
    let order = match (twice(left), twice(right), left.as_str(), right.as_str()) {
        (Some(a), Some(b), ..) => Some(a.cmp(&b)),
        (_, _, Some(a), Some(b)) => Some(a.chars().cmp(b.chars())),
        _ => None,
    };
    match sign {
        "==" => same(left, right),
        "!=" => !same(left, right),
        "<" => order.is_some_and(|order| order.is_lt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        ">" => order.is_some_and(|order| order.is_gt()),
        _ => order.is_some_and(|order| order.is_ge()),
    }
}

fn tested(value: &Value, test: &Tested) -> bool {
    match (test, value) {
        (Tested::Containing(Value::String(part)), Value::String(text)) => text.contains(part.as_str()),
        (Tested::Containing(part), Value::Array(values)) => values.iter().any(|value| same(value, part)),
        (Tested::StartingWith(part), Value::String(text)) => text.starts_with(part.as_str()),
        (Tested::Between(low, high), value) => {
            twice(value).is_some_and(|t| (i128::from(*low) * 2..=i128::from(*high) * 2).contains(&t))
        }
        (Tested::AnyOf(list), Value::Array(values)) => {
            list.iter().any(|x| values.iter().any(|value| same(x, value)))
        }
        (Tested::AllOf(list), Value::Array(values)) => {
            list.iter().all(|x| values.iter().any(|value| same(x, value)))
        }
        _ => false,
    }
}

/// Writes with no more brackets than Jinja's precedence asks for, so that precedence is tested too.
fn written(model: &Model) -> String {
    let text = |value: &Value| value.to_string();
    let list = |values: &[Value]| Value::from(values).to_string();
    let not = |negated: &bool| if *negated { "not " } else { "" };
    match model {
        Model::Everyone => "everyone".to_owned(),
        Model::Bare(name) => format!("user.{name}"),
        Model::Compare(name, sign, Side::Value(value)) => format!("user.{name} {sign} {}", text(value)),
        Model::Compare(name, sign, Side::Attribute(other)) => format!("user.{name} {sign} user[\"{other}\"]"),
        Model::In(name, values, negated) => format!("user.{name} {}in {}", not(negated), list(values)),
        Model::Range(name, from, until, negated) => {
            format!("user.{name} {}in range({from}, {until})", not(negated))
        }
        Model::Is(name, test, negated) => {
            let mut out = format!("user.{name} is {}", not(negated));
            let wrote = match test {
                Tested::Set => write!(out, "set"),
                Tested::Empty => write!(out, "empty"),
                Tested::Containing(part) => write!(out, "containing({})", text(part)),
                Tested::StartingWith(part) => write!(out, "starting_with({})", json!(part)),
                Tested::Between(low, high) => write!(out, "between({low}, {high})"),
                Tested::AnyOf(values) => write!(out, "any_of({})", list(values)),
                Tested::AllOf(values) => write!(out, "all_of({})", list(values)),
            };
            wrote.unwrap();
            out
        }
        Model::All(parts) => joined(parts, " and ", |part| matches!(part, Model::Any(_) | Model::All(_))),
        Model::Any(parts) => joined(parts, " or ", |part| matches!(part, Model::Any(_))),
        Model::Not(inner) if matches!(**inner, Model::All(_) | Model::Any(_)) => {
            format!("not ({})", written(inner))
        }
        Model::Not(inner) => format!("not {}", written(inner)),
    }
}

fn joined(parts: &[Model], word: &str, needs_brackets: fn(&Model) -> bool) -> String {
    let bracketed = |part| if needs_brackets(part) { format!("({})", written(part)) } else { written(part) };
    parts.iter().map(bracketed).collect::<Vec<_>>().join(word)
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")]
}

fn literal() -> impl Strategy<Value = Value> {
    let past = 9_007_199_254_740_992i64;
    prop_oneof![
        (-3i64..4).prop_map(|n| json!(n)),
        (-3i64..4).prop_map(|n| json!(n as f64 / 2.0)),
        (past - 1..past + 3).prop_map(|n| json!(n)),
        Just(json!(past as f64)),
        "[ab5é\"\\\\]{0,2}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn literals() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(literal(), 0..4)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![4 => literal(), 1 => literals().prop_map(Value::from)];
    proptest::collection::hash_map(name().prop_map(str::to_owned), value, 0..5)
        .prop_map(|map| map.into_iter().collect())
}

fn comparison() -> impl Strategy<Value = Model> {
    let sign = prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    let side = prop_oneof![literal().prop_map(Side::Value), name().prop_map(Side::Attribute)];
    (name(), sign, side).prop_filter_map("booleans have no order", |(name, sign, side)| {
        let ordered = !matches!(sign, "==" | "!=");
        let refused = ordered && matches!(side, Side::Value(Value::Bool(_)));
        (!refused).then_some(Model::Compare(name, sign, side))
    })
}

fn test() -> impl Strategy<Value = Tested> {
    prop_oneof![
        Just(Tested::Set),
        Just(Tested::Empty),
        literal().prop_map(Tested::Containing),
        "[ab]{0,1}".prop_map(Tested::StartingWith),
        (-2i64..1, 0i64..3).prop_map(|(low, more)| Tested::Between(low, low + more)),
        literals().prop_map(Tested::AnyOf),
        literals().prop_map(Tested::AllOf),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        1 => Just(Model::Everyone),
        1 => name().prop_map(Model::Bare),
        5 => comparison(),
        2 => (name(), literals(), any::<bool>()).prop_map(|(name, list, negated)| Model::In(name, list, negated)),
        1 => (name(), -2i64..1, 1i64..4, any::<bool>())
            .prop_map(|(name, from, more, negated)| Model::Range(name, from, from + more, negated)),
        5 => (name(), test(), any::<bool>()).prop_map(|(name, test, negated)| Model::Is(name, test, negated)),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let parts = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts.clone().prop_map(Model::All),
            parts.prop_map(Model::Any),
            inner.prop_map(|inner| Model::Not(Box::new(inner))),
        ]
    })
}

fn with(attributes: Attributes) -> Example {
    let mut example = mary();
    example.profile.attributes = attributes;
    example
}

fn holds(text: &str, example: &Example) -> bool {
    let parsed = Expression::parse(text, Scope::Audience);
    parsed.unwrap_or_else(|faults| panic!("{text}: {faults:?}")).matches(&example.facts())
}

/// Texts that look like expressions, and are hardly ever one.
fn almost_expression() -> impl Strategy<Value = String> {
    let words = [
        "user",
        ".",
        "a",
        "[",
        "]",
        "(",
        ")",
        "\"a\"",
        "0",
        "1.5",
        "-",
        "and",
        "or",
        "not",
        "in",
        "is",
        "set",
        "==",
        "<",
        "!=",
        ",",
        "count",
        "range",
        "ago",
        "\"1d\"",
        "between",
        "matching",
        "everyone",
        "none",
        "true",
        "\"",
        "é",
        "\\",
        "\n",
        "=",
        "{{",
        "properties",
        "last",
        "\"2026-01-01\"",
        "containing",
        "bucket",
        "event",
        "value",
        "1e999",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..20)
        .prop_map(|words| words.join(" "))
}

fn judge_anything(text: &str) {
    for scope in [Scope::Audience, Scope::Trigger, Scope::Response] {
        match Expression::parse(text, scope) {
            Ok(expression) => {
                let example = mary();
                let explanation = expression.explain(&example.facts());
                assert_eq!(explanation.result, expression.matches(&example.facts()), "{text}");
                let _ = (expression.tree(), expression.warnings(), expression.names(), expression.id_list());
            }
            Err(faults) => {
                assert!(!faults.is_empty(), "{text} is refused without a reason");
                let last = text.chars().count() + 1;
                assert!(faults.iter().all(|fault| (1..=last).contains(&fault.column)), "{text} {faults:?}");
            }
        }
    }
}

fn consistent(explanation: &Explanation) -> bool {
    explanation.first_false().is_none() == explanation.result && explanation.parts.iter().all(consistent)
}

proptest! {
    #[test]
    fn what_is_written_matches_as_the_rules_say(model in model(), attributes in attributes()) {
        let text = written(&model);
        let expected = model.holds(&attributes);
        prop_assert_eq!(holds(&text, &with(attributes)), expected, "{}", text);
    }

    #[test]
    fn an_explanation_always_agrees_with_the_match(model in model(), attributes in attributes()) {
        let example = with(attributes);
        let expression = Expression::parse(&written(&model), Scope::Audience).unwrap();
        let explanation = expression.explain(&example.facts());
        prop_assert_eq!(explanation.result, expression.matches(&example.facts()));
        prop_assert!(consistent(&explanation), "{:?}", explanation);
    }

    #[test]
    fn the_algebra_of_conditions_holds_whatever_is_missing(a in model(), b in model(), attributes in attributes()) {
        let (a, b, example) = (written(&a), written(&b), with(attributes));
        let law = |one: String, other: String| (holds(&one, &example), holds(&other, &example));
        for (one, other) in [
            law(format!("not not ({a})"), a.clone()),
            law(format!("not (({a}) and ({b}))"), format!("not ({a}) or not ({b})")),
            law(format!("not (({a}) or ({b}))"), format!("not ({a}) and not ({b})")),
            law(format!("({a}) and (({a}) or ({b}))"), a.clone()),
            law(format!("({a}) and everyone"), a.clone()),
        ] {
            prop_assert_eq!(one, other, "{} / {}", a, b);
        }
    }

    #[test]
    fn a_negated_operator_is_the_negation_where_the_value_is_set(
        value in literal(), list in literals(), test in test(), attributes in attributes()
    ) {
        let example = with(attributes);
        let law = |plain: String, negated: String| {
            let expected = holds("user.a is set", &example) && !holds(&plain, &example);
            (holds(&negated, &example), expected, plain)
        };
        let list = Value::from(list);
        let plain = written(&Model::Is("a", test.clone(), false));
        let mut laws = vec![
            law(format!("user.a == {value}"), format!("user.a != {value}")),
            law(format!("user.a in {list}"), format!("user.a not in {list}")),
        ];
        if !matches!(test, Tested::Set) {
            laws.push(law(plain, written(&Model::Is("a", test, true))));
        }
        for (negated, expected, text) in laws {
            prop_assert_eq!(negated, expected, "{}", text);
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![almost_expression(), "\\PC{0,40}", "[ -~]{0,40}"]) {
        judge_anything(&text);
    }

    #[test]
    fn a_damaged_expression_is_read_or_refused_never_more(model in model(), at in 0usize..200, junk in "\\PC{0,2}") {
        let mut text: Vec<char> = written(&model).chars().collect();
        let at = at % (text.len() + 1);
        text.splice(at..(at + 1).min(text.len()), junk.chars());
        judge_anything(&text.into_iter().collect::<String>());
    }
}
