//! Users: ids to numbers, numbers to profiles, saves that compare versions.

use campanile_core::number::UserNo;
use campanile_core::ports::StoredUser;
use campanile_core::ports_changes::{ChangedUser, SavedUsers};
use campanile_core::user::Profile;
use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::open::broken;
use crate::room::{Done, Room, View};

impl Room<'_> {
    /// Who is unknown is made.
    pub(crate) fn open_user(&self, id: &str, at: Timestamp) -> Done<Option<StoredUser>> {
        match self.user_no(id)? {
            Some(no) => self.load_user(no),
            None => self.make_user(id, at).map(Some),
        }
    }

    fn make_user(&self, id: &str, at: Timestamp) -> Done<StoredUser> {
        let profile = Profile::new(id, at);
        self.run("INSERT INTO users (version, profile) VALUES (1, ?1)", [profile.pack()])?;
        let no = self.connection.last_insert_rowid();
        self.run("INSERT INTO user_ids (id, no) VALUES (?1, ?2)", params![id, no])?;
        Ok(StoredUser { no: UserNo(no.unsigned_abs()), version: 1, profile })
    }

    /// The same, where only the number is wanted.
    pub(crate) fn open_user_no(&self, id: &str, at: Timestamp) -> Done<UserNo> {
        match self.user_no(id)? {
            Some(no) => Ok(no),
            None => Ok(self.make_user(id, at)?.no),
        }
    }

    pub(crate) fn save_user(&self, user: &StoredUser) -> Done<bool> {
        let sql = "UPDATE users SET version = version + 1, profile = ?3 WHERE no = ?1 AND version = ?2";
        let params = params![user.no.0 as i64, user.version as i64, user.profile.pack()];
        Ok(self.run(sql, params)? == 1)
    }
}

impl Room<'_> {
    pub(crate) fn change_users(&mut self, control: u64, users: &[ChangedUser]) -> Done<SavedUsers> {
        let control_now = self.meta("control")?;
        if control_now != control {
            return Ok(SavedUsers::Control(control_now));
        }
        let happened = users.iter().map(|changed| changed.happened.len()).sum();
        if happened > 0 {
            self.have_room(happened)?;
        }
        let mut written = Vec::with_capacity(users.len());
        for ChangedUser { user, happened } in users {
            let is_written = self.save_user(user)?;
            written.push(is_written);
            for bytes in happened.iter().filter(|_| is_written) {
                self.append(user.no, self.now, bytes)?;
                self.wake.schedule = true;
            }
        }
        Ok(SavedUsers::Written(written))
    }
}

impl View<'_> {
    pub(crate) fn find_user(&self, id: &str) -> Done<Option<StoredUser>> {
        self.user_no(id)?.map_or(Ok(None), |no| self.load_user(no))
    }

    fn user_no(&self, id: &str) -> Done<Option<UserNo>> {
        let no = self.one("SELECT no FROM user_ids WHERE id = ?1", [id], |row| row.get::<_, i64>(0))?;
        Ok(no.map(|no| UserNo(no.unsigned_abs())))
    }

    pub(crate) fn load_user(&self, no: UserNo) -> Done<Option<StoredUser>> {
        let sql = "SELECT no, version, profile FROM users WHERE no = ?1";
        let found = self.one(sql, [no.0 as i64], raw)?;
        Ok(found.and_then(readable))
    }

    /// Numbers above `after`, at most `last`. Fewer than `limit`: there are no more.
    pub(crate) fn users_between(&self, after: u64, last: u64, limit: usize) -> Done<Vec<StoredUser>> {
        let sql = "SELECT no, version, profile FROM users WHERE no > ?1 AND no <= ?2 ORDER BY no";
        let (after, last) = (signed(after), signed(last));
        let mut statement = self.statement(sql)?;
        let found = statement.query_map(params![after, last], raw).map_err(|e| broken(&e))?;
        let mut users = Vec::new();
        for found in found {
            if users.len() >= limit {
                break;
            }
            // A foreign profile must not shorten the page: that would say that nobody follows.
            users.extend(readable(found.map_err(|e| broken(&e))?));
        }
        Ok(users)
    }

    pub(crate) fn last_user(&self) -> Done<u64> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'users'";
        Ok(self.one(sql, [], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A foreign profile counts as a user that is gone.
fn readable((no, version, bytes): (i64, i64, Vec<u8>)) -> Option<StoredUser> {
    match Profile::unpack(&bytes) {
        Ok(profile) => {
            Some(StoredUser { no: UserNo(no.unsigned_abs()), version: version.unsigned_abs(), profile })
        }
        Err(text) => {
            tracing::error!(user = no, text, "a profile is foreign");
            None
        }
    }
}

fn raw(row: &Row<'_>) -> rusqlite::Result<(i64, i64, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}
