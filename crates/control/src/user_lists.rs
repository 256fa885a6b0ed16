//! What the list verbs of the segment service do: a list is put whole or not at all, read in pages, deleted where nothing uses it.

use std::collections::BTreeSet;

use campanile_core::campaign_fields::check_slug;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::segments::Segments;
use campanile_core::user_list::{ListRecord, UserIds, UserList};
use campanile_proto::v1 as wire;
use tonic::{Status, Streaming};

use crate::deployment::Deployment;
use crate::group_use::{Group, used_by};
use crate::read_items::check_user_id;
use crate::read_request::{check_request_id, page_size};
use crate::status;
use crate::write_campaign::timestamp;

/// Bad ids that are named.
const FAULTS_MAX: usize = 20;
/// How often a list that others change meanwhile is put again.
const TRIES_MAX: usize = 8;

/// A list as it came over the wire.
struct Given {
    name: String,
    mode: wire::PutMode,
    ids: Vec<String>,
}

pub async fn put(
    deployment: &Deployment,
    mut parts: Streaming<wire::PutUserListRequest>,
) -> Result<wire::PutUserListResponse, Status> {
    let given = receive(deployment, &mut parts).await?;
    let field = |text| status::invalid_field("user_ids", text);
    for _ in 0..TRIES_MAX {
        let all = deployment.segments().await.map_err(status::store)?;
        let there = all.list(&given.name);
        if there.is_none() && all.lists().count() >= limits::USER_LISTS_MAX {
            let most = limits::USER_LISTS_MAX;
            return Err(Status::resource_exhausted(format!("there are {most} lists, more are not allowed")));
        }
        let ids = given.combined(there.map(|list| &list.ids)).map_err(field)?;
        let revision = there.map_or(0, |list| list.record.revision).saturating_add(1);
        let record = ids.record(&given.name, revision, deployment.now());
        if deployment.store.put_user_list(record.clone(), ids).await.map_err(status::store)? {
            return Ok(wire::PutUserListResponse { list: Some(write(&record)) });
        }
    }
    Err(Status::aborted(format!("the list {:?} is changed again and again by others", given.name)))
}

/// Takes in the whole stream, within the bounds of one list.
async fn receive(
    deployment: &Deployment,
    parts: &mut Streaming<wire::PutUserListRequest>,
) -> Result<Given, Status> {
    let mut faults = Faults::default();
    let Some(first) = deployment.next_part(parts).await? else {
        return Err(status::invalid_field("name", "is missing: the first part names the list"));
    };
    if let Err(text) = check_slug(&first.name) {
        faults.add("name", text);
    }
    let mode = wire::PutMode::try_from(first.mode).unwrap_or_else(|_| {
        faults.add("mode", "expected REPLACE, ADD or REMOVE");
        wire::PutMode::Unspecified
    });
    let mut given = Given { name: first.name, mode, ids: Vec::new() };
    let (mut bytes, mut part) = (0, Some(first.user_ids));
    while let Some(ids) = part {
        for id in ids {
            if faults.0.len() < FAULTS_MAX {
                check_user_id(&id, &format!("user_ids[{}]", given.ids.len()), &mut faults);
            }
            bytes += id.len();
            given.ids.push(id);
        }
        if given.ids.len() > limits::USER_LIST_IDS_MAX || bytes > limits::USER_LIST_BYTES_MAX {
            let (ids, bytes) = (limits::USER_LIST_IDS_MAX, limits::USER_LIST_BYTES_MAX / 1024 / 1024);
            faults.add("user_ids", format!("a list has at most {ids} ids and {bytes} MiB of them"));
            break;
        }
        part = deployment.next_part(parts).await?.map(|part| part.user_ids);
    }
    if faults.is_empty() { Ok(given) } else { Err(status::invalid(&faults)) }
}

impl Given {
    /// The ids of the list once these were put.
    fn combined(&self, there: Option<&UserIds>) -> Result<UserIds, String> {
        let before = || there.into_iter().flat_map(UserIds::iter);
        match self.mode {
            wire::PutMode::Unspecified | wire::PutMode::Replace => UserIds::new(self.ids.clone()),
            wire::PutMode::Add => UserIds::new(before().map(str::to_owned).chain(self.ids.clone()).collect()),
            wire::PutMode::Remove => {
                let gone: BTreeSet<&str> = self.ids.iter().map(String::as_str).collect();
                UserIds::new(before().filter(|id| !gone.contains(id)).map(str::to_owned).collect())
            }
        }
    }
}

pub async fn get(
    deployment: &Deployment,
    request: wire::GetUserListRequest,
) -> Result<wire::GetUserListResponse, Status> {
    let limit = page_size(request.page_size)?;
    let all = deployment.segments().await.map_err(status::store)?;
    let list = known(&all, &request.name)?;
    let mut rest = list.ids.after(&request.page_token).peekable();
    let user_ids: Vec<String> = rest.by_ref().take(limit).map(str::to_owned).collect();
    let next_page_token = match (rest.peek(), user_ids.last()) {
        (Some(_), Some(last)) => last.clone(),
        _ => String::new(),
    };
    let used_by = used_by(deployment, &all, Group::List(&request.name)).await?;
    let list = Some(write(&list.record));
    Ok(wire::GetUserListResponse { list, user_ids, next_page_token, used_by: Some(used_by) })
}

pub async fn list(
    deployment: &Deployment,
    request: wire::ListUserListsRequest,
) -> Result<wire::ListUserListsResponse, Status> {
    let limit = page_size(request.page_size)?;
    let all = deployment.segments().await.map_err(status::store)?;
    let mut rest = all.lists().filter(|list| list.record.name > request.page_token).peekable();
    let lists: Vec<wire::UserList> = rest.by_ref().take(limit).map(|list| write(&list.record)).collect();
    let next_page_token = match (rest.peek(), lists.last()) {
        (Some(_), Some(last)) => last.name.clone(),
        _ => String::new(),
    };
    Ok(wire::ListUserListsResponse { lists, next_page_token })
}

pub async fn delete(
    deployment: &Deployment,
    request: wire::DeleteUserListRequest,
) -> Result<wire::DeleteUserListResponse, Status> {
    check_request_id(&request.request_id)?;
    let all = deployment.segments().await.map_err(status::store)?;
    let revision = known(&all, &request.name)?.record.revision;
    let group = Group::List(&request.name);
    group.unused(&used_by(deployment, &all, group).await?)?;
    if !request.validate_only {
        let deleted = deployment.store.delete_user_list(&request.name, revision).await;
        if !deleted.map_err(status::store)? {
            let text = format!("the list {:?} was changed meanwhile: look at it again", request.name);
            return Err(Status::aborted(text));
        }
    }
    Ok(wire::DeleteUserListResponse {})
}

/// The lists that name a user; with `take_out` they name it no more.
pub async fn naming(deployment: &Deployment, user_id: &str, take_out: bool) -> Result<Vec<String>, Status> {
    let mut named = BTreeSet::new();
    for _ in 0..TRIES_MAX {
        let all = deployment.segments().await.map_err(status::store)?;
        let mut is_clean = true;
        for list in all.lists().filter(|list| list.ids.contains(user_id)) {
            named.insert(list.record.name.clone());
            if !take_out {
                continue;
            }
            let others = list.ids.iter().filter(|id| *id != user_id).map(str::to_owned).collect();
            let ids = UserIds::new(others).map_err(Status::internal)?;
            let revision = list.record.revision.saturating_add(1);
            let record = ids.record(&list.record.name, revision, deployment.now());
            is_clean &= deployment.store.put_user_list(record, ids).await.map_err(status::store)?;
        }
        if is_clean {
            return Ok(named.into_iter().collect());
        }
    }
    Err(Status::aborted("lists that name the user are changed again and again by others"))
}

fn known<'a>(all: &'a Segments, name: &str) -> Result<&'a UserList, Status> {
    if name.is_empty() {
        return Err(status::invalid_field("name", "is missing"));
    }
    all.list(name).map(AsRef::as_ref).ok_or_else(|| Status::not_found(format!("there is no list {name:?}")))
}

fn write(record: &ListRecord) -> wire::UserList {
    wire::UserList {
        name: record.name.clone(),
        users: record.users,
        revision: record.revision,
        updated_at: Some(timestamp(record.updated_at)),
    }
}
