//! Opens a file: one process at a time, its format checked, its durability set; makes a new one where there is none.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use campanile_core::number::Layout;
use campanile_core::ports::StoreError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

/// Of the tables below, once every upgrade was made. A newer one is refused by name.
const FORMAT: i64 = 9;

/// What makes format 2 of 1, 3 of 2, ... A new file goes through all of them too, so that there is one way to each format.
///
/// | format | since it |
/// | --- | --- |
/// | 2 | old requests are found by an index; log rows and failed sends know when they came, so that age ends them |
/// | 3 | delivery records of users, and marks of the sends of their entries; the latest events with what campaigns decided |
/// | 4 | what users had of campaigns |
/// | 5 | access tokens |
/// | 6 | the deployment's settings; what caps have counted of each user |
/// | 7 | failed sends are kept whole, in the order of their failure, so that they can be sent again; those of before cannot |
/// | 8 | segments and lists of users |
/// | 9 | what operators set for destinations |
const UPGRADES: [&str; 8] = ["
CREATE INDEX IF NOT EXISTS requests_at ON requests (at);
ALTER TABLE failed ADD COLUMN at INTEGER;
ALTER TABLE log ADD COLUMN at INTEGER;
", "
CREATE TABLE records (campaign INTEGER, user INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (campaign, user)) WITHOUT ROWID;
CREATE TABLE marks (campaign INTEGER, user INTEGER, key INTEGER, mark INTEGER NOT NULL, PRIMARY KEY (campaign, user, key))
    WITHOUT ROWID;
CREATE TABLE recent (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL, bytes BLOB NOT NULL);
", "
CREATE TABLE histories (user INTEGER, campaign INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (user, campaign)) WITHOUT ROWID;
", "
CREATE TABLE tokens (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
", "
CREATE TABLE settings (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, doc TEXT NOT NULL);
CREATE TABLE caps (user INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
", "
ALTER TABLE failed ADD COLUMN lane BLOB;
ALTER TABLE failed ADD COLUMN core BLOB;
CREATE INDEX failed_at ON failed (at, seq);
", "
CREATE TABLE segments (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE user_lists (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, doc TEXT NOT NULL, ids BLOB NOT NULL);
", "
CREATE TABLE policies (no INTEGER PRIMARY KEY, revision INTEGER NOT NULL, doc TEXT NOT NULL);
"];

const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE campaigns (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, doc TEXT NOT NULL);
CREATE TABLE revisions (no INTEGER, revision INTEGER, draft TEXT NOT NULL, PRIMARY KEY (no, revision)) WITHOUT ROWID;
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, campaign INTEGER NOT NULL);
CREATE TABLE destinations (name TEXT PRIMARY KEY, no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE users (no INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, profile BLOB NOT NULL);
CREATE TABLE user_ids (id TEXT PRIMARY KEY, no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, accepted_at INTEGER NOT NULL, user INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE seen (day INTEGER, hash INTEGER, PRIMARY KEY (day, hash)) WITHOUT ROWID;
CREATE TABLE control (campaign INTEGER PRIMARY KEY, word BLOB NOT NULL);
CREATE TABLE occurrences (campaign INTEGER, at INTEGER, cursor INTEGER NOT NULL, last INTEGER NOT NULL, closed_at INTEGER,
    PRIMARY KEY (campaign, at)) WITHOUT ROWID;
CREATE TABLE wheel (at INTEGER, seq INTEGER, lane BLOB NOT NULL, core BLOB NOT NULL, PRIMARY KEY (at, seq)) WITHOUT ROWID;
CREATE TABLE lanes (lane BLOB, seq INTEGER, core BLOB NOT NULL, PRIMARY KEY (lane, seq)) WITHOUT ROWID;
CREATE TABLE leases (fence INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL, lane BLOB NOT NULL, core BLOB NOT NULL);
CREATE TABLE entry_data (campaign INTEGER, user INTEGER, key INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (campaign, user, key))
    WITHOUT ROWID;
CREATE TABLE kept (campaign INTEGER, user INTEGER, key INTEGER, action INTEGER, bytes BLOB NOT NULL,
    PRIMARY KEY (campaign, user, key, action)) WITHOUT ROWID;
CREATE TABLE failed (seq INTEGER PRIMARY KEY AUTOINCREMENT, campaign INTEGER, user INTEGER, key INTEGER, action INTEGER);
CREATE TABLE requests (request BLOB PRIMARY KEY, body BLOB NOT NULL, answer BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (campaign INTEGER, field TEXT, n INTEGER NOT NULL, PRIMARY KEY (campaign, field)) WITHOUT ROWID;
CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, bytes BLOB NOT NULL);
CREATE TABLE refused (campaign INTEGER, seq INTEGER, doc TEXT NOT NULL, PRIMARY KEY (campaign, seq)) WITHOUT ROWID;
CREATE TABLE foreign_bytes (seq INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, bytes BLOB NOT NULL);
";

/// What stays of an open file besides its connection.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) layout: Layout,
    /// Locked for as long as it is open.
    pub(crate) lock: Option<File>,
}

/// `seed` makes the birth and the hash key of a new file.
pub(crate) fn open_file(path: &Path, seed: [u8; 19]) -> Result<Opened, StoreError> {
    let lock = lock(path)?;
    // The file is private from its first byte: it will hold secrets.
    private(path)?;
    let connection = Connection::open(path).map_err(|e| broken(&e))?;
    let mut opened = prepare(connection, seed)?;
    opened.lock = Some(lock);
    Ok(opened)
}

pub(crate) fn open_in_memory(seed: [u8; 19]) -> Result<Opened, StoreError> {
    prepare(Connection::open_in_memory().map_err(|e| broken(&e))?, seed)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let name = path.with_extension("lock");
    let refused = |text: String| StoreError::Refused(text);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name);
    let file = file.map_err(|e| refused(format!("open {}: {e}", name.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(refused(format!(
            "{} is in use by another campanile process: stop that one, or give this one another --store",
            path.display()
        ))),
    }
}

fn private(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map(drop).map_err(|e| StoreError::Refused(format!("open {}: {e}", path.display())))
}

/// Another connection to a file that is open already, for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| broken(&e))?;
    let settings = "PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;";
    connection.execute_batch(settings).map_err(|e| broken(&e))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn prepare(connection: Connection, seed: [u8; 19]) -> Result<Opened, StoreError> {
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
        PRAGMA wal_autocheckpoint = 10000; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;";
    connection.execute_batch(settings).map_err(|e| broken(&e))?;
    connection.set_prepared_statement_cache_capacity(128);
    let layout = layout(&connection, seed)?;
    Ok(Opened { connection, layout, lock: None })
}

fn layout(connection: &Connection, seed: [u8; 19]) -> Result<Layout, StoreError> {
    let found = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get::<_, i64>(0));
    if found.map_err(|e| broken(&e))? == 0 {
        create(connection, seed).map_err(|e| broken(&e))?;
    }
    let meta = |name: &str| {
        connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, Vec<u8>>(0))
            .optional()
    };
    let format = connection
        .query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get::<_, i64>(0))
        .optional()
        .unwrap_or_default();
    let format = match format {
        Some(older @ 1..FORMAT) => Some(upgrade(connection, older).map_err(|e| broken(&e))?),
        other => other,
    };
    if format != Some(FORMAT) {
        let found = format.map_or_else(|| "none of ours".to_owned(), |format| format.to_string());
        return Err(StoreError::Foreign {
            place: "the SQLite file".to_owned(),
            text: format!("its format is {found}, this version of campanile reads formats 1 to {FORMAT}"),
        });
    }
    let (birth, key) = (meta("birth").map_err(|e| broken(&e))?, meta("hash_key").map_err(|e| broken(&e))?);
    let birth = birth.and_then(|b| b.try_into().ok());
    let hash_key = key.and_then(|k| k.try_into().ok());
    match (birth, hash_key) {
        (Some(birth), Some(hash_key)) => Ok(Layout { birth, hash_key, shards: 1 }),
        _ => Err(StoreError::Foreign {
            place: "meta".to_owned(),
            text: "birth or hash key is missing".to_owned(),
        }),
    }
}

fn create(connection: &Connection, seed: [u8; 19]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(SCHEMA)?;
    let put = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", params![name, value]).map(drop)
    };
    put("format", &1_i64)?;
    put("birth", &seed[..3].to_vec())?;
    put("hash_key", &seed[3..].to_vec())?;
    for counter in ["fence", "control", "head"] {
        put(counter, &0_i64)?;
    }
    connection.execute_batch("COMMIT")
}

/// All steps or none.
fn upgrade(connection: &Connection, from: i64) -> rusqlite::Result<i64> {
    let transaction = connection.unchecked_transaction()?;
    for step in UPGRADES.iter().skip(from.saturating_sub(1).max(0) as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [FORMAT])?;
    transaction.commit()?;
    Ok(FORMAT)
}

/// What an error of SQLite means to a caller.
pub(crate) fn broken(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full("the disk is full".to_owned()),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Foreign { place: "the SQLite file".to_owned(), text: error.to_string() }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StoreError::Refused(error.to_string())
        }
        _ => StoreError::Away(error.to_string()),
    }
}
