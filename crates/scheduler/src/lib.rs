//! Works out which sends are due, and puts them into the queue: occurrences, triggers, manual entries, release. Never sends.
//!
//! Brains: `entering` (the rules), `occurrence`, `plan`, `trigger`, `manual`. Hands: `campaigns`, `histories`, `event_pass`, `fan_out`, `reconcile`, `queue_pass`, `finish`, `listening`,
//! `auto_pause`, all by way of `shards`. Loop: `run`.

pub mod run;

pub mod entering;
pub mod entry_runs;
pub mod looks;
pub mod manual;
pub mod occurrence;
pub mod plan;
pub mod standing;
pub mod steps;
pub mod trigger;

pub mod auto_pause;
pub mod campaigns;
pub mod event_pass;
pub mod fan_out;
pub mod finish;
pub mod histories;
pub mod listening;
pub mod queue_pass;
pub mod reconcile;
pub mod shards;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod unreliable_store;
#[cfg(test)]
mod world;

#[cfg(test)]
mod entering_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod looks_tests;
#[cfg(test)]
mod manual_tests;
#[cfg(test)]
mod occurrence_tests;
#[cfg(test)]
mod own_zone_tests;
#[cfg(test)]
mod pass_tests;
#[cfg(test)]
mod pending_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod steps_change_tests;
#[cfg(test)]
mod steps_laws;
#[cfg(test)]
mod steps_tests;
#[cfg(test)]
mod trigger_tests;
#[cfg(test)]
mod trigger_time_tests;
