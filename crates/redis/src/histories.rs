//! What users had of campaigns; settlements write it.

use campanile_core::campaign_history::CampaignHistory;
use campanile_core::history_port::CampaignHistories;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{Answer, StoreError};

use crate::arguments::{Arguments, user_bytes};
use crate::store::RedisStore;

impl RedisStore {
    async fn read_histories(
        &self,
        shard: Shard,
        asked: &[(UserNo, CampaignNo)],
    ) -> Result<Vec<CampaignHistory>, StoreError> {
        let mut histories = Vec::with_capacity(asked.len());
        for chunk in asked.chunks(limits::HISTORIES_READ_MAX) {
            let arguments = chunk.iter().fold(Arguments::new(), |arguments, (user, campaign)| {
                arguments.bytes(user_bytes(*user)).bytes(campaign.0.to_be_bytes())
            });
            let mut reply = self.run(shard, &self.scripts.histories, arguments).await?;
            for _ in chunk {
                // What cannot be read is as good as forgotten.
                histories.push(CampaignHistory::decode(&reply.bytes()?).unwrap_or_default());
            }
        }
        Ok(histories)
    }
}

impl CampaignHistories for RedisStore {
    fn histories<'a>(
        &'a self,
        shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<CampaignHistory>> {
        Box::pin(self.read_histories(shard, asked))
    }
}
