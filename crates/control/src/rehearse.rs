//! Rehearsals: some of those a campaign is for go through the real gates before it is started. Posts nothing, stores nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::event::{EntryData, Event};
use campanile_core::limits;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::StoredUser;
use campanile_core::secret::Secrets;
use campanile_proto::v1 as wire;
use campanile_scheduler::occurrence::first_due;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tonic::Status;

use crate::activation_warnings::{Crowd, of_crowd, of_definition};
use crate::campaign_life::check_revision;
use crate::campaign_service::{findings, warnings};
use crate::deployment::Deployment;
use crate::histories;
use crate::imagined::{self, Subject};
use crate::known_names::unknown_attributes;
use crate::recent_events::{self, Filter};
use crate::status;
use crate::tally::Tally;
use crate::trial::{Candidate, Trial, as_if_active};
use crate::write_campaign::write_campaign;

/// What an activation would do, without doing it.
pub async fn validate(
    deployment: &Deployment,
    id: &str,
    expected_revision: u32,
) -> Result<wire::ActivateCampaignResponse, Status> {
    let now = deployment.now();
    let (record, campaign) = imagined::subject(deployment, Some(Subject::Stored(id.to_owned())), now).await?;
    check_revision(&record, expected_revision)?;
    let tried = rehearse(deployment, &record, &campaign, now).await?;
    let (mut found, mut would_expire) = (of_definition(&campaign, now), 0);
    if let Some(crowd) = &tried.crowd {
        let (more, expire) = of_crowd(&campaign, crowd);
        found.extend(more);
        would_expire = expire;
    }
    let unknown = unknown_attributes(deployment, &campaign).await?;
    let rehearsal = wire::Rehearsal { would_expire, ..tried.write() };
    Ok(wire::ActivateCampaignResponse {
        campaign: Some(write_campaign(&record)),
        warnings: [warnings(&campaign), findings(&found), unknown].concat(),
        rehearsal: Some(rehearsal),
    })
}

async fn rehearse(
    deployment: &Deployment,
    record: &CampaignRecord,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Tried, Status> {
    let record = as_if_active(record);
    let limits = deployment.limits().await?;
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let segments = deployment.segments().await.map_err(status::store)?;
    let trial = Trial::new((&record, campaign), (&secrets, &segments), &deployment.policy, &limits);
    match &campaign.when {
        When::OneTime(_) | When::Recurring(_) => {
            let first = first_due(campaign, now).ok().and_then(|first| first.next_at);
            let at = first.unwrap_or(now);
            let tried = AtomicUsize::new(0);
            let shards = deployment.store.layout().shards();
            let walks = shards.map(|shard| walk(deployment, &trial, shard, at, &tried));
            let mut all = Tried::default();
            let mut crowd = Crowd { audience: 0, held_back: 0, at };
            for walked in try_join_all(walks).await? {
                crowd.audience += walked.audience;
                crowd.held_back += walked.held_back;
                all.tally.add(walked.tally);
            }
            Ok(Tried { crowd: Some(crowd), ..all })
        }
        When::Triggered(_) => events(deployment, &trial, now).await,
        When::Manual => Ok(Tried { of: Of::Nobody, ..Tried::default() }),
    }
}

/// Counts the audience among a shard's users, and tries some of it.
async fn walk(
    deployment: &Deployment,
    trial: &Trial<'_>,
    shard: Shard,
    at: Timestamp,
    tried: &AtomicUsize,
) -> Result<Walked, Status> {
    let mut found = Walked::default();
    let mut after = UserNo(0);
    loop {
        let mut page =
            deployment.store.list_users(shard, after, limits::ADVANCE_MAX).await.map_err(status::store)?;
        histories::fill(deployment, trial.campaign, shard, &mut page).await?;
        for user in &page {
            after = user.no;
            let candidate =
                Candidate { profile: Some(&user.profile), entry: None, at, step: None, counted: None };
            if trial.refused_quietly(&candidate) {
                continue;
            }
            found.audience += 1;
            found.held_back += i64::from(trial.campaign.holds_back(&user.profile.id));
            if tried.fetch_add(1, Ordering::Relaxed) < limits::REHEARSED_MAX {
                let candidate = deployment.counted(trial, candidate, user).await?;
                found.tally.note(trial.fate(&candidate));
            }
        }
        if page.len() < limits::ADVANCE_MAX {
            return Ok(found);
        }
    }
}

/// Tries the latest events that the campaign names, as if they happened again now.
async fn events(deployment: &Deployment, trial: &Trial<'_>, now: Timestamp) -> Result<Tried, Status> {
    let mut tried = Tried { of: Of::Events, ..Tried::default() };
    for (_, user, entry) in latest_events(deployment, trial.campaign, limits::REHEARSED_MAX, now).await? {
        let profile = Some(&user.profile);
        let candidate = Candidate { profile, entry: Some(&entry), at: now, step: None, counted: None };
        let candidate = deployment.counted(trial, candidate, &user).await?;
        tried.tally.note(trial.fate(&candidate));
    }
    Ok(tried)
}

/// The latest events that a triggered campaign names, newest first, each with its user as it is now, and as if it happened again at
/// `now`. Those of users who are gone, those that are not kept whole, and what was imported, are left out.
pub async fn latest_events(
    deployment: &Deployment,
    campaign: &Campaign,
    events_max: usize,
    now: Timestamp,
) -> Result<Vec<(Shard, Arc<StoredUser>, EntryData)>, Status> {
    let When::Triggered(triggered) = &campaign.when else { return Ok(Vec::new()) };
    let names = triggered.names().map(str::to_owned).collect();
    let filter = Filter { names, ..Filter::default() };
    let mut found = recent_events::latest(deployment, &filter, usize::MAX).await?;
    found.retain(|(_, event)| !event.is_cut && !event.is_imported);
    found.truncate(events_max);
    let mut wanted = BTreeMap::<Shard, BTreeSet<UserNo>>::new();
    for (shard, event) in &found {
        wanted.entry(*shard).or_default().insert(event.user);
    }
    let mut users = HashMap::new();
    for (shard, wanted) in wanted {
        let wanted: Vec<UserNo> = wanted.into_iter().collect();
        for wanted in wanted.chunks(limits::BATCH_ITEMS_MAX) {
            let loaded = deployment.store.load_users(shard, wanted).await.map_err(status::store)?;
            let mut loaded: Vec<StoredUser> = loaded.into_iter().flatten().collect();
            histories::fill(deployment, campaign, shard, &mut loaded).await?;
            users.extend(loaded.into_iter().map(|user| ((shard, user.no), Arc::new(user))));
        }
    }
    let named = found.into_iter().filter_map(|(shard, event)| {
        let user = users.get(&(shard, event.user))?.clone();
        let entry = EntryData::Event(Event { occurred_at: now, ..event.event.clone() });
        Some((shard, user, entry))
    });
    Ok(named.collect())
}

/// What was found among the users of a shard.
#[derive(Default)]
struct Walked {
    audience: i64,
    held_back: i64,
    tally: Tally,
}

/// What it was tried with.
#[derive(Default, PartialEq, Eq)]
enum Of {
    #[default]
    Users,
    Events,
    Nobody,
}

/// What came of those who were tried.
#[derive(Default)]
struct Tried {
    of: Of,
    tally: Tally,
    /// Where everybody was counted.
    crowd: Option<Crowd>,
}

impl Tried {
    fn write(&self) -> wire::Rehearsal {
        let tally = &self.tally;
        wire::Rehearsal {
            sentence: self.sentence(),
            tried: tally.entered() + tally.all_refused(),
            sent: tally.sent,
            suppressed: tally.write_suppressed(),
            refused: tally.write_refused(),
            audience: self.crowd.map(|crowd| crowd.audience),
            would_expire: 0,
        }
    }

    fn sentence(&self) -> String {
        if self.tally.entered() + self.tally.all_refused() > 0 {
            return self.tally.sentence(true);
        }
        let sentence = match self.of {
            Of::Users => "nobody is in its audience",
            Of::Events => "no event that it names came lately, so there is nothing to try it with",
            Of::Nobody => {
                "users enter it by hand, so there is nobody to try it with; campaign preview shows one"
            }
        };
        sentence.to_owned()
    }
}
