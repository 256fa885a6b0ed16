//! What trials of a campaign take on the command line: previews, test sends, explanations.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// A stored campaign.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub id: Option<String>,
    /// A campaign's file, stored or not.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Whom it would be sent to; one that does not exist is made up.
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// Attributes to change for the preview, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "")]
    pub attributes: String,
    /// The event that would set it off: {"name": "purchase", "properties": {"total": 600}}.
    #[arg(long, value_name = "JSON")]
    pub event: Option<String>,
    /// Values of a manual entry, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "")]
    pub values: String,
    /// The action of a campaign of several; left out: the first one. A later one is tried as if the one before had been delivered.
    #[arg(long, value_name = "ACTION", default_value = "", hide_default_value = true)]
    pub action: String,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    pub user: String,
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: String,
    /// The event to judge as if it happened now: {"name": "purchase", "properties": {"total": 600}}. Left out: the user's latest that
    /// the campaign met.
    #[arg(long, value_name = "JSON")]
    pub event: Option<String>,
    /// Values of a manual entry to judge it with, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    pub values: String,
}
