//! Pure. The due-send: one action owed to one entry at one instant, its stored bytes and its id.
//!
//! Integers are big-endian and of fixed width, so that a script in the store needs only to cut and compare.
//!
//! | core | bytes | | around it | bytes |
//! | --- | --- | --- | --- | --- |
//! | format version | 1 | | lane: campaign, destination, class | 4 + 4 + 1 |
//! | flags | 1 | | **due entry** = at (6), lane (9), core (31) | 46 |
//! | user number | 5 | | **lane entry** = core | 31 |
//! | entry key | 8 | | **lease** = fence (8), lane (9), core (31) | 48 |
//! | action | 1 | | **send id** = birth 3, shard 2, campaign 4, user 5, | |
//! | due instant, ms | 6 | | user-id hash 3, key 8, action 1, in base32 | 42 chars |
//! | revision | 3 | | | |
//! | attempts settled, redeliveries | 1 + 1 | | | |
//! | first claim minus due, ms; 0 = never claimed | 4 | | | |

use std::fmt;

use data_encoding::BASE32_DNSSEC;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo, instant, millis};

const FORMAT: u8 = 1;
pub const CORE_BYTES: usize = 31;
pub const LANE_BYTES: usize = 9;
pub const DUE_BYTES: usize = 46;
pub const LEASE_BYTES: usize = 48;

const PINNED: u8 = 1;
const HAS_DATA: u8 = 1 << 1;
const HAS_REQUEST: u8 = 1 << 2;
const SKIP_SHIFT: u8 = 3;
const KIND_SHIFT: u8 = 6;

/// How the entry came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Occurrence,
    Event,
    Request,
    Chain,
}

/// The gates a manual entry asked to skip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Skip {
    pub audience: bool,
    pub caps: bool,
    pub quiet_hours: bool,
}

/// The core of a due-send; where it waits and until when is said around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DueSend {
    /// Revision and instant of the first claim are fixed; a redelivery renders the same.
    pub pinned: bool,
    /// An event or values are kept for its entry.
    pub has_data: bool,
    /// A rendered request with its failed attempts is kept for it.
    pub has_request: bool,
    pub skip: Skip,
    pub kind: EntryKind,
    pub user: UserNo,
    /// The occurrence's instant in ms, or a keyed hash of what opened the entry.
    pub key: u64,
    pub action: u8,
    /// What lateness and expiry are counted from; never moves.
    pub due_at: Timestamp,
    pub revision: u32,
    pub attempts: u8,
    pub redeliveries: u8,
    pub first_claim_after_ms: u32,
}

/// 0 first attempts, 1 retries, 2 resent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    First,
    Retry,
    Resent,
}

/// What sends queue behind: served fairly, one lane against the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub campaign: CampaignNo,
    pub destination: DestinationNo,
    pub class: Class,
}

/// A due-send on its way into wheel or lane; `at` is when it may go next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DueEntry {
    pub at: Timestamp,
    pub lane: Lane,
    pub send: DueSend,
}

/// A claimed send: only the holder of this fence may settle it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub fence: u64,
    pub lane: Lane,
    pub send: DueSend,
}

/// Bytes that are not a due-send of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("due-send: {0}")]
pub struct ForeignBytes(pub String);

impl DueSend {
    /// The instant of the first claim, once pinned.
    pub fn first_claim_at(&self) -> Timestamp {
        let after = SignedDuration::from_millis(i64::from(self.first_claim_after_ms));
        self.due_at.checked_add(after).unwrap_or(self.due_at)
    }

    /// Claimed at `now`: revision and instant of the first claim are fixed, so that a redelivery renders the same.
    pub fn pinned_at(self, now: Timestamp, apply_revision: u32) -> DueSend {
        if self.pinned {
            return self;
        }
        let after = millis(now).saturating_sub(millis(self.due_at));
        DueSend {
            pinned: true,
            revision: self.revision.max(apply_revision),
            first_claim_after_ms: u32::try_from(after).unwrap_or(u32::MAX),
            ..self
        }
    }

    /// Number of the next attempt as the far end sees it: settled attempts, redeliveries, and this one.
    pub fn next_attempt(&self) -> u32 {
        u32::from(self.attempts) + u32::from(self.redeliveries) + 1
    }

    /// A failed send that is sent again from `now` on: attempts are counted anew; id, revision and due instant stay.
    pub fn again(&self, now: Timestamp) -> DueSend {
        let after = millis(now).saturating_sub(millis(self.due_at));
        DueSend {
            pinned: true,
            attempts: 0,
            redeliveries: 0,
            first_claim_after_ms: u32::try_from(after).unwrap_or(u32::MAX),
            ..self.clone()
        }
    }

    pub fn encode(&self) -> [u8; CORE_BYTES] {
        let mut out = [0; CORE_BYTES];
        let skip = u8::from(self.skip.audience)
            | u8::from(self.skip.caps) << 1
            | u8::from(self.skip.quiet_hours) << 2;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out[0] = FORMAT;
        out[1] = flag(self.pinned, PINNED)
            | flag(self.has_data, HAS_DATA)
            | flag(self.has_request, HAS_REQUEST)
            | skip << SKIP_SHIFT
            | (self.kind as u8) << KIND_SHIFT;
        out[2..7].copy_from_slice(&self.user.0.to_be_bytes()[3..]);
        out[7..15].copy_from_slice(&self.key.to_be_bytes());
        out[15] = self.action;
        out[16..22].copy_from_slice(&millis(self.due_at).to_be_bytes()[2..]);
        out[22..25].copy_from_slice(&self.revision.to_be_bytes()[1..]);
        out[25] = self.attempts;
        out[26] = self.redeliveries;
        out[27..31].copy_from_slice(&self.first_claim_after_ms.to_be_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<DueSend, ForeignBytes> {
        let b: &[u8; CORE_BYTES] =
            bytes.try_into().map_err(|_| ForeignBytes(format!("{} bytes, expected 31", bytes.len())))?;
        if b[0] != FORMAT {
            return Err(ForeignBytes(format!("format {}, expected {FORMAT}", b[0])));
        }
        let flags = b[1];
        let skip = flags >> SKIP_SHIFT;
        Ok(DueSend {
            pinned: flags & PINNED != 0,
            has_data: flags & HAS_DATA != 0,
            has_request: flags & HAS_REQUEST != 0,
            skip: Skip { audience: skip & 1 != 0, caps: skip & 2 != 0, quiet_hours: skip & 4 != 0 },
            kind: match flags >> KIND_SHIFT {
                0 => EntryKind::Occurrence,
                1 => EntryKind::Event,
                2 => EntryKind::Request,
                _ => EntryKind::Chain,
            },
            user: UserNo(be(&b[2..7])),
            key: be(&b[7..15]),
            action: b[15],
            due_at: instant(be(&b[16..22])),
            revision: be(&b[22..25]) as u32,
            attempts: b[25],
            redeliveries: b[26],
            first_claim_after_ms: be(&b[27..31]) as u32,
        })
    }
}

impl Lane {
    pub fn encode(&self) -> [u8; LANE_BYTES] {
        let mut out = [0; LANE_BYTES];
        out[..4].copy_from_slice(&self.campaign.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.destination.0.to_be_bytes());
        out[8] = self.class as u8;
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Lane, ForeignBytes> {
        if bytes.len() != LANE_BYTES {
            return Err(ForeignBytes(format!("a lane of {} bytes, expected {LANE_BYTES}", bytes.len())));
        }
        Ok(Lane {
            campaign: CampaignNo(be(&bytes[..4]) as u32),
            destination: DestinationNo(be(&bytes[4..8]) as u32),
            class: match bytes[8] {
                0 => Class::First,
                1 => Class::Retry,
                2 => Class::Resent,
                other => return Err(ForeignBytes(format!("class {other}, expected 0 to 2"))),
            },
        })
    }
}

impl DueEntry {
    pub fn encode(&self) -> [u8; DUE_BYTES] {
        let mut out = [0; DUE_BYTES];
        out[..6].copy_from_slice(&millis(self.at).to_be_bytes()[2..]);
        out[6..15].copy_from_slice(&self.lane.encode());
        out[15..].copy_from_slice(&self.send.encode());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<DueEntry, ForeignBytes> {
        if bytes.len() != DUE_BYTES {
            return Err(ForeignBytes(format!("a due entry of {} bytes, expected {DUE_BYTES}", bytes.len())));
        }
        Ok(DueEntry {
            at: instant(be(&bytes[..6])),
            lane: Lane::decode(&bytes[6..15])?,
            send: DueSend::decode(&bytes[15..])?,
        })
    }
}

impl Lease {
    pub fn encode(&self) -> [u8; LEASE_BYTES] {
        let mut out = [0; LEASE_BYTES];
        out[..8].copy_from_slice(&self.fence.to_be_bytes());
        out[8..17].copy_from_slice(&self.lane.encode());
        out[17..].copy_from_slice(&self.send.encode());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Lease, ForeignBytes> {
        if bytes.len() != LEASE_BYTES {
            return Err(ForeignBytes(format!("a lease of {} bytes, expected {LEASE_BYTES}", bytes.len())));
        }
        Ok(Lease {
            fence: be(&bytes[..8]),
            lane: Lane::decode(&bytes[8..17])?,
            send: DueSend::decode(&bytes[17..])?,
        })
    }
}

/// Names one send for good: derived from what it is, never random. The `webhook-id` of all its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SendId {
    pub birth: [u8; 3],
    pub shard: Shard,
    pub campaign: CampaignNo,
    pub user: UserNo,
    /// A user number given anew after a rewind of the store must not make an old id.
    pub user_hash: [u8; 3],
    pub key: u64,
    pub action: u8,
}

impl SendId {
    pub fn of(layout: &Layout, shard: Shard, campaign: CampaignNo, user_id: &str, send: &DueSend) -> SendId {
        SendId {
            birth: layout.birth,
            shard,
            campaign,
            user: send.user,
            user_hash: user_hash(layout, user_id),
            key: send.key,
            action: send.action,
        }
    }

    pub fn parse(text: &str) -> Option<SendId> {
        let b = BASE32_DNSSEC.decode(text.as_bytes()).ok()?;
        let b: &[u8; 26] = b.as_slice().try_into().ok()?;
        Some(SendId {
            birth: [b[0], b[1], b[2]],
            shard: Shard(be(&b[3..5]) as u16),
            campaign: CampaignNo(be(&b[5..9]) as u32),
            user: UserNo(be(&b[9..14])),
            user_hash: [b[14], b[15], b[16]],
            key: be(&b[17..25]),
            action: b[25],
        })
    }
}

/// Three bytes of the user id's keyed hash.
pub fn user_hash(layout: &Layout, user_id: &str) -> [u8; 3] {
    let [a, b, c, ..] = layout.hash64("user", &[user_id.as_bytes()]).to_be_bytes();
    [a, b, c]
}

impl fmt::Display for SendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut b = [0; 26];
        b[..3].copy_from_slice(&self.birth);
        b[3..5].copy_from_slice(&self.shard.0.to_be_bytes());
        b[5..9].copy_from_slice(&self.campaign.0.to_be_bytes());
        b[9..14].copy_from_slice(&self.user.0.to_be_bytes()[3..]);
        b[14..17].copy_from_slice(&self.user_hash);
        b[17..25].copy_from_slice(&self.key.to_be_bytes());
        b[25] = self.action;
        f.write_str(&BASE32_DNSSEC.encode(&b))
    }
}

/// Big-endian, at most 8 bytes.
pub(crate) fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}
