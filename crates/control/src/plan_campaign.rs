//! Dry runs: what a campaign would do with the users that are there, by the scheduler's own plan and the sender's own gates. Stores nothing
//! and sends nothing.

use std::sync::{Arc, Mutex, PoisonError};

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::due_send::{DueSend, SendId};
use campanile_core::event::EntryData;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::log_row::Ended;
use campanile_core::number::Shard;
use campanile_core::ports::{OccurrenceKey, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_proto::v1 as wire;
use campanile_proto::v1::plan_campaign_request::Subject as Asked;
use campanile_scheduler::plan::{Chunk, Planned as Planning, plan};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tonic::Status;

use crate::deployment::Deployment;
use crate::dry_run::{Answers, Progress, answers, everybody};
use crate::imagined::{self, Subject};
use crate::plan_entries::FirstEntries;
use crate::plan_occurrences::{Coming, Fired, Window, coming, started};
use crate::plan_tally::{Planned as Tallied, PlannedTally};
use crate::preview::{first_attempt, shown};
use crate::read_items::read_values;
use crate::rehearse;
use crate::status;
use crate::trial::{Candidate, Course, Fate, NO_SEND, Planned, Trial, as_if_active};
use crate::write_campaign::timestamp;
use crate::write_stats::suppression;

type News = wire::PlanCampaignResponse;

/// What is planned.
struct DryRun {
    /// As if the campaign were active.
    record: CampaignRecord,
    campaign: Campaign,
    secrets: Secrets,
    limits: DeploymentLimits,
    segments: Arc<Segments>,
    coming: Coming,
    values: Map<String, Value>,
    entries_max: usize,
    now: Timestamp,
}

pub async fn plan_campaign(
    deployment: Arc<Deployment>,
    request: wire::PlanCampaignRequest,
) -> Result<Answers<News>, Status> {
    let run = read(&deployment, request).await?;
    Ok(answers(|progress| async move {
        let plan = run.plan(&deployment, &progress).await?;
        Ok(News { looked_at: progress.all(), plan: Some(plan) })
    }))
}

/// Everything that is wrong with the request at once.
async fn read(deployment: &Deployment, request: wire::PlanCampaignRequest) -> Result<DryRun, Status> {
    let now = deployment.now();
    let mut faults = Faults::default();
    let window = read_window(request.window, now, &mut faults);
    let entries_max = usize::try_from(request.entries).ok().filter(|n| *n <= limits::PLAN_ENTRIES_MAX);
    if entries_max.is_none() {
        faults.add("entries", format!("expected 0 to {}", limits::PLAN_ENTRIES_MAX));
    }
    let values = read_values(&request.values, "values", &mut faults);
    let (Some(window), Some(entries_max), true) = (window, entries_max, faults.is_empty()) else {
        return Err(status::invalid(&faults));
    };
    let subject = request.subject.map(|subject| match subject {
        Asked::CampaignId(id) => Subject::Stored(id),
        Asked::Campaign(campaign) => Subject::Written(Box::new(campaign)),
    });
    let (record, campaign) = imagined::subject(deployment, subject, now).await?;
    let record =
        started(&record, &campaign, now).map_err(|fault| status::invalid_field(&fault.field, fault.text))?;
    let coming = coming(&record, &campaign, now, window);
    let record = as_if_active(&record);
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let segments = deployment.segments().await.map_err(status::store)?;
    let limits = deployment.limits().await?;
    Ok(DryRun { record, campaign, secrets, limits, segments, coming, values, entries_max, now })
}

fn read_window(window: Option<prost_types::Duration>, now: Timestamp, faults: &mut Faults) -> Option<Window> {
    let Some(window) = window else { return Some(Window::Next) };
    let window_max = limits::PLAN_WINDOW_MAX;
    let read = std::time::Duration::try_from(window).ok().filter(|window| *window <= window_max);
    let until = read.and_then(|window| now.checked_add(SignedDuration::try_from(window).ok()?).ok());
    if until.is_none() {
        faults.add("window", format!("expected 0 to {} days", window_max.as_secs() / 86_400));
    }
    until.map(Window::Until)
}

impl DryRun {
    async fn plan(
        &self,
        deployment: &Deployment,
        progress: &Progress<News>,
    ) -> Result<wire::CampaignPlan, Status> {
        let trial = Trial::new(
            (&self.record, &self.campaign),
            (&self.secrets, &self.segments),
            &deployment.policy,
            &self.limits,
        );
        let walks = match &self.campaign.when {
            When::Triggered(_) => return self.plan_events(deployment, &trial, progress).await,
            When::Manual => 1,
            When::OneTime(_) | When::Recurring(_) => self.coming.fired.len(),
        };
        let walk = |shard| async move {
            let part = Mutex::new(Part::new(walks, self.entries_max));
            everybody(deployment, &self.campaign, shard, |page| {
                let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
                self.look(deployment, &trial, shard, page, &mut part);
                progress.looked_at(deployment, page.len(), |looked_at| News { looked_at, plan: None })
            })
            .await?;
            Ok::<Part, Status>(part.into_inner().unwrap_or_else(PoisonError::into_inner))
        };
        let mut all = Part::new(walks, self.entries_max);
        for part in try_join_all(deployment.store.layout().shards().map(walk)).await? {
            all.add(part);
        }
        let told = Tallied { campaign: &self.campaign, coming: &self.coming };
        Ok(wire::CampaignPlan { entries: all.first.into_entries(), ..told.write(all.tallies) })
    }

    fn look(
        &self,
        deployment: &Deployment,
        trial: &Trial<'_>,
        shard: Shard,
        page: &[StoredUser],
        part: &mut Part,
    ) {
        let mut looking = Looking { run: self, deployment, trial, shard, part };
        match &self.campaign.when {
            When::Manual => page.iter().for_each(|user| looking.by_hand(user)),
            _ => {
                for (place, fired) in self.coming.fired.iter().enumerate() {
                    looking.occurrence((place, fired), page);
                }
            }
        }
    }

    /// A triggered campaign is tried with the latest events that it names.
    async fn plan_events(
        &self,
        deployment: &Deployment,
        trial: &Trial<'_>,
        progress: &Progress<News>,
    ) -> Result<wire::CampaignPlan, Status> {
        let mut all = Part::new(1, self.entries_max);
        let events = rehearse::latest_events(deployment, &self.campaign, usize::MAX, self.now).await?;
        for (shard, user, entry) in &events {
            let mut looking = Looking { run: self, deployment, trial, shard: *shard, part: &mut all };
            looking.entry(user, entry);
            progress.looked_at(deployment, 1, |looked_at| News { looked_at, plan: None })?;
        }
        let told = Tallied { campaign: &self.campaign, coming: &self.coming };
        Ok(wire::CampaignPlan { entries: all.first.into_entries(), ..told.write(all.tallies) })
    }
}

/// What was found in a shard.
struct Part {
    /// One for each occurrence, or one in all.
    tallies: Vec<PlannedTally>,
    first: FirstEntries,
}

impl Part {
    fn new(walks: usize, entries_max: usize) -> Part {
        let first = FirstEntries::new(entries_max, limits::PLAN_BYTES_MAX);
        Part { tallies: vec![PlannedTally::default(); walks], first }
    }

    fn add(&mut self, other: Part) {
        self.tallies.iter_mut().zip(other.tallies).for_each(|(tally, other)| tally.add(other));
        self.first.add(other.first);
    }
}

/// A plan on its way through a shard's users.
struct Looking<'a> {
    run: &'a DryRun,
    deployment: &'a Deployment,
    trial: &'a Trial<'a>,
    shard: Shard,
    part: &'a mut Part,
}

/// A send that would be planned, of the occurrence in this place.
struct Sending<'a> {
    place: usize,
    occurrence_at: Option<Timestamp>,
    user: &'a StoredUser,
    candidate: Candidate<'a>,
    send: &'a DueSend,
}

impl Looking<'_> {
    fn occurrence(&mut self, (place, fired): (usize, &Fired), page: &[StoredUser]) {
        let DryRun { record, campaign, segments, .. } = self.run;
        let layout = self.deployment.store.layout();
        let planning =
            Planning { no: record.no, revision: record.revision, destination: Default::default(), campaign };
        let occurrence = OccurrenceKey { campaign: record.no, at: fired.at };
        let chunk = Chunk { occurrence, users: page, last: u64::MAX };
        let planned = plan(record, &planning, (layout, segments), chunk, fired.fires_at);
        self.part.tallies[place].count(&planned.counts);
        let user_of = |no| page.binary_search_by_key(&no, |user| user.no).ok().and_then(|i| page.get(i));
        for entry in &planned.entries {
            let Some(user) = user_of(entry.due.send.user) else { continue };
            let profile = Some(&user.profile);
            let candidate = Candidate { profile, entry: None, at: fired.fires_at, step: None, counted: None };
            let (occurrence_at, send) = (Some(fired.at), &entry.due.send);
            self.send(&Sending { place, occurrence_at, user, candidate, send });
        }
        for row in &planned.ended {
            let (Some(user), Ended::Suppressed(reason)) = (user_of(row.user), row.ended) else { continue };
            let key = (row.due_at, user.profile.id.clone(), place);
            if self.part.first.wants(&key) {
                let told = wire::PlannedEntry {
                    user_id: user.profile.id.clone(),
                    occurrence_at: Some(timestamp(fired.at)),
                    suppression: suppression(reason) as i32,
                    detail: row.text.clone(),
                    send_id: self.id(row.send_id(layout, self.shard)),
                    ..Default::default()
                };
                self.part.first.put(key, told);
            }
        }
    }

    /// As if everybody in the audience were entered now.
    fn by_hand(&mut self, user: &StoredUser) {
        if !self.trial.is_in_audience(&user.profile, self.run.now) {
            self.part.tallies[0].refuse(Refusal::NotInAudience);
            return;
        }
        self.entry(user, &EntryData::Values(self.run.values.clone()));
    }

    /// Somebody who enters by an event or by hand.
    fn entry(&mut self, user: &StoredUser, entry: &EntryData) {
        let profile = Some(&user.profile);
        let candidate =
            Candidate { profile, entry: Some(entry), at: self.run.now, step: None, counted: None };
        let tally = &mut self.part.tallies[0];
        if let Some((reason, text)) = self.trial.refused(&candidate) {
            return tally.note(Fate::Refused(reason, text));
        }
        match self.trial.planned(&candidate) {
            Err((reason, text)) => tally.note(Fate::Suppressed(reason, text)),
            Ok(send) => {
                tally.enter();
                self.send(&Sending { place: 0, occurrence_at: None, user, candidate, send: &send });
            }
        }
    }

    /// What would become of a send.
    fn send(&mut self, sending: &Sending<'_>) {
        let Sending { place, user, candidate, send, .. } = sending;
        let campaign = &self.run.campaign;
        let id = self.id_of(sending);
        let send_id = if id.is_empty() { NO_SEND } else { &id };
        let planned = Planned { send, send_id };
        let course = self.trial.course(candidate, planned);
        let key = (send.due_at, user.profile.id.clone(), *place);
        let is_refused = matches!(course.fate, Fate::Refused(..));
        if !is_refused && self.part.first.wants(&key) {
            let told = self.tell(sending, &id, planned, &course);
            self.part.first.put(key, told);
        }
        let expires_at = campaign.throttle.map(|_| campaign.expires_at(send.due_at, &user.profile));
        self.part.tallies[*place].end(course, expires_at);
    }

    fn tell(
        &self,
        sending: &Sending<'_>,
        id: &str,
        planned: Planned<'_>,
        course: &Course,
    ) -> wire::PlannedEntry {
        let mut told = wire::PlannedEntry {
            user_id: sending.user.profile.id.clone(),
            occurrence_at: sending.occurrence_at.map(timestamp),
            send_id: id.to_owned(),
            ..Default::default()
        };
        match &course.fate {
            Fate::Sent(_) => {
                let head = first_attempt(planned.send_id, &self.run.record.id, course.at);
                let masked = self.trial.masked(&sending.candidate, planned, course.at);
                told.request = masked.map(|request| shown(&request, &head));
            }
            Fate::Suppressed(reason, text) => {
                (told.suppression, told.detail) = (suppression(*reason) as i32, text.clone());
            }
            Fate::Waits(_, text) | Fate::Refused(_, text) | Fate::Skipped(text) => {
                told.detail.clone_from(text)
            }
        }
        told
    }

    /// Known beforehand for occurrences of a stored campaign.
    fn id_of(&self, sending: &Sending<'_>) -> String {
        if sending.occurrence_at.is_none() {
            return String::new();
        }
        let layout = self.deployment.store.layout();
        let user_id = &sending.user.profile.id;
        self.id(SendId::of(layout, self.shard, self.run.record.no, user_id, sending.send))
    }

    fn id(&self, id: SendId) -> String {
        if self.run.record.no.0 == 0 { String::new() } else { id.to_string() }
    }
}
