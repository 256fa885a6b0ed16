//! Promises of a store about segments and lists.

use campanile_core::number::Shard;
use campanile_core::ports::{Changed, Store};
use campanile_core::segment::SegmentRecord;
use campanile_core::segments::Segments;
use campanile_core::user_list::UserIds;

use crate::sample::past;

fn record(name: &str, condition: &str, revision: u32) -> SegmentRecord {
    SegmentRecord {
        name: name.to_owned(),
        title: "A title".to_owned(),
        condition: condition.to_owned(),
        revision,
        created_at: past(),
        updated_at: past(),
    }
}

fn ids(of: &[&str]) -> UserIds {
    UserIds::new(of.iter().map(|&id| id.to_owned()).collect()).expect("a list")
}

pub async fn segments_are_kept_by_revision_and_followed(store: &dyn Store, _shard: Shard) {
    let begin = store.changes("").await.expect("the store answers");
    assert!(begin.segments, "everything is new");
    assert_eq!(store.segments().await, Ok(Vec::new()));
    let (first, second) = (record("b", "user.vip", 1), record("a", "user.plan == \"ü\"", 1));
    assert_eq!(store.save_segment(record("b", "user.vip", 2)).await, Ok(false), "there is no revision 1");
    assert_eq!(store.save_segment(first.clone()).await, Ok(true));
    assert_eq!(store.save_segment(first.clone()).await, Ok(false), "it is there");
    assert_eq!(store.save_segment(second.clone()).await, Ok(true));
    assert_eq!(store.segments().await, Ok(vec![second.clone(), first.clone()]));
    let changes = store.changes(&begin.cursor).await.expect("the store answers");
    assert_eq!(
        (changes.campaigns, changes.secrets, changes.segments),
        (Changed::These(Vec::new()), false, true)
    );
    let still = store.changes(&changes.cursor).await.expect("the store answers");
    assert!(!still.segments);
    let newer = record("b", "user.age > 3", 2);
    assert_eq!(store.save_segment(newer.clone()).await, Ok(true));
    assert_eq!(store.delete_segment("b", 1).await, Ok(false), "it has changed");
    assert_eq!(store.delete_segment("b", 2).await, Ok(true));
    assert_eq!(store.delete_segment("b", 2).await, Ok(false));
    assert_eq!(store.delete_segment("none", 0).await, Ok(false));
    assert_eq!(store.segments().await, Ok(vec![second]));
    assert!(store.changes(&still.cursor).await.expect("the store answers").segments);
    // A name may be taken again, from its first revision on.
    assert_eq!(store.save_segment(first).await, Ok(true));
}

pub async fn lists_are_put_whole_and_read_with_their_ids(store: &dyn Store, _shard: Shard) {
    let begin = store.changes("").await.expect("the store answers");
    let (one, other) = (ids(&["mary", "ä\"\n", "bob"]), ids(&["zoe"]));
    let first = one.record("vip", 1, past());
    assert_eq!(store.user_list("vip").await, Ok(None));
    assert_eq!(store.put_user_list(first.clone(), one.clone()).await, Ok(true));
    assert_eq!(store.put_user_list(first.clone(), other.clone()).await, Ok(false), "it is there");
    assert_eq!(store.user_list("vip").await, Ok(Some((first.clone(), one.clone()))));
    let second = other.record("vip", 2, past());
    assert_eq!(store.put_user_list(second.clone(), other.clone()).await, Ok(true));
    assert_eq!(store.user_list("vip").await, Ok(Some((second.clone(), other))));
    assert_eq!(store.user_lists().await, Ok(vec![second]));
    assert_eq!(store.segments().await, Ok(Vec::new()), "a list is no segment");
    assert!(store.changes(&begin.cursor).await.expect("the store answers").segments);
    let read = store.read_segments(Segments::none()).await.expect("the store answers");
    assert!(read.list("vip").is_some_and(|list| list.ids.contains("zoe") && list.ids.len() == 1));
    assert_eq!(store.delete_user_list("vip", 1).await, Ok(false), "it has changed");
    assert_eq!(store.delete_user_list("vip", 2).await, Ok(true));
    assert_eq!(store.user_list("vip").await, Ok(None));
    assert_eq!(store.user_lists().await, Ok(Vec::new()));
}

pub async fn the_largest_list_is_kept(store: &dyn Store, _shard: Shard) {
    use campanile_core::limits::{USER_LIST_BYTES_MAX, USER_LIST_IDS_MAX};
    let width = USER_LIST_BYTES_MAX / USER_LIST_IDS_MAX;
    let all = (0..USER_LIST_IDS_MAX).map(|n| format!("{n:0width$}")).collect();
    let largest = UserIds::new(all).expect("it fits");
    let record = largest.record("largest", 1, past());
    assert_eq!(store.put_user_list(record.clone(), largest.clone()).await, Ok(true));
    let (kept, ids) = store.user_list("largest").await.expect("the store answers").expect("it is there");
    assert!(kept == record && ids == largest);
}
