//! The store on one SQLite file: for one machine, with nothing to install. One shard; one process holds the file.
//!
//! `writer` owns the only connection that writes, and commits for many callers at once: what is answered is on the disk. `readers` look
//! things up beside it, so that no page keeps a send waiting. The verbs are one file for each port; none of them knows of threads.

pub mod store;

mod memory;
mod open;
mod readers;
mod records;
mod room;
mod writer;

mod campaigns;
mod segments;
mod settings;
mod users;

mod events;
mod occurrences;

mod caps;
mod claim;
mod destinations;
mod entries;
mod erase;
mod failed;
mod queue;
mod ring;
mod secrets;
mod settle;
mod throttles;

mod histories;
mod ledger;

#[cfg(test)]
mod store_tests;
