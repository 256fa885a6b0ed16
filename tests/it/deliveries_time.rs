//! When sends are due: users' own clocks, windows, delays by calendar and anchor; on both stores, through the real binary.

use std::collections::BTreeMap;

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::Target;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

crate::on_both_stores!(
    on_users_own_clocks_each_is_reached_at_the_same_wall_time,
    on_users_own_clocks_the_audience_is_that_of_the_due_instant,
    an_anchored_delay_is_kept_and_one_long_past_is_late,
    a_send_due_after_the_window_is_not_sent,
);

fn suppressed(stats: &wire::CampaignStats) -> BTreeMap<wire::SuppressionReason, i64> {
    stats.suppressed.iter().map(|row| (row.reason(), row.count)).collect()
}

/// The machine's clock, which the processes under test go by.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an author writes wall-clock times by the machine's clock"
)]
pub fn now() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).expect("a time")
}

/// The wall clock that a zone will show in some seconds.
fn soon_in(zone: &str, secs: i64) -> String {
    let at = now() + SignedDuration::from_secs(secs);
    TimeZone::get(zone).expect("a zone").to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

async fn people(running: &Running, zones: &[(&str, &str)]) {
    let users = zones.iter().map(|(id, zone)| wire::UserUpdate {
        id: (*id).to_owned(),
        time_zone: (*zone).to_owned(),
        attributes: r#"{"plan": "pro"}"#.to_owned(),
        ..Default::default()
    });
    let request = wire::UpsertUsersRequest { users: users.collect(), ..Default::default() };
    running.api.users.clone().upsert_users(request).await.expect("they are stored");
}

fn morning(target: &Target, secs: i64, late: &str) -> String {
    format!(
        r#"
id: morning-{}
audience: user.plan == "pro"
delivery: {{one_time: {{at: "{}", late: {late}}}, zone: user, fallback_zone: none}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
        late.replace('_', "-"),
        soon_in("Asia/Kolkata", secs),
        target.url("/morning")
    )
}

async fn on_users_own_clocks_each_is_reached_at_the_same_wall_time(running: Running) {
    let target = Target::start().await;
    let zones =
        [("kolkata", "Asia/Kolkata"), ("tokyo", "Asia/Tokyo"), ("lisbon", "Europe/Lisbon"), ("nowhere", "")];
    people(&running, &zones).await;
    running.activate(&morning(&target, 2, "skip")).await;
    running.activate(&morning(&target, 2, "send_now")).await;
    use wire::SuppressionReason::{Late, NoTimeZone};
    for (id, delivered, expected) in [
        ("morning-skip", 1, BTreeMap::from([(Late, 1), (NoTimeZone, 1)])),
        ("morning-send-now", 2, BTreeMap::from([(NoTimeZone, 1)])),
    ] {
        let stats = running.stats_until(id, |stats| stats.delivered == delivered).await;
        assert_eq!(suppressed(&stats), expected, "{id}");
        // Lisbon's time is still to come.
        assert_eq!((stats.entered, stats.planned, stats.pending), (4, 4, 1), "{id}");
    }
    let mut users: Vec<_> = target.received().iter().map(|request| request.body.clone()).collect();
    users.sort();
    assert_eq!(users, [r#"{"user":"kolkata"}"#, r#"{"user":"kolkata"}"#, r#"{"user":"tokyo"}"#]);
}

async fn on_users_own_clocks_the_audience_is_that_of_the_due_instant(running: Running) {
    let target = Target::start().await;
    people(&running, &[("stays", "Asia/Kolkata"), ("leaves", "Asia/Kolkata")]).await;
    running.activate(&morning(&target, 10, "skip")).await;
    running.stats_until("morning-skip", |stats| stats.pending == 2).await;
    // Long before it is due for them.
    running.users([("leaves".to_owned(), r#"{"plan": "free"}"#.to_owned())]).await;
    let stats = running.stats_until("morning-skip", |stats| stats.finished == 1 && stats.pending == 0).await;
    assert_eq!((stats.entered, stats.planned, stats.delivered), (1, 1, 1), "as if it had been planned then");
    let refused: BTreeMap<_, _> = stats.refused.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(refused, BTreeMap::from([(wire::RefusalReason::NotInAudience, 1)]));
    assert_eq!(target.received()[0].body, r#"{"user":"stays"}"#);
}

fn departure(target: &Target) -> String {
    format!(
        r#"
id: departure
delivery:
  triggered: {{when: booked, delay: {{before: 2h, anchor: properties.departs_at}}}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
        target.url("/departure")
    )
}

async fn an_anchored_delay_is_kept_and_one_long_past_is_late(running: Running) {
    let target = Target::start().await;
    running.activate(&departure(&target)).await;
    let departs_in = |hours: i64, ms: i64| {
        let at = now() + SignedDuration::from_hours(hours) + SignedDuration::from_millis(ms);
        format!(r#"{{"departs_at": "{at}"}}"#)
    };
    let events = vec![
        event("soon", "booked", &departs_in(2, 1_500)),
        event("late", "booked", &departs_in(0, 0)),
        event("later", "booked", &departs_in(48, 0)),
        event("never", "booked", "{}"),
    ];
    running.track(events).await;
    let stats = running.stats_until("departure", |stats| stats.delivered == 1).await;
    assert_eq!((stats.entered, stats.pending), (3, 1));
    assert_eq!(suppressed(&stats), BTreeMap::from([(wire::SuppressionReason::Late, 1)]));
    let refused: BTreeMap<_, _> = stats.refused.iter().map(|row| (row.reason(), row.count)).collect();
    assert_eq!(refused, BTreeMap::from([(wire::RefusalReason::ConditionFalse, 1)]));
    assert_eq!(target.received()[0].body, r#"{"user":"soon"}"#);
    let sends = running.sends("departure").await;
    let late = sends.iter().find(|send| send.user_id == "late").expect("it is in the log");
    assert_eq!(late.suppression(), wire::SuppressionReason::Late);
}

async fn a_send_due_after_the_window_is_not_sent(running: Running) {
    let target = Target::start().await;
    let tomorrow = now() + SignedDuration::from_hours(24);
    let sale = |id: &str, on_window_end: &str| {
        format!(
            r#"
id: {id}
delivery:
  triggered: {{when: viewed, delay: {{days: 3, at: "10:00"}}, end: "{tomorrow}", on_window_end: {on_window_end}}}
webhook: {{url: "{}", data: {{user: "{{{{ user_id }}}}"}}}}
"#,
            target.url("/sale")
        )
    };
    running.activate(&sale("stops", "stop")).await;
    running.activate(&sale("finishes", "finish")).await;
    running.track(vec![event("mary", "viewed", "{}")]).await;
    let stats = running.stats_until("stops", |stats| stats.finished == 1).await;
    assert_eq!(suppressed(&stats), BTreeMap::from([(wire::SuppressionReason::CampaignEnded, 1)]));
    assert_eq!((stats.entered, stats.planned, stats.pending), (1, 1, 0));
    running.stats_until("finishes", |stats| stats.pending == 1).await;
}
