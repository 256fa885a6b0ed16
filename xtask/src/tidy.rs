//! `cargo xtask tidy`: the rules of the house as a test. Each rule says what to do about what it finds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::workspace;

/// Past this a file has a second idea.
const FILE_LINES_MAX: usize = 500;

/// Which of our crates a crate may depend on: what is not here is not allowed. Scheduler and sender never meet.
const EDGES: &[(&str, &[&str])] = &[
    ("campanile-core", &[]),
    ("campanile-proto", &[]),
    ("campanile-redis", &["campanile-core"]),
    ("campanile-sqlite", &["campanile-core"]),
    ("campanile-scheduler", &["campanile-core"]),
    ("campanile-sender", &["campanile-core"]),
    ("campanile-control", &["campanile-core", "campanile-proto", "campanile-scheduler", "campanile-sender"]),
    ("campanile-console", &["campanile-core", "campanile-proto"]),
    ("campanile-bench", &["campanile-core"]),
    ("xtask", &[]),
];

/// What the pure crate must never see.
const NOT_IN_CORE: [&str; 6] = ["tokio", "hyper", "tonic", "redis", "rusqlite", "axum"];

/// Crates that must not come in by any way: a second TLS provider makes rustls refuse to choose one.
const NEVER: [&str; 3] = ["aws-lc-rs", "openssl-sys", "reqwest"];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];

pub(crate) fn run_all() -> Result<(), String> {
    let root = workspace();
    let mut faults = Vec::new();
    for path in rust_files(&root)? {
        check_file(&root, &path, &mut faults)?;
    }
    check_edges(&root, &mut faults)?;
    check_lock(&root, &mut faults)?;
    if faults.is_empty() { Ok(()) } else { Err(format!("tidy found:\n  {}", faults.join("\n  "))) }
}

fn check_file(root: &Path, path: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let text = read(path)?;
    let name = path.strip_prefix(root).unwrap_or(path).display();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{name}: {lines} lines, at most {FILE_LINES_MAX}: find its second idea"));
    }
    if !text.starts_with("//!") {
        faults.push(format!("{name}: begins without a module doc (//!)"));
    }
    if text.contains(concat!("#[", "ignore")) {
        faults.push(format!("{name}: has an ignored test: mend it or delete it"));
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem == "mod" {
        faults.push(format!("{name}: name the file after its module instead of mod.rs"));
    }
    if stem.split('_').any(|word| EMPTY_NAMES.contains(&word)) {
        faults.push(format!("{name}: says nothing about what is inside"));
    }
    Ok(())
}

fn check_edges(root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    for manifest in manifests(root)? {
        let table: toml::Table =
            read(&manifest)?.parse().map_err(|e| format!("{}: {e}", manifest.display()))?;
        let name =
            table.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()).unwrap_or_default();
        let dependencies = table.get("dependencies").and_then(|d| d.as_table()).cloned().unwrap_or_default();
        if let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) {
            for edge in dependencies.keys().filter(|d| d.starts_with("campanile")) {
                if !allowed.contains(&edge.as_str()) {
                    faults
                        .push(format!("{name} depends on {edge}: that edge is not in the plan of the house"));
                }
            }
        }
        if name == "campanile-core" {
            for edge in dependencies.keys().filter(|d| NOT_IN_CORE.contains(&d.as_str())) {
                faults.push(format!("{name} depends on {edge}: the core is pure"));
            }
        }
    }
    Ok(())
}

fn check_lock(root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    let lock = read(&root.join("Cargo.lock"))?;
    for name in NEVER {
        if lock.contains(&format!("name = \"{name}\"\n")) {
            faults.push(format!(
                "Cargo.lock brings {name}: `cargo tree -i {name}` says by which way; trim a feature"
            ));
        }
    }
    Ok(())
}

fn manifests(root: &Path) -> Result<Vec<PathBuf>, String> {
    let crates = list(&root.join("crates"))?.into_iter().map(|folder| folder.join("Cargo.toml"));
    let others = ["bench/Cargo.toml", "xtask/Cargo.toml"].map(|path| root.join(path));
    Ok(crates.chain(others).filter(|path| path.exists()).collect())
}

/// Every file of ours; generated ones are not.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = ["bench", "crates", "tests", "xtask"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for path in list(&folder)? {
            let is_generated = path.ends_with("src/gen") || path.ends_with("target");
            if path.is_dir() && !is_generated {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| format!("{}: {e}", folder.display()))).collect()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
