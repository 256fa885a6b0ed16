//! Failed sends are put back into the queue, page by page, in the order of their failure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::due_send::SendId;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo, instant, millis};
use campanile_core::ports::{Add, Added};
use campanile_core::ports_kept::{FailedSend, Redriven};
use campanile_core::slug::Slug;
use campanile_proto::v1 as wire;
use campanile_scheduler::campaigns::compile;
use jiff::Timestamp;
use prost::Message;
use tonic::Status;

use crate::deployment::Deployment;
use crate::read_request::check_request_id;
use crate::status;

/// Failed sends looked at in one call to the store.
const PAGE: usize = 500;

/// Which failed sends are meant.
struct Wanted {
    campaign: Option<CampaignNo>,
    user: Option<(Shard, UserNo)>,
    /// Empty: not asked for by id.
    ids: HashSet<SendId>,
    from: Timestamp,
    before: Timestamp,
}

type Name = (CampaignNo, UserNo, u64, u8);

pub async fn redrive(
    deployment: &Deployment,
    request: wire::RedriveSendsRequest,
) -> Result<wire::RedriveSendsResponse, Status> {
    check_request_id(&request.request_id)?;
    let rerender = match wire::RedriveMode::try_from(request.mode) {
        Ok(wire::RedriveMode::Unspecified | wire::RedriveMode::Original) => false,
        Ok(wire::RedriveMode::Rerender) => true,
        Err(_) => return Err(status::invalid_field("mode", "expected ORIGINAL or RERENDER")),
    };
    let Some(wanted) = read(deployment, &request).await? else {
        return Ok(wire::RedriveSendsResponse::default());
    };
    let mut known = Known { deployment, compiled: HashMap::new(), deleted: HashMap::new() };
    let (mut redriven, mut found) = (0, HashSet::new());
    for shard in deployment.store.layout().shards().filter(|shard| wanted.looks_at(*shard)) {
        let names: HashSet<Name> = wanted.ids.iter().filter(|id| id.shard == shard).map(name_of).collect();
        let (mut from, mut skip) = (wanted.from, 0);
        loop {
            let page = deployment.store.failed_sends(shard, from, skip, PAGE).await.map_err(status::store)?;
            let is_last = page.len() < PAGE;
            let last_at = page.last().map(|failed| failed.failed_at);
            let mut sends = Vec::new();
            for failed in page.iter().filter(|failed| wanted.takes(shard, failed, &names)) {
                if !known.is_deleted(failed.lane.campaign).await? {
                    sends.push(failed.clone());
                }
            }
            found.extend(sends.iter().map(|failed| (shard, name(failed))));
            let gone = match request.validate_only {
                true => vec![false; sends.len()],
                false => {
                    let sends = known.with_variants(shard, &sends).await?;
                    deployment.store.redrive(shard, &sends, rerender).await.map_err(status::store)?
                }
            };
            redriven += match request.validate_only {
                true => sends.len() as i64,
                false => gone.iter().filter(|gone| **gone).count() as i64,
            };
            let Some(last_at) = last_at.filter(|last| !is_last && *last < wanted.before) else { break };
            // Those of the last millisecond that are still there have been looked at.
            let at_last = page.iter().filter(|failed| failed.failed_at == last_at).count();
            let gone_at_last = sends
                .iter()
                .zip(&gone)
                .filter(|(failed, gone)| **gone && failed.failed_at == last_at)
                .count();
            let before = if last_at == from { skip } else { 0 };
            (from, skip) = (last_at, before + at_last - gone_at_last);
        }
    }
    let not_failed = wanted.ids.iter().filter(|id| !found.contains(&(id.shard, name_of(id)))).count() as i64;
    Ok(wire::RedriveSendsResponse { redriven, not_failed })
}

fn name(failed: &FailedSend) -> Name {
    (failed.lane.campaign, failed.send.user, failed.send.key, failed.send.action)
}

fn name_of(id: &SendId) -> Name {
    (id.campaign, id.user, id.key, id.action)
}

/// None: there is no such user, so there are no such sends.
async fn read(
    deployment: &Deployment,
    request: &wire::RedriveSendsRequest,
) -> Result<Option<Wanted>, Status> {
    let layout = deployment.store.layout();
    let mut faults = Faults::default();
    let mut ids = HashSet::new();
    if request.send_ids.len() > limits::PAGE_MAX {
        faults.add(
            "send_ids",
            format!("has {} ids, at most {} are allowed", request.send_ids.len(), limits::PAGE_MAX),
        );
    }
    for (i, text) in request.send_ids.iter().enumerate().take(limits::PAGE_MAX) {
        match SendId::parse(text).filter(|id| id.birth == layout.birth && id.shard.0 < layout.shards) {
            Some(id) => drop(ids.insert(id)),
            None => faults.add(format!("send_ids[{i}]"), "is not a send id of this deployment"),
        }
    }
    let mut at = |field: &str, at: Option<prost_types::Timestamp>| {
        let read = at.map(|at| Timestamp::new(at.seconds, at.nanos));
        read.and_then(|read| read.inspect_err(|e| faults.add(field, e.to_string())).ok())
    };
    let from = at("failed_from", request.failed_from);
    let before = at("failed_before", request.failed_before);
    if !faults.is_empty() {
        return Err(status::invalid(&faults));
    }
    let filter = request.filter.clone().unwrap_or_default();
    let campaign = match filter.campaign_id.as_str() {
        "" => None,
        id => Some(deployment.campaign(id).await?.no),
    };
    let user = match filter.user_id.as_str() {
        "" => None,
        id => match deployment.user(id).await? {
            Some(user) => Some((layout.shard_of(id), user.no)),
            None => return Ok(None),
        },
    };
    let first_asked_at = first_asked_at(deployment, request).await?;
    let before = before.map_or(first_asked_at, |before| before.min(first_asked_at));
    Ok(Some(Wanted { campaign, user, ids, from: from.unwrap_or(Timestamp::UNIX_EPOCH), before }))
}

/// What failed after a request was first made is not concerned by its repeat: it would be sent again and again.
async fn first_asked_at(
    deployment: &Deployment,
    request: &wire::RedriveSendsRequest,
) -> Result<Timestamp, Status> {
    // What failed in this very millisecond is meant too.
    let now = instant(millis(deployment.now()) + 1);
    if request.request_id.is_empty() || request.validate_only {
        return Ok(now);
    }
    let layout = deployment.store.layout();
    let body = wire::RedriveSendsRequest { request_id: String::new(), ..request.clone() }.encode_to_vec();
    let add = Add {
        request: layout.hash128("redrive", &[request.request_id.as_bytes()]),
        body: layout.hash128("redrive-body", &[&body]),
        entries: Vec::new(),
        counts: Vec::new(),
        refused: Vec::new(),
        answer: millis(now).to_be_bytes().to_vec(),
    };
    match deployment.store.add(Shard(0), &add).await.map_err(status::store)? {
        Added::Now => Ok(now),
        Added::Before(bytes) => Ok(bytes.try_into().map_or(now, |bytes| instant(u64::from_be_bytes(bytes)))),
        Added::OtherBody => {
            Err(status::invalid_field("request_id", "was used for another request within 24 h"))
        }
    }
}

impl Wanted {
    fn looks_at(&self, shard: Shard) -> bool {
        self.user.is_none_or(|(of, _)| of == shard)
            && (self.ids.is_empty() || self.ids.iter().any(|id| id.shard == shard))
    }

    fn takes(&self, shard: Shard, failed: &FailedSend, names: &HashSet<Name>) -> bool {
        failed.failed_at < self.before
            && self.campaign.is_none_or(|no| no == failed.lane.campaign)
            && self.user.is_none_or(|(of, user)| of == shard && user == failed.send.user)
            && (self.ids.is_empty() || names.contains(&name(failed)))
    }
}

/// Definitions that sends were made by, read once per call.
struct Known<'a> {
    deployment: &'a Deployment,
    compiled: HashMap<(CampaignNo, u32), Option<Arc<Campaign>>>,
    deleted: HashMap<CampaignNo, bool>,
}

impl Known<'_> {
    async fn is_deleted(&mut self, no: CampaignNo) -> Result<bool, Status> {
        if let Some(deleted) = self.deleted.get(&no) {
            return Ok(*deleted);
        }
        let found = self.deployment.store.campaigns(&[no]).await.map_err(status::store)?;
        let deleted = found.first().is_none_or(|record| record.deleted_at.is_some());
        self.deleted.insert(no, deleted);
        Ok(deleted)
    }

    /// Sends of one shard with the variants they were counted under.
    async fn with_variants(&mut self, shard: Shard, sends: &[FailedSend]) -> Result<Vec<Redriven>, Status> {
        let users: Vec<UserNo> = sends.iter().map(|failed| failed.send.user).collect();
        let users = self.deployment.store.load_users(shard, &users).await.map_err(status::store)?;
        let mut redriven = Vec::with_capacity(sends.len());
        for (failed, user) in sends.iter().zip(users) {
            let campaign = self.campaign(failed.lane.campaign, failed.send.revision).await?;
            let variant = campaign.zip(user).and_then(|(campaign, user)| {
                let action = campaign.action(failed.send.action)?;
                Slug::new(&action.version_of(&user.profile.id)?.name)
            });
            redriven.push(Redriven { failed: failed.clone(), variant });
        }
        Ok(redriven)
    }

    async fn campaign(&mut self, no: CampaignNo, revision: u32) -> Result<Option<Arc<Campaign>>, Status> {
        if let Some(compiled) = self.compiled.get(&(no, revision)) {
            return Ok(compiled.clone());
        }
        let store = &self.deployment.store;
        let record = store.campaigns(&[no]).await.map_err(status::store)?.into_iter().next();
        let draft = store.revision(no, revision).await.map_err(status::store)?;
        let compiled = record.zip(draft).and_then(|(record, draft)| compile(&record, draft)).map(Arc::new);
        self.compiled.insert((no, revision), compiled.clone());
        Ok(compiled)
    }
}
