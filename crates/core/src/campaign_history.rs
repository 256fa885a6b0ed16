//! Pure. What one user had of one campaign so far: when it was last delivered, when it last failed, and the last send that an event
//! can still turn into a conversion. Written when a send is settled, in the same step.
//!
//! | format | last delivered, ms | last failed, ms | last send: at, ms | its key | its action | key of the last entry posted | flags | variant |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 6 | 6 | 6 | 8 | 1 | 8 | 1 | its name |
//!
//! An instant of 0 is none. Flags: 1 the last send was converted, 2 its user is held back, 4 at least one request was made.

use std::time::Duration;

use jiff::Timestamp;

use crate::due_send::{ForeignBytes, be};
use crate::number::{instant, millis};
use crate::slug::Slug;

const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 37;
const CONVERTED: u8 = 1;
const HELD_BACK: u8 = 2;
const POSTED: u8 = 4;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignHistory {
    pub delivered_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    /// The last one delivered, or that would have been to somebody held back.
    pub last: Option<LastSend>,
    /// Of the entry whose first request was made last.
    pub posted_key: u64,
    /// Whether any request was made.
    pub is_posted: bool,
}

/// The send that the next conversion is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSend {
    pub at: Timestamp,
    pub key: u64,
    pub action: u8,
    pub arm: Arm,
    pub is_converted: bool,
}

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Sent, as this variant if the action has some.
    Sent(Option<Slug>),
    HeldBack,
}

/// What a settle says of a send, as far as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// An attempt, whatever came of it, and the send goes on or was suppressed after it.
    Posted,
    Delivered(Option<Slug>),
    Failed,
    HeldBack,
}

/// What is counted for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The first request ever for this user.
    pub user: bool,
    /// The first request of this entry.
    pub entry: bool,
}

impl CampaignHistory {
    /// Takes in what a settle did at `at` with the send (`key`, `action`); `is_first`: it made the send's first request.
    pub fn note(
        &mut self,
        happened: Happened,
        (key, action): (u64, u8),
        is_first: bool,
        at: Timestamp,
    ) -> News {
        let mut news = News::default();
        if is_first {
            news = News { user: !self.is_posted, entry: !self.is_posted || self.posted_key != key };
            (self.is_posted, self.posted_key) = (true, key);
        }
        let arm = match happened {
            Happened::Posted => return news,
            Happened::Failed => {
                self.failed_at = Some(at);
                return news;
            }
            Happened::Delivered(variant) => {
                self.delivered_at = Some(at);
                Arm::Sent(variant)
            }
            Happened::HeldBack => Arm::HeldBack,
        };
        // Sent again, it is still the same send.
        let same = self.last.as_ref().filter(|last| (last.key, last.action) == (key, action));
        let is_converted = same.is_some_and(|last| last.is_converted);
        self.last = Some(LastSend { at, key, action, arm, is_converted });
        news
    }

    /// The latest of what it knows: what is forgotten first has the oldest.
    pub fn latest(&self) -> Option<Timestamp> {
        [self.delivered_at, self.failed_at, self.last.as_ref().map(|last| last.at)]
            .into_iter()
            .flatten()
            .max()
    }

    pub fn encode(&self) -> Vec<u8> {
        let last = self.last.as_ref();
        let (variant, is_held_back) = match last.map(|last| last.arm) {
            Some(Arm::Sent(variant)) => (variant, false),
            Some(Arm::HeldBack) => (None, true),
            None => (None, false),
        };
        let mut flags = 0;
        for (flag, is_set) in [
            (CONVERTED, last.is_some_and(|last| last.is_converted)),
            (HELD_BACK, is_held_back),
            (POSTED, self.is_posted),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        let name = variant.as_ref().map_or("", |name| name.as_str());
        let mut out = Vec::with_capacity(FIXED_BYTES + name.len());
        out.push(FORMAT);
        for at in [self.delivered_at, self.failed_at, last.map(|last| last.at)] {
            out.extend(&at.map_or(0, millis).to_be_bytes()[2..]);
        }
        out.extend(last.map_or(0, |last| last.key).to_be_bytes());
        out.push(last.map_or(0, |last| last.action));
        out.extend(self.posted_key.to_be_bytes());
        out.push(flags);
        out.extend(name.as_bytes());
        out
    }

    /// No bytes are an empty history.
    pub fn decode(bytes: &[u8]) -> Result<CampaignHistory, ForeignBytes> {
        if bytes.is_empty() {
            return Ok(CampaignHistory::default());
        }
        let foreign = || ForeignBytes(format!("a campaign history of {} bytes", bytes.len()));
        let (b, name) = bytes.split_at_checked(FIXED_BYTES).ok_or_else(foreign)?;
        if b[0] != FORMAT {
            return Err(ForeignBytes(format!("campaign history format {}, expected {FORMAT}", b[0])));
        }
        let at = |from: usize| match be(&b[from..from + 6]) {
            0 => None,
            ms => Some(instant(ms)),
        };
        let flags = b[36];
        let variant = std::str::from_utf8(name).ok().and_then(Slug::new);
        let arm = if flags & HELD_BACK != 0 { Arm::HeldBack } else { Arm::Sent(variant) };
        let (key, action, is_converted) = (be(&b[19..27]), b[27], flags & CONVERTED != 0);
        Ok(CampaignHistory {
            delivered_at: at(1),
            failed_at: at(7),
            last: at(13).map(|at| LastSend { at, key, action, arm, is_converted }),
            posted_key: be(&b[28..36]),
            is_posted: flags & POSTED != 0,
        })
    }
}

/// What a user had of the campaigns that somebody asks about, by campaign id. One that is not here was never sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histories(Vec<(String, CampaignHistory)>);

impl Histories {
    pub fn put(&mut self, campaign_id: &str, history: CampaignHistory) {
        match self.0.iter_mut().find(|(id, _)| id == campaign_id) {
            Some((_, there)) => *there = history,
            None => self.0.push((campaign_id.to_owned(), history)),
        }
    }

    pub fn of(&self, campaign_id: &str) -> Option<&CampaignHistory> {
        self.0.iter().find(|(id, _)| id == campaign_id).map(|(_, history)| history)
    }
}

/// What an expression asks of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    Received,
    Failed,
}

impl Past {
    pub const ALL: [Past; 2] = [Past::Received, Past::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Past::Received => "received",
            Past::Failed => "failed",
        }
    }

    pub fn named(name: &str) -> Option<Past> {
        Past::ALL.into_iter().find(|past| past.name() == name)
    }

    /// Whether it happened; with a window, not longer before `as_of` than that.
    pub fn holds(
        self,
        history: Option<&CampaignHistory>,
        window: Option<Duration>,
        as_of: Timestamp,
    ) -> bool {
        let at = history.and_then(|history| match self {
            Past::Received => history.delivered_at,
            Past::Failed => history.failed_at,
        });
        let since = window.map(|window| as_of.saturating_sub(window).unwrap_or(Timestamp::MIN));
        at.is_some_and(|at| since.is_none_or(|since| at >= since))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn arms() -> impl Strategy<Value = Arm> {
        prop_oneof![
            Just(Arm::Sent(None)),
            Just(Arm::HeldBack),
            "[a-z][a-z0-9-]{0,20}".prop_map(|name| Arm::Sent(Slug::new(&name))),
        ]
    }

    proptest! {
        #[test]
        fn a_history_is_read_as_it_was_written(
            delivered in prop::option::of(1i64..4_000_000_000_000),
            failed in prop::option::of(1i64..4_000_000_000_000),
            last in prop::option::of((1i64..4_000_000_000_000, any::<u64>(), any::<u8>(), arms(), any::<bool>())),
            posted_key: u64,
            is_posted: bool,
        ) {
            let last = last.map(|(ms, key, action, arm, is_converted)| LastSend { at: at(ms), key, action, arm, is_converted });
            let history = CampaignHistory {
                delivered_at: delivered.map(at), failed_at: failed.map(at), last, posted_key, is_posted,
            };
            prop_assert_eq!(CampaignHistory::decode(&history.encode()), Ok(history));
        }

        #[test]
        fn foreign_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = CampaignHistory::decode(&bytes);
        }
    }

    #[test]
    fn what_a_settle_did_is_remembered_and_counted_once() {
        let mut history = CampaignHistory::default();
        let both = News { user: true, entry: true };
        assert_eq!(history.note(Happened::Posted, (7, 0), true, at(10)), both);
        assert_eq!((history.delivered_at, history.failed_at, &history.last), (None, None, &None));
        // Its second attempt succeeds.
        assert_eq!(history.note(Happened::Delivered(None), (7, 0), false, at(20)), News::default());
        assert_eq!(history.delivered_at, Some(at(20)));
        // The second message of the same entry, then another entry.
        assert_eq!(history.note(Happened::Failed, (7, 1), true, at(30)), News::default());
        assert_eq!(
            history.note(Happened::Delivered(None), (8, 0), true, at(40)),
            News { user: false, entry: true }
        );
        assert_eq!((history.failed_at, history.latest()), (Some(at(30)), Some(at(40))));
    }

    #[test]
    fn a_send_that_is_sent_again_stays_converted_and_a_new_one_is_not() {
        let mut history = CampaignHistory::default();
        let bold = Slug::new("bold");
        history.note(Happened::Delivered(bold), (7, 0), true, at(10));
        history.last.as_mut().unwrap().is_converted = true;
        history.note(Happened::Delivered(bold), (7, 0), false, at(20));
        let last = history.last.clone().unwrap();
        assert_eq!((last.is_converted, last.arm), (true, Arm::Sent(bold)));
        history.note(Happened::HeldBack, (8, 0), false, at(30));
        let last = history.last.clone().unwrap();
        assert_eq!((last.is_converted, last.arm, last.key), (false, Arm::HeldBack, 8));
        assert_eq!(history.delivered_at, Some(at(20)), "who is held back receives nothing");
    }

    #[test]
    fn a_window_reaches_back_from_the_instant_that_is_judged() {
        let history = CampaignHistory { delivered_at: Some(at(5_000)), ..Default::default() };
        let holds = |past: Past, window: Option<u64>, as_of: i64| {
            past.holds(Some(&history), window.map(Duration::from_millis), at(as_of))
        };
        assert!(holds(Past::Received, None, 1_000_000));
        assert!(holds(Past::Received, Some(1_000), 6_000));
        assert!(!holds(Past::Received, Some(1_000), 6_001));
        // Delivered after the send was due, and before it is sent.
        assert!(holds(Past::Received, Some(1_000), 4_000));
        assert!(!holds(Past::Failed, None, 6_000));
        assert!(!Past::Received.holds(None, None, at(0)));
    }
}
