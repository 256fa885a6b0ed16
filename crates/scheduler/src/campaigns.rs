//! What this process knows of campaigns: records and compiled definitions, followed by their changes, found by event name. Losing it
//! loses nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::conversion::Conversion;
use campanile_core::draft::{Draft, Kind, TriggerOn};
use campanile_core::event::Event;
use campanile_core::fault::Faults;
use campanile_core::happening::{Happening, trigger_of};
use campanile_core::limits;
use campanile_core::number::{CampaignNo, DestinationNo, Shard};
use campanile_core::ports::{Changed, Store, StoreError};
use campanile_core::segments::Segments;
use campanile_core::watch::{self, Watch};
use jiff::Timestamp;

use crate::plan::Planned;

/// Every campaign, as of the last refresh.
#[derive(Default)]
pub struct Campaigns {
    cursor: String,
    known: BTreeMap<CampaignNo, Known>,
    by_event: HashMap<String, BTreeSet<CampaignNo>>,
    /// By what sets them off that is not an event.
    by_happening: HashMap<TriggerOn, BTreeSet<CampaignNo>>,
    by_cancel: HashMap<String, BTreeSet<CampaignNo>>,
    by_conversion: HashMap<String, BTreeSet<CampaignNo>>,
    numbers: HashMap<String, CampaignNo>,
    watches: Vec<Watch>,
    /// What conditions name, as of the last refresh.
    pub segments: Arc<Segments>,
    by_step: HashMap<String, BTreeSet<CampaignNo>>,
    /// Each shard's control number up to which campaigns are known.
    seen: HashMap<Shard, u64>,
    /// Campaigns whose control words are still to be shown.
    pub unshown: BTreeSet<CampaignNo>,
    /// Something changed since `listening` has looked.
    pub unheard: bool,
}

/// One campaign.
pub struct Known {
    pub record: CampaignRecord,
    /// The record's revision. None: a draft, over, or a definition that this version cannot read; then it is left alone, loudly.
    pub compiled: Option<Arc<Compiled>>,
    /// What counts as its success, also after it is over: an event may follow its last send by days.
    pub conversion: Option<Arc<Conversion>>,
    /// The older revisions that open occurrences were decided under.
    older: BTreeMap<u32, Arc<Compiled>>,
    /// When it was first activated.
    pub began_at: Option<Timestamp>,
}

/// A revision, with what is looked up once for it.
#[derive(Debug)]
pub struct Compiled {
    pub campaign: Campaign,
    /// Of its first action, where the URL is constant.
    pub destination: DestinationNo,
    /// The same of every action that has one, by number.
    pub destinations: BTreeMap<u8, DestinationNo>,
}

impl Known {
    /// The newest revision, for planning.
    pub fn planned(&self) -> Option<Planned<'_>> {
        self.planned_as(self.record.revision)
    }

    /// A revision that is the newest, or that an open occurrence was decided under.
    pub fn planned_as(&self, revision: u32) -> Option<Planned<'_>> {
        let compiled = self.compiled(revision)?;
        let (no, destination) = (self.record.no, compiled.destination);
        Some(Planned { no, revision, destination, campaign: &compiled.campaign })
    }

    /// Of an action of the newest revision, where its URL is constant.
    pub fn destination_of(&self, action: u8) -> DestinationNo {
        let known = self.compiled.as_ref().and_then(|compiled| compiled.destinations.get(&action));
        known.copied().unwrap_or_default()
    }

    fn compiled(&self, revision: u32) -> Option<&Arc<Compiled>> {
        if revision == self.record.revision { self.compiled.as_ref() } else { self.older.get(&revision) }
    }
}

impl Campaigns {
    /// Reads what changed since the last time.
    pub async fn refresh(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let changes = store.changes(&self.cursor).await?;
        let records = match changes.campaigns {
            Changed::These(numbers) if numbers.is_empty() => Vec::new(),
            Changed::These(numbers) => store.campaigns(&numbers).await?,
            Changed::All => read_all(store).await?,
        };
        let watching = |record: &CampaignRecord| !watch::watched(&record.draft).is_empty();
        let is_watch = records.iter().any(watching) || !self.watches.is_empty() && !records.is_empty();
        for record in records {
            self.learn(store, record).await?;
        }
        if is_watch {
            self.watch();
        }
        if changes.segments {
            self.segments = Arc::new(store.read_segments(&self.segments).await?);
        }
        self.cursor = changes.cursor;
        Ok(())
    }

    /// As `refresh`, for pages of these control numbers. A control word is shown after its campaign was written, so a refresh that
    /// begins after a page was read knows at least as much as the page.
    pub async fn refresh_for(&mut self, store: &dyn Store, pages: &[(Shard, u64)]) -> Result<(), StoreError> {
        self.refresh(store).await?;
        self.seen.extend(pages.iter().copied());
        Ok(())
    }

    /// Whether campaigns are known as of this control number of the shard.
    pub fn is_fresh(&self, shard: Shard, control: u64) -> bool {
        self.seen.get(&shard) == Some(&control)
    }

    pub fn get(&self, no: CampaignNo) -> Option<&Known> {
        self.known.get(&no)
    }

    /// The number of the campaign of this id.
    pub fn number(&self, id: &str) -> Option<CampaignNo> {
        self.numbers.get(id).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// The campaigns that an event concerns, drafts left out.
    pub fn naming(&self, event: &Event) -> impl Iterator<Item = &Known> {
        let numbers = match event.happening {
            None => self.by_event.get(&event.name),
            Some(_) => trigger_of(event).and_then(|on| self.by_happening.get(&on)),
        };
        let concerned = event.happening.and_then(Happening::concerns);
        let numbers = numbers.into_iter().flatten();
        let numbers = numbers.filter(move |no| concerned.is_none_or(|concerned| concerned == **no));
        numbers.filter_map(|no| self.known.get(no))
    }

    /// What live campaigns watch of segments.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    fn watch(&mut self) {
        self.watches = self.known.values().flat_map(|known| watch::watches(&known.record)).collect();
    }

    /// The ids of the campaigns whose sends a live campaign listens to.
    pub fn heard(&self) -> BTreeSet<&str> {
        let is_live =
            |no: &CampaignNo| self.known.get(no).is_some_and(|known| known.record.state != State::Ended);
        let listened = self.by_happening.iter().filter(|(_, numbers)| numbers.iter().any(is_live));
        listened.filter_map(|(on, _)| on.campaign()).collect()
    }

    /// The campaigns whose pending entries an event of this name may end.
    pub fn cancelled_by(&self, event: &str) -> impl Iterator<Item = &Known> {
        self.by_cancel.get(event).into_iter().flatten().filter_map(|no| self.known.get(no))
    }

    /// The campaigns whose entries an event of this name may end on their way, or send on.
    pub fn stepping(&self, event: &str) -> impl Iterator<Item = &Known> {
        self.by_step.get(event).into_iter().flatten().filter_map(|no| self.known.get(no))
    }

    /// The campaigns that an event of this name may be a success of.
    pub fn converted_by(&self, event: &str) -> impl Iterator<Item = &Known> {
        self.by_conversion.get(event).into_iter().flatten().filter_map(|no| self.known.get(no))
    }

    /// Takes a record that this process has just written.
    pub fn replace_record(&mut self, record: CampaignRecord) {
        self.unheard = true;
        if let Some(known) = self.known.get_mut(&record.no) {
            if known.record.epoch != record.epoch {
                self.unshown.insert(record.no);
            }
            let is_watch = !watch::watched(&record.draft).is_empty();
            known.record = record;
            if is_watch {
                self.watch();
            }
        }
    }

    /// Takes a record that was read. What this process wrote since may be newer.
    async fn learn(&mut self, store: &dyn Store, record: CampaignRecord) -> Result<(), StoreError> {
        let before = self.known.get(&record.no);
        if before.is_some_and(|before| before.record.version >= record.version) {
            return Ok(());
        }
        let known = know(store, record, before).await?;
        self.unshown.insert(known.record.no);
        self.put(known);
        Ok(())
    }

    fn put(&mut self, known: Known) {
        let no = known.record.no;
        self.unheard = true;
        if let Some(before) = self.known.get(&no) {
            for event in events(&before.record.draft) {
                if let Some(numbers) = self.by_event.get_mut(event) {
                    numbers.remove(&no);
                }
            }
            for on in happenings(&before.record.draft) {
                if let Some(numbers) = self.by_happening.get_mut(on) {
                    numbers.remove(&no);
                }
            }
            for event in cancels(&before.record.draft) {
                if let Some(numbers) = self.by_cancel.get_mut(event) {
                    numbers.remove(&no);
                }
            }
            for event in steps(&before.record.draft) {
                if let Some(numbers) = self.by_step.get_mut(event) {
                    numbers.remove(&no);
                }
            }
            for conversion in before.conversion.iter() {
                if let Some(numbers) = self.by_conversion.get_mut(&conversion.event) {
                    numbers.remove(&no);
                }
            }
        }
        if known.record.state != State::Draft {
            for event in events(&known.record.draft) {
                self.by_event.entry(event.to_owned()).or_default().insert(no);
            }
            for on in happenings(&known.record.draft) {
                self.by_happening.entry(on.clone()).or_default().insert(no);
            }
            for event in cancels(&known.record.draft) {
                self.by_cancel.entry(event.to_owned()).or_default().insert(no);
            }
            for event in steps(&known.record.draft) {
                self.by_step.entry(event.to_owned()).or_default().insert(no);
            }
        }
        for conversion in known.conversion.iter() {
            self.by_conversion.entry(conversion.event.clone()).or_default().insert(no);
        }
        self.numbers.insert(known.record.id.clone(), no);
        self.known.insert(no, known);
    }

    #[cfg(test)]
    pub(crate) fn of(records: Vec<CampaignRecord>) -> Campaigns {
        let mut campaigns = Campaigns::default();
        for record in records {
            let campaign = compile(&record, record.draft.clone());
            let compiled = campaign.map(|campaign| {
                let destination = DestinationNo(record.no.0 + 100);
                Arc::new(Compiled { campaign, destination, destinations: BTreeMap::new() })
            });
            let began_at = began_at(&record);
            let conversion = conversion(&record);
            campaigns.put(Known { record, compiled, conversion, older: BTreeMap::new(), began_at });
        }
        campaigns
    }
}

/// What counts as a success of a campaign that was started.
fn conversion(record: &CampaignRecord) -> Option<Arc<Conversion>> {
    let written = record.draft.conversion.as_ref().filter(|_| record.state != State::Draft)?;
    let mut faults = Faults::default();
    let conversion = Conversion::read(written, &mut faults);
    // One that cannot be read was said with its campaign.
    faults.is_empty().then(|| Arc::new(conversion))
}

/// The events that end pending entries of a draft.
fn cancels(draft: &Draft) -> impl Iterator<Item = &str> {
    let rules = match &draft.delivery.kind {
        Some(Kind::Triggered(triggered)) => triggered.cancel_on.as_slice(),
        _ => &[],
    };
    rules.iter().map(|rule| rule.event.as_str())
}

/// The events that end entries of a draft of several messages, or that they wait for.
fn steps(draft: &Draft) -> impl Iterator<Item = &str> {
    let waits = draft.actions.iter().filter_map(|action| action.wait_for.as_ref());
    draft.exit_on.iter().chain(waits).map(|rule| rule.event.as_str())
}

/// The events that trigger a draft.
fn events(draft: &Draft) -> impl Iterator<Item = &str> {
    draft.triggers().filter_map(|on| match on {
        TriggerOn::Event(name) | TriggerOn::FirstEvent(name) => Some(name.as_str()),
        _ => None,
    })
}

/// What else triggers it.
fn happenings(draft: &Draft) -> impl Iterator<Item = &TriggerOn> {
    draft.triggers().filter(|on| Happening::of(on).is_some())
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

/// A campaign that can still send is compiled, once per revision; the others are only known by name.
async fn know(
    store: &dyn Store,
    record: CampaignRecord,
    before: Option<&Known>,
) -> Result<Known, StoreError> {
    let is_over = matches!(record.state, State::Draft | State::Ended);
    let same = before.filter(|b| b.record.revision == record.revision && b.record.state != State::Draft);
    let compiled = match same {
        _ if is_over => None,
        // Also one that cannot be read: it was said once.
        Some(same) => same.compiled.clone(),
        None => compile_with(store, &record, record.draft.clone()).await?,
    };
    let mut older = BTreeMap::new();
    for open in record.schedule.open.iter().filter(|open| !is_over && open.revision != record.revision) {
        let there = before.and_then(|before| before.compiled(open.revision)).cloned();
        let compiled = match there {
            Some(there) => Some(there),
            None => match store.revision(record.no, open.revision).await? {
                Some(draft) => compile_with(store, &record, draft).await?,
                None => None,
            },
        };
        older.extend(compiled.map(|compiled| (open.revision, compiled)));
    }
    let began_at = began_at(&record);
    let conversion = conversion(&record);
    Ok(Known { record, compiled, conversion, older, began_at })
}

async fn compile_with(
    store: &dyn Store,
    record: &CampaignRecord,
    draft: Draft,
) -> Result<Option<Arc<Compiled>>, StoreError> {
    let Some(campaign) = compile(record, draft) else { return Ok(None) };
    let constant = |action: &Action| Some((action.number, action.constant_destination()?));
    let (actions, names): (Vec<u8>, Vec<String>) = campaign.actions.iter().filter_map(constant).unzip();
    let numbers = if names.is_empty() { Vec::new() } else { store.destinations(&names).await? };
    let destinations: BTreeMap<u8, DestinationNo> = actions.into_iter().zip(numbers).collect();
    let first = campaign.actions.first().and_then(|first| destinations.get(&first.number));
    let destination = first.copied().unwrap_or_default();
    Ok(Some(Arc::new(Compiled { campaign, destination, destinations })))
}

/// A revision of a campaign as it was saved.
pub fn compile(record: &CampaignRecord, draft: Draft) -> Option<Campaign> {
    match Campaign::compile_saved(draft, record.created_at) {
        Ok(campaign) => Some(campaign),
        Err(faults) => {
            tracing::error!(
                campaign = record.id,
                revision = record.revision,
                %faults,
                "a stored campaign cannot be read; it is left alone"
            );
            None
        }
    }
}

/// When a campaign was first activated.
pub fn began_at(record: &CampaignRecord) -> Option<Timestamp> {
    let began = |to| matches!(to, State::Scheduled | State::Active);
    record.transitions.iter().find(|transition| began(transition.to)).map(|transition| transition.at)
}
