//! The slips of a first hour: each is answered with what to type instead.

use std::process::{Command, Stdio};

use campanile_tests::binary::{Process, campanile, command};
use campanile_tests::running::Running;
use campanile_tests::target::{Reply, Target};

/// Both streams of a command, after checking its exit code and what it must say.
fn check(process: &Process, arguments: &[&str], code: i32, said: &[&str]) -> String {
    let output = command(process, arguments);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    said.iter().for_each(|part| assert!(text.contains(part), "{arguments:?} does not say {part:?}: {text}"));
    text
}

fn write(running: &Running, name: &str, text: &str) -> String {
    let path = running.folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn campaign(audience: &str, data: &str) -> String {
    format!(
        "id: first\naudience: {audience}\ndelivery: {{triggered: purchase}}\nwebhook:\n  url: http://127.0.0.1:9/\n  data:\n    {data}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named_with_what_starts_it() {
    let mut running = Running::sqlite().await;
    running.processes[0].kill();
    let said = check(&running.processes[0], &["campaign", "list"], 3, &["is `campanile serve` running?"]);
    assert!(said.contains(&running.processes[0].grpc), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_answered_with_the_flag_that_chooses_another() {
    let running = Running::sqlite().await;
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("other.db").display());
    for (flag, of) in [
        ("--listen-grpc", &running.processes[0].grpc),
        ("--listen-console", &running.processes[0].console),
        ("--listen-intake", &running.processes[0].intake),
        ("--listen-health", &running.processes[0].health),
    ] {
        let taken = of.replace("http://", "");
        let mut arguments = vec!["serve".to_owned(), "--store".to_owned(), store.clone()];
        for listen in ["--listen-grpc", "--listen-console", "--listen-intake", "--listen-health"] {
            let address = if listen == flag { taken.as_str() } else { "127.0.0.1:0" };
            arguments.extend([listen.to_owned(), address.to_owned()]);
        }
        let output =
            Command::new(campanile()).args(&arguments).stdin(Stdio::null()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{flag} 127.0.0.1:PORT")) && said.contains(&taken), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_campaign_id_is_answered_with_the_nearest() {
    let running = Running::sqlite().await;
    let process = &running.processes[0];
    check(process, &["campaign", "show", "frist"], 1, &["there is no campaign \"frist\": there is none yet"]);
    let file = write(&running, "first.yaml", &campaign("everyone", "a: b"));
    check(process, &["campaign", "apply", "-f", &file], 0, &[]);
    for verb in ["show", "activate", "pause", "stats", "next"] {
        check(
            process,
            &["campaign", verb, "frist"],
            1,
            &["there is no campaign \"frist\": did you mean first?"],
        );
    }
    check(process, &["campaign", "preview", "frist", "--user", "mary"], 1, &["did you mean first?"]);
    check(process, &["campaign", "enter", "frist", "mary"], 1, &["did you mean first?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_yaml_takes_for_something_else_is_answered_with_what_to_write() {
    let running = Running::sqlite().await;
    for (row, said) in [
        ("name: {{ user.name }}", "write name: \"{{ user.name }}\""),
        ("channel: #sales", "write channel: \"#sales\""),
        ("zip: 01067", "write zip: \"01067\""),
    ] {
        let file = write(&running, "slip.yaml", &campaign("everyone", row));
        check(&running.processes[0], &["campaign", "apply", "-f", &file], 2, &[&format!("{file}:7:"), said]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_that_nobody_has_is_answered_with_the_nearest() {
    for running in [Running::sqlite().await, Running::redis().await] {
        running.users([("mary".to_owned(), r#"{"email": "m@example.com", "plan": "pro"}"#.to_owned())]).await;
        let file = write(
            &running,
            "slip.yaml",
            &campaign("user.emial is set", "plan: \"{{ user.plna | default('x') }}\""),
        );
        check(
            &running.processes[0],
            &["campaign", "validate", "-f", &file],
            0,
            &["has an attribute emial: did you mean email?", "has an attribute plna: did you mean plan?"],
        );
        let file = write(&running, "good.yaml", &campaign("user.email is set", "plan: \"{{ user.plan }}\""));
        let said = check(&running.processes[0], &["campaign", "validate", "-f", &file], 0, &["is fine"]);
        assert!(!said.contains("warning"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_campaign_waits_for_is_answered_with_the_nearest() {
    let running = Running::sqlite().await;
    let process = &running.processes[0];
    check(process, &["track", "mary", "purchase"], 0, &["nor for any other event"]);
    let file = write(&running, "first.yaml", &campaign("everyone", "a: b"));
    check(process, &["campaign", "apply", "-f", &file, "--activate"], 0, &[]);
    check(
        process,
        &["track", "mary", "purchse"],
        0,
        &["no live campaign waits for purchse: did you mean purchase?"],
    );
    let said = check(process, &["track", "mary", "purchase"], 0, &["next: campanile sends list --user mary"]);
    assert!(!said.contains("warning"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_does_not_exist_is_answered_with_what_makes_one() {
    let running = Running::sqlite().await;
    let process = &running.processes[0];
    check(
        process,
        &["users", "show", "mery"],
        1,
        &["there is no user \"mery\"", "`campanile users import FILE`", "track mery EVENT"],
    );
    let file = write(&running, "first.yaml", &campaign("everyone", "a: b"));
    check(
        process,
        &["campaign", "preview", "-f", &file, "--user", "mery"],
        0,
        &["there is no user \"mery\": made up"],
    );
    let text = "id: credit\ndelivery: {manual: {}}\nwebhook: {url: \"http://127.0.0.1:9/\", data: {a: b}}\n";
    let file = write(&running, "credit.yaml", text);
    check(process, &["campaign", "apply", "-f", &file, "--activate"], 0, &[]);
    check(process, &["campaign", "enter", "credit", "mery"], 1, &["unknown_user", "--create-missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loopback_target_is_refused_with_the_flag_that_allows_it() {
    let running = Running::sqlite_with(&[]).await;
    let file = write(&running, "first.yaml", &campaign("everyone", "a: b"));
    check(
        &running.processes[0],
        &["campaign", "apply", "-f", &file],
        2,
        &[&format!("{file}:5:"), "campanile serve --dev"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_may_mean_another_content_type_is_hinted_at() {
    for status in [400, 415, 422] {
        let target = Target::scripted(move |_, _| Reply::status(status)).await;
        let running = Running::sqlite().await;
        running
            .activate(&campaign("everyone", "a: b").replace("http://127.0.0.1:9/", &target.url("/form")))
            .await;
        check(&running.processes[0], &["track", "mary", "purchase"], 0, &[]);
        running.stats_until("first", |stats| stats.failed == 1).await;
        let id = running.sends("first").await[0].id.clone();
        check(
            &running.processes[0],
            &["sends", "show", &id],
            0,
            &["application/json", "write content_type: form in the webhook", "next: campanile sends resend"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_columns_that_look_like_numbers_are_hinted_at() {
    let running = Running::sqlite().await;
    let file = write(&running, "people.csv", "id,name,age\nmary,Mary,41\nbob,Bob,29\n");
    let said = check(&running.processes[0], &["users", "import", &file], 0, &["head it age:int"]);
    assert!(!said.contains("head it name"), "{said}");
}

#[test]
fn a_role_says_what_it_is_and_which_store_it_serves() {
    for role in ["control", "scheduler", "sender"] {
        // Nothing listens on port 1: what it says first is enough.
        let mut child = Command::new(campanile())
            .args([role, "--store", "redis://:secret@127.0.0.1:1", "--listen-grpc", "127.0.0.1:0"])
            .args([
                "--listen-console",
                "127.0.0.1:0",
                "--listen-intake",
                "127.0.0.1:0",
                "--listen-health",
                "127.0.0.1:0",
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = std::io::BufReader::new(child.stderr.take().expect("its log"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).expect("it says something");
        let _ = child.kill();
        let _ = child.wait();
        assert!(
            line.contains(role) && line.contains("127.0.0.1:1") && !line.contains("secret"),
            "{role}: {line}"
        );
    }
}
