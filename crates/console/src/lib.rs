//! The console: pages over the control API, of which it is one more client, called inside the process without a socket.
//!
//! `pages`, `editor`, `trial`, `explain`, `plan`, `activate`, `settings`, `verbs` and `verbs_edit` ask the API and answer; the `view_*` files make of its answers what a page shows (pure), `templates/`
//! writes it. `guard` stands before all of them. A page works without a script; the one there is brings updates while a page is open.

mod api;
mod guard;
mod posted;
mod problem;
mod session;

mod activate;
mod editor;
mod explain;
mod live;
mod login;
mod pages;
mod plan;
mod settings;
mod trial;
mod verbs;
mod verbs_edit;

mod view_activate;
mod view_arms;
mod view_campaign;
mod view_campaigns;
mod view_editor;
mod view_events;
mod view_explain;
mod view_find;
mod view_plan;
mod view_send;
mod view_trial;
mod view_user;

mod frame;
mod hidden;
mod reasons;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use campanile_core::limits;
use campanile_core::ports::Clock;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tonic::service::Routes;

use crate::api::Api;

/// What the console is built from.
pub struct Console {
    /// The services of the control API.
    pub api: Routes,
    pub clock: Arc<dyn Clock>,
    /// 16 random bytes, for tokens of forms.
    pub random: Box<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// Names under which browsers reach the console, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Nobody sees a page without an access token.
    pub needs_token: bool,
    /// The console itself speaks TLS; else a proxy before it may.
    pub is_tls: bool,
}

/// What every page has at hand.
pub(crate) struct Room {
    pub(crate) api: Api,
    clock: Arc<dyn Clock>,
    random: Box<dyn Fn() -> [u8; 16] + Send + Sync>,
    hosts: Vec<String>,
    needs_token: bool,
    is_tls: bool,
    /// One for each page that may follow what happens.
    followers: Arc<Semaphore>,
}

impl Room {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The pages.
pub fn router(console: Console) -> Router {
    let Console { api, clock, random, hosts, needs_token, is_tls } = console;
    let followers = Arc::new(Semaphore::new(limits::PAGES_FOLLOWING_MAX));
    let room = Arc::new(Room { api: Api::new(api), clock, random, hosts, needs_token, is_tls, followers });
    Router::new()
        .route("/", get(pages::campaigns))
        .route("/find", get(pages::find))
        .route("/new", get(editor::choose))
        .route("/new/file", get(editor::new).post(editor::try_new))
        .route("/campaigns/{id}", get(pages::campaign))
        .route("/campaigns/{id}/edit", get(editor::edit).post(editor::try_stored))
        .route("/campaigns/{id}/try", get(trial::try_page).post(trial::try_it))
        .route("/campaigns/{id}/plan", get(plan::plan))
        .route("/campaigns/{id}/sends", get(pages::sends))
        .route("/campaigns/{id}/activate", get(activate::ask_activate).post(activate::activate))
        .route("/campaigns/{id}/pause", post(verbs::pause))
        .route("/campaigns/{id}/resume", get(verbs::ask_resume).post(verbs::resume))
        .route("/campaigns/{id}/end", get(verbs::ask_end).post(verbs::end))
        .route("/campaigns/{id}/duplicate", get(verbs_edit::ask_duplicate).post(verbs_edit::duplicate))
        .route("/campaigns/{id}/delete", get(verbs_edit::ask_delete).post(verbs_edit::delete))
        .route("/campaigns/{id}/cancel", get(verbs_edit::ask_cancel).post(verbs_edit::cancel))
        .route("/campaigns/{id}/enter", post(verbs::enter))
        .route("/sends/{id}", get(pages::send))
        .route("/users/{id}/erase", get(verbs_edit::ask_erase).post(verbs_edit::erase))
        .route("/sends/{id}/resend", post(verbs_edit::resend_one))
        .route("/campaigns/{id}/resend", get(verbs_edit::ask_resend).post(verbs_edit::resend))
        .route("/users/{id}", get(pages::user))
        .route("/users/{id}/explain/{campaign}", get(explain::explain))
        .route("/explain", get(explain::of_whom))
        .route("/settings", get(settings::show).post(settings::save))
        .route("/live", get(live::live))
        .route(login::PATH, get(login::ask).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/style.css", get(pages::style))
        .route("/script.js", get(pages::script))
        .route("/icon.svg", get(pages::icon))
        .fallback(pages::not_here)
        .layer(DefaultBodyLimit::max(limits::FORM_BYTES_MAX))
        .layer(from_fn_with_state(room.clone(), guard::guarded))
        .with_state(room)
}
