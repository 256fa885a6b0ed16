//! Pure. What a settlement says beyond where the send goes: what its user's history notes, and how late it was. Both stores ask here.

use crate::campaign_history::Happened;
use crate::due_send::Class;
use crate::latency;
use crate::ports::{Settle, Settlement};
use crate::reason::Suppression;

/// What is noted in the user's history of the campaign. None: nothing that anybody asks about.
pub fn happened(settlement: &Settlement) -> Option<Happened> {
    match settlement.settle {
        Settle::Delivered => Some(Happened::Delivered(settlement.variant)),
        Settle::Failed { .. } => Some(Happened::Failed),
        Settle::Suppressed(Suppression::Holdback) => Some(Happened::HeldBack),
        _ if is_first(settlement) => Some(Happened::Posted),
        _ => None,
    }
}

/// Whether it made the first request of its send that is known of. One that is sent again was requested before.
pub fn is_first(settlement: &Settlement) -> bool {
    let lease = &settlement.lease;
    settlement.attempted && lease.send.attempts == 0 && lease.lane.class != Class::Resent
}

/// The bucket of `latency` that its send is counted in: from the due instant to the beginning of its first request.
pub fn late(settlement: &Settlement) -> Option<u8> {
    let row = settlement.row.as_ref().filter(|_| is_first(settlement))?;
    let until_end = row.at.duration_since(row.due_at).as_millis();
    let ms = (until_end - i128::from(row.took_ms)).clamp(0, i128::from(u32::MAX));
    Some(latency::bucket(u32::try_from(ms).unwrap_or(u32::MAX)))
}
