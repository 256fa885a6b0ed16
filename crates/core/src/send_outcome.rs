//! Pure. What became of a send, as the shard's event log tells it to whoever listens: its campaign's next step, another campaign's
//! trigger, a conversion. The store writes it in the settle that ends the send, where the campaign's control word has `EMIT`.
//!
//! | format | flags | hops | variant | row |
//! | --- | --- | --- | --- | --- |
//! | 2 | 1 | 1 | 1 + its bytes | a `LogRow` |
//!
//! Flags: 1 the first POST of the send, 2 its entry is still open.

use crate::due_send::ForeignBytes;
use crate::log_row::LogRow;
use crate::slug::Slug;

/// Items of format 1 are MessagePack.
pub const FORMAT: u8 = 2;
const FIRST_POST: u8 = 1;
const OPEN: u8 = 2;

/// A send that ended, or was posted for the first time and goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendOutcome {
    /// As the send log keeps it: campaign, user, entry, action, how it ended, status, when.
    pub row: LogRow,
    pub variant: Option<Slug>,
    /// How many campaigns have set one another off, one after the other, until this send.
    pub hops: u8,
    /// The first settled POST of the send, whatever came of it: the send counts as sent.
    pub is_first_post: bool,
    /// Its entry may have further messages: the scheduler ends it. Not so for what was sent again after its entry had ended.
    pub is_open: bool,
}

/// In front of the row. A store that runs scripts puts the same bytes together itself.
pub fn head(is_first_post: bool, is_open: bool, hops: u8, variant: Option<&Slug>) -> Vec<u8> {
    let name = variant.map_or("", Slug::as_str);
    let mut out = Vec::with_capacity(4 + name.len());
    let flags = if is_first_post { FIRST_POST } else { 0 } | if is_open { OPEN } else { 0 };
    out.extend([FORMAT, flags, hops, name.len().min(255) as u8]);
    out.extend(name.bytes());
    out
}

impl SendOutcome {
    pub fn encode(&self) -> Vec<u8> {
        [head(self.is_first_post, self.is_open, self.hops, self.variant.as_ref()), self.row.encode()].concat()
    }

    pub fn decode(bytes: &[u8]) -> Result<SendOutcome, ForeignBytes> {
        let short = || ForeignBytes(format!("the outcome of a send in {} bytes", bytes.len()));
        let (&[format, flags, hops, len], rest) = bytes.split_first_chunk().ok_or_else(short)?;
        if format != FORMAT {
            return Err(ForeignBytes(format!("send outcome format {format}, expected {FORMAT}")));
        }
        let (name, row) = rest.split_at_checked(usize::from(len)).ok_or_else(short)?;
        let variant = match name {
            [] => None,
            name => Some(std::str::from_utf8(name).ok().and_then(Slug::new).ok_or_else(|| {
                ForeignBytes("the outcome of a send with a variant that is no name".to_owned())
            })?),
        };
        match LogRow::decode(row)? {
            (row, []) => {
                let (is_first_post, is_open) = (flags & FIRST_POST != 0, flags & OPEN != 0);
                Ok(SendOutcome { row, variant, hops, is_first_post, is_open })
            }
            _ => Err(ForeignBytes("the outcome of a send with bytes behind it".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::log_row::Ended;
    use crate::number::{CampaignNo, UserNo};

    fn outcome(variant: &str, hops: u8, is_first_post: bool) -> SendOutcome {
        let row = LogRow {
            ended: Ended::Delivered,
            campaign: CampaignNo(7),
            user: UserNo(8),
            user_hash: [1, 2, 3],
            key: 9,
            action: 1,
            due_at: Timestamp::UNIX_EPOCH,
            at: Timestamp::UNIX_EPOCH,
            revision: 3,
            attempts: 2,
            status: 202,
            took_ms: 250,
            text: "fine".to_owned(),
        };
        SendOutcome { row, variant: Slug::new(variant), hops, is_first_post, is_open: hops > 0 }
    }

    #[test]
    fn an_outcome_is_read_as_it_was_written_and_never_from_less() {
        for outcome in [outcome("bold", 3, true), outcome("", 0, false)] {
            let bytes = outcome.encode();
            assert_eq!(SendOutcome::decode(&bytes), Ok(outcome));
            for len in 0..bytes.len() {
                assert!(SendOutcome::decode(&bytes[..len]).is_err(), "{len}");
            }
            assert!(SendOutcome::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SendOutcome::decode(&bytes);
            let _ = SendOutcome::decode(&[&[FORMAT][..], &bytes].concat());
        }
    }
}
