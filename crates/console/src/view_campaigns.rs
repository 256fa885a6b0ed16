//! Pure. The page of all campaigns.

use askama::Template;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::words::{delivery, segment, state};

#[derive(Template)]
#[template(path = "campaigns.html")]
pub(crate) struct CampaignsPage {
    pub(crate) frame: Frame,
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
    pub(crate) fn of(stats: &wire::CampaignStats) -> Totals {
        Totals {
            entered: stats.entered,
            waiting: stats.pending,
            delivered: stats.delivered,
            failed: stats.failed,
            suppressed: stats.suppressed.iter().map(|row| row.count).sum(),
        }
    }
}

/// `next` asks for the page after this one; empty on the last.
pub(crate) fn campaigns_page(
    frame: Frame,
    all: &[(wire::Campaign, wire::CampaignStats)],
    next: &str,
) -> CampaignsPage {
    CampaignsPage {
        frame,
        campaigns: all.iter().map(|(campaign, stats)| line(campaign, stats)).collect(),
        next: (!next.is_empty()).then(|| format!("/?after={}", segment(next))),
    }
}

fn line(campaign: &wire::Campaign, stats: &wire::CampaignStats) -> CampaignLine {
    CampaignLine {
        id: campaign.id.clone(),
        title: campaign.title.clone(),
        state: state(campaign.state()),
        delivery: delivery(campaign),
        totals: Totals::of(stats),
    }
}
