//! The pages of Campanile, over the store's ports. Read-only.

use std::sync::Arc;

use campanile_core::ports::{Clock, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until `shutdown`.
pub async fn serve(
    _store: Arc<dyn Store>,
    _clock: Arc<dyn Clock>,
    _listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    shutdown.cancelled().await;
    Ok(())
}
