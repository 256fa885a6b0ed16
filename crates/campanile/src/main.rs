//! The binary: reads the command line, runs what it says, ends with an exit code that scripts can use.

use std::io::IsTerminal;
use std::process::ExitCode;

use campanile_core::ports::Clock;
use clap::Parser;
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

use crate::cli::{CampaignCommand, Cli, Command, ConfigArgs, ServerArgs};
use crate::cli_deployment::SecretCommand;
use crate::config::{Config, LogFormat};
use crate::connect::connect;
use crate::fail::Fail;
use crate::output::Output;
use crate::roles::Roles;
use crate::token_commands::TokenCommand;

mod cli;
mod cli_deployment;
mod cli_destinations;
mod cli_dry_run;
mod cli_edits;
mod cli_enter;
mod cli_import;
mod cli_ledger;
mod cli_segments;
mod cli_trial;
mod config;
mod door;
mod faces;
mod health;
mod http_server;
mod keyring;
mod measures;
mod random;
mod roles;
mod store_watch;
mod tls_files;

mod apply;
mod campaign_commands;
mod campaign_files;
mod campaign_new;
mod campaign_next;
mod campaign_stats;
mod campaign_test;
mod copies;
mod difference;
mod enter;
mod enter_audience;
mod plan;
mod preview;
mod rehearse;
mod test_send;

mod import;
mod import_csv;
mod import_line;
mod import_ndjson;
mod track;
mod track_line;
mod user_commands;

mod cancel;
mod completions;
mod destination_commands;
mod event_commands;
mod explain;
mod list_commands;
mod next;
mod receive;
mod receive_shown;
mod receive_tls;
mod resend;
mod secret_commands;
mod segment_commands;
mod send_commands;
mod settings_commands;
mod token_commands;
mod watch;

mod clock;
mod connect;
mod fail;
mod hints;

mod bad_lines;
mod columns;
mod json_lines;
mod line_fields;
mod line_starts;
mod output;
mod progress;
mod table;
mod words;

/// What a send allocates on one thread is often freed on another, which this one takes easily.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json, config::no_colour());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output.fail(&Fail::refused(format!("start: {e}")));
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(cli, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            output.fail(&fail);
            ExitCode::from(fail.code)
        }
    }
}

async fn run(cli: Cli, output: Output) -> Result<(), Fail> {
    let api = || connect(&cli.at);
    match cli.command {
        Command::Serve(args) => serve(&args, Roles::ALL).await,
        Command::Control(args) => serve(&args, Roles::CONTROL).await,
        Command::Scheduler(args) => serve(&args, Roles::SCHEDULER).await,
        Command::Sender(args) => serve(&args, Roles::SENDER).await,
        Command::Config(args) => show_config(&args, output),
        Command::Campaign(CampaignCommand::New(args)) => campaign_new::run(&args, now(), output),
        Command::Campaign(CampaignCommand::Test(args)) => campaign_test::run(&args, now(), output),
        Command::Campaign(CampaignCommand::Next(args)) => {
            campaign_next::run(&cli.at, args, now(), output).await
        }
        Command::Campaign(command) => campaign_commands::run(api().await?, command, output).await,
        Command::Plan(args) => plan::plan(api().await?, args, output).await,
        Command::Users(command) => user_commands::run(api().await?, command, output).await,
        Command::Track(args) => track::run(api().await?, args, now(), output).await,
        Command::Sends(command) => send_commands::run(api().await?, command, output).await,
        Command::Events(command) => event_commands::run(api().await?, command, output).await,
        Command::Explain(args) => explain::run(api().await?, args, output).await,
        Command::Secret(SecretCommand::NewKey) => {
            secret_commands::new_key(output);
            Ok(())
        }
        Command::Token(TokenCommand::New) => {
            token_commands::new(output);
            Ok(())
        }
        Command::Token(command) => token_commands::run(api().await?, command, now(), output).await,
        Command::Settings(command) => settings_commands::run(api().await?, command, output).await,
        Command::Segment(command) => segment_commands::run(api().await?, command, output).await,
        Command::List(command) => list_commands::run(api().await?, command, output).await,
        Command::Secret(command) => secret_commands::run(api().await?, command, output).await,
        Command::Destination(command) => destination_commands::run(api().await?, command, output).await,
        Command::Schema => schema(output),
        Command::Completions(args) => {
            completions::run(&args, output);
            Ok(())
        }
        Command::Next(args) => next::run(&args, now(), output),
        Command::Receive(args) => receive::run(args, output).await,
    }
}

/// The machine's time, for what is not stored: the server stamps its own.
fn now() -> Timestamp {
    clock::StoreClock::start().now()
}

async fn serve(args: &ServerArgs, roles: Roles) -> Result<(), Fail> {
    let config = load(args)?;
    log(&config)?;
    let metrics = measures::start().map_err(|e| Fail::refused(format!("start metrics: {e}")))?;
    roles::run(config, roles, metrics).await.map_err(|e| Fail::refused(e.to_string()))
}

fn load(args: &ServerArgs) -> Result<Config, Fail> {
    config::load(args.config.as_deref(), args.flags()).map_err(|e| Fail::input(e.to_string()))
}

fn show_config(args: &ConfigArgs, output: Output) -> Result<(), Fail> {
    if args.check {
        log_filter(&load(&args.server)?)?;
        output.line("the settings are fine");
    } else {
        output.line(config::DEFAULTS.trim_end());
    }
    Ok(())
}

fn schema(output: Output) -> Result<(), Fail> {
    let schema = campanile_proto::schema::schema().map_err(|e| Fail::refused(e.to_string()))?;
    output.line(&format!("{schema:#}"));
    output.next("campanile schema > campaign.schema.json, and as the first line of a campaign file: # yaml-language-server: $schema=campaign.schema.json");
    Ok(())
}

fn log_filter(config: &Config) -> Result<EnvFilter, Fail> {
    EnvFilter::try_new(&config.log.level).map_err(|e| Fail::input(format!("log.level: {e}")))
}

fn log(config: &Config) -> Result<(), Fail> {
    let is_seen = std::io::stderr().is_terminal() && !config::no_colour();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(log_filter(config)?).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Human => subscriber.with_target(false).with_ansi(is_seen).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
