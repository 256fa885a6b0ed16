//! Pure. An event that was looked at a short while ago, and what each campaign it met decided: what is watched, rehearsed with and shown on
//! the page of a user. A bounded number is kept in each shard.
//!
//! | format | number | accepted ms | user | flags | campaigns | each: campaign, what | entered: key, due ms | refused: reason, text | the rest |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 8 | 6 | 5 | 1 | 1 | 4, 1 | 8, 6 | 1, 1 + up to 255 | packed log item |

use jiff::Timestamp;

use crate::due_send::{ForeignBytes, be};
use crate::event::{Event, LogItem};
use crate::limits;
use crate::number::{CampaignNo, UserNo, instant, millis};
use crate::reason::Refusal;

const FORMAT: u8 = 1;
const CUT: u8 = 1;
const ENTERED: u8 = 1;
const REFUSED: u8 = 2;

#[derive(Clone, Debug, PartialEq)]
pub struct RecentEvent {
    /// Its place among all events the shard ever took.
    pub number: u64,
    pub accepted_at: Timestamp,
    pub user: UserNo,
    pub event: Event,
    /// It fired nothing, whoever names it.
    pub is_imported: bool,
    /// Its properties were too long to be kept twice.
    pub is_cut: bool,
    /// The campaigns that name it, at most `limits::RECENT_MET_MAX`.
    pub met: Vec<Met>,
}

/// An event that was looked at, kept for a while: packed, by its place among all events of the shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentRow {
    pub number: u64,
    pub bytes: Vec<u8>,
}

/// What a campaign decided about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Met {
    pub campaign: CampaignNo,
    pub decided: Decided,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// The key of the entry, from which its send ids follow, and when its first send is due.
    Entered { key: u64, due_at: Timestamp },
    /// With the first condition that was false.
    Refused(Refusal, String),
}

/// Stored bytes. `item` is the event as the log held it: it is copied, not packed again.
pub fn encode(
    number: u64,
    accepted_at: Timestamp,
    user: UserNo,
    (item, event): (&[u8], &LogItem),
    met: &[Met],
) -> Vec<u8> {
    let cut = (item.len() > limits::RECENT_ITEM_BYTES_MAX).then(|| without_properties(event).pack());
    let item_kept = cut.as_deref().unwrap_or(item);
    let mut out = Vec::with_capacity(22 + met.len() * 24 + item_kept.len());
    out.push(FORMAT);
    out.extend(number.to_be_bytes());
    out.extend(&millis(accepted_at).to_be_bytes()[2..]);
    out.extend(&user.0.to_be_bytes()[3..]);
    out.push(if cut.is_some() { CUT } else { 0 });
    let met = &met[..met.len().min(limits::RECENT_MET_MAX)];
    out.push(met.len() as u8);
    for met in met {
        out.extend(met.campaign.0.to_be_bytes());
        match &met.decided {
            Decided::Entered { key, due_at } => {
                out.push(ENTERED);
                out.extend(key.to_be_bytes());
                out.extend(&millis(*due_at).to_be_bytes()[2..]);
            }
            Decided::Refused(reason, text) => {
                let text = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
                out.extend([REFUSED, reason.code(), text.len() as u8]);
                out.extend(text.as_bytes());
            }
        }
    }
    out.extend(item_kept);
    out
}

fn without_properties(item: &LogItem) -> LogItem {
    let bare = |event: &Event| Event { properties: Default::default(), ..event.clone() };
    match item {
        LogItem::Event(event) => LogItem::Event(bare(event)),
        LogItem::Imported(event) => LogItem::Imported(bare(event)),
        LogItem::Outcome(outcome) => LogItem::Outcome(outcome.clone()),
    }
}

impl RecentEvent {
    pub fn decode(bytes: &[u8]) -> Result<RecentEvent, ForeignBytes> {
        let mut rest = Rest(bytes);
        let format = rest.number(1)?;
        if format != u64::from(FORMAT) {
            return Err(ForeignBytes(format!("recent event format {format}, expected {FORMAT}")));
        }
        let (number, accepted_at) = (rest.number(8)?, instant(rest.number(6)?));
        let (user, flags) = (UserNo(rest.number(5)?), rest.number(1)?);
        let mut met = Vec::new();
        for _ in 0..rest.number(1)? {
            let campaign = CampaignNo(rest.number(4)? as u32);
            let decided = match rest.number(1)? as u8 {
                ENTERED => Decided::Entered { key: rest.number(8)?, due_at: instant(rest.number(6)?) },
                REFUSED => {
                    let code = rest.number(1)? as u8;
                    let reason = Refusal::from_code(code)
                        .ok_or_else(|| ForeignBytes(format!("a recent event refused for reason {code}")))?;
                    let len = rest.number(1)? as usize;
                    Decided::Refused(reason, String::from_utf8_lossy(rest.take(len)?).into_owned())
                }
                other => return Err(ForeignBytes(format!("a recent event that met {other}"))),
            };
            met.push(Met { campaign, decided });
        }
        let (event, is_imported) = match LogItem::unpack(rest.0).map_err(ForeignBytes)? {
            LogItem::Event(event) => (event, false),
            LogItem::Imported(event) => (event, true),
            LogItem::Outcome(_) => return Err(ForeignBytes("a recent event that is an outcome".to_owned())),
        };
        Ok(RecentEvent { number, accepted_at, user, event, is_imported, is_cut: flags as u8 & CUT != 0, met })
    }
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ForeignBytes> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| ForeignBytes("a recent event cut short".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u64, ForeignBytes> {
        self.take(len).map(be)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(text: &str) -> LogItem {
        let properties = json!({"text": text, "n": 9_007_199_254_740_993_i64});
        LogItem::Event(Event {
            name: "purchase".to_owned(),
            value: Some(2.5),
            properties: properties.as_object().cloned().unwrap(),
            occurred_at: "2026-11-24T08:00:00.123Z".parse().unwrap(),
            id: "e-1".to_owned(),
            happening: None,
            collected: Vec::new(),
        })
    }

    fn met() -> Vec<Met> {
        let due_at = "2026-11-24T09:00:00Z".parse().unwrap();
        let why = "ä".repeat(400);
        vec![
            Met { campaign: CampaignNo(7), decided: Decided::Entered { key: u64::MAX, due_at } },
            Met { campaign: CampaignNo(8), decided: Decided::Refused(Refusal::NotInAudience, why) },
        ]
    }

    fn written(item: &LogItem, met: &[Met]) -> Vec<u8> {
        let at = "2026-11-24T08:00:01Z".parse().unwrap();
        encode(41, at, UserNo(5), (&item.pack(), item), met)
    }

    #[test]
    fn what_is_written_is_read_with_long_texts_cut() {
        let item = item("short");
        let read = RecentEvent::decode(&written(&item, &met())).unwrap();
        assert_eq!((read.number, read.user, read.is_cut, read.is_imported), (41, UserNo(5), false, false));
        assert_eq!(LogItem::Event(read.event.clone()), item);
        assert_eq!(read.met[0], met()[0]);
        let Decided::Refused(reason, text) = &read.met[1].decided else { panic!("{read:?}") };
        assert_eq!((*reason, text.chars().count()), (Refusal::NotInAudience, 127));
    }

    #[test]
    fn long_properties_are_left_out() {
        let read = RecentEvent::decode(&written(&item(&"x".repeat(5_000)), &[])).unwrap();
        assert!(read.is_cut && read.event.properties.is_empty() && read.event.id == "e-1", "{read:?}");
    }

    #[test]
    fn bytes_cut_short_anywhere_are_foreign_and_no_panic() {
        let bytes = written(&item("short"), &met());
        for len in 0..bytes.len() {
            assert!(RecentEvent::decode(&bytes[..len]).is_err(), "{len}");
        }
    }
}
