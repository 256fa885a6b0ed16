//! What the README prints is what works: its commands are run as printed, on terminals; its campaign is the example file.

use campanile_tests::hand::{Hand, root};
use campanile_tests::terminal::without_colours;

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The indented commands between two sentences, as printed.
fn commands(from: &str, to: &str) -> Vec<String> {
    let readme = readme();
    let (_, rest) = readme.split_once(from).expect(from);
    let (part, _) = rest.split_once(to).expect(to);
    part.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_campaign_by_hand_works_as_printed() {
    let commands = commands("## A first campaign by hand", "The last line each command prints");
    let [install, serve, receive, typed @ ..] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(install.starts_with("cargo install --path crates/campanile") && typed.len() >= 5, "{commands:?}");
    assert!(root().join("crates/campanile/Cargo.toml").exists());
    let mut hand = Hand::start(serve, receive).await;
    for line in typed {
        let said = hand.succeeds(line).await;
        assert!(said.contains('\u{1b}'), "{line} has no colours: {said:?}");
        let plain = without_colours(&said);
        let last = plain.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("next: campanile "), "{line} does not end with a command: {plain}");
    }
    let arrived = hand.receive.shows("/bought").await;
    assert!(arrived.contains('\u{1b}'), "{arrived:?}");
    let body = r#"{"name":"Mary","email":"mary@example.com","total":600}"#;
    assert!(
        without_colours(&arrived).contains(&format!("204 first POST /bought (attempt 1) {body}")),
        "{arrived}"
    );
    // The same by hand over HTTP, as the README says further down.
    let curl = self::commands("or by hand:", "Everything the command line does");
    let said = hand.succeeds(&curl[0]).await;
    assert!(said.contains(r#"{"success":true}"#), "{said}");
    assert!(hand.folder.path().join("campanile-data").exists(), "data in ./campanile-data");
    // Ctrl-C ends both, cleanly.
    hand.receive.ctrl_c().await;
    let (code, said) = hand.receive.ended().await;
    assert_eq!(code, Some(0), "{said}");
    let plain = without_colours(&said);
    assert!(
        plain.contains("received") && plain.trim_end().ends_with("next: campanile sends list"),
        "{plain}"
    );
    hand.serve.ctrl_c().await;
    let (code, said) = hand.serve.ended().await;
    assert!(code == Some(0) && said.contains("stopping"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_import_shows_its_progress_and_ends_at_ctrl_c() {
    let hand = Hand::start("campanile serve --dev", "campanile receive").await;
    let people: String = (0..400_000).map(|i| format!("u{i},Some name,{i}@example.com\n")).collect();
    hand.file("people.csv", &format!("id,name,email\n{people}"));
    let mut import = hand.begins("campanile users import people.csv");
    import.shows("MiB").await;
    import.ctrl_c().await;
    let (code, said) = import.ended().await;
    assert!(code != Some(0), "{said}");
    // The server goes on.
    hand.succeeds("campanile users import examples/people.csv").await;
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

#[test]
fn the_ports_it_names_are_the_defaults() {
    let readme = readme();
    let defaults = include_str!("../../crates/campanile/src/config_default.toml");
    for port in ["7070", "7071", "7072"] {
        assert!(
            readme.contains(&format!("| {port} |")) && defaults.contains(&format!("127.0.0.1:{port}")),
            "{port}"
        );
    }
    assert!(include_str!("../../xtask/src/dev.rs").contains("\"6390\"") && readme.contains("| 6390 |"));
}
