//! The control API as pages call it: the same services that listen on a socket, called inside the process with the access token of whoever asks for the page.

use campanile_core::limits;
use campanile_proto::v1::campaign_service_client::CampaignServiceClient;
use campanile_proto::v1::event_service_client::EventServiceClient;
use campanile_proto::v1::send_service_client::SendServiceClient;
use campanile_proto::v1::settings_service_client::SettingsServiceClient;
use campanile_proto::v1::user_service_client::UserServiceClient;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::session::Bearer;

type Called = InterceptedService<Routes, Bearer>;

/// One client for each service; a clone costs nothing, and each call takes one.
pub(crate) struct Api {
    campaigns: CampaignServiceClient<Called>,
    events: EventServiceClient<Called>,
    sends: SendServiceClient<Called>,
    settings: SettingsServiceClient<Called>,
    users: UserServiceClient<Called>,
}

impl Api {
    pub(crate) fn new(routes: Routes) -> Api {
        let page = limits::ANSWER_BYTES_MAX;
        let routes = InterceptedService::new(routes, Bearer);
        Api {
            campaigns: CampaignServiceClient::new(routes.clone()).max_decoding_message_size(page),
            events: EventServiceClient::new(routes.clone()).max_decoding_message_size(page),
            sends: SendServiceClient::new(routes.clone()).max_decoding_message_size(page),
            settings: SettingsServiceClient::new(routes.clone()),
            users: UserServiceClient::new(routes).max_decoding_message_size(page),
        }
    }

    pub(crate) fn campaigns(&self) -> CampaignServiceClient<Called> {
        self.campaigns.clone()
    }

    pub(crate) fn events(&self) -> EventServiceClient<Called> {
        self.events.clone()
    }

    pub(crate) fn sends(&self) -> SendServiceClient<Called> {
        self.sends.clone()
    }

    pub(crate) fn settings(&self) -> SettingsServiceClient<Called> {
        self.settings.clone()
    }

    pub(crate) fn users(&self) -> UserServiceClient<Called> {
        self.users.clone()
    }
}
