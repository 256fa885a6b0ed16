//! `campanile users import`: a file into the import stream, part by part, in bounded memory; every bad line named, the good ones
//! stored.

use std::path::Path;

use campanile_proto::v1 as wire;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::bad_lines::BadLines;
use crate::cli_import::ImportArgs;
use crate::columns::Columns;
use crate::connect::Api;
use crate::fail::Fail;
use crate::import_csv::{self, CsvUsers};
use crate::import_line::ImportLine;
use crate::import_ndjson;
use crate::json_lines::{JsonLines, LINE_BYTES_MAX};
use crate::output::Output;
use crate::progress::{self, Source};
use crate::words;

/// Users and bytes of one part of the stream.
const PART_USERS_MAX: usize = 1_000;
const PART_BYTES_MAX: usize = 1024 * 1024;
/// Parts on their way, besides the one being filled.
const PARTS_MAX: usize = 2;

pub async fn run(mut api: Api, args: ImportArgs, output: Output) -> Result<(), Fail> {
    let name = args.file.display().to_string();
    let in_file = |e: String| Fail::input(format!("{name}: {e}"));
    let is_csv = is_csv(&args.file).map_err(in_file)?;
    let (source, bar) = progress::open(&args.file, output)?;
    let mut seen = Columns::default();
    let lines = read(source, is_csv, &args, &mut seen).map_err(in_file)?;
    let (parts, streamed) = mpsc::channel(PARTS_MAX);
    let call = tokio::spawn(async move { api.users.import_users(ReceiverStream::new(streamed)).await });
    let mut sending =
        Sending { parts, part: Vec::new(), bytes: 0, fires: args.fire_triggers, places: Places::default() };
    let mut bad = BadLines::default();
    let mut broken = None;
    for line in lines {
        match line {
            Err(e) => {
                broken = Some(in_file(e));
                break;
            }
            Ok(ImportLine { number, user: Err(text) }) => bad.add(number, text),
            Ok(ImportLine { number, user: Ok(user) }) => {
                seen.see(&user);
                let user = user.into_wire();
                if user.encoded_len() > LINE_BYTES_MAX {
                    bad.add(number, format!("is larger than {} MiB", LINE_BYTES_MAX / 1024 / 1024));
                } else if sending.take(number, user).await.is_err() {
                    break;
                }
            }
        }
    }
    let places = sending.end().await;
    let answer = call.await.map_err(|e| Fail::refused(e.to_string()))?;
    bar.finish_and_clear();
    let answer = answer.map_err(|status: Status| {
        let mut fail = Fail::from(status);
        fail.lines.push("a part of the file may be stored: importing it again is safe".to_owned());
        fail
    })?;
    let answer = answer.into_inner();
    for item in &answer.bad_items {
        bad.add(places.line(item.index), words::findings(&item.faults));
    }
    bad.add_untold(u64::try_from(answer.bad).unwrap_or(0).saturating_sub(answer.bad_items.len() as u64));
    report(&name, &answer, &seen, is_csv, &mut bad, output);
    broken.map_or(Ok(()), Err)?;
    bad.verdict()?;
    output.next("campanile campaign apply -f FILE --activate");
    Ok(())
}

fn is_csv(path: &Path) -> Result<bool, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "csv" => Ok(true),
        "ndjson" | "jsonl" | "json" => Ok(false),
        _ => Err("expected a file that ends in .csv, .ndjson or .jsonl".to_owned()),
    }
}

type Lines<'a> = Box<dyn Iterator<Item = Result<ImportLine, String>> + 'a>;

/// The users of a file; a header that cannot be used is an error.
fn read<'a>(
    source: Source,
    is_csv: bool,
    args: &'a ImportArgs,
    seen: &mut Columns,
) -> Result<Lines<'a>, String> {
    let id = args.id_column.as_deref();
    if is_csv {
        let users = CsvUsers::new(source, id, args.empty)?;
        for column in &users.columns {
            match column {
                import_csv::Column::Id => {}
                import_csv::Column::TimeZone => seen.declare("time_zone", "zone"),
                import_csv::Column::CreatedAt => seen.declare("created_at", "instant"),
                import_csv::Column::Attribute(name, kind) => seen.declare(name, kind.word()),
            }
        }
        return Ok(Box::new(users));
    }
    Ok(Box::new(JsonLines::new(source).map(move |line| {
        let line = line.map_err(|e| e.to_string())?;
        let user = line.object.and_then(|object| import_ndjson::read(object, id));
        Ok(ImportLine { number: line.number, user })
    })))
}

/// Tells what became of an import.
fn report(
    name: &str,
    answer: &wire::ImportUsersResponse,
    seen: &Columns,
    is_csv: bool,
    bad: &mut BadLines,
    output: Output,
) {
    if output.is_json() {
        let columns = seen.all().iter().map(|c| {
            json!({"column": c.name, "type": c.kind, "filled": c.filled, "example": c.example, "hint": c.hint(is_csv)})
        });
        let columns: Vec<_> = columns.collect();
        let count = bad.count();
        let lines = bad.sorted().iter().map(|(line, text)| json!({"line": line, "text": text}));
        let lines: Vec<_> = lines.collect();
        let told = json!({
            "imported": answer.imported, "created": answer.created, "bad": count, "badLines": lines, "columns": columns,
        });
        output.line(&told.to_string());
        return;
    }
    bad.told(name).iter().for_each(|line| output.bad_line(line));
    let rows = seen.all().iter().map(|c| {
        vec![c.name.clone(), c.kind.to_owned(), c.filled.to_string(), c.example.clone(), c.hint(is_csv)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        output.table(&["COLUMN", "TYPE", "FILLED", "EXAMPLE", "HINT"], &rows);
    }
    output.line(&format!(
        "{} imported, {} of them new",
        words::counted(answer.imported, "user"),
        answer.created
    ));
}

/// Users on their way into the stream.
struct Sending {
    /// Whether the users set off campaigns.
    fires: bool,
    parts: mpsc::Sender<wire::ImportUsersRequest>,
    part: Vec<wire::UserUpdate>,
    bytes: usize,
    places: Places,
}

/// The server takes no more; its answer says why.
struct TakesNoMore;

impl Sending {
    async fn take(&mut self, line: u64, user: wire::UserUpdate) -> Result<(), TakesNoMore> {
        let bytes = user.encoded_len();
        if self.part.len() >= PART_USERS_MAX || self.bytes + bytes > PART_BYTES_MAX {
            self.flush().await?;
        }
        self.bytes += bytes;
        self.part.push(user);
        self.places.add(line);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TakesNoMore> {
        self.bytes = 0;
        let users = std::mem::take(&mut self.part);
        if users.is_empty() {
            return Ok(());
        }
        self.parts
            .send(wire::ImportUsersRequest { users, fire_triggers: self.fires })
            .await
            .map_err(|_| TakesNoMore)
    }

    /// Sends the last part and closes the stream.
    async fn end(mut self) -> Places {
        let _ = self.flush().await;
        self.places
    }
}

/// The line of each user sent, kept as runs: most files have one user a line.
#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// Where a run begins: the user's place in the stream, and its line.
    runs: Vec<(u64, u64)>,
}

impl Places {
    fn add(&mut self, line: u64) {
        let goes_on = self.runs.last().is_some_and(|(index, first)| first + (self.next - index) == line);
        if !goes_on {
            self.runs.push((self.next, line));
        }
        self.next += 1;
    }

    fn line(&self, index: u64) -> u64 {
        let run = self.runs.iter().rev().find(|(first, _)| *first <= index);
        run.map_or(0, |(first, line)| line + (index - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_s_line_is_found_by_its_place_in_the_stream() {
        let mut places = Places::default();
        let lines = [2, 3, 4, 7, 8, 12, 20, 21];
        lines.iter().for_each(|line| places.add(*line));
        let found: Vec<u64> = (0..8).map(|index| places.line(index)).collect();
        assert_eq!(found, lines);
        assert_eq!(places.runs.len(), 4);
    }

    #[test]
    fn the_name_says_how_a_file_is_read() {
        for (name, expected) in [
            ("a.csv", Some(true)),
            ("a.CSV", Some(true)),
            ("a.ndjson", Some(false)),
            ("a.jsonl", Some(false)),
            ("a.txt", None),
            ("a", None),
        ] {
            assert_eq!(is_csv(Path::new(name)).ok(), expected, "{name}");
        }
    }
}
