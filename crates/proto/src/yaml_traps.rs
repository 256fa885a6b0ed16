//! Pure. What unquoted YAML means, and what to answer where it means something its author did not.
//! Knows the YAML 1.2 core schema; the tree and the walk over it ask here before they believe a scalar.

use crate::yaml_text::quoted;

/// What an unquoted scalar means by YAML 1.2's core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning {
    /// `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, told by its text.
    Number,
    /// `.inf` or `.nan`: a number JSON does not have.
    NotFinite,
    /// Anything else.
    Text,
}

/// What this unquoted scalar means.
pub(crate) fn meaning(text: &str) -> Meaning {
    match text {
        "null" | "Null" | "NULL" | "~" | "" => return Meaning::Null,
        "true" | "True" | "TRUE" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" => return Meaning::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => Meaning::NotFinite,
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => Meaning::NotFinite,
        _ if is_number(unsigned, unsigned.len() == text.len()) => Meaning::Number,
        _ => Meaning::Text,
    }
}

/// The number as JSON writes it; none when it is too large to keep its value.
pub(crate) fn json_number(text: &str) -> Option<String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(|n| n.to_string());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(|n| n.to_string());
    }
    if serde_json::from_str::<serde_json::Number>(text).is_ok() {
        return Some(text.to_owned()); // as written: 64-bit integers and 1.10 survive
    }
    let value: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(value).map(|n| n.to_string())
}

/// Whether text begins like a number that would lose its first character: `01067`, `+49`.
pub(crate) fn loses_its_start(text: &str) -> bool {
    let digit_follows = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('+') || unsigned.strip_prefix('0').is_some_and(digit_follows)
}

/// The answer to a null inside data or JSON. `written` is the rest of the line behind the key, a comment mostly.
pub(crate) fn null_fault(key: &str, written: &str) -> String {
    if written.starts_with('#') {
        return format!("a # begins a comment, so this is null: write {key}{}", quoted(written));
    }
    format!(
        "null here: write {key}\"\" for an empty text, or the whole document as JSON text if null is meant"
    )
}

/// The answer to a number that YAML reads without its first character.
pub(crate) fn number_fault(key: &str, text: &str) -> String {
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    let sign = if text.starts_with('-') { "-" } else { "" };
    let read =
        format!("{sign}{}{digits}", if digits.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" });
    format!("unquoted, this is the number {read}: write {key}{}", quoted(text))
}

/// The answer to a value that YAML reads otherwise than it was meant, for how it begins or for a colon in it.
pub(crate) fn start_fault(key: &str, written: &str) -> String {
    let why = match written.chars().next() {
        Some('{') => "unquoted, {{ begins a mapping",
        Some('*') => "unquoted, * names an alias",
        Some('&') => "unquoted, & names an anchor",
        Some('!') => "unquoted, ! names a tag",
        Some('%') => "an unquoted value cannot begin with %",
        Some('@') => "an unquoted value cannot begin with @",
        Some('`') => "an unquoted value cannot begin with `",
        Some('"' | '\'') => "a value that begins with a quote ends with it",
        _ => "unquoted, a colon and a space begin a mapping",
    };
    format!("{why}: write {key}{}", quoted(written))
}

/// What was meant by a value that YAML cannot read unquoted: from its first character to where it ends.
/// `in_flow`: inside brackets or braces, where a comma ends it too.
pub(crate) fn value_from(source: &str, start: usize, in_flow: bool) -> &str {
    let line = source.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    if in_flow {
        let after = line.find("}}").filter(|_| line.starts_with("{{")).map_or(0, |at| at + 2);
        let rest = line.get(after..).unwrap_or_default();
        let end = rest.find([',', ']', '}']).map_or(line.len(), |at| after + at);
        return line.get(..end).unwrap_or_default().trim_end();
    }
    line.find(" #").map_or(line, |at| line.get(..at).unwrap_or_default()).trim_end()
}

/// Where the quoted value begins that ends before this byte, on the same line.
pub(crate) fn quoted_value_before(source: &str, at: usize) -> Option<usize> {
    let before = source.get(..at)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.get(line_start..)?;
    let starts = [": \"", ": '", "- \"", "- '"];
    starts.iter().filter_map(|start| line.find(start)).min().map(|found| line_start + found + 2)
}

/// By the core schema, with leading zeros: `0x1F`, `0o17`, `12`, `.5`, `1.`, `1e3`.
fn is_number(text: &str, plain_sign: bool) -> bool {
    let all = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    if plain_sign && let Some(digits) = text.strip_prefix("0x") {
        return all(digits, 16);
    }
    if plain_sign && let Some(digits) = text.strip_prefix("0o") {
        return all(digits, 8);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| all(exponent, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_scalars_mean_what_yaml_1_2_says() {
        let check = |text: &str, expected: Meaning| assert_eq!(meaning(text), expected, "{text}");
        for null in ["", "~", "null", "NULL"] {
            check(null, Meaning::Null);
        }
        check("true", Meaning::Bool(true));
        check("FALSE", Meaning::Bool(false));
        for number in ["0", "12", "-7", "+7", "01067", "0x1F", "0o17", "1.5", ".5", "1.", "1e3", "-1.5E-3"] {
            check(number, Meaning::Number);
        }
        for number in [".inf", "-.inf", ".nan"] {
            check(number, Meaning::NotFinite);
        }
        for text in [
            "yes",
            "on",
            "no",
            "-",
            ".",
            "+",
            "e3",
            "1e",
            "0x",
            "-0x1F",
            "1_000",
            "12:30",
            "2026-12-01",
            "-.nan",
        ] {
            check(text, Meaning::Text);
        }
    }

    #[test]
    fn a_json_number_keeps_what_was_written() {
        let check =
            |text: &str, expected: &str| assert_eq!(json_number(text).as_deref(), Some(expected), "{text}");
        check("9223372036854775807", "9223372036854775807");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("1.10", "1.10");
        check("0x1F", "31");
        check("0o17", "15");
        check(".5", "0.5");
        check("1.", "1.0");
        assert_eq!(json_number("+1e999"), None);
    }

    #[test]
    fn a_value_ends_where_its_author_thought() {
        let check = |source: &str, in_flow: bool, expected: &str| {
            assert_eq!(value_from(source, 0, in_flow), expected)
        };
        check("{{ a }} and b # note\nnext: 1", false, "{{ a }} and b");
        check("{{ f(1, 2) }}, b: 1}", true, "{{ f(1, 2) }}");
        check("{{ a }} x, b: 1}", true, "{{ a }} x");
        check("@here]", true, "@here");
        check("%x", false, "%x");
        check("{{ a", true, "{{ a");
    }
}
