//! What a preview shows is what would be sent; and it sends nothing.

use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_is_then_sent_and_sends_nothing_itself() {
    let target = Target::start().await;
    let running = Running::sqlite().await;
    running
        .users([("mary".to_owned(), r#"{"email": "mary@example.com", "name": "O'Neil"}"#.to_owned())])
        .await;
    let file = running.folder.path().join("first.yaml");
    let text = format!(
        "id: first\naudience: user.email is set\ndelivery: {{triggered: {{when: {{event: purchase, where: properties.total >= 500}}}}}}\nwebhook:\n  url: {}\n  data: {{name: \"{{{{ user.name }}}}\", total: \"{{{{ properties.total }}}}\"}}\n",
        target.url("/bought?by={{ user_id }}")
    );
    std::fs::write(&file, &text).expect("written");
    let file = file.display().to_string();
    let preview = |subject: &[&str], more: &[&str]| {
        let arguments = [&["campaign", "preview"], subject, more].concat();
        let output = command(&running.processes[0], &arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let bought = |total: u32| format!(r#"{{"name": "purchase", "properties": {{"total": {total}}}}}"#);
    let (code, said) = preview(&["-f", &file], &["--user", "mary", "--event", &bought(600)]);
    let body = r#"{"name":"O'Neil","total":600}"#;
    assert!(code == Some(0) && said.contains(body) && said.contains("/bought?by=mary"), "{said}");
    assert!(said.contains(r#"--data-raw '{"name":"O'\''Neil","total":600}'"#), "{said}");
    for (arguments, why) in [
        (
            vec!["--user", "mary", "--event", r#"{"name": "purchase", "properties": {"total": 12}}"#],
            "properties.total is 12",
        ),
        (
            vec!["--user", "bob", "--event", r#"{"name": "purchase", "properties": {"total": 600}}"#],
            "user.email",
        ),
        (vec!["--user", "mary", "--event", r#"{"name": "other"}"#], "other"),
        (
            vec![
                "--user",
                "mary",
                "--attributes",
                r#"{"name": null}"#,
                "--event",
                r#"{"name": "purchase", "properties": {"total": 600}}"#,
            ],
            "user.name",
        ),
    ] {
        let (code, said) = preview(&["-f", &file], &arguments);
        assert!(
            code == Some(1) && said.contains("would not be sent") && said.contains(why),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(preview(&["-f", &file], &["--user", "mary", "--event", "{"]).0, Some(2));
    assert_eq!(preview(&["first"], &["--user", "mary"]).0, Some(1), "it is not stored yet");
    assert_eq!(target.received().len(), 0);
    running.activate(&text).await;
    let (code, said) = preview(&["first"], &["--user", "mary", "--event", &bought(600)]);
    assert!(code == Some(0) && said.contains(body), "{said}");
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    let received = target.wait_for(1).await;
    assert_eq!((received[0].body.as_str(), received[0].target.as_str()), (body, "/bought?by=mary"));
    assert_eq!(running.stats_until("first", |stats| stats.finished == 1).await.triggered, 1);
}
