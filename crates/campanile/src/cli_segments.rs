//! Pure. What the commands about segments and lists take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SegmentCommand {
    /// Store a segment, or change it: `segment set buyers 'count("purchase", "90d") >= 2'`.
    Set {
        name: String,
        /// Who belongs to it.
        condition: String,
        /// What people call it.
        #[arg(long, default_value = "", hide_default_value = true)]
        title: String,
        /// Also change it while live campaigns use it.
        #[arg(long, short)]
        yes: bool,
    },
    /// Print a segment, and who uses it.
    Show { name: String },
    /// List segments.
    List,
    /// Delete a segment that nothing uses.
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub enum ListCommand {
    /// Make a list of these users, instead of those it had.
    Set(ListPut),
    /// Put users into a list.
    Add(ListPut),
    /// Take users out of a list.
    Remove(ListPut),
    /// Print the users of a list, one a line.
    Show { name: String },
    /// List the lists.
    List,
    /// Delete a list that nothing uses.
    Delete { name: String },
}

#[derive(Debug, Args)]
pub struct ListPut {
    pub name: String,
    /// Ids of users.
    #[arg(value_name = "USER")]
    pub users: Vec<String>,
    /// Instead of USER...: a file with an id a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
