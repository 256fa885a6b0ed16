//! The command line: every command, flag and help text. What is typed, nothing of what it does.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use toml::Value;

use crate::campaign_new::NewArgs;
use crate::campaign_next::CampaignNextArgs;
use crate::campaign_test::TestArgs;
use crate::cli_deployment::{SecretCommand, SettingsCommand};
use crate::cli_destinations::DestinationCommand;
use crate::cli_dry_run::{EstimateArgs, PlanArgs};
use crate::cli_edits::{DeleteArgs, DuplicateArgs};
use crate::cli_enter::EnterArgs;
use crate::cli_import::ImportArgs;
use crate::cli_ledger::{EventsCommand, SendsCommand};
use crate::cli_segments::{ListCommand, SegmentCommand};
use crate::cli_trial::{ExplainArgs, PreviewArgs};
use crate::completions::CompletionsArgs;
use crate::config::Flags;
use crate::connect::ServerAt;
use crate::next::NextArgs;
use crate::receive::ReceiveArgs;
use crate::token_commands::TokenCommand;

/// A self-hosted webhook-campaign engine.
#[derive(Debug, Parser)]
#[command(
    name = "campanile",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 1 refused, not \
    found, or some items were bad; 2 what was typed or written is wrong; 3 the server cannot be reached."
)]
pub struct Cli {
    #[command(flatten)]
    pub at: ServerAt,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process.
    Serve(ServerArgs),
    /// Run the control API and the console only.
    Control(ServerArgs),
    /// Run a scheduler only.
    Scheduler(ServerArgs),
    /// Run a sender only.
    Sender(ServerArgs),
    /// Print the settings with their defaults and what they mean.
    Config(ConfigArgs),
    /// Create, look at and steer campaigns.
    #[command(subcommand)]
    Campaign(CampaignCommand),
    /// Print what a campaign would do: its occurrences, whom it would send what, and whom not and why. Sends and stores nothing.
    Plan(PlanArgs),
    /// Import and look at users.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Tell of an event: `track mary purchase total=600`.
    Track(TrackArgs),
    /// Look at what was sent, and why something was not.
    #[command(subcommand)]
    Sends(SendsCommand),
    /// Look at events and what campaigns decided about them.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Say why a user was or was not sent a campaign.
    Explain(ExplainArgs),
    /// Keep conditions on users by name.
    #[command(subcommand)]
    Segment(SegmentCommand),
    /// Keep lists of users by name.
    #[command(subcommand)]
    List(ListCommand),
    /// Keep secrets that webhooks may use.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Make, list and revoke access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show and change what the deployment decides for all campaigns: caps, minimum gap, quiet hours.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// See where webhooks go, limit what is sent there, and let it go on after failures.
    #[command(subcommand)]
    Destination(DestinationCommand),
    /// Print when a cron expression fires, an RFC 3339 instant a line.
    Next(NextArgs),
    /// Print the JSON Schema of the campaign file, for editors.
    Schema,
    /// Print what a shell completes commands by.
    Completions(CompletionsArgs),
    /// Receive webhooks and show them.
    Receive(ReceiveArgs),
}

#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Settings file (TOML); `campanile config` prints one.
    #[arg(long, env = "CAMPANILE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept: sqlite:PATH or redis://HOST:PORT.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where the control API listens.
    #[arg(long, value_name = "ADDR")]
    listen_grpc: Option<SocketAddr>,
    /// Where the console listens.
    #[arg(long, value_name = "ADDR")]
    listen_console: Option<SocketAddr>,
    /// Where the HTTP intake listens.
    #[arg(long, value_name = "ADDR")]
    listen_intake: Option<SocketAddr>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "ADDR")]
    listen_health: Option<SocketAddr>,
    /// For development: allow http://, loopback targets and any port. Refused unless everything listens on loopback.
    #[arg(long)]
    dev: bool,
    /// Allow http:// targets.
    #[arg(long)]
    allow_http: bool,
    /// Allow targets in this private network, such as 10.1.0.0/16.
    #[arg(long, value_name = "CIDR")]
    allow_network: Vec<String>,
    /// Never send to this network, whatever else is allowed.
    #[arg(long, value_name = "CIDR")]
    deny_network: Vec<String>,
    /// Send to this host and no other one that is not named: hooks.example.com or *.example.com.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Ports that webhooks may reach, such as 443,8443.
    #[arg(long, value_name = "PORTS")]
    ports: Option<String>,
    /// Requests under way at once.
    #[arg(long, value_name = "N")]
    slots: Option<i64>,
    /// Send every webhook to this URL instead, with its secrets masked: staging on real data.
    #[arg(long, value_name = "URL")]
    divert_to: Option<String>,
    /// human or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ServerArgs {
    /// What was typed, as settings.
    pub fn flags(&self) -> Flags {
        let text = |text: &String| Value::String(text.clone());
        let mut flags = Flags::new();
        flags.extend(self.store.as_ref().map(|v| ("store.url", text(v))));
        flags.extend(self.listen_grpc.map(|v| ("listen.grpc", Value::String(v.to_string()))));
        flags.extend(self.listen_console.map(|v| ("listen.console", Value::String(v.to_string()))));
        flags.extend(self.listen_intake.map(|v| ("listen.intake", Value::String(v.to_string()))));
        flags.extend(self.listen_health.map(|v| ("listen.health", Value::String(v.to_string()))));
        flags.extend(self.dev.then_some(("network.dev", Value::Boolean(true))));
        flags.extend(self.allow_http.then_some(("network.allow_http", Value::Boolean(true))));
        for (name, values) in [
            ("network.allow_networks", &self.allow_network),
            ("network.deny_networks", &self.deny_network),
            ("network.allow_hosts", &self.allow_host),
        ] {
            let list = || Value::Array(values.iter().map(text).collect());
            flags.extend((!values.is_empty()).then(|| (name, list())));
        }
        flags.extend(self.ports.as_ref().map(|v| ("network.ports", text(v))));
        flags.extend(self.slots.map(|v| ("sender.slots", Value::Integer(v))));
        flags.extend(self.divert_to.as_ref().map(|v| ("sender.divert_to", text(v))));
        flags.extend(self.log_format.as_ref().map(|v| ("log.format", text(v))));
        flags.extend(self.log_level.as_ref().map(|v| ("log.level", text(v))));
        flags
    }
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Instead, check the settings that would be used.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// Print the shortest file of a kind, with every option as a comment.
    New(NewArgs),
    /// Create or change the campaigns of files, so that they are as written.
    Apply(ApplyArgs),
    /// Check files without storing anything.
    Validate {
        /// Files or folders.
        #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
    /// List campaigns.
    List {
        /// Only with these tags.
        #[arg(long)]
        tag: Vec<String>,
    },
    /// Print a campaign as a file.
    Show { id: String },
    /// Start a draft.
    Activate {
        id: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Hold every unsent send; nobody enters.
    Pause { id: String },
    /// Let a paused campaign go on.
    Resume {
        id: String,
        /// Drop what was held instead of sending it.
        #[arg(long)]
        drop_held: bool,
    },
    /// End a campaign for good.
    End(EndArgs),
    /// Delete a draft or an ended campaign.
    Delete(DeleteArgs),
    /// Make a new draft of a campaign.
    Duplicate(DuplicateArgs),
    /// Enter users by hand.
    Enter(EnterArgs),
    /// Print the exact request a user would get. Sends and stores nothing.
    Preview(PreviewArgs),
    /// Really post one webhook and print what came back. It counts nowhere and is in no log.
    TestSend(PreviewArgs),
    /// Run the cases beside campaign files: NAME.test.yaml beside NAME.yaml. Needs no server.
    Test(TestArgs),
    /// Count the users of an audience, exactly.
    Estimate(EstimateArgs),
    /// Print when it fires next, in words.
    Next(CampaignNextArgs),
    /// Print the counts of a campaign, by reason.
    Stats { id: String },
    /// Print the latest users who were not let in, and why.
    Refusals {
        id: String,
        /// How many at most.
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
        limit: i32,
    },
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Files or folders; a file may hold several campaigns.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Start those that are drafts.
    #[arg(long)]
    pub activate: bool,
    /// Also sends that are planned already and were not attempted yet.
    #[arg(long)]
    pub apply_to_pending: bool,
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// What a person agreed to beforehand.
#[derive(Clone, Copy, Debug, Args)]
pub struct ConsentArgs {
    /// Do not ask; start also what would send nothing.
    #[arg(long)]
    pub yes: bool,
    /// How many users the audience has; needed where they are more than 1,000 and nobody can be asked.
    #[arg(long, value_name = "N")]
    pub audience: Option<i64>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("mode").required(true))]
pub struct EndArgs {
    pub id: String,
    /// Nothing more is sent.
    #[arg(long, group = "mode")]
    pub stop_now: bool,
    /// Nobody enters; users inside get what they are owed.
    #[arg(long, group = "mode")]
    pub finish_entered: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Create or change users from a CSV or NDJSON file. Fires nothing.
    Import(ImportArgs),
    /// Print a user.
    Show { id: String },
    /// Erase a user and all that is kept of it.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub struct TrackArgs {
    /// Who.
    #[arg(required_unless_present = "file")]
    pub user: Option<String>,
    /// What.
    #[arg(required_unless_present = "file")]
    pub event: Option<String>,
    /// Properties; a value that reads as JSON is JSON, anything else is text.
    #[arg(value_name = "KEY=VALUE")]
    pub properties: Vec<String>,
    /// What it is worth.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub value: Option<f64>,
    /// Drops repeats: an event of the same id within 24 h is taken once.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub event_id: String,
    /// When it happened, as RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    /// Many events from NDJSON: Segment track lines, or objects like {"user_id", "name", "properties"}.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        conflicts_with_all = ["user", "event", "properties", "value", "event_id", "at"]
    )]
    pub file: Option<PathBuf>,
    /// They happen as they arrive, whatever the file says.
    #[arg(long, requires = "file", conflicts_with = "user")]
    pub now: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_typed_is_understood() {
        for line in [
            "campanile serve --dev --allow-network 10.0.0.0/8 --allow-network 10.1.0.0/16 --slots 4",
            "campanile --json campaign list --tag a",
            "campanile campaign apply -f a.yaml -f b.yaml --activate --yes",
            "campanile campaign end first --stop-now",
            "campanile campaign delete first --yes",
            "campanile campaign duplicate first second --title Again --include-received",
            "campanile sends cancel --campaign first --user mary",
            "campanile sends resend --campaign first --since 2026-11-24T08:00:00Z --rerender --yes",
            "campanile campaign enter first mary joe --skip audience --skip quiet-hours --create-missing",
            "campanile track mary purchase total=-1 --value -2.5 --at 2026-01-01T00:00:00Z",
            "campanile track -f events.ndjson --now",
            "campanile sends list --state failed --state pending --limit 5 --json",
            "campanile sends watch --campaign first",
            "campanile explain mary first",
            "campanile events watch --user mary --name purchase --name refund",
            "campanile events list --campaign first --limit 5",
            "campanile campaign test-send -f a.yaml --user mary",
            "campanile secret set slack --host hooks.slack.com",
            "campanile secret rotate-key --server https://c.example:7070 --token-file t --ca-file ca.pem",
            "campanile token create ci --scope ingest --scope read --expires 90d --rate 100/s",
            "campanile users import people.csv --id-column mail --empty=unset",
            "campanile next @daily --zone Europe/Berlin --from 2026-01-01 --count 3",
            "campanile config --check",
            "campanile campaign new one-time --id a --url https://example.com/",
            "campanile campaign next first --count 3",
            "campanile campaign next -f a.yaml",
            "campanile plan -f a.yaml --window 7d --entries 3 --requests",
            "campanile plan a --values {}",
            "campanile campaign test campaigns more/a.test.yaml",
            "campanile campaign estimate --where everyone",
            "campanile schema",
            "campanile completions bash",
            "campanile receive --status 503 --for 2 --delay 500ms --tls --secret --body --curl",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "campanile",
            "campanile campaign end first",
            "campanile campaign end first --stop-now --finish-entered",
            "campanile campaign apply",
            "campanile track mary",
            "campanile track mary bought --now",
            "campanile track -f a.ndjson mary bought",
            "campanile track -f a.ndjson --event-id x",
            "campanile secret set slack",
            "campanile campaign new sometimes",
            "campanile campaign new manual --id A",
            "campanile campaign next",
            "campanile receive --for 2",
            "campanile sends list --limit 0",
            "campanile sends watch --limit 5",
            "campanile next",
            "campanile serve --listen-grpc nowhere",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn flags_of_a_role_are_settings() {
        let cli = parse(
            "campanile serve --store sqlite:x.db --listen-grpc 127.0.0.1:1 --dev --slots 4 --log-level warn",
        );
        let Command::Serve(args) = cli.unwrap().command else { panic!("not serve") };
        let names: Vec<&str> = args.flags().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["store.url", "listen.grpc", "network.dev", "sender.slots", "log.level"]);
    }
}
