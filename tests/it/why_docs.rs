//! What `docs/why.md` prints is what works: its commands are run as printed, after the README's first campaign.

use std::path::{Path, PathBuf};
use std::process::Command;

use campanile_tests::binary::campanile;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shell(running: &Running, line: &str) -> (Option<i32>, String) {
    let output = Command::new("sh")
        .args(["-c", &format!("{} {line}", campanile().display())])
        .env("CAMPANILE_SERVER", &running.processes[0].grpc)
        .current_dir(root())
        .output()
        .expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_why_works_as_printed() {
    let running = Running::sqlite().await;
    let target = Target::start().await;
    let example = std::fs::read_to_string(root().join("examples/first.yaml")).expect("the example");
    running.activate(&example.replace("http://127.0.0.1:9000/bought", &target.url("/bought"))).await;
    let (code, said) = shell(&running, "users import examples/people.csv");
    assert_eq!(code, Some(0), "{said}");
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.delivered == 1).await;
    let page = std::fs::read_to_string(root().join("docs/why.md")).expect("the page");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    campanile ")).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for line in commands {
        let (code, said) = shell(&running, line);
        assert_eq!(code, Some(0), "campanile {line}: {said}");
    }
    // Every gate that exists is on the page, in its order.
    let gates = campanile_scheduler::entering::GATES.iter().map(|gate| gate.name);
    let rows: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let sending = rows.iter().position(|row| *row == "sending").expect("the second table");
    let (entering, sending) = rows.split_at(sending);
    let told = |gates: &[&str], rows: &[&str]| {
        let found: Vec<&str> = rows.iter().copied().filter(|row| gates.contains(row)).collect();
        assert_eq!(found, gates, "docs/why.md names the gates in their order");
    };
    told(&gates.collect::<Vec<_>>(), entering);
    let silent = "entry";
    let gates = campanile_sender::admit::GATES.iter().map(|gate| gate.name).filter(|gate| *gate != silent);
    told(&gates.chain(["request"]).collect::<Vec<_>>(), sending);
}
