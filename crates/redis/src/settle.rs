//! What becomes of a lease: settled in batches, taken back when it ran out, failed as abandoned when it ran out too often.

use campanile_core::campaign_history::Happened;
use campanile_core::due_send::{Lease, user_hash};
use campanile_core::limits;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{Shard, millis};
use campanile_core::ports::{Settle, Settlement, StoreError};
use campanile_core::reason::Failure;
use campanile_core::settled;
use jiff::Timestamp;

use crate::arguments::Arguments;
use crate::reply::{foreign, stored_user};
use crate::store::RedisStore;

/// Kept requests of one call.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

impl RedisStore {
    pub(crate) async fn settle_sends(
        &self,
        shard: Shard,
        settlements: &[Settlement],
    ) -> Result<Vec<bool>, StoreError> {
        let mut settled = Vec::with_capacity(settlements.len());
        while let Some(rest) = settlements.get(settled.len()..).filter(|rest| !rest.is_empty()) {
            let mut arguments = Arguments::new()
                .number(limits::LOG_ROWS_MAX)
                .number(limits::LOG_KEPT.as_millis())
                .number(limits::FAILED_MAX)
                .number(limits::FAILED_KEPT.as_millis())
                .number(limits::HISTORIES_MAX)
                .number(limits::HISTORIES_FORGOTTEN);
            let mut bytes = 0;
            let fits = |settlement: &&Settlement| {
                let first = bytes == 0;
                bytes += 1 + kept(&settlement.settle).len();
                first || bytes <= KEPT_BYTES_MAX
            };
            for settlement in rest.iter().take(limits::SETTLE_MAX).take_while(fits) {
                arguments = write_settlement(arguments, settlement);
            }
            let flags = self.run(shard, &self.scripts.settle, arguments).await?.flags()?;
            if flags.is_empty() {
                return Err(foreign("settle", "no answers"));
            }
            settled.extend(flags);
        }
        Ok(settled)
    }

    pub(crate) async fn reclaim_leases(&self, shard: Shard, limit: usize) -> Result<usize, StoreError> {
        let arguments = Arguments::new()
            .number(limit.min(limits::RECLAIM_MAX))
            .number(i64::from(limits::REDELIVERIES_MAX));
        let (at, mut reply) = self.run_at(shard, &self.scripts.reclaim, arguments).await?;
        let mut taken = reply.count()? as usize;
        let mut abandoned = Vec::new();
        while !reply.is_empty() {
            let member = reply.bytes()?;
            let profile = reply.optional()?;
            let lease = Lease::decode(&member).map_err(|e| foreign("reclaim", &e.to_string()))?;
            let user = profile.and_then(|value| stored_user(lease.send.user, &value).ok());
            let hash = user.map(|user| user_hash(&self.layout, &user.profile.id));
            abandoned.push(abandon(lease, hash.unwrap_or_default(), at));
        }
        let settled = self.settle_sends(shard, &abandoned).await?;
        taken += settled.into_iter().filter(|done| *done).count();
        Ok(taken)
    }
}

fn abandon(lease: Lease, user_hash: [u8; 3], at: Timestamp) -> Settlement {
    let send = &lease.send;
    let row = LogRow {
        ended: Ended::Failed(Failure::Abandoned),
        campaign: lease.lane.campaign,
        user: send.user,
        user_hash,
        key: send.key,
        action: send.action,
        due_at: send.due_at,
        at,
        revision: send.revision,
        attempts: send.next_attempt().min(255) as u8,
        status: 0,
        took_ms: 0,
        text: "its lease ran out too often".to_owned(),
    };
    Settlement {
        lease,
        settle: Settle::Failed { reason: Failure::Abandoned, kept: Vec::new() },
        attempted: false,
        variant: None,
        hops: 0,
        row: Some(row),
    }
}

fn kept(settle: &Settle) -> &[u8] {
    match settle {
        Settle::Failed { kept, .. } | Settle::Retry { kept, .. } => kept,
        _ => &[],
    }
}

fn write_settlement(arguments: Arguments, settlement: &Settlement) -> Arguments {
    let at = |at: &Timestamp| millis(*at).to_be_bytes()[2..].to_vec();
    let (verdict, text) = match &settlement.settle {
        Settle::Delivered => ("D", Vec::new()),
        Settle::Failed { .. } => ("F", Vec::new()),
        Settle::Suppressed(reason) => ("S", reason.name().into()),
        Settle::Retry { at: next, .. } => ("R", at(next)),
        Settle::Skipped => ("K", Vec::new()),
        Settle::Dropped => ("X", Vec::new()),
        Settle::Refused(reason) => ("N", reason.name().into()),
        Settle::Hold { at: next, due_at } => {
            ("H", [Some(next), due_at.as_ref()].into_iter().flatten().flat_map(at).collect())
        }
        Settle::Back => ("B", Vec::new()),
        Settle::Park { until, to } => {
            let mut text = at(until);
            text.extend(to.iter().flat_map(|to| to.0.to_be_bytes()));
            ("L", text)
        }
    };
    arguments
        .bytes(settlement.lease.encode())
        .bytes(verdict)
        .bytes(if settlement.attempted { "1" } else { "0" })
        .bytes(settlement.variant.as_ref().map_or("", |name| name.as_str()))
        .bytes([settlement.hops])
        .bytes(match settled::happened(settlement) {
            Some(Happened::Delivered(_)) => "D",
            Some(Happened::Failed) => "F",
            Some(Happened::HeldBack) => "B",
            Some(Happened::Posted) => "P",
            None => "",
        })
        .bytes(settled::late(settlement).map(|bucket| bucket.to_string()).unwrap_or_default())
        .bytes(text)
        .bytes(kept(&settlement.settle))
        .bytes(settlement.row.as_ref().map(LogRow::encode).unwrap_or_default())
}
