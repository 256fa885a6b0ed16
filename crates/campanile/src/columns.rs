//! What an import saw of each attribute: its type, how often it was filled, an example, and a hint where text looks like numbers.

use std::collections::HashMap;

use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

use crate::output::Output;

/// Attributes that are told about; a file with more is not a table.
const COLUMNS_MAX: usize = 100;
const EXAMPLE_CHARS_MAX: usize = 30;

#[derive(Default)]
pub struct Columns {
    order: Vec<String>,
    seen: HashMap<String, Seen>,
}

struct Seen {
    kind: &'static str,
    filled: u64,
    example: String,
    /// Every value was text that reads as a number.
    looks_like_numbers: bool,
}

impl Columns {
    pub fn see(&mut self, user: &wire::UserUpdate) {
        let attributes: Map<String, Value> = serde_json::from_str(&user.attributes).unwrap_or_default();
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_null()) {
            let is_number = value.as_str().is_some_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite));
            if let Some(seen) = self.seen.get_mut(&name) {
                seen.filled += 1;
                seen.looks_like_numbers &= is_number;
                if seen.kind != kind(&value) {
                    seen.kind = "mixed";
                }
            } else if self.order.len() < COLUMNS_MAX {
                self.order.push(name.clone());
                let example = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let example = example.chars().take(EXAMPLE_CHARS_MAX).collect();
                self.seen.insert(name, Seen { kind: kind(&value), filled: 1, example, looks_like_numbers: is_number });
            }
        }
    }

    pub fn show(&self, output: Output) {
        let rows = self.order.iter().filter_map(|name| {
            let seen = self.seen.get(name)?;
            let hint = match seen.looks_like_numbers {
                true => format!("text that looks like numbers: head it {name}:int or {name}:float"),
                false => String::new(),
            };
            Some(vec![name.clone(), seen.kind.to_owned(), seen.filled.to_string(), seen.example.clone(), hint])
        });
        let rows: Vec<Vec<String>> = rows.collect();
        if !rows.is_empty() {
            output.table(&["COLUMN", "TYPE", "FILLED", "EXAMPLE", "HINT"], &rows);
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
