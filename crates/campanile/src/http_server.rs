//! HTTP/1 for console, intake and health: routes served from a door, slow callers cut off, requests under way let end.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::door::{Door, Socket};

/// The head of a request must have come by then.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// The body must have come and the answer begun by then.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stopping`, then lets requests under way end.
pub async fn serve(mut door: Door, routes: Router, stopping: CancellationToken) {
    let routes = routes.layer(from_fn(in_time));
    let connections = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            socket = door.next() => socket,
            () = stopping.cancelled() => None,
        };
        let Some(socket) = socket else { break };
        connections.spawn(connection(socket, routes.clone(), stopping.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn connection(socket: Socket, routes: Router, stopping: CancellationToken) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    }
}
