//! Connections of client commands to a control API: plain or TLS, with the caller's token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use campanile_core::limits::ANSWER_BYTES_MAX;
use campanile_proto::v1::campaign_service_client::CampaignServiceClient;
use campanile_proto::v1::destination_service_client::DestinationServiceClient;
use campanile_proto::v1::event_service_client::EventServiceClient;
use campanile_proto::v1::secret_service_client::SecretServiceClient;
use campanile_proto::v1::segment_service_client::SegmentServiceClient;
use campanile_proto::v1::send_service_client::SendServiceClient;
use campanile_proto::v1::settings_service_client::SettingsServiceClient;
use campanile_proto::v1::token_service_client::TokenServiceClient;
use campanile_proto::v1::user_service_client::UserServiceClient;
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::config;
use crate::fail::Fail;

/// How client commands reach the control API.
#[derive(Clone, Debug, Args)]
pub struct ServerAt {
    /// The control API that client commands talk to, http:// or https://.
    #[arg(
        long,
        global = true,
        env = "CAMPANILE_SERVER",
        default_value = "http://127.0.0.1:7070",
        value_name = "URL"
    )]
    pub server: String,
    /// A file that holds the access token; or set CAMPANILE_TOKEN to the token.
    #[arg(long, global = true, env = "CAMPANILE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// With https: the authority (PEM) to trust instead of the usual ones.
    #[arg(long, global = true, env = "CAMPANILE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// With https: a certificate (PEM) to show.
    #[arg(long, global = true, env = "CAMPANILE_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, global = true, env = "CAMPANILE_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// A channel whose calls bring the token.
pub type Link = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[derive(Clone)]
pub struct Api {
    pub campaigns: CampaignServiceClient<Link>,
    pub users: UserServiceClient<Link>,
    pub events: EventServiceClient<Link>,
    pub sends: SendServiceClient<Link>,
    pub secrets: SecretServiceClient<Link>,
    pub tokens: TokenServiceClient<Link>,
    pub settings: SettingsServiceClient<Link>,
    pub segments: SegmentServiceClient<Link>,
    pub destinations: DestinationServiceClient<Link>,
}

pub async fn connect(at: &ServerAt) -> Result<Api, Fail> {
    let server = &at.server;
    let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let is_tls = url.starts_with("https://");
    let mut endpoint =
        Endpoint::from_shared(url).map_err(|e| Fail::input(format!("--server {server}: {e}")))?;
    if is_tls {
        let tls = at.tls()?;
        endpoint = endpoint.tls_config(tls).map_err(|e| Fail::input(format!("TLS: {}", cause(&e))))?;
    }
    let bearer = at.bearer()?;
    let connected = endpoint.connect_timeout(Duration::from_secs(5)).connect().await;
    let channel = connected.map_err(|e| Fail::unreachable(server, &cause(&e)))?;
    let link = || InterceptedService::new(channel.clone(), bearer.clone());
    Ok(Api {
        campaigns: CampaignServiceClient::new(link()).max_decoding_message_size(ANSWER_BYTES_MAX),
        users: UserServiceClient::new(link()),
        events: EventServiceClient::new(link()),
        sends: SendServiceClient::new(link()).max_decoding_message_size(ANSWER_BYTES_MAX),
        secrets: SecretServiceClient::new(link()),
        tokens: TokenServiceClient::new(link()),
        settings: SettingsServiceClient::new(link()),
        segments: SegmentServiceClient::new(link()).max_decoding_message_size(ANSWER_BYTES_MAX),
        destinations: DestinationServiceClient::new(link()).max_decoding_message_size(ANSWER_BYTES_MAX),
    })
}

impl ServerAt {
    fn bearer(&self) -> Result<Bearer, Fail> {
        let text = match &self.token_file {
            Some(file) => String::from_utf8_lossy(&read("--token-file", file)?).trim().to_owned(),
            None => match config::variable("CAMPANILE_TOKEN") {
                Some(text) => text,
                None => return Ok(Bearer(None)),
            },
        };
        // The error does not show what was given.
        let value = format!("Bearer {text}")
            .parse()
            .map_err(|_| Fail::input("the token has characters that no token has"))?;
        Ok(Bearer(Some(value)))
    }

    fn tls(&self) -> Result<ClientTlsConfig, Fail> {
        let mut tls = match &self.ca_file {
            Some(file) => {
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("--ca-file", file)?))
            }
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) {
            tls = tls.identity(Identity::from_pem(
                read("--client-cert", certificate)?,
                read("--client-key", key)?,
            ));
        }
        Ok(tls)
    }
}

fn read(flag: &str, file: &Path) -> Result<Vec<u8>, Fail> {
    std::fs::read(file).map_err(|e| Fail::input(format!("{flag} {}: {e}", file.display())))
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
