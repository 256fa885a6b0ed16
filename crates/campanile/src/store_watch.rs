//! The store's standing: waited for at the start, asked every second afterwards, and told to whoever serves health.
//!
//! Working parts wait for the store by themselves; this room only looks and tells.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::number::{CampaignNo, Shard};
use campanile_core::ports::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const OPEN_WAIT_MIN: Duration = Duration::from_millis(100);
const OPEN_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often a start that waits says so again.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// How this process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for the store, for the first time.
    Starting(String),
    Ready,
    /// The store does not answer, or not as it should.
    Away(String),
    Stopping,
}

/// Opens the store; while it is away, again and again.
pub async fn open<F>(
    mut open: impl FnMut() -> F,
    standing: &watch::Sender<Standing>,
) -> Result<Arc<dyn Store>, StoreError>
where
    F: Future<Output = Result<Arc<dyn Store>, StoreError>>,
{
    let mut wait = OPEN_WAIT_MIN;
    let mut said_at: Option<Instant> = None;
    loop {
        let error = match open().await {
            Ok(store) => {
                if said_at.is_some() {
                    tracing::info!("the store is there");
                }
                return Ok(store);
            }
            Err(error @ StoreError::Away(_)) => error,
            Err(error) => return Err(error),
        };
        if said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            tracing::error!(%error, "waiting for the store");
            said_at = Some(Instant::now());
        }
        standing.send_replace(Standing::Starting(error.to_string()));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(OPEN_WAIT_MAX);
    }
}

/// Looks until told to stop.
pub async fn look(store: Arc<dyn Store>, standing: watch::Sender<Standing>, shutdown: CancellationToken) {
    loop {
        let asked_at = Instant::now();
        // Any small call: a round trip is what is wanted.
        let answer = store.control(Shard(0), &[CampaignNo(0)]).await;
        metrics::histogram!("campanile_store_ping_seconds").record(asked_at.elapsed().as_secs_f64());
        metrics::gauge!("campanile_store_up").set(if answer.is_ok() { 1.0 } else { 0.0 });
        let now = match answer {
            Ok(_) => Standing::Ready,
            Err(error) => Standing::Away(error.to_string()),
        };
        standing.send_if_modified(|standing| {
            let is_new = *standing != now;
            *standing = now;
            is_new
        });
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    standing.send_replace(Standing::Stopping);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_that_waits_for_the_store_says_why() {
        let (tell, mut standing) = watch::channel(Standing::Starting(String::new()));
        let away = || std::future::ready(Err(StoreError::Away("connect to nowhere".to_owned())));
        let said = async {
            let told = standing.wait_for(|standing| *standing != Standing::Starting(String::new())).await;
            told.expect("it is told").clone()
        };
        let said = tokio::select! {
            _ = open(away, &tell) => panic!("there is no store"),
            said = said => said,
        };
        assert_eq!(said, Standing::Starting("the store is away: connect to nowhere".to_owned()));
    }

    #[tokio::test]
    async fn a_store_that_refuses_is_not_waited_for() {
        let (tell, _) = watch::channel(Standing::Starting(String::new()));
        let refused = || std::future::ready(Err(StoreError::Refused("wrong password".to_owned())));
        assert!(matches!(open(refused, &tell).await, Err(StoreError::Refused(_))));
    }
}
