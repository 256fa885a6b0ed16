//! What a caller imagines: a user, stored or made up, with changes; an event; values; and a campaign, stored or as written. Nothing of it is
//! stored.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::draft::Draft;
use campanile_core::event::Event;
use campanile_core::fault::Faults;
use campanile_core::user::{Profile, UserChange};
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tonic::Status;

use crate::deployment::Deployment;
use crate::histories;
use crate::read_campaign::read_campaign;
use crate::read_items::{check_user_id, read_event, read_user, read_values};
use crate::status;

/// As it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub user_id: String,
    /// What to change of the user.
    pub profile: Option<wire::UserUpdate>,
    pub event: Option<wire::Event>,
    /// A JSON object.
    pub values: String,
}

/// As it is judged.
#[derive(Clone, Debug)]
pub struct Imagined {
    /// With the changes, and with the event counted into its behaviour. None: there is no such user, and nobody asked for one.
    pub profile: Option<Profile>,
    pub event: Option<Event>,
    pub values: Map<String, Value>,
}

/// A campaign as a caller names it.
pub enum Subject {
    Stored(String),
    Written(Box<wire::Campaign>),
}

impl Imagined {
    /// What the user really had of the campaigns that are asked about; who is made up had nothing.
    pub async fn look_back(&mut self, deployment: &Deployment, campaign: &Campaign) -> Result<(), Status> {
        let Some(profile) = self.profile.as_mut().filter(|_| !campaign.looks_back.is_empty()) else {
            return Ok(());
        };
        let shard = deployment.store.layout().shard_of(&profile.id);
        if let Some(mut user) = deployment.user(&profile.id).await? {
            histories::fill(deployment, campaign, shard, std::slice::from_mut(&mut user)).await?;
            profile.histories = user.profile.histories;
        }
        Ok(())
    }
}

/// Everything that is wrong with it at once; nothing is looked up.
pub fn read(asked: Asked, now: Timestamp) -> Result<(Option<UserChange>, Imagined), Status> {
    let mut faults = Faults::default();
    check_user_id(&asked.user_id, "user_id", &mut faults);
    let values = read_values(&asked.values, "values", &mut faults);
    let mut beneath = |field: &str, wrong: Faults| {
        wrong.0.into_iter().for_each(|fault| faults.add(format!("{field}.{}", fault.field), fault.text));
    };
    let event = asked.event.map(|event| wire::Event { user_id: asked.user_id.clone(), ..event });
    let event = event.and_then(|event| {
        read_event(&event, now, || "imagined".to_owned()).map_err(|wrong| beneath("event", wrong)).ok()
    });
    let change = asked.profile.map(|profile| wire::UserUpdate { id: asked.user_id.clone(), ..profile });
    let change = change.and_then(|change| read_user(&change).map_err(|wrong| beneath("profile", wrong)).ok());
    if faults.is_empty() {
        Ok((change, Imagined { profile: None, event, values }))
    } else {
        Err(status::invalid(&faults))
    }
}

impl Imagined {
    /// An event by the name of what sets the campaign off, such as `attribute_changed`, is taken for it.
    pub fn take_event_for(&mut self, draft: &Draft) {
        self.event = self.event.take().map(|event| event.imagined_for(draft.triggers()));
    }
}

/// For this campaign. A user that does not exist is made up, without attributes.
pub async fn imagine(
    deployment: &Deployment,
    asked: Asked,
    draft: &Draft,
    now: Timestamp,
) -> Result<Imagined, Status> {
    let user_id = asked.user_id.clone();
    let (change, mut imagined) = read(asked, now)?;
    imagined.take_event_for(draft);
    let stored = deployment.user(&user_id).await?;
    let mut profile = stored.map_or_else(|| Profile::new(&user_id, now), |user| user.profile);
    if let Some(change) = change {
        profile.apply(&change).map_err(|text| status::invalid_field("profile.attributes", text))?;
    }
    if let Some(event) = &imagined.event {
        profile.count(event, now);
    }
    imagined.profile = Some(profile);
    Ok(imagined)
}

/// The campaign, checked against the secrets and the policy of now.
pub async fn subject(
    deployment: &Deployment,
    subject: Option<Subject>,
    now: Timestamp,
) -> Result<(CampaignRecord, Campaign), Status> {
    let record = match subject {
        Some(Subject::Stored(id)) => deployment.campaign(&id).await?,
        Some(Subject::Written(campaign)) => {
            let draft = read_campaign(&campaign).map_err(|faults| status::invalid(&faults))?;
            CampaignRecord::new(draft, now)
        }
        None => {
            let text = "is missing: name a campaign, or give one";
            return Err(status::invalid_field("campaign_id", text));
        }
    };
    let compiled =
        deployment.compile(record.draft.clone(), record.created_at).await.map_err(status::store)?;
    let campaign = compiled.map_err(|faults| status::invalid(&faults))?;
    Ok((record, campaign))
}
