//! The ports on Redis (7.0 or later) and Valkey: all state of a deployment that runs as several processes.
//!
//! Every verb is one script on one hash slot, so it is atomic on one server and on a cluster alike; every script says its keys, its
//! bound and its answer in its first lines. Nothing here decides anything: it keeps the promises of `campanile_core::ports`.
//!
//! Reading order: `keys` (where everything is), `lua/` (what is done to it), `connection`, then one file a port.

pub mod keys;

mod arguments;
mod connection;
mod reply;
mod scripts;
mod sentinel;
mod server;
mod shards;
mod start;
mod wake;
mod words;

mod campaigns;
mod caps;
mod claim;
mod destinations;
mod erase;
mod events;
mod failed;
mod limits;
mod occurrences;
mod queue;
mod secrets;
mod segments;
mod settings;
mod settle;
mod users;

mod histories;
mod ledger;
mod log_position;
mod log_reader;
mod refused_row;

pub mod store;
