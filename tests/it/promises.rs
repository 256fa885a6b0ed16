//! The page of promises names tests that there are.

use std::collections::BTreeSet;
use std::path::Path;

use campanile_tests::hand::root;

fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_promise_names_tests_that_there_are() {
    let page = std::fs::read_to_string(root().join("docs/promises.md")).expect("the page");
    let mut code = String::new();
    sources(&root().join("crates"), &mut code);
    sources(&root().join("tests"), &mut code);
    let known: BTreeSet<&str> = code
        .lines()
        .filter_map(|line| line.split_once("fn ").map(|(_, rest)| rest))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        if tests.starts_with("---") {
            continue;
        }
        let names: Vec<&str> = tests.split(", ").map(|name| name.trim_matches('`')).collect();
        let missing: Vec<&&str> = names.iter().filter(|name| !known.contains(**name)).collect();
        assert!(missing.is_empty(), "{row}\nno such test: {missing:?}");
        rows += 1;
    }
    assert!(rows > 30, "{rows} rows were read");
}
