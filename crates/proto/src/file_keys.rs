//! Pure. What to answer to a key or a word that is not known: the nearest known one.

use prost_reflect::{Kind, MessageDescriptor};

use crate::file_conveniences::OUTPUT_ONLY;

/// The answer to a key that a message does not have.
pub(crate) fn unknown_key(key: &str, descriptor: &MessageDescriptor) -> String {
    let names: Vec<String> = descriptor
        .fields()
        .filter(|field| !OUTPUT_ONLY.contains(&field.full_name()))
        .map(|field| field.name().to_owned())
        .collect();
    if names.is_empty() {
        return format!("unknown key {}: nothing can be set here, write {{}}", shown(key));
    }
    let below = descriptor.fields().find(|field| match field.kind() {
        Kind::Message(inner) => inner.get_field_by_name(key).is_some(),
        _ => false,
    });
    if let Some(below) = below {
        return format!("unknown key {} here: it belongs under {}", shown(key), below.name());
    }
    if let Some(near) = nearest_key(key, &names) {
        return format!("unknown key {}: did you mean {near}", shown(key));
    }
    format!("unknown key {}: known here are {}", shown(key), names.join(", "))
}

/// The answer to a word that is none of these.
pub(crate) fn unknown_word(word: &str, known: &[String]) -> String {
    match nearest_key(word, known) {
        Some(near) => format!("unknown value {}: did you mean {near}", shown(word)),
        None => format!("unknown value {}: known are {}", shown(word), known.join(", ")),
    }
}

/// The most similar one, if one is similar at all.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(100).flat_map(char::to_lowercase).collect();
    known
        .map(|name| (strsim::jaro_winkler(&word, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.78)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn nearest_key<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    nearest(&word.replace(['-', ' '], "_"), known.iter().map(String::as_str))
}

/// A word of the author's, shortened.
fn shown(word: &str) -> String {
    if word.chars().count() <= 40 {
        word.to_owned()
    } else {
        format!("{}...", word.chars().take(40).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::descriptor;
    use crate::v1::{Campaign, Manual};

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_known_one() {
        let check = |key: &str, expected: &str| {
            let text = unknown_key(key, &descriptor::<Campaign>().unwrap());
            assert_eq!(text, expected);
        };
        check("audiance", "unknown key audiance: did you mean audience");
        check("webhok", "unknown key webhok: did you mean webhook");
        check("Exit-On", "unknown key Exit-On: did you mean exit_on");
        check("requiredValues", "unknown key requiredValues: did you mean requires_values");
        check("url", "unknown key url here: it belongs under webhook");
        check("throttle", "unknown key throttle here: it belongs under limits");
        let text = unknown_key("xyz", &descriptor::<Campaign>().unwrap());
        assert!(text.starts_with("unknown key xyz: known here are id, title, tags, audience, "), "{text}");
        let text = unknown_key("x", &descriptor::<Manual>().unwrap());
        assert_eq!(text, "unknown key x: nothing can be set here, write {}");
    }
}
