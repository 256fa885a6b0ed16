//! A user is erased. One webhook that is under way is waited for: its settlement would keep things anew.

use std::time::Duration;

use campanile_core::limits;
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Add, Added, StoredUser};
use campanile_core::ports_kept::Erased;
use campanile_core::sends_query::SendsQuery;
use campanile_proto::v1 as wire;
use prost::Message;
use tonic::Status;

use crate::deployment::Deployment;
use crate::read_request::check_request_id;
use crate::{status, user_lists};

/// How long a webhook that is under way is waited for, and how often it is looked at.
const WAIT_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub async fn delete(
    deployment: &Deployment,
    request: wire::DeleteUserRequest,
) -> Result<wire::DeleteUserResponse, Status> {
    check_request_id(&request.request_id)?;
    if request.id.is_empty() {
        return Err(status::invalid_field("id", "is missing"));
    }
    // Before the user: a call that is cut off is repeated, and still finds it.
    let lists = user_lists::naming(deployment, &request.id, !request.validate_only).await?;
    let user = match deployment.known_user(&request.id).await {
        Ok(user) => user,
        Err(unknown) => {
            // Lists may name people of whom nothing else is known.
            let of_lists = wire::DeleteUserResponse { log_rows: 0, lists };
            let was_listed = (!of_lists.lists.is_empty()).then_some(of_lists);
            return before(deployment, &request).await?.or(was_listed).ok_or(unknown);
        }
    };
    let log_rows = log_rows(deployment, &request.id, &user).await?;
    let answer = wire::DeleteUserResponse { log_rows, lists };
    if request.validate_only {
        return Ok(answer);
    }
    let campaigns = every_campaign(deployment).await?;
    let shard = deployment.store.layout().shard_of(&request.id);
    let looks = WAIT_MAX.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        let erased = deployment.store.erase_user(shard, &request.id, &campaigns).await;
        match erased.map_err(status::store)? {
            Erased::Done | Erased::Nobody => {
                note(deployment, &request, &answer).await?;
                return Ok(answer);
            }
            Erased::UnderWay => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Err(Status::unavailable("a webhook to the user is under way: nothing was erased, repeat the call"))
}

async fn log_rows(deployment: &Deployment, id: &str, user: &StoredUser) -> Result<i64, Status> {
    let shard = deployment.store.layout().shard_of(id);
    let mut query =
        SendsQuery { user: Some((shard, user.no)), limit: limits::PAGE_MAX, ..Default::default() };
    let mut rows = 0;
    loop {
        let page = deployment.store.sends(&query).await.map_err(status::store)?;
        rows += page.rows.len() as i64;
        if page.next.is_empty() {
            return Ok(rows);
        }
        query.page = page.next;
    }
}

/// Also the deleted ones: something of the user may be left in any.
async fn every_campaign(deployment: &Deployment) -> Result<Vec<CampaignNo>, Status> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = deployment.store.list_campaigns(&after, limits::PAGE_MAX).await.map_err(status::store)?;
        let Some(last) = page.last() else { return Ok(all) };
        after.clone_from(&last.id);
        all.extend(page.iter().map(|record| record.no));
    }
}

/// The record of the request names nobody: it is found by a keyed hash.
fn record(deployment: &Deployment, request: &wire::DeleteUserRequest, answer: Vec<u8>) -> Add {
    let layout = deployment.store.layout();
    Add {
        request: layout.hash128("delete-user", &[request.request_id.as_bytes()]),
        body: layout.hash128("delete-user-body", &[request.id.as_bytes()]),
        entries: Vec::new(),
        counts: Vec::new(),
        refused: Vec::new(),
        answer,
    }
}

async fn note(
    deployment: &Deployment,
    request: &wire::DeleteUserRequest,
    answer: &wire::DeleteUserResponse,
) -> Result<(), Status> {
    if request.request_id.is_empty() {
        return Ok(());
    }
    let shard = deployment.store.layout().shard_of(&request.id);
    // One byte in front tells it from what a look leaves.
    let answer = [&[1_u8], answer.encode_to_vec().as_slice()].concat();
    let add = record(deployment, request, answer);
    deployment.store.add(shard, &add).await.map(drop).map_err(status::store)
}

/// What this very request answered before, if it erased the user.
async fn before(
    deployment: &Deployment,
    request: &wire::DeleteUserRequest,
) -> Result<Option<wire::DeleteUserResponse>, Status> {
    if request.request_id.is_empty() || request.validate_only {
        return Ok(None);
    }
    let shard = deployment.store.layout().shard_of(&request.id);
    let add = record(deployment, request, Vec::new());
    Ok(match deployment.store.add(shard, &add).await.map_err(status::store)? {
        Added::Before(bytes) => {
            bytes.strip_prefix(&[1]).and_then(|bytes| wire::DeleteUserResponse::decode(bytes).ok())
        }
        Added::Now | Added::OtherBody => None,
    })
}
