//! The command line of dry runs: previews, plans, estimates. What is typed, nothing of what it does.

use std::path::PathBuf;
use std::time::Duration;

use campanile_core::duration_text;
use clap::Args;

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A stored campaign.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub id: Option<String>,
    /// A campaign's file, stored or not.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How far ahead, such as 12h, 7d or 4w. Left out: the next occurrence, whenever it is.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub window: Option<Duration>,
    /// How many entries to print one by one.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(0..=1000))]
    pub entries: i32,
    /// Print the whole request of each.
    #[arg(long)]
    pub requests: bool,
    /// Values of an entry by hand, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    pub values: String,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true))]
pub struct EstimateArgs {
    /// A stored campaign.
    #[arg(group = "subject")]
    pub id: Option<String>,
    /// A campaign's file, stored or not.
    #[arg(short = 'f', long = "file", value_name = "FILE", group = "subject")]
    pub file: Option<PathBuf>,
    /// A condition alone: 'user.plan == "pro"'.
    #[arg(long = "where", value_name = "CONDITION", group = "subject")]
    pub condition: Option<String>,
}

pub fn duration(text: &str) -> Result<Duration, String> {
    duration_text::parse(text)
}
