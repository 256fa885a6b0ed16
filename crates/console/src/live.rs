//! Tells an open page that something happened, as server-sent events: the page then fetches itself again. Says nothing of what it was,
//! so that there is one way a page is made.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use campanile_proto::v1 as wire;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Streaming;

use crate::Room;
use crate::problem::Problem;

/// News of this long are told as one.
const GATHER: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
pub(crate) struct Followed {
    #[serde(default)]
    campaign: String,
    #[serde(default)]
    user: String,
}

struct Following {
    sends: Streaming<wire::WatchSendsResponse>,
    /// Nothing was told yet.
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

pub(crate) async fn live(
    State(room): State<Arc<Room>>,
    Query(followed): Query<Followed>,
) -> Result<Response, Problem> {
    let Ok(place) = room.followers.clone().try_acquire_owned() else {
        // A browser does not ask again after this; the page stays as it is.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let filter =
        wire::SendFilter { campaign_id: followed.campaign, user_id: followed.user, states: Vec::new() };
    let request = wire::WatchSendsRequest { filter: Some(filter) };
    let sends = room.api.sends().watch_sends(request).await?.into_inner();
    let news = futures_util::stream::unfold(Following { sends, is_new: true, _place: place }, told);
    Ok(Sse::new(news).keep_alive(KeepAlive::default()).into_response())
}

/// Waits for news, and for those that come with it. What happened between the making of the page and the beginning is news too.
/// Ends with what it follows.
async fn told(mut following: Following) -> Option<(Result<Event, Infallible>, Following)> {
    if !std::mem::take(&mut following.is_new) {
        following.sends.message().await.ok()??;
        let gathered = async { while let Ok(Some(_)) = following.sends.message().await {} };
        let _ = tokio::time::timeout(GATHER, gathered).await;
    }
    Some((Ok(Event::default().event("news").data("look")), following))
}
