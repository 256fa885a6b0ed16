//! The control API: the only place that sees wire types and domain types. Reads requests, calls verbs, writes answers.
//!
//! `read_*` make domain types of wire types, `write_*` the way back; both are pure. `*_service` are the gRPC faces; `campaign_life`,
//! `intake` and `enter_users` do what they ask. `trial` asks the deciding functions on behalf of `preview`, `send_test` and `explain`.

pub mod access;
pub mod guard;
mod histories;
pub mod http_intake;
mod method_scopes;
pub mod serve;

pub mod campaign_service;
pub mod destination_service;
pub mod event_service;
pub mod secret_service;
pub mod segment_service;
pub mod send_service;
pub mod settings_service;
pub mod token_service;
pub mod user_service;

pub mod deployment;
pub mod ears;
pub mod followed;
pub mod group_use;
pub mod outcomes;
pub mod user_changes;
pub mod user_lists;

pub mod campaign_edit;
pub mod campaign_life;
pub mod cancel_sends;
pub mod delete_user;
pub mod duplicate;
pub mod enter_users;
mod entry_runs;
pub mod intake;
pub mod known_names;
pub mod listening;
pub mod pending;
pub mod preview;
pub mod send_test;

pub mod case;
pub mod explain;
pub mod imagined;
pub mod imagined_trial;
pub mod recent_events;
pub mod redrive;
pub mod rehearse;
pub mod tally;
pub mod trial;

mod activation_warnings;
mod backlog;
mod dry_run;
mod estimate;
mod plan_campaign;
mod plan_entries;
mod plan_occurrences;
mod plan_tally;

pub mod read_campaign;
pub mod read_items;
pub mod read_request;
pub mod segment;
pub mod settings_wire;
pub mod status;
pub mod write_campaign;
pub mod write_explain;
pub mod write_life;
pub mod write_send;
pub mod write_stats;
