//! What a page does to a campaign as a whole or to what it has planned: copy, delete, cancel. Asked first, with its numbers.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Redirect};
use campanile_proto::v1 as wire;
use serde::Deserialize;

use crate::Room;
use crate::guard::Token;
use crate::pages::back;
use crate::posted::Posted;
use crate::problem::{Shown, page};
use crate::verbs::{AskField, AskPage, Choice, Nothing};
use crate::words::counted;

pub(crate) async fn ask_duplicate(Extension(token): Extension<Token>, Path(id): Path<String>) -> Shown {
    let ask = AskPage::new(&token, &id, "duplicate", format!("Duplicate {id}"));
    let field = |name, label, is_required| AskField { name, label, value: String::new(), is_required };
    let fields =
        vec![field("new_id", "Id of the new draft", true), field("title", "Title, if another", false)];
    let choice = |value, label: &str, meaning: &str, is_chosen| Choice {
        value,
        label: label.to_owned(),
        meaning: meaning.to_owned(),
        is_chosen,
    };
    let choices = vec![
        choice("without", "Leave out who got the original", "Its audience says so, and can be edited.", true),
        choice("include", "For all of its audience", "Also for users to whom the original posted.", false),
    ];
    let text = "The copy is a draft: nothing is sent before it is activated.".to_owned();
    Ok(page(&AskPage { text, fields, choices, go: "Duplicate", ..ask }))
}

#[derive(Deserialize)]
pub(crate) struct Copy {
    new_id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    mode: String,
}

pub(crate) async fn duplicate(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Copy>,
) -> Shown {
    let Copy { new_id, title, mode } = posted.fields;
    let new_id = new_id.trim().to_owned();
    let request = wire::DuplicateCampaignRequest {
        id,
        new_id: new_id.clone(),
        title: title.trim().to_owned(),
        include_received: mode == "include",
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
