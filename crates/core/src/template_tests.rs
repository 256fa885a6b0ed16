//! What a template promises: its names, types, filters, blocks and faults.

use serde_json::json;

use crate::template::Stop;
use crate::template_check::{
    check, check_failed, check_fault, check_missing, check_value, compiled, rendered,
};
use crate::template_filters::{self, FILTERS, Place, TESTS};
use crate::template_names::Scope;
use crate::template_sample::{Sample, map};
use crate::webhook_draft::Missing;

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
        "{{ count('purchase', '1d') }} {{ count('purchase', '30d') }} {{ count('never', '90d') }}",
        "1 2 0",
    );
    check("{{ sum('purchase', '7d') }} {{ sum('purchase') }} {{ avg('purchase') }}", "600 1200 600");
    check("{{ min('purchase') }} {{ max(properties.kind, '7d') }} {{ count(user.name, '7d') }}", "600 600 0");
    check("{{ avg('never') | default(0) }}{% set sum = 1 %}{{ sum }}", "01");
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
fn what_people_write_in_jinja_works() {
    check("{% for t in user.tags %}{{ loop.cycle('x', 'y') }}{{ t }}{% endfor %}", "xbya");
    check("{{ user.tags | map('upper') | join('+') }}", "B+A");
    check("{{ user.x | default('x', boolean=true) }}{{ user.empty | default('y', boolean=true) }}", "xy");
    check("{{ 'Dear %s' | format(user.name) }}.", "Dear Mary.");
    check(
        "{{ range(3) | list }} {{ dict(a=1) | tojson }} {{ [3, 1, 2] | sort | first }}",
        "[0,1,2] {\"a\":1} 1",
    );
    check("{% if user.tags | length > 1 and not user.x %}many{% endif %}", "many");
    check("{% for k in user.address %}{{ k }} {% endfor %}", "city zip ");
    check("{{ properties.items | selectattr('n', 'gt', 1) | map(attribute='n') | join(',') }}", "2,3");
    check("{{ properties.items | selectattr('sku') | list | length }}", "2");
    check("{{ user.tags | reverse | list }} {{ user.name | reverse }}", "[\"a\",\"b\"] yraM");
    check("{{ user.age / 2 }} {{ user.age // 2 }} {{ 7.0 }} {{ (user.score * 2) | int }}", "20.5 20 7.0 3");
    check(
        "{{ user.name | replace('M', 'm') | title }} {{ ' a ' | trim }}{{ 'a,b' | split(',') | last }}",
        "Mary ab",
    );
    check("{% if user.vip %}a{% endif -%}   b", "ab");
    check("{{ {'a': {'b': 1}}.a.b }}{{ [1, 2][1] }}{{ ('x', 'y')[0] }}", "12x");
    check("{% if 'purchase' in occurrencesOf and occurrencesOf['purchase'] > 1 %}yes{% endif %}", "yes");
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
    check_fault("{{ count('a', '36h') }}", &["a window is whole days, 1d to 90d"]);
    check_fault("{{ sum('a', '91d') }}", &["a window is whole days, 1d to 90d"]);
    check_fault("{{ avg('a', user.x) }}", &["write avg(\"event\") or avg(\"event\", \"30d\")"]);
    check_fault("{{ last('a', '7d') }}", &["write last(\"event\")"]);
    check_fault("{{ min }}", &["min is a function"]);
    for name in ["linked.x", "linkedData.x", "previous.response"] {
        check_fault(&format!("{{{{ {name} }}}}"), &["is not available in this version"]);
    }
    check_fault("{{ change }}", &["change.attribute, change.from or change.to"]);
    check_fault("{{ change.was }}", &["change.attribute, change.from or change.to"]);
    check_fault("{{ variant.x }}", &["variant is one value"]);
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
