//! Pure. Field masks: takes the fields that a mask names from one message into another. A named field that the first one leaves
//! out is cleared. Lists are taken whole.

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use crate::json::to_dynamic;

/// Fields that only the server writes.
const OUTPUT_ONLY: [&str; 4] = ["state", "revision", "created_at", "updated_at"];

/// Takes the fields at `paths` (`title`, `limits.throttle`) from `from` into `onto`. An error names the path that is no field; then
/// `onto` is as it was.
pub fn apply<M: Message + Name + Default>(
    paths: &[String],
    from: &M,
    onto: &mut M,
) -> Result<(), (String, String)> {
    let unreadable = |e: crate::json::JsonFault| (String::new(), e.to_string());
    let from = to_dynamic(from).map_err(unreadable)?;
    let mut changed = to_dynamic(onto).map_err(unreadable)?;
    for path in paths {
        let names: Vec<&str> = path.split('.').collect();
        if OUTPUT_ONLY.contains(&path.as_str()) {
            return Err((path.clone(), "is written by the server only".to_owned()));
        }
        take(&names, &from, &mut changed).map_err(|text| (path.clone(), text))?;
    }
    *onto = changed.transcode_to().map_err(|e| (String::new(), e.to_string()))?;
    Ok(())
}

fn take(names: &[&str], from: &DynamicMessage, onto: &mut DynamicMessage) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    let of = onto.descriptor();
    let field = of.get_field_by_name(name).or_else(|| of.get_field_by_json_name(name));
    let field = field.ok_or_else(|| format!("{} has no field {name:?}", of.name()))?;
    if rest.is_empty() {
        match from.has_field(&field) {
            true => onto.set_field(&field, from.get_field(&field).into_owned()),
            false => onto.clear_field(&field),
        }
        return Ok(());
    }
    if field.is_list() || field.is_map() || field.kind().as_message().is_none() {
        return Err(format!("{name:?} is taken whole, it has no fields of its own"));
    }
    let empty = || field.kind().as_message().map(|of| DynamicMessage::new(of.clone()));
    let inner_from = match from.get_field(&field).into_owned() {
        Value::Message(message) => message,
        _ => return Err(format!("{name:?} is no message")),
    };
    let inner_onto = match onto.has_field(&field) {
        true => onto.get_field(&field).into_owned().as_message().cloned(),
        false => empty(),
    };
    let mut inner = inner_onto.ok_or_else(|| format!("{name:?} is no message"))?;
    take(rest, &inner_from, &mut inner)?;
    onto.set_field(&field, Value::Message(inner));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::v1::Campaign;

    use super::*;
    use crate::v1::{Delivery, Limits, OneTime, delivery};

    fn campaign(title: &str, throttle: &str, at: &str) -> Campaign {
        let one_time = delivery::Kind::OneTime(OneTime { at: at.to_owned(), late: 0 });
        Campaign {
            id: "c".to_owned(),
            title: title.to_owned(),
            tags: vec!["a".to_owned()],
            limits: Some(Limits { throttle: throttle.to_owned(), weight: 3, ..Default::default() }),
            delivery: Some(Delivery {
                kind: Some(one_time),
                zone: "Europe/Berlin".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn only_the_named_fields_are_taken() {
        let check = |paths: &[&str], expected: Campaign| {
            let mut onto = campaign("old", "1/s", "now");
            let from = Campaign { tags: vec![], ..campaign("new", "2/s", "2026-12-01T09:00") };
            let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
            apply(&paths, &from, &mut onto).unwrap();
            assert_eq!(onto, expected, "{paths:?}");
        };
        check(&["title"], campaign("new", "1/s", "now"));
        check(&["limits.throttle", "delivery.one_time.at"], campaign("old", "2/s", "2026-12-01T09:00"));
        check(&["delivery"], campaign("old", "1/s", "2026-12-01T09:00"));
        check(&["tags"], Campaign { tags: vec![], ..campaign("old", "1/s", "now") });
        check(
            &["title", "webhook.url"],
            Campaign { webhook: Some(Default::default()), ..campaign("new", "1/s", "now") },
        );
    }

    #[test]
    fn a_path_that_is_no_field_changes_nothing() {
        for path in ["titel", "limits.nothing", "tags.x", "title.x", "state", "", "limits..throttle"] {
            let mut onto = campaign("old", "1/s", "now");
            let fault = apply(&["title".to_owned(), path.to_owned()], &campaign("new", "", ""), &mut onto);
            assert_eq!(fault.unwrap_err().0, path);
            assert_eq!(onto, campaign("old", "1/s", "now"));
        }
    }
}
