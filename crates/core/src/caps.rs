//! Pure. How many webhooks a user was sent lately, by what is kept beside the user: a row for each send and each scope it counts in.
//!
//! A scope stands for the campaigns that a cap counts. Rows are reserved before a send is posted and released if it is not; the same send
//! asked again has what it has. Both stores decide by these rules, one of them in Lua.
//!
//! | campaign | key | action | scope | at, ms |
//! | --- | --- | --- | --- | --- |
//! | 4 | 8 | 1 | 4 | 6 |

use std::time::Duration;

use jiff::Timestamp;

use crate::due_send::{Lease, be};
use crate::limits;
use crate::number::{CampaignNo, UserNo, millis};

pub const ROW_BYTES: usize = 23;

/// Campaigns counted together: a hash of the tags that name them; 0: all but the internal ones.
pub type Scope = u32;

/// A send, among its user's: the same over all its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapKey {
    pub campaign: CampaignNo,
    pub key: u64,
    pub action: u8,
}

/// Asks for one send to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapAsk {
    pub user: UserNo,
    pub send: CapKey,
    /// In the order in which they are looked at.
    pub rules: Vec<CapRule>,
}

/// At most so many sends of a scope since an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapRule {
    pub scope: Scope,
    pub since: Since,
    pub at_most: u32,
}

/// From when a rule counts; the instant itself is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before the store's now.
    Ago(Duration),
    /// An instant: midnight of the user's day, less a millisecond.
    At(Timestamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapAnswer {
    /// It is counted, or was already.
    Reserved,
    /// The rule in this place stands against it; nothing was counted.
    Over(usize),
}

/// What is kept of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapRows(Vec<Row>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    send: CapKey,
    scope: Scope,
    at_ms: u64,
}

impl CapKey {
    pub const BYTES: usize = 13;

    pub fn of(lease: &Lease) -> CapKey {
        CapKey { campaign: lease.lane.campaign, key: lease.send.key, action: lease.send.action }
    }

    pub fn encode(&self) -> [u8; CapKey::BYTES] {
        let mut out = [0; CapKey::BYTES];
        out[..4].copy_from_slice(&self.campaign.0.to_be_bytes());
        out[4..12].copy_from_slice(&self.key.to_be_bytes());
        out[12] = self.action;
        out
    }
}

impl Since {
    /// In ms, as of the store's now.
    pub fn millis(&self, now: Timestamp) -> u64 {
        match self {
            Since::Ago(time) => {
                millis(now).saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
            }
            Since::At(at) => millis(*at),
        }
    }
}

impl CapRows {
    /// Counts a send unless a rule stands against it, and forgets what no rule can see any more.
    pub fn reserve(&mut self, ask: &CapAsk, now: Timestamp) -> CapAnswer {
        let answer = self.look(ask, now);
        let is_there = self.0.iter().any(|row| row.send == ask.send);
        if answer != CapAnswer::Reserved || is_there {
            return answer;
        }
        let oldest = millis(now).saturating_sub(limits::CAP_TIME_MAX.as_millis() as u64);
        let seen_since = |scope| {
            let rules = ask.rules.iter().filter(|rule| rule.scope == scope);
            rules.map(|rule| rule.since.millis(now)).min().unwrap_or(oldest)
        };
        self.0.retain(|row| row.at_ms > seen_since(row.scope));
        for (i, rule) in ask.rules.iter().enumerate() {
            if ask.rules[..i].iter().all(|before| before.scope != rule.scope) {
                self.0.push(Row { send: ask.send, scope: rule.scope, at_ms: millis(now) });
            }
        }
        answer
    }

    /// What `reserve` would answer.
    pub fn look(&self, ask: &CapAsk, now: Timestamp) -> CapAnswer {
        if self.0.iter().any(|row| row.send == ask.send) {
            return CapAnswer::Reserved;
        }
        let is_over = |rule: &CapRule| {
            let since = rule.since.millis(now);
            let counted = self.0.iter().filter(|row| row.scope == rule.scope && row.at_ms > since);
            counted.count() >= rule.at_most as usize
        };
        ask.rules.iter().position(is_over).map_or(CapAnswer::Reserved, CapAnswer::Over)
    }

    /// Whether anything was counted.
    pub fn release(&mut self, send: &CapKey) -> bool {
        let before = self.0.len();
        self.0.retain(|row| row.send != *send);
        self.0.len() < before
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * ROW_BYTES);
        for row in &self.0 {
            out.extend(row.send.encode());
            out.extend(row.scope.to_be_bytes());
            out.extend(&row.at_ms.to_be_bytes()[2..]);
        }
        out
    }

    /// Bytes that are no whole row are left out: they count nothing.
    pub fn decode(bytes: &[u8]) -> CapRows {
        let row = |row: &[u8]| Row {
            send: CapKey {
                campaign: CampaignNo(be(&row[..4]) as u32),
                key: be(&row[4..12]),
                action: row[12],
            },
            scope: be(&row[13..17]) as u32,
            at_ms: be(&row[17..23]),
        };
        CapRows(bytes.chunks_exact(ROW_BYTES).map(row).collect())
    }
}

/// Whether a send that is not posted after all gives back what was reserved for it: only one that surely never was.
pub fn may_release(lease: &Lease) -> bool {
    lease.send.attempts == 0 && lease.send.redeliveries == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        crate::number::instant(1_700_000_000_000 + ms)
    }

    fn send(n: u64) -> CapKey {
        CapKey { campaign: CampaignNo(1), key: n, action: 0 }
    }

    fn ask(n: u64, rules: &[(Scope, u64, u32)]) -> CapAsk {
        let rule = |&(scope, ms, at_most): &(Scope, u64, u32)| CapRule {
            scope,
            since: Since::Ago(Duration::from_millis(ms)),
            at_most,
        };
        CapAsk { user: UserNo(1), send: send(n), rules: rules.iter().map(rule).collect() }
    }

    #[test]
    fn a_send_is_counted_once_and_no_more_than_allowed() {
        let mut rows = CapRows::default();
        let rules = [(0, 1_000, 2)];
        assert_eq!(rows.reserve(&ask(1, &rules), at(0)), CapAnswer::Reserved);
        assert_eq!(rows.reserve(&ask(1, &rules), at(10)), CapAnswer::Reserved, "it has what it has");
        assert_eq!(rows.reserve(&ask(2, &rules), at(10)), CapAnswer::Reserved);
        assert_eq!(rows.reserve(&ask(3, &rules), at(999)), CapAnswer::Over(0));
        assert_eq!(
            rows.reserve(&ask(3, &rules), at(1_000)),
            CapAnswer::Reserved,
            "the first has left the window"
        );
        assert!(rows.release(&send(3)) && !rows.release(&send(3)));
        assert_eq!(
            rows.reserve(&ask(4, &rules), at(1_001)),
            CapAnswer::Reserved,
            "what was released is free"
        );
        assert_eq!(CapRows::decode(&rows.encode()), rows);
    }

    #[test]
    fn scopes_count_apart_and_the_first_rule_that_stands_against_it_is_told() {
        let mut rows = CapRows::default();
        assert_eq!(rows.reserve(&ask(1, &[(7, 9_000, 1)]), at(0)), CapAnswer::Reserved);
        assert_eq!(rows.reserve(&ask(2, &[(0, 9_000, 1), (0, 50_000, 5)]), at(1)), CapAnswer::Reserved);
        assert_eq!(
            rows.reserve(&ask(3, &[(0, 1, 9), (7, 9_000, 1), (0, 9_000, 1)]), at(5)),
            CapAnswer::Over(1)
        );
        assert_eq!(rows.reserve(&ask(3, &[(8, 9_000, 1)]), at(5)), CapAnswer::Reserved);
        // One row a send and scope, however many rules look at it.
        assert_eq!(rows.encode().len(), 3 * ROW_BYTES);
    }

    #[test]
    fn what_no_rule_can_see_is_forgotten() {
        let mut rows = CapRows::default();
        for n in 0..100 {
            rows.reserve(&ask(n, &[(0, 10, 5)]), at(n * 11));
        }
        assert_eq!(rows.encode().len(), ROW_BYTES);
    }

    proptest! {
        /// Whatever is asked and released in whatever order: in no stretch as long as a rule's are more sends counted than it allows.
        #[test]
        fn a_cap_is_never_exceeded(
            steps in prop::collection::vec((0u64..400, 0u64..12, prop::bool::weighted(0.2), 1u32..3), 1..80),
            window in 100u64..2_000,
        ) {
            let mut rows = CapRows::default();
            let (mut now, mut posted) = (0, Vec::<(u64, u64)>::new());
            for (later, n, is_unsent, at_most) in steps {
                now += later;
                let before = posted.iter().any(|(known, _)| *known == n);
                let ask = ask(n, &[(0, window, at_most), (0, window * 2, 3)]);
                if rows.reserve(&ask, at(now)) != CapAnswer::Reserved || before {
                    continue;
                }
                if is_unsent {
                    rows.release(&send(n));
                    continue;
                }
                posted.push((n, now));
                let within = |time: u64| posted.iter().filter(|(_, at)| at + time > now).count();
                prop_assert!(within(window) <= at_most as usize, "{posted:?}");
                prop_assert!(within(window * 2) <= 3, "{posted:?}");
            }
        }
    }
}
