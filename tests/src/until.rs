//! Waiting for what nobody tells: counters, states, leases that run out by a store's own clock.

use std::time::Duration;

use tokio::time::{sleep, timeout};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until there is something to see; none if `within` passes first.
pub async fn until<T>(within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    };
    timeout(within, looking).await.ok()
}
