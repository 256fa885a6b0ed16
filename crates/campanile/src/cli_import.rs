//! What `campanile users import` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A .csv file with a header, or .ndjson (Segment identify lines, or objects with an id).
    pub file: PathBuf,
    /// The column that names the user.
    #[arg(long, value_name = "NAME")]
    pub id_column: Option<String>,
    /// What an empty cell does.
    #[arg(long, value_enum, default_value_t = EmptyCell::Keep)]
    pub empty: EmptyCell,
    /// Let the users set off campaigns, as if they had come one by one.
    #[arg(long)]
    pub fire_triggers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmptyCell {
    /// Leave the attribute as it is.
    Keep,
    /// Remove the attribute.
    Unset,
}
