//! Entries that depend on one another and on events after them, on both stores, through the real binary.

use std::collections::BTreeMap;

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;

crate::on_both_stores!(
    an_abandoned_cart_is_told_of_once_with_its_newest_items_unless_it_is_bought,
    a_user_enters_no_more_often_than_allowed,
    a_trigger_is_ignored_while_an_entry_of_the_same_key_is_pending,
    a_digest_tells_of_everything_that_happened_while_it_was_pending,
);

fn suppressed(stats: &wire::CampaignStats) -> BTreeMap<wire::SuppressionReason, i64> {
    stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect()
}

fn refused(stats: &wire::CampaignStats) -> BTreeMap<wire::RefusalReason, i64> {
    stats.refused.iter().map(|row| (row.reason(), row.count)).collect()
}

/// The recipe, with seconds for hours.
fn cart(target: &Target) -> String {
    format!(
        r#"
id: cart-abandonment
audience: user.email is set
delivery:
  triggered:
    when: cart_updated
    delay: 3s
    key: properties.cart_id
    if_pending: restart
    cancel_on:
      - {{event: order_completed, same: cart_id}}
      - {{event: cart_emptied, same: cart_id}}
    entry_limits: {{ever: 5}}
webhook:
  url: "{}"
  json: {{to: "{{{{ user.email }}}}", cart: "{{{{ properties.cart_id }}}}", items: "{{{{ properties.items }}}}"}}
limits: {{expiry: 12h}}
"#,
        target.url("/cart")
    )
}

async fn an_abandoned_cart_is_told_of_once_with_its_newest_items_unless_it_is_bought(running: Running) {
    let target = Target::start().await;
    running.users([("mary".to_owned(), r#"{"email": "m@example.com"}"#.to_owned())]).await;
    running.activate(&cart(&target)).await;
    let update = |id: &str, items: &str| {
        event("mary", "cart_updated", &format!(r#"{{"cart_id": "{id}", "items": {items}}}"#))
    };
    running
        .track(vec![
            update("a", "[1]"),
            update("b", "[7]"),
            update("c", "[8]"),
            update("a", "[1, 2]"),
            event("mary", "order_completed", r#"{"cart_id": "b"}"#),
            event("mary", "order_completed", r#"{"cart_id": "z"}"#),
            event("mary", "cart_emptied", r#"{"cart_id": "c"}"#),
            update("a", "[1, 2, 3]"),
        ])
        .await;
    let stats = running.stats_until("cart-abandonment", |stats| stats.finished == 3).await;
    assert_eq!((stats.triggered, stats.entered, stats.planned, stats.delivered), (5, 3, 3, 1));
    assert_eq!(suppressed(&stats), BTreeMap::from([(wire::SuppressionReason::CancelledByEvent, 2)]));
    let bodies: Vec<_> = target.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [r#"{"to":"m@example.com","cart":"a","items":[1,2,3]}"#]);
}

async fn a_user_enters_no_more_often_than_allowed(running: Running) {
    let target = Target::start().await;
    let campaign = |id: &str, limits: &str| {
        format!(
            r#"
id: {id}
delivery: {{triggered: {{when: seen, entry_limits: {limits}}}}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
            target.url("/limited")
        )
    };
    running.activate(&campaign("twice", "{ever: 2}")).await;
    running.activate(&campaign("daily", "{once_per: 24h}")).await;
    for round in 1..=3 {
        running.track(vec![event("mary", "seen", "{}"), event("bob", "seen", "{}")]).await;
        // One after the other: what was reached is counted, not only what is pending.
        running.stats_until("twice", |stats| stats.triggered == 2 * round && stats.pending == 0).await;
    }
    use wire::RefusalReason::EntryLimit;
    let stats = running.stats_until("twice", |stats| stats.delivered == 4).await;
    assert_eq!((stats.entered, refused(&stats)), (4, BTreeMap::from([(EntryLimit, 2)])));
    let stats = running.stats_until("daily", |stats| stats.delivered == 2).await;
    assert_eq!((stats.entered, refused(&stats)), (2, BTreeMap::from([(EntryLimit, 4)])));
}

async fn a_trigger_is_ignored_while_an_entry_of_the_same_key_is_pending(running: Running) {
    let target = Target::start().await;
    running
        .activate(&format!(
            r#"
id: ticket
delivery:
  triggered: {{when: opened, delay: 1h, if_pending: ignore, key: properties.ticket}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
            target.url("/ticket")
        ))
        .await;
    let opened = |ticket: u32| event("mary", "opened", &format!(r#"{{"ticket": {ticket}}}"#));
    running.track(vec![opened(1), opened(2), opened(1)]).await;
    let stats = running.stats_until("ticket", |stats| stats.triggered == 3).await;
    assert_eq!((stats.entered, stats.pending), (2, 2));
    assert_eq!(refused(&stats), BTreeMap::from([(wire::RefusalReason::Pending, 1)]));
}

async fn a_digest_tells_of_everything_that_happened_while_it_was_pending(running: Running) {
    let target = Target::start().await;
    running
        .activate(&format!(
            r#"
id: digest
delivery:
  triggered: {{when: [done, told], delay: 3s, if_pending: collect, key: properties.team, cancel_on: [{{event: read, same: team}}]}}
webhook:
  url: "{}"
  json:
    n: "{{{{ events | length }}}}"
    first: "{{{{ events[0].properties.task }}}}"
    newest: "{{{{ properties.task }}}}"
    all: "{{% for one in events %}}{{{{ one.name }}}} {{{{ one.properties.task }}}}, {{% endfor %}}"
"#,
            target.url("/digest")
        ))
        .await;
    let one = |name: &str, team: &str, task: &str| {
        event("mary", name, &format!(r#"{{"team": "{team}", "task": "{task}"}}"#))
    };
    running.track(vec![one("done", "a", "wash"), one("done", "b", "x"), one("told", "a", "caf\u{e9}")]).await;
    running.stats_until("digest", |stats| stats.triggered == 3).await;
    running.track(vec![one("done", "a", "cook"), one("read", "b", ""), one("done", "c", "sing")]).await;
    let stats = running.stats_until("digest", |stats| stats.finished == 3).await;
    assert_eq!((stats.triggered, stats.entered, stats.planned, stats.delivered), (5, 3, 3, 2));
    assert_eq!(suppressed(&stats), BTreeMap::from([(wire::SuppressionReason::CancelledByEvent, 1)]));
    let mut bodies: Vec<_> = target.received().into_iter().map(|request| request.body).collect();
    bodies.sort();
    assert_eq!(
        bodies,
        [
            r#"{"n":1,"first":"sing","newest":"sing","all":"done sing, "}"#,
            r#"{"n":3,"first":"wash","newest":"cook","all":"done wash, told caf\u{e9}, done cook, "}"#,
        ]
        .map(|body| body.replace("\\u{e9}", "\u{e9}"))
    );
}
