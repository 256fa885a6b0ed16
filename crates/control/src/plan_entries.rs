//! Pure. The first entries of a plan, by due instant and user: as many as are wanted and fit into an answer, however many come by.

use std::collections::BTreeMap;

use campanile_proto::v1 as wire;
use jiff::Timestamp;
use prost::Message;

use crate::write_campaign::timestamp;

/// In this order they are told.
pub type Place = (Timestamp, String, usize);

#[derive(Debug)]
pub struct FirstEntries {
    entries_max: usize,
    bytes_max: usize,
    bytes: usize,
    kept: BTreeMap<Place, wire::PlannedEntry>,
    /// From here on there is no room.
    end: Option<Place>,
}

impl FirstEntries {
    pub fn new(entries_max: usize, bytes_max: usize) -> FirstEntries {
        FirstEntries { entries_max, bytes_max, bytes: 0, kept: BTreeMap::new(), end: None }
    }

    /// Whether an entry of this place would be kept, so that it is worth writing.
    pub fn wants(&self, place: &Place) -> bool {
        self.entries_max > 0 && self.end.as_ref().is_none_or(|end| place < end)
    }

    pub fn put(&mut self, place: Place, entry: wire::PlannedEntry) {
        if !self.wants(&place) {
            return;
        }
        self.bytes += entry.encoded_len();
        self.kept.insert(place, entry);
        while self.kept.len() > self.entries_max || self.bytes > self.bytes_max {
            let Some((place, entry)) = self.kept.pop_last() else { return };
            self.bytes -= entry.encoded_len();
            self.end = Some(place);
        }
    }

    pub fn add(&mut self, other: FirstEntries) {
        // What was turned away there is none of the first here either.
        if let Some(end) = other.end.filter(|end| self.wants(end)) {
            self.kept.split_off(&end).values().for_each(|entry| self.bytes -= entry.encoded_len());
            self.end = Some(end);
        }
        for (place, entry) in other.kept {
            self.put(place, entry);
        }
    }

    pub fn into_entries(self) -> Vec<wire::PlannedEntry> {
        let entries = self.kept.into_iter();
        entries
            .map(|((due_at, ..), entry)| wire::PlannedEntry { due_at: Some(timestamp(due_at)), ..entry })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(first: &mut FirstEntries, secs: i64, user_id: &str) {
        let place = (Timestamp::from_second(secs).unwrap(), user_id.to_owned(), 0);
        first.put(place, wire::PlannedEntry { user_id: user_id.to_owned(), ..Default::default() });
    }

    fn users(first: FirstEntries) -> Vec<String> {
        first.into_entries().into_iter().map(|entry| entry.user_id).collect()
    }

    #[test]
    fn the_first_are_kept_in_whatever_order_they_come() {
        let mut first = FirstEntries::new(3, 1_000);
        for (secs, user) in [(5, "e"), (1, "b"), (9, "z"), (1, "a"), (3, "c"), (4, "d")] {
            put(&mut first, secs, user);
        }
        assert_eq!(users(first), ["a", "b", "c"]);
        let mut none = FirstEntries::new(0, 1_000);
        put(&mut none, 1, "a");
        assert!(users(none).is_empty());
    }

    #[test]
    fn parts_come_together_as_if_they_were_one() {
        // Of six bytes each, so that three fit.
        let parts =
            [vec![(1, "aaaa"), (6, "ffff"), (7, "gggg"), (8, "hhhh")], vec![(2, "bbbb"), (3, "cccc")]];
        let part = |of: &[(i64, &str)]| {
            let mut first = FirstEntries::new(10, 18);
            of.iter().for_each(|(secs, user)| put(&mut first, *secs, user));
            first
        };
        for (one, other) in [(0, 1), (1, 0)] {
            let mut all = part(&parts[one]);
            all.add(part(&parts[other]));
            assert_eq!(users(all), ["aaaa", "bbbb", "cccc"]);
        }
        // Nothing after one that did not fit.
        let mut all = part(&[(1, "aaaa")]);
        put(&mut all, 3, &"x".repeat(100));
        put(&mut all, 5, "late");
        assert_eq!(users(all), ["aaaa"]);
    }
}
