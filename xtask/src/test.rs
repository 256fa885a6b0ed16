//! `cargo xtask test`: every test, in the order of cost, with what they need installed first. Skips nothing silently.

use crate::shell::{build_binary, run};
use crate::{clients, tools};

/// Programs and libraries from outside that tests run.
pub(crate) fn install() -> Result<(), String> {
    tools::redis_server()?;
    tools::curl()?;
    tools::chromium()?;
    clients::install()
}

/// Unit tests of all crates, and the real binary end to end on both stores.
pub(crate) fn run_all() -> Result<(), String> {
    install()?;
    // The end-to-end tests start this binary.
    build_binary()?;
    run("cargo", &["test", "--workspace"])
}
