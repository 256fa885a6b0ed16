//! Pure. The page of a plan: what a campaign would do, occurrence by occurrence, and its first entries.

use askama::Template;
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::hidden;
use crate::reasons::{refusal, suppression};
use crate::view_campaign::ReasonCount;
use crate::words::{Moment, explain_href};

#[derive(Template)]
#[template(path = "plan.html")]
pub(crate) struct PlanPage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) sentence: String,
    pub(crate) occurrences: Vec<OccurrenceLine>,
    pub(crate) has_more: bool,
    pub(crate) missed: i64,
    pub(crate) suppressed: Vec<ReasonCount>,
    pub(crate) refused: Vec<ReasonCount>,
    pub(crate) entries: Vec<EntryLine>,
    /// Whether a time ahead can be asked for.
    pub(crate) wants_window: bool,
    /// Whether values of an entry by hand can be given.
    pub(crate) wants_values: bool,
    pub(crate) window: String,
    pub(crate) values: String,
}

/// One occurrence.
pub(crate) struct OccurrenceLine {
    pub(crate) at: Moment,
    pub(crate) is_on_own_clocks: bool,
    pub(crate) entered: i64,
    pub(crate) sent: i64,
    pub(crate) after_quiet_hours: i64,
    pub(crate) suppressed: i64,
    pub(crate) waiting: i64,
    pub(crate) last_sent_at: Moment,
}

/// One of the first entries.
pub(crate) struct EntryLine {
    pub(crate) user: String,
    pub(crate) explain: String,
    pub(crate) due_at: Moment,
    /// Method and URL; empty where nothing would be posted.
    pub(crate) request: String,
    pub(crate) body: String,
    /// Why nothing would.
    pub(crate) why: String,
}

pub(crate) fn plan_page(
    frame: Frame,
    campaign: &wire::Campaign,
    plan: &wire::CampaignPlan,
    window: &str,
    values: &str,
) -> PlanPage {
    use wire::delivery::Kind;
    let kind = campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref());
    let total = plan.total.clone().unwrap_or_default();
    // Who is in no audience is no news.
    let refused = total.refused.iter().filter(|row| row.reason() != wire::RefusalReason::NotInAudience);
    PlanPage {
        frame,
        id: campaign.id.clone(),
        sentence: plan.sentence.clone(),
        occurrences: plan.occurrences.iter().map(occurrence).collect(),
        has_more: plan.has_more,
        missed: plan.missed,
        suppressed: total
            .suppressed
            .iter()
            .map(|row| ReasonCount { reason: suppression(row.reason()), count: row.count })
            .collect(),
        refused: refused.map(|row| ReasonCount { reason: refusal(row.reason()), count: row.count }).collect(),
        entries: plan.entries.iter().map(|told| entry(&campaign.id, told)).collect(),
        wants_window: matches!(kind, Some(Kind::OneTime(_) | Kind::Recurring(_))),
        wants_values: matches!(kind, Some(Kind::Manual(_))),
        window: window.to_owned(),
        values: values.to_owned(),
    }
}

fn occurrence(from: &wire::PlannedOccurrence) -> OccurrenceLine {
    let counts = from.counts.clone().unwrap_or_default();
    OccurrenceLine {
        at: Moment::at(from.at.as_ref()),
        is_on_own_clocks: from.is_on_own_clocks,
        entered: counts.entered,
        sent: counts.sent,
        after_quiet_hours: counts.after_quiet_hours,
        suppressed: counts.suppressed.iter().map(|row| row.count).sum(),
        waiting: counts.waiting,
        last_sent_at: Moment::at(from.last_sent_at.as_ref()),
    }
}

fn entry(campaign: &str, from: &wire::PlannedEntry) -> EntryLine {
    let label = suppression(from.suppression()).label;
    let why = match (from.request.is_some(), label) {
        (true, _) => String::new(),
        (false, "") => format!("waits: {}", from.detail),
        (false, label) => format!("{label}: {}", from.detail),
    };
    let mut request = from.request.clone();
    if let Some(request) = &mut request {
        hidden::hide_request(request, &mut String::new());
    }
    let request = request.as_ref();
    EntryLine {
        user: from.user_id.clone(),
        explain: explain_href(&from.user_id, campaign),
        due_at: Moment::at(from.due_at.as_ref()),
        request: request.map_or_else(String::new, |request| format!("{} {}", request.method, request.url)),
        body: request.map_or_else(String::new, |request| request.body.clone()),
        why,
    }
}
