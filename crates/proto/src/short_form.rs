//! Pure. A campaign, or the settings -> the file a person would have written: the seven conveniences applied backwards.
//! Whatever is printed here is read by `campaign_file` as the same message, so that applying what was shown changes
//! nothing. Output-only fields are left out.

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, ReflectMessage, Value};

use crate::file_conveniences::{OUTPUT_ONLY, enum_prefix, is_json_text, is_rows};
use crate::file_duration;
use crate::json::{self, JsonFault};
use crate::json_text::{self, Origin};
use crate::yaml_print::{self, Printed};
use crate::yaml_tree::{self, Node, Shape};

/// YAML wants simple keys below 1,024 characters; longer ones are printed another way.
const KEY_BYTES_MAX: usize = 500;
/// Deeper JSON is printed as text, so that with the campaign around it it is not too deep to read.
const JSON_DEPTH_MAX: usize = 64;

/// The message as a YAML document in the short form. Reading it gives the same message, output-only fields aside; the
/// one exception are texts in JSON fields that are no JSON and look like a template, which no stored campaign has.
///
/// # Errors
/// A message that its own descriptor does not fit; never for a message that was read.
pub fn short_form<M: Message + Name>(message: &M) -> Result<String, JsonFault> {
    let message = json::to_dynamic(message)?;
    Ok(yaml_print::document(&Printed::Map(fields(&message))))
}

fn fields(message: &DynamicMessage) -> Vec<(String, Printed)> {
    let descriptor = message.descriptor();
    descriptor
        .fields()
        .filter(|field| message.has_field(field) && !OUTPUT_ONLY.contains(&field.full_name()))
        .map(|field| {
            let value = message.get_field(&field);
            let printed = match value.as_ref() {
                Value::List(values) => list(&field, values),
                value => one(&field, value),
            };
            (field.name().to_owned(), printed)
        })
        .collect()
}

/// A list: rows as a mapping, one value alone, or a list.
fn list(field: &FieldDescriptor, values: &[Value]) -> Printed {
    if is_rows(field)
        && let Some(rows) = rows(values)
    {
        return Printed::Map(rows);
    }
    let mut printed: Vec<Printed> = values.iter().map(|value| one(field, value)).collect();
    let alone = match printed.as_slice() {
        [Printed::Map(_)] => !is_rows(field),
        [Printed::List(_)] => false,
        [_] => true,
        _ => false,
    };
    match printed.pop() {
        Some(only) if alone => only,
        Some(last) => {
            printed.push(last);
            Printed::List(printed)
        }
        None => Printed::List(printed),
    }
}

/// Name/value rows as a mapping; none where a name comes twice or a row could not be told by its value.
fn rows(values: &[Value]) -> Option<Vec<(String, Printed)>> {
    let mut rows: Vec<(String, Printed)> = Vec::with_capacity(values.len());
    let mut names = std::collections::HashSet::new();
    for value in values {
        let row = value.as_message()?;
        let name = row.get_field_by_name("name")?.as_str()?.to_owned();
        if name.len() > KEY_BYTES_MAX || !names.insert(name.clone()) {
            return None;
        }
        let json = row.descriptor().get_field_by_name("json").filter(|field| row.has_field(field));
        let value = row.descriptor().get_field_by_name("value")?;
        let content = match json {
            Some(json) => match json_tree(row.get_field(&json).as_str()?)? {
                Printed::Text(_) => return None, // a text would be read as the row's value
                tree => tree,
            },
            None if value.containing_oneof().is_some() && !row.has_field(&value) => return None,
            None => Printed::Text(row.get_field(&value).as_str()?.to_owned()),
        };
        rows.push((name, content));
    }
    Some(rows)
}

fn one(field: &FieldDescriptor, value: &Value) -> Printed {
    match value {
        Value::Message(inner) => message(inner),
        Value::String(text) if is_json_text(field) => match json_tree(text) {
            Some(Printed::Text(_)) | None => Printed::Text(text.clone()), // a JSON string keeps its quotes
            Some(tree) => tree,
        },
        Value::String(text) => Printed::Text(text.clone()),
        Value::EnumNumber(number) => match field.kind().as_enum() {
            Some(descriptor) => word(descriptor, *number),
            None => Printed::Bare(number.to_string()),
        },
        Value::Bool(value) => Printed::Bare(value.to_string()),
        Value::F64(number) if number.is_finite() => Printed::Bare(number.to_string()),
        Value::F64(number) if number.is_nan() => Printed::Text("NaN".to_owned()),
        Value::F64(number) => Printed::Text(if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()),
        Value::I32(number) => Printed::Bare(number.to_string()),
        Value::I64(number) => Printed::Bare(number.to_string()),
        Value::U32(number) => Printed::Bare(number.to_string()),
        Value::U64(number) => Printed::Bare(number.to_string()),
        other => Printed::Text(other.to_string()), // kinds a campaign does not have
    }
}

/// A message: its first field alone as a bare value, else a mapping.
fn message(message: &DynamicMessage) -> Printed {
    if message.descriptor().full_name() == "google.protobuf.Duration" {
        return match message.transcode_to::<prost_types::Duration>() {
            Ok(duration) => Printed::Bare(file_duration::write(&duration)),
            Err(_) => Printed::Map(Vec::new()),
        };
    }
    let mut fields = fields(message);
    let first = message.descriptor().get_field(1);
    let alone = match fields.as_slice() {
        [(name, Printed::Bare(_) | Printed::Text(_))] => first.is_some_and(|first| first.name() == name),
        _ => false,
    };
    match fields.pop() {
        Some((_, only)) if alone => only,
        Some(last) => {
            fields.push(last);
            Printed::Map(fields)
        }
        None => Printed::Map(fields),
    }
}

fn word(descriptor: &EnumDescriptor, number: i32) -> Printed {
    match descriptor.get_value(number) {
        Some(value) if number != 0 => {
            Printed::Text(value.name().trim_start_matches(&enum_prefix(descriptor)).to_ascii_lowercase())
        }
        Some(value) => Printed::Text(value.name().to_owned()),
        None => Printed::Bare(number.to_string()),
    }
}

/// JSON text as a tree; none where reading the tree would not give exactly this text.
fn json_tree(text: &str) -> Option<Printed> {
    let mut faults = Vec::new();
    let documents = yaml_tree::read(text, &mut faults);
    let [root] = documents.as_slice() else { return None };
    let written = json_text::write(Origin { source: text, is_json: false }, root, "", "", &mut faults)?;
    if written != text || !faults.is_empty() {
        return None;
    }
    tree(root, JSON_DEPTH_MAX)
}

fn tree(node: &Node, depth_left: usize) -> Option<Printed> {
    let below = depth_left.checked_sub(1)?;
    match &node.shape {
        Shape::Plain(word) => Some(Printed::Bare(word.clone())),
        Shape::Text(text) => Some(Printed::Text(text.clone())),
        Shape::List(nodes) => {
            nodes.iter().map(|node| tree(node, below)).collect::<Option<Vec<_>>>().map(Printed::List)
        }
        Shape::Map(entries) => entries
            .iter()
            .map(|(key, node)| {
                (key.text.len() <= KEY_BYTES_MAX).then_some(())?;
                Some((key.text.clone(), tree(node, below)?))
            })
            .collect::<Option<Vec<_>>>()
            .map(Printed::Map),
        Shape::Empty | Shape::Faulty => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::v1::Campaign;

    use super::*;
    use crate::campaign_file::read;
    use proptest::prelude::*;
    use prost_reflect::{Kind, MessageDescriptor};

    /// What is printed reads back as the same message; gives the text.
    fn round_trip(campaign: &Campaign) -> String {
        let text = short_form(campaign).unwrap();
        let files = read(text.as_bytes()).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"));
        assert_eq!(&files[0].campaign, campaign, "{text}");
        assert_eq!(files.len(), 1, "{text}");
        text
    }

    #[test]
    fn the_files_people_write_are_shown_as_short_as_they_wrote_them() {
        let files = read(include_bytes!("../testdata/campaigns.yaml")).unwrap();
        let shown: Vec<String> = files.iter().map(|file| round_trip(&file.campaign)).collect();
        assert_eq!(shown.join("---\n"), include_str!("../testdata/campaigns_shown.yaml"));
    }

    #[test]
    fn what_the_server_says_of_a_campaign_is_not_shown() {
        let campaign = Campaign {
            id: "a".to_owned(),
            state: 3,
            revision: 7,
            created_at: Some(prost_types::Timestamp::default()),
            updated_at: Some(prost_types::Timestamp::default()),
            ..Campaign::default()
        };
        assert_eq!(short_form(&campaign).unwrap(), "id: a\n");
    }

    #[test]
    fn what_has_no_short_form_is_shown_longer() {
        let check = |text: &str, expected: &str| {
            let files = read(text.as_bytes()).unwrap();
            assert_eq!(round_trip(&files[0].campaign), expected);
        };
        let rows = |rows: &str| format!("webhook:\n  data:\n{rows}");
        // a key twice, a JSON string as a row, a null, JSON with its own spaces
        check(
            "webhook: {data: [{name: a, value: x}, {name: a, json: 5}]}",
            &rows("    - {name: a, value: x}\n    - {name: a, json: 5}\n"),
        );
        check(r#"webhook: {data: [{name: a, json: '"x"'}]}"#, &rows("    - {name: a, json: '\"x\"'}\n"));
        check(r#"webhook: {data: [{name: a, json: "null"}]}"#, &rows("    - {name: a, json: \"null\"}\n"));
        check(r#"webhook: {json: '{"a": 1}'}"#, "webhook:\n  json: '{\"a\": 1}'\n");
        check(r#"webhook: {json: '{"a":null}'}"#, "webhook:\n  json: '{\"a\":null}'\n");
        // as short as it gets
        check(
            "webhook: {data: {one: 1, l: [1, {b: {}}]}}",
            "webhook:\n  data:\n    one: 1\n    l:\n      - 1\n      - {b: {}}\n",
        );
        check("webhook: {raw: \"a\\nb\\n\"}", "webhook:\n  raw: |\n    a\n    b\n");
        check(
            "webhook: {json: {big: 9223372036854775807, x: 1.10}}",
            "webhook:\n  json:\n    big: 9223372036854775807\n    x: 1.10\n",
        );
        check("title: \"yes\"", "title: \"yes\"\n");
        check("audience: {}", "audience: {}\n");
        check(
            "delivery: {triggered: {when: [a, b], delay: {days: 1}}}",
            "delivery:\n  triggered:\n    when: [a, b]\n    delay:\n      days: 1\n",
        );
    }

    #[test]
    fn deep_and_long_json_is_shown_so_that_it_can_be_read() {
        let check = |json: String| {
            let webhook = crate::v1::Webhook { json, ..Default::default() };
            round_trip(&Campaign { webhook: Some(webhook), ..Campaign::default() });
        };
        for depth in [10, 60, 64, 65, 79, 90, 300] {
            check(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
            check(format!("{}1{}", "{\"a\":[".repeat(depth), "]}".repeat(depth)));
        }
        check(format!("{{\"{}\":1}}", "k".repeat(2_000)));
        check(format!("\"{}\"", "x".repeat(100_000)));
        check("[1e5,1E400,-0,0.10]".to_owned());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn applying_what_was_shown_changes_nothing(seed in any::<u64>(), texts in prop::collection::vec(text(), 8)) {
            let descriptor = json::descriptor::<Campaign>().unwrap();
            let mut dice = Dice { state: seed | 1, texts };
            let campaign: Campaign = any_message(&descriptor, &mut dice, 6).transcode_to().unwrap();
            round_trip(&campaign);
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{0,6}",
            "[ \\-:{}\\[\\],&*!|>'\"%@`#?~=\\\\\n\ta0.+]{0,8}",
            any::<String>(),
            "([a-z ]{0,5}\n){0,4}[a-z ]{0,5}",
            prop::sample::select(vec![
                "null", "true", "0x1F", "01067", "+1", "1.10", ".nan", "yes", "{{ a }}", "a: b", "a #b",
                "---", "...", "\u{feff}", "\u{85}", "\u{2028}"
            ])
            .prop_map(str::to_owned),
        ]
    }

    struct Dice {
        state: u64,
        texts: Vec<String>,
    }

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.state % sides
        }

        fn text(&mut self) -> String {
            let at = self.roll(self.texts.len() as u64) as usize;
            self.texts[at].clone()
        }

        /// JSON text, mostly as a compact writer leaves it.
        fn json(&mut self, depth: u64) -> String {
            let text = self.text();
            match self.roll(if depth == 0 { 5 } else { 8 }) {
                0 => serde_json::Value::from(text).to_string(),
                1 => ["0", "-1", "1.10", "1e5", "9223372036854775807", "-0.0"][self.roll(6) as usize]
                    .to_owned(),
                2 => ["true", "false", "null"][self.roll(3) as usize].to_owned(),
                3 => "{}".to_owned(),
                4 => {
                    if text.trim().starts_with("{{") {
                        "[]".to_owned()
                    } else {
                        text
                    }
                }
                5 => format!("[{},{}]", self.json(depth - 1), self.json(depth - 1)),
                6 => format!("[{}]", self.json(depth - 1)),
                _ => format!("{{{}:{}}}", serde_json::Value::from(text), self.json(depth - 1)),
            }
        }
    }

    /// Any message of this type, sense or nonsense, without what only the server sets.
    fn any_message(descriptor: &MessageDescriptor, dice: &mut Dice, depth: u64) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        if descriptor.full_name() == "google.protobuf.Duration" {
            message.set_field_by_name("seconds", Value::I64(dice.roll(10_000_000) as i64));
            return message;
        }
        for field in descriptor.fields().filter(|field| !OUTPUT_ONLY.contains(&field.full_name())) {
            if dice.roll(3) > 0 || depth == 0 {
                continue;
            }
            let value = if field.is_list() {
                Value::List((0..dice.roll(4)).map(|_| any_value(&field, dice, depth)).collect())
            } else {
                any_value(&field, dice, depth)
            };
            message.set_field(&field, value);
        }
        message
    }

    fn any_value(field: &FieldDescriptor, dice: &mut Dice, depth: u64) -> Value {
        match field.kind() {
            Kind::Message(inner) => Value::Message(any_message(&inner, dice, depth - 1)),
            Kind::Enum(_) => Value::EnumNumber(dice.roll(9) as i32 - 1),
            Kind::String if is_json_text(field) => Value::String(dice.json(3)),
            Kind::String => Value::String(dice.text()),
            Kind::Bool => Value::Bool(dice.roll(2) == 1),
            Kind::Double => {
                Value::F64([0.0, 5.0, 0.1, -1e300, f64::INFINITY, f64::MIN_POSITIVE][dice.roll(6) as usize])
            }
            Kind::Uint32 => Value::U32(dice.roll(1 << 32) as u32),
            kind => panic!("a campaign has no {kind:?}"),
        }
    }
}
