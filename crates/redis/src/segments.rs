//! Segments and lists of users: one hash, read whole; its version says whether anything changed. A list's ids are read one list at a time.

use campanile_core::ports::{Answer, StoreError};
use campanile_core::segment::SegmentRecord;
use campanile_core::segment_port::SegmentStore;
use campanile_core::user_list::{ListRecord, UserIds};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arguments::Arguments;
use crate::keys;
use crate::store::RedisStore;

/// What a document is kept under.
const SEGMENT: &str = "s";
const LIST: &str = "l";

impl RedisStore {
    async fn all_documents<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, StoreError> {
        let arguments = Arguments::new().bytes("all").bytes(kind);
        let mut reply = self.run_on(&[keys::SEGMENTS], &self.scripts.read_segments, arguments).await?;
        let _version = reply.int()?;
        let mut documents = Vec::new();
        while !reply.is_empty() {
            match serde_json::from_slice(&reply.bytes()?) {
                Ok(document) => documents.push(document),
                // One foreign document must not hide the others.
                Err(error) => tracing::error!(%error, "a stored segment or list is left out"),
            }
        }
        Ok(documents)
    }

    async fn one_list(&self, name: &str) -> Result<Option<(ListRecord, UserIds)>, StoreError> {
        let place = keys::list_ids(name);
        let arguments = Arguments::new().bytes("ids").bytes(name);
        let mut reply =
            self.run_on(&[keys::SEGMENTS, &place], &self.scripts.read_segments, arguments).await?;
        let _version = reply.int()?;
        if reply.is_empty() {
            return Ok(None);
        }
        let (document, ids) = (reply.bytes()?, reply.bytes()?);
        let foreign = |text: String| StoreError::Foreign { place: place.clone(), text };
        let record = serde_json::from_slice(&document).map_err(|e| foreign(e.to_string()))?;
        Ok(Some((record, UserIds::unpack(&ids).map_err(foreign)?)))
    }

    async fn change_group(&self, list: Option<&str>, arguments: Arguments) -> Result<bool, StoreError> {
        let keys: Vec<String> =
            std::iter::once(keys::SEGMENTS.to_owned()).chain(list.map(keys::list_ids)).collect();
        Ok(self.run_on(&keys, &self.scripts.segments, arguments).await?.int()? == 1)
    }
}

fn put(kind: &str, name: &str, revision: u32, document: &impl Serialize) -> Result<Arguments, StoreError> {
    let json = serde_json::to_vec(document).map_err(|e| StoreError::Refused(format!("write {name}: {e}")))?;
    Ok(Arguments::new().bytes("put").bytes(kind).bytes(name).number(revision).bytes(json))
}

fn delete(kind: &str, name: &str, revision: u32) -> Arguments {
    Arguments::new().bytes("delete").bytes(kind).bytes(name).number(revision)
}

impl SegmentStore for RedisStore {
    fn segments(&self) -> Answer<'_, Vec<SegmentRecord>> {
        Box::pin(async move {
            let mut segments: Vec<SegmentRecord> = self.all_documents(SEGMENT).await?;
            segments.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(segments)
        })
    }

    fn save_segment(&self, record: SegmentRecord) -> Answer<'_, bool> {
        Box::pin(async move {
            let arguments = put(SEGMENT, &record.name, record.revision, &record)?;
            self.change_group(None, arguments).await
        })
    }

    fn delete_segment<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool> {
        Box::pin(async move { self.change_group(None, delete(SEGMENT, name, revision)).await })
    }

    fn user_lists(&self) -> Answer<'_, Vec<ListRecord>> {
        Box::pin(async move {
            let mut lists: Vec<ListRecord> = self.all_documents(LIST).await?;
            lists.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(lists)
        })
    }

    fn user_list<'a>(&'a self, name: &'a str) -> Answer<'a, Option<(ListRecord, UserIds)>> {
        Box::pin(self.one_list(name))
    }

    fn put_user_list(&self, record: ListRecord, ids: UserIds) -> Answer<'_, bool> {
        Box::pin(async move {
            let arguments = put(LIST, &record.name, record.revision, &record)?.bytes(ids.pack());
            self.change_group(Some(&record.name), arguments).await
        })
    }

    fn delete_user_list<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool> {
        Box::pin(async move { self.change_group(Some(name), delete(LIST, name, revision)).await })
    }
}
