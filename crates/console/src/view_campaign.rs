//! Pure. The page of one campaign, and the pages of its sends.

use askama::Template;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::Counter;
use campanile_core::number::Layout;
use campanile_core::ports::{RefusedRow, SendRow};

use crate::view_campaigns::Totals;
use crate::words::{Moment, delivery, ended, reason, segment, state};

#[derive(Template)]
#[template(path = "campaign.html")]
pub(crate) struct CampaignPage {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) state: &'static str,
    pub(crate) revision: u32,
    pub(crate) delivery: String,
    pub(crate) audience: String,
    pub(crate) next_at: Option<Moment>,
    pub(crate) fired: u64,
    pub(crate) missed: u64,
    pub(crate) totals: Totals,
    pub(crate) refused: Vec<ReasonCount>,
    pub(crate) suppressed: Vec<ReasonCount>,
    pub(crate) attempts: i64,
    pub(crate) retries: i64,
    pub(crate) sends: Vec<SendLine>,
    pub(crate) refusals: Vec<RefusalLine>,
    pub(crate) transitions: Vec<TransitionLine>,
    /// The definition, as JSON.
    pub(crate) definition: String,
}

pub(crate) struct ReasonCount {
    pub(crate) reason: String,
    pub(crate) count: i64,
}

pub(crate) struct SendLine {
    pub(crate) id: String,
    pub(crate) at: Moment,
    /// None: the user is gone.
    pub(crate) user: Option<UserLink>,
    pub(crate) state: &'static str,
    pub(crate) why: String,
    pub(crate) attempts: u8,
}

pub(crate) struct UserLink {
    pub(crate) id: String,
    pub(crate) href: String,
}

impl UserLink {
    pub(crate) fn to(id: &str) -> UserLink {
        UserLink { id: id.to_owned(), href: format!("/users/{}", segment(id)) }
    }
}

pub(crate) struct RefusalLine {
    pub(crate) at: Moment,
    pub(crate) user: UserLink,
    pub(crate) reason: String,
    pub(crate) text: String,
}

pub(crate) struct TransitionLine {
    pub(crate) at: Moment,
    pub(crate) to: &'static str,
    pub(crate) by: String,
    pub(crate) note: String,
}

pub(crate) fn campaign_page(
    layout: &Layout,
    record: &CampaignRecord,
    counters: &[(Counter, i64)],
    sends: &[SendRow],
    refusals: &[RefusedRow],
) -> CampaignPage {
    let sum =
        |wanted: &dyn Fn(&Counter) -> bool| counters.iter().filter(|(c, _)| wanted(c)).map(|(_, n)| n).sum();
    let mut refused = Vec::new();
    let mut suppressed = Vec::new();
    for (counter, count) in counters {
        match counter {
            Counter::Refused(why) => refused.push(ReasonCount { reason: reason(why.name()), count: *count }),
            Counter::Suppressed(_, why) => {
                suppressed.push(ReasonCount { reason: reason(why.name()), count: *count })
            }
            _ => {}
        }
    }
    for list in [&mut refused, &mut suppressed] {
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    }
    let audience = match record.draft.audience.condition.as_str() {
        "" => "everyone".to_owned(),
        condition => condition.to_owned(),
    };
    CampaignPage {
        id: record.id.clone(),
        title: record.draft.title.clone(),
        state: state(record.state),
        revision: record.revision,
        delivery: delivery(&record.draft),
        audience,
        next_at: record.schedule.next_at.map(Moment::at),
        fired: record.schedule.fired,
        missed: record.schedule.missed,
        totals: Totals::of(counters),
        refused,
        suppressed,
        attempts: sum(&|c| matches!(c, Counter::Attempts(_))),
        retries: sum(&|c| matches!(c, Counter::Retries(_))),
        sends: sends.iter().map(|row| send_line(layout, row)).collect(),
        refusals: refusals.iter().map(refusal_line).collect(),
        transitions: record
            .transitions
            .iter()
            .rev()
            .map(|t| TransitionLine {
                at: Moment::at(t.at),
                to: state(t.to),
                by: t.by.clone(),
                note: t.note.clone(),
            })
            .collect(),
        definition: serde_json::to_string_pretty(&record.draft).unwrap_or_default(),
    }
}

pub(crate) fn send_line(layout: &Layout, row: &SendRow) -> SendLine {
    let (state, why) = ended(&row.row);
    SendLine {
        id: row.row.send_id(layout, row.shard).to_string(),
        at: Moment::at(row.row.at),
        user: row.user_id.as_deref().map(UserLink::to),
        state,
        why,
        attempts: row.row.attempts,
    }
}

fn refusal_line(row: &RefusedRow) -> RefusalLine {
    RefusalLine {
        at: Moment::at(row.at),
        user: UserLink::to(&row.user_id),
        reason: reason(row.reason.name()),
        text: row.text.clone(),
    }
}

#[derive(Template)]
#[template(path = "sends.html")]
pub(crate) struct SendsPage {
    pub(crate) campaign: String,
    /// The state that is shown; empty: all.
    pub(crate) state: String,
    pub(crate) sends: Vec<SendLine>,
    /// Link to the next page, if there is one.
    pub(crate) next: Option<String>,
}

pub(crate) fn sends_page(
    layout: &Layout,
    campaign: &str,
    state: &str,
    sends: &[SendRow],
    next: &str,
) -> SendsPage {
    let link = format!("/campaigns/{campaign}/sends?state={}&page={}", segment(state), segment(next));
    SendsPage {
        campaign: campaign.to_owned(),
        state: state.to_owned(),
        sends: sends.iter().map(|row| send_line(layout, row)).collect(),
        next: (!next.is_empty()).then_some(link),
    }
}
