//! A campaign is rehearsed before it is started: through the real gates, and nothing is sent.

use campanile_proto::v1 as wire;
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Target};
use campanile_tests::until::until;

crate::on_both_stores!(
    a_rehearsal_tells_what_would_be_sent,
    the_latest_events_rehearse_a_triggered_campaign,
    what_is_probably_not_meant_is_said_before_a_start,
);

async fn rehearse(running: &Running, id: &str) -> wire::Rehearsal {
    let request =
        wire::ActivateCampaignRequest { id: id.to_owned(), validate_only: true, ..Default::default() };
    let answer = running.api.campaigns.clone().activate_campaign(request).await.expect("it is rehearsed");
    answer.into_inner().rehearsal.expect("a rehearsal")
}

fn once(id: &str, audience: &str, target: &Target) -> String {
    format!(
        "id: {id}\naudience: {audience}\ndelivery: {{one_time: now}}\nwebhook: {{url: \"{}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\n",
        target.url("/once")
    )
}

fn run(running: &Running, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(&running.processes[0], arguments);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

async fn a_rehearsal_tells_what_would_be_sent(running: Running) {
    let target = Target::start().await;
    let named =
        |i: usize| if i.is_multiple_of(10) { "{}".to_owned() } else { format!(r#"{{"name": "N{i}"}}"#) };
    running.users((0..60).map(|i| (format!("u{i}"), named(i)))).await;
    running.create(&once("some", "everyone", &target)).await;
    let rehearsal = rehearse(&running, "some").await;
    let expected = "54 would be sent, 6 suppressed: `user.name` is missing, in data.name";
    assert_eq!((rehearsal.sentence.as_str(), rehearsal.audience), (expected, Some(60)));
    assert_eq!(rehearsal.suppressed[0].reason(), wire::SuppressionReason::TemplateMissingValue);
    assert_eq!(running.campaign("some").await.state(), wire::CampaignState::Draft, "nothing is started");
    // All suppressed is refused, unless somebody says yes.
    running.create(&once("none", "user.name is not set", &target)).await;
    let (code, said) = run(&running, &["campaign", "activate", "none"]);
    assert!(code == Some(1) && said.contains("would send nothing") && said.contains("--yes"), "{said}");
    let (code, said) = run(&running, &["campaign", "activate", "none", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&running, &["campaign", "activate", "some"]);
    assert!(code == Some(0) && said.contains(expected), "{said}");
    target.wait_for(54).await;
    // More than 1,000 are confirmed by number.
    running
        .users((0..1_001).map(|i| (format!("many{i}"), r#"{"name": "M", "many": true}"#.to_owned())))
        .await;
    running.create(&once("many", "user.many", &target)).await;
    let (code, said) = run(&running, &["campaign", "activate", "many"]);
    assert!(code == Some(1) && said.contains("add --audience 1001"), "{said}");
    let (code, said) = run(&running, &["campaign", "activate", "many", "--audience", "7"]);
    assert!(code == Some(1) && said.contains("has 1001 users now"), "{said}");
    assert_eq!(rehearse(&running, "many").await.tried, 100);
    let (code, said) = run(&running, &["campaign", "activate", "many", "--audience", "1001"]);
    assert_eq!(code, Some(0), "{said}");
}

async fn what_is_probably_not_meant_is_said_before_a_start(running: Running) {
    let target = Target::start().await;
    running.users((0..30).map(|i| (format!("u{i}"), r#"{"name": "N"}"#.to_owned()))).await;
    let slow = format!("{}limits: {{throttle: 1/h, expiry: 9h}}\n", once("slow", "everyone", &target));
    running.create(&slow).await;
    assert_eq!(rehearse(&running, "slow").await.would_expire, 20);
    let (code, said) = run(&running, &["campaign", "activate", "slow"]);
    let why = "20 sends of slow would expire before the throttle lets them through; add --yes";
    assert!(
        code == Some(1) && said.contains(why) && said.contains("warning: limits.throttle: 30 sends"),
        "{said}"
    );
    assert_eq!(running.campaign("slow").await.state(), wire::CampaignState::Draft);
    let (code, said) = run(&running, &["campaign", "activate", "slow", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    running.create(&once("nobody", "user.name == \"X\" and user.nmae is set", &target)).await;
    let (code, said) = run(&running, &["campaign", "activate", "nobody"]);
    assert!(code == Some(0) && said.contains("nobody is in the audience now"), "{said}");
    assert!(said.contains("has an attribute nmae: did you mean name?"), "{said}");
}

async fn the_latest_events_rehearse_a_triggered_campaign(running: Running) {
    let target = Target::start().await;
    let file = format!(
        "id: first\ndelivery: {{triggered: {{when: {{event: purchase, where: properties.total >= 500}}}}}}\nwebhook: {{url: \"{}\", data: {{name: \"{{{{ user.name }}}}\"}}}}\n",
        target.url("/first")
    );
    running.users([("mary".to_owned(), r#"{"name": "Mary"}"#.to_owned())]).await;
    running.create(&file).await;
    assert!(rehearse(&running, "first").await.sentence.contains("no event that it names came lately"));
    running
        .track(vec![
            event("mary", "purchase", r#"{"total": 600}"#),
            event("mary", "purchase", r#"{"total": 12}"#),
            event("bob", "purchase", r#"{"total": 700}"#),
            event("mary", "other", "{}"),
        ])
        .await;
    let looked = until(DEADLINE, async || {
        Some(rehearse(&running, "first").await).filter(|rehearsal| rehearsal.tried == 3)
    });
    let rehearsal = looked.await.expect("all three are tried");
    assert_eq!((rehearsal.sent, rehearsal.refused[0].count, rehearsal.suppressed[0].count), (1, 1, 1));
    assert_eq!(target.received().len(), 0);
}
