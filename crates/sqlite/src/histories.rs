//! What users had of campaigns: noted by settlements, read where a condition asks.

use campanile_core::campaign_history::{CampaignHistory, Happened, News};
use campanile_core::conversion::Converted;
use campanile_core::due_send::DueSend;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, UserNo};
use rusqlite::params;

use crate::room::{Done, Room, View};

impl View<'_> {
    /// What cannot be read is as good as forgotten.
    pub(crate) fn history(&self, user: UserNo, campaign: CampaignNo) -> Done<CampaignHistory> {
        Ok(self.kept_history(user, campaign)?.unwrap_or_default())
    }

    fn kept_history(&self, user: UserNo, campaign: CampaignNo) -> Done<Option<CampaignHistory>> {
        let sql = "SELECT bytes FROM histories WHERE user = ?1 AND campaign = ?2";
        let bytes = self.one(sql, params![user.0 as i64, campaign.0], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(bytes.map(|bytes| CampaignHistory::decode(&bytes).unwrap_or_default()))
    }
}

impl Room<'_> {
    /// Takes in what a settle did with a send.
    pub(crate) fn note_history(
        &self,
        campaign: CampaignNo,
        send: &DueSend,
        happened: Happened,
        is_first: bool,
    ) -> Done<News> {
        let before = self.kept_history(send.user, campaign)?;
        let is_new = before.is_none();
        let mut history = before.unwrap_or_default();
        let news = history.note(happened, (send.key, send.action), is_first, self.now);
        self.put_history(send.user, campaign, &history)?;
        if is_new {
            self.forget_oldest(send.user)?;
        }
        Ok(news)
    }

    /// Marks the last send, if it is still that one.
    pub(crate) fn note_converted(&self, converted: &Converted) -> Done<()> {
        let Converted { user, campaign, key, action } = *converted;
        let mut history = self.history(user, campaign)?;
        match history.last.as_mut().filter(|last| (last.key, last.action) == (key, action)) {
            Some(last) => last.is_converted = true,
            None => return Ok(()),
        }
        self.put_history(user, campaign, &history)
    }

    fn put_history(&self, user: UserNo, campaign: CampaignNo, history: &CampaignHistory) -> Done<()> {
        let sql = "INSERT OR REPLACE INTO histories (user, campaign, bytes) VALUES (?1, ?2, ?3)";
        self.run(sql, params![user.0 as i64, campaign.0, history.encode()]).map(drop)
    }

    fn forget_oldest(&self, user: UserNo) -> Done<()> {
        let sql = "SELECT count(*) FROM histories WHERE user = ?1";
        let n = self.one(sql, [user.0 as i64], |row| row.get::<_, i64>(0))?.unwrap_or(0);
        if n <= limits::HISTORIES_MAX as i64 {
            return Ok(());
        }
        let sql = "SELECT campaign, bytes FROM histories WHERE user = ?1";
        let mut all = self.all(sql, [user.0 as i64], |row| {
            let history = CampaignHistory::decode(&row.get::<_, Vec<u8>>(1)?).unwrap_or_default();
            Ok((history.latest(), row.get::<_, u32>(0)?))
        })?;
        all.sort_unstable();
        for (_, campaign) in all.into_iter().take(limits::HISTORIES_FORGOTTEN) {
            let sql = "DELETE FROM histories WHERE user = ?1 AND campaign = ?2";
            self.run(sql, params![user.0 as i64, campaign])?;
        }
        Ok(())
    }
}
