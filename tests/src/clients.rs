//! The example clients, run unchanged with the foreign libraries that `cargo xtask test` installs into `target/clients`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::binary::campanile;

/// Runs `examples/clients/NAME` with these arguments, and answers what it printed.
///
/// A Node client runs from beside its `node_modules`, which is where Node looks for them; that folder lies as deep as the examples do.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/clients").join(name);
    let mut command = match name.rsplit_once('.') {
        Some((_, "py")) => {
            let python = installed().join("python/bin/python");
            check(&python);
            let mut command = Command::new(python);
            command.arg(client);
            command
        }
        _ => {
            let folder = installed();
            check(&folder.join("node_modules"));
            let beside = folder.join(name);
            std::fs::copy(&client, &beside).expect("the client is there");
            let mut command = Command::new("node");
            command.arg(beside);
            command
        }
    };
    command.args(arguments).stdin(Stdio::null()).output().expect("the client runs")
}

fn installed() -> PathBuf {
    let binary = campanile();
    let target = binary.parent().and_then(Path::parent).expect("target/debug");
    target.join("clients")
}

fn check(path: &Path) {
    assert!(path.exists(), "{} is missing: run `cargo xtask test`, which installs it", path.display());
}
