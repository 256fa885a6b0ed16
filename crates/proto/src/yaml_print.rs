//! Pure. A tree of values -> YAML text for people: block style, short lists and rows in one line.
//! `short_form` builds the tree; what is printed here is read back by `yaml_tree` as the very same values.

use crate::yaml_text::{block, inline};

/// A short list, or a mapping in a list, stands in one line of at most so many characters.
const LINE_CHARS_MAX: usize = 80;

/// A value to print.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Printed {
    /// A number, bool, or word that is written as it is.
    Bare(String),
    /// A text, quoted where it must be.
    Text(String),
    /// A list.
    List(Vec<Printed>),
    /// A mapping in this order.
    Map(Vec<(String, Printed)>),
}

/// The YAML text of a document, ending in a line break.
pub(crate) fn document(root: &Printed) -> String {
    let mut text = String::new();
    match root {
        Printed::Map(entries) if !entries.is_empty() => map(entries, 0, &mut text),
        other => {
            text.push_str(&line(other, false));
            text.push('\n');
        }
    }
    text
}

fn map(entries: &[(String, Printed)], indent: usize, text: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&inline(key, false));
        text.push(':');
        match value {
            Printed::Map(inner) if !inner.is_empty() => {
                text.push('\n');
                text.push_str(&" ".repeat(indent + 2));
                map(inner, indent + 2, text);
            }
            Printed::List(nodes) if !nodes.is_empty() && !is_short(value) => {
                text.push('\n');
                list(nodes, indent + 2, text);
            }
            _ => scalar(value, indent + 2, text),
        }
    }
}

fn list(nodes: &[Printed], indent: usize, text: &mut String) {
    for node in nodes {
        text.push_str(&" ".repeat(indent));
        text.push('-');
        match node {
            Printed::Map(entries) if !entries.is_empty() && !is_short(node) => {
                text.push(' ');
                map(entries, indent + 2, text);
            }
            Printed::List(inner) if !inner.is_empty() && !is_short(node) => {
                text.push('\n');
                list(inner, indent + 2, text);
            }
            _ => scalar(node, indent + 2, text),
        }
    }
}

/// The rest of a line: a space, the value in one line or as a block, a line break.
fn scalar(value: &Printed, indent: usize, text: &mut String) {
    text.push(' ');
    match value {
        Printed::Text(content) => match block(content, indent) {
            Some(block) => text.push_str(&block),
            None => text.push_str(&inline(content, false)),
        },
        other => text.push_str(&line(other, false)),
    }
    text.push('\n');
}

/// Whether a list or mapping of scalars stands in one line.
fn is_short(value: &Printed) -> bool {
    let is_scalar = |value: &Printed| match value {
        Printed::Bare(_) => true,
        Printed::Text(text) => text.len() <= LINE_CHARS_MAX,
        Printed::List(nodes) => nodes.is_empty(),
        Printed::Map(entries) => entries.is_empty(),
    };
    let scalars = match value {
        Printed::List(nodes) => nodes.len() <= LINE_CHARS_MAX && nodes.iter().all(is_scalar),
        Printed::Map(entries) => {
            entries.len() <= LINE_CHARS_MAX
                && entries.iter().all(|(key, value)| key.len() <= LINE_CHARS_MAX && is_scalar(value))
        }
        _ => true,
    };
    scalars && line(value, false).chars().count() <= LINE_CHARS_MAX
}

fn line(value: &Printed, in_flow: bool) -> String {
    match value {
        Printed::Bare(word) => word.clone(),
        Printed::Text(text) => inline(text, in_flow),
        Printed::List(nodes) => {
            let nodes: Vec<String> = nodes.iter().map(|node| line(node, true)).collect();
            format!("[{}]", nodes.join(", "))
        }
        Printed::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", inline(key, true), line(value, true)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}
