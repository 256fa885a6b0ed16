//! The command line of destinations. What is typed, nothing of what it does.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum DestinationCommand {
    /// List destinations, and how they stand.
    List,
    /// Print one destination.
    Show {
        /// Such as https://hooks.example.com.
        name: String,
    },
    /// Limit what is sent to a destination, for all campaigns and senders together.
    Set(DestinationSetArgs),
    /// Send to a destination again that is left alone after failures.
    Reset {
        /// Such as https://hooks.example.com.
        name: String,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct DestinationSetArgs {
    /// Such as https://hooks.example.com.
    pub name: String,
    /// Requests in a time: 50/s, 600/min; none: no limit.
    #[arg(long, value_name = "RATE", group = "what")]
    pub rate: Option<String>,
    /// Requests under way at once; 0: no limit.
    #[arg(long, value_name = "N", group = "what", value_parser = clap::value_parser!(i32).range(0..=10_000))]
    pub concurrency: Option<i32>,
    /// Time for a whole exchange, 1s to 90s; none: 30s.
    #[arg(long, value_name = "DURATION", group = "what")]
    pub timeout: Option<String>,
}
