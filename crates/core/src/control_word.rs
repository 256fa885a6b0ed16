//! Pure. The control word: what every shard knows of a campaign, 12 bytes, so that a claim needs no campaign record.
//!
//! | state | bits | apply_revision | lease_secs | weight | epoch |
//! | --- | --- | --- | --- | --- | --- |
//! | 1 | 1 | 3 | 1 | 1 | 5 |
//!
//! Bits: 1 `emit`, 2 `events_first`, 8 `history`, 16 `steps`; the others are kept for later.
//!
//! The epoch grows by one with every change; a shard keeps the word with the highest epoch it was shown.

use crate::due_send::{ForeignBytes, be};

pub const CONTROL_BYTES: usize = 12;

/// What a claim does with the campaign's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Sends are served.
    Running = 1,
    /// Sends stay where they are until the word changes.
    Held = 2,
    /// Sends are served, only to end as `campaign_ended`.
    Stopped = 3,
}

/// A claim reads it, the control plane writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlWord {
    pub flow: Flow,
    /// Unpinned sends planned under an older revision are claimed under this one.
    pub apply_revision: u32,
    /// How long a claim holds a send.
    pub lease_secs: u8,
    /// Share of a lane beside others, 1 to 255.
    pub weight: u8,
    /// 40 bits.
    pub epoch: u64,
    pub bits: u8,
}

/// A settle tells the event log what became of a send: somebody listens.
pub const EMIT: u8 = 1;
/// A claim takes no send that is due after the first event of the log was accepted: that event may cancel it.
pub const EVENTS_FIRST: u8 = 1 << 1;
/// The campaign keeps delivery records: a claim reads them and marks the entry, a settle marks how it ended.
pub const HISTORY: u8 = 1 << 3;

/// Entries have several messages: a settle leaves the entry open and what it keeps in place, and the scheduler, told of the outcome, ends it.
pub const STEPS: u8 = 1 << 4;

impl ControlWord {
    pub fn keeps_history(&self) -> bool {
        self.bits & HISTORY != 0
    }

    pub fn emits(&self) -> bool {
        self.bits & EMIT != 0
    }

    pub fn has_steps(&self) -> bool {
        self.bits & STEPS != 0
    }

    pub fn waits_for_events(&self) -> bool {
        self.bits & EVENTS_FIRST != 0
    }

    pub fn encode(&self) -> [u8; CONTROL_BYTES] {
        let mut out = [0; CONTROL_BYTES];
        out[0] = self.flow as u8;
        out[1] = self.bits;
        out[2..5].copy_from_slice(&self.apply_revision.to_be_bytes()[1..]);
        out[5] = self.lease_secs;
        out[6] = self.weight.max(1);
        out[7..].copy_from_slice(&self.epoch.to_be_bytes()[3..]);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<ControlWord, ForeignBytes> {
        if bytes.len() != CONTROL_BYTES {
            return Err(ForeignBytes(format!("a control word of {} bytes, expected 12", bytes.len())));
        }
        Ok(ControlWord {
            flow: match bytes[0] {
                1 => Flow::Running,
                2 => Flow::Held,
                3 => Flow::Stopped,
                other => return Err(ForeignBytes(format!("flow {other}, expected 1 to 3"))),
            },
            apply_revision: be(&bytes[2..5]) as u32,
            lease_secs: bytes[5],
            weight: bytes[6],
            epoch: be(&bytes[7..]),
            bits: bytes[1],
        })
    }
}
