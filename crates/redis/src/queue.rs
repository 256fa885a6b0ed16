//! The queue: requests in, the wheel into lanes, lanes into leases. What becomes of a lease is in `settle`.

use std::collections::HashMap;

use campanile_core::control_word::ControlWord;
use campanile_core::destination_port::Rooms;
use campanile_core::due_send::Lease;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, instant};
use campanile_core::ports::{Add, Added, Answer, Claimed, Job, Queue, Released, Settlement, StoreError};
use campanile_core::user::Profile;

use crate::arguments::{Arguments, at_most, entry_field, user_bytes};
use crate::reply::{Fact, Reply, foreign, stored_user};
use crate::store::{REPLY_BYTES_MAX, RedisStore};

/// Sends of one lane that a claim takes at least, where they are wanted: a lane for each send costs more than it is fair.
const QUANTUM: usize = 8;

/// A leased send, with facts that may still have to be fetched.
struct Leased {
    lease: Lease,
    control: ControlWord,
    facts: [Fact; 3],
    record: Option<Vec<u8>>,
}

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

    async fn claim_jobs(&self, shard: Shard, want: usize, rooms: &Rooms) -> Result<Claimed, StoreError> {
        let arguments = Arguments::new()
            .number(want.min(limits::CLAIM_MAX))
            .number(QUANTUM)
            .number(REPLY_BYTES_MAX)
            .number(rooms.each)
            .bytes(rooms_bytes(rooms));
        let (at, mut reply) = self.run_at(shard, &self.scripts.claim, arguments).await?;
        let (more, passed_over) = (reply.int()? == 1, reply.int()? == 1);
        let next_at = u64::try_from(reply.int()?).ok().map(instant);
        let mut leased = Vec::new();
        while !reply.is_empty() {
            leased.push(read_leased(&mut reply)?);
        }
        self.fetch_late(shard, &mut leased).await?;
        let mut jobs = Vec::with_capacity(leased.len());
        let longer: HashMap<_, _> = rooms.of.iter().map(|room| (room.no, room.lease_secs)).collect();
        for Leased { lease, mut control, facts, record } in leased {
            let secs = longer.get(&lease.lane.destination).copied().unwrap_or(0);
            control.lease_secs = control.lease_secs.max(secs);
            let [profile, data, kept] = facts.map(Fact::here);
            let profile = self.profile(shard, &lease, profile).await?;
            jobs.push(Job { lease, control, profile, data, kept, record });
        }
        Ok(Claimed { at, jobs, more, passed_over, next_at })
    }

    /// Asks for what did not fit into the claim's reply.
    async fn fetch_late(&self, shard: Shard, leased: &mut [Leased]) -> Result<(), StoreError> {
        let mut late: Vec<(&mut Fact, Vec<u8>, Vec<u8>)> = Vec::new();
        for Leased { lease, facts, .. } in leased {
            let user = user_bytes(lease.send.user);
            let entry = entry_field(lease.lane.campaign, lease.send.key);
            let send = [entry.as_slice(), &[lease.send.action]].concat();
            let wanted = [(b"u:", Vec::new()), (b"x:", entry), (b"r:", send)];
            for (fact, (kind, field)) in facts.iter_mut().zip(wanted) {
                if matches!(fact, Fact::Later) {
                    late.push((fact, [kind.as_slice(), &user].concat(), field));
                }
            }
        }
        let mut rest = late.as_mut_slice();
        while !rest.is_empty() {
            let wanted = rest.iter().map(|(_, key, field)| (key.clone(), field.clone()));
            let values = self.facts(shard, wanted).await?;
            let answered = values.len().min(rest.len());
            for ((fact, ..), value) in rest.iter_mut().zip(values) {
                **fact = value.map_or(Fact::None, Fact::Here);
            }
            rest = rest.get_mut(answered..).unwrap_or_default();
        }
        Ok(())
    }

    /// A foreign profile is kept aside; its user's sends are answered as those of a user who is gone.
    async fn profile(
        &self,
        shard: Shard,
        lease: &Lease,
        value: Option<Vec<u8>>,
    ) -> Result<Option<Profile>, StoreError> {
        let no = lease.send.user;
        match value.map(|value| stored_user(no, &value).map_err(|text| (value, text))) {
            None => Ok(None),
            Some(Ok(user)) => Ok(Some(user.profile)),
            Some(Err((value, text))) => {
                self.pass_over(shard, vec![crate::reply::ForeignValue { no, value, text }]).await?;
                Ok(None)
            }
        }
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

/// Seven bytes for each that is listed.
fn rooms_bytes(rooms: &Rooms) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(7 * rooms.of.len());
    for room in &rooms.of {
        bytes.extend(room.no.0.to_be_bytes());
        bytes.extend(u16::try_from(room.sends).unwrap_or(u16::MAX).to_be_bytes());
        bytes.push(room.lease_secs);
    }
    bytes
}

fn read_leased(reply: &mut Reply) -> Result<Leased, StoreError> {
    // The script has looked at both.
    let lease = Lease::decode(&reply.bytes()?).map_err(|e| foreign("claim", &e.to_string()))?;
    let control = ControlWord::decode(&reply.bytes()?).map_err(|e| foreign("claim", &e.to_string()))?;
    let facts = [reply.fact()?, reply.fact()?, reply.fact()?];
    Ok(Leased { lease, control, facts, record: reply.optional()? })
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
