//! How many users an audience has: all of them are looked at, so the number is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::ports::StoredUser;
use campanile_core::secret::Secrets;
use campanile_proto::v1 as wire;
use campanile_proto::v1::estimate_audience_request::Subject as Asked;
use campanile_scheduler::occurrence::first_due;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tonic::Status;

use crate::deployment::Deployment;
use crate::dry_run::{Answers, Progress, answers, everybody};
use crate::imagined::{self, Subject};
use crate::status;
use crate::trial::{Trial, as_if_active};

type News = wire::EstimateAudienceResponse;

pub async fn estimate(
    deployment: Arc<Deployment>,
    request: wire::EstimateAudienceRequest,
) -> Result<Answers<News>, Status> {
    let now = deployment.now();
    let (record, campaign) = subject(&deployment, request.subject, now).await?;
    Ok(answers(|progress| async move { count(&deployment, &record, &campaign, now, &progress).await }))
}

async fn subject(
    deployment: &Deployment,
    asked: Option<Asked>,
    now: Timestamp,
) -> Result<(CampaignRecord, Campaign), Status> {
    let subject = match asked {
        Some(Asked::CampaignId(id)) => Subject::Stored(id),
        Some(Asked::Campaign(campaign)) => Subject::Written(Box::new(campaign)),
        Some(Asked::Audience(audience)) => Subject::Written(Box::new(around(audience))),
        None => {
            let text = "is missing: name a campaign, or give one or an audience";
            return Err(status::invalid_field("campaign_id", text));
        }
    };
    imagined::subject(deployment, Some(subject), now).await
}

/// A campaign that has this audience, and is checked like any other.
fn around(audience: wire::Audience) -> wire::Campaign {
    let webhook = wire::Webhook { url: "https://audience.example".to_owned(), ..Default::default() };
    let kind = wire::delivery::Kind::Manual(wire::Manual::default());
    wire::Campaign {
        id: "audience".to_owned(),
        audience: Some(audience),
        delivery: Some(wire::Delivery { kind: Some(kind), ..Default::default() }),
        webhook: Some(webhook),
        ..Default::default()
    }
}

async fn count(
    deployment: &Deployment,
    record: &CampaignRecord,
    campaign: &Campaign,
    now: Timestamp,
    progress: &Progress<News>,
) -> Result<News, Status> {
    let record = as_if_active(record);
    let secrets = Secrets::unchecked();
    let limits = DeploymentLimits::default();
    let segments = deployment.segments().await.map_err(status::store)?;
    let trial = Trial::new((&record, campaign), (&secrets, &segments), &deployment.policy, &limits);
    let next_at = record.schedule.next_at.or_else(|| first_due(campaign, now).ok()?.next_at);
    let own = next_at.filter(|_| campaign.zones.are_own).map(|named| campaign.own_occurrence(named));
    // Each user's own instant where their own clocks count.
    let due_at = |user: &StoredUser| {
        let zone = own.as_ref().and_then(|_| campaign.zones.of(&user.profile));
        let own_at = own.as_ref().zip(zone).and_then(|(own, zone)| own.in_zone(&zone));
        own_at.or(next_at).unwrap_or(now)
    };
    let (audience, held_back) = (AtomicI64::new(0), AtomicI64::new(0));
    let (in_audience, in_holdback) = (&audience, &held_back);
    let news = |users, is_complete| News {
        users,
        audience: in_audience.load(Relaxed),
        held_back: in_holdback.load(Relaxed),
        is_complete,
    };
    let count_page = |page: &[StoredUser]| {
        for user in page.iter().filter(|user| trial.is_in_audience(&user.profile, due_at(user))) {
            in_audience.fetch_add(1, Relaxed);
            in_holdback.fetch_add(i64::from(campaign.holds_back(&user.profile.id)), Relaxed);
        }
        progress.looked_at(deployment, page.len(), |users| news(users, false))
    };
    let shards = deployment.store.layout().shards();
    try_join_all(shards.map(|shard| everybody(deployment, campaign, shard, count_page))).await?;
    Ok(news(progress.all(), true))
}
