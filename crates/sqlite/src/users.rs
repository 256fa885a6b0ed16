//! Users: ids to numbers, numbers to profiles, saves that compare versions.

use campanile_core::number::UserNo;
use campanile_core::ports::StoredUser;
use campanile_core::user::Profile;
use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::room::{Done, Room};

impl Room<'_> {
    pub(crate) fn open_users(
        &self,
        ids: &[String],
        create: Option<Timestamp>,
    ) -> Done<Vec<Option<StoredUser>>> {
        ids.iter().map(|id| self.open_user(id, create)).collect()
    }

    pub(crate) fn open_user(&self, id: &str, create: Option<Timestamp>) -> Done<Option<StoredUser>> {
        let no = self.one("SELECT no FROM user_ids WHERE id = ?1", [id], |row| row.get::<_, i64>(0))?;
        match (no, create) {
            (Some(no), _) => self.load_user(UserNo(no.unsigned_abs())),
            (None, None) => Ok(None),
            (None, Some(at)) => {
                let profile = Profile::new(id, at);
                self.run("INSERT INTO users (version, profile) VALUES (1, ?1)", [profile.pack()])?;
                let no = self.connection.last_insert_rowid();
                self.run("INSERT INTO user_ids (id, no) VALUES (?1, ?2)", params![id, no])?;
                Ok(Some(StoredUser { no: UserNo(no.unsigned_abs()), version: 1, profile }))
            }
        }
    }

    pub(crate) fn load_user(&self, no: UserNo) -> Done<Option<StoredUser>> {
        let sql = "SELECT no, version, profile FROM users WHERE no = ?1";
        let found = self.one(sql, [no.0 as i64], raw)?;
        found.map_or(Ok(None), |found| self.readable_user(found))
    }

    pub(crate) fn save_user(&self, user: &StoredUser) -> Done<bool> {
        let sql = "UPDATE users SET version = version + 1, profile = ?3 WHERE no = ?1 AND version = ?2";
        let params = params![user.no.0 as i64, user.version as i64, user.profile.pack()];
        Ok(self.run(sql, params)? == 1)
    }

    /// Numbers above `after`, at most `last`. Foreign ones are passed over: fewer than `limit` says that nobody follows.
    pub(crate) fn users_between(&self, mut after: u64, last: u64, limit: usize) -> Done<Vec<StoredUser>> {
        let sql = "SELECT no, version, profile FROM users WHERE no > ?1 AND no <= ?2 ORDER BY no LIMIT ?3";
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let mut users = Vec::new();
        loop {
            let wanted = limit - users.len();
            let found = self.all(sql, params![after as i64, last, wanted as i64], raw)?;
            let is_all = found.len() < wanted;
            for found in found {
                after = found.0.unsigned_abs();
                users.extend(self.readable_user(found)?);
            }
            if is_all || users.len() >= limit {
                return Ok(users);
            }
        }
    }

    pub(crate) fn last_user(&self) -> Done<u64> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'users'";
        Ok(self.one(sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs())
    }

    /// A foreign profile counts as a user that is gone.
    fn readable_user(&self, (no, version, bytes): (i64, i64, Vec<u8>)) -> Done<Option<StoredUser>> {
        match Profile::unpack(&bytes) {
            Ok(profile) => Ok(Some(StoredUser {
                no: UserNo(no.unsigned_abs()),
                version: version.unsigned_abs(),
                profile,
            })),
            Err(text) => {
                tracing::error!(user = no, text, "a profile is foreign");
                Ok(None)
            }
        }
    }
}

fn raw(row: &Row<'_>) -> rusqlite::Result<(i64, i64, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}
