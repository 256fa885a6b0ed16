//! Pure. The delivery record: what one user's entries into one campaign are, so far as a decision about another one, or about their
//! sends, needs to know. Kept only for campaigns with entry limits, cancel events, a pending policy or several messages.
//!
//! The scheduler writes it and compares it; a claim reads it. Beside it the queue keeps a `Mark` for each entry whose send was claimed.
//!
//! | header, 12 B | bytes | | each open entry, 45 B | bytes |
//! | --- | --- | --- | --- | --- |
//! | format version | 1 | | entry key | 8 |
//! | open entries | 1 | | hash of the `key` value; 0 without one | 8 |
//! | reached entries | 4 | | due instant, ms | 6 |
//! | entry of the last one reached, ms; 0 = none | 6 | | its send is looked at, ms | 6 |
//! | | | | newest trigger happened, ms | 6 |
//! | | | | entered, ms | 6 |
//! | | | | status: 1 pending, 2 cancelled, 3 superseded, 4 exited; + 128: inside a multi-message campaign | 1 |
//! | | | | values of `same` | 1 |
//! | | | | events collected, and their KiB | 1 + 2 |
//!
//! After the entries, in their order: the values of `same` (hash of the property's name 4, of its value 8), then where it stands inside
//! (`Inside`, 23). Format 2 had no entries inside, format 1 none that collect.

use jiff::Timestamp;

use crate::due_send::{DueSend, ForeignBytes, be};
use crate::inside::{INSIDE_BYTES, Inside};
use crate::number::{CampaignNo, UserNo, instant, millis};

const FORMAT: u8 = 3;
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 45;
const SAME_BYTES: usize = 12;
const IS_INSIDE: u8 = 128;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Entries whose first send was posted, and that are over.
    pub reached: u32,
    /// When the last of them was entered.
    pub last_reached_at: Option<Timestamp>,
    pub open: Vec<OpenEntry>,
}

/// An entry whose send has not ended, as far as the scheduler knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEntry {
    pub key: u64,
    /// Of the value at the campaign's `key`; 0 without one.
    pub narrow: u64,
    pub due_at: Timestamp,
    /// When its send comes out of the wheel; a restart moves the due instant alone.
    pub looked_at: Timestamp,
    /// When its newest trigger happened: what a cancel event must come after.
    pub since: Timestamp,
    pub entered_at: Timestamp,
    pub status: Status,
    /// Of the properties that cancel events compare: hashes of name and value.
    pub same: Vec<(u32, u64)>,
    /// Events that its send tells of; 0 where it tells of the newest alone.
    pub collected: u8,
    pub collected_kib: u16,
    /// Where it stands in a multi-message campaign.
    pub inside: Option<Inside>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending = 1,
    /// By a cancel event.
    Cancelled = 2,
    /// By a newer trigger.
    Superseded = 3,
    /// By an exit event, while a send of it was under way.
    Exited = 4,
}

/// What the queue knows of an entry's send that has left the wheel at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is being sent, or waits for a retry.
    Begun = 1,
    /// It ended, and was posted at least once.
    Reached = 2,
    /// It ended without a POST.
    Unsent = 3,
}

/// A packed `DeliveryRecord` (no bytes: there is none), and the marks of the entries it lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredRecord {
    pub bytes: Vec<u8>,
    pub marks: Vec<(u64, Mark)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordChange {
    pub user: UserNo,
    pub campaign: CampaignNo,
    /// As it was read.
    pub old: Vec<u8>,
    pub new: Vec<u8>,
    /// Keys of entries that must not have a mark.
    pub waiting: Vec<u64>,
    /// Keys whose marks go: the record counts them now.
    pub folded: Vec<u64>,
    /// What entries keep from now on, in order; no bytes: nothing is kept for it any more.
    pub data: Vec<KeptData>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptData {
    pub key: u64,
    pub bytes: Vec<u8>,
    /// Behind what is kept, not in its place.
    pub appends: bool,
}

impl Mark {
    pub fn from_code(code: u8) -> Option<Mark> {
        [Mark::Begun, Mark::Reached, Mark::Unsent].into_iter().find(|mark| *mark as u8 == code)
    }
}

impl OpenEntry {
    /// Whether this is the send that the entry waits for, and not one that an event has overtaken.
    pub fn is_its_send(&self, send: &DueSend) -> bool {
        let inside = self.inside.as_ref();
        let is_its_action = inside.is_none_or(|inside| inside.action == send.action);
        is_its_action && (send.due_at == self.looked_at || send.due_at == self.due_at)
    }
}

impl DeliveryRecord {
    pub fn entry(&self, key: u64) -> Option<&OpenEntry> {
        self.open.iter().find(|entry| entry.key == key)
    }

    pub fn entry_mut(&mut self, key: u64) -> Option<&mut OpenEntry> {
        self.open.iter_mut().find(|entry| entry.key == key)
    }

    pub fn encode(&self) -> Vec<u8> {
        let open = &self.open[..self.open.len().min(255)];
        let mut out = Vec::with_capacity(HEADER_BYTES + open.len() * ENTRY_BYTES);
        out.extend([FORMAT, open.len() as u8]);
        out.extend(self.reached.to_be_bytes());
        out.extend(short(self.last_reached_at.map_or(0, millis)));
        for entry in open {
            out.extend(entry.key.to_be_bytes());
            out.extend(entry.narrow.to_be_bytes());
            for at in [entry.due_at, entry.looked_at, entry.since, entry.entered_at] {
                out.extend(short(millis(at)));
            }
            let is_inside = if entry.inside.is_some() { IS_INSIDE } else { 0 };
            out.extend([entry.status as u8 | is_inside, entry.same.len().min(255) as u8, entry.collected]);
            out.extend(entry.collected_kib.to_be_bytes());
        }
        for entry in open {
            for (name, value) in entry.same.iter().take(255) {
                out.extend(name.to_be_bytes());
                out.extend(value.to_be_bytes());
            }
            out.extend(entry.inside.iter().flat_map(Inside::encode));
        }
        out
    }

    /// No bytes are an empty record.
    pub fn decode(bytes: &[u8]) -> Result<DeliveryRecord, ForeignBytes> {
        if bytes.is_empty() {
            return Ok(DeliveryRecord::default());
        }
        let foreign = || ForeignBytes(format!("a delivery record of {} bytes", bytes.len()));
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(foreign)?;
        if header[0] != FORMAT {
            return Err(ForeignBytes(format!("delivery record format {}, expected {FORMAT}", header[0])));
        }
        let n = usize::from(header[1]);
        let (entries, mut rest) = rest.split_at_checked(n * ENTRY_BYTES).ok_or_else(foreign)?;
        let mut open = Vec::with_capacity(n);
        for b in entries.chunks_exact(ENTRY_BYTES) {
            let (same, after) = rest.split_at_checked(usize::from(b[41]) * SAME_BYTES).ok_or_else(foreign)?;
            let is_inside = b[40] & IS_INSIDE != 0;
            let (inside, after) =
                after.split_at_checked(if is_inside { INSIDE_BYTES } else { 0 }).ok_or_else(foreign)?;
            rest = after;
            open.push(OpenEntry {
                collected: b[42],
                collected_kib: be(&b[43..45]) as u16,
                key: be(&b[..8]),
                narrow: be(&b[8..16]),
                due_at: instant(be(&b[16..22])),
                looked_at: instant(be(&b[22..28])),
                since: instant(be(&b[28..34])),
                entered_at: instant(be(&b[34..40])),
                status: match b[40] & !IS_INSIDE {
                    1 => Status::Pending,
                    2 => Status::Cancelled,
                    3 => Status::Superseded,
                    4 => Status::Exited,
                    other => return Err(ForeignBytes(format!("entry status {other}, expected 1 to 4"))),
                },
                inside: if is_inside { Some(Inside::decode(inside)?) } else { None },
                same: same
                    .chunks_exact(SAME_BYTES)
                    .map(|pair| (be(&pair[..4]) as u32, be(&pair[4..])))
                    .collect(),
            });
        }
        let last_reached_at = match be(&header[6..12]) {
            0 => None,
            ms => Some(instant(ms)),
        };
        if !rest.is_empty() {
            return Err(foreign());
        }
        Ok(DeliveryRecord { reached: be(&header[2..6]) as u32, last_reached_at, open })
    }
}

fn short(millis: u64) -> [u8; 6] {
    let [_, _, rest @ ..] = millis.to_be_bytes();
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inside::tests::insides;

    fn entries() -> impl Strategy<Value = OpenEntry> {
        let at = || (0i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap());
        let status = prop::sample::select(vec![
            Status::Pending,
            Status::Cancelled,
            Status::Superseded,
            Status::Exited,
        ]);
        let same = prop::collection::vec((any::<u32>(), any::<u64>()), 0..3);
        let inside = prop::option::of(insides());
        let collected = any::<(u8, u16)>();
        (any::<u64>(), any::<u64>(), at(), at(), at(), at(), status, same, collected, inside).prop_map(
            |(key, narrow, due_at, looked_at, since, entered_at, status, same, collected, inside)| {
                OpenEntry {
                    collected: collected.0,
                    collected_kib: collected.1,
                    key,
                    narrow,
                    due_at,
                    looked_at,
                    since,
                    entered_at,
                    status,
                    same,
                    inside,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(open in prop::collection::vec(entries(), 0..5), reached: u32, last in 1i64..4_000_000_000_000) {
            let last_reached_at = Some(Timestamp::from_millisecond(last).unwrap());
            let record = DeliveryRecord { reached, last_reached_at, open };
            prop_assert_eq!(DeliveryRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn foreign_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = DeliveryRecord::decode(&bytes);
        }
    }

    #[test]
    fn no_bytes_are_an_empty_record_and_other_formats_are_named() {
        assert_eq!(DeliveryRecord::decode(&[]), Ok(DeliveryRecord::default()));
        assert!(DeliveryRecord::decode(&[9; 12]).unwrap_err().0.contains("format 9"));
    }
}
