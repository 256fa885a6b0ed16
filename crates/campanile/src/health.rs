//! Health and metrics over HTTP, on a port of their own: `/healthz`, `/readyz`, `/metrics`. Served from the first moment on, also
//! while the store is waited for.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::store_watch::Standing;

/// The version of the text format that is written.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

#[derive(Clone)]
struct Health {
    standing: watch::Receiver<Standing>,
    metrics: PrometheusHandle,
}

pub fn routes(standing: watch::Receiver<Standing>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(write_metrics))
        .with_state(Health { standing, metrics })
}

/// 200 if this process can do its work now, else 503 with the reason.
async fn ready(State(health): State<Health>) -> Response {
    let (status, text) = match &*health.standing.borrow() {
        Standing::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Standing::Starting(text) if text.is_empty() => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned())
        }
        Standing::Starting(text) => (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {text}\n")),
        Standing::Away(text) => (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")),
        Standing::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()),
    };
    (status, text).into_response()
}

async fn write_metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], health.metrics.render()).into_response()
}
