//! Pure. Encodings of a request: percent-encoding for a URL, form rows as the WHATWG URL Standard serialises them; and of a word for
//! a shell.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::form_urlencoded;

/// Everything but RFC 3986's unreserved characters: one encoding that is right in a path segment, a query key or
/// value, a fragment and a user name alike, so that a value can never end the place it was put in.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `value` as one component of a URL. A space is `%20`, a slash `%2F`.
pub fn component(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, COMPONENT).into()
}

/// Percent-decoded; `None` if that is not UTF-8.
pub fn decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Appends `name=value` to a form body. A space is `+`.
pub fn form_pair(body: &mut String, name: &str, value: &str) {
    if !body.is_empty() {
        body.push('&');
    }
    body.extend(form_urlencoded::byte_serialize(name.as_bytes()));
    body.push('=');
    body.extend(form_urlencoded::byte_serialize(value.as_bytes()));
}

/// A word as a POSIX shell takes it, quoted where it must be.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let is_simple = |c: char| c.is_alphanumeric() || "._-/@:+,%=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_simple) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn a_form_is_written_as_the_url_standard_says() {
        let mut body = String::new();
        for (name, value) in [("first_name", "Mary"), ("last name", "D'Oe & ~*"), ("ü", "€\r\n"), ("", "")]
        {
            form_pair(&mut body, name, value);
        }
        assert_eq!(body, "first_name=Mary&last+name=D%27Oe+%26+%7E*&%C3%BC=%E2%82%AC%0D%0A&=");
    }

    #[test]
    fn a_component_keeps_the_unreserved_and_nothing_else() {
        assert_eq!(component("aZ09-._~"), "aZ09-._~");
        assert_eq!(component("a b/c?d#e&f=g%+é"), "a%20b%2Fc%3Fd%23e%26f%3Dg%25%2B%C3%A9");
        assert_eq!(decoded("p%40ss%3a"), Some(Cow::from("p@ss:")));
        assert_eq!(decoded("%ff"), None);
    }

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        let check = |word: &str, expected: &str| assert_eq!(shell_word(word), expected);
        check("a-b.c/d@e:9", "a-b.c/d@e:9");
        check("", "''");
        check("-x", "'-x'");
        check("a b", "'a b'");
        check("it's $HOME `x`", r"'it'\''s $HOME `x`'");
    }

    proptest! {
        #[test]
        fn a_form_is_read_back_as_it_was_given(rows in prop::collection::vec((any::<String>(), any::<String>()), 1..6)) {
            let mut body = String::new();
            for (name, value) in &rows {
                form_pair(&mut body, name, value);
            }
            let read: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn a_component_never_changes_the_url_around_it(value in "\\PC*") {
            prop_assume!(value != "." && value != "..");
            let url = Url::parse(&format!("https://h.example/a/{0}/b?q={0}&r=1#f", component(&value))).unwrap();
            prop_assert_eq!(url.host_str(), Some("h.example"));
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!(decoded(segments[1]).unwrap(), value.as_str());
            let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(query, vec![("q".to_owned(), value), ("r".to_owned(), "1".to_owned())]);
        }
    }
}
