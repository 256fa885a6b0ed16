//! The command line of what a deployment keeps for all of its campaigns: settings and secrets. What is typed, nothing of what it does.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Print the settings as a file.
    Show,
    /// Make the settings as a file says; what it leaves out is cleared. Shows what would change, and asks.
    Apply {
        /// YAML or JSON; - is standard input.
        #[arg(short, long, required = true, value_name = "FILE")]
        file: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Store a secret; its value is read from the terminal or from standard input, one value a line.
    Set {
        name: String,
        /// A host it may be sent to, such as hooks.example.com or *.example.com.
        #[arg(long, required = true, value_name = "HOST")]
        host: Vec<String>,
        /// Replace it also while live campaigns use it.
        #[arg(long)]
        allow_in_use: bool,
    },
    /// List names and hosts; values are never shown.
    List,
    /// Delete a secret.
    Delete { name: String },
    /// Print a new key for the file that secrets.key_file names.
    NewKey,
    /// Seal every stored secret by the first key of the file.
    RotateKey,
}
