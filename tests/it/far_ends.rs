//! Far ends in trouble, and what is set for them: one that fails or hangs holds up nobody else, and what is set holds for all campaigns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile_proto::v1 as wire;
use campanile_tests::running::{Running, event};
use campanile_tests::target::{DEADLINE, Reply, Target};
use campanile_tests::until::until;
use tokio::time::Instant;
use tonic::Code;

crate::on_both_stores!(
    a_far_end_that_fails_is_left_alone_until_it_is_let_go_and_others_go_on,
    a_far_end_that_hangs_leaves_slots_for_others,
    what_is_set_for_a_destination_holds_for_all_campaigns_together,
);

fn campaign(id: &str, target: &Target) -> String {
    format!(
        "id: {id}\ndelivery: {{triggered: {id}}}\nlimits: {{retry: {{waits: [1h]}}, auto_pause: false}}\nwebhook: {{url: \"{}\"}}\n",
        target.url("/hook")
    )
}

async fn happen(running: &Running, name: &str, users: std::ops::Range<usize>) {
    let events = users.map(|user| event(&format!("user-{user}"), name, "{}"));
    running.track(events.collect()).await;
}

/// None before anything was planned for it.
async fn destination(running: &Running, target: &Target) -> Option<wire::Destination> {
    let request = wire::GetDestinationRequest { name: target.url("") };
    let answer = running.api.destinations.clone().get_destination(request).await;
    answer.ok()?.into_inner().destination
}

async fn a_far_end_that_fails_is_left_alone_until_it_is_let_go_and_others_go_on(running: Running) {
    let is_up = Arc::new(AtomicBool::new(false));
    let told = is_up.clone();
    let failing =
        Target::scripted(move |_, _| Reply::status(if told.load(Ordering::Relaxed) { 204 } else { 503 }))
            .await;
    let other = Target::start().await;
    running.activate(&campaign("failing", &failing)).await;
    running.activate(&campaign("other", &other)).await;
    happen(&running, "failing", 0..40).await;
    let open = until(DEADLINE, async || {
        let breaker = destination(&running, &failing).await?.breaker?;
        (breaker.state() == wire::BreakerState::Open).then_some(breaker)
    });
    let breaker = open.await.expect("it is left alone");
    assert!(breaker.bad >= 20 && breaker.until.is_some() && breaker.opened_at.is_some(), "{breaker:?}");
    happen(&running, "failing", 100..110).await;
    happen(&running, "other", 0..10).await;
    other.wait_for(10).await;
    let request = wire::ExplainSendRequest {
        user_id: "user-100".to_owned(),
        campaign_id: "failing".to_owned(),
        ..Default::default()
    };
    let explained = running.api.sends.clone().explain_send(request).await.expect("it is told").into_inner();
    let sentence = explained.if_now.expect("it is judged").sentence;
    assert!(sentence.contains("left alone"), "{sentence}");
    assert!(failing.received().iter().all(|request| !request.webhook_id().is_empty()));
    let came = failing.received().len();
    assert!(came <= 40, "{came} requests came: what is left alone is sent nothing");
    is_up.store(true, Ordering::Relaxed);
    let request = wire::ResetBreakerRequest { name: failing.url(""), ..Default::default() };
    let reset = running.api.destinations.clone().reset_breaker(request).await.expect("it is let go");
    let breaker = reset.into_inner().destination.unwrap_or_default().breaker.unwrap_or_default();
    assert_eq!(breaker.state(), wire::BreakerState::Closed);
    let stats = running.stats_until("failing", |stats| stats.delivered >= 10).await;
    assert_eq!((stats.planned, stats.failed), (50, 0));
}

async fn a_far_end_that_hangs_leaves_slots_for_others(running: Running) {
    let hanging = Target::scripted(|_, _| Reply { delay: DEADLINE * 2, ..Reply::status(204) }).await;
    let other = Target::start().await;
    running.activate(&campaign("hanging", &hanging)).await;
    running.activate(&campaign("other", &other)).await;
    happen(&running, "hanging", 0..400).await;
    hanging.wait_for(64).await;
    happen(&running, "other", 0..100).await;
    other.wait_for(100).await;
    let held = hanging.received().len();
    assert!(held <= 200, "{held} of 256 slots are held by what hangs");
}

async fn what_is_set_for_a_destination_holds_for_all_campaigns_together(running: Running) {
    let starts: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = starts.clone();
    let slow = Duration::from_millis(100);
    let target = Target::scripted(move |_, _| {
        seen.lock().expect("nobody panicked").push(Instant::now());
        Reply { delay: slow, ..Reply::status(204) }
    })
    .await;
    let set = async |policy: wire::DestinationPolicy, expected_revision| {
        let named = wire::Destination { name: target.url(""), policy: Some(policy), ..Default::default() };
        let request = wire::UpdateDestinationRequest {
            destination: Some(named),
            expected_revision,
            ..Default::default()
        };
        running.api.destinations.clone().update_destination(request).await
    };
    let wrong = wire::DestinationPolicy { rate: "fast".to_owned(), concurrency: -1, ..Default::default() };
    assert_eq!(set(wrong, 0).await.expect_err("it is refused").code(), Code::InvalidArgument);
    let two = wire::DestinationPolicy { concurrency: 2, ..Default::default() };
    let stored = set(two.clone(), 0).await.expect("it is set").into_inner().destination.unwrap_or_default();
    assert_eq!((stored.revision, stored.policy), (1, Some(two)));
    running.activate(&campaign("one", &target)).await;
    running.activate(&campaign("two", &target)).await;
    // Senders follow within a second.
    let listed = wire::ListDestinationsRequest::default();
    let listed = running.api.destinations.clone().list_destinations(listed).await.expect("they are listed");
    assert_eq!(listed.into_inner().destinations.len(), 1);
    tokio::join!(happen(&running, "one", 0..8), happen(&running, "two", 0..8));
    target.wait_for(16).await;
    let times = starts.lock().expect("nobody panicked").clone();
    // A little less than it takes: the far end notes the beginning late.
    let enough = slow.mul_f64(0.8);
    assert!(times.windows(3).all(|three| three[2] - three[0] >= enough), "three at once: {times:?}");

    let paced = wire::DestinationPolicy { rate: "20/s".to_owned(), ..Default::default() };
    assert_eq!(set(paced.clone(), 7).await.expect_err("another revision").code(), Code::Aborted);
    set(paced, 1).await.expect("it is set");
    happen(&running, "one", 20..22).await;
    target.wait_for(18).await;
    starts.lock().expect("nobody panicked").clear();
    tokio::join!(happen(&running, "one", 30..40), happen(&running, "two", 30..40));
    target.wait_for(38).await;
    let times = starts.lock().expect("nobody panicked").clone();
    let took = times[19] - times[0];
    assert!(took >= Duration::from_millis(750), "20 requests at 20/s took {took:?}");
}
