//! Pure. A short name of `a-z0-9-`, copied about like a number.

use std::fmt;

use crate::campaign_fields::check_slug;
use crate::limits;

/// At most `limits::SLUG_BYTES_MAX` bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug {
    /// The rest is zero, so that the order is that of the texts.
    bytes: [u8; limits::SLUG_BYTES_MAX],
    len: u8,
}

impl Slug {
    /// None: the text is no slug.
    pub fn new(text: &str) -> Option<Slug> {
        check_slug(text).ok()?;
        let mut bytes = [0; limits::SLUG_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Slug { bytes, len: u8::try_from(text.len()).ok()? })
    }

    pub fn as_str(&self) -> &str {
        let own = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(own).unwrap_or_default()
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_its_text_and_nothing_else_is_one() {
        for text in ["a", "weekly-digest-2", &"x".repeat(limits::SLUG_BYTES_MAX)] {
            assert_eq!(Slug::new(text).unwrap().as_str(), text);
        }
        for text in ["", "A", "a.b", "a b", "ü", &"x".repeat(limits::SLUG_BYTES_MAX + 1)] {
            assert_eq!(Slug::new(text), None, "{text}");
        }
        let (a, b) = (Slug::new("a").unwrap(), Slug::new("ab").unwrap());
        assert!(a < b && b < Slug::new("b").unwrap());
    }
}
