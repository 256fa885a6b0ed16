//! Pure. What is wrong in a file a person wrote, and where. Every reader of the campaign file answers with these, all
//! it can find at once.

use std::fmt;

/// Where something stands in a file, in lines and characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePlace {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The path of the field as the author wrote it, such as `webhook.data.email`; empty where there is none.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong and what would be right.
    pub text: String,
}

impl FileFault {
    pub(crate) fn new(path: &str, place: FilePlace, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: place.line, column: place.column, text: text.into() }
    }
}

impl fmt::Display for FileFault {
    /// `line 3, column 5: webhook.url: expected text, found a list`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for FileFault {}
