//! What every service of one control process shares: the store, the clock, and the rules campaigns are checked against.

use std::sync::Arc;

use campanile_core::campaign::{Campaign, Rules};
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::draft::Draft;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::network::Policy;
use campanile_core::ports::{Clock, Store, StoreError, StoredUser};
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_proto::file_keys::nearest;
use campanile_sender::divert::Divert;
use campanile_sender::wire::{Wire, WireConfig};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::ears::Ears;
use crate::followed::Followed;
use crate::outcomes::Outcomes;
use crate::status;
use crate::trial::{Candidate, Trial};

/// Campaigns whose ids are compared with one that does not exist.
const CAMPAIGNS_LOOKED_AT_MAX: usize = 200;

pub struct Deployment {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// Where webhooks may go.
    pub policy: Policy,
    /// Where test sends go instead, as everything does.
    pub divert: Option<Divert>,
    /// 16 random bytes, for ids that a caller left out.
    pub random: Box<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// Ends streams that would never end by themselves.
    pub stopping: CancellationToken,
    /// For test sends; made when the first one comes.
    pub test_wire: OnceCell<Wire>,
    /// What campaigns listen to of users.
    pub ears: Ears,
    /// There is a key to seal secrets with, or they may be stored without.
    pub may_keep_secrets: bool,
    /// Segments and lists as they were last looked at.
    pub followed: Followed,
    /// For callers that wait for what becomes of sends.
    pub outcomes: Outcomes,
}

impl Deployment {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// 32 hexadecimal digits.
    pub fn make_id(&self) -> String {
        (self.random)().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks a draft against the secrets and the policy of now. `since` is when the campaign was created: what relative times
    /// in it count from.
    pub async fn compile(
        &self,
        draft: Draft,
        since: Timestamp,
    ) -> Result<Result<Campaign, Faults>, StoreError> {
        let secrets = Secrets::from_iter(self.store.secrets().await?);
        let segments = self.segments().await?;
        let rules = Rules { policy: &self.policy, secrets: &secrets, segments: &segments, now: since };
        Ok(Campaign::compile(draft, &rules))
    }

    /// What every send of the deployment is held to.
    pub async fn limits(&self) -> Result<DeploymentLimits, Status> {
        let stored = self.store.settings().await.map_err(status::store)?;
        let settings = stored.map(|record| record.settings).unwrap_or_default();
        DeploymentLimits::read(&settings)
            .map_err(|faults| Status::internal(format!("the stored settings cannot be read: {faults}")))
    }

    /// The candidate, with what the store says of its caps.
    pub async fn counted<'c>(
        &self,
        trial: &Trial<'_>,
        candidate: Candidate<'c>,
        user: &StoredUser,
    ) -> Result<Candidate<'c>, Status> {
        let Some(ask) = trial.cap_ask(&candidate, user.no) else { return Ok(candidate) };
        let shard = self.store.layout().shard_of(&user.profile.id);
        let answers = self.store.look_at_caps(shard, &[ask]).await.map_err(status::store)?;
        Ok(Candidate { counted: answers.first().copied(), ..candidate })
    }

    /// All segments and lists as they are now. Lists that did not change are not read again.
    pub async fn segments(&self) -> Result<Arc<Segments>, StoreError> {
        self.followed.segments(self.store.as_ref()).await
    }

    /// The campaign of this id, or `NOT_FOUND`.
    pub async fn campaign(&self, id: &str) -> Result<CampaignRecord, Status> {
        if id.is_empty() {
            return Err(status::invalid_field("id", "is missing"));
        }
        let found = self.store.campaign(id).await.map_err(status::store)?;
        match found {
            Some(record) if record.deleted_at.is_none() => Ok(record),
            Some(_) => Err(Status::not_found(format!("the campaign {id:?} was deleted"))),
            None => Err(self.no_campaign(id).await?),
        }
    }

    /// Names the nearest of the first campaigns there are.
    async fn no_campaign(&self, id: &str) -> Result<Status, Status> {
        let there = self.store.list_campaigns("", CAMPAIGNS_LOOKED_AT_MAX).await.map_err(status::store)?;
        let near = nearest(
            id,
            there.iter().filter(|record| record.deleted_at.is_none()).map(|record| record.id.as_str()),
        );
        let hint = match (near, there.is_empty()) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, true) => "there is none yet".to_owned(),
            (None, false) => "a listing names those there are".to_owned(),
        };
        Ok(Status::not_found(format!("there is no campaign {id:?}: {hint}")))
    }

    /// The user of this id, without creating one.
    pub async fn user(&self, id: &str) -> Result<Option<StoredUser>, Status> {
        let shard = self.store.layout().shard_of(id);
        let found = self.store.open_users(shard, &[id.to_owned()], None).await.map_err(status::store)?;
        Ok(found.into_iter().next().flatten())
    }

    /// The user of this id, or `NOT_FOUND` with what to try instead.
    pub async fn known_user(&self, id: &str) -> Result<StoredUser, Status> {
        if let Some(user) = self.user(id).await? {
            return Ok(user);
        }
        // Ids are not listed by name: what people mistype most is their case and the white space around them.
        let tidy = id.trim();
        for other in [tidy.to_owned(), tidy.to_lowercase(), tidy.to_uppercase()] {
            if other != id && !other.is_empty() && self.user(&other).await?.is_some() {
                return Err(Status::not_found(format!("there is no user {id:?}: did you mean {other:?}")));
            }
        }
        Err(Status::not_found(format!(
            "there is no user {id:?}: an import, an identify call or an event makes one"
        )))
    }

    /// What posts test sends: guarded as the sender's own.
    pub async fn wire(&self) -> Result<&Wire, Status> {
        let made = self.test_wire.get_or_try_init(|| async {
            Wire::new(WireConfig {
                policy: self.policy.clone(),
                connect_timeout: limits::CONNECT_TIMEOUT,
                idle_max: 0,
                roots: None,
            })
        });
        made.await.map_err(|error| Status::internal(format!("test sends: {error}")))
    }

    /// Shows the campaign's control word to every shard; answers when all have it.
    pub async fn show_control(&self, record: &CampaignRecord) -> Result<(), StoreError> {
        let Some(word) = record.control_word() else { return Ok(()) };
        let shards = self.store.layout().shards();
        let shown = shards.map(|shard| self.store.set_control(shard, record.no, word));
        for answer in futures_util::future::join_all(shown).await {
            answer?;
        }
        Ok(())
    }

    /// The next part of a caller's stream. A server that is stopping waits for no more: the caller sends the rest elsewhere.
    pub async fn next_part<T>(&self, parts: &mut Streaming<T>) -> Result<Option<T>, Status> {
        let next = self.stopping.run_until_cancelled(parts.message()).await;
        next.unwrap_or_else(|| {
            Err(Status::unavailable("the server is stopping: send what was not answered again"))
        })
    }
}
