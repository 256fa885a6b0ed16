//! The gRPC face of access tokens: made, listed, revoked. A token is answered once, and never again.

use std::sync::Arc;

use campanile_core::access::AccessToken;
use campanile_core::limits;
use campanile_proto::v1 as wire;
use campanile_proto::v1::token_service_server::TokenService;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::status;
use crate::write_campaign::timestamp;

pub struct Tokens {
    deployment: Arc<Deployment>,
}

impl Tokens {
    pub fn new(deployment: Arc<Deployment>) -> Tokens {
        Tokens { deployment }
    }
}

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Result<Response<wire::CreateTokenResponse>, Status> {
        let request = request.into_inner();
        let expires_at = request.expires_at.map(|at| read_instant(&at)).transpose()?;
        let mut random = [0; campanile_core::access::RANDOM_BYTES];
        for half in random.chunks_mut(16) {
            half.copy_from_slice(&(self.deployment.random)());
        }
        let now = self.deployment.now();
        let made = AccessToken::make(&request.name, &request.scopes, expires_at, &request.rate, now, random);
        let (token, secret) = made.map_err(|faults| status::invalid(&faults))?;
        let there = self.deployment.store.tokens().await.map_err(status::store)?;
        if there.iter().any(|t| t.name == token.name) {
            let name = &token.name;
            return Err(Status::already_exists(format!(
                "there is a token {name:?}: revoke it first, or choose another name"
            )));
        }
        if there.len() >= limits::TOKENS_MAX {
            let text = format!("there are {} tokens, no more are allowed", there.len());
            return Err(Status::resource_exhausted(text));
        }
        let told = write(&token);
        self.deployment.store.put_token(token).await.map_err(status::store)?;
        Ok(Response::new(wire::CreateTokenResponse { token: Some(told), secret }))
    }

    async fn list_tokens(
        &self,
        _: Request<wire::ListTokensRequest>,
    ) -> Result<Response<wire::ListTokensResponse>, Status> {
        let tokens = self.deployment.store.tokens().await.map_err(status::store)?;
        Ok(Response::new(wire::ListTokensResponse { tokens: tokens.iter().map(write).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        let name = request.into_inner().name;
        if self.deployment.store.delete_token(&name).await.map_err(status::store)? {
            Ok(Response::new(wire::RevokeTokenResponse {}))
        } else {
            Err(Status::not_found(format!("there is no token {name:?}")))
        }
    }
}

fn read_instant(at: &prost_types::Timestamp) -> Result<Timestamp, Status> {
    Timestamp::new(at.seconds, at.nanos).map_err(|_| status::invalid_field("expires_at", "is no instant"))
}

fn write(token: &AccessToken) -> wire::AccessToken {
    wire::AccessToken {
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        created_at: Some(timestamp(token.created_at)),
        expires_at: token.expires_at.map(timestamp),
        rate: token.rate.clone(),
    }
}
