//! What commands print: results on standard output, remarks and errors on standard error; colours only where a person looks.
//! The only room that prints.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use campanile_proto::json;
use prost::{Message, Name};

use crate::fail::Fail;
use crate::table;

#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    colour: bool,
    remarks_colour: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Strong,
    Faint,
}

impl Output {
    /// Colours on a terminal, unless the person said no by NO_COLOR.
    pub fn new(json: bool, no_colour: bool) -> Output {
        Output {
            json,
            colour: !json && !no_colour && std::io::stdout().is_terminal(),
            remarks_colour: !no_colour && std::io::stderr().is_terminal(),
        }
    }

    pub fn is_json(self) -> bool {
        self.json
    }

    /// A line of the result. A reader that went away ends the command quietly.
    pub fn line(self, text: &str) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").is_err() {
            std::process::exit(0);
        }
    }

    /// A remark beside the result; nothing where a machine reads.
    pub fn note(self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// What to type next: the last line a command prints.
    pub fn next(self, command: &str) {
        if !self.json {
            eprintln!("{} {command}", self.paint_remark(Tone::Faint, "next:"));
        }
    }

    /// A line of a difference, in its colour.
    pub fn changed(self, tone: Tone, text: &str) {
        self.note(&self.paint_remark(tone, text));
    }

    pub fn warning(self, text: &str) {
        self.note(&format!("{} {text}", self.paint_remark(Tone::Strong, "warning:")));
    }

    /// Why a command failed, every line of it. Lines that begin with their place in a file are left as they are, for editors.
    pub fn fail(self, fail: &Fail) {
        for line in &fail.lines {
            if fail.is_placed {
                eprintln!("{line}");
            } else {
                eprintln!("{} {line}", self.paint_remark(Tone::Bad, "error:"));
            }
        }
    }

    /// What is wrong with a line of a file: `people.csv:17: age: ...`.
    pub fn bad_line(self, text: &str) {
        eprintln!("{text}");
    }

    /// One message as a line of JSON.
    pub fn message<M: Message + Name>(self, message: &M) -> Result<(), Fail> {
        let text = json::write(message).map_err(|e| Fail::refused(e.to_string()))?;
        self.line(&text);
        Ok(())
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        if self.colour { painted(tone, text) } else { text.to_owned() }
    }

    fn paint_remark(self, tone: Tone, text: &str) -> String {
        if self.remarks_colour { painted(tone, text) } else { text.to_owned() }
    }

    /// Rows under a heading, each column as wide as its widest cell.
    pub fn table(self, heading: &[&str], rows: &[Vec<String>]) {
        for (i, line) in table::lay_out(heading, rows).iter().enumerate() {
            if i == 0 {
                self.line(&self.paint(Tone::Strong, line));
            } else {
                self.line(line);
            }
        }
    }
}

fn painted(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Strong => 1,
        Tone::Faint => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Asks a person for a number; where nobody can answer, `hint` says what to type instead.
pub fn confirm_number(question: &str, expected: i64, hint: &str) -> Result<(), Fail> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::refused(format!(
            "{question} Nobody is there to answer, so nothing was done: {hint}"
        )));
    }
    eprint!("{question} Type the number: ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let typed: String = answer.chars().filter(char::is_ascii_digit).collect();
    if read.is_ok() && typed == expected.to_string() {
        Ok(())
    } else {
        Err(Fail::refused("nothing was done"))
    }
}

/// Asks a person; where nobody can answer, `hint` says what to type instead.
pub fn confirm(question: &str, hint: &str) -> Result<(), Fail> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::refused(format!(
            "{question} Nobody is there to answer, so nothing was done: {hint}"
        )));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Fail::refused("nothing was done"))
    }
}
