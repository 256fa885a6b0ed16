//! The nouns and rules of Campanile: campaigns, users, events, due-sends, attempts.
//!
//! Pure: no async, no clock, no environment, no randomness, no store, no network. Everything a rule needs is handed in.

pub mod limits;

pub mod fault;

pub mod behaviour;
mod behaviour_bytes;
#[cfg(test)]
mod behaviour_laws;
pub mod event;
pub mod facts;
pub mod happening;
pub mod number;
pub mod reason;
pub mod recent_event;
pub mod slug;
pub mod user;
mod user_bytes;

pub mod action_numbers;
pub mod attempt;
pub mod campaign_history;
pub mod control_word;
pub mod counter;
pub mod delivery_record;
pub mod due_send;
pub mod event_rule;
pub mod inside;
pub mod latency;
pub mod log_row;
pub mod send_outcome;

pub mod bucket;
pub mod caps;
pub mod caps_port;
pub mod duration_text;
pub mod time_value;

pub mod expression;
mod expression_check;
#[cfg(test)]
mod expression_examples;
pub mod expression_explain;
mod expression_given;
#[cfg(test)]
mod expression_laws;
mod expression_lexer;
mod expression_match;
mod expression_operand;
mod expression_parser;
mod expression_predicate;
pub mod expression_survey;
mod expression_tree;
mod expression_value;
pub mod value_path;

pub mod calendar;
mod calendar_text;
pub mod civil_text;
pub mod clock_changes;
pub mod cron_dialect;
mod cron_field;
pub mod delay;
pub mod own_zone;
pub mod recurrence;
#[cfg(test)]
mod recurrence_laws;
pub mod recurring;
pub mod wall_clock;

pub mod access;
pub mod cidr;
pub mod encode;
pub mod kept;
pub mod network;
pub mod sealing;
pub mod secret;
pub mod signature;
pub mod special_address;
mod template;
#[cfg(test)]
mod template_bomb_tests;
mod template_call;
#[cfg(test)]
mod template_check;
mod template_expression;
mod template_filters;
#[cfg(test)]
mod template_missing_tests;
mod template_names;
#[cfg(test)]
mod template_sample;
mod template_scan;
mod template_source;
#[cfg(test)]
mod template_tests;
mod template_value;
pub mod webhook;
mod webhook_body;
mod webhook_check;
pub mod webhook_draft;
pub mod webhook_headers;
pub mod webhook_kept;
#[cfg(test)]
mod webhook_sample;
mod webhook_schema;
#[cfg(test)]
mod webhook_tests;
mod webhook_url;
#[cfg(test)]
mod webhook_url_tests;

pub mod breaker;
pub mod campaign;
pub mod campaign_actions;
pub mod campaign_delivery;
pub mod campaign_fields;
pub mod campaign_record;
pub mod conversion;
pub mod deployment_limits;
pub mod destination;
pub mod destination_port;
pub mod draft;
pub mod entry_run;
pub mod history_port;
pub mod manual_clock;
pub mod notice;
pub mod notify;
pub mod ports;
pub mod ports_access;
pub mod ports_changes;
pub mod ports_kept;
pub mod quiet_hours;
pub mod retry;
pub mod segment;
pub mod segment_port;
pub mod segments;
#[cfg(test)]
mod segments_tests;
pub mod sends_query;
pub mod settings;
pub mod settings_port;
pub mod settled;
pub mod step;
pub mod throttle;
pub mod triggered;
pub mod user_list;
pub mod watch;
