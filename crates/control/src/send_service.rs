//! The gRPC face of sends: what was sent to whom, with which attempts, and why not; a page at a time, one, or as it happens.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::due_send::SendId;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::sends_query::{EndedFilter, SendRow, SendsPage, SendsQuery};
use campanile_proto::v1 as wire;
use campanile_proto::v1::send_service_server::SendService;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::cancel_sends;
use crate::deployment::Deployment;
use crate::explain;
use crate::read_request::page_size;
use crate::redrive;
use crate::status;
use crate::write_send::{write_attempt, write_attempts, write_request, write_send};

pub struct Sends {
    deployment: Arc<Deployment>,
}

impl Sends {
    pub fn new(deployment: Arc<Deployment>) -> Sends {
        Sends { deployment }
    }
}

/// How often a watch looks for news.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// Rows a watch reads at once.
const WATCH_ROWS_MAX: usize = 500;

#[tonic::async_trait]
impl SendService for Sends {
    async fn list_sends(
        &self,
        request: Request<wire::ListSendsRequest>,
    ) -> Result<Response<wire::ListSendsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let Some(filter) = self.filter(request.filter.unwrap_or_default()).await? else {
            return Ok(Response::new(wire::ListSendsResponse::default()));
        };
        let mut names = Names::new(&self.deployment);
        let mut sends = Vec::new();
        let mut page = request.page_token;
        loop {
            let query = SendsQuery { page, limit: limit - sends.len(), ..filter.query() };
            let SendsPage { rows, next } =
                self.deployment.store.sends(&query).await.map_err(status::store)?;
            for row in rows.iter().filter(|row| filter.takes(row)) {
                sends.push(names.send(row).await?);
            }
            if sends.len() >= limit || next.is_empty() {
                return Ok(Response::new(wire::ListSendsResponse { sends, next_page_token: next }));
            }
            page = next;
        }
    }

    async fn get_send(
        &self,
        request: Request<wire::GetSendRequest>,
    ) -> Result<Response<wire::GetSendResponse>, Status> {
        let text = request.into_inner().id;
        let layout = self.deployment.store.layout();
        let id = SendId::parse(&text)
            .filter(|id| id.birth == layout.birth && id.shard.0 < layout.shards)
            .ok_or_else(|| status::invalid_field("id", "is not a send id of this deployment"))?;
        let trail = self.deployment.store.send(&id).await.map_err(status::store)?;
        let Some(newest) = trail.rows.first() else {
            return Err(Status::not_found(format!(
                "nothing is known of the send {text:?}: it is pending, or was not kept"
            )));
        };
        let send = Names::new(&self.deployment).send(newest).await?;
        let kept = trail.kept.as_deref().map(campanile_core::kept::Kept::unpack);
        let kept = kept.transpose().map_err(|text| Status::internal(format!("send {}: {text}", send.id)))?;
        Ok(Response::new(wire::GetSendResponse {
            send: Some(send),
            attempts: write_attempts(&trail.rows, kept.as_ref()),
            request: kept.as_ref().map(write_request),
        }))
    }

    async fn explain_send(
        &self,
        request: Request<wire::ExplainSendRequest>,
    ) -> Result<Response<wire::ExplainSendResponse>, Status> {
        explain::explain(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn cancel_sends(
        &self,
        request: Request<wire::CancelSendsRequest>,
    ) -> Result<Response<wire::CancelSendsResponse>, Status> {
        cancel_sends::cancel(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn redrive_sends(
        &self,
        request: Request<wire::RedriveSendsRequest>,
    ) -> Result<Response<wire::RedriveSendsResponse>, Status> {
        redrive::redrive(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    type WatchSendsStream = Pin<Box<dyn Stream<Item = Result<wire::WatchSendsResponse, Status>> + Send>>;

    async fn watch_sends(
        &self,
        request: Request<wire::WatchSendsRequest>,
    ) -> Result<Response<Self::WatchSendsStream>, Status> {
        let filter = self.filter(request.into_inner().filter.unwrap_or_default()).await?;
        let Some(filter) = filter else {
            return Err(Status::not_found("nothing can be watched: there is no such user"));
        };
        // From the answer on: what happens after the caller has it is told.
        let begins = self.deployment.store.sends_after("", WATCH_ROWS_MAX).await.map_err(status::store)?.next;
        let (tell, told) = tokio::sync::mpsc::channel(WATCH_ROWS_MAX);
        let deployment = self.deployment.clone();
        tokio::spawn(async move {
            if let Err(status) = watch(&deployment, &filter, begins, &tell).await {
                let _ = tell.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(told))))
    }
}

type Tell = tokio::sync::mpsc::Sender<Result<wire::WatchSendsResponse, Status>>;

/// Tells of rows since `after` until the caller goes away. A caller that does not follow misses what its channel cannot hold.
async fn watch(
    deployment: &Arc<Deployment>,
    filter: &Filter,
    mut after: String,
    tell: &Tell,
) -> Result<(), Status> {
    let mut names = Names::new(deployment);
    let mut missed = 0;
    while !tell.is_closed() && !deployment.stopping.is_cancelled() {
        let page = deployment.store.sends_after(&after, WATCH_ROWS_MAX).await.map_err(status::store)?;
        let is_quiet = page.rows.is_empty();
        after = page.next;
        for row in page.rows.iter().filter(|row| filter.takes(row)) {
            let news = wire::WatchSendsResponse {
                send: Some(names.send(row).await?),
                attempt: write_attempt(&row.row),
                missed,
            };
            match tell.try_send(Ok(news)) {
                Ok(()) => missed = 0,
                Err(_) => missed += 1,
            }
        }
        if is_quiet {
            tokio::select! {
                () = tell.closed() => return Ok(()),
                () = deployment.stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }
    Ok(())
}

/// A filter with names looked up.
struct Filter {
    campaign: Option<CampaignNo>,
    user: Option<(Shard, UserNo)>,
    ended: Vec<EndedFilter>,
}

impl Filter {
    fn query(&self) -> SendsQuery {
        let ended = match self.ended.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        SendsQuery { campaign: self.campaign, user: self.user, ended, ..Default::default() }
    }

    fn takes(&self, row: &SendRow) -> bool {
        self.campaign.is_none_or(|no| no == row.row.campaign)
            && self.user.is_none_or(|(shard, user)| shard == row.shard && user == row.row.user)
            && (self.ended.is_empty() || self.ended.iter().any(|ended| ended.takes(row.row.ended)))
    }
}

impl Sends {
    /// None: there is no such user, so there are no such sends.
    async fn filter(&self, from: wire::SendFilter) -> Result<Option<Filter>, Status> {
        let campaign = match from.campaign_id.as_str() {
            "" => None,
            id => Some(self.deployment.campaign(id).await?.no),
        };
        let user = match from.user_id.as_str() {
            "" => None,
            id => match self.deployment.user(id).await? {
                Some(user) => Some((self.deployment.store.layout().shard_of(id), user.no)),
                None => return Ok(None),
            },
        };
        let mut ended = Vec::new();
        for state in from.states {
            ended.push(match wire::SendState::try_from(state) {
                Ok(wire::SendState::Pending) => EndedFilter::Retrying,
                Ok(wire::SendState::Delivered) => EndedFilter::Delivered,
                Ok(wire::SendState::Failed) => EndedFilter::Failed,
                Ok(wire::SendState::Suppressed) => EndedFilter::Suppressed,
                Ok(wire::SendState::Skipped) => EndedFilter::Skipped,
                _ => {
                    let text = "expected PENDING, DELIVERED, FAILED, SUPPRESSED or SKIPPED";
                    return Err(status::invalid_field("filter.states", text));
                }
            });
        }
        Ok(Some(Filter { campaign, user, ended }))
    }
}

/// Campaign records by number, read once per answer.
struct Names<'a> {
    deployment: &'a Deployment,
    campaigns: HashMap<CampaignNo, Option<CampaignRecord>>,
}

impl<'a> Names<'a> {
    fn new(deployment: &'a Deployment) -> Names<'a> {
        Names { deployment, campaigns: HashMap::new() }
    }

    async fn send(&mut self, row: &SendRow) -> Result<wire::Send, Status> {
        let no = row.row.campaign;
        if !self.campaigns.contains_key(&no) {
            let found = self.deployment.store.campaigns(&[no]).await.map_err(status::store)?;
            self.campaigns.insert(no, found.into_iter().next());
        }
        let campaign = self.campaigns.get(&no).and_then(Option::as_ref);
        Ok(write_send(self.deployment.store.layout(), campaign, row))
    }
}
