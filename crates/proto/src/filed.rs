//! Pure. Text of YAML or JSON -> messages, one a document, each with the places of its fields; or everything that is wrong with it.
//! `yaml_tree` reads the text, `file_conveniences` makes proto3 JSON of it, `json` the message. `campaign_file` and `test_file` say which.

use std::collections::BTreeMap;

use prost::{Message, Name};

use crate::file_conveniences;
use crate::file_fault::{FileFault, FilePlace};
use crate::json;
use crate::json_text::Origin;
use crate::yaml_tree::{self, FAULTS_MAX};

/// A message as it was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Filed<M> {
    /// The message; its output-only fields as the file has them, to be ignored by who stores it.
    pub message: M,
    /// Where the document begins.
    pub place: FilePlace,
    pub(crate) places: BTreeMap<String, FilePlace>,
}

impl<M> Filed<M> {
    /// Where a field stands in the file, or the nearest field around it that does; to show faults the server found.
    /// The path is the message's, such as `delivery.triggered.when[0].where`.
    #[must_use]
    pub fn place_of(&self, field: &str) -> FilePlace {
        place_of(&self.places, self.place, field)
    }
}

pub(crate) fn place_of(places: &BTreeMap<String, FilePlace>, whole: FilePlace, field: &str) -> FilePlace {
    let mut path = field;
    loop {
        if let Some(place) = places.get(path) {
            return *place;
        }
        match path.rfind(['.', '[']) {
            Some(at) => path = path.get(..at).unwrap_or_default(),
            None => return whole,
        }
    }
}

/// `begins_with` is what a document is told to begin with that is no mapping.
pub(crate) fn read_as<M: Message + Name + Default>(
    bytes: &[u8],
    begins_with: &str,
) -> Result<Vec<Filed<M>>, Vec<FileFault>> {
    let source = text(bytes).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let documents = yaml_tree::read(source, &mut faults);
    if documents.is_empty() && faults.is_empty() {
        faults.push(FileFault::new("", FilePlace { line: 1, column: 1 }, "no campaign in this file"));
    }
    let mut messages = Vec::new();
    for document in &documents {
        if faults.len() >= FAULTS_MAX {
            break;
        }
        messages.extend(message(source, document, begins_with, &mut faults));
    }
    if faults.is_empty() {
        return Ok(messages);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.truncate(FAULTS_MAX);
    Err(faults)
}

fn message<M: Message + Name + Default>(
    source: &str,
    document: &yaml_tree::Node,
    begins_with: &str,
    faults: &mut Vec<FileFault>,
) -> Option<Filed<M>> {
    let mut own = Vec::new();
    if !matches!(document.shape, yaml_tree::Shape::Map(_)) {
        if !matches!(document.shape, yaml_tree::Shape::Faulty) {
            let text = format!("expected a mapping that begins with {begins_with}");
            own.push(FileFault::new("", document.place, text));
        }
        faults.append(&mut own);
        return None;
    }
    let descriptor = match json::descriptor::<M>() {
        Ok(descriptor) => descriptor,
        Err(fault) => {
            faults.push(FileFault::new("", document.place, fault.text));
            return None;
        }
    };
    let origin = Origin { source, is_json: is_json(source, document) };
    let (value, places) = file_conveniences::canonical(origin, document, &descriptor, &mut own);
    if !own.is_empty() {
        faults.append(&mut own);
        return None;
    }
    match json::read_value(value) {
        Ok(message) => Some(Filed { message, place: document.place, places }),
        Err(fault) => {
            let place = place_of(&places, document.place, &fault.path);
            faults.push(FileFault::new(&fault.path, place, fault.text));
            None
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, FileFault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = FilePlace {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        };
        FileFault::new("", place, "not UTF-8 text: save the file as UTF-8")
    })
}

/// Whether a document is JSON: then a null is meant, and nothing can be a YAML trap.
pub(crate) fn is_json(source: &str, document: &yaml_tree::Node) -> bool {
    let text = source.get(document.start..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    text.starts_with('{') && matches!(values.next(), Some(Ok(_)))
}
