//! Pure. Bad lines of a file: the first are kept to be told, the rest is counted.

use crate::fail::Fail;

/// Kept to be told.
const KEPT_MAX: usize = 200;

#[derive(Debug, Default)]
pub struct BadLines {
    kept: Vec<(u64, String)>,
    more: u64,
}

impl BadLines {
    pub fn add(&mut self, line: u64, text: String) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push((line, text));
        } else {
            self.more += 1;
        }
    }

    /// Lines that are only known by their number.
    pub fn add_untold(&mut self, n: u64) {
        self.more += n;
    }

    pub fn count(&self) -> u64 {
        self.kept.len() as u64 + self.more
    }

    /// In the order of the file.
    pub fn sorted(&mut self) -> &[(u64, String)] {
        self.kept.sort();
        &self.kept
    }

    /// `people.csv:17: age: "x" is not a whole number`, and how many more there are.
    pub fn told(&mut self, file_name: &str) -> Vec<String> {
        let more = self.more;
        let mut lines: Vec<String> =
            self.sorted().iter().map(|(line, text)| format!("{file_name}:{line}: {text}")).collect();
        if more > 0 {
            lines.push(format!("{file_name}: and {more} more bad lines"));
        }
        lines
    }

    /// Bad lines make a command fail, though the good ones were taken.
    pub fn verdict(&self) -> Result<(), Fail> {
        match self.count() {
            0 => Ok(()),
            1 => Err(Fail::refused("1 line is bad and was left out; all others were taken")),
            n => Err(Fail::refused(format!("{n} lines are bad and were left out; all others were taken"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_told_in_order_and_all_are_counted() {
        let mut bad = BadLines::default();
        assert_eq!(bad.verdict(), Ok(()));
        (0..300).rev().for_each(|line| bad.add(line, "x".to_owned()));
        bad.add_untold(5);
        let told = bad.told("f.csv");
        assert_eq!((told.len(), told[0].as_str()), (KEPT_MAX + 1, "f.csv:100: x"));
        assert_eq!(told.last().map(String::as_str), Some("f.csv: and 105 more bad lines"));
        let fail = bad.verdict().unwrap_err();
        assert!(fail.code == 1 && fail.lines[0].starts_with("305 lines are bad"), "{fail:?}");
    }
}
