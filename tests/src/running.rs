//! A deployment under test: one process on SQLite, or several on a Redis of their own; in a folder that goes with it.

use campanile_proto::campaign_file;
use campanile_proto::v1 as wire;
use tempfile::TempDir;

use crate::binary::{Api, Process};
use crate::redis_server::RedisServer;
use crate::target::DEADLINE;
use crate::until::until;

/// What runs besides the first process, and where everything is kept.
pub struct Running {
    pub processes: Vec<Process>,
    pub api: Api,
    pub store: String,
    // In this order: processes stop before their store goes.
    pub redis: Option<RedisServer>,
    pub folder: TempDir,
}

impl Running {
    /// `serve` on a file.
    pub async fn sqlite() -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let store = format!("sqlite:{}", folder.path().join("campanile.db").display());
        Running::start(store, None, folder, &["serve"], &["--dev"]).await
    }

    /// `serve` on a file, with these flags instead of `--dev`.
    pub async fn sqlite_with(flags: &[&str]) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let store = format!("sqlite:{}", folder.path().join("campanile.db").display());
        Running::start(store, None, folder, &["serve"], flags).await
    }

    /// `serve` on a file with these settings in a file of their own; it may name files in `folder`.
    pub async fn sqlite_set(folder: TempDir, settings: &str) -> Running {
        let config = folder.path().join("campanile.toml");
        std::fs::write(&config, settings).expect("written");
        let store = format!("sqlite:{}", folder.path().join("campanile.db").display());
        let flags = ["--config".to_owned(), config.display().to_string()];
        let processes = vec![Process::start("serve", &store, &flags.each_ref().map(String::as_str))];
        let api = processes[0].api().await;
        Running { processes, api, store, redis: None, folder }
    }

    /// The three roles on a Redis, with these settings.
    pub async fn redis_set(folder: TempDir, settings: &str) -> Running {
        let config = folder.path().join("campanile.toml");
        std::fs::write(&config, settings).expect("written");
        let redis = RedisServer::start_with(&[("appendonly", "yes")]);
        let flags = ["--config".to_owned(), config.display().to_string()];
        let flags = flags.each_ref().map(String::as_str);
        let store = redis.url();
        Running::start(store, Some(redis), folder, &["control", "scheduler", "sender"], &flags).await
    }

    /// One control, one scheduler and one sender on a Redis.
    pub async fn redis() -> Running {
        Running::on_redis(&["control", "scheduler", "sender"]).await
    }

    /// These roles on a Redis; the first is `control` or `serve`.
    pub async fn on_redis(roles: &[&str]) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let redis = RedisServer::start_with(&[("appendonly", "yes")]);
        let store = redis.url();
        Running::start(store, Some(redis), folder, roles, &["--dev"]).await
    }

    async fn start(
        store: String,
        redis: Option<RedisServer>,
        folder: TempDir,
        roles: &[&str],
        flags: &[&str],
    ) -> Running {
        let processes: Vec<Process> = roles.iter().map(|role| Process::start(role, &store, flags)).collect();
        let api = processes[0].api().await;
        Running { processes, api, store, redis, folder }
    }

    /// Creates and activates the campaigns of a file's text.
    pub async fn activate(&self, file: &str) {
        for id in self.create(file).await {
            let request = wire::ActivateCampaignRequest { id, ..Default::default() };
            self.api.campaigns.clone().activate_campaign(request).await.expect("it is activated");
        }
    }

    /// Creates the campaigns of a file's text as drafts; answers their ids.
    pub async fn create(&self, file: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for read in campaign_file::read(file.as_bytes()).expect("a campaign file") {
            ids.push(read.campaign.id.clone());
            let request = wire::CreateCampaignRequest { campaign: Some(read.campaign), ..Default::default() };
            self.api.campaigns.clone().create_campaign(request).await.expect("it is created");
        }
        ids
    }

    /// Stores users, each with attributes as JSON.
    pub async fn users(&self, users: impl IntoIterator<Item = (String, String)>) {
        let users: Vec<wire::UserUpdate> = users
            .into_iter()
            .map(|(id, attributes)| wire::UserUpdate { id, attributes, ..Default::default() })
            .collect();
        for users in users.chunks(1_000) {
            let request = wire::UpsertUsersRequest { users: users.to_vec(), ..Default::default() };
            let answer =
                self.api.users.clone().upsert_users(request).await.expect("they are stored").into_inner();
            assert!(answer.users.iter().all(|user| user.faults.is_empty()), "{answer:?}");
        }
    }

    pub async fn track(&self, events: Vec<wire::Event>) -> Vec<wire::TrackedEvent> {
        let request = wire::TrackEventsRequest { events, ..Default::default() };
        self.api.events.clone().track_events(request).await.expect("they are taken").into_inner().events
    }

    pub async fn enter(&self, campaign: &str, users: &[(&str, &str)]) -> wire::EnterUsersResponse {
        let users = users.iter().map(|(id, values)| wire::UserToEnter {
            user_id: (*id).to_owned(),
            values: (*values).to_owned(),
        });
        let request = wire::EnterUsersRequest {
            campaign_id: campaign.to_owned(),
            users: users.collect(),
            ..Default::default()
        };
        self.api.campaigns.clone().enter_users(request).await.expect("they are answered").into_inner()
    }

    pub async fn stats(&self, id: &str) -> wire::CampaignStats {
        let request = wire::GetCampaignStatsRequest { id: id.to_owned() };
        let answer = self.api.campaigns.clone().get_campaign_stats(request).await;
        answer.expect("the campaign is there").into_inner().stats.expect("it has stats")
    }

    /// Looks at the stats until they are as wanted.
    pub async fn stats_until(
        &self,
        id: &str,
        wanted: impl Fn(&wire::CampaignStats) -> bool,
    ) -> wire::CampaignStats {
        let looked = until(DEADLINE, async || Some(self.stats(id).await).filter(&wanted));
        match looked.await {
            Some(stats) => stats,
            None => panic!("the stats of {id} stayed {:#?}", self.stats(id).await),
        }
    }

    pub async fn campaign(&self, id: &str) -> wire::Campaign {
        let request = wire::GetCampaignRequest { id: id.to_owned(), ..Default::default() };
        let answer = self.api.campaigns.clone().get_campaign(request).await;
        answer.expect("the campaign is there").into_inner().campaign.expect("it is answered")
    }

    /// The sends of a campaign, newest first.
    pub async fn sends(&self, id: &str) -> Vec<wire::Send> {
        let filter = wire::SendFilter { campaign_id: id.to_owned(), ..Default::default() };
        let request = wire::ListSendsRequest { filter: Some(filter), page_size: 1_000, ..Default::default() };
        self.api.sends.clone().list_sends(request).await.expect("they are listed").into_inner().sends
    }
}

/// An event of now with properties as JSON.
pub fn event(user: &str, name: &str, properties: &str) -> wire::Event {
    wire::Event {
        name: name.to_owned(),
        user_id: user.to_owned(),
        properties: properties.to_owned(),
        ..Default::default()
    }
}
