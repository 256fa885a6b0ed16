//! What the README prints is what works: its commands are run as printed, its campaign is the example file.

use std::path::{Path, PathBuf};
use std::process::Command;

use campanile_tests::binary::campanile;
use campanile_tests::running::Running;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The indented commands of `campanile` between two sentences.
fn commands(from: &str, to: &str) -> Vec<String> {
    let readme = readme();
    let (_, rest) = readme.split_once(from).expect(from);
    let (part, _) = rest.split_once(to).expect(to);
    part.lines().filter_map(|line| line.strip_prefix("    campanile ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_campaign_by_hand_works_as_printed() {
    let running = Running::sqlite().await;
    let commands = commands("In a third,", "The campaign is this file");
    assert_eq!(commands.len(), 7, "{commands:?}");
    for line in &commands {
        // As printed, by a shell.
        let output = Command::new("sh")
            .args(["-c", &format!("{} {line}", campanile().display())])
            .env("CAMPANILE_SERVER", &running.processes[0].grpc)
            .current_dir(root())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "campanile {line}: {said}");
    }
    // Nobody listens on the example's port here, or somebody does: either way it was sent there.
    let stats = running.stats_until("first", |stats| stats.attempts > 0).await;
    assert_eq!((stats.triggered, stats.entered), (1, 1));
}

#[test]
fn the_campaign_it_shows_is_the_example_file() {
    let example = std::fs::read_to_string(root().join("examples/first.yaml")).expect("the example");
    assert!(
        readme().contains(&format!("```yaml\n{example}```")),
        "examples/first.yaml is not what the README shows"
    );
}

#[test]
fn every_place_it_points_to_is_there() {
    let readme = readme();
    let places = readme
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') && !word.contains([' ', ':', '*']));
    let missing: Vec<&str> =
        places.filter(|place| !place.starts_with("./") && !root().join(place).exists()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
