//! Pure. A row of the send log: what became of a send at one settle, in 47 bytes and a short text.
//!
//! | format | ended | reason | action | attempt | campaign | user | user hash | key | due ms | at ms | revision | status | took ms | text |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 1 | 1 | 1 | 1 | 4 | 5 | 3 | 8 | 6 | 6 | 3 | 2 | 4 | 1 + up to 255 |

use jiff::Timestamp;

use crate::due_send::{ForeignBytes, SendId, be};
use crate::number::{CampaignNo, Layout, Shard, UserNo, instant, millis};
use crate::reason::{Failure, Suppression};

const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 46;

/// What a settle did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    Delivered,
    Failed(Failure),
    Suppressed(Suppression),
    /// An attempt failed and another will follow: the send goes on.
    Retrying,
    /// The condition of its action was false: the next one is considered, and the send is counted as never planned.
    Skipped,
    /// The event that its action waited for did not come in time: the entry ends, and the send is counted as never planned.
    Missed,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub ended: Ended,
    pub campaign: CampaignNo,
    pub user: UserNo,
    pub user_hash: [u8; 3],
    pub key: u64,
    pub action: u8,
    pub due_at: Timestamp,
    /// When it was settled.
    pub at: Timestamp,
    pub revision: u32,
    /// Attempts made so far, as the far end saw them.
    pub attempts: u8,
    /// HTTP status of the last attempt; 0 where there was no answer or no attempt.
    pub status: u16,
    /// How long the last attempt took.
    pub took_ms: u32,
    /// Why, in a few words; cut to 255 bytes.
    pub text: String,
}

impl LogRow {
    pub fn send_id(&self, layout: &Layout, shard: Shard) -> SendId {
        SendId {
            birth: layout.birth,
            shard,
            campaign: self.campaign,
            user: self.user,
            user_hash: self.user_hash,
            key: self.key,
            action: self.action,
        }
    }

    /// Whether the row is about this send.
    pub fn is_of(&self, id: &SendId) -> bool {
        self.campaign == id.campaign
            && self.user == id.user
            && self.user_hash == id.user_hash
            && self.key == id.key
            && self.action == id.action
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut text = self.text.as_str();
        if text.len() > 255 {
            text = &text[..text.floor_char_boundary(255)];
        }
        let (ended, reason) = match self.ended {
            Ended::Delivered => (1, 0),
            Ended::Failed(reason) => (2, reason.code()),
            Ended::Suppressed(reason) => (3, reason.code()),
            Ended::Retrying => (4, 0),
            Ended::Skipped => (5, 0),
            Ended::Missed => (6, 0),
        };
        let mut out = Vec::with_capacity(FIXED_BYTES + 1 + text.len());
        out.extend([FORMAT, ended, reason, self.action, self.attempts]);
        out.extend(self.campaign.0.to_be_bytes());
        out.extend(&self.user.0.to_be_bytes()[3..]);
        out.extend(self.user_hash);
        out.extend(self.key.to_be_bytes());
        out.extend(&millis(self.due_at).to_be_bytes()[2..]);
        out.extend(&millis(self.at).to_be_bytes()[2..]);
        out.extend(&self.revision.to_be_bytes()[1..]);
        out.extend(self.status.to_be_bytes());
        out.extend(self.took_ms.to_be_bytes());
        out.push(text.len() as u8);
        out.extend(text.as_bytes());
        out
    }

    /// Reads one row and answers the bytes after it: rows stand one behind the other.
    pub fn decode(bytes: &[u8]) -> Result<(LogRow, &[u8]), ForeignBytes> {
        let short = || ForeignBytes(format!("a log row of {} bytes", bytes.len()));
        let (b, rest) = bytes.split_at_checked(FIXED_BYTES).ok_or_else(short)?;
        if b[0] != FORMAT {
            return Err(ForeignBytes(format!("log row format {}, expected {FORMAT}", b[0])));
        }
        let (&len, rest) = rest.split_first().ok_or_else(short)?;
        let (text, rest) = rest.split_at_checked(usize::from(len)).ok_or_else(short)?;
        let foreign = || ForeignBytes(format!("a log row ended {} for reason {}", b[1], b[2]));
        let ended = match b[1] {
            1 => Ended::Delivered,
            2 => Ended::Failed(Failure::from_code(b[2]).ok_or_else(foreign)?),
            3 => Ended::Suppressed(Suppression::from_code(b[2]).ok_or_else(foreign)?),
            4 => Ended::Retrying,
            5 => Ended::Skipped,
            6 => Ended::Missed,
            _ => return Err(foreign()),
        };
        let row = LogRow {
            ended,
            action: b[3],
            attempts: b[4],
            campaign: CampaignNo(be(&b[5..9]) as u32),
            user: UserNo(be(&b[9..14])),
            user_hash: [b[14], b[15], b[16]],
            key: be(&b[17..25]),
            due_at: instant(be(&b[25..31])),
            at: instant(be(&b[31..37])),
            revision: be(&b[37..40]) as u32,
            status: be(&b[40..42]) as u16,
            took_ms: be(&b[42..46]) as u32,
            text: String::from_utf8_lossy(text).into_owned(),
        };
        Ok((row, rest))
    }
}
