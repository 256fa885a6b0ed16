//! Planned sends are cancelled by a rule on their campaign's record, which every sender looks at first. Nothing is taken out of the
//! queue: a cancelled send ends as suppressed when its turn comes.

use campanile_core::campaign_record::{CampaignRecord, Cancelled, State};
use campanile_core::limits;
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::campaign_life::{TRIES_MAX, changed_by_others, is_repeat, named};
use crate::deployment::Deployment;
use crate::pending::pending;
use crate::read_request::check_request_id;
use crate::status;

pub async fn cancel(
    deployment: &Deployment,
    request: wire::CancelSendsRequest,
) -> Result<wire::CancelSendsResponse, Status> {
    check_request_id(&request.request_id)?;
    let filter = request.filter.unwrap_or_default();
    if filter.campaign_id.is_empty() {
        return Err(status::invalid_field(
            "filter.campaign_id",
            "is missing: sends are cancelled campaign by campaign",
        ));
    }
    let user = match filter.user_id.as_str() {
        "" => None,
        id => {
            let user = deployment.known_user(id).await?;
            Some(Cancelled::name(deployment.store.layout().shard_of(id), user.no))
        }
    };
    for _ in 0..TRIES_MAX {
        let mut record = deployment.campaign(&filter.campaign_id).await?;
        let pending = pending(deployment, record.no).await?.all;
        let told = wire::CancelSendsResponse { pending, cancelled: user.is_none().then_some(pending) };
        if is_repeat(&record, "cancel", &request.request_id) {
            deployment.show_control(&record).await.map_err(status::store)?;
            return Ok(told);
        }
        let is_idle = matches!(record.state, State::Draft | State::Ended) || pending == 0;
        if is_idle || request.validate_only {
            return Ok(told);
        }
        note(&mut record, user.as_deref())?;
        record.updated_at = deployment.now();
        record.last_request = named("cancel", &request.request_id);
        if let Some(saved) = deployment.store.save_campaign(record).await.map_err(status::store)? {
            deployment.show_control(&saved).await.map_err(status::store)?;
            return Ok(told);
        }
    }
    Err(changed_by_others(&filter.campaign_id))
}

/// What is planned from now on is of another revision, and is not meant.
fn note(record: &mut CampaignRecord, user: Option<&str>) -> Result<(), Status> {
    match user {
        None => {
            record.cancelled.through = record.revision;
            record.cancelled.users.clear();
        }
        Some(user) => {
            let users = &mut record.cancelled.users;
            if users.len() >= limits::CANCELLED_USERS_MAX && !users.contains_key(user) {
                let text = format!(
                    "the sends of {} users of {:?} are cancelled already: cancel those of all users, or wait until \
                     nothing of it is pending",
                    users.len(),
                    record.id
                );
                return Err(Status::resource_exhausted(text));
            }
            users.insert(user.to_owned(), record.revision);
        }
    }
    record.note_history();
    record.revision += 1;
    record.epoch += 1;
    Ok(())
}
