//! NDJSON, one JSON object a line, in bounded memory: what users, events and entries are read from. Blank lines are nothing, a bad
//! line is told by its number and the next one is read.

use std::io::{BufRead, Error, Read};

use serde_json::{Map, Value};

/// A line: what one message to the server holds, with room around it.
pub const LINE_BYTES_MAX: usize = 3 * 1024 * 1024;

#[derive(Debug)]
pub struct JsonLine {
    /// From 1.
    pub number: u64,
    pub object: Result<Map<String, Value>, String>,
}

pub struct JsonLines<R> {
    source: R,
    number: u64,
    line: Vec<u8>,
    is_over: bool,
}

impl<R: BufRead> JsonLines<R> {
    pub fn new(source: R) -> JsonLines<R> {
        JsonLines { source, number: 0, line: Vec::new(), is_over: false }
    }

    /// The next line that is not blank.
    fn read(&mut self) -> Result<Option<JsonLine>, Error> {
        loop {
            self.line.clear();
            let most = LINE_BYTES_MAX as u64 + 1;
            let bytes = self.source.by_ref().take(most).read_until(b'\n', &mut self.line)?;
            if bytes == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if bytes > LINE_BYTES_MAX {
                if self.line.last() != Some(&b'\n') {
                    self.source.skip_until(b'\n')?;
                }
                let object = Err(format!("is longer than {} MiB", LINE_BYTES_MAX / 1024 / 1024));
                return Ok(Some(JsonLine { number, object }));
            }
            let mut text = self.line.trim_ascii();
            if number == 1 {
                // A byte order mark is what some editors begin a file with.
                text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
            }
            if !text.is_empty() {
                return Ok(Some(JsonLine { number, object: object(text) }));
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<JsonLine, Error>;

    /// A file that cannot be read further ends with the error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read().transpose();
        self.is_over = !matches!(read, Some(Ok(_)));
        read
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a JSON object, such as {\"id\": \"mary\"}".to_owned()),
        // The error's own line is always 1.
        Err(e) => {
            let text = e.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            Err(format!("column {}: is not JSON: {what}", e.column()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Object = Result<Map<String, Value>, String>;

    fn read(text: &[u8]) -> Vec<(u64, Object)> {
        JsonLines::new(text).map(|line| line.unwrap()).map(|line| (line.number, line.object)).collect()
    }

    #[test]
    fn bad_lines_are_told_by_number_and_the_others_are_read() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n[1]\n{\"a\":\n{\"a\": \"\xff\"}\n{\"b\":2}";
        let found = read(text);
        let numbers: Vec<(u64, bool)> = found.iter().map(|(n, object)| (*n, object.is_ok())).collect();
        assert_eq!(numbers, [(1, true), (4, false), (5, false), (6, false), (7, true)]);
        assert_eq!(found[1].1.as_ref().unwrap_err(), "expected a JSON object, such as {\"id\": \"mary\"}");
        assert_eq!(found[2].1.as_ref().unwrap_err(), "column 5: is not JSON: EOF while parsing a value");
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
        let long = format!("{{\"a\": \"{}\"}}\n{{\"b\": 1}}\n", "x".repeat(LINE_BYTES_MAX));
        let found = read(long.as_bytes());
        assert_eq!(found.len(), 2);
        assert!(found[0].1.as_ref().is_err_and(|text| text.contains("longer than 3 MiB")));
        assert_eq!((found[1].0, found[1].1.is_ok()), (2, true));
    }

    #[test]
    fn deep_nesting_is_a_bad_line() {
        let deep = format!("{{\"a\": {}\n{{}}\n", "[".repeat(100_000));
        let found = read(deep.as_bytes());
        assert_eq!(found.iter().map(|(_, object)| object.is_ok()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_file_that_cannot_be_read_ends() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(Error::other("gone"))
            }
        }
        let found: Vec<_> = JsonLines::new(std::io::BufReader::new(Broken)).collect();
        assert!(found.len() == 1 && found[0].is_err());
    }
}
