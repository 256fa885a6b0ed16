//! The deployment's settings on a page: shown as a file, changed by sending one back. Both are calls of the control API.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use campanile_proto::settings_file;
use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;
use serde::Deserialize;
use tonic::{Code, Status};

use crate::Room;
use crate::frame::Frame;
use crate::guard::Token;
use crate::posted::Posted;
use crate::problem::{Shown, page};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    file: String,
    revision: u64,
    /// What is wrong with what was sent, or probably not meant.
    findings: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Written {
    file: String,
    /// What the page showed: a change of somebody else is not written over.
    revision: u64,
}

pub(crate) async fn show(State(room): State<Arc<Room>>, Extension(token): Extension<Token>) -> Shown {
    let settings = stored(&room).await?;
    Ok(shown(&token, text(&settings)?, settings.revision, Vec::new(), ""))
}

pub(crate) async fn save(State(room): State<Arc<Room>>, posted: Posted<Written>) -> Shown {
    let Written { file, revision } = posted.fields;
    let file = file.replace("\r\n", "\n");
    let written = match settings_file::read(file.as_bytes()) {
        Ok(settings) => settings,
        Err(faults) => {
            let findings = faults.iter().map(ToString::to_string).collect();
            return Ok(shown(&posted.token, file, revision, findings, ""));
        }
    };
    let there = stored(&room).await?;
    if there.revision != revision {
        let findings =
            vec![format!("Somebody else has changed the settings: they are at revision {}.", there.revision)];
        return Ok(shown(&posted.token, file, revision, findings, ""));
    }
    let request = wire::UpdateSettingsRequest {
        settings: Some(written),
        expected_revision: revision,
        ..Default::default()
    };
    match room.api.settings().update_settings(request).await {
        Ok(answer) => {
            let wire::UpdateSettingsResponse { settings, warnings } = answer.into_inner();
            let settings = settings.unwrap_or_default();
            let findings = warnings.into_iter().map(|w| format!("{}: {}", w.field, w.description)).collect();
            Ok(shown(
                &posted.token,
                text(&settings)?,
                settings.revision,
                findings,
                "The settings are stored.",
            ))
        }
        Err(status) if status.code() == Code::InvalidArgument => {
            let findings = crate::trial::violations(&status);
            let findings = findings.into_iter().map(|(field, text)| format!("{field}: {text}")).collect();
            Ok(shown(&posted.token, file, revision, findings, ""))
        }
        Err(status) => Err(status.into()),
    }
}

async fn stored(room: &Room) -> Result<wire::Settings, Status> {
    let answer = room.api.settings().get_settings(wire::GetSettingsRequest {}).await?;
    Ok(answer.into_inner().settings.unwrap_or_default())
}

/// As a person would write them; `{}` where nothing is set.
fn text(settings: &wire::Settings) -> Result<String, Status> {
    let own = wire::Settings { revision: 0, updated_at: None, ..settings.clone() };
    if own == wire::Settings::default() {
        return Ok("{}\n".to_owned());
    }
    short_form(settings).map_err(|e| Status::internal(e.to_string()))
}

fn shown(token: &Token, file: String, revision: u64, findings: Vec<String>, notice: &str) -> Response {
    let commands = ["settings show > settings.yaml", "settings apply -f settings.yaml"].map(str::to_owned);
    let frame = Frame::new(token, &commands).noting(notice.to_owned());
    page(&SettingsPage { frame, file, revision, findings }).into_response()
}
