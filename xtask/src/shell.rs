//! Running other programs: echoed, with a clear error when one is missing or fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Runs `program` in the workspace and shows what it prints.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    let status = Command::new(program).args(arguments).current_dir(workspace()).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {}: {status}", arguments.join(" "))),
        Err(e) => Err(format!("run {program}: {e}")),
    }
}

/// The binary, with the dependencies' features of the whole workspace, so that no other command builds them anew.
pub(crate) fn build_binary() -> Result<(), String> {
    run("cargo", &["build", "--workspace", "--bin", "campanile"])
}

/// Whether `program` can be run.
pub(crate) fn is_there(program: &str) -> bool {
    succeeds(program, &["--version"])
}

/// Whether `program` is there and ends well; what it prints is not shown.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// One line for the developer.
#[expect(clippy::print_stdout, reason = "a developer command talks to its terminal")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
