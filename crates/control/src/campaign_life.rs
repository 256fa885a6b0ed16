//! The life of a campaign: created, changed, activated, paused, resumed, ended. Every verb loads, decides, saves if nobody was
//! faster, and then shows every shard; a repeat of it changes nothing and answers the same.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::Draft;
use campanile_core::own_zone;
use campanile_scheduler::occurrence::first_due;
use jiff::{SignedDuration, Timestamp};
use tonic::Status;

use crate::deployment::Deployment;
use crate::listening;
use crate::status;

/// Who is noted for what comes through this door.
const CALLER: &str = "control api";
/// Somebody else was faster this many times: give up and let the caller decide.
const TRIES_MAX: usize = 16;

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

/// `draft` makes the new definition of the stored one; it is asked again when somebody else was faster.
pub async fn update(
    deployment: &Deployment,
    id: &str,
    expected_revision: u32,
    request: &str,
    draft: impl Fn(&Draft) -> Result<Draft, Status>,
) -> Result<(CampaignRecord, Campaign), Status> {
    for _ in 0..TRIES_MAX {
        let mut record = deployment.campaign(id).await?;
        if is_repeat(&record, "update", request) {
            let campaign = compile(deployment, record.draft.clone(), record.created_at).await?;
            deployment.show_control(&record).await.map_err(status::store)?;
            if record.state != State::Draft {
                listening::hear(deployment, &record).await?;
            }
            return Ok((record, campaign));
        }
        if is_over(record.state) {
            return Err(wrong_state(&record, "changed"));
        }
        check_revision(&record, expected_revision)?;
        let now = deployment.now();
        let draft = draft(&record.draft)?;
        let campaign = compile(deployment, draft.clone(), record.created_at).await?;
        if draft == record.draft {
            return Ok((record, campaign));
        }
        if record.state != State::Draft {
            listening::check(deployment, &draft).await?;
        }
        let is_moved = draft.delivery != record.draft.delivery;
        record.note_history();
        record.draft = draft;
        record.revision += 1;
        record.epoch += 1;
        record.updated_at = now;
        record.last_request = named("update", request);
        if record.state != State::Draft && is_moved {
            reschedule(&mut record, &campaign, now)?;
        }
        if let Some(saved) = deployment.store.save_campaign(record).await.map_err(status::store)? {
            deployment.show_control(&saved).await.map_err(status::store)?;
            if saved.state != State::Draft {
                listening::hear(deployment, &saved).await?;
            }
            return Ok((saved, campaign));
        }
    }
    Err(Status::aborted(format!("the campaign {id:?} is being changed by others; look at it again")))
}

/// Puts the schedule of a live campaign under its new delivery. What is due already stays due: the scheduler fires it or calls it missed.
fn reschedule(record: &mut CampaignRecord, campaign: &Campaign, now: Timestamp) -> Result<(), Status> {
    let is_due = record.schedule.next_at.is_some_and(|at| at <= now);
    let first = || first_due(campaign, now).map_err(|fault| status::invalid_field(&fault.field, fault.text));
    record.schedule.next_at = match &campaign.when {
        When::Recurring(recurring) if campaign.zones.are_own => {
            // What is under way somewhere on earth and has not fired yet still does.
            let (over_until, _) = own_zone::open_walls(now);
            let planned = record.schedule.next_at.unwrap_or(now);
            let after = planned.checked_sub(SignedDuration::from_secs(1)).unwrap_or(planned).max(over_until);
            recurring.recurrence.next(after, record.schedule.fired)
        }
        When::Recurring(_) if is_due => record.schedule.next_at,
        When::Recurring(recurring) => recurring.recurrence.next(now, record.schedule.fired),
        // Fired once is fired for good.
        When::OneTime(_) if record.schedule.fired > 0 => None,
        When::OneTime(_) => first()?.next_at,
        When::Triggered(_) | When::Manual => None,
    };
    // One that waited for its start need not wait any more.
    if record.state == State::Scheduled && first()?.state == State::Active {
        record.move_to(State::Active, now, CALLER, "its start was changed");
    }
    Ok(())
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

/// Loads, lets `decide` change the record (or say that there is nothing to change), saves, shows every shard. What is already so is
/// shown again: a call that died half-way is finished by its repeat.
async fn change(
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
    Err(Status::aborted(format!("the campaign {id:?} is being changed by others; look at it again")))
}

async fn compile(deployment: &Deployment, draft: Draft, since: Timestamp) -> Result<Campaign, Status> {
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
fn is_repeat(record: &CampaignRecord, verb: &str, request: &str) -> bool {
    let this = named(verb, request);
    this.is_some() && record.last_request == this
}

/// A request id with its verb; none where the caller gave none.
fn named(verb: &str, request: &str) -> Option<String> {
    (!request.is_empty()).then(|| format!("{verb}/{request}"))
}

fn is_over(state: State) -> bool {
    matches!(state, State::Finishing | State::Ended)
}

fn wrong_state(record: &CampaignRecord, verb: &str) -> Status {
    let state = match record.state {
        State::Draft => "a draft",
        State::Scheduled => "scheduled",
        State::Active => "active",
        State::Paused => "paused",
        State::Finishing | State::Ended => "ended",
    };
    Status::failed_precondition(format!("the campaign {:?} is {state}, it cannot be {verb}", record.id))
}
