//! The gRPC server: all services with reflection (v1 and v1alpha) and health, on a listener and until a shutdown handed in.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use campanile_core::limits;
use campanile_proto::v1::campaign_service_server::CampaignServiceServer;
use campanile_proto::v1::destination_service_server::DestinationServiceServer;
use campanile_proto::v1::event_service_server::EventServiceServer;
use campanile_proto::v1::secret_service_server::SecretServiceServer;
use campanile_proto::v1::segment_service_server::SegmentServiceServer;
use campanile_proto::v1::send_service_server::SendServiceServer;
use campanile_proto::v1::settings_service_server::SettingsServiceServer;
use campanile_proto::v1::token_service_server::TokenServiceServer;
use campanile_proto::v1::user_service_server::UserServiceServer;
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::campaign_service::Campaigns;
use crate::deployment::Deployment;
use crate::destination_service::DestinationNames;
use crate::event_service::Events;
use crate::guard::{self, Guard};
use crate::secret_service::SecretNames;
use crate::segment_service::SegmentNames;
use crate::send_service::Sends;
use crate::settings_service::SettingsOf;
use crate::token_service::Tokens;
use crate::user_service::Users;

/// Room for the framing of a message of `BATCH_BYTES_MAX`.
const MESSAGE_BYTES_MAX: usize = limits::BATCH_BYTES_MAX + 64 * 1024;
/// Streams one connection may have open.
const STREAMS_MAX: u32 = 256;
/// A connection on which nothing comes is asked whether it is still there, and closed if it does not say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_MAX: Duration = Duration::from_secs(20);
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The services of the control API with reflection, behind `guard`: to be served on a socket, or called by the console inside the same
/// process.
pub fn routes(deployment: &Arc<Deployment>, guard: Guard) -> Result<Routes, Failure> {
    macro_rules! bounded {
        ($server:ident, $service:ty) => {
            $server::new(<$service>::new(deployment.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    let set = [campanile_proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
    let reflection = || {
        set.iter().fold(tonic_reflection::server::Builder::configure(), |builder, bytes| {
            builder.register_encoded_file_descriptor_set(bytes)
        })
    };
    let routes = Routes::default()
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(bounded!(CampaignServiceServer, Campaigns))
        .add_service(bounded!(UserServiceServer, Users))
        .add_service(bounded!(EventServiceServer, Events))
        .add_service(bounded!(SendServiceServer, Sends))
        .add_service(bounded!(SecretServiceServer, SecretNames))
        .add_service(bounded!(SettingsServiceServer, SettingsOf))
        .add_service(bounded!(SegmentServiceServer, SegmentNames))
        .add_service(bounded!(TokenServiceServer, Tokens))
        .add_service(bounded!(DestinationServiceServer, DestinationNames));
    Ok(Routes::from(routes.into_axum_router().layer(from_fn_with_state(guard, guard::grpc))))
}

/// What health is told of: the server as a whole, and each service.
const NAMES: [&str; 10] = [
    "",
    <CampaignServiceServer<Campaigns> as NamedService>::NAME,
    <UserServiceServer<Users> as NamedService>::NAME,
    <EventServiceServer<Events> as NamedService>::NAME,
    <SendServiceServer<Sends> as NamedService>::NAME,
    <SecretServiceServer<SecretNames> as NamedService>::NAME,
    <SettingsServiceServer<SettingsOf> as NamedService>::NAME,
    <TokenServiceServer<Tokens> as NamedService>::NAME,
    <SegmentServiceServer<SegmentNames> as NamedService>::NAME,
    <DestinationServiceServer<DestinationNames> as NamedService>::NAME,
];

/// Serves until the deployment is stopping, then lets calls in flight end. Health says of every service whether `is_ready`.
pub async fn serve<IO>(
    deployment: Arc<Deployment>,
    routes: Routes,
    incoming: impl Stream<Item = std::io::Result<IO>> + Send + 'static,
    is_ready: watch::Receiver<bool>,
) -> Result<(), Failure>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (health, health_service) = tonic_health::server::health_reporter();
    let router = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_MAX))
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .add_routes(routes)
        .add_service(health_service);
    let telling = tell_health(health, is_ready);
    let serving = router.serve_with_incoming_shutdown(incoming, deployment.stopping.cancelled());
    tokio::select! {
        () = telling => Ok(()),
        served = serving => Ok(served?),
    }
}

/// Never ends: what was said last stays said.
async fn tell_health(health: HealthReporter, mut is_ready: watch::Receiver<bool>) {
    loop {
        let status =
            if *is_ready.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            health.set_service_status(name, status).await;
        }
        if is_ready.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
