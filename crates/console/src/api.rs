//! The control API as pages call it: the same services that listen on a socket, called inside the process.

use campanile_core::limits;
use campanile_proto::v1::campaign_service_client::CampaignServiceClient;
use campanile_proto::v1::event_service_client::EventServiceClient;
use campanile_proto::v1::send_service_client::SendServiceClient;
use campanile_proto::v1::user_service_client::UserServiceClient;
use tonic::service::Routes;

/// One client for each service; a clone costs nothing, and each call takes one.
pub(crate) struct Api {
    campaigns: CampaignServiceClient<Routes>,
    events: EventServiceClient<Routes>,
    sends: SendServiceClient<Routes>,
    users: UserServiceClient<Routes>,
}

impl Api {
    pub(crate) fn new(routes: Routes) -> Api {
        let page = limits::ANSWER_BYTES_MAX;
        Api {
            campaigns: CampaignServiceClient::new(routes.clone()).max_decoding_message_size(page),
            events: EventServiceClient::new(routes.clone()).max_decoding_message_size(page),
            sends: SendServiceClient::new(routes.clone()).max_decoding_message_size(page),
            users: UserServiceClient::new(routes).max_decoding_message_size(page),
        }
    }

    pub(crate) fn campaigns(&self) -> CampaignServiceClient<Routes> {
        self.campaigns.clone()
    }

    pub(crate) fn events(&self) -> EventServiceClient<Routes> {
        self.events.clone()
    }

    pub(crate) fn sends(&self) -> SendServiceClient<Routes> {
        self.sends.clone()
    }

    pub(crate) fn users(&self) -> UserServiceClient<Routes> {
        self.users.clone()
    }
}
