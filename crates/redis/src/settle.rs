//! What becomes of a lease: settled in batches, taken back when it ran out, failed as abandoned when it ran out too often.

use std::collections::HashMap;

use campanile_core::campaign_history::Happened;
use campanile_core::control_word::ControlWord;
use campanile_core::counter::summed;
use campanile_core::due_send::{Lease, user_hash};
use campanile_core::limits;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, Shard, millis};
use campanile_core::ports::{Settle, Settlement, StoreError};
use campanile_core::reason::Failure;
use campanile_core::settled::{self, Effects, Goes, MarkChange};
use jiff::Timestamp;

use crate::arguments::{Arguments, entry_field, user_bytes};
use crate::reply::{foreign, stored_user};
use crate::store::RedisStore;

/// Kept requests of one call.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Calls for one batch: each but the last one learns of leases that are gone or of control words that changed.
const TRIES_MAX: usize = limits::SETTLE_MAX + 16;

impl RedisStore {
    pub(crate) async fn settle_sends(
        &self,
        shard: Shard,
        settlements: &[Settlement],
    ) -> Result<Vec<bool>, StoreError> {
        let mut settled = Vec::with_capacity(settlements.len());
        while let Some(rest) = settlements.get(settled.len()..).filter(|rest| !rest.is_empty()) {
            let mut bytes = 0;
            let fits = |settlement: &&Settlement| {
                let first = bytes == 0;
                bytes += 1 + kept(&settlement.settle).len();
                first || bytes <= KEPT_BYTES_MAX
            };
            let n = rest.iter().take(limits::SETTLE_MAX).take_while(fits).count();
            settled.extend(self.settle_batch(shard, &rest[..n]).await?);
        }
        Ok(settled)
    }

    /// What follows is worked out here and written by the script, if all of them are leased and the control words are those reckoned with.
    async fn settle_batch(&self, shard: Shard, batch: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        let mut live = vec![true; batch.len()];
        for _ in 0..TRIES_MAX {
            // Claim by claim, each in the order of the batch.
            let mut these: Vec<usize> = (0..batch.len()).filter(|at| live[*at]).collect();
            if these.is_empty() {
                return Ok(live);
            }
            these.sort_by_key(|at| batch[*at].lease.fence >> 8);
            let words = self.words.of(batch.iter().map(|settlement| settlement.lease.lane.campaign));
            let mut reply = self.run(shard, &self.scripts.settle, arguments(batch, &these, &words)).await?;
            match reply.int()? {
                0 => return Ok(live),
                1 => {
                    let flags = reply.flags()?;
                    if flags.len() != these.len() || flags.iter().all(|flag| *flag) {
                        return Err(foreign("settle", "answers that are not of its leases"));
                    }
                    these.into_iter().zip(flags).for_each(|(at, flag)| live[at] = flag);
                }
                _ => {
                    for (campaign, _) in &words {
                        let word = reply.optional()?.and_then(|word| ControlWord::decode(&word).ok());
                        self.words.saw(*campaign, word);
                    }
                }
            }
        }
        Err(StoreError::Away("settle: control words changed all the time".to_owned()))
    }

    pub(crate) async fn reclaim_leases(&self, shard: Shard, limit: usize) -> Result<usize, StoreError> {
        let arguments = Arguments::new()
            .number(limit.min(limits::RECLAIM_MAX))
            .number(i64::from(limits::REDELIVERIES_MAX));
        let (at, mut reply) = self.run_at(shard, &self.scripts.reclaim, arguments).await?;
        let mut taken = reply.count()? as usize;
        let mut abandoned = Vec::new();
        while !reply.is_empty() {
            // As a lease of its own: fence and place, lane, core.
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

/// The script's lists, of those settlements of a batch that are tried.
fn arguments(
    batch: &[Settlement],
    these: &[usize],
    words: &[(CampaignNo, Option<ControlWord>)],
) -> Arguments {
    let of: HashMap<CampaignNo, Option<ControlWord>> = words.iter().copied().collect();
    let mut lists = Lists::default();
    let mut claims: Vec<(u64, Vec<u8>)> = Vec::new();
    for at in these {
        let fence = batch[*at].lease.fence;
        match claims.last_mut() {
            Some((last, places)) if *last == fence >> 8 => places.push(fence as u8),
            _ => claims.push((fence >> 8, vec![fence as u8])),
        }
    }
    // As they were given: the last effect on something stays.
    let mut in_order = these.to_vec();
    in_order.sort_unstable();
    for at in in_order {
        let settlement = &batch[at];
        let word = of.get(&settlement.lease.lane.campaign).and_then(Option::as_ref);
        lists.take(settlement, settled::effects(settlement, word));
    }
    let arguments = Arguments::new()
        .number(limits::LOG_ROWS_MAX)
        .number(limits::LOG_KEPT.as_millis())
        .number(limits::FAILED_MAX)
        .number(limits::FAILED_KEPT.as_millis())
        .number(limits::HISTORIES_MAX)
        .number(limits::HISTORIES_FORGOTTEN);
    let arguments = arguments.number(claims.len());
    let arguments = claims
        .into_iter()
        .fold(arguments, |all, (fence, places)| all.bytes(&fence.to_be_bytes()[1..]).bytes(places));
    let arguments = words.iter().fold(arguments.number(words.len()), |all, (campaign, word)| {
        all.bytes(campaign.0.to_be_bytes()).bytes([word.map_or(0, |word| word.bits)])
    });
    lists.end(arguments)
}

/// What follows from settlements, gathered by what a script does with it.
#[derive(Default)]
struct Lists {
    counts: Vec<campanile_core::counter::Count>,
    notes: Vec<Vec<u8>>,
    marks: Vec<Vec<u8>>,
    dropped: Vec<(Vec<u8>, Vec<u8>)>,
    kept: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    moved: Vec<Vec<u8>>,
    back: Vec<Vec<u8>>,
    failed: Vec<Vec<u8>>,
    outcomes: Vec<Vec<u8>>,
    rows: Vec<u8>,
    rows_len: usize,
}

impl Lists {
    fn take(&mut self, settlement: &Settlement, effects: Effects<'_>) {
        let (lane, send) = (settlement.lease.lane, &settlement.lease.send);
        let user = user_bytes(send.user);
        let entry = entry_field(lane.campaign, send.key);
        let field = [entry.as_slice(), &[send.action]].concat();
        let request = || [b"r:".as_slice(), &user].concat();
        self.counts.extend(effects.counts);
        if let Some(happened) = effects.noted {
            let (letter, variant) = match happened {
                Happened::Delivered(variant) => (b'D', variant),
                Happened::Failed => (b'F', None),
                Happened::HeldBack => (b'B', None),
                Happened::Posted => (b'P', None),
            };
            let name = variant.as_ref().map_or("", |name| name.as_str());
            let how = [letter, if effects.is_first { b'1' } else { b'0' }];
            self.notes.push([&user, &field, how.as_slice(), name.as_bytes()].concat());
        }
        if let Some(change) = effects.mark {
            let change: &[u8] = match change {
                MarkChange::Removed => b"-",
                MarkChange::Reached => b"2",
                MarkChange::Unsent => b"3",
            };
            self.marks.push([&user, &entry, change].concat());
        }
        if let Some(outcome) = effects.outcome {
            self.outcomes.push([user.as_slice(), &outcome].concat());
        }
        match effects.goes {
            Goes::Over { data, request: has_request } => {
                if data {
                    self.dropped.push(([b"x:".as_slice(), &user].concat(), entry));
                }
                if has_request {
                    self.dropped.push((request(), field));
                }
            }
            Goes::Failed { send, kept } => {
                self.failed.push([lane.encode().as_slice(), &send.encode()].concat());
                if !kept.is_empty() {
                    self.kept.push((request(), field, kept.to_vec()));
                }
            }
            Goes::On { entry, kept } => {
                self.moved.push(entry.encode().to_vec());
                if let Some(kept) = kept {
                    self.kept.push((request(), field, kept.to_vec()));
                }
            }
            Goes::Back { lane, send, until } => {
                let mut back = [lane.encode().as_slice(), &send.encode()].concat();
                back.extend(until.iter().flat_map(|until| millis(*until).to_be_bytes()[2..].to_vec()));
                self.back.push(back);
            }
            Goes::Nowhere => {}
        }
        if let Some(row) = &settlement.row {
            self.rows.extend(row.encode());
            self.rows_len += 1;
        }
    }

    fn end(self, arguments: Arguments) -> Arguments {
        let counts = summed(self.counts);
        let arguments = counts.iter().fold(arguments.number(counts.len()), |all, count| {
            all.bytes(count.campaign.0.to_be_bytes()).bytes(count.counter.field()).number(count.by)
        });
        let arguments = list(list(arguments, self.notes), self.marks);
        let arguments = arguments.number(self.dropped.len());
        let arguments =
            self.dropped.into_iter().fold(arguments, |all, (key, field)| all.bytes(key).bytes(field));
        let arguments = arguments.number(self.kept.len());
        let arguments = self
            .kept
            .into_iter()
            .fold(arguments, |all, (key, field, value)| all.bytes(key).bytes(field).bytes(value));
        let lists = [self.moved, self.back, self.failed, self.outcomes];
        lists.into_iter().fold(arguments, list).number(self.rows_len).bytes(self.rows)
    }
}

fn list(arguments: Arguments, items: Vec<Vec<u8>>) -> Arguments {
    let arguments = arguments.number(items.len());
    items.into_iter().fold(arguments, Arguments::bytes)
}
