//! Developer commands, `cargo xtask ...`. One module per command; this file only reads the command line and prints
//! the error a command ended with. Depends on no crate of ours, so that no broken crate stops its own repair.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod clients;
mod codegen;
mod demo;
mod demo_expected;
mod demo_world;
mod dev;
mod first_hour;
mod shell;
mod test;
mod tidy;
mod tools;
mod watchdog;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Campanile")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show every kind of campaign, live, on real events
    Demo(demo::Arguments),
    /// Run Redis, control, scheduler and sender as separate processes, on the default ports
    Dev,
    /// Measure what a newcomer waits for
    FirstHour(first_hour::Arguments),
    /// Install what the tests need, and run none
    Tools,
    /// Run every test, installing what they need first
    Test,
    /// Run what a change must pass: tests, formatting, house rules, bindings, lints, documentation
    Ci {
        /// All but the tests
        #[arg(long)]
        no_test: bool,
    },
    /// Measure a release build beside the ceiling of this machine
    Bench(bench::Arguments),
    /// Check the rules of the house
    Tidy,
    /// Write the bindings of proto/ into crates/proto/src/gen
    Codegen(codegen::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Dev => dev::run_all(),
        Command::FirstHour(arguments) => first_hour::run(&arguments),
        Command::Tools => test::install(),
        Command::Test => test::run_all(),
        Command::Ci { no_test: false } => ci::run_all(),
        Command::Ci { no_test: true } => ci::checks(),
        Command::Bench(arguments) => bench::run_cases(&arguments),
        Command::Tidy => tidy::run_all(),
        Command::Codegen(arguments) => codegen::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a command's error is shown")]
fn fail(error: &str) -> ExitCode {
    eprintln!("xtask: {error}");
    ExitCode::FAILURE
}
