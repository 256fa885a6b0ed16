//! Connections of client commands to a control API.

use std::time::Duration;

use campanile_core::limits::ANSWER_BYTES_MAX;
use campanile_proto::v1::campaign_service_client::CampaignServiceClient;
use campanile_proto::v1::event_service_client::EventServiceClient;
use campanile_proto::v1::secret_service_client::SecretServiceClient;
use campanile_proto::v1::send_service_client::SendServiceClient;
use campanile_proto::v1::user_service_client::UserServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::fail::Fail;

#[derive(Clone)]
pub struct Api {
    pub campaigns: CampaignServiceClient<Channel>,
    pub users: UserServiceClient<Channel>,
    pub events: EventServiceClient<Channel>,
    pub sends: SendServiceClient<Channel>,
    pub secrets: SecretServiceClient<Channel>,
}

pub async fn connect(server: &str) -> Result<Api, Fail> {
    let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let endpoint = Endpoint::from_shared(url).map_err(|e| Fail::input(format!("--server {server}: {e}")))?;
    let connected = endpoint.connect_timeout(Duration::from_secs(5)).connect().await;
    let channel = connected.map_err(|e| Fail::unreachable(server, &cause(&e)))?;
    Ok(Api {
        campaigns: CampaignServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        users: UserServiceClient::new(channel.clone()),
        events: EventServiceClient::new(channel.clone()),
        sends: SendServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        secrets: SecretServiceClient::new(channel),
    })
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
