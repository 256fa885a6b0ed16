//! `campanile users ...`: imports in bounded memory with every bad line named, and one user to look at.

use std::io::IsTerminal;

use campanile_proto::v1 as wire;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{ImportArgs, UsersCommand};
use crate::columns::Columns;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::{import_csv, import_ndjson};

/// Users and bytes of one part of an import.
const PART_USERS_MAX: usize = 1_000;
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Bad lines that are shown; more are only counted.
const BAD_SHOWN_MAX: usize = 100;

/// A user of a file, or what is wrong with its line.
pub struct ReadLine {
    /// From 1.
    pub number: u64,
    pub user: Result<wire::UserUpdate, String>,
}

pub async fn run(mut api: Api, command: UsersCommand, output: Output) -> Result<(), Fail> {
    match command {
        UsersCommand::Import(args) => import(api, args, output).await,
        UsersCommand::Show { id } => {
            let answer = api.users.get_user(wire::GetUserRequest { id }).await?.into_inner();
            show(&answer.user.unwrap_or_default(), output)
        }
    }
}

fn show(user: &wire::User, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(user);
    }
    let at = |at: &Option<prost_types::Timestamp>| at.map_or(String::new(), |at| at.to_string());
    output.line(&format!("{}  {}", output.paint(Tone::Strong, &user.id), at(&user.created_at)));
    if !user.time_zone.is_empty() {
        output.line(&format!("time zone: {}", user.time_zone));
    }
    let attributes: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&user.attributes).unwrap_or_default();
    let rows: Vec<Vec<String>> = attributes.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect();
    output.table(&["ATTRIBUTE", "VALUE"], &rows);
    let behaviour = user.behaviour.iter().map(|b| vec![b.event.clone(), b.count.to_string(), at(&b.first_at), at(&b.last_at)]);
    let behaviour: Vec<Vec<String>> = behaviour.collect();
    if !behaviour.is_empty() {
        output.table(&["EVENT", "COUNT", "FIRST", "LAST"], &behaviour);
    }
    Ok(())
}

async fn import(mut api: Api, args: ImportArgs, output: Output) -> Result<(), Fail> {
    let name = args.file.display().to_string();
    let file = std::fs::File::open(&args.file).map_err(|e| Fail::input(format!("{name}: {e}")))?;
    let bytes = file.metadata().map(|m| m.len()).unwrap_or(0);
    let progress = progress(bytes, output);
    let file = std::io::BufReader::new(progress.wrap_read(file));
    let is_csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let (mut columns, in_file) = (Columns::default(), |e: String| Fail::input(format!("{name}: {e}")));
    let (parts, streamed) = tokio::sync::mpsc::channel::<wire::ImportUsersRequest>(2);
    let call = tokio::spawn(async move {
        api.users.import_users(tokio_stream::wrappers::ReceiverStream::new(streamed)).await
    });
    let mut sending = Sending { parts, part: Vec::new(), bytes: 0, lines: Vec::new() };
    let mut bad: Vec<(u64, String)> = Vec::new();
    let mut lines: Box<dyn Iterator<Item = ReadLine> + Send> = if is_csv {
        Box::new(import_csv::lines(file, args.id_column.as_deref(), args.empty).map_err(in_file)?)
    } else {
        Box::new(import_ndjson::lines(file))
    };
    for line in lines.by_ref() {
        match line.user {
            Ok(user) => {
                columns.see(&user);
                if sending.take(line.number, user).await.is_err() {
                    break;
                }
            }
            Err(text) => bad.push((line.number, text)),
        }
    }
    let _ = sending.flush().await;
    let lines = std::mem::take(&mut sending.lines);
    drop(sending);
    let answer = call.await.map_err(|e| Fail::refused(e.to_string()))??.into_inner();
    progress.finish_and_clear();
    for item in &answer.bad_items {
        let line = lines.get(item.index as usize).copied().unwrap_or_default();
        let why = item.faults.iter().map(|f| format!("{}: {}", f.field, f.description)).collect::<Vec<_>>();
        bad.push((line, format!("user {:?}: {}", item.user_id, why.join("; "))));
    }
    let unnamed = (answer.bad as usize).saturating_sub(answer.bad_items.len());
    report(&name, &answer, &columns, bad, unnamed, output)
}

/// Tells what became of an import; bad lines make it fail, though the good ones are stored.
fn report(
    name: &str,
    answer: &wire::ImportUsersResponse,
    columns: &Columns,
    mut bad: Vec<(u64, String)>,
    unnamed: usize,
    output: Output,
) -> Result<(), Fail> {
    bad.sort();
    let bad_count = bad.len() + unnamed;
    if output.is_json() {
        output.message(answer)?;
    } else {
        columns.show(output);
        output.line(&format!("{} users imported, {} of them new", answer.imported, answer.created));
    }
    for (line, text) in bad.iter().take(BAD_SHOWN_MAX) {
        output.error(&format!("{name}:{line}: {text}"));
    }
    if bad_count > 0 {
        return Err(Fail::refused(format!("{bad_count} lines are bad and were left out; the others are imported")));
    }
    output.note("next: campanile campaign apply -f FILE --activate");
    Ok(())
}

/// Users on their way into the stream, a bounded part at a time.
struct Sending {
    parts: tokio::sync::mpsc::Sender<wire::ImportUsersRequest>,
    part: Vec<wire::UserUpdate>,
    bytes: usize,
    /// Of each user sent, its line.
    lines: Vec<u64>,
}

impl Sending {
    async fn take(&mut self, line: u64, user: wire::UserUpdate) -> Result<(), ()> {
        let bytes = user.id.len() + user.attributes.len() + 64;
        if self.part.len() >= PART_USERS_MAX || self.bytes + bytes > PART_BYTES_MAX {
            self.flush().await?;
        }
        self.bytes += bytes;
        self.part.push(user);
        self.lines.push(line);
        Ok(())
    }

    /// Fails when the server takes no more; its answer says why.
    async fn flush(&mut self) -> Result<(), ()> {
        self.bytes = 0;
        let users = std::mem::take(&mut self.part);
        if users.is_empty() {
            return Ok(());
        }
        self.parts.send(wire::ImportUsersRequest { users }).await.map_err(drop)
    }
}

/// A bar where a person looks, nothing elsewhere.
fn progress(bytes: u64, output: Output) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent}% {bytes_per_sec}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
