//! Explains why a user was or was not sent a campaign: gathers what the stores keep of it, and asks the deciding functions about now.
//!
//! Changes nothing. What is known of the past is bounded by what the logs keep.

use std::collections::HashSet;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::event::Event;
use campanile_core::kept::Kept;
use campanile_core::limits;
use campanile_core::log_row::Ended;
use campanile_core::number::Shard;
use campanile_core::ports::{RefusedRow, StoredUser};
use campanile_core::recent_event::{Decided, RecentEvent};
use campanile_core::secret::Secrets;
use campanile_core::sends_query::{SendRow, SendsQuery};
use campanile_proto::v1 as wire;
use campanile_sender::closed::{self, Closed};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tonic::Status;

use crate::deployment::Deployment;
use crate::histories;
use crate::imagined::{self, Asked, Imagined, Subject};
use crate::preview::{first_attempt, shown};
use crate::recent_events::{self, Filter};
use crate::status;
use crate::trial::{Candidate, NO_SEND, Trial, entry_of};
use crate::write_campaign::timestamp;
use crate::write_explain::{
    if_now, if_now_without_event, nothing_yet, of_entry, of_refusal, of_send, write_steps,
};
use crate::write_send::{write_attempts, write_send};
use crate::write_stats::refusal;

/// Past decisions of one answer.
const PAST_MAX: usize = 20;

pub async fn explain(
    deployment: &Deployment,
    request: wire::ExplainSendRequest,
) -> Result<wire::ExplainSendResponse, Status> {
    let now = deployment.now();
    let wire::ExplainSendRequest { user_id, campaign_id, event, values } = request;
    let asked = Asked { user_id: user_id.clone(), profile: None, event, values };
    let (_, mut imagined) = imagined::read(asked, now)?;
    let (record, campaign) = imagined::subject(deployment, Some(Subject::Stored(campaign_id)), now).await?;
    imagined.take_event_for(&record.draft);
    let mut user = deployment.known_user(&user_id).await?;
    let shard = deployment.store.layout().shard_of(&user_id);
    histories::fill(deployment, &campaign, shard, std::slice::from_mut(&mut user)).await?;
    let filter = Filter { user: Some((shard, user.no)), campaign: Some(record.no), ..Filter::default() };
    let recent = recent_events::latest(deployment, &filter, limits::RECENT_MAX).await?;
    let mut profile = user.profile.clone();
    match &imagined.event {
        Some(event) => profile.count(event, now),
        // One that was met is counted already; it is judged as if it happened again now.
        None => {
            let latest = recent.iter().find(|(_, event)| !event.is_cut);
            imagined.event = latest.map(|(_, event)| Event { occurred_at: now, ..event.event.clone() });
        }
    }
    imagined.profile = Some(profile);
    let past = past(deployment, &record, &user, &recent).await?;
    let if_now = now_(deployment, (&record, &campaign), (&imagined, &user), now).await?;
    let sentence =
        past.first().map_or_else(|| nothing_yet(&if_now.sentence), |latest| latest.sentence.clone());
    Ok(wire::ExplainSendResponse { sentence, if_now: Some(if_now), past })
}

async fn now_(
    deployment: &Deployment,
    (record, campaign): (&CampaignRecord, &Campaign),
    (imagined, stored): (&Imagined, &StoredUser),
    now: Timestamp,
) -> Result<wire::IfNow, Status> {
    let limits = deployment.limits().await?;
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let segments = deployment.segments().await.map_err(status::store)?;
    let closed = closed(deployment, campaign, now).await?;
    let trial = Trial::new((record, campaign), (&secrets, &segments), &deployment.policy, &limits)
        .with_closed(closed.as_ref());
    let entry = entry_of(campaign, imagined);
    let profile = imagined.profile.as_ref();
    let candidate = Candidate { profile, entry: entry.as_ref(), at: now, step: None, counted: None };
    let candidate = deployment.counted(&trial, candidate, stored).await?;
    let steps = trial.steps(&candidate);
    let user = imagined.profile.as_ref().map_or("", |profile| &profile.id);
    if let (When::Triggered(triggered), None) = (&campaign.when, &imagined.event) {
        let steps = write_steps(&crate::trial::Steps { sending: Vec::new(), ..steps });
        let names: Vec<&str> = triggered.names().collect();
        let sentence = if_now_without_event(user, &record.id, &steps, &names.join(" or "));
        return Ok(wire::IfNow { steps, sentence, ..Default::default() });
    }
    let is_sent = steps.sending.last().is_some_and(|step| step.stopped.is_none());
    let head = first_attempt(NO_SEND, &record.id, now);
    let rendered = if is_sent { trial.render(&candidate, NO_SEND).ok() } else { None };
    let steps = write_steps(&steps);
    let event = imagined.event.as_ref();
    Ok(wire::IfNow {
        sentence: if_now(user, &record.id, &steps, event.map(|event| event.name.as_str())),
        steps,
        event: event.map(|event| write_event(user, event)),
        request: rendered.map(|(_, masked)| shown(&masked, &head)),
    })
}

/// Whether the destination of the first action is left alone, where that is the same for everybody.
async fn closed(
    deployment: &Deployment,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Option<Closed>, Status> {
    let Some(name) = campaign.actions.first().and_then(Action::constant_destination) else { return Ok(None) };
    let followed = deployment.store.follow_destinations(0).await.map_err(status::store)?;
    let mut known = followed.destinations.into_iter().flatten();
    let destination = known.find(|destination| destination.name == name);
    Ok(destination.and_then(|destination| closed::closed(&name, destination.breaker.says(now))))
}

/// What the logs keep of a user in a campaign, newest first.
async fn past(
    deployment: &Deployment,
    record: &CampaignRecord,
    user: &StoredUser,
    recent: &[(Shard, RecentEvent)],
) -> Result<Vec<wire::PastDecision>, Status> {
    let store = deployment.store.as_ref();
    let user_id = user.profile.id.as_str();
    let query = SendsQuery {
        campaign: Some(record.no),
        user: Some((store.layout().shard_of(user_id), user.no)),
        // A send has a row for each attempt.
        limit: PAST_MAX * 4,
        ..SendsQuery::default()
    };
    let (sends, refusals) =
        tokio::try_join!(store.sends(&query), store.refusals(record.no, limits::REFUSED_MAX))
            .map_err(status::store)?;
    let now = deployment.now();
    let kept_since = now.checked_sub(limits::LOG_KEPT).unwrap_or(Timestamp::MIN);
    let logged: HashSet<u64> = sends.rows.iter().map(|row| row.row.key).collect();
    // There are older rows than these.
    let oldest = if sends.next.is_empty() { None } else { sends.rows.last().map(|row| row.row.at) };
    let mut newest: Vec<SendRow> = Vec::new();
    for row in sends.rows {
        let is_known =
            newest.iter().any(|known| known.row.key == row.row.key && known.row.action == row.row.action);
        if !is_known && newest.len() < PAST_MAX {
            newest.push(row);
        }
    }
    let sends = newest.iter().map(|row| past_send(deployment, record, row, user_id));
    let mut past: Vec<(Timestamp, wire::PastDecision)> = try_join_all(sends).await?;
    let refused = refusals.iter().filter(|row| row.user_id == user_id).take(PAST_MAX);
    past.extend(refused.map(|row| (row.at, past_refusal(row, user_id, recent))));
    let is_past = |entry: &(&RecentEvent, u64, Timestamp)| {
        let (event, key, due_at) = *entry;
        // What the log no longer tells of may have been sent long ago.
        let is_told = due_at > kept_since && oldest.is_none_or(|oldest| event.accepted_at > oldest);
        is_told && !logged.contains(&key)
    };
    let entries = recent.iter().filter_map(|(_, event)| entered(event, record));
    past.extend(
        entries
            .filter(is_past)
            .map(|(event, _, due_at)| (event.accepted_at, past_entry(event, due_at, user_id))),
    );
    past.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    past.truncate(PAST_MAX);
    Ok(past.into_iter().map(|(_, decision)| decision).collect())
}

async fn past_send(
    deployment: &Deployment,
    record: &CampaignRecord,
    row: &SendRow,
    user_id: &str,
) -> Result<(Timestamp, wire::PastDecision), Status> {
    let store = deployment.store.as_ref();
    let row = &row.clone();
    // Of what went well, or was never tried, the row says all there is.
    let attempts = if matches!(row.row.ended, Ended::Failed(_) | Ended::Retrying) || row.row.attempts > 1 {
        let id = row.row.send_id(store.layout(), row.shard);
        let trail = store.send(&id).await.map_err(status::store)?;
        let kept = trail.kept.as_deref().and_then(|bytes| Kept::unpack(bytes).ok());
        write_attempts(&trail.rows, kept.as_ref())
    } else {
        write_attempts(std::slice::from_ref(row), None)
    };
    let decision = wire::PastDecision {
        sentence: of_send(&row.row, user_id, &record.id),
        at: Some(timestamp(row.row.at)),
        send: Some(write_send(store.layout(), Some(record), row)),
        attempts,
        detail: row.row.text.clone(),
        ..Default::default()
    };
    Ok((row.row.at, decision))
}

/// The entry that an event made: its key, and when its first send is due.
fn entered<'e>(event: &'e RecentEvent, record: &CampaignRecord) -> Option<(&'e RecentEvent, u64, Timestamp)> {
    event.met.iter().find_map(|met| match met.decided {
        Decided::Entered { key, due_at } if met.campaign == record.no => Some((event, key, due_at)),
        _ => None,
    })
}

/// Nothing is in the log yet: it waits for its time or its turn.
fn past_entry(event: &RecentEvent, due_at: Timestamp, user_id: &str) -> wire::PastDecision {
    wire::PastDecision {
        sentence: of_entry(user_id, &event.event.name, due_at),
        at: Some(timestamp(event.accepted_at)),
        cause: event.event.id.clone(),
        ..Default::default()
    }
}

fn past_refusal(row: &RefusedRow, user_id: &str, recent: &[(Shard, RecentEvent)]) -> wire::PastDecision {
    let event = recent.iter().map(|(_, event)| &event.event).find(|event| event.id == row.cause);
    wire::PastDecision {
        sentence: of_refusal(row, user_id, event),
        at: Some(timestamp(row.at)),
        refusal: refusal(row.reason) as i32,
        detail: row.text.clone(),
        cause: row.cause.clone(),
        ..Default::default()
    }
}

pub fn write_event(user_id: &str, event: &Event) -> wire::Event {
    let properties = &event.properties;
    wire::Event {
        name: event.name.clone(),
        user_id: user_id.to_owned(),
        properties: if properties.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(properties.clone()).to_string()
        },
        value: event.value,
        occurred_at: Some(timestamp(event.occurred_at)),
        event_id: event.id.clone(),
    }
}
