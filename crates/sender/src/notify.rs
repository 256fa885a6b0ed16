//! Delivers the deployment's own notices to `notify_url`: looks which campaigns and destinations have some, takes one for a while by
//! writing that down where it stands, posts it, and takes it off, or writes down when it is tried again.
//!
//! They pass the guard and the deadline of every request, and count in no breaker: a far end of notices is told of nowhere. Several senders share them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::attempt::Outcome;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::destination::StoredDestination;
use campanile_core::destination_port::BreakerChange;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::notice::{Notice, Subject};
use campanile_core::notify::NotifyTarget;
use campanile_core::number::{CampaignNo, DestinationNo};
use campanile_core::ports::{Changed, Store, StoreError};
use campanile_core::retry::RetrySchedule;
use campanile_core::secret::Secrets;
use campanile_core::settings::SettingsRecord;
use campanile_core::webhook::Unsendable;
use campanile_core::webhook_headers::AttemptHead;
use jiff::Timestamp;

use crate::claim::Parts;
use crate::measure;
use crate::outgoing::{Outgoing, outgoing};

/// How often is looked, and how many are posted at most each time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const POSTS_MAX: usize = 16;
/// How long a notice is nobody else's: its sender may die.
const TAKEN_FOR: Duration = Duration::from_secs(60);
/// How long one exchange may last, shorter than it is taken for.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// Somebody else was faster this many times: what it came to is written down the next time.
const TRIES_MAX: usize = 16;

/// What is known of notices that wait, and where they go.
#[derive(Default)]
struct Notices {
    cursor: String,
    destinations_seen: u64,
    secrets: Arc<Secrets>,
    settings: Option<SettingsRecord>,
    target: Option<NotifyTarget>,
    /// Campaigns were not looked at while there was no target.
    unread: bool,
    campaigns: HashMap<CampaignNo, CampaignRecord>,
    destinations: HashMap<DestinationNo, StoredDestination>,
}

/// Where a notice stands.
#[derive(Clone, Copy)]
enum Place {
    Campaign(CampaignNo),
    Destination(DestinationNo),
}

/// Runs until the sender stops.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut notices = Notices::default();
    let mut is_away = false;
    while !parts.shutdown.is_cancelled() {
        match notices.pass(&parts).await {
            Ok(()) => is_away = false,
            Err(error) if !is_away => {
                tracing::warn!(%error, "notices wait for the store");
                is_away = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = parts.shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Notices {
    async fn pass(&mut self, parts: &Parts) -> Result<(), StoreError> {
        let store = parts.store.as_ref();
        self.follow(parts, store).await?;
        parts.means.far_ends.tell_notices(self.target.is_some());
        if self.target.is_none() {
            return Ok(());
        }
        for (place, id) in self.due(parts.clock.now()).into_iter().take(POSTS_MAX) {
            if parts.shutdown.is_cancelled() {
                return Ok(());
            }
            self.deliver(parts, place, &id).await?;
        }
        Ok(())
    }

    /// Reads what changed; of campaigns and destinations only those that have something to tell are kept.
    async fn follow(&mut self, parts: &Parts, store: &dyn Store) -> Result<(), StoreError> {
        let changes = store.changes(&self.cursor).await?;
        let is_all = changes.campaigns == Changed::All;
        if changes.settings || changes.secrets || is_all {
            self.settings = store.settings().await?;
            self.secrets = Arc::new(Secrets::from_iter(store.secrets().await?));
            self.target = self.read_target(parts);
        }
        match changes.campaigns {
            _ if self.target.is_none() => self.unread = true,
            Changed::These(numbers) if !self.unread => {
                for record in store.campaigns(&numbers).await? {
                    self.learn(record);
                }
            }
            _ => self.read_all(store).await?,
        }
        self.cursor = changes.cursor;
        if self.target.is_some() {
            let followed = store.follow_destinations(self.destinations_seen).await?;
            if let Some(destinations) = followed.destinations {
                self.destinations_seen = followed.version;
                let telling = destinations.into_iter().filter(|end| !end.breaker.notices.is_empty());
                self.destinations = telling.map(|end| (end.no, end)).collect();
            }
        }
        Ok(())
    }

    /// What was checked when it was set may have lost its secret since: that is said, and notices wait.
    fn read_target(&self, parts: &Parts) -> Option<NotifyTarget> {
        let settings = self.settings.as_ref()?;
        let mut faults = Faults::default();
        let target = NotifyTarget::read(&settings.settings, &self.secrets, &parts.means.policy, &mut faults);
        if !faults.is_empty() {
            tracing::error!(%faults, "notices cannot be sent");
        }
        target
    }

    async fn read_all(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.campaigns.clear();
        let mut after = String::new();
        loop {
            let page = store.list_campaigns(&after, limits::PAGE_MAX).await?;
            let is_last = page.len() < limits::PAGE_MAX;
            after = page.last().map(|record| record.id.clone()).unwrap_or(after);
            page.into_iter().for_each(|record| self.learn(record));
            if is_last {
                self.unread = false;
                return Ok(());
            }
        }
    }

    fn learn(&mut self, record: CampaignRecord) {
        match record.notices.is_empty() {
            true => self.campaigns.remove(&record.no),
            false => self.campaigns.insert(record.no, record),
        };
    }

    /// The oldest first. What happened before somebody said where notices go is not told.
    fn due(&self, now: Timestamp) -> Vec<(Place, String)> {
        let since = self.settings.as_ref().and_then(|settings| settings.notify_since);
        let of_campaigns = self
            .campaigns
            .values()
            .flat_map(|record| record.notices.iter().map(|notice| (Place::Campaign(record.no), notice)));
        let of_destinations = self
            .destinations
            .values()
            .flat_map(|end| end.breaker.notices.iter().map(|notice| (Place::Destination(end.no), notice)));
        let mut due: Vec<(Place, &Notice)> = of_campaigns
            .chain(of_destinations)
            .filter(|(_, notice)| notice.is_due(now) && since.is_none_or(|since| notice.at >= since))
            .collect();
        due.sort_by_key(|(_, notice)| (notice.at, notice.id.clone()));
        due.into_iter().map(|(place, notice)| (place, notice.id.clone())).collect()
    }

    /// Takes the notice, posts it, and writes down what it came to. Somebody else's is left alone.
    async fn deliver(&mut self, parts: &Parts, place: Place, id: &str) -> Result<(), StoreError> {
        let now = parts.clock.now();
        let store = parts.store.as_ref();
        let taken_until = now.checked_add(TAKEN_FOR).unwrap_or(Timestamp::MAX);
        let take = |notices: &mut Vec<Notice>| {
            let notice = notices.iter_mut().find(|notice| notice.id == id && notice.is_due(now))?;
            notice.attempts = notice.attempts.saturating_add(1);
            notice.next_at = Some(taken_until);
            Some(notice.clone())
        };
        let Some(notice) = self.change(store, place, take, 1).await? else { return Ok(()) };
        let outcome = self.post(parts, place, &notice, now).await;
        let is_told = outcome.as_ref().is_ok_and(is_success);
        let text = match &outcome {
            Ok(outcome) => outcome.text(),
            Err(unsendable) => unsendable.detail.clone(),
        };
        let wait = RetrySchedule::long().wait_after(notice.attempts, (parts.means.jitter)());
        let next_at = wait.and_then(|wait| parts.clock.now().checked_add(wait).ok());
        measure::notice(if is_told {
            "told"
        } else if next_at.is_some() {
            "retried"
        } else {
            "given_up"
        });
        match (is_told, next_at) {
            (true, _) => tracing::info!(notice = notice.id, kind = notice.what.name(), "notice told"),
            (false, Some(at)) => {
                tracing::warn!(notice = notice.id, kind = notice.what.name(), outcome = text, %at, "notice not taken; tried again");
            }
            (false, None) => {
                tracing::error!(
                    notice = notice.id,
                    kind = notice.what.name(),
                    outcome = text,
                    "notice given up"
                );
            }
        }
        let settle = |notices: &mut Vec<Notice>| {
            let at = notices.iter().position(|there| there.id == id && there.attempts == notice.attempts)?;
            match next_at.filter(|_| !is_told) {
                Some(next_at) => notices[at].next_at = Some(next_at),
                None => drop(notices.remove(at)),
            }
            Some(())
        };
        self.change(store, place, settle, TRIES_MAX).await.map(drop)
    }

    async fn post(
        &self,
        parts: &Parts,
        place: Place,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<Outcome, Unsendable> {
        let outgoing = self.outgoing(parts, place, notice, now)?;
        Ok(parts.means.wire.exchange(outgoing, EXCHANGE_TIMEOUT).await)
    }

    fn outgoing(
        &self,
        parts: &Parts,
        place: Place,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<Outgoing, Unsendable> {
        let unknown = || Unsendable {
            reason: campanile_core::reason::Suppression::BodyInvalid,
            detail: "it is not known where notices go".to_owned(),
        };
        let target = self.target.as_ref().ok_or_else(unknown)?;
        let (subject, campaign_id) = match place {
            Place::Campaign(no) => {
                let record = self.campaigns.get(&no).ok_or_else(unknown)?;
                (Subject::Campaign { id: &record.id, title: &record.draft.title }, record.id.as_str())
            }
            Place::Destination(no) => {
                (Subject::Destination(&self.destinations.get(&no).ok_or_else(unknown)?.name), "")
            }
        };
        let (request, shown) = target.requests(notice, subject, (&self.secrets, &parts.means.policy))?;
        let keys = target.signing_keys(&self.secrets)?;
        // Two deployments may tell one far end.
        let birth: String = parts.store.layout().birth.iter().map(|byte| format!("{byte:02x}")).collect();
        let head = AttemptHead {
            send_id: &format!("notice-{birth}-{}", notice.id),
            campaign_id,
            number: notice.attempts,
            at: now,
            version: &parts.means.version,
        };
        match &parts.means.divert {
            None => outgoing(&request, &head, &keys),
            Some(divert) => divert.outgoing(shown, &head, &keys),
        }
    }

    /// Changes the notices where they stand, by comparing. None: there is nothing to change, or somebody else was faster each time.
    async fn change<T>(
        &mut self,
        store: &dyn Store,
        place: Place,
        mut change: impl FnMut(&mut Vec<Notice>) -> Option<T>,
        tries: usize,
    ) -> Result<Option<T>, StoreError> {
        for _ in 0..tries {
            match place {
                Place::Campaign(no) => {
                    let Some(mut record) = store.campaigns(&[no]).await?.pop() else { return Ok(None) };
                    let Some(changed) = change(&mut record.notices) else {
                        self.learn(record);
                        return Ok(None);
                    };
                    if let Some(saved) = store.save_campaign(record).await? {
                        self.learn(saved);
                        return Ok(Some(changed));
                    }
                }
                Place::Destination(no) => {
                    let followed = store.follow_destinations(0).await?.destinations.unwrap_or_default();
                    let Some(mut end) = followed.into_iter().find(|end| end.no == no) else {
                        self.destinations.remove(&no);
                        return Ok(None);
                    };
                    let Some(changed) = change(&mut end.breaker.notices) else { return Ok(None) };
                    let write = BreakerChange {
                        no,
                        version: end.breaker_version,
                        breaker: Some(end.breaker.clone()),
                    };
                    if store.save_breakers(&[write]).await?.first() == Some(&true) {
                        end.breaker_version += 1;
                        match end.breaker.notices.is_empty() {
                            true => self.destinations.remove(&no),
                            false => self.destinations.insert(no, end),
                        };
                        return Ok(Some(changed));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn is_success(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answered(_)) && (200..300).contains(&outcome.status())
}
