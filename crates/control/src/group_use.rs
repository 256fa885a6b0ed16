//! Who uses a segment or a list: live campaigns and the settings, themselves or through segments, and the segments that name it.
//!
//! Asked before anything changes. A campaign saved in the same instant may slip by; then its sends wait until what it names is there.

use std::collections::BTreeSet;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::entry_run::EntryRun;
use campanile_core::limits;
use campanile_core::segment::Named;
use campanile_core::segments::Segments;
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::deployment::Deployment;
use crate::status;

/// What is asked about.
#[derive(Clone, Copy)]
pub enum Group<'a> {
    Segment(&'a str),
    List(&'a str),
}

impl Group<'_> {
    fn is_in(self, named: &Named) -> bool {
        match self {
            Group::Segment(name) => named.segments.iter().any(|known| known == name),
            Group::List(name) => named.lists.iter().any(|known| known == name),
        }
    }

    fn name(self) -> String {
        match self {
            Group::Segment(name) => format!("the segment {name:?}"),
            Group::List(name) => format!("the list {name:?}"),
        }
    }

    /// `FAILED_PRECONDITION` where somebody uses it.
    pub fn unused(self, used_by: &wire::GroupUse) -> Result<(), Status> {
        self.not_live(used_by, "")?;
        if used_by.segments.is_empty() {
            return Ok(());
        }
        let text = format!("{} is used by the segments {}", self.name(), used_by.segments.join(", "));
        Err(Status::failed_precondition(text))
    }

    /// `FAILED_PRECONDITION` where live campaigns or the settings use it; `hint` says what would do it all the same.
    pub fn not_live(self, used_by: &wire::GroupUse, hint: &str) -> Result<(), Status> {
        let live = used_by.live_campaigns.join(", ");
        let by = match (used_by.live_campaigns.is_empty(), used_by.never_send) {
            (true, false) => return Ok(()),
            (true, true) => "never_send of the settings".to_owned(),
            (false, false) => format!("live campaigns: {live}"),
            (false, true) => format!("never_send of the settings and live campaigns: {live}"),
        };
        Err(Status::failed_precondition(format!("{} is used by {by}{hint}", self.name())))
    }
}

pub async fn used_by(
    deployment: &Deployment,
    segments: &Segments,
    group: Group<'_>,
) -> Result<wire::GroupUse, Status> {
    let naming = match group {
        Group::Segment(name) => segments.naming_segment(name).map(str::to_owned).collect(),
        Group::List(name) => segments.naming_list(name).map(str::to_owned).collect(),
    };
    let mut live = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = deployment.store.list_campaigns(&after, limits::PAGE_MAX).await.map_err(status::store)?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        let using = page.iter().filter(|record| uses(record, segments, group));
        live.extend(using.map(|record| record.id.clone()));
    }
    let settings = deployment.store.settings().await.map_err(status::store)?;
    let never_send = settings.map(|record| record.settings.never_send).filter(|name| !name.is_empty());
    let never_send = never_send.is_some_and(|name| {
        let named = Named { segments: vec![name], ..Named::default() };
        group.is_in(&segments.through(&named))
    });
    Ok(wire::GroupUse { live_campaigns: live.into_iter().collect(), segments: naming, never_send })
}

fn uses(record: &CampaignRecord, segments: &Segments, group: Group<'_>) -> bool {
    if matches!(record.state, State::Draft | State::Ended) {
        return false;
    }
    let walked = record.runs.iter().filter(|run| run.closed_at.is_none()).filter_map(EntryRun::condition);
    if walked.map(|condition| condition.named()).any(|named| group.is_in(&segments.through(&named))) {
        return true;
    }
    // A definition that cannot be read keeps what it may use.
    Campaign::compile_saved(record.draft.clone(), record.created_at)
        .map_or(true, |campaign| group.is_in(&segments.through(&campaign.all_named())))
}
