//! `campanile campaign new KIND`: the shortest campaign of a kind, every option beside it as a comment. Needs no server.
//!
//! The file itself is `campanile_proto::new_file`'s, which the console begins with too.

use campanile_core::encode::shell_word;
use campanile_proto::new_file::{self, NewFile, is_id, is_url, new_file};
use clap::ValueEnum;
use jiff::Timestamp;

use crate::fail::Fail;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub struct NewArgs {
    kind: Kind,
    /// The campaign's id.
    #[arg(long, default_value = "first", value_name = "ID", value_parser = read_id)]
    id: String,
    /// Where it sends to.
    #[arg(long, default_value = "http://127.0.0.1:9000/hook", value_name = "URL", value_parser = read_url)]
    url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Once, to an audience.
    OneTime,
    /// On a schedule, to an audience.
    Recurring,
    /// When somebody does something.
    Triggered,
    /// By hand or by a program.
    Manual,
}

fn read_id(text: &str) -> Result<String, String> {
    let wrong = || "expected 1 to 63 characters of a-z, 0-9 and -".to_owned();
    is_id(text).then(|| text.to_owned()).ok_or_else(wrong)
}

fn read_url(text: &str) -> Result<String, String> {
    let wrong = || "expected a URL, such as https://example.com/hook".to_owned();
    is_url(text).then(|| text.to_owned()).ok_or_else(wrong)
}

/// Prints the file; `campanile campaign new triggered > first.yaml` makes one.
pub fn run(args: &NewArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    let text = file(args, now);
    output.line(text.trim_end());
    let name = format!("{}.yaml", args.id);
    let name = shell_word(&name);
    output.next(&format!("keep it in {name} with > {name}, then: campanile campaign validate -f {name}"));
    Ok(())
}

fn file(args: &NewArgs, now: Timestamp) -> String {
    let kind = match args.kind {
        Kind::OneTime => new_file::Kind::OneTime,
        Kind::Recurring => new_file::Kind::Recurring,
        Kind::Triggered => new_file::Kind::Triggered,
        Kind::Manual => new_file::Kind::Manual,
    };
    // The day after tomorrow: a time that lies ahead wherever it is read.
    let ahead = now.checked_add(jiff::SignedDuration::from_hours(48)).unwrap_or(now);
    let at = ahead.to_zoned_datetime(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT09:00").to_string();
    new_file(&NewFile { kind, id: &args.id, url: &args.url, at: &at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use campanile_proto::campaign_file;
    use campanile_proto::schema::schema;

    const KINDS: [Kind; 4] = [Kind::OneTime, Kind::Recurring, Kind::Triggered, Kind::Manual];

    fn text(kind: Kind) -> String {
        let args = NewArgs { kind, id: "first".to_owned(), url: "https://example.com/hook".to_owned() };
        file(&args, Timestamp::from_second(1_795_521_600).unwrap())
    }

    /// The option of a line that is one: its indentation and what stands behind the `#`.
    fn option(line: &str) -> Option<(&str, &str)> {
        let (indentation, rest) = line.split_at(line.len() - line.trim_start().len());
        let rest = rest.strip_prefix('#')?;
        (!rest.starts_with(' ')).then_some((indentation, rest))
    }

    #[test]
    fn the_file_of_every_kind_is_read_as_it_stands() {
        for kind in KINDS {
            let text = text(kind);
            let read = campaign_file::read(text.as_bytes()).unwrap_or_else(|f| panic!("{text}\n{f:?}"));
            assert_eq!((read.len(), read[0].campaign.id.as_str()), (1, "first"));
            assert!(!text.contains("{id}") && !text.contains("{at}") && !text.contains("{about}"), "{text}");
        }
    }

    /// Options that stand instead of another are put in its place.
    #[test]
    fn every_option_is_right_without_its_hash() {
        for kind in KINDS {
            let text = text(kind);
            let lines: Vec<&str> = text.lines().collect();
            let mut found = 0;
            for (at, line) in lines.iter().enumerate() {
                let Some((indentation, rest)) = option(line) else { continue };
                found += 1;
                let used: Vec<String> = lines
                    .iter()
                    .enumerate()
                    .filter(|(_, line)| {
                        !(rest.starts_with("cron:") && line.trim_start().starts_with("every:"))
                    })
                    .map(
                        |(i, line)| if i == at { format!("{indentation}{rest}") } else { (*line).to_owned() },
                    )
                    .collect();
                let used = used.join("\n");
                campaign_file::read(used.as_bytes()).unwrap_or_else(|f| panic!("{rest}: {f:?}\n{used}"));
            }
            assert!(found > 20, "{kind:?} has {found} options");
        }
    }

    /// The keys of a message in the schema.
    fn keys(of: &serde_json::Value) -> Vec<String> {
        let object = if of["properties"].is_object() { of } else { &of["anyOf"][0] };
        object["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, schema)| schema["readOnly"] != true)
            .map(|(key, _)| key.clone())
            .collect()
    }

    #[test]
    fn no_option_is_left_out() {
        let schema = schema().unwrap();
        let of = |name: &str| keys(&schema["definitions"][name]);
        let has = |kind: Kind, all: Vec<String>| {
            let text = text(kind);
            assert!(!all.is_empty());
            let missing: Vec<&String> = all
                .iter()
                .filter(|key| !text.contains(&format!("{key}:")) && !text.contains(&format!("{key},")))
                .collect();
            assert_eq!(missing, Vec::<&String>::new(), "{kind:?}");
        };
        let own = |kind: Kind| {
            keys(&schema).into_iter().filter(|key| kind == Kind::Manual || key != "requires_values").collect()
        };
        for kind in KINDS {
            has(kind, own(kind));
            ["Audience", "Webhook", "Limits", "Conversion", "QuietHours"]
                .iter()
                .for_each(|name| has(kind, of(name)));
        }
        has(Kind::OneTime, of("OneTime"));
        has(Kind::Recurring, of("Recurring"));
        has(Kind::Triggered, of("Triggered"));
        has(Kind::Triggered, of("EntryLimits"));
    }
}
