//! Campaigns written on a page: chosen, checked while they are typed, tried, saved. Every step is a call of the control API.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use campanile_proto::campaign_file::FileCampaign;
use campanile_proto::new_file::{Kind, NewFile, is_id, is_url, new_file};
use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tonic::{Code, Status};

use crate::Room;
use crate::activate::to_activate;
use crate::frame::Frame;
use crate::guard::Token;
use crate::hidden;
use crate::pages::{back, find_campaign};
use crate::posted::Posted;
use crate::problem::{Problem, Shown, page};
use crate::trial::{Written, attempt, violations};
use crate::view_editor::{ChoosePage, EditorPage, FindingLine, StoredAs, fault, findings, kinds, read, rows};
use crate::view_trial::{About, Trial, Tried};

#[derive(Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    url: String,
}

/// What is written: webhook and delivery.
pub(crate) async fn choose(Extension(token): Extension<Token>, Query(chosen): Query<Chosen>) -> Response {
    choose_page(&token, &chosen, String::new())
}

fn choose_page(token: &Token, chosen: &Chosen, wrong: String) -> Response {
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise } else { text }.to_owned();
    page(&ChoosePage {
        frame: Frame::new(token, &["campaign new triggered > first.yaml".to_owned()]),
        id: or(&chosen.id, "first"),
        url: or(&chosen.url, "http://127.0.0.1:9000/hook"),
        kinds: kinds(&or(&chosen.kind, "triggered")),
        wrong,
    })
}

/// The shortest file of what was chosen.
pub(crate) async fn new(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Query(chosen): Query<Chosen>,
) -> Shown {
    let kind = match chosen.kind.as_str() {
        "one-time" => Kind::OneTime,
        "recurring" => Kind::Recurring,
        "manual" => Kind::Manual,
        _ => Kind::Triggered,
    };
    let (id, url) = (chosen.id.trim(), chosen.url.trim());
    let wrong = match (is_id(id), is_url(url)) {
        (false, _) => "The id is 1 to 63 characters of a-z, 0-9 and -.",
        (_, false) => "The URL is missing, or holds a quote.",
        _ => "",
    };
    if !wrong.is_empty() {
        return Ok(choose_page(&token, &chosen, wrong.to_owned()));
    }
    let at = ahead(room.now());
    let file = new_file(&NewFile { kind, id, url, at: &at });
    let desk = Desk { room: &room, token: &token, stored: None };
    Ok(desk.show(file, Trial::default(), None).await?.into_response())
}

/// The morning after tomorrow: it lies ahead wherever it is read.
fn ahead(now: Timestamp) -> String {
    let day = now.checked_add(SignedDuration::from_hours(48)).unwrap_or(now);
    day.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%dT09:00").to_string()
}

/// A stored campaign as the file a person would write; credentials in it are masked, and kept when it is saved.
pub(crate) async fn edit(
    State(room): State<Arc<Room>>,
    Extension(token): Extension<Token>,
    Path(id): Path<String>,
) -> Shown {
    let stored = find_campaign(&room, &id).await?;
    let mut shown = stored.clone();
    hidden::hide(&mut shown);
    let file = short_form(&shown).map_err(|e| Status::internal(e.to_string()))?;
    let desk = Desk { room: &room, token: &token, stored: Some(&stored) };
    Ok(desk.show(file, Trial::default(), None).await?.into_response())
}

pub(crate) async fn try_new(State(room): State<Arc<Room>>, posted: Posted<Written>) -> Shown {
    Desk { room: &room, token: &posted.token, stored: None }.act(posted.fields).await
}

pub(crate) async fn try_stored(
    State(room): State<Arc<Room>>,
    Path(id): Path<String>,
    posted: Posted<Written>,
) -> Shown {
    let stored = find_campaign(&room, &id).await?;
    Desk { room: &room, token: &posted.token, stored: Some(&stored) }.act(posted.fields).await
}

/// Where one campaign is written.
struct Desk<'a> {
    room: &'a Room,
    token: &'a Token,
    stored: Option<&'a wire::Campaign>,
}

impl Desk<'_> {
    async fn act(&self, written: Written) -> Shown {
        let file = written.file.replace("\r\n", "\n");
        let trial = written.trial();
        match written.go.as_str() {
            "preview" | "test" => {
                let tried = self.attempt(&written.go, &file, &trial).await?;
                Ok(self.show(file, trial, tried).await?.into_response())
            }
            "save" | "activate" => self.save(file, trial, &written).await,
            _ => Ok(self.show(file, trial, None).await?.into_response()),
        }
    }

    /// The page, with all that is found in the file.
    async fn show(&self, file: String, mut trial: Trial, tried: Option<Tried>) -> Result<Response, Problem> {
        let findings = match read(&file, self.stored) {
            Err(findings) => findings,
            Ok(written) => {
                trial.fit(&written.campaign);
                self.check(&written).await?
            }
        };
        Ok(page(&self.page(file, trial, tried, findings)))
    }

    fn page(
        &self,
        file: String,
        trial: Trial,
        tried: Option<Tried>,
        findings: Vec<FindingLine>,
    ) -> EditorPage {
        let stored = self.stored.map(|stored| StoredAs {
            id: stored.id.clone(),
            revision: stored.revision,
            is_draft: stored.state() == wire::CampaignState::Draft,
        });
        let (action, heading) = match &stored {
            Some(stored) => (format!("/campaigns/{}/edit", stored.id), format!("Edit {}", stored.id)),
            None => ("/new/file".to_owned(), "New campaign".to_owned()),
        };
        let commands = [
            "campaign validate -f FILE",
            "campaign preview -f FILE --user USER",
            "campaign test-send -f FILE --user USER",
            "campaign apply -f FILE --activate",
        ];
        EditorPage {
            frame: Frame::new(self.token, &commands.map(str::to_owned)),
            action,
            heading,
            stored,
            rows: rows(&file),
            file,
            is_fine: findings.iter().all(|finding| finding.is_warning),
            findings,
            trial,
            tried,
            is_hiding: self.stored.is_some_and(|stored| hidden::hide(&mut stored.clone())),
        }
    }

    async fn check(&self, written: &FileCampaign) -> Result<Vec<FindingLine>, Problem> {
        let request = wire::ValidateCampaignRequest { campaign: Some(written.campaign.clone()) };
        let answer = self.room.api.campaigns().validate_campaign(request).await?.into_inner();
        Ok(findings(written, &answer))
    }

    /// None: the file is not one that can be tried; the page says why.
    async fn attempt(&self, go: &str, file: &str, trial: &Trial) -> Result<Option<Tried>, Problem> {
        let Ok(written) = read(file, self.stored) else { return Ok(None) };
        let mut trial = trial.clone();
        trial.fit(&written.campaign);
        attempt(self.room, go, &trial, About::Written(Box::new(written.campaign))).await
    }

    async fn save(&self, file: String, trial: Trial, written: &Written) -> Shown {
        let saved = match read(&file, self.stored) {
            Err(findings) => Err(findings),
            Ok(read) => match self.store(read.campaign.clone(), written).await {
                Ok(campaign) => Ok(campaign),
                Err(status) => Err(refused(&read, status)?),
            },
        };
        match saved {
            Ok(campaign) if written.go == "activate" => Ok(to_activate(&campaign.id)),
            Ok(campaign) => {
                let done = if self.stored.is_some() { "changed" } else { "created" };
                Ok(back(&campaign.id, done, 0))
            }
            Err(findings) => {
                let shown = page(&self.page(file, trial, None, findings));
                Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
            }
        }
    }

    async fn store(&self, campaign: wire::Campaign, written: &Written) -> Result<wire::Campaign, Status> {
        let mut api = self.room.api.campaigns();
        let campaign = Some(campaign);
        let stored = if self.stored.is_some() {
            let request = wire::UpdateCampaignRequest {
                campaign,
                expected_revision: written.revision,
                apply_to_pending: !written.apply.is_empty(),
                ..Default::default()
            };
            api.update_campaign(request).await?.into_inner().campaign
        } else {
            let request = wire::CreateCampaignRequest { campaign, ..Default::default() };
            api.create_campaign(request).await?.into_inner().campaign
        };
        Ok(stored.unwrap_or_default())
    }
}

/// Why a file was not stored, at its places; trouble that is none of the file's is a problem.
fn refused(written: &FileCampaign, status: Status) -> Result<Vec<FindingLine>, Problem> {
    let violations = violations(&status);
    if !violations.is_empty() {
        return Ok(violations.iter().map(|(field, text)| fault(written, field, text)).collect());
    }
    match status.code() {
        Code::AlreadyExists => Ok(vec![fault(written, "id", status.message())]),
        Code::Aborted | Code::FailedPrecondition => Ok(vec![fault(written, "", status.message())]),
        _ => Err(status.into()),
    }
}
