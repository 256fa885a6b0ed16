//! What is fetched for each page. A page that cannot be shown is a page that says why.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::due_send::SendId;
use campanile_core::kept::Kept;
use campanile_core::ports::{EndedFilter, SendsQuery, StoreError};
use serde::Deserialize;

use crate::Ports;
use crate::view_campaign::{campaign_page, sends_page};
use crate::view_campaigns::campaigns_page;
use crate::view_send::send_page;
use crate::view_user::user_page;

/// Campaigns of one page.
const CAMPAIGNS: usize = 50;
/// Sends and refusals beside a campaign or user.
const LATEST: usize = 20;
/// Sends of a page of their own.
const SENDS: usize = 100;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    heading: String,
    text: String,
}

/// Why there is no page.
pub(crate) struct Problem(StatusCode, ProblemPage);

impl Problem {
    fn not_found(text: String) -> Problem {
        Problem(StatusCode::NOT_FOUND, ProblemPage { heading: "Not found".to_owned(), text })
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::warn!(%error, "a page could not be shown");
        let heading = "The store does not answer".to_owned();
        Problem(StatusCode::SERVICE_UNAVAILABLE, ProblemPage { heading, text: error.to_string() })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, page(&self.1)).into_response()
    }
}

type Shown = Result<Response, Problem>;

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

pub(crate) async fn style() -> impl IntoResponse {
    let style = include_str!("../templates/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], style)
}

pub(crate) async fn not_here() -> Problem {
    Problem::not_found("There is no such page.".to_owned())
}

#[derive(Deserialize)]
pub(crate) struct After {
    #[serde(default)]
    after: String,
}

pub(crate) async fn campaigns(State(ports): State<Ports>, Query(After { after }): Query<After>) -> Shown {
    let records = ports.store.list_campaigns(&after, CAMPAIGNS).await?;
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let counters = ports.store.stats(record.no).await?;
        all.push((record, counters));
    }
    Ok(page(&campaigns_page(&all, CAMPAIGNS)))
}

pub(crate) async fn campaign(State(ports): State<Ports>, Path(id): Path<String>) -> Shown {
    let record = find(&ports, &id).await?;
    let counters = ports.store.stats(record.no).await?;
    let query = SendsQuery { campaign: Some(record.no), limit: LATEST, ..Default::default() };
    let sends = ports.store.sends(&query).await?;
    let refusals = ports.store.refusals(record.no, LATEST).await?;
    Ok(page(&campaign_page(ports.store.layout(), &record, &counters, &sends.rows, &refusals)))
}

#[derive(Deserialize)]
pub(crate) struct SendsAsked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: String,
}

pub(crate) async fn sends(
    State(ports): State<Ports>,
    Path(id): Path<String>,
    Query(asked): Query<SendsAsked>,
) -> Shown {
    let record = find(&ports, &id).await?;
    let ended = match asked.state.as_str() {
        "delivered" => Some(EndedFilter::Delivered),
        "failed" => Some(EndedFilter::Failed),
        "suppressed" => Some(EndedFilter::Suppressed),
        "retrying" => Some(EndedFilter::Retrying),
        _ => None,
    };
    let query =
        SendsQuery { campaign: Some(record.no), ended, limit: SENDS, page: asked.page, ..Default::default() };
    let found = ports.store.sends(&query).await?;
    let state = if ended.is_some() { asked.state.as_str() } else { "" };
    Ok(page(&sends_page(ports.store.layout(), &record.id, state, &found.rows, &found.next)))
}

pub(crate) async fn send(State(ports): State<Ports>, Path(text): Path<String>) -> Shown {
    let layout = ports.store.layout();
    let id = SendId::parse(&text).filter(|id| id.birth == layout.birth && id.shard.0 < layout.shards);
    let Some(id) = id else { return Err(Problem::not_found(format!("{text:?} is no id of a send here."))) };
    let trail = ports.store.send(&id).await?;
    let records = ports.store.campaigns(&[id.campaign]).await?;
    let campaign = records.first().map(|record| record.id.as_str()).unwrap_or_default();
    let kept = trail.kept.as_deref().and_then(|bytes| {
        Kept::unpack(bytes)
            .inspect_err(|error| tracing::error!(send = text, error, "what is kept is foreign"))
            .ok()
    });
    let shown = send_page(layout, campaign, &trail.rows, kept.as_ref());
    let missing =
        || Problem::not_found("Nothing is known of this send: it is waiting, or was not kept.".to_owned());
    shown.map(|shown| page(&shown)).ok_or_else(missing)
}

pub(crate) async fn user(State(ports): State<Ports>, Path(id): Path<String>) -> Shown {
    let shard = ports.store.layout().shard_of(&id);
    let found = ports.store.open_users(shard, std::slice::from_ref(&id), None).await?;
    let Some(user) = found.into_iter().next().flatten() else {
        return Err(Problem::not_found(format!("There is no user {id:?}.")));
    };
    let query = SendsQuery { user: Some((shard, user.no)), limit: LATEST, ..Default::default() };
    let sends = ports.store.sends(&query).await?;
    Ok(page(&user_page(ports.store.layout(), &user.profile, &sends.rows)))
}

async fn find(ports: &Ports, id: &str) -> Result<CampaignRecord, Problem> {
    let found = ports.store.campaign(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("There is no campaign {id:?}.")))
}
