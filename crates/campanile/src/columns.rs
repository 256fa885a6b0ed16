//! Pure. What an import saw of each column: its type, how often it was filled, an example, and a hint where text looks like
//! numbers.

use std::collections::HashMap;

use serde_json::Value;

use crate::import_line::ReadUser;
use crate::words;

/// Columns that are told about; a file with more is not a table.
const COLUMNS_MAX: usize = 200;
const EXAMPLE_CHARS_MAX: usize = 30;

#[derive(Debug, Default)]
pub struct Columns {
    order: Vec<Column>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// `int`, `text`, ...; `mixed` where lines do not agree.
    pub kind: &'static str,
    /// How many lines had a value.
    pub filled: u64,
    pub example: String,
    /// What every text so far reads as.
    looks_like: Option<Looks>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Int,
    Float,
    Bool,
}

impl Columns {
    /// A column that its file names up front: it is told about even where no line fills it.
    pub fn declare(&mut self, name: &str, kind: &'static str) {
        if let Some(column) = self.column(name) {
            column.kind = kind;
        }
    }

    pub fn see(&mut self, user: &ReadUser) {
        if !user.time_zone.is_empty() {
            self.fill("time_zone", "zone", &Value::String(user.time_zone.clone()), false);
        }
        if let Some(at) = &user.created_at {
            self.fill("created_at", "instant", &Value::String(words::instant(Some(at))), false);
        }
        for (name, value) in user.attributes.iter().filter(|(_, value)| !value.is_null()) {
            self.fill(name, kind(value), value, value.is_string());
        }
    }

    fn fill(&mut self, name: &str, kind: &'static str, value: &Value, may_look: bool) {
        let Some(column) = self.column(name) else { return };
        let looks = value.as_str().filter(|_| may_look).and_then(looks_like);
        if column.filled == 0 {
            column.example = example(value);
            column.looks_like = looks;
        } else {
            column.looks_like = both(column.looks_like, looks);
        }
        column.filled += 1;
        match column.kind {
            "" => column.kind = kind,
            // A declared type stands: `json` may be anything, and an int is a float too.
            declared if declared == kind || declared == "json" => {}
            _ => column.kind = "mixed",
        }
    }

    fn column(&mut self, name: &str) -> Option<&mut Column> {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None if self.order.len() >= COLUMNS_MAX => return None,
            None => {
                let column = Column {
                    name: name.to_owned(),
                    kind: "",
                    filled: 0,
                    example: String::new(),
                    looks_like: None,
                };
                self.order.push(column);
                self.places.insert(name.to_owned(), self.order.len() - 1);
                self.order.len() - 1
            }
        };
        self.order.get_mut(place)
    }

    pub fn all(&self) -> &[Column] {
        &self.order
    }
}

impl Column {
    /// What to write where the file means numbers and says text; empty where all is well.
    pub fn hint(&self, is_csv: bool) -> String {
        let Some(looks) = self.looks_like.filter(|_| self.kind == "text") else { return String::new() };
        let (kind, what) = match looks {
            Looks::Int => ("int", "whole numbers"),
            Looks::Float => ("float", "numbers"),
            Looks::Bool => ("bool", "true and false"),
        };
        match is_csv {
            true => format!("looks like {what}: head it {}:{kind} to compare it as such", self.name),
            false => format!("looks like {what}: write it without quotes to compare it as such"),
        }
    }
}

/// A leading zero or plus is a code's, not a number's: making it a number would lose it.
fn looks_like(text: &str) -> Option<Looks> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_code = !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || (digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."));
    match text {
        "true" | "false" | "TRUE" | "FALSE" | "True" | "False" => Some(Looks::Bool),
        _ if is_code => None,
        _ if text.parse::<i64>().is_ok() => Some(Looks::Int),
        _ => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|_| Looks::Float),
    }
}

fn both(a: Option<Looks>, b: Option<Looks>) -> Option<Looks> {
    match (a?, b?) {
        (a, b) if a == b => Some(a),
        (Looks::Int, Looks::Float) | (Looks::Float, Looks::Int) => Some(Looks::Float),
        _ => None,
    }
}

fn example(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= EXAMPLE_CHARS_MAX {
        return text;
    }
    text.chars().take(EXAMPLE_CHARS_MAX - 1).chain(['…']).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str]) -> Column {
        let mut columns = Columns::default();
        for value in values {
            let attributes = serde_json::from_str(&format!("{{\"x\": {value}}}")).unwrap();
            columns.see(&ReadUser { attributes, ..Default::default() });
        }
        columns.order.remove(0)
    }

    #[test]
    fn a_column_s_type_is_what_all_its_values_are() {
        let check = |values: &[&str], kind: &str, filled: u64| {
            let column = seen(values);
            assert_eq!((column.kind, column.filled), (kind, filled), "{values:?}");
        };
        check(&["1", "2"], "int", 2);
        check(&["1.5"], "float", 1);
        check(&["true", "\"x\""], "mixed", 2);
        check(&["[1]"], "list", 1);
        check(&["{\"a\": 1}", "{\"a\": 2}"], "map", 2);
    }

    #[test]
    fn text_that_looks_like_numbers_gets_a_hint() {
        let check = |values: &[&str], expected: &str| {
            let hint = seen(values).hint(true);
            assert_eq!(
                hint.split(' ').find(|word| word.contains(':') && word.starts_with('x')),
                Some(expected),
                "{hint}"
            );
        };
        check(&["\"41\"", "\"-7\""], "x:int");
        check(&["\"41\"", "\"1.5\""], "x:float");
        check(&["\"true\"", "\"FALSE\""], "x:bool");
        for values in
            [&["\"01067\""][..], &["\"41\"", "\"x\""], &["\"+4912345\""], &["\"\""], &["41"], &["\"nan\""]]
        {
            assert_eq!(seen(values).hint(true), "", "{values:?}");
        }
        assert!(seen(&["\"41\""]).hint(false).contains("without quotes"));
    }

    #[test]
    fn a_declared_column_is_told_about_though_it_is_empty() {
        let mut columns = Columns::default();
        columns.declare("age", "int");
        let [age] = columns.all() else { panic!("{columns:?}") };
        assert_eq!((age.name.as_str(), age.kind, age.filled), ("age", "int", 0));
    }
}
