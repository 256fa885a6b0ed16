//! A person is forgotten, in one transaction. What waits in wheel and lanes keeps a number that nobody has any more.

use campanile_core::due_send::DueSend;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::Answer;
use campanile_core::ports_kept::{Erased, Erasure};
use campanile_core::recent_event::RecentEvent;
use rusqlite::params;

use crate::room::{Done, Room};
use crate::store::SqliteStore;

/// What is kept by campaign and user.
const BY_CAMPAIGN: [&str; 5] = [
    "DELETE FROM entry_data WHERE campaign = ?1 AND user = ?2",
    "DELETE FROM kept WHERE campaign = ?1 AND user = ?2",
    "DELETE FROM records WHERE campaign = ?1 AND user = ?2",
    "DELETE FROM marks WHERE campaign = ?1 AND user = ?2",
    "DELETE FROM histories WHERE campaign = ?1 AND user = ?2",
];

impl Erasure for SqliteStore {
    fn erase_user<'a>(
        &'a self,
        _shard: Shard,
        id: &'a str,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Erased> {
        let (id, campaigns) = (id.to_owned(), campaigns.to_vec());
        self.write(move |room| room.erase_user(&id, &campaigns))
    }
}

impl Room<'_> {
    fn erase_user(&mut self, id: &str, campaigns: &[CampaignNo]) -> Done<Erased> {
        let found = self.one("SELECT no FROM user_ids WHERE id = ?1", [id], |row| row.get::<_, i64>(0))?;
        let Some(no) = found else { return Ok(Erased::Nobody) };
        let leased = self.all("SELECT core FROM leases", [], |row| row.get::<_, Vec<u8>>(0))?;
        let is_user = |core: &Vec<u8>| DueSend::decode(core).is_ok_and(|send| send.user == user(no));
        if leased.iter().any(is_user) {
            return Ok(Erased::UnderWay);
        }
        for campaign in campaigns {
            for sql in BY_CAMPAIGN {
                self.run(sql, params![campaign.0, no])?;
            }
            let sql = "DELETE FROM refused WHERE campaign = ?1 AND json_extract(doc, '$[1]') = ?2";
            self.run(sql, params![campaign.0, id])?;
        }
        self.run("DELETE FROM failed WHERE user = ?1", [no])?;
        // Where a row has its user: `core::log_row`.
        let in_row = &no.to_be_bytes()[3..];
        self.run("DELETE FROM log WHERE substr(bytes, 10, 5) = ?1", [in_row])?;
        let recent = self.all("SELECT slot, bytes FROM recent", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        for (slot, bytes) in recent {
            if RecentEvent::decode(&bytes).is_ok_and(|event| event.user == user(no)) {
                self.run("DELETE FROM recent WHERE slot = ?1", [slot])?;
            }
        }
        self.run("DELETE FROM caps WHERE user = ?1", [no])?;
        self.run("DELETE FROM users WHERE no = ?1", [no])?;
        self.run("DELETE FROM user_ids WHERE id = ?1", [id])?;
        Ok(Erased::Done)
    }
}

fn user(no: i64) -> UserNo {
    UserNo(no.unsigned_abs())
}
