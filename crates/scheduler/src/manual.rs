//! Pure. From users somebody names to due-sends, with an answer for each.
//!
//! Control opens the users before and adds what is decided here, once per request.

use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{EntryKind, SendId, Skip};
use campanile_core::event::EntryData;
use campanile_core::number::{Layout, Shard};
use campanile_core::ports::{NewEntry, RefusedRow, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::segments::Segments;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::entering::{Entering, refused};
use crate::plan::{Planned, entry, entry_counts};

/// One user of a request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub user_id: String,
    /// None: there is no such user.
    pub user: Option<StoredUser>,
    pub values: Map<String, Value>,
}

/// What all users of a request have in common.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its id, the caller's or a made one.
    pub id: &'a str,
    pub skip: Skip,
    /// What conditions may name.
    pub segments: &'a Segments,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Entered {
    Accepted(Vec<SendId>),
    Refused(Refusal, String),
}

/// Answers in the order asked, and what they lead to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManualPlan {
    pub answers: Vec<Entered>,
    pub entries: Vec<NewEntry>,
    pub counts: Vec<Count>,
    pub refused: Vec<RefusedRow>,
}

/// Decides for users of one shard.
pub fn enter(
    record: &CampaignRecord,
    planned: &Planned<'_>,
    (layout, shard): (&Layout, Shard),
    asked: &[Asked],
    request: &Request<'_>,
) -> ManualPlan {
    let mut plan = ManualPlan::default();
    let mut counts = Vec::new();
    for asked in asked {
        counts.push(Count { campaign: planned.no, counter: Counter::Triggered, by: 1 });
        let profile = asked.user.as_ref().map(|user| &user.profile);
        let given = (&asked.values, request.skip);
        let of = (record, planned.campaign, request.segments);
        let entering = Entering::by_request(of, given, profile, request.now);
        let answer = match (refused(&entering), &asked.user) {
            (None, Some(user)) => {
                let key = layout.hash64("request", &[request.id.as_bytes(), asked.user_id.as_bytes()]);
                let keep = planned.campaign.actions.iter().any(Action::needs_values);
                let kept = (keep && !asked.values.is_empty())
                    .then(|| EntryData::Values(asked.values.clone()).pack());
                let new =
                    entry(planned, EntryKind::Request, user.no, key, entering.due_at, request.skip, kept);
                let id = SendId::of(layout, shard, planned.no, &asked.user_id, &new.due.send);
                plan.entries.push(new);
                counts.extend(entry_counts(planned));
                Entered::Accepted(vec![id])
            }
            (stopped, _) => {
                let reason = stopped.map_or(Refusal::UnknownUser, |(_, reason)| reason);
                let text = stopped.map_or_else(String::new, |(gate, _)| (gate.saw)(&entering));
                counts.push(Count { campaign: planned.no, counter: Counter::Refused(reason), by: 1 });
                plan.refused.push(RefusedRow {
                    campaign: planned.no,
                    at: request.now,
                    user_id: asked.user_id.clone(),
                    reason,
                    cause: request.id.to_owned(),
                    text: text.clone(),
                });
                Entered::Refused(reason, text)
            }
        };
        plan.answers.push(answer);
    }
    plan.counts = summed(counts);
    plan
}
