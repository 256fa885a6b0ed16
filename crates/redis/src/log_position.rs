//! Pure. Where a reader stands in the log of a shard, and the token that says it for all shards at once.
//!
//! A token is `1700000000000-0.3_x_..`: for each shard in order an entry and how many of its rows were read, `x` where the log ended.

use std::fmt;

use campanile_core::ports::StoreError;

/// Behind an entry's last row, whatever their number.
pub(crate) const ALL_ROWS: u16 = u16::MAX;

/// The first `rows` rows of entry `ms-seq` were read, counted in the reader's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
    pub(crate) rows: u16,
}

impl Position {
    /// An entry's id, nothing of it read.
    pub(crate) fn parse_id(id: &str) -> Option<Position> {
        let (ms, seq) = id.split_once('-')?;
        Some(Position { ms: digits(ms)?, seq: digits(seq)?, rows: 0 })
    }

    pub(crate) fn same_entry(self, other: Position) -> bool {
        (self.ms, self.seq) == (other.ms, other.seq)
    }

    /// From where a range begins.
    pub(crate) fn range_start(self) -> String {
        let open = if self.rows == ALL_ROWS { "(" } else { "" };
        format!("{open}{}-{}", self.ms, self.seq)
    }
}

/// Only what `Display` writes: no sign, no blank.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.ms, self.seq, self.rows)
    }
}

pub(crate) fn write_token(positions: impl Iterator<Item = Option<Position>>) -> String {
    let parts: Vec<String> =
        positions.map(|position| position.map_or_else(|| "x".to_owned(), |p| p.to_string())).collect();
    parts.join("_")
}

/// The token of a listing over `shards` logs.
pub(crate) fn read_token(token: &str, shards: usize) -> Result<Vec<Option<Position>>, StoreError> {
    let part = |part: &str| match part {
        "x" => Some(None),
        _ => {
            let (id, rows) = part.split_once('.')?;
            Some(Some(Position { rows: digits(rows)?, ..Position::parse_id(id)? }))
        }
    };
    token
        .split('_')
        .map(part)
        .collect::<Option<Vec<_>>>()
        .filter(|positions| positions.len() == shards)
        .ok_or_else(|| StoreError::Refused("the page token is not one of this listing".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_every_shard_stands() {
        let positions = vec![
            Some(Position { ms: 1_700_000_000_000, seq: 2, rows: 3 }),
            None,
            Some(Position { ms: 0, seq: 0, rows: ALL_ROWS }),
        ];
        let token = write_token(positions.iter().copied());
        assert_eq!(token, "1700000000000-2.3_x_0-0.65535");
        assert_eq!(read_token(&token, 3), Ok(positions));
    }

    #[test]
    fn a_token_of_another_listing_is_refused() {
        for (token, shards) in [
            ("", 1),
            ("x", 2),
            ("x_x", 1),
            ("1-2", 1),
            ("1.2", 1),
            ("+1-2.3", 1),
            ("1-2.65536", 1),
            ("(1-2.3", 1),
            ("1-2.3_", 1),
        ] {
            assert!(matches!(read_token(token, shards), Err(StoreError::Refused(_))), "{token}");
        }
    }
}
