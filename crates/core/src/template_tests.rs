//! What a template promises, row by row.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fault::Faults;
use crate::template::{Language, Stop, Template};
use crate::template_filters::{self, FILTERS, Place, TESTS};
use crate::template_names::Scope;
use crate::template_sample::{Sample, map};
use crate::webhook_draft::Missing;

fn compiled(source: &str, missing: Missing, place: Place) -> Result<Template, String> {
    let mut faults = Faults::default();
    let template = Language::new(missing, place).template(source, "f", &mut faults);
    assert_eq!(template.is_none(), !faults.is_empty(), "{source}: {faults}");
    template.ok_or_else(|| faults.to_string())
}

fn rendered(source: &str, missing: Missing) -> Result<String, Stop> {
    let sample = Sample::new();
    let template = compiled(source, missing, Place::Text).unwrap_or_else(|fault| panic!("{source}: {fault}"));
    template.text(Scope { context: &sample.context(), masked: false })
}

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(rendered(source, Missing::Suppress), Ok(expected.to_owned()), "{source}");
}

#[track_caller]
fn check_missing(source: &str, expression: &str) {
    match rendered(source, Missing::Suppress) {
        Err(Stop::Missing(text)) => assert!(text.contains(&format!("`{expression}`")), "{source}: {text}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[track_caller]
fn check_failed(source: &str, part: &str) {
    match rendered(source, Missing::Suppress) {
        Err(Stop::Failed(text)) => assert!(text.contains(part), "{source}: {text}"),
        other => panic!("{source:.100}: {other:?}"),
    }
}

#[track_caller]
fn check_value(source: &str, expected: &str) {
    let sample = Sample::new();
    let template = compiled(source, Missing::Suppress, Place::Text).unwrap();
    let context = sample.context();
    let value = template.value(Scope { context: &context, masked: false }).map(|value| value.to_string());
    assert_eq!(value, Ok(expected.to_owned()), "{source}");
}

#[track_caller]
fn check_fault(source: &str, parts: &[&str]) {
    let fault = compiled(source, Missing::Suppress, Place::Text).err().unwrap_or_default();
    for part in parts {
        assert!(fault.contains(part), "{source:.100}: {fault:?} lacks {part:?}");
    }
}

#[test]
fn names_stand_for_what_they_say() {
    check("", "");
    check("plain { text } %", "plain { text } %");
    check("Hello {{ user.name }}!\n", "Hello Mary!\n");
    check(r#"{{ user["First name"] }}"#, "M\"\n");
    check(
        "{{ user.age }} {{ user.vip }} {{ user.off }} {{ user.score }} {{ user.one }}",
        "41 true false 1.5 1.0",
    );
    check("{{ user.tags }} {{ user.address }}", r#"["b","a"] {"city":"Köln","zip":null}"#);
    check("{{ user.tags[0] }}{{ user.tags[-1] }}", "ba");
    check("{{ user_id }} {{ time_zone }} {{ send_id }}", "u 1/ä Europe/Berlin snd_1");
    check("{{ now }} {{ due_at }}", "2026-07-01T14:00:01+02:00 2026-07-01T12:00:00Z");
    check(
        "{{ event.name }} {{ event.value }} {{ event.occurred_at }}",
        "purchase 600 2026-07-01T10:00:00.5Z",
    );
    check("{{ properties.total }} {{ properties.nested.a.b[1] }} {{ event.properties.total }}", "600 2 600");
    check("{{ count('purchase') }} {{ count('never') }} {{ lifetime_value }}", "2 0 1200");
    check("{{ first('purchase') }} {{ last('purchase') }}", "2026-06-01T00:00:00Z 2026-07-01T10:00:00.5Z");
    check("{{ first_seen }} {{ last_seen }}", "2026-06-01T00:00:00Z 2026-07-01T10:00:00.5Z");
    check("{{ count(properties.kind) }} {{ last(properties.kind) }}", "2 2026-07-01T10:00:00.5Z");
    check("{{ count(user.name) }}", "0");
    check(
        "{{ secret.KEY }} {{ campaign.id }} {{ campaign.title }} {{ action.name }}",
        "s3cr3t/ü first The \"first\" hello",
    );
}

#[test]
fn leanplums_names_mean_the_same() {
    check("{{ userAttribute['name'] }} {{ userAttribute.age }} {{ city }}", "Mary 41 Wien");
    check("{{ occurrencesOf['purchase'] }} {{ occurrencesOf['never'] }}", "2 0");
    check("{{ valueOf['purchase'] }} {{ lifetimeValue }}", "1200 1200");
    check("{{ firstOccurrenceOf['purchase'] }} {{ firstRun }}", "2026-06-01T00:00:00Z 2026-06-01T00:00:00Z");
    check(
        "{{ lastOccurrenceOf.purchase }} {{ lastActive }}",
        "2026-07-01T10:00:00.5Z 2026-07-01T10:00:00.5Z",
    );
    check_missing("{{ country }}{{ language }}", "country");
}

#[test]
fn values_of_a_manual_entry_shadow_attributes() {
    let mut sample = Sample::new();
    sample.values = Some(map(json!({"name": "Ann", "cents": 5})));
    let context = sample.context();
    for (source, expected) in [
        ("{{ values.cents }} {{ user.name }} {{ user.cents }} {{ user.age }}", "5 Ann 5 41"),
        ("{{ userAttribute.name }}", "Ann"),
        ("{% set k = 'name' %}{{ user[k] }}", "Ann"),
    ] {
        let template = compiled(source, Missing::Suppress, Place::Text).unwrap();
        assert_eq!(template.text(Scope { context: &context, masked: false }).unwrap(), expected, "{source}");
    }
}

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

#[test]
fn one_expression_alone_keeps_its_type() {
    check_value("{{ user.age }}", "41");
    check_value("{{- user.age -}}", "41");
    check_value("{{ user.vip }}", "true");
    check_value("{{ user.big }}", "9007199254740993");
    check_value("{{ user.big + 1 }}", "9007199254740994");
    check_value("{{ user.score }}", "1.5");
    check_value("{{ user.tags }}", r#"["b","a"]"#);
    check_value("{{ user.tags | sort }}", r#"["a","b"]"#);
    check_value("{{ user.address }}", r#"{"city":"Köln","zip":null}"#);
    check_value("{{ properties.nested.a }}", r#"{"b":[1,2]}"#);
    check_value("{{ {'z': user.age, 'a': user.name} }}", r#"{"z":41,"a":"Mary"}"#);
    check_value("{{ user.age > 40 }}", "true");
    check_value("{{ count('purchase') }}", "2");
    check_value("{{ lifetime_value }}", "1200");
    check_value("{{ event.value }}", "600");
    check_value("{{ occurrencesOf }}", r#"{"purchase":2}"#);
    check_value("{{ user.age | string }}", "\"41\"");
    check_value("{{ user.vip | string }}", "\"true\"");
    check_value(" {{ user.age }}", "\" 41\"");
    check_value("{{ user.age }}{{ user.age }}", "\"4141\"");
    check_value("text", "\"text\"");
    check_value("{{ none }}", "null");
    check_value(
        "{{ event }}",
        r#"{"name":"purchase","value":600,"occurred_at":"2026-07-01T10:00:00.5Z","properties":{"total":600,"price":9.5,"kind":"purchase","items":[{"sku":"x","n":2},{"sku":"y\"","n":1},{"n":3}],"nested":{"a":{"b":[1,2]}}}}"#,
    );
}

#[test]
fn filters_do_what_they_say() {
    check("{{ user.address | tojson }} {{ user.html | tojson }}", r#"{"city":"Köln","zip":null} "<b>&</b>""#);
    check("{{ user.path | urlencode }}.", "..%2Fx%3Fy%23z.");
    check("{{ {'a b': 'c&d', 'e': 1} | urlencode }}.", "a+b=c%26d&e=1.");
    check("{{ now | date('%d.%m.%Y %H:%M') }}.", "01.07.2026 14:00.");
    check("{{ now | date('%H:%M', 'Asia/Tokyo') }}.", "21:00.");
    check("{{ now | date(tz='America/New_York', format='%H:%M %z') }}.", "08:00 -0400.");
    check(
        "{{ user.born | date('%-d. %B') }} {{ 0 | date }} {{ 1700000000000 | date('%Y') }}",
        "29. February 1970-01-01 2023",
    );
    check("{{ user.name | sha256 }}.", "aebac53c46bbeff10fdd26ca0e2196a9bfc1d19bf88eb1efd65a36151c581051.");
    check("{{ (user_id ~ ':') | b64encode }}.", "dSAxL8OkOg==.");
    check("{{ 'Hällo, World -- 2!' | slug }}.", "hällo-world-2.");
    check("{{ 12.5 | money }} {{ 3 | money('EUR') }} {{ '7' | money }}.", "12.50 3.00 EUR 7.00.");
    check("{{ user.tags | join(', ') }} {{ [true, 1] | join('-') }}.", "b, a true-1.");
    check("{{ properties.items | map(attribute='n') | sum }}.", "6.");
    check("{{ user.html | escape }}.", "&lt;b&gt;&amp;&lt;&#x2f;b&gt;.");
    check("{{ user.vip ~ user.age ~ user.tags }}.", "true41[\"b\",\"a\"].");
    check_failed("{{ 'soon' | date }}.", "names no time");
    check_failed("{{ now | date('%Y', 'Mars/Base') }}.", "not a time zone");
    check_failed("{{ 'x' | money }}.", "no amount");
}

#[test]
fn blocks_of_jinja_work() {
    check(
        "{% for i in properties.items if i.n > 1 %}{{ loop.index }}:{{ i.n }}{{ ',' if not loop.last }}{% endfor %}",
        "1:2,2:3",
    );
    check(
        "{% for k, v in user.address | items %}{{ k }}={{ v | default('-') }};{% endfor %}",
        "city=Köln;zip=-;",
    );
    check("{% for a in [1, [2, [3]]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}", "123");
    check("{% if user.x %}a{% elif user.age == 41 %}b{% else %}c{% endif %}", "b");
    check("{% if user.x %}a{% else %}{% if false %}b{% endif %}c{% endif %}", "c");
    check("{% set a, b = [1, 2] %}{{ a }}{{ b }}", "12");
    check("{% set x %}<{{ user.name }}>{% endset %}{{ x | upper }}.", "<MARY>.");
    check("{% set x | upper | replace('A', 'O') %}a{{ user.name }}{% endset %}{{ x }}", "OMORY");
    check("{% filter upper %}a{{ user.name }}{% endfilter %}", "AMARY");
    check("{% with a = 1, b = user.age %}{{ a + b }}{% endwith %}", "42");
    check("{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}", "[1x][12]");
    check("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}", "<in>");
    check(
        "{% set ns = namespace(n=0) %}{% for i in properties.items %}{% set ns.n = ns.n + i.n %}{% endfor %}{{ ns.n }}",
        "6",
    );
    check("{# note #}{% raw %}{{ user.x }} {% if %}{% endraw %}.", "{{ user.x }} {% if %}.");
    check("{%- if true -%}  a  {%- endif -%}  b", "ab");
    check("{{ 'a' if user.vip }}{{ 'b' if user.off }}.", "a.");
    check("{{ user.name[1:3] }} {{ user.tags[::-1] | list }} {{ 'ab' \"c\" }}", "ar [\"a\",\"b\"] abc");
    check("{{ loop_ok | default('x') if false else 'y' }}".replace("loop_ok", "user.q").as_str(), "y");
}

#[test]
fn an_abort_says_why() {
    assert_eq!(
        rendered("{% if user.age > 40 %}{{ abort('too old: ' ~ user.age) }}{% endif %}", Missing::Suppress),
        Err(Stop::Aborted("too old: 41".to_owned()))
    );
    assert_eq!(rendered("{{ abort('no') }}", Missing::Empty), Err(Stop::Aborted("no".to_owned())));
    assert_eq!(rendered("{{ abort() }}", Missing::Empty), Err(Stop::Aborted("no reason given".to_owned())));
    match rendered("{{ abort('the key is ' ~ secret.KEY) }}", Missing::Suppress) {
        Err(Stop::Aborted(text)) => assert!(!text.contains("s3cr3t"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fault_names_line_and_column_and_what_would_be_right() {
    check_fault("a\n  {{ user.name", &["f: line 2, column"]);
    check_fault("{% if %}", &["line 1"]);
    check_fault("{{ user.name }", &["line 1"]);
    check_fault("{% endif %}", &["line 1"]);
    check_fault("{% for x in %}", &["line 1"]);
    check_fault("é\n{{ usr.name }}", &["line 2, column 4: usr is not known here, did you mean user"]);
    check_fault("{{ name }}", &["attributes of the user are written user.name"]);
    check_fault("{{ user.name | uper }}", &["line 1, column 16", "filter uper", "did you mean upper"]);
    check_fault("{{ user.name is strin }}", &["test strin", "did you mean string"]);
    check_fault("{{ conut('x') }}", &["function conut", "did you mean count"]);
    check_fault("{{ user.name.upper() }}", &["no methods", "| upper"]);
    check_fault("{{ user.name() }}{{ event.x }}", &["no methods", "properties.x"]);
    check_fault("{{ count }}", &["count is a function"]);
    check_fault("{{ count('a', '30d') }}", &["over a window is not available in this version"]);
    for name in
        ["linked.x", "linkedData.x", "previous.status", "change.from", "variant", "events", "sum('a')"]
    {
        check_fault(&format!("{{{{ {name} }}}}"), &["is not available in this version"]);
    }
    check_fault("{{ user_id.x }}", &["user_id is one value"]);
    check_fault("{{ secret }}", &["secret.API_KEY"]);
    check_fault("{{ secret[user.x] }}", &["secret.API_KEY"]);
    check_fault("{{ campaign.x }}", &["campaign.id or campaign.title"]);
    check_fault("{% set user = 1 %}", &["user is taken"]);
    check_fault("{{ __0 }}{% set __x = 1 %}", &["__x is taken"]);
    check_fault("{{ now | date('%!') }}", &["not a date format"]);
    check_fault("{{ user.x | map('uper') }}", &["filter uper"]);
    check_fault("{% autoescape true %}{% endautoescape %}", &["not available"]);
    check_fault("{% include 'x' %}", &["include"]);
    check_fault("{{ debug() }}", &["debug"]);
    check_fault("{{ user.name | hmac_sha256(user.x) }}", &["name of a secret"]);
    check_fault("{{ a }}{{ b }}", &["line 1, column 4: a is", "line 1, column 11: b is"]);
}

#[test]
fn a_place_in_a_url_is_encoded_unless_it_is_a_secret() {
    let sample = Sample::new();
    let context = sample.context();
    for (source, expected) in [
        ("/a b/{{ user.path }}?q={{ user.name }}&{{ user_id }}", "/a b/..%2Fx%3Fy%23z?q=Mary&u%201%2F%C3%A4"),
        ("{{ user_id }}", "u%201%2F%C3%A4"),
        ("/{{ secret.KEY }}/{{ user.path | urlencode }}", "/s3cr3t/ü/..%2Fx%3Fy%23z"),
        ("{{ secret.KEY }}", "s3cr3t/ü"),
        ("{% if user.vip %}/a{{ '/' }}{% endif %}{% raw %}/{{}}{% endraw %}", "/a%2F/{{}}"),
        ("{{ user_id | lower }}", "u%201%2F%C3%A4"),
        ("?{% for t in user.tags %}t={{ t }}{{ '' if loop.last else '&' }}{% endfor %}", "?t=b%26t=a"),
    ] {
        let template =
            compiled(source, Missing::Suppress, Place::Url).unwrap_or_else(|e| panic!("{source}: {e}"));
        assert_eq!(template.text(Scope { context: &context, masked: false }).unwrap(), expected, "{source}");
    }
    let masked = compiled("/{{ secret.KEY }}", Missing::Suppress, Place::Url).unwrap();
    assert_eq!(masked.text(Scope { context: &context, masked: true }).unwrap(), "/***");
    for source in [
        "{% macro m() %}{% endmacro %}",
        "{{ user.x | safe }}",
        "{{ user.x | escape }}",
        "{% set x %}{% endset %}",
    ] {
        assert!(compiled(source, Missing::Suppress, Place::Url).is_err(), "{source}");
    }
}

#[test]
fn every_filter_and_test_that_can_be_written_exists() {
    let engine = template_filters::engine(Missing::Suppress, Place::Text);
    for filter in FILTERS.iter().filter(|filter| !matches!(**filter, "date" | "hmac_sha256")) {
        let error = engine.render_str(&format!("{{{{ 1 | {filter} }}}}"), ()).err();
        assert_ne!(error.map(|e| e.kind()), Some(minijinja::ErrorKind::UnknownFilter), "{filter}");
    }
    for test in TESTS {
        let error = engine.render_str(&format!("{{{{ 1 is {test}(1) }}}}"), ()).err();
        assert_ne!(error.map(|e| e.kind()), Some(minijinja::ErrorKind::UnknownTest), "{test}");
    }
}

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

#[test]
fn secrets_are_masked_when_somebody_looks_and_never_in_an_error() {
    let sample = Sample::new();
    let context = sample.context();
    let template =
        compiled("k={{ secret.KEY }} {{ 'm' | hmac_sha256('KEY') }}", Missing::Suppress, Place::Text)
            .unwrap();
    let shown = template.text(Scope { context: &context, masked: true }).unwrap();
    assert!(shown.starts_with("k=*** "), "{shown}");
    for source in [
        "{{ secret.KEY + 1 }}.",
        "{{ secret.KEY | date }}.",
        "{{ secret.KEY | money }}.",
        "{{ secret.KEY | int }}.",
    ] {
        let template = compiled(source, Missing::Suppress, Place::Text).unwrap();
        let stop = template.text(Scope { context: &context, masked: false }).unwrap_err();
        assert!(!format!("{stop:?}").contains("s3cr3t"), "{stop:?}");
    }
    let gone = compiled("{{ secret.GONE }}.", Missing::Suppress, Place::Text).unwrap();
    let stop = gone.text(Scope { context: &context, masked: false }).unwrap_err();
    assert_eq!(stop, Stop::Failed("secret GONE does not exist".to_owned()));
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
        let ours = template.value(Scope { context: &context, masked: false }).map(std::borrow::Cow::into_owned);
        let theirs = minijinja::Environment::new()
            .compile_expression_owned(e.clone())
            .unwrap()
            .eval(minijinja::context!(user => minijinja::value::Serde(&sample.profile.attributes)))
            .map(|value| serde_json::to_value(&value).unwrap());
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            prop_assert_eq!(same_numbers(ours), same_numbers(theirs), "{}", e);
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
                if brackets { format!("({a} {op} {b})") } else { format!("{a} {op} {b}") }
            }),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("({a}) | int")),
            inner.clone().prop_map(|a| format!("[{a}] | length")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
        ]
    })
}

/// The engine serialises some integers wider than JSON's.
fn same_numbers(value: &Value) -> String {
    value.to_string()
}
