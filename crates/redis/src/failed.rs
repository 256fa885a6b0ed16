//! Failed sends that are kept: read in the order of their failure, and put back into the queue.

use campanile_core::due_send::{DueSend, LANE_BYTES, Lane};
use campanile_core::limits;
use campanile_core::number::{Shard, instant, millis};
use campanile_core::ports::{Answer, StoreError};
use campanile_core::ports_kept::{FailedSend, FailedSends, Redriven};
use jiff::Timestamp;

use crate::arguments::Arguments;
use crate::reply::foreign;
use crate::store::RedisStore;

/// Sends of one call.
const REDRIVE_MAX: usize = 500;

impl RedisStore {
    async fn failed_page(
        &self,
        shard: Shard,
        from: Timestamp,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<FailedSend>, StoreError> {
        let arguments =
            Arguments::new().number(millis(from)).number(skip).number(limit.min(limits::PAGE_MAX));
        let mut reply = self.run(shard, &self.scripts.failed_sends, arguments).await?;
        let mut sends = Vec::with_capacity(reply.left() / 2);
        while !reply.is_empty() {
            let (member, at) = (reply.bytes()?, reply.text()?);
            sends.extend(failed(&member, &at));
        }
        Ok(sends)
    }

    async fn put_back(
        &self,
        shard: Shard,
        sends: &[Redriven],
        rerender: bool,
    ) -> Result<Vec<bool>, StoreError> {
        let mut answers = Vec::with_capacity(sends.len());
        for chunk in sends.chunks(REDRIVE_MAX) {
            let mut arguments = Arguments::new().number(i64::from(rerender));
            for Redriven { failed, variant } in chunk {
                let member = [failed.lane.encode().as_slice(), &failed.send.encode()].concat();
                arguments = arguments.bytes(member).bytes(variant.as_ref().map_or("", |name| name.as_str()));
            }
            let flags = self.run(shard, &self.scripts.redrive, arguments).await?.flags()?;
            if flags.len() != chunk.len() {
                return Err(foreign("redrive", "another number of answers"));
            }
            answers.extend(flags);
        }
        Ok(answers)
    }
}

/// What this version cannot read stays where it is.
fn failed(member: &[u8], at: &str) -> Option<FailedSend> {
    let (lane, core) = member.split_at_checked(LANE_BYTES)?;
    let (lane, send) = (Lane::decode(lane).ok()?, DueSend::decode(core).ok()?);
    Some(FailedSend { failed_at: instant(at.parse::<f64>().ok()?.max(0.0) as u64), lane, send })
}

impl FailedSends for RedisStore {
    fn failed_sends(
        &self,
        shard: Shard,
        from: Timestamp,
        skip: usize,
        limit: usize,
    ) -> Answer<'_, Vec<FailedSend>> {
        Box::pin(self.failed_page(shard, from, skip, limit))
    }

    fn redrive<'a>(&'a self, shard: Shard, sends: &'a [Redriven], rerender: bool) -> Answer<'a, Vec<bool>> {
        Box::pin(self.put_back(shard, sends, rerender))
    }
}
