//! The nouns and rules of Campanile: campaigns, users, events, due-sends, attempts.
//!
//! Pure: no async, no clock, no environment, no randomness, no store, no network. Everything a rule needs is handed in.

pub mod limits;

pub mod fault;

pub mod event;
pub mod facts;
pub mod number;
pub mod reason;
pub mod user;

pub mod attempt;
pub mod control_word;
pub mod counter;
pub mod due_send;
pub mod log_row;

pub mod bucket;
pub mod duration_text;
pub mod time_value;

pub mod calendar;
pub mod civil_text;
pub mod clock_changes;
pub mod cron_dialect;
pub mod recurrence;
pub mod wall_clock;

pub mod network;
pub mod secret;
pub mod webhook;
pub mod webhook_draft;

pub mod campaign_record;
pub mod draft;
pub mod manual_clock;
pub mod ports;
pub mod retry;
