//! The gRPC face of the deployment's settings: one record, changed by comparing its revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::notify::NotifyTarget;
use campanile_core::secret::Secrets;
use campanile_core::segment::Named;
use campanile_core::settings::{INTERNAL, Settings, SettingsRecord};
use campanile_proto::field_mask;
use campanile_proto::v1 as wire;
use campanile_proto::v1::settings_service_server::SettingsService;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::read_request::check_request_id;
use crate::settings_wire::{read_settings, write_settings};
use crate::status;

/// Somebody else was faster this many times: give up and let the caller decide.
const TRIES_MAX: usize = 16;

pub struct SettingsOf {
    deployment: Arc<Deployment>,
}

impl SettingsOf {
    pub fn new(deployment: Arc<Deployment>) -> SettingsOf {
        SettingsOf { deployment }
    }

    async fn stored(&self) -> Result<SettingsRecord, Status> {
        let stored = self.deployment.store.settings().await.map_err(status::store)?;
        Ok(stored.unwrap_or_else(SettingsRecord::none))
    }

    /// Nobody is spared by a segment that does not exist, and nothing told by a secret that does not.
    async fn check_named(&self, settings: &Settings) -> Result<(), Status> {
        let mut faults = Faults::default();
        if !settings.never_send.is_empty() {
            let segments = self.deployment.segments().await.map_err(status::store)?;
            let named = Named { segments: vec![settings.never_send.clone()], ..Named::default() };
            segments.check(&named, "never_send", &mut faults);
        }
        let secrets = Secrets::from_iter(self.deployment.store.secrets().await.map_err(status::store)?);
        NotifyTarget::read(settings, &secrets, &self.deployment.policy, &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(status::invalid(&faults)) }
    }

    /// Findings about a tag that nobody uses: the cap would count nothing.
    async fn warnings(&self, settings: &Settings) -> Result<Vec<wire::Finding>, Status> {
        let mut named: Vec<(String, &String)> = Vec::new();
        for (i, cap) in settings.caps.iter().enumerate() {
            named.extend(cap.tags.iter().enumerate().map(|(j, tag)| (format!("caps[{i}].tags[{j}]"), tag)));
        }
        if let Some(gap) = &settings.min_gap {
            named.extend(gap.tags.iter().enumerate().map(|(j, tag)| (format!("min_gap.tags[{j}]"), tag)));
        }
        named.retain(|(_, tag)| *tag != INTERNAL);
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let store = &self.deployment.store;
        let (mut used, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = store.list_campaigns(&after, limits::PAGE_MAX).await.map_err(status::store)?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            used.extend(page.into_iter().flat_map(|record| record.draft.tags));
        }
        let unused = named.into_iter().filter(|(_, tag)| !used.contains(*tag));
        Ok(unused
            .map(|(field, tag)| status::finding(&field, &format!("no campaign is tagged {tag:?} yet")))
            .collect())
    }
}

#[tonic::async_trait]
impl SettingsService for SettingsOf {
    async fn get_settings(
        &self,
        _: Request<wire::GetSettingsRequest>,
    ) -> Result<Response<wire::GetSettingsResponse>, Status> {
        let settings = Some(write_settings(&self.stored().await?));
        Ok(Response::new(wire::GetSettingsResponse { settings }))
    }

    async fn update_settings(
        &self,
        request: Request<wire::UpdateSettingsRequest>,
    ) -> Result<Response<wire::UpdateSettingsResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let written = request.settings.ok_or_else(|| status::invalid_field("settings", "is missing"))?;
        let mask = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let stored = self.stored().await?;
            if request.expected_revision != 0 && request.expected_revision != stored.revision {
                return Err(Status::aborted(format!(
                    "expected_revision is {}, but the settings are at revision {}",
                    request.expected_revision, stored.revision
                )));
            }
            let settings = changed(&stored, &written, &mask)?;
            self.check_named(&settings).await?;
            let warnings = self.warnings(&settings).await?;
            let is_same = settings == stored.settings;
            let now = self.deployment.now();
            let notify_since = match (stored.settings.notify_url.is_empty(), settings.notify_url.is_empty()) {
                (_, true) => None,
                (true, false) => Some(now),
                (false, false) => stored.notify_since,
            };
            let record = SettingsRecord { updated_at: now, notify_since, settings, ..stored.clone() };
            let saved = match is_same || request.validate_only {
                true if is_same => Some(stored),
                true => Some(record),
                false => self.deployment.store.save_settings(record).await.map_err(status::store)?,
            };
            if let Some(saved) = saved {
                let settings = Some(write_settings(&saved));
                return Ok(Response::new(wire::UpdateSettingsResponse { settings, warnings }));
            }
        }
        Err(Status::aborted("the settings are being changed by others; look at them again"))
    }
}

/// The settings as they would be, checked.
fn changed(stored: &SettingsRecord, written: &wire::Settings, mask: &[String]) -> Result<Settings, Status> {
    let settings = match mask {
        [] => read_settings(written),
        paths => {
            let mut onto = write_settings(stored);
            field_mask::apply(paths, written, &mut onto)
                .map_err(|(path, text)| status::invalid_field(&format!("update_mask.{path}"), text))?;
            read_settings(&onto)
        }
    };
    let settings = settings.map_err(|faults| status::invalid(&faults))?;
    DeploymentLimits::read(&settings).map_err(|faults| status::invalid(&faults))?;
    Ok(settings)
}
