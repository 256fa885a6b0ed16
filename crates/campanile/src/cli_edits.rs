//! The command line of copies, deletions and cancellations. What is typed, nothing of what it does.

use clap::Args;

#[derive(Debug, Args)]
pub struct DeleteArgs {
    pub id: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct DuplicateArgs {
    pub id: String,
    /// The id of the new draft.
    pub new_id: String,
    /// Its title; that of the original where left out.
    #[arg(long, value_name = "TITLE", default_value = "", hide_default_value = true)]
    pub title: String,
    /// Also for users to whom the original posted; leaving them out is not in this version.
    #[arg(long)]
    pub include_received: bool,
}

#[derive(Debug, Args)]
pub struct ResendArgs {
    /// Failed sends, by their ids.
    #[arg(value_name = "SEND")]
    pub ids: Vec<String>,
    /// Failed sends of this campaign.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub campaign: String,
    /// Failed sends to this user.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub user: String,
    /// All failed sends that are kept.
    #[arg(long)]
    pub all: bool,
    /// Only those that failed then or later, as RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<jiff::Timestamp>,
    /// Only those that failed before then.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<jiff::Timestamp>,
    /// Render them again from what users are now, instead of sending the same bytes.
    #[arg(long)]
    pub rerender: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Whose planned sends.
    #[arg(long, value_name = "ID")]
    pub campaign: String,
    /// Only those to this user.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub user: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}
