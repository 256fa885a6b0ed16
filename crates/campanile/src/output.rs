//! What commands print: results on standard output, remarks on standard error; colours only where a person looks.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use campanile_proto::json;
use prost::{Message, Name};

use crate::fail::Fail;

#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    colour: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Tone {
    Good,
    Bad,
    Strong,
    Faint,
}

impl Output {
    /// Colours on a terminal, unless the person said no by NO_COLOR.
    pub fn new(json: bool, no_colour: bool) -> Output {
        Output { json, colour: !json && !no_colour && std::io::stdout().is_terminal() }
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

    pub fn error(self, text: &str) {
        eprintln!("{}", if self.colour { format!("\u{1b}[31merror:\u{1b}[0m {text}") } else { format!("error: {text}") });
    }

    /// One message as a line of JSON.
    pub fn message<M: Message + Name>(self, message: &M) -> Result<(), Fail> {
        let text = json::write(message).map_err(|e| Fail::refused(e.to_string()))?;
        self.line(&text);
        Ok(())
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Strong => 1,
            Tone::Faint => 2,
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Rows under a heading, each column as wide as its widest cell.
    pub fn table(self, heading: &[&str], rows: &[Vec<String>]) {
        let width = |i: usize| {
            let cells = rows.iter().map(|row| row.get(i).map_or(0, |cell| cell.chars().count()));
            cells.chain([heading.get(i).map_or(0, |h| h.chars().count())]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heading.len()).map(width).collect();
        let join = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.line(&self.paint(Tone::Strong, &join(&mut heading.iter().copied())));
        for row in rows {
            self.line(&join(&mut row.iter().map(String::as_str)));
        }
    }
}

/// Asks a person; where nobody can answer, `hint` says what to type instead.
pub fn confirm(question: &str, hint: &str) -> Result<(), Fail> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::refused(format!("{question} Nobody is there to answer: {hint}")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Fail::refused("nothing was done")) }
}
