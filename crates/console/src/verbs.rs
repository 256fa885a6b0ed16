//! What a page does to a live campaign: pause, resume, end, enter. What touches many is asked first, with its numbers.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::pages::back;
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::reasons::refusal;
use crate::words::{counted, segment, state};

/// A question before something is done.
#[derive(Template)]
#[template(path = "ask.html")]
pub(crate) struct AskPage {
    pub(crate) frame: Frame,
    /// The page it was asked from.
    pub(crate) home: String,
    pub(crate) heading: String,
    /// What it comes to.
    pub(crate) text: String,
    pub(crate) action: String,
    pub(crate) fields: Vec<AskField>,
    pub(crate) choices: Vec<Choice>,
    /// What the button says.
    pub(crate) go: &'static str,
    /// What cannot be taken back.
    pub(crate) is_final: bool,
}

/// A line of text to fill in.
pub(crate) struct AskField {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) is_required: bool,
}

pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) label: String,
    pub(crate) meaning: String,
    pub(crate) is_chosen: bool,
}

impl AskPage {
    pub(crate) fn new(token: &Token, id: &str, verb: &str, heading: String) -> AskPage {
        AskPage {
            frame: Frame::new(token, &[format!("campaign {verb} {id}")]),
            home: format!("/campaigns/{}", segment(id)),
            heading,
            text: String::new(),
            action: format!("/campaigns/{}/{verb}", segment(id)),
            fields: Vec::new(),
            choices: Vec::new(),
            go: "",
            is_final: false,
        }
    }
}

/// A form without fields of its own.
#[derive(Deserialize)]
pub(crate) struct Nothing {}

pub(crate) async fn pause(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    _: Posted<Nothing>,
) -> Shown {
    let request = wire::PauseCampaignRequest { id: id.clone(), ..Default::default() };
    let held = room.api.campaigns().pause_campaign(request).await?.into_inner().held;
    Ok(back(&id, "paused", held))
}

pub(crate) async fn ask_resume(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let held = end_counts(&room, &id).await?.finishing;
    let ask = AskPage::new(&token, &id, "resume", format!("Let {id} go on?"));
    let choice = |value, label: &str, meaning: &str, is_chosen| Choice {
        value,
        label: label.to_owned(),
        meaning: meaning.to_owned(),
        is_chosen,
    };
    let choices = vec![
        choice("send", "Send what was held", "Sends past their expiry are not sent.", true),
        choice("drop", "Drop what was held", "They end as cancelled; new ones are sent.", false),
    ];
    let text = format!("While it was paused, {} waited.", counted(held, "send"));
    Ok(page(&AskPage { text, choices, go: "Resume", ..ask }))
}

#[derive(Deserialize)]
pub(crate) struct Mode {
    #[serde(default)]
    pub(crate) mode: String,
}

pub(crate) async fn resume(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Mode>,
) -> Shown {
    let mode = match posted.fields.mode.as_str() {
        "drop" => wire::ResumeMode::DropHeld,
        _ => wire::ResumeMode::SendHeld,
    };
    let request = wire::ResumeCampaignRequest { id: id.clone(), mode: mode as i32, ..Default::default() };
    let held = room.api.campaigns().resume_campaign(request).await?.into_inner().held;
    Ok(back(&id, "resumed", held))
}

/// What ending would do, without doing it.
async fn end_counts(room: &Room, id: &str) -> Result<wire::EndCampaignResponse, Problem> {
    let request = wire::EndCampaignRequest {
        id: id.to_owned(),
        mode: wire::EndMode::FinishEntered as i32,
        validate_only: true,
        ..Default::default()
    };
    Ok(room.api.campaigns().end_campaign(request).await?.into_inner())
}

pub(crate) async fn ask_end(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let counts = end_counts(&room, &id).await?;
    let campaign = counts.campaign.unwrap_or_default();
    let waiting = counted(counts.finishing, "send");
    let ask = AskPage::new(&token, &id, "end", format!("End {id}?"));
    let choices = vec![
        Choice {
            value: "finish",
            label: "Finish what was begun".to_owned(),
            meaning: format!("Nobody enters any more; {waiting} will still go out."),
            is_chosen: true,
        },
        Choice {
            value: "stop",
            label: "Stop now".to_owned(),
            meaning: format!("Nothing more is sent; {waiting} will not go out."),
            is_chosen: false,
        },
    ];
    let text = format!(
        "It is {}. An ended campaign never goes on, and its id is never used again.",
        state(campaign.state())
    );
    Ok(page(&AskPage { text, choices, go: "End it", is_final: true, ..ask }))
}

pub(crate) async fn end(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Mode>,
) -> Shown {
    let mode = match posted.fields.mode.as_str() {
        "stop" => wire::EndMode::StopNow,
        "finish" => wire::EndMode::FinishEntered,
        _ => return Err(Problem::unread("say whether to finish or to stop".to_owned())),
    };
    let request = wire::EndCampaignRequest { id: id.clone(), mode: mode as i32, ..Default::default() };
    room.api.campaigns().end_campaign(request).await?;
    Ok(back(&id, "ended", 0))
}

#[derive(Deserialize)]
pub(crate) struct Entering {
    #[serde(default)]
    user: String,
    #[serde(default)]
    values: String,
}

/// One user, by hand.
pub(crate) async fn enter(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Entering>,
) -> Shown {
    let Entering { user, values } = posted.fields;
    let users = vec![wire::UserToEnter { user_id: user.trim().to_owned(), values: values.trim().to_owned() }];
    let request = wire::EnterUsersRequest { campaign_id: id.clone(), users, ..Default::default() };
    let answer = room.api.campaigns().enter_users(request).await?.into_inner();
    match answer.users.first() {
        Some(user) if user.send_ids.is_empty() => {
            let reason = refusal(user.refusal());
            let text = format!("{:?} did not enter. {} {}", user.user_id, reason.meaning, user.detail);
            Err(Problem::new(axum::http::StatusCode::CONFLICT, "Not entered", text))
        }
        _ => Ok(back(&id, "entered", 1)),
    }
}
