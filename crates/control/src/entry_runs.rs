//! Manual entries of whole audiences: a named run is written down with its campaign, and the scheduler walks it over all users. Asked
//! again under the same request id, it tells how far it is.

use campanile_core::campaign::{self, Campaign};
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_fields::check_segments;
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, State};
use campanile_core::counter::Counter;
use campanile_core::draft::Audience;
use campanile_core::due_send::Skip;
use campanile_core::entry_run::{EntryRun, RunCounts};
use campanile_core::expression::Expression;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::number::DestinationNo;
use campanile_core::segments::Segments;
use campanile_proto::v1 as wire;
use campanile_scheduler::entering::{Entering, refused};
use campanile_scheduler::entry_runs::asks;
use campanile_scheduler::plan::Planned;
use jiff::SignedDuration;
use serde_json::{Map, Value};
use tonic::Status;

use crate::campaign_life::{change, compile, wrong_state};
use crate::deployment::Deployment;
use crate::dry_run::everybody;
use crate::enter_users::{asked_for, read_skip};
use crate::read_campaign;
use crate::read_items::{check_client_id, read_values};
use crate::status;
use crate::write_campaign::{timestamp, write_audience};

/// What was asked, read.
struct Asked {
    audience: Audience,
    values: Map<String, Value>,
    skip: Skip,
}

pub async fn enter(
    deployment: &Deployment,
    request: &wire::EnterUsersRequest,
    audience: &wire::Audience,
) -> Result<wire::EnterUsersResponse, Status> {
    let asked = read(request, audience)?;
    let record = deployment.campaign(&request.campaign_id).await?;
    let campaign = compile(deployment, record.draft.clone(), record.created_at).await?;
    let segments = deployment.segments().await.map_err(status::store)?;
    let condition = condition(&asked.audience, &segments)?;
    let name = if request.request_id.is_empty() { deployment.make_id() } else { request.request_id.clone() };
    let body = deployment.store.layout().hash128("enter-body", &[&asked_for(request)]);
    let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let run = EntryRun {
        name,
        body,
        at: deployment.now(),
        revision: record.revision,
        audience: asked.audience,
        values: asked.values,
        skip: asked.skip,
        slot: 0,
        before: RunCounts::default(),
        closed_at: None,
    };
    if repeated(&record, &run)?.is_none() {
        may_begin(&record, &campaign, &run)?;
        if request.validate_only {
            return count(deployment, (&record, &campaign), (&run, &condition), &segments).await;
        }
    }
    let counters = deployment.store.stats(record.no).await.map_err(status::store)?;
    let saved = change(deployment, &record.id, |record, _| begin(record, &campaign, &run, &counters)).await?;
    // A repeat may be asked long after it began.
    let counters = deployment.store.stats(saved.no).await.map_err(status::store)?;
    let run = saved.runs.iter().find(|there| there.name == run.name);
    let run = run.ok_or_else(|| Status::internal("the run that was begun is not there"))?;
    Ok(answer(write(run, &counters)))
}

/// Everything that is wrong with a request at once.
fn read(request: &wire::EnterUsersRequest, audience: &wire::Audience) -> Result<Asked, Status> {
    let mut faults = Faults::default();
    check_client_id(&request.request_id, "request_id", limits::REQUEST_ID_BYTES_MAX, &mut faults);
    if !request.users.is_empty() {
        faults.add("users", "expected either users or an audience");
    }
    if request.create_missing {
        faults.add("create_missing", "is for users that are named: leave it out");
    }
    if request.wait.is_some() {
        faults.add("wait", "is for users that are named: ask again under the same request_id how far it is");
    }
    for (field, is_given) in [
        ("audience.sticky", audience.sticky),
        ("audience.holdback_percent", audience.holdback_percent != 0.0),
    ] {
        if is_given {
            faults.add(field, "belongs into the campaign: leave it out");
        }
    }
    let audience = read_campaign::audience(audience);
    check_segments(&audience.include_segments, "audience.include_segments", &mut faults);
    check_segments(&audience.exclude_segments, "audience.exclude_segments", &mut faults);
    let values = read_values(&request.values, "values", &mut faults);
    let skip = read_skip(&request.skip, &mut faults);
    if faults.is_empty() { Ok(Asked { audience, values, skip }) } else { Err(status::invalid(&faults)) }
}

fn condition(audience: &Audience, segments: &Segments) -> Result<Expression, Status> {
    let mut faults = Faults::default();
    let condition = campaign::whole_audience(audience, segments, "audience", &mut faults);
    condition.filter(|_| faults.is_empty()).ok_or_else(|| status::invalid(&faults))
}

/// The run that this request began before; the error says that it was another request.
fn repeated<'r>(record: &'r CampaignRecord, run: &EntryRun) -> Result<Option<&'r EntryRun>, Status> {
    let there = record.runs.iter().find(|there| there.name == run.name);
    match there {
        Some(there) if there.body != run.body => {
            Err(status::invalid_field("request_id", "was used for another request"))
        }
        there => Ok(there),
    }
}

/// A run of which nobody could enter is not begun.
fn may_begin(record: &CampaignRecord, campaign: &Campaign, run: &EntryRun) -> Result<(), Status> {
    if record.state != State::Active {
        return Err(wrong_state(record, "entered"));
    }
    if !matches!(campaign.when, When::Manual) {
        let text = format!("the delivery of the campaign {:?} is not manual", record.id);
        return Err(Status::failed_precondition(text));
    }
    let is_missing = |name: &&String| run.values.get(*name).is_none_or(Value::is_null);
    let missing: Vec<&str> =
        record.draft.requires_values.iter().filter(is_missing).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(status::invalid_field("values", format!("the campaign requires: {}", missing.join(", "))))
}

/// Writes the run down; false where it is there already.
fn begin(
    record: &mut CampaignRecord,
    campaign: &Campaign,
    run: &EntryRun,
    counters: &[(Counter, i64)],
) -> Result<bool, Status> {
    if repeated(record, run)?.is_some() {
        return Ok(false);
    }
    may_begin(record, campaign, run)?;
    let Some(slot) = record.room_for_run(run.at) else {
        return Err(Status::resource_exhausted(format!(
            "the campaign {:?} has too many runs: at most {} are walked at once, and {} kept for a day",
            record.id,
            limits::ENTRY_RUNS_OPEN_MAX,
            limits::ENTRY_RUNS_MAX,
        )));
    };
    let mut at = run.at;
    while record
        .schedule
        .open
        .iter()
        .map(|open| open.at)
        .chain(record.runs.iter().map(|run| run.at))
        .any(|o| o == at)
    {
        at = at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at);
    }
    let (revision, before) = (record.revision, RunCounts::of(slot, counters));
    record.schedule.open.push(OpenOccurrence { at, revision });
    record.runs.push(EntryRun { at, slot, before, revision, ..run.clone() });
    Ok(true)
}

/// How many would enter if it began now. Nothing is stored.
async fn count(
    deployment: &Deployment,
    (record, campaign): (&CampaignRecord, &Campaign),
    (run, audience): (&EntryRun, &Expression),
    segments: &Segments,
) -> Result<wire::EnterUsersResponse, Status> {
    let planned =
        Planned { no: record.no, revision: record.revision, destination: DestinationNo(0), campaign };
    let mut counts = RunCounts::default();
    for shard in deployment.store.layout().shards() {
        everybody(deployment, campaign, shard, |page| {
            if deployment.stopping.is_cancelled() {
                return Err(Status::unavailable("the server is stopping"));
            }
            for user in page.iter().filter(|user| asks(run, audience, &planned, (segments, run.at), user)) {
                let (of, given) = ((record, campaign, segments), (&run.values, run.skip));
                let entering = Entering::by_request(of, given, Some(&user.profile), run.at);
                counts.asked += 1;
                counts.entered += i64::from(refused(&entering).is_none());
            }
            Ok(())
        })
        .await?;
    }
    Ok(answer(wire::EntryRun {
        audience: Some(write_audience(&run.audience)),
        asked: counts.asked,
        entered: counts.entered,
        refused: counts.asked - counts.entered,
        ..Default::default()
    }))
}

fn answer(run: wire::EntryRun) -> wire::EnterUsersResponse {
    let (entered, refused) = (run.entered, run.refused);
    wire::EnterUsersResponse { users: Vec::new(), entered, refused, run: Some(run) }
}

pub fn write(run: &EntryRun, counters: &[(Counter, i64)]) -> wire::EntryRun {
    let RunCounts { asked, entered } = run.counts(counters);
    wire::EntryRun {
        name: run.name.clone(),
        audience: Some(write_audience(&run.audience)),
        asked,
        entered,
        refused: asked - entered,
        started_at: Some(timestamp(run.at)),
        ended_at: run.closed_at.map(timestamp),
    }
}
