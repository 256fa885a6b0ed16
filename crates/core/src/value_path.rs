//! Pure. A path to one value of a user or of an event: `user.trial_ends_at`, `properties.cart.id`, as `key`, `same` and `anchor` name it.
//!
//! Read by the same grammar as expressions, so that a path means the same everywhere.

use serde_json::Value;

use crate::event::Event;
use crate::expression::FaultList;
use crate::expression_lexer::lex;
use crate::expression_parser::{self, Form, Step};
use crate::fault::quoted;
use crate::limits;
use crate::user::Profile;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuePath {
    of_user: bool,
    steps: Vec<Step>,
}

impl ValuePath {
    /// `user.x` or `properties.x`, at any depth; the error says what would be right.
    pub fn parse(text: &str) -> Result<ValuePath, String> {
        let wrong = || {
            format!(
                "{} is not a path: write user.trial_ends_at or properties.departs_at",
                quoted(text.trim())
            )
        };
        if text.len() > limits::EXPRESSION_BYTES_MAX {
            return Err(wrong());
        }
        let mut faults = FaultList::new(text);
        let tokens = lex(text, &mut faults);
        let syntax = expression_parser::parse(&tokens, &mut faults);
        let form = syntax.filter(|_| faults.is_empty()).map(|syntax| syntax.form);
        match form {
            Some(Form::Path(root, steps)) if matches!(steps.first(), Some(Step::Name(_))) => {
                match root.as_str() {
                    "user" => Ok(ValuePath { of_user: true, steps }),
                    "properties" => Ok(ValuePath { of_user: false, steps }),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }

    /// An event's property by its bare name, `cart_id`, or path, `cart.id`.
    pub fn property(name: &str) -> Result<ValuePath, String> {
        let name = name.trim();
        let path = ValuePath::parse(&format!("properties.{name}")).map_err(|_| {
            format!("{} is not the name of a property: write cart_id or cart.id", quoted(name))
        })?;
        Ok(path)
    }

    pub fn is_of_user(&self) -> bool {
        self.of_user
    }

    /// None: there is no such value.
    pub fn find<'a>(&self, profile: &'a Profile, event: Option<&'a Event>) -> Option<&'a Value> {
        let map = if self.of_user { &profile.attributes } else { &event?.properties };
        let (Step::Name(first), rest) = self.steps.split_first()? else { return None };
        rest.iter().try_fold(map.get(first)?, |value, step| match step {
            Step::Name(name) => value.as_object()?.get(name),
            Step::Index(index) => value.as_array()?.get(*index),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_a_value_of_user_or_event() {
        let mut profile = Profile::new("mary", Timestamp::UNIX_EPOCH);
        profile.attributes = json!({"First name": "Mary", "a": [{"b": 1}]}).as_object().cloned().unwrap();
        let event = Event {
            name: "e".to_owned(),
            value: None,
            properties: json!({"cart": {"id": 7}}).as_object().cloned().unwrap(),
            occurred_at: Timestamp::UNIX_EPOCH,
            id: String::new(),
            happening: None,
            collected: Vec::new(),
        };
        let check = |path: Result<ValuePath, String>, expected: Option<Value>| {
            assert_eq!(path.unwrap().find(&profile, Some(&event)).cloned(), expected);
        };
        check(ValuePath::parse("user[\"First name\"]"), Some(json!("Mary")));
        check(ValuePath::parse("user.a[0].b"), Some(json!(1)));
        check(ValuePath::parse("properties.cart.id"), Some(json!(7)));
        check(ValuePath::property("cart.id"), Some(json!(7)));
        check(ValuePath::property("cart"), Some(json!({"id": 7})));
        check(ValuePath::parse("user.nothing"), None);
        check(ValuePath::parse("properties.cart[0]"), None);
    }

    #[test]
    fn anything_else_is_no_path() {
        for text in [
            "",
            "user",
            "cart_id",
            "values.x",
            "user.x == 1",
            "count(\"e\")",
            "user.",
            "properties[0]",
            "\"x\"",
        ] {
            assert!(ValuePath::parse(text).is_err(), "{text}");
        }
        for name in ["", "a b", "a ==", "[0]"] {
            assert!(ValuePath::property(name).is_err(), "{name}");
        }
    }
}
