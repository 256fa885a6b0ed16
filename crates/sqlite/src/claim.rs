//! Claims: leased sends, fair over lanes, pinned, with what is needed to decide and render them.

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::due_send::{DueSend, Lane, Lease};
use campanile_core::limits;
use campanile_core::number::millis;
use campanile_core::ports::{Claimed, Job};
use jiff::SignedDuration;
use rusqlite::params;

use crate::room::{Done, Room};

/// Lanes that one claim looks at.
const LANES_MAX: usize = 64;

impl Room<'_> {
    pub(crate) fn claim(&mut self, want: usize) -> Done<Claimed> {
        let want = want.min(limits::CLAIM_MAX);
        let mut served: Vec<(Lane, ControlWord)> = Vec::new();
        for lane in self.ring.in_turn() {
            if served.len() == LANES_MAX {
                break;
            }
            match self.control_word(lane.campaign)? {
                Some(word) if word.flow != Flow::Held => served.push((lane, word)),
                _ => {}
            }
        }
        let weights: usize = served.iter().map(|(_, word)| usize::from(word.weight.max(1))).sum();
        let mut jobs = Vec::new();
        // A lane's share first, then what others left.
        for round in 0..2 {
            for (lane, word) in &served {
                let left = want - jobs.len();
                let share = (want * usize::from(word.weight.max(1))).div_ceil(weights.max(1));
                let n = if round == 0 { share.min(left) } else { left };
                if n > 0 && self.ring.len(lane) > 0 {
                    self.take(*lane, *word, n, &mut jobs)?;
                }
            }
        }
        let more = served.iter().any(|(lane, _)| self.ring.len(lane) > 0);
        Ok(Claimed { at: self.now, jobs, more })
    }

    fn take(&mut self, lane: Lane, word: ControlWord, n: usize, jobs: &mut Vec<Job>) -> Done<()> {
        let name = lane.encode();
        let sql = "SELECT seq, core FROM lanes WHERE lane = ?1 ORDER BY seq LIMIT ?2";
        let rows = self.all(sql, params![name.as_slice(), n as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let Some((last, _)) = rows.last() else {
            // The ring was wrong about it.
            self.ring.take(&lane, usize::MAX, word.weight);
            return Ok(());
        };
        self.run("DELETE FROM lanes WHERE lane = ?1 AND seq <= ?2", params![name.as_slice(), last])?;
        self.ring.take(&lane, rows.len(), word.weight);
        let fence = self.meta("fence")?;
        self.raise_meta("fence", rows.len() as u64)?;
        let lease_for = SignedDuration::from_secs(i64::from(word.lease_secs.max(1)));
        let expires_at = millis(self.now.checked_add(lease_for).unwrap_or(self.now)) as i64;
        for ((_, core), fence) in rows.into_iter().zip(fence + 1..) {
            let Ok(send) = DueSend::decode(&core) else {
                self.put_aside("a lane", &core)?;
                continue;
            };
            let lease = Lease { fence, lane, send: self.pin(send, &word) };
            let sql = "INSERT INTO leases (fence, expires_at, lane, core) VALUES (?1, ?2, ?3, ?4)";
            self.run(
                sql,
                params![fence as i64, expires_at, name.as_slice(), lease.send.encode().as_slice()],
            )?;
            jobs.push(self.job(lease, word)?);
        }
        Ok(())
    }

    /// Revision and instant of the first claim are fixed here: a redelivery renders the same.
    fn pin(&self, mut send: DueSend, word: &ControlWord) -> DueSend {
        if !send.pinned {
            let after = self.now.duration_since(send.due_at).as_millis().max(0);
            send.pinned = true;
            send.revision = send.revision.max(word.apply_revision);
            send.first_claim_after_ms = u32::try_from(after).unwrap_or(u32::MAX);
        }
        send
    }

    fn job(&self, lease: Lease, control: ControlWord) -> Done<Job> {
        let send = &lease.send;
        let entry = params![lease.lane.campaign.0, send.user.0 as i64, send.key as i64];
        let profile = self.load_user(send.user)?.map(|user| user.profile);
        let data = match send.has_data {
            true => {
                let sql = "SELECT bytes FROM entry_data WHERE campaign = ?1 AND user = ?2 AND key = ?3";
                self.one(sql, entry, |row| row.get(0))?
            }
            false => None,
        };
        let kept = match send.has_request {
            true => {
                let sql =
                    "SELECT bytes FROM kept WHERE campaign = ?1 AND user = ?2 AND key = ?3 AND action = ?4";
                let of = params![lease.lane.campaign.0, send.user.0 as i64, send.key as i64, send.action];
                self.one(sql, of, |row| row.get(0))?
            }
            false => None,
        };
        Ok(Job { lease, control, profile, data, kept })
    }
}
