//! Activation: rehearsed first, shown with what the rehearsal found, and started once a person agrees to it.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::pages::{back, find_campaign};
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::view_activate::{ActivatePage, Agreed, activate_page, disagreement};
use crate::words::segment;

pub(crate) fn to_activate(id: &str) -> Response {
    Redirect::to(&format!("/campaigns/{}/activate", segment(id))).into_response()
}

/// What activating would do, without doing it.
async fn rehearse(room: &Room, id: &str, revision: u32) -> Result<wire::ActivateCampaignResponse, Problem> {
    let request = wire::ActivateCampaignRequest {
        id: id.to_owned(),
        expected_revision: revision,
        validate_only: true,
        ..Default::default()
    };
    Ok(room.api.campaigns().activate_campaign(request).await?.into_inner())
}

pub(crate) async fn ask_activate(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let campaign = find_campaign(&room, &id).await?;
    if campaign.state() != wire::CampaignState::Draft {
        return Ok(Redirect::to(&format!("/campaigns/{}", segment(&id))).into_response());
    }
    let answer = rehearse(&room, &id, campaign.revision).await?;
    Ok(page(&asking(&token, &id, &answer, String::new())))
}

fn asking(token: &Token, id: &str, answer: &wire::ActivateCampaignResponse, wrong: String) -> ActivatePage {
    let revision = answer.campaign.as_ref().map_or(0, |campaign| campaign.revision);
    let rehearsal = answer.rehearsal.clone().unwrap_or_default();
    activate_page(|command| Frame::new(token, &[command]), id, revision, &rehearsal, &answer.warnings, wrong)
}

#[derive(Deserialize)]
pub(crate) struct Agreement {
    /// The revision that was looked at.
    #[serde(default)]
    revision: u32,
    #[serde(default)]
    yes: String,
    #[serde(default)]
    audience: String,
}

pub(crate) async fn activate(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Agreement>,
) -> Shown {
    let Agreement { revision, yes, audience } = posted.fields;
    let answer = rehearse(&room, &id, revision).await?;
    let rehearsal = answer.rehearsal.clone().unwrap_or_default();
    if let Some(wrong) = disagreement(&rehearsal, &Agreed { yes: !yes.is_empty(), audience }) {
        let asked = page(&asking(&posted.token, &id, &answer, wrong));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, asked).into_response());
    }
    let request =
        wire::ActivateCampaignRequest { id: id.clone(), expected_revision: revision, ..Default::default() };
    room.api.campaigns().activate_campaign(request).await?;
    Ok(back(&id, "activated", 0))
}
