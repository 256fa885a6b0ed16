//! A campaign's definition changes: a new revision, and what becomes of sends that are planned already. They keep the revision they were
//! planned with, unless the edit applies to them; what was attempted once keeps its own whatever the edit says.

use campanile_core::action_numbers;
use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::Draft;
use campanile_core::own_zone;
use campanile_core::webhook::CompiledWebhook;
use campanile_proto::v1 as wire;
use campanile_scheduler::occurrence::first_due;
use jiff::{SignedDuration, Timestamp};
use tonic::Status;

use crate::campaign_life::{
    CALLER, TRIES_MAX, changed_by_others, check_revision, compile, is_over, is_repeat, named, wrong_state,
};
use crate::deployment::Deployment;
use crate::listening;
use crate::pending::{Pending, pending};
use crate::status;

/// How an edit is meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    /// 0: whichever it is.
    pub expected_revision: u32,
    pub request: &'a str,
    pub apply_to_pending: bool,
    pub validate_only: bool,
}

/// What an edit came to, or would come to.
pub struct Edited {
    pub record: CampaignRecord,
    pub campaign: Campaign,
    /// Planned sends that keep their revision, and those that take the new one.
    pub kept: i64,
    pub changed: i64,
    pub warnings: Vec<wire::Finding>,
}

/// `draft` makes the new definition of the stored one; it is asked again when somebody else was faster.
pub async fn update(
    deployment: &Deployment,
    id: &str,
    edit: Edit<'_>,
    draft: impl Fn(&Draft) -> Result<Draft, Status>,
) -> Result<Edited, Status> {
    for _ in 0..TRIES_MAX {
        let mut record = deployment.campaign(id).await?;
        let Pending { all, attempted } = pending(deployment, record.no).await?;
        let changed = if edit.apply_to_pending { all - attempted } else { 0 };
        let told = |record: CampaignRecord, campaign: Campaign, changed: i64| Edited {
            record,
            campaign,
            kept: all - changed,
            changed,
            warnings: Vec::new(),
        };
        if is_repeat(&record, "update", edit.request) {
            let campaign = compile(deployment, record.draft.clone(), record.created_at).await?;
            deployment.show_control(&record).await.map_err(status::store)?;
            if record.state != State::Draft {
                listening::hear(deployment, &record).await?;
            }
            return Ok(told(record, campaign, changed));
        }
        if is_over(record.state) {
            return Err(wrong_state(&record, "changed"));
        }
        check_revision(&record, edit.expected_revision)?;
        let now = deployment.now();
        let mut draft = draft(&record.draft)?;
        action_numbers::number(&mut record, &mut draft).map_err(|faults| status::invalid(&faults))?;
        let campaign = compile(deployment, draft.clone(), record.created_at).await?;
        let is_same = draft == record.draft;
        let applies = edit.apply_to_pending && record.state != State::Draft;
        if is_same && !(applies && record.apply_revision < record.revision && changed > 0) {
            return Ok(told(record, campaign, 0));
        }
        if record.state != State::Draft {
            listening::check(deployment, &draft).await?;
        }
        let warnings = if applies { no_data_for(&record, &campaign) } else { Vec::new() };
        if applies {
            forget_cancelled(&mut record, all)?;
        }
        if !is_same {
            let is_moved = draft.delivery != record.draft.delivery;
            record.note_history();
            record.draft = draft;
            record.revision += 1;
            if record.state != State::Draft && is_moved {
                reschedule(&mut record, &campaign, now)?;
            }
        }
        if applies {
            record.apply_revision = record.revision;
        }
        record.epoch += 1;
        record.updated_at = now;
        record.last_request = named("update", edit.request);
        if edit.validate_only {
            return Ok(Edited { warnings, ..told(record, campaign, changed) });
        }
        if let Some(saved) = deployment.store.save_campaign(record).await.map_err(status::store)? {
            deployment.show_control(&saved).await.map_err(status::store)?;
            if saved.state != State::Draft {
                listening::hear(deployment, &saved).await?;
            }
            return Ok(Edited { warnings, ..told(saved, campaign, changed) });
        }
    }
    Err(changed_by_others(id))
}

/// A revision that applies to planned sends would take cancelled ones along: those are told by their revision.
fn forget_cancelled(record: &mut CampaignRecord, pending: i64) -> Result<(), Status> {
    if pending > 0 && !record.cancelled.is_empty() {
        return Err(status::invalid_field(
            "apply_to_pending",
            "sends of this campaign were cancelled, and some may still wait for their turn to end: they would be sent \
             after all. Leave it out, or wait until nothing is pending",
        ));
    }
    record.cancelled = Default::default();
    Ok(())
}

/// An entry keeps its event or values only where its revision needed them.
fn no_data_for(record: &CampaignRecord, campaign: &Campaign) -> Vec<wire::Finding> {
    let Ok(before) = Campaign::compile_saved(record.draft.clone(), record.created_at) else {
        return Vec::new();
    };
    let needs = |campaign: &Campaign, what: fn(&CompiledWebhook) -> bool| {
        campaign.actions.iter().flat_map(Action::webhooks).any(what)
    };
    let lacks = |what| needs(campaign, what) && !needs(&before, what);
    let mut found = Vec::new();
    for (is_lacking, of) in [
        (lacks(CompiledWebhook::needs_event), "event: what prints properties"),
        (lacks(CompiledWebhook::needs_values), "values: what prints some"),
    ] {
        if is_lacking {
            let text = format!("sends that are planned already kept no {of} suppresses them");
            found.push(status::finding("apply_to_pending", &text));
        }
    }
    found
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
