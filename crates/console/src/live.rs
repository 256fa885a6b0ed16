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
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

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
    news: BoxStream<'static, Result<(), Status>>,
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
    let news = news(&room, followed).await?;
    let news = stream::unfold(Following { news, is_new: true, _place: place }, told);
    Ok(Sse::new(news).keep_alive(KeepAlive::default()).into_response())
}

/// What happens to sends; of a user also what the user does.
async fn news(room: &Room, followed: Followed) -> Result<BoxStream<'static, Result<(), Status>>, Problem> {
    let Followed { campaign, user } = followed;
    let filter =
        wire::SendFilter { campaign_id: campaign, user_id: user.clone(), ..wire::SendFilter::default() };
    let request = wire::WatchSendsRequest { filter: Some(filter) };
    let sends = room.api.sends().watch_sends(request).await?.into_inner().map_ok(drop);
    if user.is_empty() {
        return Ok(sends.boxed());
    }
    let filter = wire::EventFilter { user_id: user, ..wire::EventFilter::default() };
    let request = wire::WatchEventsRequest { filter: Some(filter) };
    let events = room.api.events().watch_events(request).await?.into_inner().map_ok(drop);
    Ok(stream::select(sends, events).boxed())
}

/// Waits for news, and for those that come with it. What happened between the making of the page and the beginning is news too.
/// Ends with what it follows.
async fn told(mut following: Following) -> Option<(Result<Event, Infallible>, Following)> {
    if !std::mem::take(&mut following.is_new) {
        following.news.next().await?.ok()?;
        let gathered = async { while let Some(Ok(())) = following.news.next().await {} };
        let _ = tokio::time::timeout(GATHER, gathered).await;
    }
    Some((Ok(Event::default().event("news").data("look")), following))
}
