//! The command line of manual entries: what is typed, nothing of what it does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli_dry_run::duration;

#[derive(Debug, Args)]
pub struct EnterArgs {
    pub id: String,
    /// Ids of users.
    #[arg(value_name = "USER")]
    pub users: Vec<String>,
    /// Values for all of them, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    pub values: String,
    /// More users, one JSON object a line: {"user_id": "mary", "values": {"cents": 500}}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["condition", "include_segment"])]
    pub from_file: Option<PathBuf>,
    /// Everybody for whom this condition holds, instead of named users; 'everyone' if everybody is meant.
    #[arg(long = "where", value_name = "CONDITION", conflicts_with = "users")]
    pub condition: Option<String>,
    /// Everybody in this segment.
    #[arg(long, value_name = "SEGMENT", conflicts_with = "users")]
    pub include_segment: Vec<String>,
    /// Nobody in this segment.
    #[arg(long, value_name = "SEGMENT", conflicts_with_all = ["users", "from_file"])]
    pub exclude_segment: Vec<String>,
    /// Enter an audience without asking.
    #[arg(long)]
    pub yes: bool,
    /// A gate to skip.
    #[arg(long, value_name = "GATE")]
    pub skip: Vec<SkipGate>,
    /// Create users that do not exist.
    #[arg(long)]
    pub create_missing: bool,
    /// Wait for what becomes of the first send of each, at most 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// The same id again within 24 h enters nobody twice.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub request_id: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SkipGate {
    Audience,
    Caps,
    QuietHours,
}
