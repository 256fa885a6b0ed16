//! The queue: requests in, the wheel into lanes, what lanes are told. Lanes into leases is in `claim`, what becomes of
//! those in `settle`.

use campanile_core::control_word::ControlWord;
use campanile_core::destination_port::Rooms;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, instant};
use campanile_core::ports::{Add, Added, Answer, Claimed, Queue, Released, Settlement, StoreError};

use crate::arguments::{Arguments, at_most};
use crate::store::RedisStore;

impl RedisStore {
    async fn add_request(&self, shard: Shard, add: &Add) -> Result<Added, StoreError> {
        at_most("entries", add.entries.len(), limits::MOVE_MAX)?;
        let arguments = Arguments::new()
            .bytes(add.request)
            .bytes(add.body)
            .bytes(add.answer.as_slice())
            .number(limits::REQUEST_KEPT.as_millis())
            .entries(&add.entries)
            .counts(&add.counts)
            .refused(&add.refused);
        let mut reply = self.run(shard, &self.scripts.add, arguments).await?;
        if reply.int()? == 0 {
            return Ok(Added::Now);
        }
        let stored = reply.bytes()?;
        Ok(match stored.strip_prefix(&add.body) {
            Some(answer) => Added::Before(answer.to_vec()),
            None => Added::OtherBody,
        })
    }

    async fn release_due(&self, shard: Shard, limit: usize) -> Result<Released, StoreError> {
        let arguments = Arguments::new().number(limit.min(limits::MOVE_MAX));
        let mut reply = self.run(shard, &self.scripts.release, arguments).await?;
        let moved = reply.count()? as usize;
        let next_at = u64::try_from(reply.int()?).ok().map(instant);
        Ok(Released { moved, next_at })
    }

    async fn show_control(
        &self,
        shard: Shard,
        campaign: CampaignNo,
        word: ControlWord,
    ) -> Result<(), StoreError> {
        loop {
            let arguments = Arguments::new().bytes(campaign.0.to_be_bytes()).bytes(word.encode());
            if self.run(shard, &self.scripts.set_control, arguments).await?.int()? == 0 {
                return Ok(());
            }
        }
    }

    async fn control_words(
        &self,
        shard: Shard,
        campaigns: &[CampaignNo],
    ) -> Result<Vec<Option<ControlWord>>, StoreError> {
        let mut words = Vec::with_capacity(campaigns.len());
        for chunk in campaigns.chunks(limits::PAGE_MAX) {
            let arguments =
                chunk.iter().fold(Arguments::new(), |arguments, no| arguments.bytes(no.0.to_be_bytes()));
            let mut reply = self.run(shard, &self.scripts.control, arguments).await?;
            for _ in chunk {
                // A foreign word is none: a claim holds its lanes until the campaign is shown again.
                words.push(reply.optional()?.and_then(|word| ControlWord::decode(&word).ok()));
            }
        }
        Ok(words)
    }
}

impl Queue for RedisStore {
    fn add<'a>(&'a self, shard: Shard, add: &'a Add) -> Answer<'a, Added> {
        Box::pin(self.add_request(shard, add))
    }

    fn release(&self, shard: Shard, limit: usize) -> Answer<'_, Released> {
        Box::pin(self.release_due(shard, limit))
    }

    fn claim_within<'a>(&'a self, shard: Shard, want: usize, rooms: &'a Rooms) -> Answer<'a, Claimed> {
        Box::pin(self.claim_jobs(shard, want, rooms))
    }

    fn settle<'a>(&'a self, shard: Shard, settlements: &'a [Settlement]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.settle_sends(shard, settlements))
    }

    fn reclaim(&self, shard: Shard, limit: usize) -> Answer<'_, usize> {
        Box::pin(self.reclaim_leases(shard, limit))
    }

    fn set_control(&self, shard: Shard, campaign: CampaignNo, word: ControlWord) -> Answer<'_, ()> {
        Box::pin(self.show_control(shard, campaign, word))
    }

    fn control<'a>(
        &'a self,
        shard: Shard,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Vec<Option<ControlWord>>> {
        Box::pin(self.control_words(shard, campaigns))
    }
}
