//! Pure. CSV with a header to users. A header may carry a type (`age:int`); without one a cell is text. The iterator reads from
//! what it is given and knows no files.

use std::io::Read;

use csv::{ByteRecord, StringRecord};
use serde_json::{Map, Value};

use crate::cli_import::EmptyCell;
use crate::import_line::{ImportLine, ReadUser};
use crate::line_fields::{ID_NAMES, ZONE_NAMES, read_instant};
use crate::line_starts::{LineStarts, Noted};

const CREATED_NAME: &str = "created_at";

/// What a column fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Id,
    TimeZone,
    CreatedAt,
    Attribute(String, Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Json,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::Json => "json",
        }
    }
}

/// The records after the header.
pub struct CsvUsers<R> {
    reader: csv::Reader<Noted<R>>,
    pub columns: Vec<Column>,
    empty: EmptyCell,
    starts: LineStarts,
    is_over: bool,
}

impl<R: Read> CsvUsers<R> {
    /// Reads the header; the error says why it cannot be used.
    pub fn new(source: R, id_column: Option<&str>, empty: EmptyCell) -> Result<CsvUsers<R>, String> {
        let (source, starts) = Noted::new(source);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        let header = reader.byte_headers().map_err(|e| format!("the header: {e}"))?.clone();
        let header = StringRecord::from_byte_record(header).map_err(|_| "the header: is not UTF-8 text")?;
        let columns = read_header(&header, id_column)?;
        Ok(CsvUsers { reader, columns, empty, starts, is_over: false })
    }
}

impl<R: Read> Iterator for CsvUsers<R> {
    type Item = Result<ImportLine, String>;

    /// A file that cannot be read further ends with the error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                // The record's own line is where the empty lines before it begin.
                let number = self.starts.line_from(record.position().map_or(0, csv::Position::byte));
                let text = StringRecord::from_byte_record(record);
                let text = text.map_err(|e| format!("cell {} is not UTF-8 text", e.utf8_error().field() + 1));
                let user = text.and_then(|record| read_user(&record, &self.columns, self.empty));
                Some(Ok(ImportLine { number, user }))
            }
            Err(e) => {
                self.is_over = true;
                Some(Err(e.to_string()))
            }
        }
    }
}

fn read_header(header: &StringRecord, id_column: Option<&str>) -> Result<Vec<Column>, String> {
    // A byte order mark is what spreadsheets begin a file with.
    let titles: Vec<&str> = header.iter().map(|title| title.trim_start_matches('\u{feff}').trim()).collect();
    let id = id_title(&titles, id_column)?;
    let mut columns = Vec::new();
    for (i, title) in titles.iter().enumerate() {
        let column = match *title {
            "" => return Err(format!("column {} of the header has no name", i + 1)),
            title if title == id => Column::Id,
            title if ZONE_NAMES.contains(&title) => Column::TimeZone,
            CREATED_NAME => Column::CreatedAt,
            title => attribute(title)?,
        };
        if columns.iter().any(|other| same_place(other, &column)) {
            return Err(format!("column {} of the header, {title:?}, is there twice", i + 1));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// The title of the column that names the user.
fn id_title<'a>(titles: &[&'a str], id_column: Option<&str>) -> Result<&'a str, String> {
    let is_id = |title: &&str| id_column.map_or(ID_NAMES.contains(title), |id| id == *title);
    let mut found = titles.iter().copied().filter(is_id);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(id), Some(other)) if id == other => Err(format!("the column {id:?} is there twice")),
        (Some(id), Some(other)) => {
            Err(format!("both {id:?} and {other:?} could name the user: say which with --id-column NAME"))
        }
        (None, _) if id_column.is_some() => Err(format!(
            "no column is called {:?}; there are {}",
            id_column.unwrap_or_default(),
            titles.join(", ")
        )),
        (None, _) => {
            let semicolons = titles.iter().any(|title| title.contains([';', '\t']));
            let hint = if semicolons { " (cells are separated by commas)" } else { "" };
            Err(format!("no column names the user: call it id, or say which with --id-column NAME{hint}"))
        }
    }
}

fn same_place(a: &Column, b: &Column) -> bool {
    match (a, b) {
        (Column::Attribute(a, _), Column::Attribute(b, _)) => a == b,
        (a, b) => a == b,
    }
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
        other => {
            return Err(format!(
                "{title:?}: {other:?} is not a type, expected int, float, bool, json or text ({title}:text is an attribute called {title:?})"
            ));
        }
    };
    Ok(Column::Attribute(name.trim().to_owned(), kind))
}

fn read_user(record: &StringRecord, columns: &[Column], empty: EmptyCell) -> Result<ReadUser, String> {
    if record.len() != columns.len() {
        return Err(format!("has {} cells, the header has {}", record.len(), columns.len()));
    }
    let mut user = ReadUser::default();
    let mut faults = Vec::new();
    for (cell, column) in record.iter().zip(columns) {
        match column {
            Column::Id if cell.is_empty() => faults.push("the cell of the user's id is empty".to_owned()),
            Column::Id => user.id = cell.to_owned(),
            Column::TimeZone => user.time_zone = cell.trim().to_owned(),
            Column::CreatedAt if cell.trim().is_empty() => {}
            Column::CreatedAt => match read_instant(CREATED_NAME, cell.trim()) {
                Ok(at) => user.created_at = Some(at),
                Err(fault) => faults.push(fault),
            },
            Column::Attribute(name, kind) => {
                fill(&mut user.attributes, name, *kind, cell, empty, &mut faults)
            }
        }
    }
    if faults.is_empty() { Ok(user) } else { Err(faults.join("; ")) }
}

fn fill(
    attributes: &mut Map<String, Value>,
    name: &str,
    kind: Kind,
    cell: &str,
    empty: EmptyCell,
    faults: &mut Vec<String>,
) {
    if cell.is_empty() {
        if empty == EmptyCell::Unset {
            attributes.insert(name.to_owned(), Value::Null);
        }
        return;
    }
    match read_cell(cell, kind) {
        Ok(value) => drop(attributes.insert(name.to_owned(), value)),
        Err(what) => faults.push(format!("{name}: {cell:?} is not {what}")),
    }
}

fn read_cell(cell: &str, kind: Kind) -> Result<Value, &'static str> {
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
        Kind::Json => serde_json::from_str(trimmed).map_err(|_| "JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8], empty: EmptyCell) -> Vec<ImportLine> {
        CsvUsers::new(text, None, empty).unwrap().map(Result::unwrap).collect()
    }

    fn attributes(text: &str, empty: EmptyCell) -> String {
        let user = read_all(text.as_bytes(), empty).remove(0).user.unwrap();
        Value::Object(user.attributes).to_string()
    }

    #[test]
    fn a_cell_is_text_unless_its_column_says_otherwise() {
        let text = "id,age,n:int,score:float,vip:bool,tags:json,utm:source:text,timezone,created_at\n\
                    mary,41, 41 ,1.5,TRUE,\"[\"\"a\"\",1]\",x,Europe/Berlin,2026-01-31T08:00:00Z\n";
        let expected = r#"{"age":"41","n":41,"score":1.5,"vip":true,"tags":["a",1],"utm:source":"x"}"#;
        assert_eq!(attributes(text, EmptyCell::Keep), expected);
        let user = read_all(text.as_bytes(), EmptyCell::Keep).remove(0).user.unwrap();
        assert_eq!((user.id.as_str(), user.time_zone.as_str()), ("mary", "Europe/Berlin"));
        assert_eq!(user.created_at.unwrap().seconds, 1_769_846_400);
    }

    #[test]
    fn numbers_keep_their_kind_and_size() {
        let check = |kind: &str, cell: &str, expected: &str| {
            let text = format!("id,x:{kind}\na,{cell}\n");
            assert_eq!(attributes(&text, EmptyCell::Keep), format!("{{\"x\":{expected}}}"), "{kind} {cell}");
        };
        check("int", "9007199254740993", "9007199254740993");
        check("int", "-9223372036854775808", "-9223372036854775808");
        check("int", "007", "7");
        check("float", "2", "2.0");
        check("float", "1e3", "1000.0");
        check("json", "9007199254740993", "9007199254740993");
        check("json", "null", "null");
        check("text", " 01067 ", "\" 01067 \"");
        check("bool", "no", "false");
    }

    #[test]
    fn an_empty_cell_leaves_or_removes() {
        let text = "user_id,a,b:int\nmary,,\n";
        assert_eq!(attributes(text, EmptyCell::Keep), "{}");
        assert_eq!(attributes(text, EmptyCell::Unset), r#"{"a":null,"b":null}"#);
    }

    #[test]
    fn bad_lines_are_told_by_number_and_good_ones_are_read() {
        let text = b"id,n:int\na,1\nb,x\nc,3,4\n\"d\n\",5\n\n\ne,6\nf\xff,7\n,8\ng,9\n";
        let read = read_all(text, EmptyCell::Keep);
        let found: Vec<(u64, bool)> = read.iter().map(|line| (line.number, line.user.is_ok())).collect();
        let expected =
            [(2, true), (3, false), (4, false), (5, true), (9, true), (10, false), (11, false), (12, true)];
        assert_eq!(found, expected);
        assert_eq!(read[1].user.as_ref().unwrap_err(), "n: \"x\" is not a whole number");
        assert_eq!(read[2].user.as_ref().unwrap_err(), "has 3 cells, the header has 2");
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        for text in [
            "id\na\n\n\nb",
            "id\r\na\r\n\r\n\r\nb\r\n",
            "\n\nid\nb\n",
            "id,x\r\na,\"1\r\n2\"\r\n\r\nb,",
            "id,x\na,\"1\n2\"\n\nb,",
        ] {
            let read = read_all(text.as_bytes(), EmptyCell::Keep);
            let last = read.last().unwrap();
            let lines = text.lines().count() as u64;
            assert_eq!((last.number, last.user.as_ref().unwrap().id.as_str()), (lines, "b"), "{text:?}");
        }
    }

    #[test]
    fn every_bad_cell_of_a_line_is_told() {
        let text = b"id,a:float,b:bool,c:json,created_at\nx,nan,maybe,{,soon\n";
        let fault = read_all(text, EmptyCell::Keep).remove(0).user.unwrap_err();
        for part in
            ["a: \"nan\" is not a number", "b: \"maybe\"", "c: \"{\" is not JSON", "created_at: \"soon\""]
        {
            assert!(fault.contains(part), "{part}: {fault}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for (text, id, why) in [
            ("name,age\nx,1\n", None, "no column names the user"),
            ("id;age\nx;1\n", None, "separated by commas"),
            ("id,user_id\nx,1\n", None, "both \"id\" and \"user_id\""),
            ("id,age:number\nx,1\n", None, "is not a type"),
            ("id,,x\na,b,c\n", None, "column 2"),
            ("id,age,age:int\na,b,c\n", None, "column 3"),
            ("id,x\na,b\n", Some("mail"), "mail"),
            ("", None, "no column names the user"),
        ] {
            let error = CsvUsers::new(text.as_bytes(), id, EmptyCell::Keep).err().expect("refused");
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn another_column_may_name_the_user() {
        let text = "\u{feff}mail,id\r\nm@x.org,5\r\n";
        let users = CsvUsers::new(text.as_bytes(), Some("mail"), EmptyCell::Keep).unwrap();
        let user = users.map(Result::unwrap).next().unwrap().user.unwrap();
        assert_eq!((user.id.as_str(), user.attributes.get("id")), ("m@x.org", Some(&Value::from("5"))));
    }
}
