//! Waiting for what nobody tells: counters, states, leases that run out by a store's own clock.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The same for what is asked in a thread of its own: whether it came to be so.
pub fn until_so(within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began_at = Instant::now();
    while !is_so() {
        if began_at.elapsed() >= within {
            return false;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    true
}

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
