//! Claims: a script leases what is served next; profiles and the like are then read by plain commands, which cost the server a fraction
//! of what a script would.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile_core::control_word::{CONTROL_BYTES, ControlWord};
use campanile_core::destination_port::Rooms;
use campanile_core::due_send::{CORE_BYTES, DueSend, LANE_BYTES, Lane, Lease};
use campanile_core::limits;
use campanile_core::number::{Shard, UserNo, instant};
use campanile_core::ports::{Claimed, Job, StoreError};
use campanile_core::user::Profile;
use jiff::Timestamp;
use redis::Value;

use crate::arguments::{Arguments, entry_field, user_bytes};
use crate::reply::{self, ForeignValue, Reply, foreign, stored_user};
use crate::store::{REPLY_BYTES_MAX, RedisStore};

/// Sends of one lane that a claim takes at least, where they are wanted: a lane for each send costs more than it is fair.
const QUANTUM: usize = 8;

/// How large the largest profile of the last reply was: so many are asked for at once that a reply stays bounded.
pub(crate) struct ProfileBytes(AtomicUsize);

impl Default for ProfileBytes {
    fn default() -> ProfileBytes {
        ProfileBytes(AtomicUsize::new(REPLY_BYTES_MAX / 16))
    }
}

impl ProfileBytes {
    fn at_once(&self) -> usize {
        (REPLY_BYTES_MAX / self.0.load(Ordering::Relaxed).max(1)).clamp(1, limits::CLAIM_MAX)
    }
}

/// A leased send, as the claim says.
struct Leased {
    lease: Lease,
    control: ControlWord,
    record: Option<Vec<u8>>,
}

impl RedisStore {
    pub(crate) async fn claim_jobs(
        &self,
        shard: Shard,
        want: usize,
        rooms: &Rooms,
    ) -> Result<Claimed, StoreError> {
        let arguments = Arguments::new()
            .number(want.min(limits::CLAIM_MAX))
            .number(QUANTUM)
            .number(rooms.each)
            .bytes(rooms_bytes(rooms));
        let (at, mut reply) = self.run_at(shard, &self.scripts.claim, arguments).await?;
        let (more, passed_over) = (reply.int()? == 1, reply.int()? == 1);
        let next_at = u64::try_from(reply.int()?).ok().map(instant);
        let leased = read_leased(reply, at)?;
        let longer: HashMap<_, _> = rooms.of.iter().map(|room| (room.no, room.lease_secs)).collect();
        let users: Vec<UserNo> = leased.iter().map(|leased| leased.lease.send.user).collect();
        let profiles = self.profiles(shard, &users).await?;
        let mut kept = self.kept_beside(shard, &leased).await?.into_iter();
        let mut jobs = Vec::with_capacity(leased.len());
        for (Leased { lease, mut control, record }, profile) in leased.into_iter().zip(profiles) {
            self.words.saw(lease.lane.campaign, Some(control));
            let secs = longer.get(&lease.lane.destination).copied().unwrap_or(0);
            control.lease_secs = control.lease_secs.max(secs);
            let data = if lease.send.has_data { kept.next().flatten() } else { None };
            let request = if lease.send.has_request { kept.next().flatten() } else { None };
            jobs.push(Job { lease, control, profile, data, kept: request, record });
        }
        Ok(Claimed { at, jobs, more, passed_over, next_at })
    }

    /// Those of users who are there. A foreign profile is kept aside; its user's sends are answered as those of a user who is gone.
    async fn profiles(&self, shard: Shard, users: &[UserNo]) -> Result<Vec<Option<Profile>>, StoreError> {
        let prefix = self.shards.prefix(shard)?;
        let (mut profiles, mut foreign_values) = (Vec::with_capacity(users.len()), Vec::new());
        while let Some(rest) = users.get(profiles.len()..).filter(|rest| !rest.is_empty()) {
            let some = &rest[..rest.len().min(self.profile_bytes.at_once())];
            let mut get = redis::cmd("MGET");
            for no in some {
                get.arg([prefix.as_bytes(), b"u:", &user_bytes(*no)].concat());
            }
            let values = match self.connection.command("profiles", &get).await? {
                Value::Array(values) if values.len() == some.len() => values,
                _ => return Err(foreign("profiles", "another number of values")),
            };
            let mut largest = 1;
            for (value, no) in values.into_iter().zip(some) {
                let Value::BulkString(value) = value else {
                    profiles.push(None);
                    continue;
                };
                largest = largest.max(value.len());
                match stored_user(*no, &value) {
                    Ok(user) => profiles.push(Some(user.profile)),
                    Err(text) => {
                        foreign_values.push(ForeignValue { no: *no, value, text });
                        profiles.push(None);
                    }
                }
            }
            self.profile_bytes.0.store(largest, Ordering::Relaxed);
        }
        self.pass_over(shard, foreign_values).await?;
        Ok(profiles)
    }

    /// Data and request of those that say they have some, in order.
    async fn kept_beside(&self, shard: Shard, leased: &[Leased]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut wanted: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for Leased { lease, .. } in leased {
            let user = user_bytes(lease.send.user);
            let entry = entry_field(lease.lane.campaign, lease.send.key);
            if lease.send.has_data {
                wanted.push(([b"x:".as_slice(), &user].concat(), entry.clone()));
            }
            if lease.send.has_request {
                wanted.push((
                    [b"r:".as_slice(), &user].concat(),
                    [entry.as_slice(), &[lease.send.action]].concat(),
                ));
            }
        }
        let mut values = Vec::with_capacity(wanted.len());
        while let Some(rest) = wanted.get(values.len()..).filter(|rest| !rest.is_empty()) {
            values.extend(self.facts(shard, rest.iter().cloned()).await?);
        }
        Ok(values)
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

/// Lane by lane, from the fence on; pinned as the claim will be remembered.
fn read_leased(mut reply: Reply, now: Timestamp) -> Result<Vec<Leased>, StoreError> {
    let unlike = |text: &str| foreign("claim", text);
    let fence = reply::number(&reply.bytes()?) << 8;
    let mut leased = Vec::new();
    while !reply.is_empty() {
        let (head, cores, records) = (reply.bytes()?, reply.bytes()?, reply.list()?);
        if head.len() != LANE_BYTES + CONTROL_BYTES || cores.len() % CORE_BYTES != 0 {
            return Err(unlike("a lane of another length"));
        }
        let lane = Lane::decode(&head[..LANE_BYTES]).map_err(|e| unlike(&e.to_string()))?;
        let control = ControlWord::decode(&head[LANE_BYTES..]).map_err(|e| unlike(&e.to_string()))?;
        let mut records = records.into_iter();
        for core in cores.chunks_exact(CORE_BYTES) {
            let send = DueSend::decode(core).map_err(|e| unlike(&e.to_string()))?;
            let lease = Lease {
                fence: fence | leased.len() as u64,
                lane,
                send: send.pinned_at(now, control.apply_revision),
            };
            let record = match records.next() {
                Some(Value::BulkString(record)) => Some(record),
                _ => None,
            };
            leased.push(Leased { lease, control, record });
        }
    }
    Ok(leased)
}
