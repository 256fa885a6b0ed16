//! A trial of what a caller imagines: read, looked up and ready to be asked. Previews and test sends begin here.

use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Version;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::event::EntryData;
use campanile_core::inside::{Previous, PreviousOutcome};
use campanile_core::network::Policy;
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_proto::v1::{preview_send_request, send_test_request};
use jiff::Timestamp;
use tonic::Status;

use crate::deployment::Deployment;
use crate::imagined::{self, Asked, Imagined, Subject};
use crate::status;
use crate::trial::{Candidate, Trial, as_if_active, entry_of};

pub struct ImaginedTrial<'a> {
    /// As if the campaign were active.
    pub record: CampaignRecord,
    pub campaign: Campaign,
    pub secrets: Secrets,
    limits: DeploymentLimits,
    segments: Arc<Segments>,
    policy: &'a Policy,
    imagined: Imagined,
    entry: Option<EntryData>,
    now: Timestamp,
    /// The number of the action that is tried, where it is not the first; and what it is told of the one before.
    step: Option<(u8, Previous)>,
}

impl<'a> ImaginedTrial<'a> {
    pub async fn of(
        deployment: &'a Deployment,
        subject: Option<Subject>,
        asked: Asked,
        action: &str,
        now: Timestamp,
    ) -> Result<ImaginedTrial<'a>, Status> {
        let (record, campaign) = imagined::subject(deployment, subject, now).await?;
        let mut imagined = imagined::imagine(deployment, asked, &record.draft, now).await?;
        imagined.look_back(deployment, &campaign).await?;
        let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
        let segments = deployment.segments().await.map_err(status::store)?;
        let (record, entry) = (as_if_active(&record), entry_of(&campaign, &imagined));
        let limits = deployment.limits().await?;
        let step = step(&campaign, action, now)?;
        Ok(ImaginedTrial {
            record,
            campaign,
            secrets,
            limits,
            segments,
            policy: &deployment.policy,
            imagined,
            entry,
            now,
            step,
        })
    }

    /// What of the campaign the user would be sent.
    pub fn version(&self) -> Option<&Version> {
        let number = self.step.map(|(number, _)| number);
        let action = match number {
            Some(number) => self.campaign.action(number),
            None => self.campaign.actions.first(),
        };
        action?.version_of(&self.imagined.profile.as_ref()?.id)
    }

    fn step(&self) -> Option<(u8, &Previous)> {
        self.step.as_ref().map(|(number, previous)| (*number, previous))
    }

    pub fn trial(&self) -> Trial<'_> {
        Trial::new((&self.record, &self.campaign), (&self.secrets, &self.segments), self.policy, &self.limits)
    }

    pub fn candidate(&self) -> Candidate<'_> {
        let (profile, entry) = (self.imagined.profile.as_ref(), self.entry.as_ref());
        Candidate { profile, entry, at: self.now, step: self.step(), counted: None }
    }
}

/// A later action, by name, as if the one before it had just been delivered. None: the first one.
fn step(campaign: &Campaign, name: &str, now: Timestamp) -> Result<Option<(u8, Previous)>, Status> {
    let place = campaign.actions.iter().position(|action| action.name == name);
    match place {
        None if name.is_empty() => Ok(None),
        None => {
            let names: Vec<&str> = campaign.actions.iter().map(|action| action.name.as_str()).collect();
            let text = format!("the campaign has no action {name}, it has {}", names.join(", "));
            Err(status::invalid_field("action", text))
        }
        Some(0) => Ok(None),
        Some(place) => {
            let outcome = PreviousOutcome::Delivered;
            let previous = Previous { outcome, status: 200, sent_at: Some(now), ended_at: now };
            Ok(campaign.actions.get(place).map(|action| (action.number, previous)))
        }
    }
}

impl From<preview_send_request::Subject> for Subject {
    fn from(subject: preview_send_request::Subject) -> Subject {
        match subject {
            preview_send_request::Subject::CampaignId(id) => Subject::Stored(id),
            preview_send_request::Subject::Campaign(campaign) => Subject::Written(Box::new(campaign)),
        }
    }
}

impl From<send_test_request::Subject> for Subject {
    fn from(subject: send_test_request::Subject) -> Subject {
        match subject {
            send_test_request::Subject::CampaignId(id) => Subject::Stored(id),
            send_test_request::Subject::Campaign(campaign) => Subject::Written(Box::new(campaign)),
        }
    }
}
