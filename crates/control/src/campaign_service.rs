//! The gRPC face of campaigns: reads the request, calls the verb, writes the answer. Decides nothing.

use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::State;
use campanile_core::fault::Fault;
use campanile_proto::field_mask;
use campanile_proto::v1 as wire;
use campanile_proto::v1::campaign_service_server::CampaignService;
use tonic::{Request, Response, Status};

use crate::activation_warnings::of_definition;
use crate::campaign_edit::{self, Edit};
use crate::campaign_life;
use crate::deployment::Deployment;
use crate::dry_run::Answers;
use crate::duplicate::duplicate;
use crate::enter_users;
use crate::estimate::estimate;
use crate::known_names::{unknown_attributes, unknown_campaigns};
use crate::pending::pending;
use crate::plan_campaign::plan_campaign;
use crate::preview;
use crate::read_campaign::read_campaign;
use crate::read_request::{check_request_id, occurrences, page_size};
use crate::rehearse;
use crate::send_test;
use crate::status;
use crate::write_campaign::{write_campaign, write_draft};
use crate::write_life::{write_schedule, write_transition};
use crate::write_stats::{write_refusal, write_stats};

pub struct Campaigns {
    deployment: Arc<Deployment>,
}

impl Campaigns {
    pub fn new(deployment: Arc<Deployment>) -> Campaigns {
        Campaigns { deployment }
    }
}

#[tonic::async_trait]
impl CampaignService for Campaigns {
    async fn create_campaign(
        &self,
        request: Request<wire::CreateCampaignRequest>,
    ) -> Result<Response<wire::CreateCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let draft = read(&given(request.campaign)?)?;
        let (record, campaign) = campaign_life::create(&self.deployment, draft, &request.request_id).await?;
        Ok(Response::new(wire::CreateCampaignResponse {
            campaign: Some(write_campaign(&record)),
            warnings: warnings(&campaign),
        }))
    }

    async fn get_campaign(
        &self,
        request: Request<wire::GetCampaignRequest>,
    ) -> Result<Response<wire::GetCampaignResponse>, Status> {
        let request = request.into_inner();
        let record = self.deployment.campaign(&request.id).await?;
        let wanted = occurrences(request.occurrences)?;
        Ok(Response::new(wire::GetCampaignResponse {
            campaign: Some(write_campaign(&record)),
            schedule: Some(write_schedule(&record, wanted, self.deployment.now())),
            transitions: record.transitions.iter().map(write_transition).collect(),
        }))
    }

    async fn list_campaigns(
        &self,
        request: Request<wire::ListCampaignsRequest>,
    ) -> Result<Response<wire::ListCampaignsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let is_wanted = |campaign: &wire::Campaign| {
            (request.states.is_empty() || request.states.contains(&campaign.state))
                && request.tags.iter().all(|tag| campaign.tags.contains(tag))
        };
        let mut campaigns = Vec::new();
        let mut after = request.page_token.clone();
        loop {
            let page = self.deployment.store.list_campaigns(&after, limit).await.map_err(status::store)?;
            let is_last = page.len() < limit;
            for record in page {
                after.clone_from(&record.id);
                if record.deleted_at.is_some() {
                    continue;
                }
                let campaign = write_campaign(&record);
                if is_wanted(&campaign) {
                    campaigns.push(campaign);
                }
                if campaigns.len() == limit {
                    return Ok(Response::new(wire::ListCampaignsResponse {
                        campaigns,
                        next_page_token: after,
                    }));
                }
            }
            if is_last {
                return Ok(Response::new(wire::ListCampaignsResponse {
                    campaigns,
                    next_page_token: String::new(),
                }));
            }
        }
    }

    async fn update_campaign(
        &self,
        request: Request<wire::UpdateCampaignRequest>,
    ) -> Result<Response<wire::UpdateCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let campaign = given(request.campaign)?;
        let mask = request.update_mask.map(|mask| mask.paths);
        let id = campaign.id.clone();
        let edit = Edit {
            expected_revision: request.expected_revision,
            request: &request.request_id,
            apply_to_pending: request.apply_to_pending,
            validate_only: request.validate_only,
        };
        let updated = campaign_edit::update(&self.deployment, &id, edit, |stored| {
            let changed = match &mask {
                None => campaign.clone(),
                Some(paths) => {
                    let mut changed = write_draft(stored);
                    field_mask::apply(paths, &campaign, &mut changed).map_err(|(path, text)| {
                        status::invalid_field(&format!("update_mask.{path}"), text)
                    })?;
                    changed
                }
            };
            if changed.id != stored.id {
                return Err(status::invalid_field("campaign.id", "is immutable"));
            }
            read(&changed)
        });
        let edited = updated.await?;
        Ok(Response::new(wire::UpdateCampaignResponse {
            campaign: Some(write_campaign(&edited.record)),
            warnings: [warnings(&edited.campaign), edited.warnings].concat(),
            pending_kept: edited.kept,
            pending_changed: edited.changed,
        }))
    }

    async fn delete_campaign(
        &self,
        request: Request<wire::DeleteCampaignRequest>,
    ) -> Result<Response<wire::DeleteCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let pending =
            campaign_life::delete(&self.deployment, &request.id, request.validate_only, &request.request_id);
        Ok(Response::new(wire::DeleteCampaignResponse { pending: pending.await? }))
    }

    async fn duplicate_campaign(
        &self,
        request: Request<wire::DuplicateCampaignRequest>,
    ) -> Result<Response<wire::DuplicateCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let (record, campaign) = duplicate(&self.deployment, &request).await?;
        Ok(Response::new(wire::DuplicateCampaignResponse {
            campaign: Some(write_campaign(&record)),
            warnings: warnings(&campaign),
        }))
    }

    async fn validate_campaign(
        &self,
        request: Request<wire::ValidateCampaignRequest>,
    ) -> Result<Response<wire::ValidateCampaignResponse>, Status> {
        let campaign = given(request.into_inner().campaign)?;
        let draft = match read_campaign(&campaign) {
            Ok(draft) => draft,
            Err(faults) => {
                let violations = status::findings(&faults);
                return Ok(Response::new(wire::ValidateCampaignResponse {
                    violations,
                    ..Default::default()
                }));
            }
        };
        let compiled = self.deployment.compile(draft, self.deployment.now()).await.map_err(status::store)?;
        Ok(Response::new(match compiled {
            Err(faults) => {
                wire::ValidateCampaignResponse { violations: status::findings(&faults), ..Default::default() }
            }
            Ok(campaign) => wire::ValidateCampaignResponse {
                violations: Vec::new(),
                warnings: [
                    warnings(&campaign),
                    findings(&of_definition(&campaign, self.deployment.now())),
                    unknown_attributes(&self.deployment, &campaign).await?,
                    unknown_campaigns(&self.deployment, &campaign).await?,
                ]
                .concat(),
                expressions: campaign
                    .expressions()
                    .into_iter()
                    .map(|(field, expression)| wire::ParsedExpression {
                        field,
                        text: expression.text().to_owned(),
                        tree: expression.tree().to_string(),
                    })
                    .collect(),
            },
        }))
    }

    async fn activate_campaign(
        &self,
        request: Request<wire::ActivateCampaignRequest>,
    ) -> Result<Response<wire::ActivateCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        if request.validate_only {
            return rehearse::validate(&self.deployment, &request.id, request.expected_revision)
                .await
                .map(Response::new);
        }
        let (record, campaign) =
            campaign_life::activate(&self.deployment, &request.id, request.expected_revision).await?;
        Ok(Response::new(wire::ActivateCampaignResponse {
            campaign: Some(write_campaign(&record)),
            warnings: warnings(&campaign),
            rehearsal: None,
        }))
    }

    async fn pause_campaign(
        &self,
        request: Request<wire::PauseCampaignRequest>,
    ) -> Result<Response<wire::PauseCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        if request.keep_entering {
            return Err(status::invalid_field(
                "keep_entering",
                "entering while paused is not available in this version",
            ));
        }
        let record = campaign_life::pause(&self.deployment, &request.id).await?;
        let held = pending(&self.deployment, record.no).await?.all;
        Ok(Response::new(wire::PauseCampaignResponse { campaign: Some(write_campaign(&record)), held }))
    }

    async fn resume_campaign(
        &self,
        request: Request<wire::ResumeCampaignRequest>,
    ) -> Result<Response<wire::ResumeCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let drop_held = match wire::ResumeMode::try_from(request.mode) {
            Ok(wire::ResumeMode::Unspecified | wire::ResumeMode::SendHeld) => false,
            Ok(wire::ResumeMode::DropHeld) => true,
            Err(_) => return Err(status::invalid_field("mode", "expected SEND_HELD or DROP_HELD")),
        };
        let record = self.deployment.campaign(&request.id).await?;
        let held = pending(&self.deployment, record.no).await?.all;
        let record = campaign_life::resume(&self.deployment, &request.id, drop_held).await?;
        Ok(Response::new(wire::ResumeCampaignResponse { campaign: Some(write_campaign(&record)), held }))
    }

    async fn end_campaign(
        &self,
        request: Request<wire::EndCampaignRequest>,
    ) -> Result<Response<wire::EndCampaignResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let stop_now = match wire::EndMode::try_from(request.mode) {
            Ok(wire::EndMode::StopNow) => true,
            Ok(wire::EndMode::FinishEntered) => false,
            _ => return Err(status::invalid_field("mode", "is missing: give STOP_NOW or FINISH_ENTERED")),
        };
        let mut record = self.deployment.campaign(&request.id).await?;
        let pending =
            if record.state == State::Ended { 0 } else { pending(&self.deployment, record.no).await?.all };
        if !request.validate_only {
            record = campaign_life::end(&self.deployment, &request.id, stop_now).await?;
        }
        let (stopped, finishing) = if stop_now { (pending, 0) } else { (0, pending) };
        let campaign = Some(write_campaign(&record));
        Ok(Response::new(wire::EndCampaignResponse { campaign, stopped, finishing }))
    }

    async fn enter_users(
        &self,
        request: Request<wire::EnterUsersRequest>,
    ) -> Result<Response<wire::EnterUsersResponse>, Status> {
        let request = request.into_inner();
        enter_users::enter(&self.deployment, request).await.map(Response::new)
    }

    async fn preview_send(
        &self,
        request: Request<wire::PreviewSendRequest>,
    ) -> Result<Response<wire::PreviewSendResponse>, Status> {
        preview::preview(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn send_test(
        &self,
        request: Request<wire::SendTestRequest>,
    ) -> Result<Response<wire::SendTestResponse>, Status> {
        send_test::send_test(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    type EstimateAudienceStream = Answers<wire::EstimateAudienceResponse>;

    async fn estimate_audience(
        &self,
        request: Request<wire::EstimateAudienceRequest>,
    ) -> Result<Response<Self::EstimateAudienceStream>, Status> {
        estimate(self.deployment.clone(), request.into_inner()).await.map(Response::new)
    }

    type PlanCampaignStream = Answers<wire::PlanCampaignResponse>;

    async fn plan_campaign(
        &self,
        request: Request<wire::PlanCampaignRequest>,
    ) -> Result<Response<Self::PlanCampaignStream>, Status> {
        plan_campaign(self.deployment.clone(), request.into_inner()).await.map(Response::new)
    }

    async fn get_campaign_stats(
        &self,
        request: Request<wire::GetCampaignStatsRequest>,
    ) -> Result<Response<wire::GetCampaignStatsResponse>, Status> {
        let record = self.deployment.campaign(&request.into_inner().id).await?;
        let counters = self.deployment.store.stats(record.no).await.map_err(status::store)?;
        let stats = Some(write_stats(&record, &counters));
        Ok(Response::new(wire::GetCampaignStatsResponse { stats }))
    }

    async fn list_refusals(
        &self,
        request: Request<wire::ListRefusalsRequest>,
    ) -> Result<Response<wire::ListRefusalsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let record = self.deployment.campaign(&request.campaign_id).await?;
        let rows = self.deployment.store.refusals(record.no, limit).await.map_err(status::store)?;
        let refusals = rows.iter().map(write_refusal).collect();
        Ok(Response::new(wire::ListRefusalsResponse { refusals }))
    }
}

fn given(campaign: Option<wire::Campaign>) -> Result<wire::Campaign, Status> {
    campaign.ok_or_else(|| status::invalid_field("campaign", "is missing"))
}

fn read(campaign: &wire::Campaign) -> Result<campanile_core::draft::Draft, Status> {
    read_campaign(campaign).map_err(|faults| status::invalid(&faults))
}

pub fn warnings(campaign: &Campaign) -> Vec<wire::Finding> {
    findings(&campaign.warnings())
}

pub fn findings(warnings: &[Fault]) -> Vec<wire::Finding> {
    warnings.iter().map(|Fault { field, text }| status::finding(field, text)).collect()
}
