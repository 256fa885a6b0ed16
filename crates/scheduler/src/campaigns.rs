//! What this process knows of campaigns: records and compiled definitions, followed by their changes, found by event name.

use std::collections::{BTreeSet, HashMap};

use campanile_core::campaign::{Campaign, Rules};
use campanile_core::campaign_delivery::{Triggered, When};
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft::{Draft, Kind, TriggerOn};
use campanile_core::limits;
use campanile_core::network::Policy;
use campanile_core::number::{CampaignNo, DestinationNo};
use campanile_core::ports::{Changed, Store, StoreError};
use campanile_core::secret::Secrets;
use jiff::Timestamp;

use crate::plan::Planned;

/// Every campaign, as of the last refresh.
#[derive(Default)]
pub struct Campaigns {
    cursor: String,
    known: HashMap<CampaignNo, Known>,
    by_event: HashMap<String, BTreeSet<CampaignNo>>,
}

/// One campaign.
pub struct Known {
    pub record: CampaignRecord,
    /// None: over, or a definition that this version cannot read; then it is left alone, loudly.
    pub campaign: Option<Campaign>,
    pub destination: DestinationNo,
}

impl Known {
    /// The newest revision, for planning.
    pub fn planned(&self) -> Option<Planned<'_>> {
        let campaign = self.campaign.as_ref()?;
        Some(Planned {
            no: self.record.no,
            revision: self.record.revision,
            destination: self.destination,
            campaign,
        })
    }

    pub fn triggered(&self) -> Option<(Planned<'_>, &Triggered)> {
        let planned = self.planned()?;
        match &planned.campaign.when {
            When::Triggered(triggered) => Some((planned, triggered)),
            _ => None,
        }
    }
}

impl Campaigns {
    /// Reads what changed since the last time; answers the campaigns that did.
    pub async fn refresh(&mut self, store: &dyn Store) -> Result<Vec<CampaignNo>, StoreError> {
        let changes = store.changes(&self.cursor).await?;
        let records = match changes.campaigns {
            Changed::These(numbers) if numbers.is_empty() => Vec::new(),
            Changed::These(numbers) => store.campaigns(&numbers).await?,
            Changed::All => read_all(store).await?,
        };
        if !records.is_empty() {
            for record in &records {
                let known = know(store, record.clone()).await?;
                self.put(known);
            }
        }
        self.cursor = changes.cursor;
        Ok(records.iter().map(|record| record.no).collect())
    }

    pub fn get(&self, no: CampaignNo) -> Option<&Known> {
        self.known.get(&no)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// The campaigns that an event of this name concerns, drafts left out.
    pub fn naming(&self, event: &str) -> impl Iterator<Item = &Known> {
        self.by_event.get(event).into_iter().flatten().filter_map(|no| self.known.get(no))
    }

    /// Takes a record that this process has just written.
    pub fn replace_record(&mut self, record: CampaignRecord) {
        if let Some(known) = self.known.get_mut(&record.no) {
            known.record = record;
        }
    }

    fn put(&mut self, known: Known) {
        let no = known.record.no;
        if let Some(before) = self.known.get(&no) {
            for event in events(&before.record.draft) {
                if let Some(numbers) = self.by_event.get_mut(event) {
                    numbers.remove(&no);
                }
            }
        }
        if known.record.state != State::Draft {
            for event in events(&known.record.draft) {
                self.by_event.entry(event.to_owned()).or_default().insert(no);
            }
        }
        self.known.insert(no, known);
    }
}

/// The events that trigger a draft.
fn events(draft: &Draft) -> impl Iterator<Item = &str> {
    let triggers = match &draft.delivery.kind {
        Some(Kind::Triggered(triggered)) => triggered.when.as_slice(),
        _ => &[],
    };
    triggers.iter().filter_map(|trigger| match &trigger.on {
        TriggerOn::Event(name) => Some(name.as_str()),
        _ => None,
    })
}

async fn read_all(store: &dyn Store) -> Result<Vec<CampaignRecord>, StoreError> {
    let mut all: Vec<CampaignRecord> = Vec::new();
    loop {
        let after = all.last().map(|record| record.id.clone()).unwrap_or_default();
        let page = store.list_campaigns(&after, limits::PAGE_MAX).await?;
        let is_last = page.len() < limits::PAGE_MAX;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// A campaign that can still send is compiled; the others are only known by name.
async fn know(store: &dyn Store, record: CampaignRecord) -> Result<Known, StoreError> {
    let campaign = match record.state {
        State::Draft | State::Ended => None,
        _ => compile(&record, record.draft.clone()),
    };
    let mut destination = DestinationNo::default();
    let constant = campaign.as_ref().and_then(|c| c.actions.first()?.webhook.constant_destination());
    if let Some(name) = constant {
        let numbers = store.destinations(&[name]).await?;
        destination = numbers.into_iter().next().unwrap_or_default();
    }
    Ok(Known { record, campaign, destination })
}

/// A revision of a campaign as it was saved. It was checked then; where it may send is the senders' to say.
pub fn compile(record: &CampaignRecord, draft: Draft) -> Option<Campaign> {
    let (policy, any) = (Policy::unchecked(), Secrets::unchecked());
    match Campaign::compile(draft, &Rules { policy: &policy, secrets: &any, now: since(record) }) {
        Ok(campaign) => Some(campaign),
        Err(faults) => {
            tracing::error!(campaign = record.id, %faults, "a stored campaign cannot be read; it is left alone");
            None
        }
    }
}

fn since(record: &CampaignRecord) -> Timestamp {
    record.created_at
}
