//! `cargo xtask bench`: builds the release binary and the programs that measure it, and runs them.
//!
//! A run of all cases at full load writes `docs/performance.md`; any run can print JSON.

use std::process::{Command, Stdio};

use crate::shell::workspace;
use crate::tools;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A tenth of the load, one round: for a look, not for a figure
    #[arg(long)]
    quick: bool,
    /// Print the figures as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Only these cases; `list` prints their names
    cases: Vec<String>,
}

pub(crate) fn run_cases(arguments: &Arguments) -> Result<(), String> {
    tools::redis_server()?;
    // Not the whole workspace: link-time optimisation of everything else would be most of the wait.
    run("cargo", &["build", "--release", "-p", "campanile", "-p", "campanile-bench"])?;
    let release = workspace().join("target/release");
    let (bench, binary) = (release.join("campanile-bench"), release.join("campanile"));
    let page = workspace().join("docs/performance.md");
    let (binary, page) = (binary.display().to_string(), page.display().to_string());
    let mut flags = vec!["--binary", &binary];
    if arguments.quick {
        flags.push("--quick");
    }
    if arguments.json {
        flags.push("--json");
    }
    if arguments.cases.is_empty() && !arguments.quick {
        flags.extend(["--page", &page]);
    }
    flags.extend(arguments.cases.iter().map(String::as_str));
    run(&bench.display().to_string(), &flags)
}

/// Says nothing: standard output is for the figures.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(arguments).current_dir(workspace()).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {}: {status}", arguments.join(" "))),
        Err(e) => Err(format!("run {program}: {e}")),
    }
}
