//! The life of a campaign: created, activated, paused, resumed, ended, deleted. Every verb loads, decides, saves if nobody was
//! faster, and then shows every shard; a repeat of it changes nothing and answers the same.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::Draft;
use campanile_scheduler::occurrence::first_due;
use jiff::Timestamp;
use tonic::Status;

use crate::deployment::Deployment;
use crate::listening;
use crate::pending::pending;
use crate::status;

/// Who is noted for what comes through this door.
pub const CALLER: &str = "control api";
/// Somebody else was faster this many times: give up and let the caller decide.
pub const TRIES_MAX: usize = 16;

pub async fn create(
    deployment: &Deployment,
    draft: Draft,
    request: &str,
) -> Result<(CampaignRecord, Campaign), Status> {
    let now = deployment.now();
    let id = draft.id.clone();
    let campaign = compile(deployment, draft.clone(), now).await?;
    let record = CampaignRecord { last_request: named("create", request), ..CampaignRecord::new(draft, now) };
    if let Some(record) = deployment.store.create(record).await.map_err(status::store)? {
        return Ok((record, campaign));
    }
    let there = deployment.store.campaign(&id).await.map_err(status::store)?;
    match there {
        Some(record) if is_repeat(&record, "create", request) => Ok((record, campaign)),
        _ => Err(Status::already_exists(format!("the id {id:?} was used before; ids are never used again"))),
    }
}

pub async fn activate(
    deployment: &Deployment,
    id: &str,
    expected_revision: u32,
) -> Result<(CampaignRecord, Campaign), Status> {
    let seen = deployment.campaign(id).await?;
    let campaign = compile(deployment, seen.draft.clone(), seen.created_at).await?;
    listening::check(deployment, &seen.draft).await?;
    let record = change(deployment, id, |record, now| {
        check_revision(record, expected_revision)?;
        check_revision(record, seen.revision)?;
        match record.state {
            State::Draft => {}
            State::Scheduled | State::Active => return Ok(false),
            State::Paused => {
                return Err(Status::failed_precondition(format!("the campaign {id:?} is paused: resume it")));
            }
            State::Finishing | State::Ended => return Err(wrong_state(record, "activated")),
        }
        let first =
            first_due(&campaign, now).map_err(|fault| status::invalid_field(&fault.field, fault.text))?;
        record.schedule.next_at = first.next_at;
        record.move_to(first.state, now, CALLER, "activated");
        Ok(true)
    })
    .await?;
    listening::hear(deployment, &record).await?;
    Ok((record, campaign))
}

pub async fn pause(deployment: &Deployment, id: &str) -> Result<CampaignRecord, Status> {
    change(deployment, id, |record, now| match record.state {
        State::Paused => Ok(false),
        State::Scheduled | State::Active => {
            record.move_to(State::Paused, now, CALLER, "paused");
            Ok(true)
        }
        State::Draft | State::Finishing | State::Ended => Err(wrong_state(record, "paused")),
    })
    .await
}

pub async fn resume(deployment: &Deployment, id: &str, drop_held: bool) -> Result<CampaignRecord, Status> {
    change(deployment, id, |record, now| match record.state {
        State::Scheduled | State::Active => Ok(false),
        State::Paused => {
            if drop_held {
                record.dropped_until = Some(now);
            }
            let is_ahead = record.schedule.fired == 0 && record.schedule.next_at.is_some_and(|at| at > now);
            let state = if is_ahead { State::Scheduled } else { State::Active };
            record.move_to(
                state,
                now,
                CALLER,
                if drop_held { "resumed, held sends dropped" } else { "resumed" },
            );
            Ok(true)
        }
        State::Draft | State::Finishing | State::Ended => Err(wrong_state(record, "resumed")),
    })
    .await
}

pub async fn end(deployment: &Deployment, id: &str, stop_now: bool) -> Result<CampaignRecord, Status> {
    change(deployment, id, |record, now| {
        let state = if stop_now || record.state == State::Draft { State::Ended } else { State::Finishing };
        if record.state == State::Ended || record.state == state {
            return Ok(false);
        }
        record.schedule.next_at = None;
        record.move_to(
            state,
            now,
            CALLER,
            if stop_now { "ended at once" } else { "ended; users inside are finished" },
        );
        Ok(true)
    })
    .await
}

/// Hides a draft or an ended campaign for good; answers how many of its sends still wait for their turn to end unsent. Only the very
/// same request may be repeated: for any other the campaign is not there.
pub async fn delete(
    deployment: &Deployment,
    id: &str,
    validate_only: bool,
    request: &str,
) -> Result<i64, Status> {
    for _ in 0..TRIES_MAX {
        let there = deployment.store.campaign(id).await.map_err(status::store)?;
        let mut record = match there {
            Some(record) if record.deleted_at.is_some() && is_repeat(&record, "delete", request) => {
                return Ok(pending(deployment, record.no).await?.all);
            }
            _ => deployment.campaign(id).await?,
        };
        match record.state {
            State::Draft | State::Ended => {}
            State::Finishing => {
                return Err(Status::failed_precondition(format!(
                    "the campaign {id:?} still sends what users inside are owed: end it with STOP_NOW first"
                )));
            }
            State::Scheduled | State::Active | State::Paused => {
                return Err(wrong_state(&record, "deleted: end it first"));
            }
        }
        let left = pending(deployment, record.no).await?.all;
        if validate_only {
            return Ok(left);
        }
        let now = deployment.now();
        record.deleted_at = Some(now);
        record.updated_at = now;
        record.epoch += 1;
        record.last_request = named("delete", request);
        if let Some(saved) = deployment.store.save_campaign(record).await.map_err(status::store)? {
            deployment.show_control(&saved).await.map_err(status::store)?;
            return Ok(left);
        }
    }
    Err(changed_by_others(id))
}

/// Loads, lets `decide` change the record (or say that there is nothing to change), saves, shows every shard. What is already so is
/// shown again: a call that died half-way is finished by its repeat.
pub async fn change(
    deployment: &Deployment,
    id: &str,
    mut decide: impl FnMut(&mut CampaignRecord, Timestamp) -> Result<bool, Status>,
) -> Result<CampaignRecord, Status> {
    for _ in 0..TRIES_MAX {
        let mut record = deployment.campaign(id).await?;
        let saved = match decide(&mut record, deployment.now())? {
            true => deployment.store.save_campaign(record).await.map_err(status::store)?,
            false => Some(record),
        };
        if let Some(saved) = saved {
            deployment.show_control(&saved).await.map_err(status::store)?;
            return Ok(saved);
        }
    }
    Err(changed_by_others(id))
}

pub fn changed_by_others(id: &str) -> Status {
    Status::aborted(format!("the campaign {id:?} is being changed by others; look at it again"))
}

pub async fn compile(deployment: &Deployment, draft: Draft, since: Timestamp) -> Result<Campaign, Status> {
    let compiled = deployment.compile(draft, since).await.map_err(status::store)?;
    compiled.map_err(|faults| status::invalid(&faults))
}

pub fn check_revision(record: &CampaignRecord, expected: u32) -> Result<(), Status> {
    if expected == 0 || expected == record.revision {
        return Ok(());
    }
    let text =
        format!("expected_revision is {expected}, but the campaign is at revision {}", record.revision);
    Err(Status::aborted(text))
}

/// Whether this very call was the last that changed the record.
pub fn is_repeat(record: &CampaignRecord, verb: &str, request: &str) -> bool {
    let this = named(verb, request);
    this.is_some() && record.last_request == this
}

/// A request id with its verb; none where the caller gave none.
pub fn named(verb: &str, request: &str) -> Option<String> {
    (!request.is_empty()).then(|| format!("{verb}/{request}"))
}

pub fn is_over(state: State) -> bool {
    matches!(state, State::Finishing | State::Ended)
}

pub fn wrong_state(record: &CampaignRecord, verb: &str) -> Status {
    let state = match record.state {
        State::Draft => "a draft",
        State::Scheduled => "scheduled",
        State::Active => "active",
        State::Paused => "paused",
        State::Finishing | State::Ended => "ended",
    };
    Status::failed_precondition(format!("the campaign {:?} is {state}, it cannot be {verb}", record.id))
}
