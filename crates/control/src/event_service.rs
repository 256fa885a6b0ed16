//! The gRPC face of events: batches and streams. What is answered as accepted is stored; attributes sent along are applied before
//! any of the events.

use std::pin::Pin;
use std::sync::Arc;

use campanile_core::limits;
use campanile_proto::v1 as wire;
use campanile_proto::v1::event_service_server::EventService;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::deployment::Deployment;
use crate::intake::{self, Firing, UserEvent};
use crate::read_items::read_event;
use crate::read_request::{check_request_id, page_size};
use crate::recent_events::{self, Filter};
use crate::status;
use crate::user_service::upsert;

pub struct Events {
    deployment: Arc<Deployment>,
}

impl Events {
    pub fn new(deployment: Arc<Deployment>) -> Events {
        Events { deployment }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    async fn track_events(
        &self,
        request: Request<wire::TrackEventsRequest>,
    ) -> Result<Response<wire::TrackEventsResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        if request.events.is_empty() && request.users.is_empty() {
            return Err(status::invalid_field("events", "is missing: give 1 to 1,000 events"));
        }
        let (users, events) =
            take(&self.deployment, &request.users, &request.events, &request.request_id, Firing::Fires)
                .await?;
        Ok(Response::new(wire::TrackEventsResponse { events, users }))
    }

    type StreamEventsStream = Pin<Box<dyn Stream<Item = Result<wire::StreamEventsResponse, Status>> + Send>>;

    async fn stream_events(
        &self,
        request: Request<Streaming<wire::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let deployment = self.deployment.clone();
        // One part at a time: the next is read when the answer to the last one was taken.
        let answers = futures_util::stream::try_unfold(request.into_inner(), move |mut parts| {
            let deployment = deployment.clone();
            async move {
                let Some(part) = deployment.next_part(&mut parts).await? else { return Ok(None) };
                let (users, events) = take(&deployment, &part.users, &part.events, "", Firing::Fires).await?;
                Ok(Some((summary(&part, users, events), parts)))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_recent_events(
        &self,
        request: Request<wire::ListRecentEventsRequest>,
    ) -> Result<Response<wire::ListRecentEventsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let filter = Filter::read(&self.deployment, request.filter.unwrap_or_default()).await?;
        let events = match filter {
            Some(filter) => recent_events::list(&self.deployment, &filter, limit).await?,
            None => Vec::new(),
        };
        Ok(Response::new(wire::ListRecentEventsResponse { events }))
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<wire::WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<wire::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let filter = Filter::read(&self.deployment, request.into_inner().filter.unwrap_or_default()).await?;
        let Some(filter) = filter else {
            return Err(Status::not_found("nothing can be watched: there is no such user"));
        };
        // Looked up before the answer, so that nothing that comes after it is missed.
        let places = recent_events::begin(&self.deployment, &filter).await?;
        let (tell, told) = tokio::sync::mpsc::channel(recent_events::WATCH_HELD_MAX);
        let deployment = self.deployment.clone();
        tokio::spawn(async move {
            if let Err(status) = recent_events::watch(&deployment, &filter, places, &tell).await {
                let _ = tell.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(told))))
    }
}

/// Takes the users, then the events, of one request. Event ids that the caller left out are derived from the request id, so that a
/// repeated request repeats no event.
pub async fn take(
    deployment: &Deployment,
    users: &[wire::UserUpdate],
    events: &[wire::Event],
    request: &str,
    firing: Firing,
) -> Result<(Vec<wire::UpsertedUser>, Vec<wire::TrackedEvent>), Status> {
    if users.len() + events.len() > limits::BATCH_ITEMS_MAX {
        let n = users.len() + events.len();
        let text =
            format!("has {n} items together with users, at most {} are allowed", limits::BATCH_ITEMS_MAX);
        return Err(status::invalid_field("events", text));
    }
    let now = deployment.now();
    let mut tracked = Vec::with_capacity(events.len());
    let mut good = Vec::with_capacity(events.len());
    let mut places = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        let make_id = || match request {
            "" => deployment.make_id(),
            request => format!("{request}/{place}"),
        };
        let mut answer = wire::TrackedEvent { event_id: event.event_id.clone(), ..Default::default() };
        match read_event(event, now, make_id) {
            Ok(read) => {
                answer.event_id.clone_from(&read.id);
                good.push(UserEvent { user_id: event.user_id.clone(), event: read });
                places.push(place);
            }
            Err(faults) => {
                answer.receipt = wire::EventReceipt::Refused as i32;
                answer.faults = status::findings(&faults);
            }
        }
        tracked.push(answer);
    }
    let upserted = upsert(deployment, (users, "users"), events.len(), firing).await?;
    let store = deployment.store.as_ref();
    let are_new = intake::track(store, &good, firing, now).await.map_err(status::store)?;
    for (place, is_new) in places.into_iter().zip(are_new) {
        let receipt = if is_new { wire::EventReceipt::Accepted } else { wire::EventReceipt::Repeated };
        tracked[place].receipt = receipt as i32;
    }
    Ok((upserted, tracked))
}

fn summary(
    part: &wire::StreamEventsRequest,
    users: Vec<wire::UpsertedUser>,
    events: Vec<wire::TrackedEvent>,
) -> wire::StreamEventsResponse {
    let mut answer = wire::StreamEventsResponse::default();
    for (index, event) in (0..).zip(events) {
        match event.receipt() {
            wire::EventReceipt::Accepted => answer.accepted += 1,
            wire::EventReceipt::Repeated => answer.repeats += 1,
            _ => {
                let user_id = part.events.get(index as usize).map(|e| e.user_id.clone()).unwrap_or_default();
                answer.bad_events.push(wire::BadItem { faults: event.faults, index, user_id });
            }
        }
    }
    for (index, user) in (0..).zip(users) {
        if user.faults.is_empty() {
            answer.users_stored += 1;
        } else {
            answer.bad_users.push(wire::BadItem { faults: user.faults, index, user_id: user.user_id });
        }
    }
    answer
}
