//! The gRPC face of secrets: put, named, deleted; their values go in and never come out.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::State;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::network::Policy;
use campanile_core::notify::NotifyTarget;
use campanile_core::secret::{Secret, Secrets};
use campanile_proto::v1 as wire;
use campanile_proto::v1::secret_service_server::SecretService;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::read_request::{check_request_id, page_size};
use crate::status;

pub struct SecretNames {
    deployment: Arc<Deployment>,
}

impl SecretNames {
    pub fn new(deployment: Arc<Deployment>) -> SecretNames {
        SecretNames { deployment }
    }
}

#[tonic::async_trait]
impl SecretService for SecretNames {
    async fn put_secret(
        &self,
        request: Request<wire::PutSecretRequest>,
    ) -> Result<Response<wire::PutSecretResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let mut faults = Faults::default();
        let secret = Secret::new(&request.name, request.values, &request.hosts, "", &mut faults);
        let Some(secret) = secret else { return Err(status::invalid(&faults)) };
        if !self.deployment.may_keep_secrets {
            let text = "there is no key to seal secrets with: set secrets.key_file in every process to a file that holds a line of `campanile secret new-key`";
            return Err(Status::failed_precondition(text));
        }
        let store = &self.deployment.store;
        let there = store.secrets().await.map_err(status::store)?;
        if there.len() >= limits::SECRETS_MAX && there.iter().all(|s| s.name != secret.name) {
            let text =
                format!("there are {} secrets, at most {} are allowed", there.len(), limits::SECRETS_MAX);
            return Err(Status::resource_exhausted(text));
        }
        let before = there.iter().find(|s| s.name == secret.name);
        let in_use_by = match before {
            Some(before) if *before != secret => live_users(&self.deployment, &secret.name).await?,
            _ => BTreeSet::new(),
        };
        if !(in_use_by.is_empty() || request.allow_in_use || request.validate_only) {
            return Err(in_use(&secret.name, in_use_by, ": allow_in_use replaces it all the same"));
        }
        let answer = wire::PutSecretResponse {
            secret: Some(wire::Secret { name: secret.name.clone(), hosts: secret.hosts.clone() }),
            in_use_by: in_use_by.into_iter().collect(),
        };
        if !request.validate_only {
            store.put_secret(secret).await.map_err(status::store)?;
        }
        Ok(Response::new(answer))
    }

    async fn list_secrets(
        &self,
        request: Request<wire::ListSecretsRequest>,
    ) -> Result<Response<wire::ListSecretsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let mut secrets = self.deployment.store.secrets().await.map_err(status::store)?;
        secrets.sort_by(|a, b| a.name.cmp(&b.name));
        let mut rest = secrets.into_iter().filter(|secret| secret.name > request.page_token).peekable();
        let page: Vec<wire::Secret> = rest
            .by_ref()
            .take(limit)
            .map(|s| wire::Secret { name: s.name.clone(), hosts: s.hosts.clone() })
            .collect();
        let next_page_token = match (rest.peek(), page.last()) {
            (Some(_), Some(last)) => last.name.clone(),
            _ => String::new(),
        };
        Ok(Response::new(wire::ListSecretsResponse { secrets: page, next_page_token }))
    }

    async fn delete_secret(
        &self,
        request: Request<wire::DeleteSecretRequest>,
    ) -> Result<Response<wire::DeleteSecretResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let users = live_users(&self.deployment, &request.name).await?;
        if !users.is_empty() {
            return Err(in_use(&request.name, users, ""));
        }
        let was_there = self.deployment.store.delete_secret(&request.name).await.map_err(status::store)?;
        if was_there {
            Ok(Response::new(wire::DeleteSecretResponse {}))
        } else {
            Err(Status::not_found(format!("there is no secret {:?}", request.name)))
        }
    }

    async fn reencrypt_secrets(
        &self,
        _: Request<wire::ReencryptSecretsRequest>,
    ) -> Result<Response<wire::ReencryptSecretsResponse>, Status> {
        let done = self.deployment.store.reseal_secrets().await.map_err(status::store)?;
        let reencrypted = i32::try_from(done.resealed).unwrap_or(i32::MAX);
        Ok(Response::new(wire::ReencryptSecretsResponse { reencrypted, unreadable: done.unread }))
    }
}

fn in_use(name: &str, users: BTreeSet<String>, more: &str) -> Status {
    let users: Vec<String> = users.into_iter().collect();
    Status::failed_precondition(format!(
        "the secret {name:?} is used by live campaigns: {}{more}",
        users.join(", ")
    ))
}

/// Ids of the live campaigns whose definition names the secret, and the settings if they do.
async fn live_users(deployment: &Deployment, name: &str) -> Result<BTreeSet<String>, Status> {
    let mut users = BTreeSet::new();
    let settings = deployment.store.settings().await.map_err(status::store)?;
    let (any, policy) = (Secrets::unchecked(), Policy::unchecked());
    let target = settings
        .and_then(|record| NotifyTarget::read(&record.settings, &any, &policy, &mut Faults::default()));
    if target.is_some_and(|target| target.secrets().iter().any(|secret| secret == name)) {
        users.insert("notify_url of the settings".to_owned());
    }
    let mut after = String::new();
    loop {
        let page = deployment.store.list_campaigns(&after, limits::PAGE_MAX).await.map_err(status::store)?;
        let Some(last) = page.last() else { return Ok(users) };
        after.clone_from(&last.id);
        for record in page.iter().filter(|r| !matches!(r.state, State::Draft | State::Ended)) {
            // A definition that cannot be read keeps what it may use.
            let uses = Campaign::compile_saved(record.draft.clone(), record.created_at)
                .map_or(true, |campaign| {
                    campaign.actions.iter().flat_map(Action::secrets).any(|secret| secret == name)
                });
            if uses {
                users.insert(record.id.clone());
            }
        }
    }
}
