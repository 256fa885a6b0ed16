//! Pure. Values between JSON and the template engine, and how one is printed.
//!
//! Everything is walked within a budget: the engine has lazy lists that are longer than memory.

use std::fmt::{self, Write};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Number, Value as Json};

use crate::limits::{BODY_BYTES_MAX, EXPRESSION_DEPTH_MAX};

/// Why an evaluation stopped, carried as the source of an engine error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Missing,
    Aborted(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Halt::Missing => "missing",
            Halt::Aborted(_) => "aborted",
        })
    }
}

impl std::error::Error for Halt {}

pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::UndefinedError, "missing").with_source(Halt::Missing)
}

pub(crate) fn failed(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

/// Absent or null.
pub(crate) fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// `json` for the engine. Recursion is as deep as the JSON, which its reader has bounded.
pub(crate) fn engine(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(engine).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            Value::from_pairs(map.iter().map(|(name, value)| (Value::from(name.as_str()), engine(value))))
        }
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
    }
}

/// `value` as JSON. A missing value inside is a hole and refused; nulls that came as data stay.
pub(crate) fn json(value: &Value) -> Result<Json, Error> {
    Walk { nodes: BODY_BYTES_MAX / 2, bytes: BODY_BYTES_MAX }.json(value, EXPRESSION_DEPTH_MAX)
}

/// How `value` stands in text: text as it is, `true` and `false`, a list or map as JSON.
pub(crate) fn print(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        _ if is_missing(value) => return Err(missing()),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => value.to_string(),
        _ => json(value)?.to_string(),
    })
}

/// As `print`, into `out`.
pub(crate) fn write(value: &Value, out: &mut impl Write) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        _ => out.write_str(&print(value)?),
    }
    .map_err(Error::from)
}

/// How a JSON value stands in text; the same as `print`.
pub(crate) fn print_json(json: &Json) -> Option<std::borrow::Cow<'_, str>> {
    match json {
        Json::Null => None,
        Json::String(text) => Some(text.as_str().into()),
        Json::Number(_) => Some(engine(json).to_string().into()),
        other => Some(other.to_string().into()),
    }
}

struct Walk {
    nodes: usize,
    bytes: usize,
}

impl Walk {
    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                (self.nodes, self.bytes) = (nodes, bytes);
                Ok(())
            }
            _ => Err(failed(format!("a value is larger than {BODY_BYTES_MAX} bytes"))),
        }
    }

    fn json(&mut self, value: &Value, depth: usize) -> Result<Json, Error> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(failed(format!(
                "a value is nested too deeply, at most {EXPRESSION_DEPTH_MAX} levels"
            )));
        };
        self.spend(0)?;
        Ok(match value.kind() {
            ValueKind::Undefined => return Err(missing()),
            ValueKind::None => Json::Null,
            ValueKind::Bool => Json::Bool(value.is_true()),
            ValueKind::Number => Json::Number(number(value)?),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                self.spend(text.len())?;
                Json::String(text.to_owned())
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter()?.checked() {
                    items.push(self.json(&item?, depth)?);
                }
                Json::Array(items)
            }
            ValueKind::Map => {
                let mut map = Map::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    let name = print(&key)?;
                    self.spend(name.len())?;
                    map.insert(name, self.json(&value.get_item(&key)?, depth)?);
                }
                Json::Object(map)
            }
            other => return Err(failed(format!("a value of kind {other} cannot be sent"))),
        })
    }
}

fn number(value: &Value) -> Result<Number, Error> {
    if value.is_integer() {
        if let Ok(integer) = i64::try_from(value.clone()) {
            return Ok(integer.into());
        }
        return u64::try_from(value.clone())
            .map(Number::from)
            .map_err(|_| failed(format!("{value} is larger than a 64-bit integer")));
    }
    let float = f64::try_from(value.clone())?;
    Number::from_f64(float).ok_or_else(|| failed(format!("{float} is no number that JSON knows")))
}

#[cfg(test)]
mod tests {
    use serde_json::json as literal;

    use super::*;

    #[test]
    fn json_survives_the_engine() {
        for value in [
            literal!({"z": 1, "a": [true, null, "é\u{0}"], "m": {"k": -1.5}}),
            literal!([i64::MIN, i64::MAX, u64::MAX, 9_007_199_254_740_993_i64, 1.0, 1e300]),
            literal!("a text that is longer than any small one"),
        ] {
            assert_eq!(json(&engine(&value)).unwrap().to_string(), value.to_string());
        }
    }

    #[test]
    fn a_value_is_printed_the_same_on_both_sides() {
        for (value, expected) in [
            (literal!("a"), "a"),
            (literal!(true), "true"),
            (literal!(-7), "-7"),
            (literal!(1.5), "1.5"),
            (literal!(1.0), "1.0"),
            (literal!([1, "a", {"b": null}]), r#"[1,"a",{"b":null}]"#),
        ] {
            assert_eq!(print(&engine(&value)).unwrap(), expected);
            assert_eq!(print_json(&value).unwrap(), expected);
        }
        assert!(print(&Value::UNDEFINED).is_err() && print(&Value::from(())).is_err());
        assert_eq!(print_json(&Json::Null), None);
    }

    #[test]
    fn what_is_larger_or_deeper_than_a_body_is_refused() {
        let long = Value::make_iterable(|| (0..u64::MAX).map(Value::from));
        assert!(json(&long).unwrap_err().to_string().contains("larger"));
        let deep = (0..100).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(json(&deep).unwrap_err().to_string().contains("deep"));
        assert!(json(&Value::from(vec![Value::UNDEFINED])).is_err());
        assert!(json(&Value::from(f64::NAN)).is_err());
        assert!(json(&Value::from(u128::MAX)).is_err());
    }
}
