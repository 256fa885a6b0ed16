//! CSV with a header to users. A header may carry a type (`age:int`); without one a cell is text.

use std::io::Read;

use campanile_proto::v1 as wire;
use csv::StringRecord;
use serde_json::{Map, Value};

use crate::cli::EmptyCell;
use crate::user_commands::ReadLine;

const ID_NAMES: [&str; 3] = ["id", "user_id", "userId"];
const ZONE_NAMES: [&str; 2] = ["timezone", "time_zone"];

/// What a column fills.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Id,
    TimeZone,
    CreatedAt,
    Attribute(String, Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Json,
}

/// Every line after the header; an unusable header is an error.
pub fn lines<R: Read + Send>(
    file: R,
    id_column: Option<&str>,
    empty: EmptyCell,
) -> Result<impl Iterator<Item = ReadLine> + Send + use<R>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers().map_err(|e| format!("the header: {e}"))?.clone();
    let columns = columns(&header, id_column)?;
    Ok(reader.into_records().enumerate().map(move |(i, record)| match record {
        Err(e) => ReadLine { number: e.position().map_or(i as u64 + 2, csv::Position::line), user: Err(e.to_string()) },
        Ok(record) => {
            let number = record.position().map_or(i as u64 + 2, csv::Position::line);
            ReadLine { number, user: user(&record, &columns, empty) }
        }
    }))
}

fn columns(header: &StringRecord, id_column: Option<&str>) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    // A byte order mark is what spreadsheets begin a file with.
    for (i, title) in header.iter().map(|t| t.trim_start_matches('\u{feff}').trim()).enumerate() {
        let is_id = id_column.map_or(ID_NAMES.contains(&title), |id| id == title);
        columns.push(match title {
            "" => return Err(format!("column {} of the header has no name", i + 1)),
            _ if is_id && !columns.contains(&Column::Id) => Column::Id,
            _ if ZONE_NAMES.contains(&title) => Column::TimeZone,
            "created_at" => Column::CreatedAt,
            _ => attribute(title)?,
        });
    }
    if !columns.contains(&Column::Id) {
        let names = id_column.map_or_else(|| ID_NAMES.join(", "), str::to_owned);
        return Err(format!("the header has no column that names the user ({names}); say which with --id-column NAME"));
    }
    Ok(columns)
}

fn attribute(title: &str) -> Result<Column, String> {
    let Some((name, kind)) = title.rsplit_once(':') else {
        return Ok(Column::Attribute(title.to_owned(), Kind::Text));
    };
    let kind = match kind.trim() {
        "text" | "string" => Kind::Text,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "json" => Kind::Json,
        other => return Err(format!("{title:?}: {other:?} is not a type, expected text, int, float, bool or json")),
    };
    Ok(Column::Attribute(name.trim().to_owned(), kind))
}

fn user(record: &StringRecord, columns: &[Column], empty: EmptyCell) -> Result<wire::UserUpdate, String> {
    if record.len() != columns.len() {
        return Err(format!("has {} cells, the header has {}", record.len(), columns.len()));
    }
    let mut user = wire::UserUpdate::default();
    let mut attributes = Map::new();
    for (cell, column) in record.iter().zip(columns) {
        match column {
            Column::Id => user.id = cell.to_owned(),
            Column::TimeZone => user.time_zone = cell.to_owned(),
            Column::CreatedAt if cell.is_empty() => {}
            Column::CreatedAt => {
                let at: jiff::Timestamp =
                    cell.parse().map_err(|_| format!("created_at: {cell:?} is not RFC 3339, such as 2026-01-31T08:00:00Z"))?;
                user.created_at =
                    Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() });
            }
            Column::Attribute(name, _) if cell.is_empty() => {
                if empty == EmptyCell::Unset {
                    attributes.insert(name.clone(), Value::Null);
                }
            }
            Column::Attribute(name, kind) => {
                let value = read(cell, *kind).map_err(|what| format!("{name}: {cell:?} is not {what}"))?;
                attributes.insert(name.clone(), value);
            }
        }
    }
    if !attributes.is_empty() {
        user.attributes = Value::Object(attributes).to_string();
    }
    Ok(user)
}

fn read(cell: &str, kind: Kind) -> Result<Value, &'static str> {
    let trimmed = cell.trim();
    match kind {
        Kind::Text => Ok(Value::String(cell.to_owned())),
        Kind::Int => trimmed.parse::<i64>().map(Value::from).map_err(|_| "a whole number"),
        Kind::Float => {
            let number = trimmed.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map(Value::Number).ok_or("a number")
        }
        Kind::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Value::Bool(true)),
            "false" | "0" | "no" => Ok(Value::Bool(false)),
            _ => Err("true or false"),
        },
        Kind::Json => serde_json::from_str(cell).map_err(|_| "JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, empty: EmptyCell) -> Vec<(u64, Result<wire::UserUpdate, String>)> {
        lines(text.as_bytes(), None, empty).unwrap().map(|line| (line.number, line.user)).collect()
    }

    #[test]
    fn a_cell_is_text_unless_its_column_says_otherwise() {
        let text = "id,age,n:int,score:float,vip:bool,tags:json,timezone,created_at\n\
                    mary,41,41,1.5,true,\"[\"\"a\"\",1]\",Europe/Berlin,2026-01-31T08:00:00Z\n";
        let read = read_all(text, EmptyCell::Keep);
        let user = read[0].1.as_ref().unwrap();
        assert_eq!(user.attributes, r#"{"age":"41","n":41,"score":1.5,"vip":true,"tags":["a",1]}"#);
        assert_eq!((user.id.as_str(), user.time_zone.as_str()), ("mary", "Europe/Berlin"));
        assert_eq!(user.created_at.unwrap().seconds, 1_769_846_400);
    }

    #[test]
    fn an_empty_cell_leaves_or_removes() {
        let text = "user_id,a,b:int\nmary,,\n";
        assert_eq!(read_all(text, EmptyCell::Keep)[0].1.as_ref().unwrap().attributes, "");
        assert_eq!(read_all(text, EmptyCell::Unset)[0].1.as_ref().unwrap().attributes, r#"{"a":null,"b":null}"#);
    }

    #[test]
    fn bad_lines_are_named_by_number_and_good_ones_are_read() {
        let text = "id,n:int\na,1\nb,x\nc,3,4\n\"d\n\",5\ne,6\n";
        let read = read_all(text, EmptyCell::Keep);
        let bad: Vec<u64> = read.iter().filter(|(_, user)| user.is_err()).map(|(n, _)| *n).collect();
        assert_eq!((bad, read.len()), (vec![3, 4], 5));
        assert_eq!(read[4].0, 7);
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for (text, id, why) in [
            ("name,age\nx,1\n", None, "no column that names the user"),
            ("id,age:number\nx,1\n", None, "is not a type"),
            ("id,,x\na,b,c\n", None, "column 2"),
            ("id,x\na,b\n", Some("mail"), "mail"),
        ] {
            let error = lines(text.as_bytes(), id, EmptyCell::Keep).err().expect("refused");
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
