//! The pages that only show: what is asked of the control API for each.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde::Deserialize;
use tonic::{Code, Status};

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::problem::{Problem, Shown, page};
use crate::view_campaign::{Known, STATES, campaign_page, sends_page};
use crate::view_campaigns::campaigns_page;
use crate::view_find::{Found, find_page};
use crate::view_send::send_page;
use crate::view_user::{KnownUser, user_page};
use crate::words::segment;

/// Campaigns of one page.
const CAMPAIGNS: i32 = 50;
/// Campaigns that a search looks through.
const CAMPAIGNS_SOUGHT: i32 = 1_000;
/// Sends and refusals beside a campaign or user.
const LATEST: i32 = 20;
/// Sends of a page of their own.
const SENDS: i32 = 100;
/// Next occurrences of a campaign.
const OCCURRENCES: i32 = 5;

pub(crate) async fn style() -> impl IntoResponse {
    let style = include_str!("../templates/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], style)
}

pub(crate) async fn script() -> impl IntoResponse {
    let script = include_str!("../templates/script.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], script)
}

pub(crate) async fn icon() -> impl IntoResponse {
    let icon = include_str!("../templates/icon.svg");
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")], icon)
}

pub(crate) async fn not_here() -> Problem {
    Problem::not_found("There is no such page.".to_owned())
}

#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: String,
}

pub(crate) async fn campaigns(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Query(After { after }): Query<After>,
) -> Shown {
    let request =
        wire::ListCampaignsRequest { page_size: CAMPAIGNS, page_token: after, ..Default::default() };
    let listed = room.api.campaigns().list_campaigns(request).await?.into_inner();
    let mut all = Vec::with_capacity(listed.campaigns.len());
    for campaign in listed.campaigns {
        let stats = stats(&room, &campaign.id).await?;
        all.push((campaign, stats));
    }
    let frame = Frame::new(&token, &["campaign list".to_owned()]).live("/live".to_owned());
    Ok(page(&campaigns_page(frame, &all, &listed.next_page_token)))
}

/// What was just done to a campaign: a word of a closed list, said as a sentence.
#[derive(Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
    #[serde(default)]
    n: i64,
}

impl Done {
    fn notice(&self) -> String {
        match self.done.as_str() {
            "created" => "The draft is saved. Nothing is sent before it is activated.".to_owned(),
            "changed" => "The change is saved.".to_owned(),
            "activated" => "The campaign is activated.".to_owned(),
            "paused" => format!("Paused. Sends held: {}.", self.n),
            "resumed" => format!("Going on. Sends that were held: {}.", self.n),
            "ended" => "The campaign has ended.".to_owned(),
            "cancelled" if self.n == 0 => "What was planned for that user is cancelled.".to_owned(),
            "cancelled" => format!("Cancelled. Sends that will not go out: {}.", self.n),
            "resent" => format!("On the way again: {}.", self.n),
            "entered" => "Entered. The send is on its way.".to_owned(),
            _ => String::new(),
        }
    }
}

pub(crate) async fn campaign(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Shown {
    let request = wire::GetCampaignRequest { id: id.clone(), occurrences: OCCURRENCES };
    let found = room.api.campaigns().get_campaign(request).await?.into_inner();
    let refusals = wire::ListRefusalsRequest { campaign_id: id.clone(), page_size: LATEST };
    let known = Known {
        campaign: found.campaign.unwrap_or_default(),
        schedule: found.schedule.unwrap_or_default(),
        transitions: found.transitions,
        stats: stats(&room, &id).await?,
        sends: sends_of(&room, filter(&id, ""), LATEST, String::new()).await?.sends,
        refusals: room.api.campaigns().list_refusals(refusals).await?.into_inner().refusals,
    };
    let commands = ["show", "stats", "refusals"].map(|verb| format!("campaign {verb} {id}"));
    let frame = Frame::new(&token, &commands).live(format!("/live?campaign={id}")).noting(done.notice());
    Ok(page(&campaign_page(frame, known, room.now())))
}

#[derive(Deserialize)]
pub(crate) struct SendsAsked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: String,
}

pub(crate) async fn sends(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
    Query(asked): Query<SendsAsked>,
) -> Shown {
    let known = STATES.iter().find(|(word, _)| *word == asked.state);
    let (word, states) = known.map_or(("", Vec::new()), |(word, state)| (*word, vec![*state as i32]));
    let wanted = wire::SendFilter { states, ..filter(&id, "") };
    let is_first = asked.page.is_empty();
    let found = sends_of(&room, wanted, SENDS, asked.page).await?;
    let narrowed = if word.is_empty() { String::new() } else { format!(" --state {word}") };
    let frame = Frame::new(
        &token,
        &[format!("sends list --campaign {id}{narrowed}"), format!("sends watch --campaign {id}")],
    );
    let frame = if is_first { frame.live(format!("/live?campaign={id}")) } else { frame };
    Ok(page(&sends_page(frame, &id, word, &found.sends, &found.next_page_token)))
}

pub(crate) async fn send(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let found = room.api.sends().get_send(wire::GetSendRequest { id: id.clone() }).await;
    let found = found.map_err(|status| match status.code() {
        Code::InvalidArgument => Problem::not_found(format!("{id:?} is no id of a send here.")),
        _ => Problem::from(status),
    })?;
    let frame = Frame::new(&token, &[format!("sends show {}", shell_word(&id))]);
    Ok(page(&send_page(frame, &found.into_inner())))
}

pub(crate) async fn user(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let found = room.api.users().get_user(wire::GetUserRequest { id: id.clone() }).await?.into_inner();
    let filter_events = wire::EventFilter { user_id: id.clone(), ..Default::default() };
    let events = wire::ListRecentEventsRequest { filter: Some(filter_events), page_size: LATEST };
    let campaigns = wire::ListCampaignsRequest { page_size: CAMPAIGNS, ..Default::default() };
    let known = KnownUser {
        user: found.user.unwrap_or_default(),
        events: room.api.events().list_recent_events(events).await?.into_inner().events,
        sends: sends_of(&room, filter("", &id), LATEST, String::new()).await?.sends,
        campaigns: room.api.campaigns().list_campaigns(campaigns).await?.into_inner().campaigns,
    };
    let word = shell_word(&id);
    let commands = ["users show", "events list --user", "sends list --user"];
    let mut commands: Vec<String> = commands.iter().map(|verb| format!("{verb} {word}")).collect();
    commands.push(format!("explain {word} CAMPAIGN"));
    let frame = Frame::new(&token, &commands).live(format!("/live?user={}", segment(&id)));
    Ok(page(&user_page(frame, &known)))
}

#[derive(Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    q: String,
}

/// Goes to the only place there is; else shows what was found.
pub(crate) async fn find(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Query(Sought { q }): Query<Sought>,
) -> Shown {
    let sought = q.trim();
    if sought.is_empty() {
        return Ok(Redirect::to("/").into_response());
    }
    let found = look(&room, sought).await?;
    if let Some(place) = found.only(sought) {
        return Ok(Redirect::to(&place).into_response());
    }
    let frame =
        Frame::new(&token, &["campaign list".to_owned(), format!("users show {}", shell_word(sought))]);
    Ok(page(&find_page(frame, sought, &found)))
}

async fn look(room: &Room, sought: &str) -> Result<Found, Problem> {
    let listed = wire::ListCampaignsRequest { page_size: CAMPAIGNS_SOUGHT, ..Default::default() };
    let listed = room.api.campaigns().list_campaigns(listed).await?.into_inner().campaigns;
    let lower = sought.to_lowercase();
    let is_like = |campaign: &wire::Campaign| {
        campaign.id.contains(&lower) || campaign.title.to_lowercase().contains(&lower)
    };
    let campaigns = listed.into_iter().filter(is_like).take(CAMPAIGNS as usize).collect();
    let user = room.api.users().get_user(wire::GetUserRequest { id: sought.to_owned() }).await;
    let send = room.api.sends().get_send(wire::GetSendRequest { id: sought.to_owned() }).await;
    Ok(Found {
        campaigns,
        user: is_there(user)?.then(|| sought.to_owned()),
        send: is_there(send)?.then(|| sought.to_owned()),
    })
}

fn is_there<T>(answer: Result<T, Status>) -> Result<bool, Problem> {
    match answer {
        Ok(_) => Ok(true),
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(false),
        Err(status) => Err(status.into()),
    }
}

fn filter(campaign: &str, user: &str) -> wire::SendFilter {
    wire::SendFilter { campaign_id: campaign.to_owned(), user_id: user.to_owned(), states: Vec::new() }
}

async fn sends_of(
    room: &Room,
    filter: wire::SendFilter,
    page_size: i32,
    page_token: String,
) -> Result<wire::ListSendsResponse, Problem> {
    let request = wire::ListSendsRequest { filter: Some(filter), page_size, page_token };
    Ok(room.api.sends().list_sends(request).await?.into_inner())
}

async fn stats(room: &Room, id: &str) -> Result<wire::CampaignStats, Problem> {
    let request = wire::GetCampaignStatsRequest { id: id.to_owned() };
    let answer = room.api.campaigns().get_campaign_stats(request).await?.into_inner();
    Ok(answer.stats.unwrap_or_default())
}

/// What only the pages that change something need to know.
pub(crate) async fn find_campaign(room: &Room, id: &str) -> Result<wire::Campaign, Problem> {
    let request = wire::GetCampaignRequest { id: id.to_owned(), occurrences: 0 };
    let found = room.api.campaigns().get_campaign(request).await?.into_inner();
    Ok(found.campaign.unwrap_or_default())
}

/// Back to a campaign's page, saying what was done.
pub(crate) fn back(id: &str, done: &str, n: i64) -> Response {
    Redirect::to(&format!("/campaigns/{}?done={done}&n={n}", segment(id))).into_response()
}
