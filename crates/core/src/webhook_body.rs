//! Pure. The body of a webhook: rows or a document of JSON, rows of a form, or text.
//!
//! JSON is never glued together from text: strings are templates, everything around them is written by us, so that no
//! value can leave its place.

use std::fmt::Write;

use serde_json::Value;

use crate::encode;
use crate::fault::Faults;
use crate::limits;
use crate::template::{Language, Stop, Template};
use crate::template_names::{Scope, Slot};
use crate::template_value::print_json;
use crate::webhook_draft::Row;

/// A checked body.
#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Json(Node),
    Form(Vec<Field>),
    Text {
        template: Box<Template>,
        /// The content type says that it is JSON.
        json: bool,
    },
}

/// A JSON value; what is constant is written already.
#[derive(Debug)]
pub(crate) enum Node {
    Fixed(String),
    /// The template, and its field for messages.
    Template(Box<(Template, String)>),
    List(Vec<Node>),
    /// Names are written already, as `"name":`.
    Map(Vec<(String, Node)>),
}

/// One row of a form.
#[derive(Debug)]
pub(crate) enum Field {
    /// Pairs that are always the same, encoded.
    Fixed(String),
    Value(String, Node),
    /// The name is repeated for every one of them.
    List(String, Vec<Node>),
}

/// Why a body cannot be sent, and in which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    Stop(Stop, String),
    Invalid(String),
}

impl Body {
    /// Rows as a JSON object.
    pub(crate) fn json_rows(language: &Language, rows: &[Row], path: &str, faults: &mut Faults) -> Body {
        let mut members = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if rows.iter().take(i).any(|earlier| earlier.name == row.name) {
                faults.add(format!("{path}[{i}].name"), format!("{:?} is given twice", row.name));
            }
            let label = format!("data.{}", row.name);
            if let Some(node) = node(language, &row.value, &format!("{path}[{i}].value"), &label, faults) {
                members.push((key(&row.name), node));
            }
        }
        Body::Json(Node::map(members))
    }

    /// Rows as a form.
    pub(crate) fn form_rows(language: &Language, rows: &[Row], path: &str, faults: &mut Faults) -> Body {
        let mut fields = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let path = format!("{path}[{i}].value");
            let label = format!("data.{}", row.name);
            let name = row.name.clone();
            let field = match &row.value {
                Value::Null => {
                    faults.add(&path, "a form has no null, leave the row out or write \"\"");
                    continue;
                }
                Value::Array(items) => {
                    let nodes = items.iter().enumerate().filter_map(|(at, item)| {
                        node(language, item, &format!("{path}[{at}]"), &label, faults)
                    });
                    Some(Field::List(name, nodes.collect()))
                }
                value => node(language, value, &path, &label, faults).map(|node| Field::Value(name, node)),
            };
            fields.extend(field.map(|field| field.settled()));
        }
        Body::Form(fields)
    }

    /// A whole document. One that is exactly one `{{ ... }}` need not be in quotes.
    pub(crate) fn document(language: &Language, text: &str, path: &str, faults: &mut Faults) -> Option<Body> {
        let bare = text.trim();
        let value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) if bare.starts_with("{{") && bare.ends_with("}}") && !bare.starts_with("{{{") => {
                Value::String(bare.to_owned())
            }
            Err(error) => {
                faults.add(
                    path,
                    format!("is not JSON: {error}; a template in it is a string, as in {{\"id\": \"{{{{ user_id }}}}\"}}"),
                );
                return None;
            }
        };
        node(language, &value, path, "json", faults).map(Body::Json)
    }

    /// One template.
    pub(crate) fn text(
        language: &Language,
        raw: &str,
        json: bool,
        path: &str,
        faults: &mut Faults,
    ) -> Option<Body> {
        language.template(raw, path, faults).map(|template| Body::Text { template: Box::new(template), json })
    }

    pub(crate) fn render(&self, scope: Scope<'_>) -> Result<String, Spoilt> {
        let mut body = String::new();
        match self {
            Body::Empty => {}
            Body::Json(node) => node.write(scope, &mut body)?,
            Body::Form(fields) => {
                for field in fields {
                    field.write(scope, &mut body)?;
                }
            }
            Body::Text { template, json } => {
                body = template.text(scope).map_err(|stop| Spoilt::Stop(stop, "raw".to_owned()))?;
                // A masked body is only looked at.
                if *json && !scope.masked {
                    serde_json::from_str::<serde::de::IgnoredAny>(&body)
                        .map_err(|error| Spoilt::Invalid(format!("raw is not JSON: {error}")))?;
                }
            }
        }
        if body.len() > limits::BODY_BYTES_MAX {
            let max = limits::BODY_BYTES_MAX;
            return Err(Spoilt::Invalid(format!("the body has {} bytes, at most {max}", body.len())));
        }
        Ok(body)
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Body::Empty)
    }

    pub(crate) fn is_json(&self) -> bool {
        matches!(self, Body::Json(_) | Body::Text { json: true, .. })
    }

    /// What it is made of.
    pub(crate) fn slots(&self) -> Vec<&Slot> {
        let mut slots = Vec::new();
        match self {
            Body::Empty => {}
            Body::Json(node) => node.slots(&mut slots),
            Body::Form(fields) => fields.iter().for_each(|field| match field {
                Field::Fixed(_) => {}
                Field::Value(_, node) => node.slots(&mut slots),
                Field::List(_, nodes) => nodes.iter().for_each(|node| node.slots(&mut slots)),
            }),
            Body::Text { template, .. } => slots.extend(template.slots()),
        }
        slots
    }
}

/// As `Value::to_string` does it, without the text in between.
fn write_json(value: &Value, out: &mut String) {
    // Writing to a string never fails.
    let _ = write!(out, "{value}");
}

/// `"name":`
fn key(name: &str) -> String {
    format!("{}:", Value::from(name))
}

/// Recursion is as deep as the JSON, which its reader has bounded.
fn node(language: &Language, value: &Value, path: &str, label: &str, faults: &mut Faults) -> Option<Node> {
    Some(match value {
        Value::String(text) => {
            let template = language.template(text, path, faults)?;
            match template.constant() {
                Some(constant) => Node::Fixed(Value::from(constant).to_string()),
                None => Node::Template(Box::new((template, label.to_owned()))),
            }
        }
        Value::Array(items) => Node::list(
            items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| {
                    node(language, item, &format!("{path}[{i}]"), &format!("{label}[{i}]"), faults)
                })
                .collect(),
        ),
        Value::Object(map) => {
            let mut members = Vec::with_capacity(map.len());
            for (name, item) in map {
                if name.contains("{{") {
                    faults.add(path, format!("{name:?} is a name: only values are templates"));
                }
                if let Some(node) =
                    node(language, item, &format!("{path}.{name}"), &format!("{label}.{name}"), faults)
                {
                    members.push((key(name), node));
                }
            }
            Node::map(members)
        }
        other => Node::Fixed(other.to_string()),
    })
}

impl Node {
    fn list(items: Vec<Node>) -> Node {
        let fixed: Option<Vec<&str>> = items.iter().map(Node::fixed).collect();
        match fixed {
            Some(texts) => Node::Fixed(format!("[{}]", texts.join(","))),
            None => Node::List(items),
        }
    }

    fn map(members: Vec<(String, Node)>) -> Node {
        let fixed: Option<Vec<String>> =
            members.iter().map(|(key, node)| node.fixed().map(|text| format!("{key}{text}"))).collect();
        match fixed {
            Some(texts) => Node::Fixed(format!("{{{}}}", texts.join(","))),
            None => Node::Map(members),
        }
    }

    fn fixed(&self) -> Option<&str> {
        match self {
            Node::Fixed(text) => Some(text),
            _ => None,
        }
    }

    fn write(&self, scope: Scope<'_>, out: &mut String) -> Result<(), Spoilt> {
        match self {
            Node::Fixed(text) => out.push_str(text),
            Node::Template(own) => {
                let (template, label) = &**own;
                let value = template.value(scope).map_err(|stop| Spoilt::Stop(stop, label.clone()))?;
                write_json(&value, out);
            }
            Node::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    item.write(scope, out)?;
                }
                out.push(']');
            }
            Node::Map(members) => {
                out.push('{');
                for (i, (key, item)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(key);
                    item.write(scope, out)?;
                }
                out.push('}');
            }
        }
        if out.len() > limits::BODY_BYTES_MAX {
            return Err(Spoilt::Invalid(format!("the body has more than {} bytes", limits::BODY_BYTES_MAX)));
        }
        Ok(())
    }

    /// As a value of a form: a list repeats the name where it may, other nested values are JSON text, null is empty.
    fn pairs(&self, name: &str, repeats: bool, scope: Scope<'_>, out: &mut String) -> Result<(), Spoilt> {
        if let Node::Template(own) = self {
            let (template, label) = &**own;
            let value = template.value(scope).map_err(|stop| Spoilt::Stop(stop, label.clone()))?;
            match &*value {
                Value::Array(items) if repeats => {
                    items.iter().for_each(|item| encode::form_pair(out, name, &form_text(item)))
                }
                value => encode::form_pair(out, name, &form_text(value)),
            }
        } else {
            let mut json = String::new();
            self.write(scope, &mut json)?;
            encode::form_pair(out, name, &json);
        }
        Ok(())
    }

    fn slots<'n>(&'n self, slots: &mut Vec<&'n Slot>) {
        match self {
            Node::Fixed(_) => {}
            Node::Template(own) => slots.extend(own.0.slots()),
            Node::List(items) => items.iter().for_each(|item| item.slots(slots)),
            Node::Map(members) => members.iter().for_each(|(_, item)| item.slots(slots)),
        }
    }
}

fn form_text(value: &Value) -> std::borrow::Cow<'_, str> {
    print_json(value).unwrap_or_default()
}

/// What a constant stands for in a form: text without its quotes.
fn fixed_text(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(value) => form_text(&value).into_owned(),
        Err(_) => json.to_owned(),
    }
}

impl Field {
    /// Written now, if it is constant.
    fn settled(self) -> Field {
        let mut pairs = String::new();
        match &self {
            Field::Value(name, Node::Fixed(json)) => encode::form_pair(&mut pairs, name, &fixed_text(json)),
            Field::List(name, nodes) => {
                let texts: Option<Vec<&str>> = nodes.iter().map(Node::fixed).collect();
                let Some(texts) = texts else { return self };
                texts.iter().for_each(|json| encode::form_pair(&mut pairs, name, &fixed_text(json)));
            }
            _ => return self,
        }
        Field::Fixed(pairs)
    }

    fn write(&self, scope: Scope<'_>, out: &mut String) -> Result<(), Spoilt> {
        match self {
            Field::Fixed(pairs) => {
                out.push_str(if out.is_empty() || pairs.is_empty() { "" } else { "&" });
                out.push_str(pairs);
            }
            Field::Value(name, node) => node.pairs(name, true, scope, out)?,
            Field::List(name, nodes) => {
                for node in nodes {
                    match node.fixed() {
                        Some(json) => encode::form_pair(out, name, &fixed_text(json)),
                        None => node.pairs(name, false, scope, out)?,
                    }
                }
            }
        }
        Ok(())
    }
}
