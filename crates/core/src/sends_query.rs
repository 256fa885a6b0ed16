//! Pure. What is asked of the log of sends, and what is answered.

use jiff::Timestamp;

use crate::log_row::{Ended, LogRow};
use crate::number::{CampaignNo, Shard, UserNo};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendsQuery {
    pub campaign: Option<CampaignNo>,
    pub user: Option<(Shard, UserNo)>,
    pub ended: Option<EndedFilter>,
    /// Only rows settled at or after.
    pub since: Option<Timestamp>,
    /// `next` of an earlier page; empty: from the newest.
    pub page: String,
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedFilter {
    Delivered,
    Failed,
    Suppressed,
    Retrying,
    /// Passed over, or missed.
    Skipped,
}

impl EndedFilter {
    pub fn takes(self, ended: Ended) -> bool {
        match ended {
            Ended::Delivered => self == EndedFilter::Delivered,
            Ended::Failed(_) => self == EndedFilter::Failed,
            Ended::Suppressed(_) => self == EndedFilter::Suppressed,
            Ended::Retrying => self == EndedFilter::Retrying,
            Ended::Skipped | Ended::Missed => self == EndedFilter::Skipped,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendsPage {
    pub rows: Vec<SendRow>,
    /// Empty: there is no more. For `sends_after`: where to go on.
    pub next: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SendRow {
    pub shard: Shard,
    pub row: LogRow,
    /// None: the user is gone.
    pub user_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendTrail {
    pub rows: Vec<SendRow>,
    pub kept: Option<Vec<u8>>,
}
