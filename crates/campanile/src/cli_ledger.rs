//! The command line of what was: sends and events. What is typed, nothing of what it does.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli_edits::{CancelArgs, ResendArgs};

#[derive(Debug, Subcommand)]
pub enum SendsCommand {
    /// List sends, newest first.
    List {
        #[command(flatten)]
        filter: SendsFilter,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
        limit: i32,
    },
    /// Print one send with its attempts and, while it is kept, its request.
    Show {
        /// The send id: the webhook-id of its requests.
        #[arg(value_name = "SEND")]
        id: String,
    },
    /// Cancel planned sends of a campaign.
    Cancel(CancelArgs),
    /// Send failed sends again, under the same webhook-id.
    Resend(ResendArgs),
    /// Print attempts and ends as they happen, until Ctrl-C.
    Watch {
        #[command(flatten)]
        filter: SendsFilter,
    },
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List the latest events, newest first, with the campaigns they met and what each decided.
    List {
        #[command(flatten)]
        filter: EventsFilter,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
        limit: i32,
    },
    /// Print each event as it arrives, until Ctrl-C.
    Watch {
        #[command(flatten)]
        filter: EventsFilter,
    },
}

#[derive(Debug, Args)]
pub struct EventsFilter {
    /// Only of this user.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub user: String,
    /// Only those that met this campaign.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub campaign: String,
    /// Only of this name; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
}

#[derive(Debug, Args)]
pub struct SendsFilter {
    /// Only of this campaign.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub campaign: String,
    /// Only to this user.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub user: String,
    /// Only in this state; may be given several times.
    #[arg(long)]
    pub state: Vec<StateName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StateName {
    /// Waiting for a retry.
    Pending,
    Delivered,
    Failed,
    Suppressed,
    /// Passed over in a campaign of several actions.
    Skipped,
}
