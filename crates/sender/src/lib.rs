//! Sends what is due: claims, decides, posts, judges, settles. Never plans.
//!
//! Brains: `admit`, `outgoing`, `divert`, `content`, `hide`, `judge`, `settlement`, `share`, on a `case`. Hands: `claim`, `caps`, `throttle`, `toward`, `campaigns`, `far_ends`, `send`, `wire` (with `probe`,
//! `pool`, `dial` and `tls`), `settle`. Loop: `run`.

pub mod run;

mod caps;
mod claim;
pub mod far_ends;
mod share;
mod throttle;
mod toward;

pub mod blind;
pub mod campaigns;
pub mod case;
pub mod closed;
mod opted_out;

pub mod admit;
mod admit_inside;
pub mod divert;
mod notify;
pub mod outgoing;
pub mod send;

mod dial;
mod pool;
pub mod probe;
mod tls;
pub mod wire;

pub mod content;
pub mod hide;
pub mod judge;
pub mod settle;
pub mod settlement;

mod measure;

#[cfg(test)]
mod admit_tests;
#[cfg(test)]
mod far_ends_tests;
#[cfg(test)]
mod inside_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod scripted_far;
#[cfg(test)]
mod scripted_store;
#[cfg(test)]
mod wire_tests;
