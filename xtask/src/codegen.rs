//! `cargo xtask codegen`: compiles `proto/` into Rust bindings and a descriptor set, in pure Rust (no protoc).
//! It lives here and not in the proto crate, because a stale binding must not stop its own repair. What it writes is
//! committed; `--check` (and the test below) shows that writing it again would change nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::shell::workspace;

/// Options of `cargo xtask codegen`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail with what differs
    #[arg(long)]
    check: bool,
}

/// Fails with what differs from what would be written.
pub(crate) fn check() -> Result<(), String> {
    run(&Arguments { check: true })
}

/// Writes the bindings, or compares them with what would be written.
///
/// # Errors
/// The compiler's complaint with file, line and column, a file that cannot be read or written, or what differs.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let committed = workspace().join("crates/proto/src/gen");
    let fresh = generate(&workspace().join("proto"))?;
    if arguments.check {
        return compare(&read_folder(&committed)?, &fresh);
    }
    fs::create_dir_all(&committed).map_err(|e| format!("create {}: {e}", committed.display()))?;
    for name in read_folder(&committed)?.keys().filter(|name| !fresh.contains_key(*name)) {
        let path = committed.join(name);
        fs::remove_file(&path).map_err(|e| format!("remove {}: {e}", path.display()))?;
    }
    for (name, bytes) in &fresh {
        let path = committed.join(name);
        fs::write(&path, bytes).map_err(|e| format!("write {}: {e}", path.display()))?;
    }
    Ok(())
}

/// The files that belong into the bindings' folder: name to bytes.
fn generate(protos: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let files = proto_files(protos)?;
    let mut compiler =
        protox::Compiler::new([protos]).map_err(|e| format!("read {}: {e}", protos.display()))?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(files)
        .map_err(|e| format!("{e:?}"))?;
    let mut set = compiler.file_descriptor_set();

    let folder = tempfile::tempdir().map_err(|e| format!("make a temporary folder: {e}"))?;
    let mut config = prost_build::Config::new();
    config.enable_type_names(); // prost::Name, by which the JSON reader finds a message's descriptor
    tonic_prost_build::configure()
        .out_dir(folder.path())
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(set.clone(), config)
        .map_err(|e| format!("generate bindings: {e}"))?;
    let mut fresh = read_folder(folder.path())?;

    let comments = serde_json::to_string_pretty(&comments(&set)).map_err(|e| format!("comments: {e}"))?;
    fresh.insert("comments.json".to_owned(), format!("{comments}\n").into_bytes());
    for file in &mut set.file {
        file.source_code_info = None; // they have a file of their own
    }
    fresh.insert("descriptors.bin".to_owned(), set.encode_to_vec());
    Ok(fresh)
}

/// What people write campaigns in: its comments are what editors show.
const CAMPAIGN_FILE: &str = "campanile/v1/campaign.proto";

/// What the campaign's proto says of messages, enums, fields and values, by full name; each on one line.
fn comments(set: &prost_types::FileDescriptorSet) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.name() == CAMPAIGN_FILE) {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        for (location, comment) in locations.filter_map(|at| Some((at, at.leading_comments.as_ref()?))) {
            if let Some(name) = name_at(file, &location.path) {
                let words: Vec<&str> = comment.split_whitespace().collect();
                said.insert(format!("{}.{name}", file.package()), words.join(" "));
            }
        }
    }
    said
}

/// The name of what stands at a path of field numbers and indices in a file's descriptor.
fn name_at(file: &prost_types::FileDescriptorProto, path: &[i32]) -> Option<String> {
    let index = |at: i32| usize::try_from(at).ok();
    match *path {
        [4, message] => Some(file.message_type.get(index(message)?)?.name().to_owned()),
        [4, message, 2, field] => {
            let message = file.message_type.get(index(message)?)?;
            Some(format!("{}.{}", message.name(), message.field.get(index(field)?)?.name()))
        }
        [5, words] => Some(file.enum_type.get(index(words)?)?.name().to_owned()),
        [5, words, 2, word] => {
            let words = file.enum_type.get(index(words)?)?;
            Some(format!("{}.{}", words.name(), words.value.get(index(word)?)?.name()))
        }
        _ => None,
    }
}

/// Every `.proto` file below the folder, sorted so that the result does not depend on the file system.
fn proto_files(protos: &Path) -> Result<Vec<PathBuf>, String> {
    let mut folders = vec![protos.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("read {}: {e}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("read {}: {e}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Name to bytes of the plain files in a folder; a folder that does not exist holds none.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    let entries = fs::read_dir(folder).map_err(|e| format!("read {}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("read {}: {e}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).map_err(|e| format!("read {}: {e}", path.display()))?;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Names every file that is missing, too many, or different.
fn compare(committed: &BTreeMap<String, Vec<u8>>, fresh: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut differences = Vec::new();
    for (name, bytes) in fresh {
        match committed.get(name) {
            None => differences.push(format!("{name} is missing")),
            Some(old) if old != bytes => {
                differences.push(format!("{name} differs{}", first_line(old, bytes)))
            }
            Some(_) => {}
        }
    }
    for name in committed.keys().filter(|name| !fresh.contains_key(*name)) {
        differences.push(format!("{name} is not generated any more"));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("crates/proto/src/gen is stale ({}): run cargo xtask codegen", differences.join(", ")))
}

/// Where two texts part, as ` from line N`; nothing for bytes that are no text.
fn first_line(old: &[u8], new: &[u8]) -> String {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return String::new();
    };
    let same = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    format!(" from line {}", same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_bindings_are_those_of_the_protos() {
        run(&Arguments { check: true }).unwrap();
    }

    #[test]
    fn a_check_names_every_file_that_differs() {
        let check = |committed: &[(&str, &str)], expected: &str| {
            let folder = |files: &[(&str, &str)]| {
                files.iter().map(|(n, b)| ((*n).to_owned(), b.as_bytes().to_vec())).collect()
            };
            let error =
                compare(&folder(committed), &folder(&[("a.rs", "one\ntwo\n"), ("b.rs", "")])).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&[("a.rs", "one\ntwo\n")], "b.rs is missing");
        check(&[("a.rs", "one\n2\n"), ("b.rs", "")], "a.rs differs from line 2");
        check(&[("a.rs", "one\ntwo\n"), ("b.rs", ""), ("c.rs", "")], "c.rs is not generated any more");
        check(&[("c.rs", "")], "a.rs is missing, b.rs is missing, c.rs is not generated any more");
    }
}
