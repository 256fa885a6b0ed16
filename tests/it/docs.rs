//! What the documentation shows is what works: every fenced block of `docs/` is run, applied or rendered, by the words after its fence.
//!
//! `sh`: typed by a newcomer, in order. `yaml`: a whole campaign file; with a file's name behind it, that file. `yaml deliveries`,
//! `yaml limits`, `yaml webhook`: a part of one. `yaml settings.yaml`: the deployment's settings. `jinja expressions`: a condition a line. `jinja renders`: TEMPLATE => JSON, a line each.

use std::path::PathBuf;

use campanile_proto::campaign_file;
use campanile_proto::v1 as wire;
use campanile_tests::hand::{Hand, root};
use campanile_tests::running::Running;
use campanile_tests::terminal::without_colours;
use serde_json::{Value, json};

/// One fenced block: what stands behind its fence, and its lines.
struct Block {
    place: String,
    kind: String,
    text: String,
}

fn pages() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a page"))
    };
    paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")).map(read).collect()
}

fn blocks(name: &str, page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(kind), None) => {
                let place = format!("docs/{name}:{}", i + 1);
                open = Some(Block { place, kind: kind.trim().to_owned(), text: String::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "docs/{name}: a block has no end");
    blocks
}

fn all_blocks() -> Vec<Block> {
    pages().iter().flat_map(|(name, page)| blocks(name, page)).collect()
}

/// A part of a campaign file made whole.
fn whole(block: &Block) -> Vec<String> {
    let webhook = "webhook: {url: \"https://example.com/hook\", data: {a: b}}";
    let head = "id: doc\naudience: everyone";
    let lines = || block.text.lines().filter(|line| !line.trim().is_empty());
    match block.kind.as_str() {
        "yaml deliveries" => lines().map(|line| format!("{head}\n{line}\n{webhook}\n")).collect(),
        "yaml limits" => {
            lines().map(|line| format!("{head}\ndelivery: {{manual: {{}}}}\n{line}\n{webhook}\n")).collect()
        }
        "yaml webhook" => vec![format!("{head}\ndelivery: {{manual: {{}}}}\n{}", block.text)],
        "jinja expressions" => lines()
            .map(|line| {
                format!("id: doc\naudience: {}\ndelivery: {{manual: {{}}}}\n{webhook}\n", Value::from(line))
            })
            .collect(),
        // No campaign, and the commands around it read it.
        "yaml settings.yaml" | "yaml never-send.yaml" | "yaml notices.yaml" => Vec::new(),
        // Cases of a campaign are run by the command that is shown.
        kind if kind.ends_with(".test.yaml") => Vec::new(),
        kind if kind == "yaml" || kind.ends_with(".yaml") => vec![block.text.clone()],
        _ => Vec::new(),
    }
}

/// A server with the secrets, segments and lists that the pages speak of.
async fn server() -> Running {
    let running = Running::sqlite().await;
    for (name, value) in [
        ("my_signing_secret", "whsec_c2lnbmluZw=="),
        ("api_password", "x"),
        ("signing", "whsec_c2lnbmluZw=="),
    ] {
        let secret = wire::PutSecretRequest {
            name: name.to_owned(),
            values: vec![value.to_owned()],
            hosts: vec!["api.example.com".to_owned(), "127.0.0.1".to_owned()],
            ..Default::default()
        };
        running.api.secrets.clone().put_secret(secret).await.expect("it is stored");
    }
    let list = wire::PutUserListRequest { name: "beta-testers".to_owned(), ..Default::default() };
    running.api.segments.clone().put_user_list(tokio_stream::iter([list])).await.expect("it is put");
    for name in ["buyers", "staff"] {
        let segment =
            wire::Segment { name: name.to_owned(), r#where: "user.vip".to_owned(), ..Default::default() };
        let request = wire::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
        running.api.segments.clone().create_segment(request).await.expect("it is stored");
    }
    running
}

#[test]
fn every_block_says_what_it_is() {
    let known = [
        "sh",
        "yaml",
        "yaml deliveries",
        "yaml limits",
        "yaml webhook",
        "jinja expressions",
        "jinja renders",
    ];
    let blocks = all_blocks();
    assert!(blocks.len() > 10, "{} blocks", blocks.len());
    for block in blocks {
        let is_file = block.kind.starts_with("yaml ") && block.kind.ends_with(".yaml");
        assert!(
            known.contains(&block.kind.as_str()) || is_file,
            "{}: ```{} is not run by any test",
            block.place,
            block.kind
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_campaign_and_condition_shown_is_taken_without_a_fault() {
    let running = server().await;
    let mut taken = 0;
    for block in all_blocks() {
        for text in whole(&block) {
            let read = campaign_file::read(text.as_bytes())
                .unwrap_or_else(|f| panic!("{}: {f:?}\n{text}", block.place));
            for file in read {
                let request = wire::ValidateCampaignRequest { campaign: Some(file.campaign) };
                let answer = running
                    .api
                    .campaigns
                    .clone()
                    .validate_campaign(request)
                    .await
                    .expect("an answer")
                    .into_inner();
                assert!(answer.violations.is_empty(), "{}: {:?}\n{text}", block.place, answer.violations);
                taken += 1;
            }
        }
    }
    assert!(taken > 15, "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_shown_renders_as_shown() {
    let running = server().await;
    let user = json!({"name": "Mary O'Neil", "plan": "pro", "age": 41});
    running.users([("mary".to_owned(), user.to_string())]).await;
    let mut rendered = 0;
    for block in all_blocks().iter().filter(|block| block.kind == "jinja renders") {
        for line in block.text.lines() {
            let (template, expected) =
                line.split_once(" => ").unwrap_or_else(|| panic!("{}: {line}", block.place));
            let webhook = wire::Webhook {
                url: "https://example.com/hook".to_owned(),
                data: vec![wire::DataRow {
                    name: "v".to_owned(),
                    content: Some(wire::data_row::Content::Value(template.trim().to_owned())),
                }],
                ..Default::default()
            };
            let file =
                campaign_file::read(b"id: doc\ndelivery: {triggered: purchase}\n").expect("a file").remove(0);
            let campaign = wire::Campaign { webhook: Some(webhook), ..file.campaign };
            let event = wire::Event {
                name: "purchase".to_owned(),
                properties: json!({"total": 12.5, "items": ["cup", "pot"]}).to_string(),
                ..Default::default()
            };
            let request = wire::PreviewSendRequest {
                subject: Some(wire::preview_send_request::Subject::Campaign(campaign)),
                user_id: "mary".to_owned(),
                event: Some(event),
                ..Default::default()
            };
            let answer = running.api.campaigns.clone().preview_send(request).await;
            let answer = answer.unwrap_or_else(|e| panic!("{}: {template}: {e}", block.place)).into_inner();
            let body = answer
                .request
                .unwrap_or_else(|| panic!("{}: {template}: {}", block.place, answer.detail))
                .body;
            assert_eq!(body, format!("{{\"v\":{}}}", expected.trim()), "{}: {template}", block.place);
            rendered += 1;
        }
    }
    assert!(rendered > 10, "{rendered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_shown_works_as_typed() {
    for (name, page) in pages() {
        let blocks = blocks(&name, &page);
        if !blocks.iter().any(|block| block.kind == "sh") {
            continue;
        }
        let mut hand = Hand::start("campanile serve --dev", "campanile receive").await;
        for block in &blocks {
            match block.kind.split_once(' ') {
                Some(("yaml", file)) if file.ends_with(".yaml") => hand.file(file, &block.text),
                None if block.kind == "sh" => {
                    for line in block.text.lines().filter(|line| !line.is_empty()) {
                        let said = hand.succeeds(&format!("sh -c {}", shell_word(line))).await;
                        let is_curl = line.starts_with("curl ");
                        let is_taken = said.contains("\"success\":true") || said.contains("\"entered\"");
                        assert!(!is_curl || is_taken, "{}: {line}: {said}", block.place);
                    }
                }
                _ => {}
            }
        }
        if name == "getting-started.md" {
            let arrived = without_colours(&hand.receive.shows("/projects").await);
            let body = r#"{"email":"ada@example.com","project":"Engine","size":3}"#;
            assert!(arrived.contains(body), "{arrived}");
        }
    }
}

fn shell_word(line: &str) -> String {
    format!("'{}'", line.replace('\'', r"'\''"))
}
