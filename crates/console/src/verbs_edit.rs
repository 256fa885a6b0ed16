//! What a page does to a campaign as a whole or to its sends: copy, delete, cancel, resend. Asked first, with its numbers.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Redirect};
use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::guard::Token;
use crate::pages::back;
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::verbs::{AskField, AskPage, Choice, Mode, Nothing};
use crate::words::{counted, segment};

pub(crate) async fn ask_duplicate(Extension(token): Extension<Token>, Path(id): Path<String>) -> Shown {
    let ask = AskPage::new(&token, &id, "duplicate", format!("Duplicate {id}"));
    let field = |name, label, is_required| AskField { name, label, value: String::new(), is_required };
    let fields =
        vec![field("new_id", "Id of the new draft", true), field("title", "Title, if another", false)];
    let text = "The copy is a draft: nothing is sent before it is activated. Its audience is that of the original, also users to whom that one posted.";
    Ok(page(&AskPage { text: text.to_owned(), fields, go: "Duplicate", ..ask }))
}

#[derive(Deserialize)]
pub(crate) struct Copy {
    new_id: String,
    #[serde(default)]
    title: String,
}

pub(crate) async fn duplicate(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Copy>,
) -> Shown {
    let Copy { new_id, title } = posted.fields;
    let new_id = new_id.trim().to_owned();
    let request = wire::DuplicateCampaignRequest {
        id,
        new_id: new_id.clone(),
        title: title.trim().to_owned(),
        include_received: true,
        ..Default::default()
    };
    room.api.campaigns().duplicate_campaign(request).await?;
    Ok(back(&new_id, "created", 0))
}

fn deletion(id: &str, validate_only: bool) -> wire::DeleteCampaignRequest {
    wire::DeleteCampaignRequest { id: id.to_owned(), validate_only, ..Default::default() }
}

pub(crate) async fn ask_delete(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let left = room.api.campaigns().delete_campaign(deletion(&id, true)).await?.into_inner().pending;
    let text = match left {
        0 => "It goes with its counts, for good. Its id is never used again.".to_owned(),
        n => format!(
            "It goes with its counts, for good; {} will not go out. Its id is never used again.",
            counted(n, "send")
        ),
    };
    let ask = AskPage::new(&token, &id, "delete", format!("Delete {id}?"));
    Ok(page(&AskPage { text, go: "Delete it", is_final: true, ..ask }))
}

pub(crate) async fn delete(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    _: Posted<Nothing>,
) -> Shown {
    room.api.campaigns().delete_campaign(deletion(&id, false)).await?;
    Ok(Redirect::to("/").into_response())
}

fn cancellation(id: &str, user: &str, validate_only: bool) -> wire::CancelSendsRequest {
    let filter =
        wire::SendFilter { campaign_id: id.to_owned(), user_id: user.to_owned(), ..Default::default() };
    wire::CancelSendsRequest { filter: Some(filter), validate_only, ..Default::default() }
}

pub(crate) async fn ask_cancel(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let planned = room.api.sends().cancel_sends(cancellation(&id, "", true)).await?.into_inner().pending;
    let text = format!(
        "{} planned. Those cancelled are counted as not sent when their turn comes; what is planned later is sent.",
        counted(planned, "send")
    );
    let mut ask = AskPage::new(&token, &id, "cancel", format!("Cancel what {id} has planned?"));
    ask.frame = crate::frame::Frame::new(&token, &[format!("sends cancel --campaign {id}")]);
    let label = "Only for this user, if one is named";
    let fields = vec![AskField { name: "user", label, value: String::new(), is_required: false }];
    Ok(page(&AskPage { text, fields, go: "Cancel them", is_final: true, ..ask }))
}

#[derive(Deserialize)]
pub(crate) struct OfUser {
    #[serde(default)]
    user: String,
}

pub(crate) async fn cancel(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<OfUser>,
) -> Shown {
    let request = cancellation(&id, posted.fields.user.trim(), false);
    let answer = room.api.sends().cancel_sends(request).await?.into_inner();
    Ok(back(&id, "cancelled", answer.cancelled.unwrap_or_default()))
}

fn redrive(id: &str, mode: &str, validate_only: bool) -> wire::RedriveSendsRequest {
    let mode = if mode == "rerender" { wire::RedriveMode::Rerender } else { wire::RedriveMode::Original };
    let filter = wire::SendFilter { campaign_id: id.to_owned(), ..Default::default() };
    wire::RedriveSendsRequest { filter: Some(filter), mode: mode as i32, validate_only, ..Default::default() }
}

pub(crate) async fn ask_resend(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let failed = room.api.sends().redrive_sends(redrive(&id, "", true)).await?.into_inner().redriven;
    let text = format!("{} failed and kept. Each keeps its webhook-id.", counted(failed, "send"));
    let choice = |value, label: &str, meaning: &str, is_chosen| Choice {
        value,
        label: label.to_owned(),
        meaning: meaning.to_owned(),
        is_chosen,
    };
    let choices = vec![
        choice("original", "The same requests", "Byte for byte, as they failed.", true),
        choice("rerender", "Rendered again", "From what users are now, by the revision they had.", false),
    ];
    let mut ask = AskPage::new(&token, &id, "resend", format!("Send what {id} failed to deliver again?"));
    ask.frame = crate::frame::Frame::new(&token, &[format!("sends resend --campaign {id}")]);
    Ok(page(&AskPage { text, choices, go: "Send again", ..ask }))
}

pub(crate) async fn resend(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Mode>,
) -> Shown {
    let request = redrive(&id, &posted.fields.mode, false);
    let n = room.api.sends().redrive_sends(request).await?.into_inner().redriven;
    Ok(back(&id, "resent", n))
}

/// One send, from its page.
pub(crate) async fn resend_one(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Mode>,
) -> Shown {
    let request =
        wire::RedriveSendsRequest { send_ids: vec![id.clone()], ..redrive("", &posted.fields.mode, false) };
    let answer = room.api.sends().redrive_sends(request).await?.into_inner();
    if answer.redriven == 0 {
        let text = "It did not fail, is on its way again already, or is no longer kept.".to_owned();
        return Err(Problem::new(axum::http::StatusCode::CONFLICT, "Not sent again", text));
    }
    Ok(Redirect::to(&format!("/sends/{}", segment(&id))).into_response())
}

fn erasure(id: &str, validate_only: bool) -> wire::DeleteUserRequest {
    wire::DeleteUserRequest { id: id.to_owned(), validate_only, ..Default::default() }
}

pub(crate) async fn ask_erase(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let rows = room.api.users().delete_user(erasure(&id, true)).await?.into_inner().log_rows;
    let text = format!(
        "Profile, events and history go for good, and with them {} of the send log. What is planned ends unsent.",
        counted(rows, "row")
    );
    let home = format!("/users/{}", segment(&id));
    let mut ask = AskPage::new(&token, &id, "erase", format!("Erase {id}?"));
    ask.frame = crate::frame::Frame::new(&token, &[format!("users delete {}", shell_word(&id))]);
    let action = format!("{home}/erase");
    Ok(page(&AskPage { text, home, action, go: "Erase", is_final: true, ..ask }))
}

pub(crate) async fn erase(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    _: Posted<Nothing>,
) -> Shown {
    room.api.users().delete_user(erasure(&id, false)).await?;
    Ok(Redirect::to("/").into_response())
}
