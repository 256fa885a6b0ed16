//! Carries settlements to the store in batches, a few at a time for each shard. Tries again while the store is away, as long as leases last.
//!
//! What cannot be settled is not lost: its lease runs out and the send comes back, under the same id.

use std::sync::Arc;
use std::time::Duration;

use campanile_core::due_send::Lease;
use campanile_core::limits;
use campanile_core::number::Shard;
use campanile_core::ports::{Settlement, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::measure;

/// How long a settlement waits for company. What was claimed together ends together, within some milliseconds; a settle of few costs a
/// store several times as much a send.
const COMPANY_WAIT: Duration = Duration::from_millis(4);
/// Batches of one shard that are with the store at once: an embedded store makes one commit of them.
const UNDER_WAY_MAX: usize = 4;
/// Settlements waiting in one shard.
const WAITING_MAX: usize = 4 * limits::SETTLE_MAX;
const AWAY_WAIT_MIN: Duration = Duration::from_millis(20);
const AWAY_WAIT_MAX: Duration = Duration::from_secs(1);
/// A lease is surely gone this long after it ended by our own watch.
const LEASE_GRACE: Duration = Duration::from_secs(5);

/// A settlement on its way.
pub struct Settling {
    pub settlement: Settlement,
    /// At the latest.
    pub lease_ends: Instant,
    /// Its caps were reserved: given back if nothing was posted.
    pub has_reserved: bool,
    /// Free only when it is settled: no more is posted than can be settled, and a sender that dies repeats no more than its slots.
    pub slot: Option<OwnedSemaphorePermit>,
}

/// The way in; when it is gone, the tasks settle what they have and end.
pub struct Settler(Vec<mpsc::Sender<Settling>>);

impl Settler {
    pub fn start(store: &Arc<dyn Store>, tasks: &mut JoinSet<()>) -> Settler {
        let inboxes = store.layout().shards().map(|shard| {
            let (sender, inbox) = mpsc::channel(WAITING_MAX);
            tasks.spawn(run(store.clone(), shard, inbox));
            sender
        });
        Settler(inboxes.collect())
    }

    pub async fn put(&self, shard: Shard, settling: Settling) {
        let Some(sender) = self.0.get(usize::from(shard.0)) else {
            return tracing::error!(shard = shard.0, "there is no such shard to settle in");
        };
        if sender.send(settling).await.is_err() {
            tracing::error!(shard = shard.0, "a settlement came after the end; its lease will run out");
        }
    }
}

async fn run(store: Arc<dyn Store>, shard: Shard, mut inbox: mpsc::Receiver<Settling>) {
    let mut under_way = JoinSet::new();
    while let Some(first) = inbox.recv().await {
        let mut batch = Vec::with_capacity(limits::SETTLE_MAX);
        batch.push(first);
        let company = async {
            while batch.len() < limits::SETTLE_MAX {
                match inbox.recv().await {
                    Some(next) => batch.push(next),
                    None => return,
                }
            }
        };
        let _ = timeout(COMPANY_WAIT, company).await;
        while under_way.len() >= UNDER_WAY_MAX {
            under_way.join_next().await.into_iter().for_each(look_at);
        }
        while let Some(ended) = under_way.try_join_next() {
            look_at(ended);
        }
        let store = store.clone();
        under_way.spawn(async move { settle(store.as_ref(), shard, batch.into_iter()).await });
    }
    while let Some(ended) = under_way.join_next().await {
        look_at(ended);
    }
}

fn look_at(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a settlement broke off; its leases run out and its sends come again");
    }
}

async fn settle(store: &dyn Store, shard: Shard, batch: impl Iterator<Item = Settling> + Send) {
    let mut ends = Vec::new();
    let mut slots = Vec::new();
    let mut unsent = Vec::new();
    let take = |settling: Settling| {
        ends.push(settling.lease_ends);
        slots.extend(settling.slot);
        if settling.has_reserved && !settling.settlement.attempted {
            unsent.push(settling.settlement.lease.clone());
        }
        settling.settlement
    };
    let settlements: Vec<Settlement> = batch.map(take).collect();
    let give_up_at = ends.into_iter().max().unwrap_or_else(Instant::now) + LEASE_GRACE;
    give_back(store, shard, &unsent).await;
    if let Err(error) = settle_until(store, shard, &settlements, give_up_at).await {
        if settlements.len() == 1 {
            report_lost(shard, &settlements, &error);
            return;
        }
        // One that the store cannot take must not hold up the others.
        for settlement in settlements.chunks(1) {
            if let Err(error) = settle_until(store, shard, settlement, give_up_at).await {
                report_lost(shard, settlement, &error);
            }
        }
    }
}

/// What caps reserved for sends that were not posted. Before they are settled: only who holds the lease may say so.
pub(crate) async fn give_back(store: &dyn Store, shard: Shard, unsent: &[Lease]) {
    for leases in unsent.chunks(limits::CAP_ASKS_MAX) {
        if let Err(error) = store.release_caps(shard, leases).await {
            let sends = leases.len();
            tracing::warn!(shard = shard.0, sends, %error, "reserved caps were not given back; they count until their time is over");
        }
    }
}

/// Tries again while the store is away or full. `Err`: it will not take them, or not in time.
async fn settle_until(
    store: &dyn Store,
    shard: Shard,
    settlements: &[Settlement],
    give_up_at: Instant,
) -> Result<(), StoreError> {
    let mut wait = AWAY_WAIT_MIN;
    let mut is_first = true;
    loop {
        let error = match store.settle(shard, settlements).await {
            Ok(settled) => {
                measure::settled(settlements, &settled);
                if is_first {
                    report_stale(store, shard, settlements, &settled);
                }
                tracing::debug!(shard = shard.0, settled = settled.len(), "settled");
                return Ok(());
            }
            Err(error) => error,
        };
        let may_pass = matches!(error, StoreError::Away(_) | StoreError::Full(_));
        if !may_pass || Instant::now() + wait > give_up_at {
            return Err(error);
        }
        // A repeat finds what the first call did gone, which is not worth a warning.
        is_first = false;
        sleep(wait).await;
        wait = AWAY_WAIT_MAX.min(wait * 2);
    }
}

fn report_stale(store: &dyn Store, shard: Shard, settlements: &[Settlement], settled: &[bool]) {
    for (settlement, _) in settlements.iter().zip(settled).filter(|(_, settled)| !**settled) {
        let send = settlement.row.as_ref().map(|row| row.send_id(store.layout(), shard).to_string());
        let campaign = settlement.lease.lane.campaign.0;
        tracing::warn!(
            send,
            campaign,
            attempted = settlement.attempted,
            "stale: the lease had run out before it was settled, the send comes again"
        );
    }
}

fn report_lost(shard: Shard, settlements: &[Settlement], error: &StoreError) {
    tracing::error!(
        shard = shard.0,
        sends = settlements.len(),
        %error,
        "sends could not be settled; their leases run out and they come again"
    );
}
