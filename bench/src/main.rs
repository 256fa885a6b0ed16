//! Measures a release binary of Campanile beside the ceiling of the same machine: `cargo xtask bench` builds both and runs this.
//!
//! Every case drives the real binary through its public doors, against a receiver that knows which body every send must have and
//! counts what came. A run that loses, repeats or spoils one send is an error, not a figure.

#![allow(clippy::disallowed_methods, reason = "a measurement reads this machine's clock")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

mod report;
mod row;

mod cases;
mod cases_brain;
mod cases_bytes;
mod cases_delivery;
mod cases_latency;
mod cases_scale;

mod ceiling;
mod deployment;
mod intake;
mod payload;
mod processes;
mod receiver;
mod redis_server;

/// What a person may ask for.
#[derive(Debug, Parser)]
#[command(
    name = "campanile-bench",
    about = "Measure a build of Campanile beside the ceiling of this machine"
)]
pub(crate) struct Arguments {
    /// The binary to be measured.
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// A tenth of the load and fewer rounds: for a look, not for a figure.
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Also write the figures as a page.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Only these cases; `list` prints their names.
    cases: Vec<String>,
}

fn main() -> ExitCode {
    // The ceiling runs in a process of its own, so that its CPU is its own.
    if std::env::args().nth(1).as_deref() == Some("ceiling") {
        return ended(ceiling::main(std::env::args().skip(2).collect()));
    }
    ended(cases::run(&Arguments::parse()))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}
