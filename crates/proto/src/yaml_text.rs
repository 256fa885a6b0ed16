//! Pure. Text as YAML writes it: plain where nothing can go wrong, else quoted.
//! Whatever is written here is read back as the very same text, also by YAML 1.1 readers.

/// A text in quotes, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let plain_enough = |c: char| !c.is_control() && !is_special(c);
    if text.contains(['"', '\\']) && !text.contains('\'') && text.chars().all(plain_enough) {
        return format!("'{text}'");
    }
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ if c.is_control() || is_special(c) => written.push_str(&escape(c)),
            _ => written.push(c),
        }
    }
    written.push('"');
    written
}

/// A text as short as it can be on one line. `in_flow`: between brackets, where commas and brackets mean something.
pub(crate) fn inline(text: &str, in_flow: bool) -> String {
    if is_safe_plain(text, in_flow) { text.to_owned() } else { quoted(text) }
}

/// A text of several lines as a literal block with this indentation, beginning with its `|`; none where a block could
/// not say it exactly.
pub(crate) fn block(text: &str, indent: usize) -> Option<String> {
    let content = text.strip_suffix('\n').unwrap_or(text);
    let starts_well = |line: &str| !line.starts_with([' ', '\t']);
    let fits = content.contains('\n')
        && content.lines().next().is_some_and(|line| !line.is_empty() && starts_well(line))
        && content.lines().all(|line| line.is_empty() || !line.trim().is_empty())
        && !content.ends_with('\n')
        && content.chars().all(|c| c == '\n' || !(c.is_control() || is_special(c)));
    if !fits {
        return None;
    }
    let mut written = String::from(if content.len() == text.len() { "|-" } else { "|" });
    for line in content.split('\n') {
        written.push('\n');
        if !line.is_empty() {
            written.push_str(&" ".repeat(indent));
            written.push_str(line);
        }
    }
    Some(written)
}

/// Whether the text unquoted is that text to every reader: begins with a letter, is no word with a meaning of its own,
/// and holds nothing YAML looks at.
fn is_safe_plain(text: &str, in_flow: bool) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 400
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| c.is_alphanumeric() || (c.is_ascii() && !c.is_control()))
        && !(in_flow && text.contains([',', '[', ']', '{', '}', ':', '"', '\'']))
}

/// Characters YAML does not take raw, or some readers take for line breaks or a mark.
fn is_special(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn escape(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_only_where_it_must_be() {
        let check = |text: &str, expected: &str| assert_eq!(inline(text, false), expected);
        check("purchase", "purchase");
        check("user.plan == \"pro\"", "user.plan == \"pro\"");
        check("https://example.com/x?a=1", "https://example.com/x?a=1");
        check("08:00", "\"08:00\"");
        check("yes", "\"yes\"");
        check("Off", "\"Off\"");
        check("null", "\"null\"");
        check("01067", "\"01067\"");
        check("", "\"\"");
        check("{{ user.name }}", "\"{{ user.name }}\"");
        check("{{ user.name | default(\"x\") }}", "'{{ user.name | default(\"x\") }}'");
        check("a: b", "\"a: b\"");
        check("a #b", "\"a #b\"");
        check("two\nlines", "\"two\\nlines\"");
        check("\u{7f}\u{2028}", "\"\\u007f\\u2028\"");
        assert_eq!(inline("a, b", true), "\"a, b\"");
    }

    #[test]
    fn a_block_is_used_where_it_says_the_text_exactly() {
        assert_eq!(block("a\nb\n", 2).as_deref(), Some("|\n  a\n  b"));
        assert_eq!(block("a\n\n  b", 4).as_deref(), Some("|-\n    a\n\n      b"));
        for text in ["one line", "one line\n", " a\nb", "\na", "a\nb\n\n", "a\r\nb", "a\n  \nb"] {
            assert_eq!(block(text, 2), None, "{text:?}");
        }
    }
}
