//! Plans: what a campaign would do, as the control API works it out. Sends nothing and stores nothing.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use campanile_core::duration_text;
use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::pages::find_campaign;
use crate::problem::{Problem, Shown, page};
use crate::view_plan::plan_page;

/// Entries told singly.
const ENTRIES: i32 = 20;

#[derive(Deserialize)]
pub(crate) struct PlanAsked {
    /// How far ahead, such as 7d; empty: the next occurrence.
    #[serde(default)]
    window: String,
    /// Of an entry by hand.
    #[serde(default)]
    values: String,
}

pub(crate) async fn plan(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
    Query(asked): Query<PlanAsked>,
) -> Shown {
    let campaign = find_campaign(&room, &id).await?;
    let (window, values) = (asked.window.trim(), asked.values.trim());
    let ahead = match window {
        "" => None,
        text => Some(duration_text::parse(text).map_err(Problem::unread)?),
    };
    let request = wire::PlanCampaignRequest {
        subject: Some(wire::plan_campaign_request::Subject::CampaignId(id.clone())),
        window: ahead.map(|ahead| prost_types::Duration {
            seconds: i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
        }),
        entries: ENTRIES,
        values: values.to_owned(),
    };
    let mut answers = room.api.campaigns().plan_campaign(request).await?.into_inner();
    let mut plan = None;
    while let Some(answer) = answers.message().await? {
        plan = answer.plan;
    }
    let plan = plan.unwrap_or_default();
    let mut command = format!("plan {}", shell_word(&id));
    for (flag, value) in [("--window", window), ("--values", values)] {
        if !value.is_empty() {
            command.push_str(&format!(" {flag} {}", shell_word(value)));
        }
    }
    let frame = Frame::new(&token, &[command]);
    Ok(page(&plan_page(frame, &campaign, &plan, window, values)))
}
