//! Pure. Where an entry of a multi-message campaign stands, and what became of the action before.
//!
//! Part of the delivery record (23 bytes, for entries of such campaigns only). The scheduler moves it on; a claim brings it to the sender, which
//! asks conditions on `previous` and renders them.
//!
//! | action | flags | posted ms | previous outcome | status | sent ms | ended ms |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 1 | 6 | 1 | 2 | 6 | 6 |
//!
//! Flags: 1 waits for an event, 2 reached, 4 keeps data, 8 16 32 skip (audience, caps, quiet hours), 64 a send failed. An instant of 0: none.

use jiff::Timestamp;

use crate::due_send::{ForeignBytes, Skip, be};
use crate::number::{instant, millis};

pub(crate) const INSIDE_BYTES: usize = 23;

/// An entry between its first and its last action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Number of the action that its one waiting send is for.
    pub action: u8,
    /// That send goes out when an event comes, not before; if none does until it leaves the wheel, the entry ends.
    pub waits: bool,
    /// A send of the entry was posted.
    pub is_reached: bool,
    /// An event or values are kept for it.
    pub has_data: bool,
    /// A send of it failed for good: what is kept stays, so that it can be sent again.
    pub has_failed: bool,
    pub skip: Skip,
    /// When the send was posted for the first time, while it goes on.
    pub posted_at: Option<Timestamp>,
    /// None: it is the first action.
    pub previous: Option<Previous>,
}

/// What became of the action before; skipped ones do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    pub outcome: PreviousOutcome,
    /// Of the last answer; 0 where there was none.
    pub status: u16,
    /// Its first POST.
    pub sent_at: Option<Timestamp>,
    pub ended_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousOutcome {
    Delivered = 1,
    Failed = 2,
    Suppressed = 3,
}

impl PreviousOutcome {
    pub const ALL: [PreviousOutcome; 3] =
        [PreviousOutcome::Delivered, PreviousOutcome::Failed, PreviousOutcome::Suppressed];

    /// As conditions and templates say it.
    pub fn name(self) -> &'static str {
        match self {
            PreviousOutcome::Delivered => "delivered",
            PreviousOutcome::Failed => "failed",
            PreviousOutcome::Suppressed => "suppressed",
        }
    }
}

impl Inside {
    /// Whether its first action is still to be sent.
    pub fn is_at_first(&self) -> bool {
        self.previous.is_none() && !self.is_reached
    }

    pub(crate) fn encode(&self) -> [u8; INSIDE_BYTES] {
        let mut out = [0; INSIDE_BYTES];
        let bits = [
            self.waits,
            self.is_reached,
            self.has_data,
            self.skip.audience,
            self.skip.caps,
            self.skip.quiet_hours,
            self.has_failed,
        ];
        out[0] = self.action;
        out[1] = bits.iter().rev().fold(0, |flags, bit| flags << 1 | u8::from(*bit));
        out[2..8].copy_from_slice(&short(self.posted_at));
        if let Some(previous) = &self.previous {
            out[8] = previous.outcome as u8;
            out[9..11].copy_from_slice(&previous.status.to_be_bytes());
            out[11..17].copy_from_slice(&short(previous.sent_at));
            out[17..].copy_from_slice(&short(Some(previous.ended_at)));
        }
        out
    }

    pub(crate) fn decode(b: &[u8]) -> Result<Inside, ForeignBytes> {
        let foreign = || ForeignBytes(format!("an entry inside a campaign in {} bytes", b.len()));
        let b: &[u8; INSIDE_BYTES] = b.try_into().map_err(|_| foreign())?;
        let flag = |bit: u8| b[1] & bit != 0;
        let outcome = PreviousOutcome::ALL.into_iter().find(|outcome| *outcome as u8 == b[8]);
        let previous = match (b[8], outcome) {
            (0, _) => None,
            (_, None) => return Err(ForeignBytes(format!("outcome {} of a previous action", b[8]))),
            (_, Some(outcome)) => Some(Previous {
                outcome,
                status: be(&b[9..11]) as u16,
                sent_at: at(&b[11..17]),
                ended_at: instant(be(&b[17..])),
            }),
        };
        Ok(Inside {
            action: b[0],
            waits: flag(1),
            is_reached: flag(2),
            has_data: flag(4),
            has_failed: flag(64),
            skip: Skip { audience: flag(8), caps: flag(16), quiet_hours: flag(32) },
            posted_at: at(&b[2..8]),
            previous,
        })
    }
}

fn short(at: Option<Timestamp>) -> [u8; 6] {
    let [_, _, rest @ ..] = at.map_or(0, millis).to_be_bytes();
    rest
}

fn at(bytes: &[u8]) -> Option<Timestamp> {
    match be(bytes) {
        0 => None,
        ms => Some(instant(ms)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instants() -> impl Strategy<Value = Timestamp> {
        (1i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap())
    }

    pub(crate) fn insides() -> impl Strategy<Value = Inside> {
        let previous = (
            prop::sample::select(PreviousOutcome::ALL.to_vec()),
            any::<u16>(),
            prop::option::of(instants()),
            instants(),
        );
        let previous = previous.prop_map(|(outcome, status, sent_at, ended_at)| Previous {
            outcome,
            status,
            sent_at,
            ended_at,
        });
        let bits = (any::<[bool; 7]>(), any::<u8>());
        (bits, prop::option::of(instants()), prop::option::of(previous)).prop_map(
            |((bits, action), posted_at, previous)| {
                let [waits, is_reached, has_data, has_failed, audience, caps, quiet_hours] = bits;
                let skip = Skip { audience, caps, quiet_hours };
                Inside { action, waits, is_reached, has_data, has_failed, skip, posted_at, previous }
            },
        )
    }

    proptest! {
        #[test]
        fn where_an_entry_stands_is_read_as_it_was_written(inside in insides()) {
            prop_assert_eq!(Inside::decode(&inside.encode()), Ok(inside));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let _ = Inside::decode(&bytes);
        }
    }
}
