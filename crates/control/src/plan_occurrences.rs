//! Pure. Which occurrences a campaign would have from now on: the scheduler's own rule, asked again and again with the clock moved on.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::fault::Fault;
use campanile_core::limits;
use campanile_scheduler::occurrence::{Step, decide, first_due};
use jiff::Timestamp;

/// How far ahead is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The next occurrence, whenever it is.
    Next,
    Until(Timestamp),
}

/// One occurrence to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// Its instant; in users' own zones the wall clock read as UTC.
    pub at: Timestamp,
    /// When it is decided on.
    pub fires_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    pub fired: Vec<Fired>,
    pub missed: i64,
    /// There are more in the window.
    pub has_more: bool,
}

/// The record as it would be if the campaign sent from now on: a draft as it is activated, a paused one as it is resumed. One that
/// has ended, or may not be activated, is a fault.
pub fn started(
    record: &CampaignRecord,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<CampaignRecord, Fault> {
    let mut started = record.clone();
    match record.state {
        State::Draft => {
            let first = first_due(campaign, now)?;
            started.schedule.next_at = first.next_at;
            started.state = first.state;
        }
        State::Paused => started.state = State::Active,
        State::Finishing | State::Ended => {
            let text = format!("the campaign {:?} has ended: nothing more is sent", record.id);
            return Err(Fault { field: "campaign_id".to_owned(), text });
        }
        State::Scheduled | State::Active => {}
    }
    Ok(started)
}

/// The occurrences of a started campaign within a window, at most `limits::PLAN_OCCURRENCES_MAX`.
pub fn coming(record: &CampaignRecord, campaign: &Campaign, now: Timestamp, window: Window) -> Coming {
    let mut record = record.clone();
    let mut coming = Coming::default();
    let mut now = now;
    let until = match window {
        Window::Next => Timestamp::MAX,
        Window::Until(until) => until,
    };
    // Every look that is none of an occurrence begins a campaign, or passes over what was missed.
    for _ in 0..2 * limits::PLAN_OCCURRENCES_MAX + 2 {
        match decide(&record, campaign, now) {
            Step::Wait(Some(at)) if at <= until => now = at.max(now),
            Step::Wait(_) => return coming,
            Step::Save(stepped) => {
                record = stepped.record;
                // Walked at once.
                record.schedule.open.clear();
                coming.missed += i64::try_from(stepped.missed).unwrap_or(i64::MAX);
                let Some(at) = stepped.fired.filter(|at| *at <= until) else { continue };
                if coming.fired.len() >= limits::PLAN_OCCURRENCES_MAX {
                    coming.has_more = true;
                    return coming;
                }
                coming.fired.push(Fired { at, fires_at: now });
                if window == Window::Next {
                    return coming;
                }
            }
        }
    }
    coming.has_more = true;
    coming
}
