//! A trial of what a caller imagines: read, looked up and ready to be asked. Previews and test sends begin here.

use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::event::EntryData;
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
}

impl<'a> ImaginedTrial<'a> {
    pub async fn of(
        deployment: &'a Deployment,
        subject: Option<Subject>,
        asked: Asked,
        now: Timestamp,
    ) -> Result<ImaginedTrial<'a>, Status> {
        let (record, campaign) = imagined::subject(deployment, subject, now).await?;
        let imagined = imagined::imagine(deployment, asked, &record.draft, now).await?;
        let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
        let segments = deployment.segments().await.map_err(status::store)?;
        let (record, entry) = (as_if_active(&record), entry_of(&campaign, &imagined));
        let limits = deployment.limits().await?;
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
        })
    }

    pub fn trial(&self) -> Trial<'_> {
        Trial::new((&self.record, &self.campaign), (&self.secrets, &self.segments), self.policy, &self.limits)
    }

    pub fn candidate(&self) -> Candidate<'_> {
        let (profile, entry) = (self.imagined.profile.as_ref(), self.entry.as_ref());
        Candidate { profile, entry, at: self.now, counted: None }
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
