//! Why, and why not: one user and one campaign, as the control API explains them.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::pages::find_campaign;
use crate::problem::{Problem, Shown, page};
use crate::view_explain::{Judged, explain_page};
use crate::words::explain_href;

#[derive(Deserialize)]
pub(crate) struct OfWhom {
    #[serde(default)]
    user: String,
    #[serde(default)]
    campaign: String,
}

/// Leads from a form that names a user and a campaign to their page.
pub(crate) async fn of_whom(Query(OfWhom { user, campaign }): Query<OfWhom>) -> Shown {
    let (user, campaign) = (user.trim(), campaign.trim());
    if user.is_empty() || campaign.is_empty() {
        return Err(Problem::unread("name a user and a campaign".to_owned()));
    }
    Ok(Redirect::to(&explain_href(user, campaign)).into_response())
}

pub(crate) async fn explain(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path((user, id)): Path<(String, String)>,
    Query(judged): Query<Judged>,
) -> Shown {
    let campaign = find_campaign(&room, &id).await?;
    let request = wire::ExplainSendRequest {
        user_id: user.clone(),
        campaign_id: id.clone(),
        event: judged.event(),
        values: judged.values.trim().to_owned(),
    };
    let answer = room.api.sends().explain_send(request).await?.into_inner();
    let asked = judged.arguments();
    let frame = Frame::new(&token, &[format!("explain {} {}{asked}", shell_word(&user), shell_word(&id))]);
    Ok(page(&explain_page(frame, &user, &campaign, judged, &answer)))
}
