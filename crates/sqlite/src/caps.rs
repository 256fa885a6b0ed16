//! Caps: what was counted of each user, one row a user, decided by `core::caps`.

use campanile_core::caps::{CapAnswer, CapAsk, CapKey, CapRows, may_release};
use campanile_core::due_send::Lease;
use campanile_core::number::UserNo;
use rusqlite::params;

use crate::room::{Done, Room, View};

impl View<'_> {
    fn cap_rows(&self, user: UserNo) -> Done<CapRows> {
        let bytes = self
            .one("SELECT bytes FROM caps WHERE user = ?1", [user.0 as i64], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(bytes.map(|bytes| CapRows::decode(&bytes)).unwrap_or_default())
    }

    pub(crate) fn look_at_caps(&self, asks: &[CapAsk], now: jiff::Timestamp) -> Done<Vec<CapAnswer>> {
        asks.iter().map(|ask| Ok(self.cap_rows(ask.user)?.look(ask, now))).collect()
    }
}

impl Room<'_> {
    pub(crate) fn reserve_caps(&mut self, asks: &[CapAsk]) -> Done<Vec<CapAnswer>> {
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            let before = self.cap_rows(ask.user)?;
            let mut rows = before.clone();
            answers.push(rows.reserve(ask, self.now));
            if rows != before {
                self.save_cap_rows(ask.user, &rows)?;
            }
        }
        Ok(answers)
    }

    pub(crate) fn release_caps(&mut self, leases: &[Lease]) -> Done<()> {
        for lease in leases.iter().filter(|lease| may_release(lease)) {
            let sql = "SELECT 1 FROM leases WHERE fence = ?1 AND lane = ?2 AND core = ?3";
            let (lane, core) = (lease.lane.encode(), lease.send.encode());
            let is_live =
                self.one(sql, params![lease.fence as i64, lane.as_slice(), core.as_slice()], |_| Ok(()))?;
            let mut rows = self.cap_rows(lease.send.user)?;
            if is_live.is_some() && rows.release(&CapKey::of(lease)) {
                self.save_cap_rows(lease.send.user, &rows)?;
            }
        }
        Ok(())
    }

    fn save_cap_rows(&self, user: UserNo, rows: &CapRows) -> Done<()> {
        let user = user.0 as i64;
        match rows.is_empty() {
            true => self.run("DELETE FROM caps WHERE user = ?1", [user]).map(drop),
            false => {
                let sql = "INSERT OR REPLACE INTO caps (user, bytes) VALUES (?1, ?2)";
                self.run(sql, params![user, rows.encode()]).map(drop)
            }
        }
    }
}
