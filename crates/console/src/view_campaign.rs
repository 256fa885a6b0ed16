//! Pure. The page of one campaign, and the pages of its sends.

use askama::Template;
use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;
use jiff::Timestamp;

use crate::frame::Frame;
use crate::hidden;
use crate::reasons::{Reason, refusal, suppression};
use crate::view_arms::{Arm, arms, lateness};
use crate::view_campaigns::Totals;
use crate::words::{Moment, delivery, explain_href, instant, occurrence, segment, send_state, state, why};

/// What a page of a campaign is made of.
pub(crate) struct Known {
    pub(crate) campaign: wire::Campaign,
    pub(crate) schedule: wire::CampaignSchedule,
    pub(crate) transitions: Vec<wire::Transition>,
    pub(crate) stats: wire::CampaignStats,
    pub(crate) sends: Vec<wire::Send>,
    pub(crate) refusals: Vec<wire::Refusal>,
}

#[derive(Template)]
#[template(path = "campaign.html")]
pub(crate) struct CampaignPage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) state: &'static str,
    pub(crate) verbs: Verbs,
    pub(crate) totals: Totals,
    pub(crate) delivery: String,
    pub(crate) audience: String,
    /// Where each webhook goes.
    pub(crate) targets: Vec<String>,
    pub(crate) next: Vec<Moment>,
    pub(crate) fired: i64,
    pub(crate) missed: i64,
    pub(crate) revision: u32,
    pub(crate) updated_at: Moment,
    pub(crate) attempts: i64,
    pub(crate) retries: i64,
    pub(crate) reached: i64,
    pub(crate) users: i64,
    /// How late its sends were; empty where none was sent.
    pub(crate) lateness: String,
    pub(crate) arms: Vec<Arm>,
    /// Whole audiences that entered by hand.
    pub(crate) runs: Vec<RunLine>,
    pub(crate) suppressed: Vec<ReasonCount>,
    /// How entries through several actions ended.
    pub(crate) ends: Vec<(&'static str, i64)>,
    pub(crate) refused: Vec<ReasonCount>,
    pub(crate) sends: Vec<SendLine>,
    pub(crate) refusals: Vec<RefusalLine>,
    pub(crate) transitions: Vec<TransitionLine>,
    /// The definition, as the file a person would write.
    pub(crate) definition: String,
    pub(crate) is_hiding: bool,
}

/// What can be done with the campaign now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verbs {
    pub(crate) activate: bool,
    pub(crate) pause: bool,
    pub(crate) resume: bool,
    pub(crate) end: bool,
    pub(crate) edit: bool,
    pub(crate) cancel: bool,
    pub(crate) delete: bool,
    pub(crate) resend: bool,
    pub(crate) enter: bool,
}

impl Verbs {
    fn of(campaign: &wire::Campaign, failed: i64) -> Verbs {
        use wire::CampaignState::{Active, Draft, Ended, Paused, Scheduled};
        let state = campaign.state();
        let kind = campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref());
        Verbs {
            activate: state == Draft,
            pause: matches!(state, Scheduled | Active),
            resume: state == Paused,
            end: matches!(state, Draft | Scheduled | Active | Paused),
            edit: state != Ended,
            cancel: matches!(state, Scheduled | Active | Paused),
            delete: matches!(state, Draft | Ended),
            resend: failed > 0,
            enter: state == Active && matches!(kind, Some(wire::delivery::Kind::Manual(_))),
        }
    }
}

pub(crate) struct ReasonCount {
    pub(crate) reason: Reason,
    pub(crate) count: i64,
}

pub(crate) struct SendLine {
    pub(crate) id: String,
    pub(crate) at: Moment,
    pub(crate) campaign: String,
    /// None: the user is gone.
    pub(crate) user: Option<UserLink>,
    pub(crate) state: &'static str,
    pub(crate) why: String,
    pub(crate) attempts: u32,
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
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    /// Why, gate by gate.
    pub(crate) explain: String,
}

pub(crate) struct RunLine {
    pub(crate) name: String,
    pub(crate) at: Moment,
    pub(crate) audience: String,
    pub(crate) asked: i64,
    pub(crate) entered: i64,
    pub(crate) is_over: bool,
}

pub(crate) struct TransitionLine {
    pub(crate) at: Moment,
    pub(crate) to: &'static str,
    pub(crate) by: String,
    pub(crate) note: String,
}

pub(crate) fn campaign_page(frame: Frame, known: Known, now: Timestamp) -> CampaignPage {
    let Known { mut campaign, schedule, transitions, stats, sends, refusals } = known;
    let is_hiding = hidden::hide(&mut campaign);
    let audience = campaign.audience.as_ref().map(|audience| audience.r#where.as_str()).unwrap_or_default();
    let zone = campaign.delivery.as_ref().map(|delivery| delivery.zone.as_str()).unwrap_or_default();
    let count = |reason: Reason, count: i64| ReasonCount { reason, count };
    CampaignPage {
        frame,
        state: state(campaign.state()),
        verbs: Verbs::of(&campaign, stats.failed),
        totals: Totals::of(&stats),
        delivery: delivery(&campaign),
        audience: if audience.is_empty() { "everyone".to_owned() } else { audience.to_owned() },
        targets: targets(&campaign),
        next: schedule
            .next_at
            .iter()
            .filter_map(|at| instant(Some(at)))
            .map(|at| occurrence(at, zone, now))
            .collect(),
        fired: schedule.fired,
        missed: schedule.missed,
        revision: campaign.revision,
        updated_at: Moment::at(campaign.updated_at.as_ref()),
        attempts: stats.attempts,
        retries: stats.retries,
        reached: stats.reached,
        users: stats.users,
        lateness: stats.latency.as_ref().map(lateness).unwrap_or_default(),
        arms: arms(&stats),
        runs: stats.runs.iter().map(run_line).collect(),
        suppressed: sorted(
            stats.suppressed.iter().map(|row| count(suppression(row.reason()), row.count)).collect(),
        ),
        ends: stats.entry_ends.iter().map(|row| (entry_end(row.end()), row.count)).collect(),
        refused: sorted(stats.refused.iter().map(|row| count(refusal(row.reason()), row.count)).collect()),
        sends: sends.iter().map(send_line).collect(),
        refusals: refusals.iter().map(|row| refusal_line(&campaign.id, row)).collect(),
        transitions: transitions.iter().rev().map(transition_line).collect(),
        definition: short_form(&campaign).unwrap_or_default(),
        is_hiding,
        id: campaign.id,
        title: campaign.title,
    }
}

/// Most frequent first.
fn sorted(mut rows: Vec<ReasonCount>) -> Vec<ReasonCount> {
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.label.cmp(b.reason.label)));
    rows
}

fn targets(campaign: &wire::Campaign) -> Vec<String> {
    let target = |webhook: &wire::Webhook| {
        let method = match webhook.method() {
            wire::HttpMethod::Unspecified => "POST",
            method => method.as_str_name().trim_start_matches("HTTP_METHOD_"),
        };
        format!("{method} {}", webhook.url)
    };
    let actions = campaign.actions.iter().filter_map(|action| action.r#type.as_ref());
    let actions = actions.map(|wire::action::Type::Webhook(webhook)| target(webhook));
    campaign.webhook.iter().map(target).chain(actions).collect()
}

pub(crate) fn send_line(send: &wire::Send) -> SendLine {
    let at = send.settled_at.as_ref().or(send.due_at.as_ref());
    SendLine {
        id: send.id.clone(),
        at: Moment::at(at),
        campaign: send.campaign_id.clone(),
        user: (!send.user_id.is_empty()).then(|| UserLink::to(&send.user_id)),
        state: send_state(send.state()),
        why: why(send),
        attempts: send.attempt_count,
    }
}

fn run_line(run: &wire::EntryRun) -> RunLine {
    let audience = run.audience.clone().unwrap_or_default();
    let (include, exclude) = (audience.include_segments.iter(), audience.exclude_segments.iter());
    let parts = Some(audience.r#where.clone()).filter(|text| !text.is_empty()).into_iter();
    let parts = parts
        .chain(include.map(|name| format!("in_segment(\"{name}\")")))
        .chain(exclude.map(|name| format!("not in_segment(\"{name}\")")));
    RunLine {
        name: run.name.clone(),
        at: Moment::at(run.started_at.as_ref()),
        audience: parts.collect::<Vec<_>>().join(" and "),
        asked: run.asked,
        entered: run.entered,
        is_over: run.ended_at.is_some(),
    }
}

fn refusal_line(campaign: &str, row: &wire::Refusal) -> RefusalLine {
    RefusalLine {
        at: Moment::at(row.at.as_ref()),
        user: UserLink::to(&row.user_id),
        reason: refusal(row.reason()),
        detail: row.detail.clone(),
        explain: explain_href(&row.user_id, campaign),
    }
}

fn entry_end(end: wire::EntryEnd) -> &'static str {
    match end {
        wire::EntryEnd::Unspecified => "ended",
        wire::EntryEnd::Completed => "went through",
        wire::EntryEnd::Exited => "left by an exit event",
        wire::EntryEnd::PreviousFailed => "ended by a message that failed or was not sent",
        wire::EntryEnd::StepMissed => "ended by an event that did not come",
        wire::EntryEnd::CampaignEnded => "ended with the campaign",
    }
}

fn transition_line(row: &wire::Transition) -> TransitionLine {
    TransitionLine {
        at: Moment::at(row.at.as_ref()),
        to: state(row.state()),
        by: row.by.clone(),
        note: row.note.clone(),
    }
}

/// The states that sends can be narrowed to: the word of the link, and of the command line.
pub(crate) const STATES: [(&str, wire::SendState); 5] = [
    ("delivered", wire::SendState::Delivered),
    ("failed", wire::SendState::Failed),
    ("suppressed", wire::SendState::Suppressed),
    ("pending", wire::SendState::Pending),
    ("skipped", wire::SendState::Skipped),
];

#[derive(Template)]
#[template(path = "sends.html")]
pub(crate) struct SendsPage {
    pub(crate) frame: Frame,
    pub(crate) campaign: String,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) sends: Vec<SendLine>,
    /// Link to the next page, if there is one.
    pub(crate) next: Option<String>,
}

pub(crate) struct Tab {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_here: bool,
}

/// `asked` is a word of `STATES`, or empty: all.
pub(crate) fn sends_page(
    frame: Frame,
    campaign: &str,
    asked: &str,
    sends: &[wire::Send],
    next: &str,
) -> SendsPage {
    let base = format!("/campaigns/{campaign}/sends");
    let tab = |(word, state): &(&'static str, wire::SendState)| Tab {
        label: send_state(*state),
        href: format!("{base}?state={word}"),
        is_here: asked == *word,
    };
    let all = Tab { label: "all", href: base.clone(), is_here: asked.is_empty() };
    SendsPage {
        frame,
        campaign: campaign.to_owned(),
        tabs: std::iter::once(all).chain(STATES.iter().map(tab)).collect(),
        sends: sends.iter().map(send_line).collect(),
        next: (!next.is_empty()).then(|| format!("{base}?state={asked}&page={}", segment(next))),
    }
}
