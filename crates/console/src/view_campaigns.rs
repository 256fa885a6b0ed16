//! Pure. The page of all campaigns.

use askama::Template;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::Counter;

use crate::words::{delivery, segment, state};

#[derive(Template)]
#[template(path = "campaigns.html")]
pub(crate) struct CampaignsPage {
    pub(crate) campaigns: Vec<CampaignLine>,
    /// Link to the next page, if there is one.
    pub(crate) next: Option<String>,
}

pub(crate) struct CampaignLine {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) state: &'static str,
    pub(crate) delivery: String,
    pub(crate) totals: Totals,
}

/// The counts of a campaign that every page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entered: i64,
    pub(crate) waiting: i64,
    pub(crate) delivered: i64,
    pub(crate) failed: i64,
    pub(crate) suppressed: i64,
}

impl Totals {
    pub(crate) fn of(counters: &[(Counter, i64)]) -> Totals {
        let mut totals = Totals::default();
        for (counter, n) in counters {
            match counter {
                Counter::Entered => totals.entered += n,
                Counter::Pending(_) => totals.waiting += n,
                Counter::Delivered(_) => totals.delivered += n,
                Counter::Failed(_) => totals.failed += n,
                Counter::Suppressed(..) => totals.suppressed += n,
                _ => {}
            }
        }
        totals
    }
}

/// `limit` is how many a page holds; a full one has a next.
pub(crate) fn campaigns_page(all: &[(CampaignRecord, Vec<(Counter, i64)>)], limit: usize) -> CampaignsPage {
    let line = |(record, counters): &(CampaignRecord, Vec<(Counter, i64)>)| CampaignLine {
        id: record.id.clone(),
        title: record.draft.title.clone(),
        state: state(record.state),
        delivery: delivery(&record.draft),
        totals: Totals::of(counters),
    };
    let last = all.last().filter(|_| all.len() >= limit);
    CampaignsPage {
        campaigns: all.iter().map(line).collect(),
        next: last.map(|(record, _)| format!("/?after={}", segment(&record.id))),
    }
}
