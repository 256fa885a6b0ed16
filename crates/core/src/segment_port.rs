//! What the engine asks of a store about segments and lists: few, read whole by everybody, followed by `Campaigns::changes`.

use std::sync::Arc;

use crate::ports::{Answer, StoreError};
use crate::segment::{Segment, SegmentRecord};
use crate::segments::Segments;
use crate::user_list::{ListRecord, UserIds, UserList};

pub trait SegmentStore: Send + Sync {
    /// By name; what this version cannot read is left out.
    fn segments(&self) -> Answer<'_, Vec<SegmentRecord>>;

    /// Writes it if the stored revision is the one before `record.revision` (0: there is none), and reports the change. `false`: it is
    /// not; load again and decide again.
    fn save_segment(&self, record: SegmentRecord) -> Answer<'_, bool>;

    /// If the stored revision is this one.
    fn delete_segment<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool>;

    /// By name, without their ids.
    fn user_lists(&self) -> Answer<'_, Vec<ListRecord>>;

    /// A list with its ids, as one write put them.
    fn user_list<'a>(&'a self, name: &'a str) -> Answer<'a, Option<(ListRecord, UserIds)>>;

    /// As `save_segment`.
    fn put_user_list(&self, record: ListRecord, ids: UserIds) -> Answer<'_, bool>;

    /// If the stored revision is this one.
    fn delete_user_list<'a>(&'a self, name: &'a str, revision: u32) -> Answer<'a, bool>;

    /// Everything as it is now. Ids that `before` has are not read again.
    fn read_segments<'a>(&'a self, before: &'a Segments) -> Answer<'a, Segments> {
        Box::pin(async move {
            let records = self.segments().await?;
            let mut lists = Vec::new();
            for record in self.user_lists().await? {
                match before.list(&record.name) {
                    Some(list) if list.record == record => lists.push(list.clone()),
                    Some(list) if list.record.hash == record.hash => {
                        lists.push(Arc::new(UserList { record, ids: list.ids.clone() }));
                    }
                    // One that cannot be read must not hide the others: whoever names it is told that it is not there.
                    _ => match self.user_list(&record.name).await {
                        Ok(Some((record, ids))) => lists.push(Arc::new(UserList { record, ids })),
                        Ok(None) | Err(StoreError::Foreign { .. }) => {}
                        Err(error) => return Err(error),
                    },
                }
            }
            Ok(Segments::new(records.into_iter().filter_map(Segment::stored).collect(), lists))
        })
    }
}
