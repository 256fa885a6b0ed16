//! Promises of the command line against a running server: nothing by halves, everything by name.

use std::path::Path;

use campanile_tests::binary::{Process, command};
use campanile_tests::running::Running;

const GOOD: &str = "id: good\ndelivery: {triggered: seen}\nwebhook: {url: \"http://127.0.0.1:9/\", data: {a: \"{{ user_id }}\"}}\n";

/// Runs a command and answers what it printed on each stream, after checking its exit code.
fn run(process: &Process, arguments: &[&str], code: i32) -> (String, String) {
    let output = command(process, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    (out, err)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_files_stores_nothing_when_one_of_them_is_bad() {
    let running = Running::sqlite().await;
    let (process, folder) = (&running.processes[0], running.folder.path());
    let good = write(folder, "good.yaml", GOOD);
    let bad = write(folder, "bad.yaml", &GOOD.replace("id: good", "id: bad").replace("user_id", "usr.x"));
    let (_, err) = run(process, &["campaign", "apply", "-f", &good, "-f", &bad], 2);
    assert!(err.starts_with(&format!("{bad}:3:")), "{err}");
    let (out, _) = run(process, &["campaign", "list", "--json"], 0);
    assert_eq!(out, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_campaign_changes_only_when_somebody_said_yes() {
    let running = Running::sqlite().await;
    let (process, folder) = (&running.processes[0], running.folder.path());
    let file = write(folder, "good.yaml", GOOD);
    let (_, err) = run(process, &["campaign", "apply", "-f", &file, "--activate"], 0);
    assert!(err.ends_with("next: campanile track USER seen\n"), "{err}");
    write(folder, "good.yaml", &GOOD.replace("seen", "bought"));
    let (_, err) = run(process, &["campaign", "apply", "-f", &file], 1);
    assert!(err.contains("- ") && err.contains("bought") && err.contains("--yes"), "{err}");
    assert_eq!(running.campaign("good").await.revision, 1);
    run(process, &["campaign", "apply", "-f", &file, "--yes"], 0);
    assert_eq!(running.campaign("good").await.revision, 2);
    let (shown, _) = run(process, &["campaign", "show", "good"], 0);
    write(folder, "good.yaml", &shown);
    let (out, _) = run(process, &["campaign", "apply", "-f", &file], 0);
    assert_eq!(out, "good is as written (active)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_names_every_bad_line_and_stores_the_good_ones() {
    let running = Running::sqlite().await;
    let (process, folder) = (&running.processes[0], running.folder.path());
    let people =
        "id,age:int,visits,timezone\nmary,41,5,Europe/Berlin\n\nbob,old,7,\nzoe,,9,Nowhere\nann,3,11,\n";
    let file = write(folder, "people.csv", people);
    let (out, err) = run(process, &["users", "import", &file], 1);
    assert!(
        err.contains(&format!("{file}:4: age: ")) && err.contains(&format!("{file}:5: time_zone: ")),
        "{err}"
    );
    assert!(out.contains("2 users imported, 2 of them new") && out.contains("head it visits:int"), "{out}");
    let (out, _) = run(process, &["users", "show", "ann", "--json"], 0);
    assert!(out.contains(r#""attributes":"{\"age\":3,\"visits\":\"11\"}""#), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_file_are_taken_once_and_bad_lines_named() {
    let running = Running::sqlite().await;
    let (process, folder) = (&running.processes[0], running.folder.path());
    let track = r#"{"type":"track","messageId":"m-1","userId":"mary","event":"seen","properties":{"n":1}}"#;
    let file = write(folder, "events.ndjson", &format!("{track}\n[]\n{{\"user_id\":\"mary\"}}\n"));
    let (out, err) = run(process, &["track", "-f", &file], 1);
    assert_eq!(out, "1 event taken, 0 repeats dropped\n");
    assert!(
        err.contains(&format!("{file}:2: ")) && err.contains(&format!("{file}:3: has no event")),
        "{err}"
    );
    let (out, _) = run(process, &["track", "-f", &file, "--json"], 1);
    assert!(out.contains(r#""accepted":0,"repeats":1,"bad":2"#), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entering_by_hand_answers_for_every_user() {
    let running = Running::sqlite().await;
    let (process, folder) = (&running.processes[0], running.folder.path());
    let text = "id: credit\nrequires_values: cents\ndelivery: {manual: {}}\nwebhook: {url: \"http://127.0.0.1:9/{{ values.cents }}\"}\n";
    let file = write(folder, "credit.yaml", text);
    run(process, &["campaign", "apply", "-f", &file, "--activate"], 0);
    let users = write(
        folder,
        "users.ndjson",
        "{\"user_id\":\"ann\",\"values\":{\"cents\":5}}\n{\"user_id\":\"bob\"}\n",
    );
    let (out, _) =
        run(process, &["campaign", "enter", "credit", "--from-file", &users, "--create-missing"], 1);
    let row = |user: &str| out.lines().find(|line| line.starts_with(user)).unwrap_or_default().to_owned();
    assert!(row("ann").contains("entered") && row("bob").contains("missing_values"), "{out}");
    let (_, err) = run(process, &["campaign", "end", "credit", "--stop-now"], 1);
    assert!(err.contains("--yes"), "{err}");
    run(process, &["campaign", "end", "credit", "--stop-now", "--yes"], 0);
}
