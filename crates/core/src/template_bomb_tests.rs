//! Templates meant to hurt: endless, deep, random.

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;

use crate::template::Stop;
use crate::template_check::{check, check_failed, check_fault, compiled, rendered};
use crate::template_filters::Place;
use crate::template_names::Scope;
use crate::template_sample::Sample;
use crate::template_value;
use crate::webhook_draft::Missing;

#[test]
fn a_bomb_ends_within_its_fuel() {
    // Wall clock is the promise here; the bound is generous for a loaded machine.
    #[allow(clippy::disallowed_methods)]
    let began = std::time::Instant::now();
    for source in [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{{ 'a' * 10**8 }}.",
        "{{ 'a' * 10**18 }}.",
        "{{ [0] * 10**8 }}.",
        "{{ [0] * 10**8 }}",
        "{{ ([0] * 10**7) | tojson }}.",
        "{{ ([0] * 10**7) | join(',') }}.",
        "{{ ([0] * 10**7) == ([0] * 10**7) }}.",
        "{{ 5 in ([0] * 10**7) }}.",
        "{{ ([0] * 10**7) | sort }}.",
        "{{ ([0] * 10**7) | list | length }}.",
        "{{ 10 ** 10 ** 10 ** 10 }}.",
        "{{ '%1000000000d' | format(1) }}.",
        "{{ 'a' | indent(10**9) }}.",
        "{{ 'abc' | replace('', 'x' * 100000) | replace('', 'y' * 100000) }}.",
        "{{ range(10**6) | map('string') | join('x' * 10000) }}.",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9000) %}{% set ns.x = ns.x + [1] %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
        "{% for a in [1] recursive %}{{ loop([a]) }}{% endfor %}",
        "{% for a in [1] recursive %}{{ loop([[a]]) }}{% endfor %}",
    ] {
        match rendered(source, Missing::Suppress) {
            Err(Stop::Failed(_)) => {}
            other => panic!("{source}: {:.100}", format!("{other:?}")),
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn text_nested_without_end_is_refused_and_the_deepest_allowed_works() {
    for piece in [
        "(",
        "[",
        "{",
        "not ",
        "-",
        "a.",
        "a|",
        "{{",
        "{%",
        "{% if a %}",
        "{% for a in b %}",
        "(a,",
        "a[",
        "a(",
    ] {
        for text in [piece.repeat(10_000), format!("{{{{ {} }}}}", piece.repeat(10_000))] {
            if text.contains('{') {
                check_fault(&text, &["f: "]);
            }
        }
    }
    for (inner, before, after, depth) in [
        ("1", "(", ")", 32),
        ("1", "[", "]", 32),
        ("1", "-", "", 50),
        ("true", "not ", "", 299),
        ("1", "1 + ", "", 299),
        ("'a'", "'a' ~ ", "", 299),
        ("1", "1 if true else ", "", 99),
        ("user.age", "true and ", "", 99),
        ("user.age", "", " | string", 99),
        ("'a'", "", " | default('b')", 99),
        ("[1]", "", " | batch(1) | list", 70),
        ("user.age", "1 < ", "", 299),
        ("user.age", "", "[1:]", 70),
        ("user.x", "", ".y | default('')", 1),
        ("user", "", ".y", 299),
        ("1", "(1 == ", ")", 32),
    ] {
        let source = format!("{{{{ {}{inner}{} }}}}.", before.repeat(depth), after.repeat(depth));
        let template =
            compiled(&source, Missing::Suppress, Place::Text).unwrap_or_else(|e| panic!("{source:.80}: {e}"));
        let sample = Sample::new();
        let _ = template.text(Scope { context: &sample.context(), masked: false });
    }
    let source = format!("{}x{}", "{% if user.vip %}".repeat(32), "{% endif %}".repeat(32));
    check(&source, "x");
    let source = format!("{{% set x = 1 %}}{}", "{% set x = [x] %}".repeat(3_000));
    check_failed(&source, "deep");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(pieces in prop::collection::vec(prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec![
            "{{", "}}", "{%", "%}", "{#", "#}", " ", "user", ".", "name", "|", "upper", "(", ")", "[", "]", "'a'", "1",
            "if ", "endif", "for ", " in ", "endfor", "else", "set x=", "~", "+", "-", "*", "not ", " is ", "set", "{", "}",
            ":", ",", "count", "secret.KEY", "default", "macro m(", "endmacro", "x", "raw", "endraw", "\n", "==", "!=",
            "elif ", "with ", "endwith", "now", "date", "call ", "endcall", "filter ", "none", "and ", "or ", "1.5e3",
        ]).prop_map(str::to_owned),
    ], 0..24)) {
        let source = pieces.concat();
        let sample = Sample::new();
        let context = sample.context();
        for place in [Place::Text, Place::Url] {
            if let Ok(template) = compiled(&source, Missing::Suppress, place) {
                let scope = Scope { context: &context, masked: false };
                let _ = template.text(scope);
                let _ = template.value(scope);
            }
        }
    }

    #[test]
    fn expressions_made_of_parts_are_woven_without_changing_what_they_mean(e in expression()) {
        let sample = Sample::new();
        let context = sample.context();
        let template = compiled(&format!("{{{{ {e} }}}}"), Missing::Suppress, Place::Text).unwrap();
        let ours = template.value(Scope { context: &context, masked: false }).map(Cow::into_owned);
        let theirs = minijinja::Environment::new()
            .compile_expression_owned(e.clone())
            .unwrap()
            .eval(minijinja::context!(user => minijinja::value::Serde(&sample.profile.attributes)))
            .and_then(|value| template_value::json(&value));
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            prop_assert_eq!(ours.to_string(), theirs.to_string(), "{}", e);
        } else {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", e, ours, theirs);
        }
    }
}

/// Expressions over values that are there: here the engine's own answer is ours.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "2",
        "-3",
        "2.5",
        "user.age",
        "user['big']",
        "user.zero",
        "true",
        "false",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in", "//", "%", "**",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone(), any::<bool>()).prop_map(|(a, op, b, brackets)| {
                let b = if op.ends_with("in") { format!("[{b}, 1]") } else { b };
                let b = if op == "**" { "2".to_owned() } else { b };
                // A list has no order, and a chain of comparisons would ask for it.
                if brackets || op.ends_with("in") {
                    format!("({a} {op} {b})")
                } else {
                    format!("{a} {op} {b}")
                }
            }),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("({a}) | int")),
            inner.clone().prop_map(|a| format!("[{a}] | length")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
        ]
    })
}
