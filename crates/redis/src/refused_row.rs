//! Pure. A single refusal's stored bytes.
//!
//! | format | campaign | at ms | reason | user id | cause | text |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 4 | 6 | 1 | 2 + bytes | 2 + bytes | the rest |

use campanile_core::number::{CampaignNo, instant, millis};
use campanile_core::ports::RefusedRow;
use campanile_core::reason::Refusal;

use crate::reply::number;

const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 12;
/// Of each text; a refusal is a hint for a person, not a record.
const TEXT_BYTES_MAX: usize = 1024;

pub(crate) fn encode(row: &RefusedRow) -> Vec<u8> {
    let mut out = vec![FORMAT];
    out.extend(row.campaign.0.to_be_bytes());
    out.extend(&millis(row.at).to_be_bytes()[2..]);
    out.push(row.reason.code());
    for text in [cut(&row.user_id), cut(&row.cause)] {
        out.extend((text.len() as u16).to_be_bytes());
        out.extend(text.as_bytes());
    }
    out.extend(cut(&row.text).as_bytes());
    out
}

/// `None`: not a refusal of this version.
pub(crate) fn decode(bytes: &[u8]) -> Option<RefusedRow> {
    let (b, rest) = bytes.split_at_checked(FIXED_BYTES)?;
    if b[0] != FORMAT {
        return None;
    }
    let (user_id, rest) = prefixed(rest)?;
    let (cause, rest) = prefixed(rest)?;
    Some(RefusedRow {
        campaign: CampaignNo(number(&b[1..5]) as u32),
        at: instant(number(&b[5..11])),
        reason: Refusal::from_code(b[11])?,
        user_id,
        cause,
        text: String::from_utf8(rest.to_vec()).ok()?,
    })
}

fn cut(text: &str) -> &str {
    if text.len() > TEXT_BYTES_MAX { &text[..text.floor_char_boundary(TEXT_BYTES_MAX)] } else { text }
}

fn prefixed(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = bytes.split_at_checked(2)?;
    let (text, rest) = rest.split_at_checked(number(len) as usize)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> RefusedRow {
        RefusedRow {
            campaign: CampaignNo(258),
            at: instant(1_700_000_000_123),
            user_id: "mary".to_owned(),
            reason: Refusal::Paused,
            cause: "e-1".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn stored_bytes_never_change() {
        let golden = "01 00000102 018bcfe5687b 05 0004 6d617279 0003 652d31 6e6f";
        let hex: String = encode(&row("no")).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, golden.replace(' ', ""));
    }

    #[test]
    fn a_refusal_comes_back_as_it_was_kept() {
        assert_eq!(decode(&encode(&row("grüße"))), Some(row("grüße")));
        assert_eq!(decode(&encode(&row(&"ü".repeat(600)))), Some(row(&"ü".repeat(512))));
    }

    #[test]
    fn foreign_bytes_are_no_refusal() {
        let bytes = encode(&row("no"));
        for cut in 0..bytes.len() - 2 {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
        for (place, byte) in [(0, 2), (11, 99), (13, 200), (14, 0xff)] {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            assert_eq!(decode(&bytes), None, "{place}");
        }
    }
}
