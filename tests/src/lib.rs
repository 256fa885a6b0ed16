//! The kit of the end-to-end tests: real servers, a scripted far end, the real binary, real events.

pub mod conformance;
pub mod conformance_bounds;
pub mod conformance_caps;
pub mod conformance_changes;
pub mod conformance_failed;
pub mod conformance_far;
pub mod conformance_histories;
pub mod conformance_outcomes;
pub mod conformance_planned;
pub mod conformance_queue;
pub mod conformance_races;
pub mod conformance_recent;
pub mod conformance_records;
pub mod conformance_segments;
pub mod conformance_steps;
pub mod running;

pub mod binary;
pub mod browser;
pub mod clients;
pub mod examples;
pub mod hand;
pub mod receiver;
pub mod redis_cluster;
pub mod redis_sentinels;
pub mod redis_server;
pub mod sample;
pub mod store_clock;
pub mod target;
pub mod terminal;
pub mod until;
