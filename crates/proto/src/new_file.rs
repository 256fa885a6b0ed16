//! Pure. The campaign file to begin with: the shortest of its kind, every option beside it as a comment.
//!
//! The parts are YAML files under `new/`. A line that begins with `#` and no blank is an option: without its `#` it is right.

const WHO: &str = include_str!("new/who.yaml");
const WHAT: &str = include_str!("new/what.yaml");

/// The kind of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Once, to an audience.
    OneTime,
    /// On a schedule, to an audience.
    Recurring,
    /// When somebody does something.
    Triggered,
    /// By hand or by a program.
    Manual,
}

/// What the file is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    pub kind: Kind,
    /// The campaign's id; see `is_id`.
    pub id: &'a str,
    /// Where it sends to; see `is_url`.
    pub url: &'a str,
    /// A civil time to come, such as `2026-12-01T09:00`.
    pub at: &'a str,
}

/// Whether a text can stand as the file's id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether a text can stand as the file's URL. What is a URL is the server's to say; here it must only not break the file.
#[must_use]
pub fn is_url(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}

/// The text of the file.
#[must_use]
pub fn new_file(new: &NewFile<'_>) -> String {
    let (about, delivery, expiry) = match new.kind {
        Kind::OneTime => {
            ("Sent once, to everybody the audience takes.", include_str!("new/one_time.yaml"), "72h")
        }
        Kind::Recurring => (
            "Sent on a schedule, to everybody the audience takes.",
            include_str!("new/recurring.yaml"),
            "12h",
        ),
        Kind::Triggered => ("Sent when a user does something.", include_str!("new/triggered.yaml"), "72h"),
        Kind::Manual => ("Sent by hand or by a program.", include_str!("new/manual.yaml"), "72h"),
    };
    // The URL last: what stands in it is no place of the file.
    [WHO, delivery, WHAT]
        .concat()
        .replace("{about}", about)
        .replace("{id}", new.id)
        .replace("{at}", new.at)
        .replace("{expiry}", expiry)
        .replace("{url}", &format!("\"{}\"", new.url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign_file;

    #[test]
    fn the_file_of_every_kind_is_read_as_it_stands() {
        for kind in [Kind::OneTime, Kind::Recurring, Kind::Triggered, Kind::Manual] {
            let new =
                NewFile { kind, id: "first", url: "https://a.example/{id}?x={at}", at: "2026-12-01T09:00" };
            let text = new_file(&new);
            let read = campaign_file::read(text.as_bytes()).unwrap_or_else(|f| panic!("{text}\n{f:?}"));
            assert_eq!((read.len(), read[0].campaign.id.as_str()), (1, "first"));
            assert_eq!(read[0].campaign.webhook.as_ref().unwrap().url, new.url);
        }
    }

    #[test]
    fn what_would_break_the_file_is_told() {
        assert!(is_id("a-1") && !is_id("") && !is_id("A") && !is_id("a\nb") && !is_id(&"a".repeat(64)));
        assert!(is_url("https://a.example/{{ user_id }}"));
        assert!(!is_url("") && !is_url("a\"b") && !is_url("a\\b") && !is_url("a\nb"));
    }
}
