//! The pages of Campanile, over the store's ports: read-only, without scripts, readable on a phone.
//!
//! `pages` fetches, the `view_*` files make of it what a page shows (pure), `templates/` writes it.

mod pages;

mod view_campaign;
mod view_campaigns;
mod view_send;
mod view_user;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use campanile_core::ports::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the pages read.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn Store>,
}

/// Pages load nothing from elsewhere, run no script and are framed by nobody.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// Serves until `shutdown`, then lets pages under way end.
pub async fn serve(
    store: Arc<dyn Store>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let app = router(Ports { store });
    axum::serve(listener, app).with_graceful_shutdown(async move { shutdown.cancelled().await }).await?;
    Ok(())
}

fn router(ports: Ports) -> Router {
    Router::new()
        .route("/", get(pages::campaigns))
        .route("/campaigns/{id}", get(pages::campaign))
        .route("/campaigns/{id}/sends", get(pages::sends))
        .route("/sends/{id}", get(pages::send))
        .route("/users/{id}", get(pages::user))
        .route("/style.css", get(pages::style))
        .fallback(pages::not_here)
        .layer(from_fn(guarded))
        .with_state(ports)
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
