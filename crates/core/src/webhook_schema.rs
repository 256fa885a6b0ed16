//! Pure. The JSON Schema a rendered body must meet: compiled once a revision, checked once a send.
//!
//! Never fetches anything, and matches patterns in linear time. What it says of a body names places and rules, never values.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::limits;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

impl Schema {
    /// `Err` says what is wrong and where.
    pub(crate) fn compile(text: &str) -> Result<Schema, String> {
        if text.len() > limits::JSON_SCHEMA_BYTES_MAX {
            return Err(format!("is larger than {} KiB", limits::JSON_SCHEMA_BYTES_MAX / 1024));
        }
        let schema: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err("is no JSON Schema: expected an object".to_owned());
        }
        let patterns = PatternOptions::regex().size_limit(limits::PATTERN_COMPILED_BYTES_MAX);
        let built = jsonschema::options().with_pattern_options(patterns).offline().build(&schema);
        built.map(Schema).map_err(|error| match error.instance_path().as_str() {
            "" => format!("is no JSON Schema: {error}"),
            place => format!("is no JSON Schema: {error}, at {place}"),
        })
    }

    /// The first rule the body does not meet.
    pub(crate) fn check(&self, body: &str) -> Result<(), String> {
        let body: Value = serde_json::from_str(body)
            .map_err(|_| "the body is not JSON, so its schema is not met".to_owned())?;
        match self.0.iter_errors(&body).next() {
            None => Ok(()),
            Some(error) => {
                let place = error.instance_path().as_str().to_owned();
                let place = if place.is_empty() { "the body".to_owned() } else { place };
                Err(format!("{} at {place}, by {} of json_schema", error.masked(), error.schema_path()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, body: &str, expected: Result<(), &str>) {
        let checked = Schema::compile(schema).unwrap().check(body);
        assert_eq!(
            checked.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|text| *text),
            "{schema}"
        );
    }

    #[test]
    fn a_body_that_breaks_a_rule_is_told_by_place_and_rule_and_never_by_value() {
        let schema = r#"{"type": "object", "required": ["email"],
            "properties": {"email": {"type": "string", "pattern": "@"}, "n": {"type": "integer", "minimum": 1}}}"#;
        check(schema, r#"{"email": "a@b", "n": 1}"#, Ok(()));
        check(
            schema,
            r#"{"email": "a@b", "n": 0}"#,
            Err("value is less than the minimum of 1 at /n, by /properties/n/minimum of json_schema"),
        );
        let checked = Schema::compile(schema).unwrap().check(r#"{"email": "s3cr3t"}"#).unwrap_err();
        assert!(checked.contains("/email") && !checked.contains("s3cr3t"), "{checked}");
        let checked = Schema::compile(schema).unwrap().check("{}").unwrap_err();
        assert!(checked.contains("required") && checked.contains("the body"), "{checked}");
    }

    #[test]
    fn a_schema_that_refers_to_itself_neither_loops_nor_overflows() {
        check(r##"{"$ref": "#"}"##, "1", Ok(()));
        check(r##"{"allOf": [{"$ref": "#"}]}"##, "1", Ok(()));
        let list =
            r##"{"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}"##;
        check(list, r#"{"next": {"next": {}}}"#, Ok(()));
        assert!(Schema::compile(list).unwrap().check(r#"{"next": {"last": {}}}"#).is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused_at_save() {
        for (schema, expected) in [
            ("{", "is not JSON"),
            ("[]", "expected an object"),
            (r#"{"type": "strin"}"#, "at /type"),
            (r#"{"minLength": "x"}"#, "at /minLength"),
            (r#"{"pattern": "(?=a)"}"#, "at /pattern"),
            (r#"{"$ref": "https://schema.example/x.json"}"#, "is no JSON Schema"),
            (r#"{"$schema": "https://schema.example/x.json"}"#, "is no JSON Schema"),
        ] {
            let refused = Schema::compile(schema).map(drop).unwrap_err();
            assert!(refused.contains(expected), "{schema}: {refused}");
        }
        let large = format!(r#"{{"title": "{}"}}"#, "x".repeat(limits::JSON_SCHEMA_BYTES_MAX));
        assert!(Schema::compile(&large).map(drop).unwrap_err().contains("64 KiB"));
    }
}
