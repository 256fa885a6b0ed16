//! `cargo xtask test`: every test, in the order of cost, with what they need installed first. Skips nothing silently.

use crate::shell::run;
use crate::tools;

/// Unit tests of all crates, then the real binary end to end on both stores.
pub(crate) fn run_all() -> Result<(), String> {
    tools::redis_server()?;
    let crates = ["test", "--workspace", "--exclude", "campanile-tests", "--quiet"];
    run("cargo", &crates)?;
    // The end-to-end tests start this binary.
    run("cargo", &["build", "--package", "campanile"])?;
    run("cargo", &["test", "--package", "campanile-tests"])
}
