//! The commands of a first hour: a first file of every kind, when it fires, what editors and shells are told.

use campanile_tests::binary::{Process, campanile, command};
use campanile_tests::running::Running;
use serde_json::Value;
use std::process::{Command, Stdio};

/// What a command printed on each stream, after checking its exit code.
fn run(process: &Process, arguments: &[&str], code: i32) -> (String, String) {
    let output = command(process, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    (out, err)
}

/// The same, of a command that needs no server.
fn alone(arguments: &[&str], code: i32) -> (String, String) {
    let mut command = Command::new(campanile());
    command.args(["--server", "http://127.0.0.1:1"]).args(arguments).stdin(Stdio::null());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    (out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_file_of_every_kind_applies_as_it_is_printed() {
    let running = Running::sqlite().await;
    for kind in ["one-time", "recurring", "triggered", "manual"] {
        let (file, remark) = alone(&["campaign", "new", kind, "--id", &format!("a-{kind}")], 0);
        assert!(remark.contains(&format!("> a-{kind}.yaml")), "{remark}");
        let path = running.folder.path().join(format!("{kind}.yaml"));
        std::fs::write(&path, &file).expect("written");
        let path = path.display().to_string();
        let (out, _) = run(&running.processes[0], &["campaign", "apply", "-f", &path, "--activate"], 0);
        let state = if kind == "one-time" { "scheduled" } else { "active" };
        assert_eq!(out, format!("a-{kind} is created and {state}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_campaign_fires_is_told_in_words() {
    let running = Running::sqlite().await;
    let file = "id: yearly\naudience: everyone\ndelivery: {recurring: \"0 9 1 1 *\", zone: Europe/Berlin}\nwebhook: {url: \"http://127.0.0.1:9/\", data: {a: b}}\n";
    running.create(file).await;
    let (out, err) = run(&running.processes[0], &["campaign", "next", "yearly", "--count", "2"], 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    for line in &lines {
        assert!(line.contains(" 1 Jan ") && line.contains(" 09:00 Europe/Berlin, in "), "{line}");
    }
    assert!(
        err.contains("it is a draft") && err.ends_with("next: campanile campaign activate yearly\n"),
        "{err}"
    );
    let path = running.folder.path().join("yearly.yaml");
    std::fs::write(&path, file).expect("written");
    let path = path.display().to_string();
    let (out, _) = alone(&["campaign", "next", "-f", &path, "--json"], 0);
    let first: Value = serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    assert!(first["at"].as_str().is_some_and(|at| at.ends_with("-01-01T08:00:00Z")), "{first}");
    std::fs::write(&path, file.replace("0 9 1 1 *", "0 9 1 1")).expect("written");
    let (_, err) = alone(&["campaign", "next", "-f", &path], 2);
    assert!(err.starts_with(&format!("{path}:3:")) && err.contains("delivery.recurring.cron"), "{err}");
}

#[test]
fn editors_and_shells_are_told_what_there_is() {
    let (out, err) = alone(&["schema"], 0);
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(schema["properties"]["webhook"]["anyOf"][0]["$ref"], "#/definitions/Webhook");
    assert!(err.contains("yaml-language-server: $schema="), "{err}");
    let (out, _) = alone(&["completions", "bash"], 0);
    assert!(out.contains("complete -F _campanile"), "{out}");
}
