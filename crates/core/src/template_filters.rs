//! Pure. What a template can call: Campanile's own filters, the guards its source is woven with, and how it prints.
//!
//! `template_source` puts a guard before everything that must not see a missing value, so filters here never do
//! (but for `default`). Names that begin with `__` are its own and cannot be written by an author.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::Time;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, Output, State, UndefinedBehavior};
use sha2::{Digest, Sha256};

use crate::encode;
use crate::limits;
use crate::template_scan;
use crate::template_value::{self, Halt, failed, is_missing, missing, print};
use crate::time_value::TimeValue;
use crate::webhook_draft::Missing;

/// Where what is printed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Text,
    /// A component of a URL: printed values are percent-encoded, secrets are not.
    Url,
}

/// Filters an author may write, as MiniJinja has them and ours.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "b64encode",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "date",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "hmac_sha256",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "money",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sha256",
    "slice",
    "slug",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Tests an author may write after `is`.
pub(crate) const TESTS: &[&str] = &[
    "boolean",
    "containing",
    "defined",
    "divisibleby",
    "empty",
    "ending_with",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "set",
    "starting_with",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// An engine without templates. Making one costs some microseconds; clones share what is in it.
pub(crate) fn engine(missing: Missing, place: Place) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_syntax(template_scan::syntax());
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(limits::TEMPLATE_FUEL));
    engine.set_recursion_limit(limits::TEMPLATE_RECURSION_MAX);
    engine.remove_global("debug");
    for filter in ["safe", "pprint"] {
        engine.remove_filter(filter);
    }
    let empty = missing == Missing::Empty;
    engine.set_formatter(move |out, _, value| write(out, value, place, empty));
    engine.add_filter("__must", move |value: &Value| must(value, empty));
    engine.add_filter("__each", move |value: &Value| match is_missing(value) {
        true if empty => Ok(Value::from(Vec::<Value>::new())),
        _ => must(value, false),
    });
    engine.add_filter("__raw", |text: String| Value::from_safe_string(text));
    engine.add_filter("__cat", |left: &Value, right: &Value| Ok::<_, Error>(print(left)? + &print(right)?));
    add_comparisons(&mut engine);
    add_filters(&mut engine, place);
    engine.add_function("abort", |reason: &Value| -> Result<Value, Error> {
        Err(failed("aborted").with_source(Halt::Aborted(print(reason)?)))
    });
    engine
}

fn write(out: &mut Output<'_>, value: &Value, place: Place, empty: bool) -> Result<(), Error> {
    if is_missing(value) {
        return if empty { Ok(()) } else { Err(missing()) };
    }
    if place == Place::Url && !value.is_safe() {
        return out.write_str(&encode::component(&print(value)?)).map_err(Error::from);
    }
    template_value::write(value, out)
}

fn must(value: &Value, empty: bool) -> Result<Value, Error> {
    match is_missing(value) {
        false => Ok(value.clone()),
        true if empty => Ok(Value::from("")),
        true => Err(missing()),
    }
}

/// Comparisons and tests: with a missing value all of them are false, also `!=` and `not in`.
fn add_comparisons(engine: &mut Environment<'static>) {
    engine.add_filter("__set", |value: &Value| !is_missing(value));
    for (name, test) in [("__eq", "eq"), ("__ne", "ne"), ("__in", "in")] {
        engine.add_filter(name, move |state: &mut State<'_, '_>, left: &Value, right: &Value| {
            compared(state, test, left, right)
        });
    }
    engine.add_filter("__not_in", |state: &mut State<'_, '_>, left: &Value, right: &Value| {
        Ok::<_, Error>(!is_missing(left) && !is_missing(right) && !compared(state, "in", left, right)?)
    });
    for (name, test) in [("__lt", "lt"), ("__le", "le"), ("__gt", "gt"), ("__ge", "ge")] {
        engine.add_filter(name, move |state: &mut State<'_, '_>, left: &Value, right: &Value| {
            // Values of different kinds have no order; the engine takes a boolean for a number.
            let kind = |value: &Value| {
                if value.kind() == ValueKind::Bool { ValueKind::Number } else { value.kind() }
            };
            Ok::<_, Error>(kind(left) == kind(right) && compared(state, test, left, right)?)
        });
    }
    engine.add_filter(
        "__test",
        |state: &mut State<'_, '_>, value: &Value, name: &str, rest: Rest<Value>| -> Result<bool, Error> {
            if is_missing(value) || rest.iter().any(is_missing) {
                return Ok(false);
            }
            let arguments: Vec<Value> = std::iter::once(value.clone()).chain(rest.iter().cloned()).collect();
            state.perform_test(name, &arguments)
        },
    );
    engine.add_test("set", |value: &Value| !is_missing(value));
    engine.add_test("empty", |value: &Value| value.len() == Some(0));
    engine.add_test("containing", |state: &mut State<'_, '_>, value: &Value, part: &Value| {
        compared(state, "in", part, value)
    });
    engine.add_test("starting_with", |value: &str, part: &str| value.starts_with(part));
    engine.add_test("ending_with", |value: &str, part: &str| value.ends_with(part));
}

fn compared(state: &mut State<'_, '_>, test: &str, left: &Value, right: &Value) -> Result<bool, Error> {
    if is_missing(left) || is_missing(right) {
        return Ok(false);
    }
    if left.as_object().is_some() && right.as_object().is_some() {
        let shorter = left.len().unwrap_or_default().min(right.len().unwrap_or_default());
        state.consume_fuel(shorter as u64)?;
    }
    state.perform_test(test, &[left.clone(), right.clone()])
}

fn add_filters(engine: &mut Environment<'static>, place: Place) {
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("__shallow", shallow);
    engine.add_filter("string", print);
    engine.add_filter("tojson", |value: &Value| template_value::json(value).map(|json| json.to_string()));
    engine.add_filter("join", join);
    engine.add_filter("b64encode", |value: &Value| Ok::<_, Error>(STANDARD.encode(print(value)?)));
    engine.add_filter("sha256", |value: &Value| Ok::<_, Error>(hex(&Sha256::digest(print(value)?))));
    engine.add_filter("__hmac", |value: &Value, key: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| failed("not a key"))?;
        mac.update(print(value)?.as_bytes());
        Ok::<_, Error>(hex(&mac.finalize().into_bytes()))
    });
    engine.add_filter("slug", |value: &Value| print(value).map(|text| slug(&text)));
    engine.add_filter("money", money);
    engine.add_filter("__date", date);
    engine.add_filter("urlencode", move |value: &Value| -> Result<Value, Error> {
        let text = match value.kind() {
            ValueKind::Map => {
                let mut pairs = String::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    encode::form_pair(&mut pairs, &print(&key)?, &print(&value.get_item(&key)?)?);
                }
                pairs
            }
            _ => encode::component(&print(value)?).into_owned(),
        };
        // In a URL it is encoded already: it must not be encoded twice.
        Ok(if place == Place::Url { Value::from_safe_string(text) } else { Value::from(text) })
    });
    if place == Place::Url {
        for filter in ["escape", "e"] {
            engine.remove_filter(filter);
        }
    }
}

/// `value`, or the first argument where it is missing; with `true` behind it, also where it is false or empty.
fn default(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut arguments: Vec<Value> = arguments.0.into_iter().map(ValueOrKwargs::into_value).collect();
    let named = match arguments.last() {
        Some(last) if last.is_kwargs() => Kwargs::try_from(arguments.pop().unwrap_or_default())?,
        _ => Kwargs::from_iter(std::iter::empty::<(&str, Value)>()),
    };
    let flag: Option<bool> = named.get("boolean")?;
    let other: Option<Value> =
        if named.has("default_value") { Some(named.get("default_value")?) } else { None };
    named.assert_all_used()?;
    let or_false = flag.unwrap_or_else(|| arguments.get(1).is_some_and(Value::is_true));
    if !is_missing(value) && (!or_false || value.is_true()) {
        return Ok(value.clone());
    }
    Ok(arguments.into_iter().next().or(other).unwrap_or_else(|| Value::from("")))
}

/// What a name may keep: values nested beyond any JSON would overflow a stack when they are dropped.
fn shallow(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    fn settle(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<Value, Error> {
        let Some(depth) = depth.checked_sub(1) else {
            let max = limits::EXPRESSION_DEPTH_MAX;
            return Err(failed(format!("a value is nested too deeply, at most {max} levels")));
        };
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter()?.checked() {
                    state.consume_fuel(1)?;
                    items.push(settle(state, &item?, depth)?);
                }
                Ok(Value::from(items))
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()?.checked() {
                    state.consume_fuel(1)?;
                    let key = key?;
                    let item = settle(state, &value.get_item(&key)?, depth)?;
                    pairs.push((key, item));
                }
                Ok(Value::from_pairs(pairs))
            }
            _ => Ok(value.clone()),
        }
    }
    settle(state, value, limits::EXPRESSION_DEPTH_MAX)
}

fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    joiner: Option<&str>,
    attribute: Option<&str>,
    rest: Kwargs,
) -> Result<String, Error> {
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => rest.get::<Option<&str>>("attribute")?,
    };
    rest.assert_all_used()?;
    let items = match attribute {
        Some(attribute) => {
            let named = Kwargs::from_iter([("attribute", Value::from(attribute))]);
            state.apply_filter("map", &[value.clone(), named.into()])?
        }
        None => value.clone(),
    };
    let joiner = joiner.unwrap_or("");
    let mut text = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        state.consume_fuel(1 + joiner.len() as u64 / 64)?;
        if i > 0 {
            text.push_str(joiner);
        }
        template_value::write(&item?, &mut text)?;
    }
    Ok(text)
}

/// Letters and digits in lower case, everything between them one `-`.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// Two decimals, and the currency behind if one is given: `12.50`, `12.50 EUR`.
fn money(value: &Value, currency: Option<&str>) -> Result<String, Error> {
    let amount = match value.as_str() {
        Some(text) => text.trim().parse::<f64>().ok(),
        None if value.is_number() => f64::try_from(value.clone()).ok(),
        None => None,
    };
    let amount = amount.filter(|amount| amount.is_finite());
    let amount = amount.ok_or_else(|| failed(format!("{} is no amount", shown(value))))?;
    Ok(match currency {
        Some(currency) => format!("{amount:.2} {currency}"),
        None => format!("{amount:.2}"),
    })
}

/// A time in strftime's words. `zone` is the user's; `format` defaults to a plain date.
fn date(
    value: &Value,
    zone: &str,
    format: Option<&str>,
    own_zone: Option<&str>,
    rest: Kwargs,
) -> Result<String, Error> {
    let format = match format {
        Some(format) => format,
        None => rest.get::<Option<&str>>("format")?.unwrap_or("%Y-%m-%d"),
    };
    let own_zone = match own_zone {
        Some(zone) => Some(zone),
        None => rest.get::<Option<&str>>("tz")?,
    };
    rest.assert_all_used()?;
    let zone = own_zone.unwrap_or(zone);
    let zone = TimeZone::get(zone)
        .map_err(|_| failed(format!("{zone:?} is not a time zone, expected one like Europe/Berlin")))?;
    let time = template_value::json(value).ok().and_then(|json| TimeValue::read(&json));
    let time = time.ok_or_else(|| {
        failed(format!("{} names no time, expected RFC 3339, a date or a Unix number", shown(value)))
    })?;
    let zoned = match time {
        TimeValue::Instant(at) => at.to_zoned_datetime(zone),
        TimeValue::Day(day) => {
            day.to_datetime(Time::midnight()).to_zoned_datetime(zone).map_err(|e| failed(e.to_string()))?
        }
    };
    date_text(&zoned, format).map_err(failed)
}

fn date_text(zoned: &jiff::ZonedDateTime, format: &str) -> Result<String, String> {
    strtime::format(format, zoned).map_err(|e| format!("{format:?} is not a date format: {e}"))
}

/// What is wrong with a date format, if something is.
pub(crate) fn date_format_fault(format: &str) -> Option<String> {
    date_text(&jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC), format).err()
}

fn shown(value: &Value) -> String {
    let mut text = print(value).unwrap_or_default();
    if text.len() > 60 {
        text.truncate(text.floor_char_boundary(60));
        text.push('…');
    }
    format!("{text:?}")
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
