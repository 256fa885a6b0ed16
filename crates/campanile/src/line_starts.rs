//! Which line of a file a byte belongs to, where whoever reads the bytes only tells how far it is. Passes all bytes on as they are.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// A source whose lines are noted while they are read.
pub struct Noted<R> {
    source: R,
    starts: LineStarts,
}

/// Where the lines begin that hold anything: those read and not yet asked past.
#[derive(Clone, Default)]
pub struct LineStarts(Rc<RefCell<Starts>>);

#[derive(Default)]
struct Starts {
    offset: u64,
    /// Ends of lines so far.
    ended: u64,
    is_inside: bool,
    /// The first byte of a line, and the line from 1.
    found: VecDeque<(u64, u64)>,
}

impl<R> Noted<R> {
    pub fn new(source: R) -> (Noted<R>, LineStarts) {
        let starts = LineStarts::default();
        (Noted { source, starts: starts.clone() }, starts)
    }
}

impl<R: Read> Read for Noted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        let mut starts = self.starts.0.borrow_mut();
        buffer.iter().take(n).for_each(|byte| starts.pass(*byte));
        Ok(n)
    }
}

impl Starts {
    fn pass(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.ended += 1;
                self.is_inside = false;
            }
            b'\r' => {}
            _ if self.is_inside => {}
            _ => {
                self.is_inside = true;
                self.found.push_back((self.offset, self.ended + 1));
            }
        }
        self.offset += 1;
    }
}

impl LineStarts {
    /// The first line, from 1, that begins at this byte or after it and is not empty. Bytes are asked for in order.
    pub fn line_from(&self, byte: u64) -> u64 {
        let mut starts = self.0.borrow_mut();
        while starts.found.front().is_some_and(|(offset, _)| *offset < byte) {
            starts.found.pop_front();
        }
        starts.found.front().map_or(starts.ended + 1, |(_, line)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_counted_and_passed_over() {
        let (mut noted, starts) = Noted::new(&b"a\n\r\n\nbb\r\nc"[..]);
        let mut text = String::new();
        noted.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\n\r\n\nbb\r\nc");
        let lines: Vec<u64> = [0, 1, 2, 5, 8, 9, 10].iter().map(|byte| starts.line_from(*byte)).collect();
        assert_eq!(lines, [1, 4, 4, 4, 5, 5, 5]);
    }
}
