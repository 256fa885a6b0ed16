//! Campaign files named on the command line: files, folders, standard input. All of them are read before anything is done, and
//! every fault is told with its place, as `FILE:LINE:COLUMN: field: text`.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use campanile_proto::campaign_file::{self, FileCampaign};
use campanile_proto::file_fault::FileFault;
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::fail::{self, Fail};

/// What the reader of the file takes, and a byte more so that it can say that it was too much.
const FILE_BYTES_MAX: u64 = (4 << 20) + 1;
/// What is read of a folder.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// How a file ends that holds no campaigns, but cases of them.
pub const TEST_ENDINGS: [&str; 3] = [".test.yaml", ".test.yml", ".test.json"];

/// A campaign and the file it stands in.
#[derive(Debug)]
pub struct Written {
    pub file_name: String,
    pub file: FileCampaign,
}

impl Written {
    pub fn campaign(&self) -> &wire::Campaign {
        &self.file.campaign
    }

    pub fn id(&self) -> &str {
        &self.file.campaign.id
    }

    /// A fault the server found, with its place in the file.
    pub fn place(&self, field: &str, text: &str) -> String {
        let place = self.file.place_of(field.strip_prefix("campaign.").unwrap_or(field));
        placed(&self.file_name, place.line, place.column, field, text)
    }

    /// A server's refusal of this campaign.
    pub fn refused(&self, status: Status) -> Fail {
        let violations = fail::violations(&status);
        if violations.is_empty() {
            let mut fail = Fail::from(status);
            fail.lines.iter_mut().for_each(|line| *line = format!("{}: {line}", self.id()));
            return fail;
        }
        Fail::placed(violations.iter().map(|(field, text)| self.place(field, text)).collect())
    }
}

/// A fault that was found in reading a file.
pub fn of_file(file_name: &str, fault: &FileFault) -> String {
    placed(file_name, fault.line, fault.column, &fault.path, &fault.text)
}

pub fn placed(file_name: &str, line: u32, column: u32, field: &str, text: &str) -> String {
    if field.is_empty() {
        return format!("{file_name}:{line}:{column}: {text}");
    }
    format!("{file_name}:{line}:{column}: {field}: {text}")
}

/// All campaigns of all files, at least one, each id once; or every fault of every file.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Written>, Fail> {
    let (mut written, mut faults) = (Vec::new(), Vec::new());
    for path in expand(paths)? {
        let (file_name, bytes) = read_bytes(&path)?;
        read_file(&file_name, &bytes, &mut written, &mut faults);
    }
    check_ids(&written, &mut faults);
    if !faults.is_empty() {
        return Err(Fail::placed(faults));
    }
    if written.is_empty() {
        return Err(Fail::input(
            "there is no campaign here: name a .yaml, .yml or .json file, or a folder of them",
        ));
    }
    Ok(written)
}

/// The only campaign of a file; `what` is what is to be done with it.
pub fn read_one(path: PathBuf, what: &str) -> Result<Written, Fail> {
    let mut written = read(&[path])?;
    match (written.pop(), written.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Fail::input(format!("the file holds several campaigns: {what} one at a time"))),
    }
}

fn read_file(file_name: &str, bytes: &[u8], written: &mut Vec<Written>, faults: &mut Vec<String>) {
    match campaign_file::read(bytes) {
        Ok(campaigns) => {
            written
                .extend(campaigns.into_iter().map(|file| Written { file_name: file_name.to_owned(), file }));
        }
        Err(found) => {
            faults.extend(found.iter().map(|fault| of_file(file_name, fault)));
        }
    }
}

fn check_ids(written: &[Written], faults: &mut Vec<String>) {
    let mut first: HashMap<&str, &Written> = HashMap::new();
    for one in written.iter().filter(|one| !one.id().is_empty()) {
        if let Some(other) = first.get(one.id()) {
            let (file_name, line) = (&other.file_name, other.file.place.line);
            faults.push(one.place("id", &format!("{:?} is also in {file_name}, line {line}", one.id())));
        } else {
            first.insert(one.id(), one);
        }
    }
}

/// `-` is standard input.
pub fn read_bytes(path: &Path) -> Result<(String, Vec<u8>), Fail> {
    let (file_name, source): (String, Box<dyn Read>) = if path == Path::new("-") {
        ("stdin".to_owned(), Box::new(std::io::stdin()))
    } else {
        let name = path.display().to_string();
        match std::fs::File::open(path) {
            Ok(file) => (name, Box::new(file)),
            Err(e) => return Err(Fail::input(format!("{name}: {e}"))),
        }
    };
    let mut bytes = Vec::new();
    let read = source.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|e| Fail::input(format!("{file_name}: {e}")))?;
    Ok((file_name, bytes))
}

/// The files of cases that are named, or lie in a folder.
pub fn test_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Fail> {
    expand_with(paths, is_test_file)
}

/// Files as they are named; folders as the campaign files right inside, by name.
fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Fail> {
    expand_with(paths, |file| is_campaign_file(file) && !is_test_file(file))
}

fn expand_with(paths: &[PathBuf], is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Fail> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let in_folder = |e: std::io::Error| Fail::input(format!("{}: {e}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(in_folder)? {
            let file = entry.map_err(in_folder)?.path();
            if file.is_file() && is_wanted(&file) {
                inside.push(file);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| TEST_ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

fn is_campaign_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let (mut written, mut faults) = (Vec::new(), Vec::new());
        for (name, text) in files {
            read_file(name, text.as_bytes(), &mut written, &mut faults);
        }
        check_ids(&written, &mut faults);
        faults
    }

    #[test]
    fn every_fault_of_every_file_has_its_place() {
        let found = faults(&[("a.yaml", "id: a\ntitel: x\n"), ("b.yaml", "- 1\n")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.yaml:2:1: titel: "), "{found:?}");
        assert!(found[1].starts_with("b.yaml:1:1: expected a mapping"), "{found:?}");
    }

    #[test]
    fn an_id_stands_in_one_file_only() {
        let found = faults(&[("a.yaml", "id: a\n---\nid: b\n"), ("b.yaml", "title: x\nid: b\n")]);
        assert_eq!(found, ["b.yaml:2:1: id: \"b\" is also in a.yaml, line 3"]);
        assert_eq!(faults(&[("a.yaml", "id: a\n"), ("b.yaml", "id: b\n")]), [""; 0]);
    }

    #[test]
    fn a_fault_of_the_server_is_shown_where_it_stands() {
        let (mut written, mut faults) = (Vec::new(), Vec::new());
        let text = "id: a\ndelivery:\n  triggered:\n    when:\n      - {event: e, where: x}\n";
        read_file("a.yaml", text.as_bytes(), &mut written, &mut faults);
        let line = written[0].place("delivery.triggered.when[0].where", "column 1: x is not known");
        assert_eq!(line, "a.yaml:5:20: delivery.triggered.when[0].where: column 1: x is not known");
        assert!(written[0].place("webhook.url", "is missing").starts_with("a.yaml:1:1: webhook.url"));
    }

    #[test]
    fn a_folder_is_its_campaign_files_by_name() {
        let folder = std::env::temp_dir().join(format!("campanile-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("b.yaml", "id: b"),
            ("b.test.yaml", "cases: []"),
            ("a.json", "{\"id\": \"a\"}"),
            ("c.txt", "id: c"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let written = read(std::slice::from_ref(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
        let ids: Vec<String> = written.unwrap().iter().map(|one| one.id().to_owned()).collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn nothing_to_read_is_said() {
        let missing = read(&[PathBuf::from("no-such-file.yaml")]).unwrap_err();
        assert_eq!(missing.code, 2);
        assert!(missing.lines[0].starts_with("no-such-file.yaml: "), "{missing:?}");
        assert_eq!(read(&[]).unwrap_err().code, 2);
    }
}
