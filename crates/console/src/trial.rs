//! Trials: a campaign previewed, or one test really posted, as it is stored or as it is being written.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::IntoResponse;
use campanile_proto::v1 as wire;
use serde::Deserialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::pages::find_campaign;
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::view_trial::{About, Trial, Tried, TryPage};

/// What a form of a trial brings; on the page where a campaign is written, also the campaign.
#[derive(Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    pub(crate) file: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    attributes: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    properties: String,
    #[serde(default)]
    values: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    pub(crate) revision: u32,
    /// Whether planned sends take the new revision.
    #[serde(default)]
    pub(crate) apply: String,
    /// The button: check, preview, test, save, activate.
    #[serde(default)]
    pub(crate) go: String,
}

impl Written {
    pub(crate) fn trial(&self) -> Trial {
        let text = |text: &str| text.trim().to_owned();
        Trial {
            user: text(&self.user),
            attributes: text(&self.attributes),
            event: text(&self.event),
            properties: text(&self.properties),
            values: text(&self.values),
            action: text(&self.action),
            ..Trial::default()
        }
    }
}

/// A preview, or with `go` "test" a request that is really posted. None: what is wrong is in the campaign as it is being written, and
/// told there.
pub(crate) async fn attempt(
    room: &Room,
    go: &str,
    trial: &Trial,
    about: About,
) -> Result<Option<Tried>, Problem> {
    let mut api = room.api.campaigns();
    let is_stored = matches!(about, About::Stored(_));
    let tried = if go == "test" {
        api.send_test(trial.test_request(about)).await.map(|answer| Tried::test(&answer.into_inner()))
    } else {
        api.preview_send(trial.request(about)).await.map(|answer| Tried::preview(&answer.into_inner()))
    };
    let heading = if go == "test" { "Test send" } else { "Preview" };
    match tried {
        Ok(tried) => Ok(Some(tried)),
        Err(status) if status.code() == Code::InvalidArgument => {
            Ok(faults(&status, is_stored).map(|faults| Tried::refused(heading, faults)))
        }
        Err(status) => Err(status.into()),
    }
}

/// What is wrong with a trial: all of it where the campaign is stored, else only what is not the file's.
fn faults(status: &Status, is_stored: bool) -> Option<Vec<String>> {
    let of_trial = ["user_id", "event", "values", "profile", "action"];
    let faults: Vec<String> = violations(status)
        .into_iter()
        .filter(|(field, _)| is_stored || of_trial.iter().any(|part| field.starts_with(part)))
        .map(|(field, text)| format!("{field}: {text}"))
        .collect();
    (!faults.is_empty()).then_some(faults)
}

/// Fields with what is wrong with each.
pub(crate) fn violations(status: &Status) -> Vec<(String, String)> {
    let found = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    found.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// Where a stored campaign is tried.
pub(crate) async fn try_page(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let campaign = find_campaign(&room, &id).await?;
    Ok(page(&shown(&token, &campaign, Trial::default(), None)))
}

pub(crate) async fn try_it(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Written>,
) -> Shown {
    let campaign = find_campaign(&room, &id).await?;
    let mut trial = posted.fields.trial();
    trial.fit(&campaign);
    let tried = attempt(&room, &posted.fields.go, &trial, About::Stored(id)).await?;
    Ok(page(&shown(&posted.token, &campaign, trial, tried)).into_response())
}

fn shown(token: &Token, campaign: &wire::Campaign, mut trial: Trial, tried: Option<Tried>) -> TryPage {
    trial.fit(campaign);
    let commands =
        ["preview", "test-send"].map(|verb| format!("campaign {verb} {} --user USER", campaign.id));
    TryPage { frame: Frame::new(token, &commands), id: campaign.id.clone(), trial, tried }
}
