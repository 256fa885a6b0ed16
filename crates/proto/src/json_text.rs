//! Pure. A YAML or JSON value -> the JSON text it stands for, in the order written, numbers as written.
//! This is where the traps inside `data` and `json` are answered: nulls nobody meant and numbers that lose a digit.

use crate::file_fault::FileFault;
use crate::yaml_text::quoted;
use crate::yaml_traps::{self, Meaning};
use crate::yaml_tree::{Node, Shape};

/// What the writer knows of the text a value comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The whole text.
    pub(crate) source: &'a str,
    /// Whether it is JSON, where a null is meant and nothing is unquoted.
    pub(crate) is_json: bool,
}

/// The JSON text of a value; none when it has faults, which are recorded. `path` is the value's, as its author wrote
/// it; `key` is what its line begins with, such as `zip: `.
pub(crate) fn write(
    origin: Origin<'_>,
    node: &Node,
    path: &str,
    key: &str,
    faults: &mut Vec<FileFault>,
) -> Option<String> {
    let mut writer = Writer { origin, faults, text: String::new(), whole: true };
    writer.value(node, path, key);
    let Writer { text, whole, .. } = writer;
    whole.then_some(text)
}

/// The comment or other rest behind a key that nothing was written for.
pub(crate) fn written_behind(origin: Origin<'_>, node: &Node) -> String {
    let rest = origin.source.get(node.start..).unwrap_or_default().lines().next().unwrap_or_default();
    rest.trim_start_matches([':', '-', ' ', '"']).trim_end().to_owned()
}

struct Writer<'a> {
    origin: Origin<'a>,
    faults: &'a mut Vec<FileFault>,
    text: String,
    whole: bool,
}

impl Writer<'_> {
    fn value(&mut self, node: &Node, path: &str, key: &str) {
        match &node.shape {
            Shape::Text(text) => self.string(text),
            Shape::Plain(text) => self.plain(node, text, path, key),
            Shape::Empty => {
                let written = written_behind(self.origin, node);
                self.fault(node, path, yaml_traps::null_fault(key, &written));
            }
            Shape::Faulty => self.whole = false,
            Shape::List(nodes) => {
                self.text.push('[');
                for (index, node) in nodes.iter().enumerate() {
                    self.comma(index);
                    self.value(node, &format!("{path}[{index}]"), "");
                }
                self.text.push(']');
            }
            Shape::Map(entries) => {
                self.text.push('{');
                for (index, (key, node)) in entries.iter().enumerate() {
                    self.comma(index);
                    self.string(&key.text);
                    self.text.push(':');
                    self.value(node, &format!("{path}.{}", key.text), &format!("{}: ", key.text));
                }
                self.text.push('}');
            }
        }
    }

    fn plain(&mut self, node: &Node, text: &str, path: &str, key: &str) {
        match yaml_traps::meaning(text) {
            Meaning::Null if self.origin.is_json => self.text.push_str("null"),
            Meaning::Null => self.fault(node, path, yaml_traps::null_fault(key, text)),
            Meaning::Bool(value) => self.text.push_str(if value { "true" } else { "false" }),
            Meaning::Number if yaml_traps::loses_its_start(text) => {
                self.fault(node, path, yaml_traps::number_fault(key, text));
            }
            Meaning::Number => match yaml_traps::json_number(text) {
                Some(number) => self.text.push_str(&number),
                None => self.fault(
                    node,
                    path,
                    format!("{text} is too large a number: write {key}{}", quoted(text)),
                ),
            },
            Meaning::NotFinite => {
                self.fault(node, path, format!("JSON has no {text}: write {key}{}", quoted(text)));
            }
            Meaning::Text => self.string(text),
        }
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.text.push(',');
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push_str(&serde_json::Value::from(text).to_string());
    }

    fn fault(&mut self, node: &Node, path: &str, text: String) {
        self.whole = false;
        self.faults.push(FileFault::new(path, node.place, text));
    }
}
