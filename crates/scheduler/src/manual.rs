//! Pure. From users somebody names to due-sends, with an answer for each.
//!
//! Control opens the users before and adds what is decided here, once per request.

use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{EntryKind, SendId, Skip};
use campanile_core::event::EntryData;
use campanile_core::facts::Facts;
use campanile_core::number::{Layout, Shard};
use campanile_core::ports::{NewEntry, RefusedRow, StoredUser};
use campanile_core::reason::Refusal;
use jiff::Timestamp;
use serde_json::{Map, Value};

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
        let answer = match decide(record, planned, asked, request) {
            Ok(user) => {
                let key = layout.hash64("request", &[request.id.as_bytes(), asked.user_id.as_bytes()]);
                let keep = planned.campaign.actions.iter().any(|action| action.webhook.needs_values());
                let kept = (keep && !asked.values.is_empty())
                    .then(|| EntryData::Values(asked.values.clone()).pack());
                let new = entry(planned, EntryKind::Request, user.no, key, request.now, request.skip, kept);
                let id = SendId::of(layout, shard, planned.no, &asked.user_id, &new.due.send);
                plan.entries.push(new);
                counts.extend(entry_counts(planned.no));
                Entered::Accepted(vec![id])
            }
            Err((reason, text)) => {
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

fn decide<'a>(
    record: &CampaignRecord,
    planned: &Planned<'_>,
    asked: &'a Asked,
    request: &Request<'_>,
) -> Result<&'a StoredUser, (Refusal, String)> {
    let refuse = |reason, text: String| Err((reason, text));
    match record.state {
        State::Active => {}
        State::Paused => return refuse(Refusal::Paused, "the campaign is paused".to_owned()),
        State::Draft | State::Scheduled => {
            return refuse(Refusal::BeforeStart, "the campaign is not active".to_owned());
        }
        State::Finishing | State::Ended => {
            return refuse(Refusal::AfterEnd, "the campaign has ended".to_owned());
        }
    }
    if !matches!(planned.campaign.when, When::Manual) {
        return refuse(Refusal::ConditionFalse, "its delivery is not manual".to_owned());
    }
    let Some(user) = &asked.user else { return refuse(Refusal::UnknownUser, String::new()) };
    let missing: Vec<&str> = record
        .draft
        .requires_values
        .iter()
        .filter(|name| asked.values.get(*name).is_none_or(Value::is_null))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return refuse(Refusal::MissingValues, format!("missing: {}", missing.join(", ")));
    }
    let facts = Facts {
        profile: &user.profile,
        event: None,
        values: Some(&asked.values),
        as_of: request.now,
        now: request.now,
        fallback_zone: &planned.campaign.fallback_zone,
    };
    if !request.skip.audience && !planned.campaign.takes(&facts) {
        let text = planned.campaign.audience.explain(&facts).first_false().unwrap_or_default();
        return refuse(Refusal::NotInAudience, text);
    }
    Ok(user)
}
