//! A person is forgotten: first what may be long, piece by piece, then profile, entries and id in one step, then the first again for
//! what came in between.

use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{Answer, Ledger, StoreError, Users};
use campanile_core::ports_kept::{Erased, Erasure};
use campanile_core::recent_event::RecentEvent;

use crate::arguments::{Arguments, user_bytes};
use crate::store::RedisStore;

/// Campaigns whose refusals are looked through in one call.
const CAMPAIGNS_MAX: usize = 16;

impl RedisStore {
    async fn erase(&self, shard: Shard, id: &str, campaigns: &[CampaignNo]) -> Result<Erased, StoreError> {
        let found = self.open_users(shard, &[id.to_owned()], None).await?;
        let Some(user) = found.into_iter().next().flatten() else { return Ok(Erased::Nobody) };
        self.erase_around(shard, id, user.no, campaigns).await?;
        let arguments = Arguments::new().bytes(self.id_bucket(id)).bytes(id).bytes(user_bytes(user.no));
        if self.run(shard, &self.scripts.erase_user, arguments).await?.int()? == 0 {
            return Ok(Erased::UnderWay);
        }
        self.erase_around(shard, id, user.no, campaigns).await?;
        Ok(Erased::Done)
    }

    /// Failed sends, refusals and latest events.
    async fn erase_around(
        &self,
        shard: Shard,
        id: &str,
        user: UserNo,
        campaigns: &[CampaignNo],
    ) -> Result<(), StoreError> {
        let mut from = 0;
        while from >= 0 {
            let arguments = Arguments::new().bytes(user_bytes(user)).number(from);
            from = self.run(shard, &self.scripts.erase_failed, arguments).await?.int()?;
        }
        for chunk in campaigns.chunks(CAMPAIGNS_MAX) {
            let arguments = chunk
                .iter()
                .fold(Arguments::new().bytes(id), |arguments, no| arguments.bytes(no.0.to_be_bytes()));
            self.run(shard, &self.scripts.erase_refused, arguments).await?;
        }
        let recent = self.recent_events(shard, 0, limits::RECENT_MAX).await?;
        let of_user = recent
            .rows
            .iter()
            .filter(|row| RecentEvent::decode(&row.bytes).is_ok_and(|event| event.user == user));
        let arguments = of_user.fold(Arguments::new(), |arguments, row| arguments.number(row.number));
        if !arguments.0.is_empty() {
            self.run(shard, &self.scripts.erase_recent, arguments).await?;
        }
        Ok(())
    }
}

impl Erasure for RedisStore {
    fn erase_user<'a>(
        &'a self,
        shard: Shard,
        id: &'a str,
        campaigns: &'a [CampaignNo],
    ) -> Answer<'a, Erased> {
        Box::pin(self.erase(shard, id, campaigns))
    }
}
