//! Pure. Static lists of user ids: put as they come, kept sorted and packed, searched without allocation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits;

/// What the store keeps of a list beside its ids; compared by `revision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    pub name: String,
    pub users: u32,
    /// Of all ids together.
    pub bytes: u64,
    /// Names its ids: equal hashes, equal ids. Hexadecimal.
    pub hash: String,
    /// 1 at first; grows by one whenever it is put.
    pub revision: u32,
    pub updated_at: Timestamp,
}

/// The ids of a list, sorted by bytes, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserIds {
    text: String,
    /// Where each id ends in `text`.
    ends: Vec<u32>,
}

/// A list ready to be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserList {
    pub record: ListRecord,
    pub ids: UserIds,
}

impl UserIds {
    /// Of ids in any order. The error names the bound that would be passed.
    pub fn new(mut ids: Vec<String>) -> Result<UserIds, String> {
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > limits::USER_LIST_IDS_MAX {
            let most = limits::USER_LIST_IDS_MAX;
            return Err(format!("a list has at most {most} ids, this one would have {}", ids.len()));
        }
        let bytes: usize = ids.iter().map(String::len).sum();
        if bytes > limits::USER_LIST_BYTES_MAX {
            let most = limits::USER_LIST_BYTES_MAX;
            return Err(format!("the ids of a list have at most {most} bytes together, these have {bytes}"));
        }
        let mut packed = UserIds { text: String::with_capacity(bytes), ends: Vec::with_capacity(ids.len()) };
        for id in ids {
            packed.text.push_str(&id);
            packed.ends.push(packed.text.len() as u32);
        }
        Ok(packed)
    }

    pub fn contains(&self, id: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).unwrap_or("").cmp(id) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn get(&self, place: usize) -> Option<&str> {
        let begin = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        self.text.get(begin as usize..*self.ends.get(place)? as usize)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// Those after `after`, in order.
    pub fn after<'a>(&'a self, after: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().skip_while(move |id| !after.is_empty() && *id <= after)
    }

    /// As it is stored: a JSON list.
    pub fn pack(&self) -> Vec<u8> {
        let ids: Vec<&str> = self.iter().collect();
        serde_json::to_vec(&ids).unwrap_or_default()
    }

    pub fn unpack(bytes: &[u8]) -> Result<UserIds, String> {
        UserIds::new(serde_json::from_slice(bytes).map_err(|e| format!("a list of user ids: {e}"))?)
    }

    /// What the store keeps beside them.
    pub fn record(&self, name: &str, revision: u32, updated_at: Timestamp) -> ListRecord {
        let hash = Sha256::digest(self.pack());
        ListRecord {
            name: name.to_owned(),
            users: self.len() as u32,
            bytes: self.text.len() as u64,
            hash: hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            revision,
            updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(of: &[&str]) -> UserIds {
        UserIds::new(of.iter().map(|&id| id.to_owned()).collect()).unwrap()
    }

    #[test]
    fn ids_are_sorted_and_there_once() {
        let list = ids(&["mary", "b", "ann", "mary", "ä"]);
        assert_eq!(list.iter().collect::<Vec<_>>(), ["ann", "b", "mary", "ä"]);
        assert_eq!(list.after("b").collect::<Vec<_>>(), ["mary", "ä"]);
        assert_eq!(list.after("").count(), 4);
        assert!(list.contains("mary") && list.contains("ä") && !list.contains("mar") && !list.contains(""));
        assert!(!ids(&[]).contains("mary"));
    }

    #[test]
    fn the_same_ids_have_the_same_hash_in_whatever_order_they_came() {
        let at = Timestamp::UNIX_EPOCH;
        let (one, other) = (ids(&["a", "b"]).record("l", 1, at), ids(&["b", "a", "a"]).record("l", 1, at));
        assert_eq!(one, other);
        assert_ne!(one.hash, ids(&["ab"]).record("l", 1, at).hash);
        assert_eq!((one.users, one.bytes), (2, 2));
    }

    #[test]
    fn too_many_ids_and_too_many_bytes_are_refused_by_name() {
        let many = (0..=limits::USER_LIST_IDS_MAX).map(|n| n.to_string()).collect();
        assert!(UserIds::new(many).unwrap_err().contains("at most 100000 ids, this one would have 100001"));
        let long = (0..50_000).map(|n| format!("{n:0400}")).collect();
        assert!(UserIds::new(long).unwrap_err().contains("bytes together"));
    }

    proptest! {
        #[test]
        fn a_packed_list_holds_exactly_what_was_put(put in proptest::collection::btree_set("[a-cé]{0,3}", 0..20), asked in "[a-cé]{0,3}") {
            let list = UserIds::new(put.iter().cloned().collect()).unwrap();
            prop_assert_eq!(list.contains(&asked), put.contains(&asked));
            prop_assert_eq!(&UserIds::unpack(&list.pack()).unwrap(), &list);
        }
    }
}
