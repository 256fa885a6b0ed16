//! Destinations. Policies are in the file; breakers and places beside the writer, in memory: one process holds the file, and its end takes along
//! what it knew of far ends and what it had under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_core::breaker::Breaker;
use campanile_core::destination::{DestinationPolicy, StoredDestination};
use campanile_core::destination_port::{BreakerChange, Destinations, FollowedDestinations, Place};
use campanile_core::limits;
use campanile_core::number::DestinationNo;
use campanile_core::ports::{Answer, StoreError};
use jiff::Timestamp;
use rusqlite::params;

use crate::room::{Done, Room, View};
use crate::store::SqliteStore;

/// What is not in the file.
#[derive(Default)]
pub(crate) struct FarEnds(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Grows with every change; 0 is what nobody has seen yet.
    version: u64,
    breakers: BTreeMap<DestinationNo, (u64, Breaker)>,
    places: HashMap<DestinationNo, HashMap<Place, Timestamp>>,
}

impl FarEnds {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, mut stored: Vec<StoredDestination>) -> Vec<StoredDestination> {
        let known = self.lock();
        for destination in &mut stored {
            if let Some((version, breaker)) = known.breakers.get(&destination.no) {
                (destination.breaker_version, destination.breaker) = (*version, breaker.clone());
            }
        }
        stored
    }

    fn save(&self, changes: &[BreakerChange]) -> Vec<bool> {
        let mut known = self.lock();
        let mut saved = Vec::with_capacity(changes.len());
        for BreakerChange { no, version, breaker } in changes {
            let there = known.breakers.get(no).map_or(0, |(version, _)| *version);
            let fits = there > 0 || known.breakers.len() < limits::BREAKERS_MAX;
            let is_saved = there == *version && fits;
            match breaker {
                _ if !is_saved => {}
                Some(breaker) => drop(known.breakers.insert(*no, (version + 1, breaker.clone()))),
                None => drop(known.breakers.remove(no)),
            }
            saved.push(is_saved);
        }
        known.version += 1;
        saved
    }

    fn take(
        &self,
        no: DestinationNo,
        limit: usize,
        places: &[Place],
        now: Timestamp,
        lasts: Duration,
    ) -> usize {
        let mut known = self.lock();
        let taken = known.places.entry(no).or_default();
        taken.retain(|_, until| *until > now);
        let until = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        for (held, place) in places.iter().enumerate() {
            if !taken.contains_key(place) {
                if taken.len() >= limit {
                    return held;
                }
                taken.insert(*place, until);
            }
        }
        places.len()
    }

    fn leave(&self, no: DestinationNo, places: &[Place]) {
        let mut known = self.lock();
        if let Some(taken) = known.places.get_mut(&no) {
            taken.retain(|place, _| !places.contains(place));
            if taken.is_empty() {
                known.places.remove(&no);
            }
        }
    }
}

const COLUMNS: &str =
    "SELECT d.no, d.name, p.revision, p.doc FROM destinations d LEFT JOIN policies p ON p.no = d.no";

impl View<'_> {
    fn destinations_where(&self, rest: &str, params: impl rusqlite::Params) -> Done<Vec<StoredDestination>> {
        let rows = self.all(&format!("{COLUMNS} {rest}"), params, |row| {
            let (no, name): (u32, String) = (row.get(0)?, row.get(1)?);
            Ok((DestinationNo(no), name, row.get::<_, Option<i64>>(2)?, row.get::<_, Option<String>>(3)?))
        })?;
        let read = |(no, name, revision, doc): (_, String, Option<i64>, Option<String>)| {
            let policy =
                doc.as_deref().map_or_else(|| Ok(DestinationPolicy::default()), serde_json::from_str);
            let policy = policy.unwrap_or_else(|error| {
                tracing::error!(destination = name, %error, "what is stored of a destination is foreign");
                DestinationPolicy::default()
            });
            let revision = revision.unwrap_or(0).unsigned_abs();
            StoredDestination { no, name, revision, policy, breaker_version: 0, breaker: Breaker::default() }
        };
        Ok(rows.into_iter().map(read).collect())
    }
}

impl Room<'_> {
    fn save_policy(&self, no: DestinationNo, revision: u64, policy: &DestinationPolicy) -> Done<bool> {
        let there =
            self.one("SELECT revision FROM policies WHERE no = ?1", [no.0], |row| row.get::<_, i64>(0))?;
        if there.unwrap_or(0).unsigned_abs() != revision {
            return Ok(false);
        }
        let n = self.one("SELECT count(*) FROM policies", [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
        let most = limits::DESTINATION_POLICIES_MAX;
        if there.is_none() && n.unsigned_abs() as usize >= most {
            return Err(StoreError::Full(format!("{most} destinations have settings of their own")));
        }
        let doc = serde_json::to_string(policy);
        let doc = doc.map_err(|e| StoreError::Refused(format!("write a destination: {e}")))?;
        let sql = "INSERT OR REPLACE INTO policies (no, revision, doc) VALUES (?1, ?2, ?3)";
        self.run(sql, params![no.0, revision as i64 + 1, doc])?;
        Ok(true)
    }
}

impl Destinations for SqliteStore {
    fn list_destinations<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<StoredDestination>> {
        let after = after.to_owned();
        Box::pin(async move {
            let limit = limit.min(limits::PAGE_MAX) as i64;
            let rest = "WHERE d.name > ?1 ORDER BY d.name LIMIT ?2";
            let found = self.read(move |view| view.destinations_where(rest, params![after, limit])).await?;
            Ok(self.far_ends.join(found))
        })
    }

    fn follow_destinations(&self, seen: u64) -> Answer<'_, FollowedDestinations> {
        Box::pin(async move {
            let (version, troubled) = {
                let known = self.far_ends.lock();
                let numbers: Vec<String> = known.breakers.keys().map(|no| no.0.to_string()).collect();
                (known.version + 1, format!("[{}]", numbers.join(",")))
            };
            if version == seen {
                return Ok(FollowedDestinations { version, destinations: None });
            }
            let rest = "WHERE p.no IS NOT NULL OR d.no IN (SELECT value FROM json_each(?1))";
            let found = self.read(move |view| view.destinations_where(rest, [troubled])).await?;
            Ok(FollowedDestinations { version, destinations: Some(self.far_ends.join(found)) })
        })
    }

    fn save_destination(
        &self,
        no: DestinationNo,
        revision: u64,
        policy: DestinationPolicy,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let saved = self.write(move |room| room.save_policy(no, revision, &policy)).await?;
            self.far_ends.lock().version += 1;
            Ok(saved)
        })
    }

    fn save_breakers<'a>(&'a self, breakers: &'a [BreakerChange]) -> Answer<'a, Vec<bool>> {
        Box::pin(std::future::ready(Ok(self.far_ends.save(breakers))))
    }

    fn take_places<'a>(
        &'a self,
        no: DestinationNo,
        limit: usize,
        places: &'a [Place],
        lasts: Duration,
    ) -> Answer<'a, usize> {
        let held = self.far_ends.take(no, limit, places, self.clock.now(), lasts);
        Box::pin(std::future::ready(Ok(held)))
    }

    fn leave_places<'a>(&'a self, no: DestinationNo, places: &'a [Place]) -> Answer<'a, ()> {
        self.far_ends.leave(no, places);
        Box::pin(std::future::ready(Ok(())))
    }
}
