//! How many sends of a campaign are planned and not settled: what a verb that touches many tells before it does.

use campanile_core::counter::Counter;
use campanile_core::number::CampaignNo;
use tonic::Status;

use crate::deployment::Deployment;
use crate::status;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    pub all: i64,
    /// Of these: attempted already, and waiting for another attempt.
    pub attempted: i64,
}

pub async fn pending(deployment: &Deployment, no: CampaignNo) -> Result<Pending, Status> {
    let counters = deployment.store.stats(no).await.map_err(status::store)?;
    let mut pending = Pending::default();
    for (counter, n) in counters {
        match counter {
            Counter::Pending(_) => pending.all += n,
            Counter::Retrying(_) => pending.attempted += n,
            _ => {}
        }
    }
    Ok(pending)
}
