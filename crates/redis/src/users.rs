//! Users: by id, by number, written where nobody wrote in between.

use campanile_core::limits;
use campanile_core::number::{Shard, UserNo};
use campanile_core::ports::{Answer, StoreError, StoredUser, Users};
use campanile_core::ports_changes::{ChangedUser, SavedUsers, UserChanges};
use campanile_core::user::Profile;
use jiff::Timestamp;

use crate::arguments::{Arguments, at_most, next_value, user_bytes, value};
use crate::keys;
use crate::reply::{stored_user, user_no};
use crate::store::{REPLY_BYTES_MAX, RedisStore};

impl RedisStore {
    /// The bucket of a user id in the id map.
    pub(crate) fn id_bucket(&self, id: &str) -> String {
        keys::bucket(self.layout.hash64("user", &[id.as_bytes()]))
    }

    async fn open(
        &self,
        shard: Shard,
        ids: &[String],
        create: Option<Timestamp>,
    ) -> Result<Vec<Option<StoredUser>>, StoreError> {
        at_most("users", ids.len(), limits::BATCH_ITEMS_MAX)?;
        let mut users = Vec::with_capacity(ids.len());
        while let Some(rest) = ids.get(users.len()..).filter(|rest| !rest.is_empty()) {
            let mut arguments = Arguments::new().number(REPLY_BYTES_MAX);
            for id in rest {
                let fresh = create.map(|at| value(1, &Profile::new(id, at).pack()));
                arguments =
                    arguments.bytes(self.id_bucket(id)).bytes(id.as_str()).bytes(fresh.unwrap_or_default());
            }
            let mut reply = self.run(shard, &self.scripts.open_users, arguments).await?;
            if reply.is_empty() {
                return Err(crate::reply::foreign("open_users", "no users"));
            }
            while !reply.is_empty() {
                let (no, value) = (reply.optional()?, reply.optional()?);
                users.push(match no.zip(value) {
                    None => None,
                    Some((no, value)) => {
                        Some(stored_user(user_no(&no), &value).map_err(|text| StoreError::Foreign {
                            place: format!("user {} of shard {}", user_no(&no).0, shard.0),
                            text,
                        })?)
                    }
                });
            }
        }
        Ok(users)
    }

    async fn load(&self, shard: Shard, numbers: &[UserNo]) -> Result<Vec<Option<StoredUser>>, StoreError> {
        at_most("users", numbers.len(), limits::BATCH_ITEMS_MAX)?;
        let (mut users, mut foreign) = (Vec::with_capacity(numbers.len()), Vec::new());
        while let Some(rest) = numbers.get(users.len()..).filter(|rest| !rest.is_empty()) {
            let wanted = rest.iter().map(|no| ([b"u:".as_slice(), &user_bytes(*no)].concat(), Vec::new()));
            for (value, &no) in self.facts(shard, wanted).await?.into_iter().zip(rest) {
                let user = value.map(|value| stored_user(no, &value).map_err(|text| (value, text)));
                users.push(match user {
                    None => None,
                    Some(Ok(user)) => Some(user),
                    Some(Err((value, text))) => {
                        foreign.push(crate::reply::ForeignValue { no, value, text });
                        None
                    }
                });
            }
        }
        self.pass_over(shard, foreign).await?;
        Ok(users)
    }

    /// Values of keys and fields, in order: at least one, and as many as fit into a reply.
    pub(crate) async fn facts(
        &self,
        shard: Shard,
        wanted: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let arguments = wanted.fold(Arguments::new().number(REPLY_BYTES_MAX), |arguments, (key, field)| {
            arguments.bytes(key).bytes(field)
        });
        let mut reply = self.run(shard, &self.scripts.facts, arguments).await?;
        let mut values = Vec::with_capacity(reply.left());
        while !reply.is_empty() {
            values.push(reply.optional()?);
        }
        if values.is_empty() {
            return Err(crate::reply::foreign("facts", "no values"));
        }
        Ok(values)
    }

    async fn save(&self, shard: Shard, users: &[StoredUser]) -> Result<Vec<bool>, StoreError> {
        at_most("users", users.len(), limits::BATCH_ITEMS_MAX)?;
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let arguments = users.iter().fold(Arguments::new(), |arguments, user| {
            arguments.bytes(user_bytes(user.no)).bytes(user.version.to_be_bytes()).bytes(next_value(user))
        });
        self.run(shard, &self.scripts.save_users, arguments).await?.flags()
    }

    async fn change(
        &self,
        shard: Shard,
        control: u64,
        users: &[ChangedUser],
    ) -> Result<SavedUsers, StoreError> {
        at_most("users", users.len(), limits::BATCH_ITEMS_MAX)?;
        let mut arguments = Arguments::new().number(control).number(limits::EVENT_LOG_MAX);
        for ChangedUser { user, happened } in users {
            arguments = arguments
                .bytes(user_bytes(user.no))
                .bytes(user.version.to_be_bytes())
                .bytes(next_value(user))
                .number(happened.len());
            arguments = happened.iter().fold(arguments, |arguments, item| arguments.bytes(item.as_slice()));
        }
        let mut reply = self.run(shard, &self.scripts.change_users, arguments).await?;
        match reply.bytes()?.as_slice() {
            b"C" => Ok(SavedUsers::Control(reply.count()?)),
            b"W" => {
                let written = reply.bytes()?.into_iter().map(|flag| flag == b'1');
                Ok(SavedUsers::Written(written.collect()))
            }
            _ => Err(StoreError::Full(format!(
                "shard {} has {} events that wait to be looked at",
                shard.0,
                limits::EVENT_LOG_MAX
            ))),
        }
    }

    /// Users with numbers above `after`, up to `last`, until there are `limit`: in calls that each look at a bounded part.
    pub(crate) async fn people(
        &self,
        shard: Shard,
        mut after: u64,
        last: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredUser>, StoreError> {
        let mut users = Vec::new();
        while users.len() < limit && last.is_none_or(|last| after < last) {
            let arguments = Arguments::new()
                .number(after)
                .bytes(last.map(|last| last.to_string()).unwrap_or_default())
                .number(limit - users.len())
                .number(REPLY_BYTES_MAX);
            let mut reply = self.run(shard, &self.scripts.list_users, arguments).await?;
            let (last_now, at) = (reply.count()?, reply.count()?);
            users.extend(self.users_of(shard, reply).await?);
            if at >= last_now || at <= after {
                break;
            }
            after = at;
        }
        Ok(users)
    }
}

impl Users for RedisStore {
    fn open_users<'a>(
        &'a self,
        shard: Shard,
        ids: &'a [String],
        create: Option<Timestamp>,
    ) -> Answer<'a, Vec<Option<StoredUser>>> {
        Box::pin(self.open(shard, ids, create))
    }

    fn load_users<'a>(&'a self, shard: Shard, users: &'a [UserNo]) -> Answer<'a, Vec<Option<StoredUser>>> {
        Box::pin(self.load(shard, users))
    }

    fn save_users<'a>(&'a self, shard: Shard, users: &'a [StoredUser]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.save(shard, users))
    }

    fn list_users(&self, shard: Shard, after: UserNo, limit: usize) -> Answer<'_, Vec<StoredUser>> {
        Box::pin(self.people(shard, after.0, None, limit.min(limits::PAGE_MAX)))
    }
}

impl UserChanges for RedisStore {
    fn change_users<'a>(
        &'a self,
        shard: Shard,
        control: u64,
        users: &'a [ChangedUser],
    ) -> Answer<'a, SavedUsers> {
        Box::pin(self.change(shard, control, users))
    }
}
