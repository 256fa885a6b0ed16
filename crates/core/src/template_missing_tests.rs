//! What a missing value does to a template, operator by operator and filter by filter.

use serde_json::json;

use crate::template_check::{check, check_missing, check_value, compiled, rendered};
use crate::template_filters::{FILTERS, Place};
use crate::template_names::Scope;
use crate::template_sample::Sample;
use crate::webhook_draft::Missing;

#[test]
fn a_missing_or_null_value_is_never_printed() {
    check_missing("a {{ user.x }} b", "user.x");
    check_missing("{{ user.null }}!", "user.null");
    check_missing("{{ user.address.zip }}.", "user.address.zip");
    check_missing("{{ user.x.y.z }}.", "user.x.y.z");
    check_missing(r#"{{ user["no name"] }}."#, r#"user["no name"]"#);
    check_missing("{{ user[user.name] }}.", "user[user.name]");
    check_missing("{{ user.tags[7] }}.", "user.tags[7]");
    check_missing("{{ values.x }}.", "values.x");
    check_missing("{{ first('never') }}.", "first('never')");
    check_missing("{{ none }}.", "none");
    check_missing("{{ user.x }}", "user.x");
    check_missing("{% set x = user.x %}{{ x }}", "x");
    check_missing("{{ user.x if true }}.", "user.x if true");
    check_missing("{{ user.x or user.y }}.", "user.x or user.y");
    check_missing("{{ properties.items[2].sku }}.", "properties.items[2].sku");
    check_missing("{% for i in properties.items %}{{ i.sku }}{% endfor %}", "i.sku");
    check_missing("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(user.x) }}", "x");
    check_missing("line\n  {{ user.name }}{{ user.x }}", "user.x");
}

#[test]
fn a_missing_value_is_never_changed_into_something() {
    for filter in FILTERS.iter().filter(|filter| !matches!(**filter, "default" | "d")) {
        let arguments = match *filter {
            "hmac_sha256" => "('KEY')",
            "map" => "('upper')",
            _ => "",
        };
        check_missing(&format!("{{{{ user.x | {filter}{arguments} }}}}."), "user.x");
    }
    for (source, expression) in [
        ("{{ 'a' ~ user.x }}.", "user.x"),
        ("{{ user.x ~ 'a' }}.", "user.x"),
        ("{{ user.x + 1 }}.", "user.x"),
        ("{{ 1 - user.x }}.", "user.x"),
        ("{{ 2 * user.x }}.", "user.x"),
        ("{{ user.x / 2 }}.", "user.x"),
        ("{{ user.x // 2 }}.", "user.x"),
        ("{{ user.x % 2 }}.", "user.x"),
        ("{{ user.x ** 2 }}.", "user.x"),
        ("{{ -user.x }}.", "user.x"),
        ("{{ user.x[1:] }}.", "user.x"),
        ("{{ user.name[user.x:] }}.", "user.x"),
        ("{{ [1, user.x] }}.", "user.x"),
        ("{{ {'a': user.x} }}.", "user.x"),
        ("{{ (1, user.x) }}.", "user.x"),
        ("{% for a in user.x %}{% endfor %}", "user.x"),
        ("{{ range(user.x) }}.", "user.x"),
        ("{{ user.name | replace('a', user.x) }}.", "user.x"),
        ("{{ user.name | upper | replace('a', user.x | lower) }}.", "user.x"),
        ("{{ abort(user.x) }}.", "user.x"),
        ("{{ (user.x or user.y) | upper }}.", "user.x or user.y"),
        (
            "{{ properties.items | map(attribute='sku') | join(',') }}.",
            "properties.items | map(attribute='sku') | join(',')",
        ),
        (
            "{{ properties.items | join(',', attribute='sku') }}.",
            "properties.items | join(',', attribute='sku')",
        ),
        ("{{ user.none_list | join(',') }}.", "user.none_list | join(',')"),
        ("{{ [] | first }}.", "[] | first"),
        ("{{ [] | first | upper }}.", "[] | first"),
        (
            "{{ properties.items | map(attribute='sku') | list | tojson }}.",
            "properties.items | map(attribute='sku') | list | tojson",
        ),
    ] {
        check_missing(source, expression);
    }
}

#[test]
fn comparing_or_testing_a_missing_value_is_false() {
    for condition in [
        "user.x",
        "user.x == 1",
        "user.x != 1",
        "1 != user.x",
        "user.x == user.y",
        "user.x < 1",
        "user.x <= 1",
        "user.x > 1",
        "user.x >= 1",
        "1 < user.x < 3",
        "0 < user.age < user.x",
        "user.x in ['a']",
        "user.x not in ['a']",
        "'a' in user.x",
        "'a' not in user.x",
        "user.x is set",
        "user.null is defined",
        "user.age is none",
        "user.age is undefined",
        "user.x is eq 'a'",
        "user.x is ne 'a'",
        "user.x is string",
        "user.x is empty",
        "user.x is starting_with('a')",
        "user.name is starting_with(user.x)",
        "user.x is even",
        "user.x.y.z == 1",
        "user.x and user.x == 1",
        "user.x.y is set",
        "user.null != 1",
        "'5' == 5",
        "'5' < 6",
        "user.tags < 6",
    ] {
        check(&format!("{{% if {condition} %}}yes{{% else %}}no{{% endif %}}"), "no");
        check(&format!("{{{{ 'yes' if {condition} else 'no' }}}}."), "no.");
    }
}

#[test]
fn conditions_on_what_is_there_hold() {
    for condition in [
        "user.name",
        "not user.x",
        "user.name == 'Mary'",
        "user.name != 'Ann'",
        "user.age == 41.0",
        "user.age < 42 and 42 > user.age",
        "1 < user.age <= 41 < 50",
        "user.name in ['Mary']",
        "user.name not in ['Ann']",
        "not user.name in ['Ann']",
        "not (user.x in ['a'])",
        "not (user.x == 1)",
        "'b' in user.tags",
        "'ar' in user.name",
        "user.name is set and user.x is not set",
        "user.x is none and user.null is none and user.x is undefined",
        "user.name is defined",
        "user.name is starting_with 'Ma'",
        "user.name is ending_with('y') and user.name is containing('ar')",
        "user.tags is containing 'a'",
        "user.empty is empty",
        "user.age is odd",
        "user.age is divisibleby(41)",
        "user.address == {'city': 'Köln', 'zip': none}",
        "(user.age + 1) * 2 == 84",
        "user.age - 1 - 1 == 39",
        "2 ** 3 == 8 and 7 // 2 == 3 and 7 % 4 == 3",
        "-user.age == -41",
        "-user.age | abs == 41",
        "not not user.name",
        "user.x or user.name",
        "user.name is not in ['Ann']",
    ] {
        check(&format!("{{% if {condition} %}}yes{{% else %}}no{{% endif %}}"), "yes");
    }
}

#[test]
fn a_default_fills_a_hole_at_any_depth() {
    check("{{ user.x | default('a') }}", "a");
    check("{{ user.x.y.z | default('a') | upper }}.", "A.");
    check("{{ user.null | d('a') }}", "a");
    check("{{ user.x | default }}.", ".");
    check("{{ user.empty | default('a') }}.", ".");
    check("{{ user.empty | default('a', true) }}.", "a.");
    check("{{ user.x | default(user.y) | default(user.name) }}.", "Mary.");
    check("{{ (user.x | default('a')) ~ 'b' }}.", "ab.");
    check("{{ user.x or 'a' }}.", "a.");
    check("{{ user.x if user.x is set else 'a' }}.", "a.");
    check("{% for t in user.x | default([]) %}{{ t }}{% else %}none{% endfor %}", "none");
    check_missing("{{ user.x | default(user.y) }}.", "user.x | default(user.y)");
    check_value("{{ user.x | default(none) }}", "null");
    check_missing("{{ user.x | default(none) }}.", "user.x | default(none)");
}

#[test]
fn empty_mode_prints_nothing_instead() {
    for (source, expected) in [
        ("a{{ user.x }}b", "ab"),
        ("{{ user.x }}", ""),
        ("{{ user.x | upper }}.", "."),
        ("{{ 'a' ~ user.x ~ 'b' }}.", "ab."),
        ("{% for a in user.x %}x{% endfor %}.", "."),
        ("{{ user.x | default('d') }}", "d"),
        ("{% if user.x != 1 %}yes{% endif %}.", "."),
        ("{{ user.null }}.", "."),
        ("{{ [user.x] }}.", "[\"\"]."),
    ] {
        assert_eq!(rendered(source, Missing::Empty), Ok(expected.to_owned()), "{source}");
    }
    let sample = Sample::new();
    let template = compiled("{{ user.x }}", Missing::Empty, Place::Text).unwrap();
    let context = sample.context();
    assert_eq!(template.value(Scope { context: &context, masked: false }).unwrap().into_owned(), json!(""));
}
