//! How far a file has been read: a bar on a terminal, nothing elsewhere.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::Path;

use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};

use crate::fail::Fail;
use crate::output::Output;

pub type Source = BufReader<ProgressBarIter<File>>;

/// Opens a file whose reading moves the bar.
pub fn open(path: &Path, output: Output) -> Result<(Source, ProgressBar), Fail> {
    let in_file = |e: std::io::Error| Fail::input(format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(in_file)?;
    let about = file.metadata().map_err(in_file)?;
    if about.is_dir() {
        return Err(Fail::input(format!("{}: is a folder, name a file", path.display())));
    }
    let bar = if output.is_json() || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        let style =
            ProgressStyle::with_template("{bar:40} {percent}% of {total_bytes}, {bytes_per_sec}, {eta} left");
        ProgressBar::new(about.len()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    };
    Ok((BufReader::new(bar.wrap_read(file)), bar))
}

/// How far the server is with something that takes a while; nothing where nobody looks.
pub fn looking(output: Output) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
