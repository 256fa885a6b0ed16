//! `cargo xtask ci`: what a change must pass, cheapest first but for the tests, which say most.

use crate::shell::run;
use crate::{codegen, test, tidy};

pub(crate) fn run_all() -> Result<(), String> {
    test::run_all()?;
    checks()
}

/// All but the tests.
pub(crate) fn checks() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run_all()?;
    codegen::check()?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])?;
    run("cargo", &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
}
