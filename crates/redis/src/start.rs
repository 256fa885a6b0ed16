//! The first minute with a server: is it one that keeps what it is given, and is what it holds ours.

use std::fmt::Write;

use campanile_core::number::Layout;
use campanile_core::ports::StoreError;
use redis::Value;

use crate::arguments::Arguments;
use crate::connection::Connection;
use crate::keys;
use crate::scripts::Scripts;

/// Of the keys and bytes in `keys`.
const FORMAT: &str = "1";
const SHARDS_DEFAULT: u16 = 16;
const SHARDS_MAX: u16 = 1_024;

/// Refuses a server that would lose what it acknowledged; goes on where it does not say.
pub(crate) async fn check_server(connection: &Connection) -> Result<(), StoreError> {
    let infos = match connection.info().await {
        Ok(infos) => infos,
        Err(e @ StoreError::Away(_)) => return Err(e),
        Err(_) => Vec::new(),
    };
    let mut texts = infos.into_iter().filter_map(|info| match info {
        Value::BulkString(info) => Some(String::from_utf8_lossy(&info).into_owned()),
        Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    });
    let Some(first) = texts.next() else {
        tracing::warn!("redis does not answer INFO: going on without knowing its version and settings");
        return Ok(());
    };
    check_info(&first)?;
    texts.try_for_each(|info| check_info(&info))
}

fn check_info(info: &str) -> Result<(), StoreError> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    if let Some(version) = field("redis_version")
        && version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major < 7)
    {
        return Err(StoreError::Refused(format!("redis {version} is too old, expected 7.0 or later")));
    }
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        return Err(StoreError::Refused(format!(
            "redis has maxmemory-policy {policy}, which drops sends when memory is short, expected noeviction"
        )));
    }
    if field("aof_enabled") == Some("0") {
        tracing::warn!(
            "redis has no append-only file: what it acknowledged since its last snapshot is lost when it dies; set appendonly yes"
        );
    }
    Ok(())
}

/// Fixes the layout at the first start; later takes the stored one, and refuses another number of shards.
pub(crate) async fn fix_layout(
    connection: &Connection,
    scripts: &Scripts,
    seed: [u8; 19],
    shards: Option<u16>,
) -> Result<Layout, StoreError> {
    if let Some(n) = shards.filter(|n| !(1..=SHARDS_MAX).contains(n)) {
        return Err(StoreError::Refused(format!("{n} shards, expected 1 to {SHARDS_MAX}")));
    }
    let (birth, hash_key) = seed.split_at(3);
    let first = Arguments::new()
        .bytes(FORMAT)
        .number(shards.unwrap_or(SHARDS_DEFAULT))
        .bytes(hex(birth))
        .bytes(hex(hash_key));
    let (_, mut reply) = connection.run(&scripts.layout, &[keys::LAYOUT], first).await?;
    let format = reply.text()?;
    if format != FORMAT {
        return Err(StoreError::Refused(format!("the store has layout format {format}, expected {FORMAT}")));
    }
    let foreign = |text: String| StoreError::Foreign { place: keys::LAYOUT.to_owned(), text };
    let stored = reply.text()?;
    let stored: u16 = stored
        .parse()
        .ok()
        .filter(|n| (1..=SHARDS_MAX).contains(n))
        .ok_or_else(|| foreign(format!("{stored} shards, expected 1 to {SHARDS_MAX}")))?;
    if let Some(n) = shards.filter(|n| *n != stored) {
        return Err(StoreError::Refused(format!(
            "the store was first started with {stored} shards, not {n}; their number never changes"
        )));
    }
    let birth = unhex(&reply.text()?).ok_or_else(|| foreign("birth, expected 3 bytes in hex".to_owned()))?;
    let hash_key =
        unhex(&reply.text()?).ok_or_else(|| foreign("hash_key, expected 16 bytes in hex".to_owned()))?;
    Ok(Layout { birth, hash_key, shards: stored })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}
