//! Rehearsals: some of those a campaign is for go through the real gates before it is started. Posts nothing, stores nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::event::{EntryData, Event};
use campanile_core::limits;
use campanile_core::number::{Shard, UserNo};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::Secrets;
use campanile_proto::v1 as wire;
use campanile_scheduler::occurrence::first_due;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tonic::Status;

use crate::campaign_life::check_revision;
use crate::campaign_service::warnings;
use crate::deployment::Deployment;
use crate::imagined::{self, Subject};
use crate::recent_events::{self, Filter};
use crate::status;
use crate::trial::{Candidate, Fate, Trial, as_if_active};
use crate::write_campaign::write_campaign;
use crate::write_stats::{refusal, suppression};

/// What an activation would do, without doing it.
pub async fn validate(
    deployment: &Deployment,
    id: &str,
    expected_revision: u32,
) -> Result<wire::ActivateCampaignResponse, Status> {
    let now = deployment.now();
    let (record, campaign) = imagined::subject(deployment, Some(Subject::Stored(id.to_owned())), now).await?;
    check_revision(&record, expected_revision)?;
    let rehearsal = rehearse(deployment, &record, &campaign, now).await?;
    Ok(wire::ActivateCampaignResponse {
        campaign: Some(write_campaign(&record)),
        warnings: warnings(&campaign),
        rehearsal: Some(rehearsal),
    })
}

async fn rehearse(
    deployment: &Deployment,
    record: &CampaignRecord,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<wire::Rehearsal, Status> {
    let record = as_if_active(record);
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let trial = Trial::new((&record, campaign), &secrets, &deployment.policy);
    match &campaign.when {
        When::OneTime(_) | When::Recurring(_) => {
            let first = first_due(campaign, now).ok().and_then(|first| first.next_at);
            let at = first.unwrap_or(now);
            let tried = AtomicUsize::new(0);
            let shards = deployment.store.layout().shards();
            let walks = shards.map(|shard| walk(deployment, &trial, shard, at, &tried));
            let mut all = Tally::default();
            try_join_all(walks).await?.into_iter().for_each(|tally| all.add(tally));
            let audience = all.audience;
            Ok(wire::Rehearsal { audience: Some(audience), ..all.write() })
        }
        When::Triggered(triggered) => {
            let names = triggered.triggers.iter().map(|trigger| trigger.event.clone()).collect();
            let filter = Filter { names, ..Filter::default() };
            Ok(events(deployment, &trial, &filter, now).await?.write())
        }
        When::Manual => Ok(wire::Rehearsal {
            sentence: "users enter it by hand, so there is nobody to try it with; campaign preview shows one"
                .to_owned(),
            ..Default::default()
        }),
    }
}

/// Counts the audience among a shard's users, and tries some of it.
async fn walk(
    deployment: &Deployment,
    trial: &Trial<'_>,
    shard: Shard,
    at: Timestamp,
    tried: &AtomicUsize,
) -> Result<Tally, Status> {
    let mut tally = Tally::default();
    let mut after = UserNo(0);
    loop {
        let page =
            deployment.store.list_users(shard, after, limits::ADVANCE_MAX).await.map_err(status::store)?;
        for user in &page {
            after = user.no;
            let candidate = Candidate { profile: Some(&user.profile), entry: None, at };
            if trial.refused_quietly(&candidate) {
                continue;
            }
            tally.audience += 1;
            if tried.fetch_add(1, Ordering::Relaxed) < limits::REHEARSED_MAX {
                tally.note(trial.fate(&candidate));
            }
        }
        if page.len() < limits::ADVANCE_MAX {
            return Ok(tally);
        }
    }
}

/// Tries the latest events that the campaign names, as if they happened again now.
async fn events(
    deployment: &Deployment,
    trial: &Trial<'_>,
    filter: &Filter,
    now: Timestamp,
) -> Result<Tally, Status> {
    let mut tally = Tally { by_events: true, ..Tally::default() };
    let found = recent_events::latest(deployment, filter, limits::RECENT_MAX).await?;
    let whole = found.into_iter().filter(|(_, event)| !event.is_cut && !event.is_imported);
    for (shard, event) in whole.take(limits::REHEARSED_MAX) {
        let users = deployment.store.load_users(shard, &[event.user]).await.map_err(status::store)?;
        let Some(user) = users.into_iter().flatten().next() else { continue };
        let entry = EntryData::Event(Event { occurred_at: now, ..event.event.clone() });
        let candidate = Candidate { profile: Some(&user.profile), entry: Some(&entry), at: now };
        tally.note(trial.fate(&candidate));
    }
    Ok(tally)
}

/// What came of those who were tried.
#[derive(Default)]
struct Tally {
    audience: i64,
    by_events: bool,
    sent: i64,
    waits: i64,
    refused: BTreeMap<Refusal, i64>,
    suppressed: BTreeMap<Suppression, i64>,
    /// The first that was said against a send, else against an entry.
    suppressed_because: Option<String>,
    refused_because: Option<String>,
}

impl Tally {
    fn note(&mut self, fate: Fate) {
        match fate {
            Fate::Sent(_) => self.sent += 1,
            Fate::Waits(_, text) => {
                self.waits += 1;
                self.suppressed_because.get_or_insert(text);
            }
            Fate::Refused(reason, text) => {
                *self.refused.entry(reason).or_default() += 1;
                self.refused_because.get_or_insert(text);
            }
            Fate::Suppressed(reason, text) => {
                *self.suppressed.entry(reason).or_default() += 1;
                self.suppressed_because.get_or_insert(text);
            }
        }
    }

    fn add(&mut self, other: Tally) {
        self.audience += other.audience;
        self.sent += other.sent;
        self.waits += other.waits;
        for (reason, n) in other.refused {
            *self.refused.entry(reason).or_default() += n;
        }
        for (reason, n) in other.suppressed {
            *self.suppressed.entry(reason).or_default() += n;
        }
        self.suppressed_because = self.suppressed_because.take().or(other.suppressed_because);
        self.refused_because = self.refused_because.take().or(other.refused_because);
    }

    fn write(&self) -> wire::Rehearsal {
        let refused: i64 = self.refused.values().sum();
        let suppressed: i64 = self.suppressed.values().sum();
        wire::Rehearsal {
            sentence: self.sentence(refused, suppressed),
            tried: self.sent + self.waits + refused + suppressed,
            sent: self.sent,
            suppressed: self
                .suppressed
                .iter()
                .map(|(reason, count)| wire::SuppressionCount {
                    reason: suppression(*reason) as i32,
                    count: *count,
                })
                .collect(),
            refused: self
                .refused
                .iter()
                .map(|(reason, count)| wire::RefusalCount { reason: refusal(*reason) as i32, count: *count })
                .collect(),
            audience: None,
        }
    }

    /// `97 would be sent, 3 suppressed: user.first_name is missing`.
    fn sentence(&self, refused: i64, suppressed: i64) -> String {
        if self.sent + self.waits + refused + suppressed == 0 {
            return if self.by_events {
                "no event that it names came lately, so there is nothing to try it with".to_owned()
            } else {
                "nobody is in its audience".to_owned()
            };
        }
        let because = |text: &Option<String>| text.as_ref().map_or(String::new(), |text| format!(": {text}"));
        let mut parts = vec![format!("{} would be sent", self.sent)];
        if refused > 0 {
            parts.push(format!("{refused} would not enter{}", because(&self.refused_because)));
        }
        if self.waits > 0 {
            parts.push(format!("{} would wait{}", self.waits, because(&self.suppressed_because)));
        }
        if suppressed > 0 {
            parts.push(format!("{suppressed} suppressed{}", because(&self.suppressed_because)));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_is_told_in_one_sentence() {
        let mut tally = Tally::default();
        assert_eq!(tally.write().sentence, "nobody is in its audience");
        tally.sent = 97;
        for _ in 0..3 {
            let why = "`user.first_name` is missing".to_owned();
            tally.note(Fate::Suppressed(Suppression::TemplateMissingValue, why));
        }
        let told = tally.write();
        assert_eq!(told.sentence, "97 would be sent, 3 suppressed: `user.first_name` is missing");
        assert_eq!((told.tried, told.sent, told.suppressed[0].count), (100, 97, 3));
        tally.note(Fate::Refused(Refusal::ConditionFalse, "x was false".to_owned()));
        assert_eq!(
            tally.write().sentence,
            "97 would be sent, 1 would not enter: x was false, 3 suppressed: `user.first_name` is missing"
        );
    }
}
