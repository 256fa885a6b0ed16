//! The foreign client libraries that tests run unchanged: installed once into `target/clients`, by what `examples/clients` pins.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{run, say, workspace};
use crate::tools;

/// What a client folder was made of; it is made anew when this differs.
const STAMP: &str = "made-of";

/// Python and Node with the libraries of `examples/clients`.
pub(crate) fn install() -> Result<(), String> {
    tools::python()?;
    tools::node()?;
    let made = workspace().join("target/clients");
    fs::create_dir_all(&made).map_err(|e| format!("make {}: {e}", made.display()))?;
    install_python(&made.join("python"))?;
    install_node(&made)
}

fn pinned(name: &str) -> Result<(PathBuf, String), String> {
    let path = workspace().join("examples/clients").join(name);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((path, text))
}

/// An environment of its own, at `folder`.
fn install_python(folder: &Path) -> Result<(), String> {
    let (requirements, text) = pinned("requirements.txt")?;
    if is_made_of(folder, &text) {
        return Ok(());
    }
    say("installing the Python clients' libraries");
    let python = folder.display().to_string();
    run("python3", &["-m", "venv", "--clear", &python]).map_err(|e| why(&e))?;
    let pip = folder.join("bin/pip").display().to_string();
    let requirements = requirements.display().to_string();
    run(&pip, &["install", "--quiet", "--disable-pip-version-check", "-r", &requirements])
        .map_err(|e| why(&e))?;
    made_of(folder, &text)
}

/// `node_modules` in `folder`.
fn install_node(folder: &Path) -> Result<(), String> {
    let (package, text) = pinned("package.json")?;
    let (lock, locked) = pinned("package-lock.json")?;
    let text = format!("{text}{locked}");
    let modules = folder.join("node_modules");
    if is_made_of(&modules, &text) {
        return Ok(());
    }
    say("installing the Node clients' libraries");
    for from in [package, lock] {
        let to = folder.join(from.file_name().unwrap_or_default());
        fs::copy(&from, &to).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    let folder = folder.display().to_string();
    let arguments =
        ["ci", "--prefix", &folder, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    run("npm", &arguments).map_err(|e| why(&e))?;
    made_of(&modules, &text)
}

fn why(error: &str) -> String {
    format!("the clients of examples/clients need their libraries, which could not be installed: {error}")
}

fn is_made_of(folder: &Path, text: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|made| made == text)
}

fn made_of(folder: &Path, text: &str) -> Result<(), String> {
    let path = folder.join(STAMP);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
