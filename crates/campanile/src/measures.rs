//! Every metric there is, with what it says; what `docs/operating.md` lists. The rooms that know the figures record them.

use std::time::Duration;

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper ends, from half a millisecond to ten minutes: lateness, attempts and calls of the store all lie within.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
/// How often what was recorded is put together, whether anybody asks or not: memory stays bounded.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts recording, for the whole process.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

/// Until told to stop.
pub async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => handle.run_upkeep(),
        }
    }
}

fn describe() {
    describe_gauge!("campanile_store_up", "1 while the store answers, else 0");
    describe_histogram!(
        "campanile_store_ping_seconds",
        "how long the store took to answer a small call, asked every second"
    );
    describe_histogram!("campanile_store_call_seconds", "how long calls of the store took, by call");
    describe_counter!(
        "campanile_events_accepted_total",
        "events stored by this process; repeats are not counted"
    );
    describe_counter!(
        "campanile_events_repeated_total",
        "events left out because their event_id had come before"
    );
    describe_counter!("campanile_events_decided_total", "events that triggers were asked about");
    describe_counter!("campanile_entries_total", "entries made by this scheduler");
    describe_counter!("campanile_sends_released_total", "sends whose time had come");
    describe_counter!("campanile_sends_reclaimed_total", "sends taken back because their lease had run out");
    describe_counter!("campanile_occurrences_fired_total", "occurrences fired by this scheduler");
    describe_counter!("campanile_occurrences_missed_total", "occurrences recorded as missed");
    describe_counter!("campanile_attempts_total", "requests made, by outcome and destination");
    describe_histogram!(
        "campanile_attempt_seconds",
        "how long a request took, from its beginning to its end"
    );
    describe_histogram!(
        "campanile_lateness_seconds",
        "from the due instant of a send to the beginning of its first request"
    );
    describe_counter!(
        "campanile_sends_settled_total",
        "sends settled: delivered, retrying, failed or suppressed, and why"
    );
    describe_counter!(
        "campanile_connections_total",
        "connections used for requests: kept open (pool) or new (dial)"
    );
    describe_gauge!("campanile_breakers", "destinations that are left alone for a while, by state");
    describe_gauge!("campanile_sends_in_flight", "sends between claim and settlement");
}
