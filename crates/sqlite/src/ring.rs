//! Fairness over lanes, in memory: which lane is served next, by virtual time. Made anew from the file whenever in doubt.

use std::collections::HashMap;

use campanile_core::due_send::Lane;
use campanile_core::ports::StoreError;
use rusqlite::Connection;

use crate::open::broken;

#[derive(Debug, Default)]
pub(crate) struct Ring {
    lanes: HashMap<Lane, Place>,
    /// The least of the lanes that have work.
    virtual_time: f64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Sends waiting.
    len: usize,
    /// What it has been given so far, by weight.
    given: f64,
}

impl Ring {
    pub(crate) fn load(connection: &Connection) -> Result<Ring, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT lane, count(*) FROM lanes GROUP BY lane")
            .map_err(|e| broken(&e))?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)));
        let mut ring = Ring::default();
        for row in rows.map_err(|e| broken(&e))? {
            let (lane, len) = row.map_err(|e| broken(&e))?;
            // Foreign lanes are never served.
            if let Ok(lane) = Lane::decode(&lane) {
                ring.lanes.insert(lane, Place { len: len.max(0) as usize, given: 0.0 });
            }
        }
        Ok(ring)
    }

    pub(crate) fn len(&self, lane: &Lane) -> usize {
        self.lanes.get(lane).map_or(0, |place| place.len)
    }

    /// Answers whether the lane was empty.
    pub(crate) fn add(&mut self, lane: Lane, n: usize) -> bool {
        let virtual_time = self.virtual_time;
        let place = self.lanes.entry(lane).or_insert(Place { len: 0, given: virtual_time });
        place.len += n;
        place.len == n
    }

    /// A lane was given `n` sends; an empty one is forgotten.
    pub(crate) fn take(&mut self, lane: &Lane, n: usize, weight: u8) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        self.virtual_time = self.virtual_time.max(place.given);
        place.len = place.len.saturating_sub(n);
        place.given += n as f64 / f64::from(weight.max(1));
        if place.len == 0 {
            self.lanes.remove(lane);
        }
    }

    /// Lanes with work, the least served first.
    pub(crate) fn in_turn(&self) -> Vec<Lane> {
        let mut lanes: Vec<(&Lane, &Place)> = self.lanes.iter().filter(|(_, place)| place.len > 0).collect();
        lanes.sort_by(|(a, x), (b, y)| x.given.total_cmp(&y.given).then_with(|| a.cmp(b)));
        lanes.into_iter().map(|(lane, _)| *lane).collect()
    }
}
