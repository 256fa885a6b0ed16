//! The store on one SQLite file: for one machine, with nothing to install. One shard; one process holds the file.
//!
//! `writer` owns the only connection that writes, and commits for many callers at once: what is answered is on the disk. The verbs stand
//! beside it, one file for each port; none of them knows of threads.

pub mod store;

mod open;
mod reader;
mod room;
mod writer;

mod campaigns;
mod users;

mod events;
mod occurrences;

mod claim;
mod entries;
mod queue;
mod ring;
mod settle;

mod ledger;

#[cfg(test)]
mod store_tests;
