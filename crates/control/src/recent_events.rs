//! The latest events with what campaigns decided about them: read from the shards, filtered, named.
//!
//! `watch` follows every shard by event number; it costs the store nothing while nobody watches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::draft::Draft;
use campanile_core::due_send::{SendId, user_hash};
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::RecentEvents;
use campanile_core::recent_event::{Decided, Met, RecentEvent};
use campanile_proto::v1 as wire;
use futures_util::future::try_join_all;
use tonic::Status;

use crate::deployment::Deployment;
use crate::explain::write_event;
use crate::status;
use crate::write_campaign::timestamp;
use crate::write_stats::refusal;

/// How often a watch looks for news.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// Events that a watch holds for a caller who reads slowly.
pub const WATCH_HELD_MAX: usize = 1_000;

/// Which events are meant, with names looked up.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub user: Option<(Shard, UserNo)>,
    pub campaign: Option<CampaignNo>,
    pub names: Vec<String>,
}

impl Filter {
    /// None: there is no such user, so there are no such events.
    pub async fn read(deployment: &Deployment, from: wire::EventFilter) -> Result<Option<Filter>, Status> {
        let campaign = match from.campaign_id.as_str() {
            "" => None,
            id => Some(deployment.campaign(id).await?.no),
        };
        let user = match from.user_id.as_str() {
            "" => None,
            id => match deployment.user(id).await? {
                Some(user) => Some((deployment.store.layout().shard_of(id), user.no)),
                None => return Ok(None),
            },
        };
        Ok(Some(Filter { user, campaign, names: from.names }))
    }

    fn takes(&self, event: &RecentEvent) -> bool {
        self.user.is_none_or(|(_, user)| user == event.user)
            && self.campaign.is_none_or(|no| event.met.iter().any(|met| met.campaign == no))
            && (self.names.is_empty() || self.names.contains(&event.event.name))
    }

    fn shards(&self, deployment: &Deployment) -> Vec<Shard> {
        match self.user {
            Some((shard, _)) => vec![shard],
            None => deployment.store.layout().shards().collect(),
        }
    }
}

/// The latest that fit, newest first. Foreign bytes are passed over.
pub async fn latest(
    deployment: &Deployment,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<(Shard, RecentEvent)>, Status> {
    let shards = filter.shards(deployment);
    let read = shards.iter().map(|shard| deployment.store.recent_events(*shard, 0, limits::RECENT_MAX));
    let pages = try_join_all(read).await.map_err(status::store)?;
    let mut found: Vec<(Shard, RecentEvent)> = Vec::new();
    for (shard, page) in shards.into_iter().zip(pages) {
        let events = page.rows.iter().filter_map(|row| RecentEvent::decode(&row.bytes).ok());
        found.extend(events.filter(|event| filter.takes(event)).map(|event| (shard, event)));
    }
    found.sort_by_key(|(_, event)| std::cmp::Reverse((event.accepted_at, event.number)));
    found.truncate(limit);
    Ok(found)
}

pub async fn list(
    deployment: &Deployment,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<wire::SeenEvent>, Status> {
    let found = latest(deployment, filter, limit).await?;
    Named::new(deployment).seen(&found).await
}

pub type Tell = tokio::sync::mpsc::Sender<Result<wire::WatchEventsResponse, Status>>;

/// Where a watch of these events begins: the number of the next event of each shard.
pub async fn begin(deployment: &Deployment, filter: &Filter) -> Result<Vec<(Shard, u64)>, Status> {
    let shards = filter.shards(deployment);
    let ends = shards.iter().map(|shard| deployment.store.recent_events(*shard, u64::MAX, 0));
    let ends = try_join_all(ends).await.map_err(status::store)?;
    Ok(shards.into_iter().zip(ends).map(|(shard, end)| (shard, end.head)).collect())
}

/// Tells of events from there on until the caller goes away. A caller that does not follow misses what its channel cannot hold.
pub async fn watch(
    deployment: &Arc<Deployment>,
    filter: &Filter,
    mut places: Vec<(Shard, u64)>,
    tell: &Tell,
) -> Result<(), Status> {
    let store = deployment.store.as_ref();
    let mut named = Named::new(deployment);
    let mut missed = 0;
    while !tell.is_closed() && !deployment.stopping.is_cancelled() {
        let read = places.iter().map(|(shard, from)| store.recent_events(*shard, *from, limits::RECENT_MAX));
        let pages = try_join_all(read).await.map_err(status::store)?;
        let mut found = Vec::new();
        for ((shard, next), page) in places.iter_mut().zip(pages) {
            missed += take(*shard, page, next, &mut found);
        }
        let is_quiet = found.is_empty();
        found.retain(|(_, event)| filter.takes(event));
        found.sort_by_key(|(_, event)| (event.accepted_at, event.number));
        for seen in named.seen(&found).await? {
            match tell.try_send(Ok(wire::WatchEventsResponse { seen: Some(seen), missed })) {
                Ok(()) => missed = 0,
                Err(_) => missed += 1,
            }
        }
        if is_quiet {
            tokio::select! {
                () = tell.closed() => return Ok(()),
                () = deployment.stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }
    Ok(())
}

/// Takes a page of a shard, moves on behind it, and answers how many events came and went unseen.
fn take(shard: Shard, page: RecentEvents, next: &mut u64, found: &mut Vec<(Shard, RecentEvent)>) -> i64 {
    let gone = page.rows.first().map_or(0, |first| first.number.saturating_sub(*next));
    // Rows may be written after the head was read.
    let last = page.rows.last().map_or(0, |last| last.number + 1);
    // A page that reaches its bound has lost what is older; a smaller gap is of events whose users are gone.
    let lost = if page.rows.len() >= limits::RECENT_MAX { gone } else { 0 };
    *next = (*next).max(page.head).max(last);
    let events = page.rows.iter().filter_map(|row| RecentEvent::decode(&row.bytes).ok());
    found.extend(events.map(|event| (shard, event)));
    i64::try_from(lost).unwrap_or(i64::MAX)
}

/// Names of users and campaigns, looked up once.
struct Named<'a> {
    deployment: &'a Deployment,
    /// Ids, and numbers of first actions.
    campaigns: HashMap<CampaignNo, (String, u8)>,
}

impl<'a> Named<'a> {
    fn new(deployment: &'a Deployment) -> Named<'a> {
        Named { deployment, campaigns: HashMap::new() }
    }

    /// In the order given; an event whose user is gone has no user id.
    async fn seen(&mut self, events: &[(Shard, RecentEvent)]) -> Result<Vec<wire::SeenEvent>, Status> {
        let store = self.deployment.store.as_ref();
        let mut users: HashMap<Shard, Vec<UserNo>> = HashMap::new();
        let mut campaigns: Vec<CampaignNo> = Vec::new();
        for (shard, event) in events {
            let of_shard = users.entry(*shard).or_default();
            if !of_shard.contains(&event.user) {
                of_shard.push(event.user);
            }
            for met in &event.met {
                if !self.campaigns.contains_key(&met.campaign) && !campaigns.contains(&met.campaign) {
                    campaigns.push(met.campaign);
                }
            }
        }
        if !campaigns.is_empty() {
            let records = store.campaigns(&campaigns).await.map_err(status::store)?;
            self.campaigns.extend(
                records.into_iter().map(|record| (record.no, (record.id, first_action(&record.draft)))),
            );
        }
        let mut ids: HashMap<(Shard, UserNo), String> = HashMap::new();
        for (shard, numbers) in &users {
            let found = store.load_users(*shard, numbers).await.map_err(status::store)?;
            ids.extend(found.into_iter().flatten().map(|user| ((*shard, user.no), user.profile.id)));
        }
        let seen = events.iter().map(|(shard, event)| {
            let user_id = ids.get(&(*shard, event.user)).map_or("", String::as_str);
            self.write(*shard, user_id, event)
        });
        Ok(seen.collect())
    }

    fn write(&self, shard: Shard, user_id: &str, event: &RecentEvent) -> wire::SeenEvent {
        let mut written = write_event(user_id, &event.event);
        written.user_id = user_id.to_owned();
        wire::SeenEvent {
            event: Some(written),
            accepted_at: Some(timestamp(event.accepted_at)),
            met: event.met.iter().map(|met| self.met(shard, user_id, event, met)).collect(),
            imported: event.is_imported,
            properties_left_out: event.is_cut,
        }
    }

    fn met(&self, shard: Shard, user_id: &str, event: &RecentEvent, met: &Met) -> wire::CampaignMet {
        let (campaign_id, action) = self.campaigns.get(&met.campaign).cloned().unwrap_or_default();
        match &met.decided {
            Decided::Entered { key, due_at } => {
                let id = send_id(self.deployment, shard, (met.campaign, event.user, *key, action), user_id);
                wire::CampaignMet {
                    campaign_id,
                    send_ids: vec![id.to_string()],
                    due_at: Some(timestamp(*due_at)),
                    ..Default::default()
                }
            }
            Decided::Refused(reason, text) => wire::CampaignMet {
                campaign_id,
                refusal: refusal(*reason) as i32,
                detail: text.clone(),
                ..Default::default()
            },
        }
    }
}

/// The number of a campaign's first action.
fn first_action(draft: &Draft) -> u8 {
    draft.actions.first().and_then(|first| first.number).unwrap_or(0)
}

/// The first send of an entry.
pub fn send_id(
    deployment: &Deployment,
    shard: Shard,
    (campaign, user, key, action): (CampaignNo, UserNo, u64, u8),
    user_id: &str,
) -> SendId {
    let layout = deployment.store.layout();
    let user_hash = user_hash(layout, user_id);
    SendId { birth: layout.birth, shard, campaign, user, user_hash, key, action }
}
