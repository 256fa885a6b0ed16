//! Why, and why not: explanations agree with what was really decided, step by step, and say it in one sentence.

use campanile_proto::v1 as wire;
use campanile_proto::v1::DecisionOutcome::{Passed, Refused, Suppressed};
use campanile_tests::binary::command;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{Reply, Target};
use tonic::Code;

crate::on_both_stores!(
    an_explanation_tells_what_happened_and_what_would_happen_now,
    an_explanation_of_a_failed_send_has_its_attempts,
    an_explanation_names_the_gate_of_a_suppressed_send,
    an_entry_by_hand_is_explained_with_its_values,
    what_is_unknown_is_answered_with_what_to_try,
);

fn first(target: &Target) -> String {
    format!(
        r#"
id: first
audience: user.email is set
delivery: {{triggered: {{when: {{event: purchase, where: properties.total >= 500}}}}}}
webhook: {{url: "{}", data: {{email: "{{{{ user.email }}}}", name: "{{{{ user.name }}}}"}}}}
limits: {{retry: {{waits: [1s]}}}}
"#,
        target.url("/bought")
    )
}

pub(crate) async fn explain(running: &Running, user: &str, campaign: &str) -> wire::ExplainSendResponse {
    explain_with(running, user, campaign, None, "").await
}

async fn explain_with(
    running: &Running,
    user: &str,
    campaign: &str,
    event: Option<wire::Event>,
    values: &str,
) -> wire::ExplainSendResponse {
    let request = wire::ExplainSendRequest {
        user_id: user.to_owned(),
        campaign_id: campaign.to_owned(),
        event,
        values: values.to_owned(),
    };
    running.api.sends.clone().explain_send(request).await.expect("it is explained").into_inner()
}

/// The gates with how they came out; the last one with what it saw.
fn steps(answer: &wire::ExplainSendResponse) -> Vec<(String, wire::DecisionOutcome)> {
    let steps = &answer.if_now.as_ref().expect("it is judged").steps;
    steps.iter().map(|step| (step.gate.clone(), step.outcome())).collect()
}

fn named(expected: &[(&str, wire::DecisionOutcome)]) -> Vec<(String, wire::DecisionOutcome)> {
    expected.iter().map(|(gate, outcome)| ((*gate).to_owned(), *outcome)).collect()
}

async fn an_explanation_tells_what_happened_and_what_would_happen_now(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com", "name": "Mary"}"#.to_owned())]).await;
    running.activate(&first(&target)).await;
    let answer = explain(&running, "mary", "first").await;
    assert!(answer.past.is_empty() && answer.sentence.starts_with("Nothing was sent yet."), "{answer:?}");
    running.track(vec![event("mary", "purchase", r#"{"total": 12}"#)]).await;
    running.stats_until("first", |stats| stats.triggered == 1).await;
    let answer = explain(&running, "mary", "first").await;
    let [refused] = answer.past.as_slice() else { panic!("{answer:?}") };
    assert_eq!(refused.refusal(), wire::RefusalReason::ConditionFalse);
    assert!(answer.sentence.starts_with("Not sent: "), "{}", answer.sentence);
    let why = "properties.total >= 500 was false: properties.total is 12.";
    assert!(answer.sentence.ends_with(why), "{}", answer.sentence);
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.delivered == 1).await;
    let imagined = event("", "purchase", r#"{"total": 700}"#);
    let answer = explain_with(&running, "mary", "first", Some(imagined), "").await;
    assert_eq!(answer.past.len(), 2, "{answer:?}");
    let send = answer.past[0].send.as_ref().expect("the newest is a send");
    assert_eq!(send.id, target.received()[0].webhook_id());
    assert!(answer.sentence.starts_with("Sent: mary got first at "), "{}", answer.sentence);
    let expected = [
        ("campaign", Passed),
        ("start", Passed),
        ("event age", Passed),
        ("trigger", Passed),
        ("user", Passed),
        ("audience", Passed),
        ("campaign", Passed),
        ("user", Passed),
        ("audience", Passed),
        ("expiry", Passed),
        ("request", Passed),
    ];
    assert_eq!(steps(&answer), named(&expected));
    let request = answer.if_now.and_then(|if_now| if_now.request).expect("it would be sent");
    assert_eq!(request.body, r#"{"email":"m@example.com","name":"Mary"}"#);
    assert_eq!(target.received().len(), 1, "an explanation sends nothing");
    assert_eq!(running.stats("first").await.triggered, 2, "and counts nothing");
    // On the command line the sentence is the last line.
    let output = command(&running.processes[0], &["explain", "mary", "first"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("Sent: mary got first at ")), "{said}");
    assert!(said.contains(why) && said.contains("If it were now"), "{said}");
}

async fn an_explanation_of_a_failed_send_has_its_attempts(running: Running) {
    let target = Target::scripted(|_, _| Reply { body: "busy".to_owned(), ..Reply::status(503) }).await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com", "name": "Mary"}"#.to_owned())]).await;
    running.activate(&first(&target)).await;
    running.track(vec![event("mary", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.failed == 1).await;
    let answer = explain(&running, "mary", "first").await;
    assert!(answer.sentence.starts_with("Not sent: it was given up at "), "{}", answer.sentence);
    assert!(answer.sentence.contains("after 2 attempts: answered 503"), "{}", answer.sentence);
    let attempts: Vec<_> =
        answer.past[0].attempts.iter().map(|a| (a.number, a.status, a.response.as_str())).collect();
    assert_eq!(attempts, [(1, 503, "busy"), (2, 503, "busy")]);
}

async fn an_explanation_names_the_gate_of_a_suppressed_send(running: Running) {
    let target = Target::start().await;
    running.users([("bob".to_owned(), r#"{"email": "b@example.com"}"#.to_owned())]).await;
    running.activate(&first(&target)).await;
    running.track(vec![event("bob", "purchase", r#"{"total": 600}"#)]).await;
    running.stats_until("first", |stats| stats.finished == 1).await;
    let imagined = event("", "purchase", r#"{"total": 600}"#);
    let answer = explain_with(&running, "bob", "first", Some(imagined), "").await;
    assert!(answer.sentence.starts_with("Not sent: template_missing_value at "), "{}", answer.sentence);
    assert!(answer.sentence.contains("`user.name` is missing"), "{}", answer.sentence);
    let if_now = answer.if_now.clone().expect("it is judged");
    assert_eq!(steps(&answer).last(), named(&[("request", Suppressed)]).last());
    let last = if_now.steps.last().expect("a last step");
    assert_eq!(last.suppression(), wire::SuppressionReason::TemplateMissingValue);
    assert!(if_now.sentence.contains("nothing would be sent: `user.name` is missing"), "{}", if_now.sentence);
    // And the gate of entering, as of now.
    let imagined = event("", "purchase", r#"{"total": 3}"#);
    let answer = explain_with(&running, "bob", "first", Some(imagined), "").await;
    assert_eq!(steps(&answer).last(), named(&[("trigger", Refused)]).last());
}

async fn an_entry_by_hand_is_explained_with_its_values(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), String::new())]).await;
    let file = format!(
        r#"
id: credit
requires_values: [cents]
delivery: {{manual: {{}}}}
webhook: {{url: "{}", content_type: form, data: {{cents: "{{{{ values.cents }}}}"}}}}
"#,
        target.url("/credit")
    );
    running.create(&file).await;
    let answer = explain(&running, "mary", "credit").await;
    assert_eq!(steps(&answer), named(&[("campaign", Refused)]), "a draft lets nobody in");
    running.activate(&file.replace("id: credit", "id: credit-2")).await;
    let answer = explain(&running, "mary", "credit-2").await;
    assert_eq!(steps(&answer).last(), named(&[("values", Refused)]).last());
    let answer = explain_with(&running, "mary", "credit-2", None, r#"{"cents": 5}"#).await;
    let if_now = answer.if_now.expect("it is judged");
    assert_eq!(if_now.request.map(|request| request.body), Some("cents=5".to_owned()));
    running.enter("credit-2", &[("mary", r#"{"cents": 7}"#)]).await;
    running.stats_until("credit-2", |stats| stats.delivered == 1).await;
    let answer = explain(&running, "mary", "credit-2").await;
    assert!(answer.sentence.starts_with("Sent: "), "{}", answer.sentence);
}

async fn what_is_unknown_is_answered_with_what_to_try(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), String::new())]).await;
    running.create(&first(&target)).await;
    let refused = async |user: &str, campaign: &str, values: &str| {
        let request = wire::ExplainSendRequest {
            user_id: user.to_owned(),
            campaign_id: campaign.to_owned(),
            values: values.to_owned(),
            ..Default::default()
        };
        let status = running.api.sends.clone().explain_send(request).await.expect_err("it is refused");
        (status.code(), status.message().to_owned())
    };
    let (code, text) = refused("Mary", "first", "").await;
    assert!(code == Code::NotFound && text.contains("did you mean \"mary\""), "{text}");
    let (code, text) = refused("bob", "first", "").await;
    assert!(code == Code::NotFound && text.contains("an event makes one"), "{text}");
    let (code, text) = refused("mary", "frist", "").await;
    assert!(code == Code::NotFound && text.ends_with("did you mean first?"), "{text}");
    let (code, text) = refused("mary", "first", "[]").await;
    assert!(code == Code::InvalidArgument && text.starts_with("values: "), "{text}");
}
