//! What this process has read of segments and lists, kept until they change: lists are large, and asked for again and again.

use std::sync::Arc;

use campanile_core::ports::{Store, StoreError};
use campanile_core::segments::Segments;
use tokio::sync::Mutex;

#[derive(Default)]
pub struct Followed {
    seen: Mutex<(String, Arc<Segments>)>,
}

impl Followed {
    /// As of now.
    pub async fn segments(&self, store: &dyn Store) -> Result<Arc<Segments>, StoreError> {
        let mut seen = self.seen.lock().await;
        let changes = store.changes(&seen.0).await?;
        if changes.segments {
            seen.1 = Arc::new(store.read_segments(&seen.1).await?);
        }
        seen.0 = changes.cursor;
        Ok(seen.1.clone())
    }
}
