//! Claims: leased sends, fair over lanes and pinned; then, in a view of their own, what is needed to decide and render them.

use std::collections::{HashMap, HashSet};

use campanile_core::control_word::ControlWord;
use campanile_core::destination_port::{RoomFor, Rooms};
use campanile_core::due_send::{DueSend, Lane, Lease};
use campanile_core::limits;
use campanile_core::number::{DestinationNo, instant, millis};
use campanile_core::ports::{Claimed, Job, Settle, Settlement};
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use crate::room::{Done, Room, View};

/// Lanes that one claim looks at.
const LANES_MAX: usize = 64;
/// The least a lane is given in its turn: a claim over many lanes serves some of them well, and the next claim others.
const QUANTUM: usize = 8;

/// What a claim leased, before anybody looked up whom it is about.
#[derive(Clone)]
pub(crate) struct Leased {
    at: Timestamp,
    leases: Vec<(Lease, ControlWord)>,
    more: bool,
    passed_over: bool,
    next_at: Option<Timestamp>,
}

/// What is left of the rooms while a claim goes on.
struct Left {
    each: usize,
    of: HashMap<DestinationNo, RoomFor>,
}

impl Left {
    fn of(rooms: &Rooms) -> Left {
        Left { each: rooms.each, of: rooms.of.iter().map(|room| (room.no, *room)).collect() }
    }

    /// A destination that is not known yet has no bound.
    fn room(&mut self, no: DestinationNo) -> &mut usize {
        let sends = if no == DestinationNo::default() { usize::MAX } else { self.each };
        &mut self.of.entry(no).or_insert(RoomFor { no, sends, lease_secs: 0 }).sends
    }

    fn lease_secs(&self, no: DestinationNo) -> u8 {
        self.of.get(&no).map_or(0, |room| room.lease_secs)
    }
}

impl Room<'_> {
    pub(crate) fn lease(&mut self, want: usize, rooms: &Rooms) -> Done<Leased> {
        let want = want.min(limits::CLAIM_MAX);
        let now = millis(self.now) as i64;
        if self.memory.ring.next_unpark().is_some_and(|at| at <= now) {
            self.memory.ring().unpark(now);
        }
        let mut leases = Vec::with_capacity(want);
        let first_fence = self.meta("fence")? + 1;
        let mut fences = first_fence..;
        let mut blocked = HashSet::new();
        let (mut left, mut passed_over) = (Left::of(rooms), false);
        while leases.len() < want {
            let mut turn = self.memory.ring.in_turn(LANES_MAX + blocked.len());
            turn.retain(|(lane, _)| !blocked.contains(lane));
            if turn.is_empty() {
                break;
            }
            let weights: usize = turn.iter().map(|(_, word)| usize::from(word.weight.max(1))).sum();
            let whole = want - leases.len();
            for (lane, word) in turn {
                let share = (whole * usize::from(word.weight.max(1))).div_ceil(weights).max(QUANTUM);
                let n = share.min(want - leases.len());
                if n == 0 {
                    break;
                }
                let room = left.room(lane.destination);
                if *room == 0 {
                    passed_over = true;
                    blocked.insert(lane);
                    continue;
                }
                let (n, before) = (n.min(*room), leases.len());
                let secs = left.lease_secs(lane.destination).max(word.lease_secs);
                if !self.take(lane, ControlWord { lease_secs: secs, ..word }, n, &mut fences, &mut leases)? {
                    blocked.insert(lane);
                }
                let room = left.room(lane.destination);
                *room = room.saturating_sub(leases.len() - before);
            }
        }
        if fences.start > first_fence {
            self.raise_meta("fence", fences.start - first_fence)?;
        }
        let next_at = self.memory.ring.next_unpark().map(|ms| instant(ms.unsigned_abs()));
        let more = self.memory.ring.lanes_in_turn() > blocked.len();
        Ok(Leased { at: self.now, leases, more, passed_over, next_at })
    }

    /// The second answer, where there is no claim, comes after the sends were put back as they were: nobody would know of the leases.
    pub(crate) fn jobs_or_back(&mut self, leased: Leased) -> Done<Done<Claimed>> {
        let error = match self.view.jobs(leased.clone()) {
            Ok(claimed) => return Ok(Ok(claimed)),
            Err(error) => error,
        };
        let back = |(lease, _)| Settlement {
            lease,
            settle: Settle::Back,
            attempted: false,
            variant: None,
            hops: 0,
            row: None,
        };
        let backs: Vec<Settlement> = leased.leases.into_iter().map(back).collect();
        self.settle(&backs)?;
        Ok(Err(error))
    }

    /// `false`: what is left in the lane waits for events.
    fn take(
        &mut self,
        lane: Lane,
        word: ControlWord,
        n: usize,
        fences: &mut impl Iterator<Item = u64>,
        leases: &mut Vec<(Lease, ControlWord)>,
    ) -> Done<bool> {
        let name = lane.encode();
        let sql = "SELECT seq, core FROM lanes WHERE lane = ?1 ORDER BY seq LIMIT ?2";
        let mut rows = self.all(sql, params![name.as_slice(), n as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        if rows.is_empty() {
            self.memory.ring().forget(&lane);
            return Ok(true);
        }
        let found = rows.len();
        if word.waits_for_events() {
            let head = self.first_accepted()?;
            let is_hindered = |core: &[u8]| DueSend::decode(core).is_ok_and(|send| Some(send.due_at) > head);
            let free = rows.iter().position(|(_, core)| head.is_some() && is_hindered(core));
            rows.truncate(free.unwrap_or(found));
        }
        let is_free = rows.len() == found;
        let Some((last, _)) = rows.last() else { return Ok(false) };
        self.run("DELETE FROM lanes WHERE lane = ?1 AND seq <= ?2", params![name.as_slice(), last])?;
        self.memory.ring().take(&lane, rows.len(), word.weight);
        let lease_for = SignedDuration::from_secs(i64::from(word.lease_secs.max(1)));
        let expires_at = millis(self.now.checked_add(lease_for).unwrap_or(self.now)) as i64;
        let sql = "INSERT INTO leases (fence, expires_at, lane, core) VALUES (?1, ?2, ?3, ?4)";
        for (_, core) in rows {
            let Ok(send) = DueSend::decode(&core) else {
                self.put_aside("a lane", &core)?;
                continue;
            };
            let Some(fence) = fences.next() else { break };
            if word.keeps_history() {
                self.mark_begun(lane.campaign, &send)?;
            }
            let lease = Lease { fence, lane, send: send.pinned_at(self.now, word.apply_revision) };
            let core = lease.send.encode();
            self.run(sql, params![fence as i64, expires_at, name.as_slice(), core.as_slice()])?;
            leases.push((lease, word));
        }
        Ok(is_free)
    }
}

impl View<'_> {
    /// When the first event that waits was accepted.
    fn first_accepted(&self) -> Done<Option<Timestamp>> {
        let sql = "SELECT accepted_at FROM events ORDER BY seq LIMIT 1";
        Ok(self.one(sql, [], |row| row.get::<_, i64>(0))?.map(|at| instant(at.unsigned_abs())))
    }

    pub(crate) fn jobs(&self, leased: Leased) -> Done<Claimed> {
        let jobs = leased.leases.into_iter().map(|(lease, control)| self.job(lease, control));
        let jobs = jobs.collect::<Done<_>>()?;
        let Leased { at, more, passed_over, next_at, .. } = leased;
        Ok(Claimed { at, jobs, more, passed_over, next_at })
    }

    fn job(&self, lease: Lease, control: ControlWord) -> Done<Job> {
        let send = &lease.send;
        let (campaign, user, key) = (lease.lane.campaign.0, send.user.0 as i64, send.key as i64);
        let profile = self.load_user(send.user)?.map(|user| user.profile);
        let data = match send.has_data {
            true => {
                let sql = "SELECT bytes FROM entry_data WHERE campaign = ?1 AND user = ?2 AND key = ?3";
                self.one(sql, params![campaign, user, key], |row| row.get(0))?
            }
            false => None,
        };
        let kept = match send.has_request {
            true => self.kept(campaign, user, key, send.action)?,
            false => None,
        };
        let record = match control.keeps_history() {
            true => Some(self.record(send.user, lease.lane.campaign)?),
            false => None,
        };
        Ok(Job { lease, control, profile, data, kept, record })
    }

    pub(crate) fn kept(&self, campaign: u32, user: i64, key: i64, action: u8) -> Done<Option<Vec<u8>>> {
        let sql = "SELECT bytes FROM kept WHERE campaign = ?1 AND user = ?2 AND key = ?3 AND action = ?4";
        self.one(sql, params![campaign, user, key, action], |row| row.get(0))
    }
}
