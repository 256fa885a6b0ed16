//! What the engine asks of a store about users' histories of campaigns. A settle writes them, `limits::HISTORIES_MAX` campaigns a user: of
//! more, those that were quiet for longest are forgotten.

use crate::campaign_history::CampaignHistory;
use crate::number::{CampaignNo, Shard, UserNo};
use crate::ports::Answer;

pub trait CampaignHistories {
    /// What each of these users had of the campaign beside it, in the order asked; empty where nothing is known.
    fn histories<'a>(
        &'a self,
        shard: Shard,
        asked: &'a [(UserNo, CampaignNo)],
    ) -> Answer<'a, Vec<CampaignHistory>>;
}
