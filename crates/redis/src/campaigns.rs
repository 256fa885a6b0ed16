//! Campaigns: small, few, read by everybody. Names lie on one slot, each record on its own, changes on a third.
//!
//! A creation that stopped half-way left a name with a number and no record: the next one of that id goes on with this number. A
//! change is announced before a record is written and reported after, so that followers hear of it whoever dies in between.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, DestinationNo};
use campanile_core::ports::{Answer, Campaigns, Changed, Changes, StoreError};
use futures_util::future::{try_join_all, try_join4};
use serde::de::DeserializeOwned;

use crate::arguments::{Arguments, at_most};
use crate::keys;
use crate::reply::foreign;
use crate::store::RedisStore;

/// Names of one call.
const NAMES_MAX: usize = 500;

impl RedisStore {
    async fn create_campaign(
        &self,
        mut record: CampaignRecord,
    ) -> Result<Option<CampaignRecord>, StoreError> {
        let arguments = Arguments::new().bytes(record.id.as_str());
        let mut reply = self.run_on(&keys::NAMES, &self.scripts.name_campaign, arguments).await?;
        record.no = campaign_no(reply.int()?)?;
        record.version = 0;
        self.write_campaign(record).await
    }

    /// Writes `record` over the version it carries; answers it with the next one.
    async fn write_campaign(&self, mut record: CampaignRecord) -> Result<Option<CampaignRecord>, StoreError> {
        let read = record.version;
        record.version += 1;
        let place = keys::campaign(record.no);
        let json = |fault: serde_json::Error| StoreError::Refused(format!("write {place}: {fault}"));
        let no = record.no.0.to_string();
        let arguments = Arguments::new()
            .number(read)
            .number(record.version)
            .bytes(serde_json::to_vec(&record).map_err(json)?)
            .bytes(serde_json::to_vec(&record.draft).map_err(json)?);
        let mut change = self
            .run_on(&keys::CHANGES, &self.scripts.begin_change, Arguments::new().bytes(no.as_str()))
            .await?;
        let change = Arguments::new().bytes(no).bytes(change.bytes()?);
        let keys = [place, keys::revision(record.no, record.revision)];
        let written = self.run_on(&keys, &self.scripts.save_campaign, arguments).await?.int()? == 1;
        self.run_on(&keys::CHANGES, &self.scripts.end_change, change).await?;
        Ok(written.then_some(record))
    }

    async fn find(&self, how: &str, id: &str, limit: usize) -> Result<(Vec<CampaignNo>, String), StoreError> {
        let arguments = Arguments::new().bytes(how).bytes(id).number(limit);
        let mut reply = self.run_on(&keys::NAMES, &self.scripts.find_campaigns, arguments).await?;
        let with_last = usize::from(how == "after");
        let mut numbers = Vec::new();
        while reply.left() > with_last {
            numbers.push(campaign_no(reply.int()?)?);
        }
        let last = if reply.is_empty() { String::new() } else { reply.text()? };
        Ok((numbers, last))
    }

    async fn read_json<T: DeserializeOwned>(&self, key: String, what: &str) -> Result<Option<T>, StoreError> {
        let arguments = Arguments::new().bytes(what);
        let mut reply = self.run_on(&[&key], &self.scripts.read_campaign, arguments).await?;
        let Some(json) = reply.optional()? else { return Ok(None) };
        match serde_json::from_slice(&json) {
            Ok(value) => Ok(Some(value)),
            Err(e) => Err(StoreError::Foreign { place: key, text: e.to_string() }),
        }
    }

    /// Records by number; a foreign one is passed over, so that it stops only itself.
    async fn records(&self, numbers: &[CampaignNo]) -> Result<Vec<CampaignRecord>, StoreError> {
        let reads = numbers.iter().map(|no| async {
            match self.read_json::<CampaignRecord>(keys::campaign(*no), "record").await {
                Err(e @ StoreError::Foreign { .. }) => {
                    tracing::error!(campaign = no.0, error = %e, "a campaign's stored record is foreign");
                    Ok(None)
                }
                other => other,
            }
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    async fn list_after(&self, after: &str, limit: usize) -> Result<Vec<CampaignRecord>, StoreError> {
        let limit = limit.min(limits::PAGE_MAX);
        let mut records = Vec::new();
        let mut after = after.to_owned();
        // Names without a record are left out; go on until the page is full.
        while records.len() < limit {
            let (numbers, last) = self.find("after", &after, limit - records.len()).await?;
            records.extend(self.records(&numbers).await?);
            if last.is_empty() {
                break;
            }
            after = last;
        }
        Ok(records)
    }

    async fn changes_since(&self, cursor: &str) -> Result<Changes, StoreError> {
        let known = read_cursor(cursor);
        let since = known.map(|[seq, ..]| seq.to_string()).unwrap_or_default();
        let version = || Arguments::new().bytes("version");
        let (mut changes, mut secrets, settings, mut segments) = try_join4(
            self.run_on(&keys::CHANGES, &self.scripts.changes, Arguments::new().bytes(since)),
            self.run_on(&[keys::SECRETS], &self.scripts.read_secrets, version()),
            self.settings_revision(),
            self.run_on(&[keys::SEGMENTS], &self.scripts.read_segments, version()),
        )
        .await?;
        let (now, all) = (changes.int()?, changes.int()? == 1);
        let (secrets, segments) = (secrets.int()?, segments.int()?);
        let mut numbers = Vec::new();
        while !changes.is_empty() {
            numbers.push(campaign_no(changes.int()?)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Changes {
            cursor: format!("{now}.{secrets}.{settings}.{segments}"),
            campaigns: if all { Changed::All } else { Changed::These(numbers) },
            secrets: known.is_none_or(|[_, seen, ..]| seen != secrets),
            settings: known.is_none_or(|[_, _, seen, _]| seen != settings),
            segments: known.is_none_or(|[.., seen]| seen != segments),
        })
    }

    async fn name_destinations(&self, names: &[String]) -> Result<Vec<DestinationNo>, StoreError> {
        at_most("destinations", names.len(), NAMES_MAX)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let arguments = names.iter().fold(Arguments::new(), |arguments, name| arguments.bytes(name.as_str()));
        let mut reply = self.run_on(&keys::DESTINATIONS, &self.scripts.name_destinations, arguments).await?;
        let mut numbers = Vec::with_capacity(names.len());
        for _ in names {
            let no = u32::try_from(reply.int()?)
                .map_err(|_| foreign("name_destinations", "a number over 32 bits"))?;
            numbers.push(DestinationNo(no));
        }
        Ok(numbers)
    }
}

/// The last change that was seen, of campaigns, secrets and settings.
fn read_cursor(cursor: &str) -> Option<[i64; 4]> {
    let mut numbers = cursor.split('.').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?, next()?])
}

fn campaign_no(n: i64) -> Result<CampaignNo, StoreError> {
    match u32::try_from(n) {
        Ok(no) if no > 0 => Ok(CampaignNo(no)),
        _ => Err(StoreError::Foreign {
            place: keys::NAMES[0].to_owned(),
            text: format!("campaign number {n}"),
        }),
    }
}

impl Campaigns for RedisStore {
    fn create(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        Box::pin(self.create_campaign(record))
    }

    fn campaign<'a>(&'a self, id: &'a str) -> Answer<'a, Option<CampaignRecord>> {
        Box::pin(async move {
            match self.find("one", id, 1).await?.0.first() {
                Some(no) => self.read_json(keys::campaign(*no), "record").await,
                None => Ok(None),
            }
        })
    }

    fn campaigns<'a>(&'a self, numbers: &'a [CampaignNo]) -> Answer<'a, Vec<CampaignRecord>> {
        Box::pin(self.records(numbers))
    }

    fn list_campaigns<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<CampaignRecord>> {
        Box::pin(self.list_after(after, limit))
    }

    fn save_campaign(&self, record: CampaignRecord) -> Answer<'_, Option<CampaignRecord>> {
        Box::pin(self.write_campaign(record))
    }

    fn revision(&self, no: CampaignNo, revision: u32) -> Answer<'_, Option<Draft>> {
        Box::pin(self.read_json(keys::revision(no, revision), "revision"))
    }

    fn changes<'a>(&'a self, cursor: &'a str) -> Answer<'a, Changes> {
        Box::pin(self.changes_since(cursor))
    }

    fn destinations<'a>(&'a self, names: &'a [String]) -> Answer<'a, Vec<DestinationNo>> {
        Box::pin(self.name_destinations(names))
    }
}
