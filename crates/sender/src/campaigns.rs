//! What this sender knows of campaigns, secrets, segments and settings: loaded when a send needs them, forgotten when they change.
//!
//! A revision never changes, so it is compiled once. A record is as new as the control word of the send it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::draft::Draft;
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Changed, Store, StoreError};
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_core::signature::Key;
use campanile_core::webhook::Unsendable;

/// Past these all are forgotten; whatever is needed is loaded again. Compiling costs a hundred deliveries: what is known of a campaign
/// and what was compiled from it stay equally long.
const RECORDS_MAX: usize = 20_000;
const COMPILED_MAX: usize = 20_000;

#[derive(Default)]
pub struct Campaigns {
    cursor: String,
    secrets: Arc<Secrets>,
    limits: Arc<DeploymentLimits>,
    segments: Arc<Segments>,
    records: HashMap<CampaignNo, Arc<CampaignRecord>>,
    compiled: HashMap<(CampaignNo, u32), Arc<Compiled>>,
    /// Of campaigns that conditions ask about.
    numbers: HashMap<String, Option<CampaignNo>>,
}

/// A revision, ready to be sent by.
pub struct Compiled {
    pub campaign: Campaign,
    /// What each version of each action signs with.
    pub keys: Vec<Vec<Result<Vec<Key>, Unsendable>>>,
}

/// All that is needed to decide on a send and to render it.
#[derive(Clone)]
pub struct Live {
    pub record: Arc<CampaignRecord>,
    pub compiled: Arc<Compiled>,
    pub secrets: Arc<Secrets>,
    /// As of the last look: a change of the settings is followed, not waited for.
    pub limits: Arc<DeploymentLimits>,
    pub segments: Arc<Segments>,
    /// The campaigns of which its conditions ask what the user had, those that exist.
    pub looks_back: Vec<(String, CampaignNo)>,
}

impl Campaigns {
    /// Forgets what changed since the last time.
    pub async fn follow(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let changes = store.changes(&self.cursor).await?;
        if changes.secrets || changes.campaigns == Changed::All {
            self.secrets = Arc::new(Secrets::from_iter(store.secrets().await?));
            self.compiled.clear();
        }
        if changes.settings || changes.campaigns == Changed::All {
            self.limits = Arc::new(limits(store).await?);
        }
        if changes.segments {
            self.segments = Arc::new(store.read_segments(&self.segments).await?);
        }
        if !matches!(&changes.campaigns, Changed::These(numbers) if numbers.is_empty()) {
            self.numbers.retain(|_, no| no.is_some());
        }
        match changes.campaigns {
            Changed::All => self.records.clear(),
            Changed::These(numbers) => {
                for no in numbers {
                    self.records.remove(&no);
                }
            }
        }
        self.cursor = changes.cursor;
        Ok(())
    }

    /// A campaign under one revision, at least as new as `epoch`. The inner `Err` says why this version cannot read it.
    pub async fn live(
        &mut self,
        store: &dyn Store,
        no: CampaignNo,
        revision: u32,
        epoch: u64,
    ) -> Result<Result<Live, String>, StoreError> {
        if self.cursor.is_empty() {
            self.follow(store).await?;
        }
        let Some(record) = self.record(store, no, epoch).await? else {
            return Ok(Err(format!("campaign {} is not in the store", no.0)));
        };
        let mut compiled = self.compiled(store, &record, revision).await?;
        let lacks = |compiled: &Compiled| compiled.lacks(&self.secrets, &self.segments);
        let never_send = self.limits.never_send();
        let lacks_it = never_send.is_some_and(|name| self.segments.missing_in(name).is_some());
        if lacks_it || compiled.as_ref().is_ok_and(|compiled| lacks(compiled)) {
            // It may have been put a moment ago.
            self.follow(store).await?;
            compiled = self.compiled(store, &record, revision).await?;
        }
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(text) => return Ok(Err(text)),
        };
        let mut looks_back = Vec::with_capacity(compiled.campaign.looks_back.len());
        for id in &compiled.campaign.looks_back {
            looks_back.extend(self.number(store, id).await?.map(|no| (id.clone(), no)));
        }
        let (secrets, limits, segments) = (self.secrets.clone(), self.limits.clone(), self.segments.clone());
        Ok(Ok(Live { record, compiled, secrets, limits, segments, looks_back }))
    }

    /// The number of the campaign of this id. None: there is none, as of the last change.
    async fn number(&mut self, store: &dyn Store, id: &str) -> Result<Option<CampaignNo>, StoreError> {
        if let Some(no) = self.numbers.get(id) {
            return Ok(*no);
        }
        if self.numbers.len() >= RECORDS_MAX {
            self.numbers.clear();
        }
        let no = store.campaign(id).await?.map(|record| record.no);
        self.numbers.insert(id.to_owned(), no);
        Ok(no)
    }

    async fn record(
        &mut self,
        store: &dyn Store,
        no: CampaignNo,
        epoch: u64,
    ) -> Result<Option<Arc<CampaignRecord>>, StoreError> {
        if let Some(record) = self.records.get(&no).filter(|record| record.epoch >= epoch) {
            return Ok(Some(record.clone()));
        }
        // What was saved before the campaign became what it is, settings as well as segments, holds for its sends.
        self.follow(store).await?;
        let Some(record) = store.campaigns(&[no]).await?.pop() else { return Ok(None) };
        if self.records.len() >= RECORDS_MAX {
            self.records.clear();
        }
        let record = Arc::new(record);
        self.records.insert(no, record.clone());
        Ok(Some(record))
    }

    async fn compiled(
        &mut self,
        store: &dyn Store,
        record: &CampaignRecord,
        revision: u32,
    ) -> Result<Result<Arc<Compiled>, String>, StoreError> {
        if let Some(compiled) = self.compiled.get(&(record.no, revision)) {
            return Ok(Ok(compiled.clone()));
        }
        let name = format!("revision {revision} of campaign {}", record.id);
        let draft = if record.revision == revision {
            record.draft.clone()
        } else {
            match store.revision(record.no, revision).await {
                Ok(Some(draft)) => draft,
                Ok(None) => return Ok(Err(format!("{name} is not in the store"))),
                Err(error @ StoreError::Foreign { .. }) => return Ok(Err(format!("{name}: {error}"))),
                Err(error) => return Err(error),
            }
        };
        let compiled = match compile(record, draft, &self.secrets) {
            Ok(compiled) => Arc::new(compiled),
            Err(text) => return Ok(Err(format!("{name} cannot be read: {text}"))),
        };
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.clear();
        }
        self.compiled.insert((record.no, revision), compiled.clone());
        Ok(Ok(compiled))
    }
}

/// Nothing is sent past limits that this version cannot read.
async fn limits(store: &dyn Store) -> Result<DeploymentLimits, StoreError> {
    let Some(record) = store.settings().await? else { return Ok(DeploymentLimits::default()) };
    DeploymentLimits::read(&record.settings)
        .map_err(|faults| StoreError::Foreign { place: "settings".to_owned(), text: faults.to_string() })
}

impl Compiled {
    /// Something it names is not there.
    fn lacks(&self, secrets: &Secrets, segments: &Segments) -> bool {
        let mut names = self.campaign.actions.iter().flat_map(Action::secrets);
        names.any(|name| secrets.get(name).is_none()) || segments.missing(&self.campaign.named).is_some()
    }
}

fn compile(record: &CampaignRecord, draft: Draft, secrets: &Secrets) -> Result<Compiled, String> {
    let campaign = Campaign::compile_saved(draft, record.created_at).map_err(|faults| faults.to_string())?;
    let keys_of = |action: &Action| action.webhooks().map(|webhook| webhook.signing_keys(secrets)).collect();
    let keys = campaign.actions.iter().map(keys_of).collect();
    Ok(Compiled { campaign, keys })
}
