//! Pure. The JSON Schema of the campaign file, made of the descriptors: for editors, which complete and check by it while somebody
//! writes. It allows what `file_conveniences` reads, and says of every key what the protos say.
//!
//! Looser than the reader in one way: an editor sees YAML's values, not its text, so `01067` is a number to it. Stricter in one:
//! null, which JSON files may use for "left out", is not offered.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::file_conveniences::{OUTPUT_ONLY, enum_prefix, is_json_text, is_rows};
use crate::json::{self, JsonFault};
use crate::v1::Campaign;

/// What the protos say of each message and field, by full name; written by `cargo xtask codegen`.
const COMMENTS: &str = include_str!("gen/comments.json");
static SAID: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(COMMENTS).unwrap_or_default());

/// A duration as the file has it, or as proto3 JSON does.
const DURATION: &str = r"^(([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?|[0-9]+\.[0-9]{1,9}s)$";

/// The schema of one document of a campaign file, in draft 7, which editors know best.
///
/// # Errors
/// Never for the descriptors this crate is built with.
pub fn schema() -> Result<Value, JsonFault> {
    let root = json::descriptor::<Campaign>()?;
    let mut definitions = BTreeMap::new();
    let mut campaign = object(&root, &mut definitions);
    campaign["required"] = json!(["id"]);
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A campaign of Campanile",
        "description": said(root.full_name()),
    });
    if let (Value::Object(schema), Value::Object(campaign)) = (&mut schema, campaign) {
        schema.extend(campaign);
        schema.insert("definitions".to_owned(), definitions.into_iter().collect::<Map<_, _>>().into());
    }
    Ok(schema)
}

type Definitions = BTreeMap<String, Value>;

/// A message written out as a mapping.
fn object(message: &MessageDescriptor, definitions: &mut Definitions) -> Value {
    let (mut properties, mut canonical) = (Map::new(), Map::new());
    for field in message.fields() {
        let schema = property(&field, definitions);
        if field.json_name() != field.name() {
            canonical.insert(format!("^{}$", field.json_name()), schema.clone());
        }
        properties.insert(field.name().to_owned(), schema);
    }
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !canonical.is_empty() {
        // proto3 JSON's names are read as well, but not offered.
        object["patternProperties"] = canonical.into();
    }
    let choices: Vec<Value> = message
        .oneofs()
        .filter(|oneof| !oneof.is_synthetic())
        .map(|oneof| {
            let chosen: Vec<Value> =
                oneof.fields().map(|field| json!({ "required": [field.name()] })).collect();
            let mut one = chosen.clone();
            one.push(json!({ "not": { "anyOf": chosen } }));
            json!({ "oneOf": one })
        })
        .collect();
    if !choices.is_empty() {
        object["allOf"] = choices.into();
    }
    object
}

/// A key with what is said of it.
fn property(field: &FieldDescriptor, definitions: &mut Definitions) -> Value {
    let mut schema = json!({ "description": said(field.full_name()), "anyOf": forms(field, definitions) });
    if OUTPUT_ONLY.contains(&field.full_name()) {
        schema["readOnly"] = true.into();
    }
    schema
}

/// All ways to write a field's value.
fn forms(field: &FieldDescriptor, definitions: &mut Definitions) -> Vec<Value> {
    let one = one(field, definitions);
    if !field.is_list() {
        return vec![one];
    }
    let list = json!({ "type": "array", "items": one });
    match field.kind() {
        Kind::Message(row) if is_rows(field) => {
            let is_data = row.get_field_by_name("json").is_some();
            let content = if is_data { any() } else { text() };
            vec![json!({ "type": "object", "additionalProperties": content }), list]
        }
        _ => vec![one, list],
    }
}

/// One value of a field.
fn one(field: &FieldDescriptor, definitions: &mut Definitions) -> Value {
    match field.kind() {
        Kind::Message(message) => reference(&message, definitions),
        Kind::Enum(words) => word(&words),
        Kind::String if is_json_text(field) || is_data_value(field) => any(),
        Kind::String => text(),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        _ => json!({ "type": "integer", "minimum": 0 }),
    }
}

/// A data row's value, which may be anything that JSON has.
fn is_data_value(field: &FieldDescriptor) -> bool {
    field.full_name() == "campanile.v1.DataRow.value"
}

fn reference(message: &MessageDescriptor, definitions: &mut Definitions) -> Value {
    match message.full_name() {
        "google.protobuf.Duration" => {
            return json!({ "type": "string", "minLength": 2, "pattern": DURATION, "examples": ["90s", "15m", "2h", "3d", "1w"] });
        }
        "google.protobuf.Timestamp" => return json!({ "type": "string", "format": "date-time" }),
        _ => {}
    }
    let name = message.name().to_owned();
    if !definitions.contains_key(&name) {
        // Its place is taken before it is walked: a message may hold itself.
        definitions.insert(name.clone(), Value::Null);
        let whole = object(message, definitions);
        let mut written = vec![whole];
        // A bare value is the first field.
        written.extend(message.get_field(1).map(|first| forms(&first, definitions)).unwrap_or_default());
        let schema = json!({ "description": said(message.full_name()), "anyOf": written });
        definitions.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// The short words are offered; the names of the protos, capitals and numbers are read too.
fn word(words: &EnumDescriptor) -> Value {
    let prefix = enum_prefix(words);
    let short: Vec<String> = words
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| value.name().trim_start_matches(&prefix).to_ascii_lowercase())
        .collect();
    let mut long: Vec<String> = words.values().map(|value| value.name().to_owned()).collect();
    long.extend(short.iter().map(|word| word.to_ascii_uppercase()));
    json!({ "anyOf": [{ "enum": short }, { "enum": long }, { "type": "integer" }] })
}

/// A number is its text.
fn text() -> Value {
    json!({ "type": ["string", "number"] })
}

/// JSON, or a template of it.
fn any() -> Value {
    json!({ "not": { "type": "null" } })
}

fn said(full_name: &str) -> &'static str {
    SAID.get(full_name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_text::{self, Origin};
    use crate::yaml_tree;
    use std::path::Path;

    /// A document's values as an editor sees them.
    fn documents(text: &str) -> Vec<Value> {
        let mut faults = Vec::new();
        let nodes = yaml_tree::read(text, &mut faults);
        let values = nodes.iter().map(|node| {
            let origin = Origin { source: text, is_json: false };
            let json =
                json_text::write(origin, node, "", "", &mut faults).unwrap_or_else(|| panic!("{text}"));
            serde_json::from_str(&json).unwrap()
        });
        values.collect()
    }

    fn validator() -> jsonschema::Validator {
        jsonschema::draft7::new(&schema().unwrap()).unwrap()
    }

    fn faults(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
        let documents = documents(text);
        assert!(!documents.is_empty(), "{text}");
        documents
            .iter()
            .flat_map(|document| validator.iter_errors(document).map(|e| e.to_string()).collect::<Vec<_>>())
            .collect()
    }

    fn yaml_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                yaml_files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_example_is_as_the_schema_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files =
            vec![root.join("testdata/campaigns.yaml"), root.join("testdata/campaigns_shown.yaml")];
        yaml_files(&root.join("../../examples"), &mut files);
        assert!(files.len() > 3, "{files:?}");
        let validator = validator();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(faults(&validator, &text), Vec::<String>::new(), "{}", file.display());
        }
        for line in include_str!("../testdata/campaigns.ndjson").lines() {
            assert_eq!(faults(&validator, line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn every_convenience_of_the_file_is_allowed() {
        let validator = validator();
        for text in [
            "id: a\nlimits: {expiry: 1h30m, retry: long}",
            "id: a\nlimits: {expiry: 1.5s, retry: {waits: [1m, 2h]}}",
            "id: a\nwebhook: {method: put, content_type: FORM}",
            "id: a\nwebhook: {method: HTTP_METHOD_PUT}",
            "id: a\ntags: vip",
            "id: a\naudience: everyone\ndelivery: {triggered: purchase}",
            "id: a\ndelivery: {triggered: [a, {event: b, where: c}]}",
            "id: a\ndelivery: {triggered: {when: a, delay: 2h}}",
            "id: a\nwebhook: {headers: {a: x, n: 7}, data: {b: 1, c: true, l: [1], m: {z: 1}}}",
            "id: a\nwebhook: {data: [{name: a, value: 5}, {name: a, json: \"5\"}]}",
            "id: a\nwebhook: {json: {a: [1, {b: c}]}, json_schema: {type: object}}",
            "id: a\nwebhook: {json: \"{{ user }}\", raw: hello}",
            "id: 5\ntitle: 1.10",
            "id: a\ndelivery: {recurring: {every: {months: 1, month_days: [1, last], at: \"08:00\"}}}",
            "id: a\ndelivery: {oneTime: {at: now}, fallbackZone: UTC}",
            "id: a\ndelivery: {manual: {}}\nrevision: 3",
        ] {
            assert_eq!(faults(&validator, text), Vec::<String>::new(), "{text}");
            crate::campaign_file::read(text.as_bytes()).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        }
    }

    #[test]
    fn what_the_reader_refuses_by_shape_is_not_as_the_schema_says() {
        let validator = validator();
        for text in [
            "titel: x",
            "id: a\nurl: x",
            "id: a\nlimits: {retry: lang}",
            "id: a\nlimits: {expiry: 5}",
            "id: a\nlimits: {expiry: soon}",
            "id: a\nlimits: {throttle: [1]}",
            "id: a\ndelivery: {manual: {}, one_time: now}",
            "id: a\ndelivery: {triggered: {when: [{evnt: b}]}}",
            "id: true",
        ] {
            assert_ne!(faults(&validator, text), Vec::<String>::new(), "{text}");
            if text != "id: a\nurl: x" {
                assert!(crate::campaign_file::read(text.as_bytes()).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is() {
        let mut silent = Vec::new();
        look(&schema().unwrap(), "", &mut silent);
        assert_eq!(silent, Vec::<String>::new());
    }

    fn look(schema: &Value, path: &str, silent: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                for (key, inner) in object {
                    let path = format!("{path}/{key}");
                    if path.ends_with(&format!("properties/{key}"))
                        && inner["description"].as_str().is_none_or(str::is_empty)
                    {
                        silent.push(path.clone());
                    }
                    look(inner, &path, silent);
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| look(inner, path, silent)),
            _ => {}
        }
    }
}
