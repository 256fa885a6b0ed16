//! The nouns and rules of Campanile: campaigns, users, events, due-sends, attempts.
//!
//! Pure: no async, no clock, no environment, no randomness, no store, no network. Everything a rule needs is handed in.

pub mod limits;

pub mod fault;

pub mod event;
pub mod facts;
pub mod reason;
pub mod user;
