//! Pure. Fairness over lanes, in memory: which lane is served next, by virtual time.
//!
//! A lane with work is either in turn, or held because its campaign is held or unknown. Made anew from the file whenever in doubt.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::due_send::Lane;
use campanile_core::number::CampaignNo;

/// Virtual time of one send of a lane of weight 1.
const SEND: u64 = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Lanes with work; those of a campaign stand together.
    lanes: BTreeMap<Lane, Place>,
    /// Those that may be served, the least served first.
    order: BTreeSet<(u64, Lane)>,
    words: HashMap<CampaignNo, ControlWord>,
    /// Lanes that wait for an instant (ms), and are not in `order` meanwhile. Forgotten when in doubt: they are then parked again.
    parked: BTreeSet<(i64, Lane)>,
    /// Where the lane served last stood: new ones begin here, owed nothing and owing nothing.
    virtual_time: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Sends waiting.
    len: usize,
    /// What it has been given so far, by weight.
    given: u64,
    /// Until when nothing of it is served, in ms.
    parked_until: Option<i64>,
}

impl Ring {
    pub(crate) fn new(
        words: HashMap<CampaignNo, ControlWord>,
        lanes: impl IntoIterator<Item = (Lane, usize)>,
    ) -> Ring {
        let mut ring = Ring { words, ..Ring::default() };
        for (lane, len) in lanes {
            ring.add(lane, len);
        }
        ring
    }

    pub(crate) fn len(&self, lane: &Lane) -> usize {
        self.lanes.get(lane).map_or(0, |place| place.len)
    }

    pub(crate) fn word(&self, campaign: CampaignNo) -> Option<ControlWord> {
        self.words.get(&campaign).copied()
    }

    /// Answers whether the lane was empty and may be served now.
    pub(crate) fn add(&mut self, lane: Lane, n: usize) -> bool {
        if n == 0 {
            return false;
        }
        if let Some(place) = self.lanes.get_mut(&lane) {
            place.len += n;
            return false;
        }
        self.lanes.insert(lane, Place { len: n, given: self.virtual_time, parked_until: None });
        let is_served = self.is_served(lane.campaign);
        if is_served {
            self.order.insert((self.virtual_time, lane));
        }
        is_served
    }

    /// A lane gave `n` sends; an empty one is forgotten.
    pub(crate) fn take(&mut self, lane: &Lane, n: usize, weight: u8) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        let was_in_turn = self.order.remove(&(place.given, *lane));
        self.virtual_time = self.virtual_time.max(place.given);
        place.len = place.len.saturating_sub(n);
        place.given = place.given.saturating_add(SEND.saturating_mul(n as u64) / u64::from(weight.max(1)));
        if place.len == 0 {
            let place = *place;
            self.lanes.remove(lane);
            self.unmark(lane, &place);
        } else if was_in_turn {
            self.order.insert((place.given, *lane));
        }
    }

    /// The file has nothing in this lane.
    pub(crate) fn forget(&mut self, lane: &Lane) {
        if let Some(place) = self.lanes.remove(lane) {
            self.order.remove(&(place.given, *lane));
            self.unmark(lane, &place);
        }
    }

    fn unmark(&mut self, lane: &Lane, place: &Place) {
        if let Some(until) = place.parked_until {
            self.parked.remove(&(until, *lane));
        }
    }

    /// Nothing of the lane is served until then.
    pub(crate) fn park(&mut self, lane: &Lane, until: i64) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        self.order.remove(&(place.given, *lane));
        let before = place.parked_until.replace(until);
        if let Some(before) = before {
            self.parked.remove(&(before, *lane));
        }
        self.parked.insert((until, *lane));
    }

    /// Lets go what has waited long enough.
    pub(crate) fn unpark(&mut self, now: i64) {
        while let Some(&(until, lane)) = self.parked.first().filter(|(until, _)| *until <= now) {
            self.parked.remove(&(until, lane));
            let is_served = self.is_served(lane.campaign);
            let Some(place) = self.lanes.get_mut(&lane) else { continue };
            place.parked_until = None;
            if is_served {
                // What it was not given while it waited is not made good.
                place.given = place.given.max(self.virtual_time);
                self.order.insert((place.given, lane));
            }
        }
    }

    /// When the first parked lane is let go, in ms.
    pub(crate) fn next_unpark(&self) -> Option<i64> {
        self.parked.first().map(|(until, _)| *until)
    }

    /// Lets the campaign's lanes go, or holds them. Answers whether any was let go.
    pub(crate) fn set_word(&mut self, campaign: CampaignNo, word: ControlWord) -> bool {
        let was_served = self.is_served(campaign);
        self.words.insert(campaign, word);
        let is_served = self.is_served(campaign);
        let mut let_go = false;
        if was_served != is_served {
            // Lanes are ordered by campaign first.
            let own = self.lanes.iter_mut().skip_while(|(lane, _)| lane.campaign < campaign);
            for (lane, place) in own.take_while(|(lane, _)| lane.campaign == campaign) {
                if is_served && place.parked_until.is_some() {
                    continue;
                }
                if is_served {
                    // What it was not given while it was held is not made good.
                    place.given = place.given.max(self.virtual_time);
                    self.order.insert((place.given, *lane));
                    let_go = true;
                } else {
                    self.order.remove(&(place.given, *lane));
                }
            }
        }
        let_go
    }

    /// Lanes that may be served, the least served first, with their campaign's word.
    pub(crate) fn in_turn(&self, at_most: usize) -> Vec<(Lane, ControlWord)> {
        let lanes = self.order.iter().take(at_most);
        lanes.filter_map(|(_, lane)| Some((*lane, self.word(lane.campaign)?))).collect()
    }

    pub(crate) fn lanes_in_turn(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.order.is_empty()
    }

    fn is_served(&self, campaign: CampaignNo) -> bool {
        self.words.get(&campaign).is_some_and(|word| word.flow != Flow::Held)
    }
}

#[cfg(test)]
mod tests {
    use campanile_core::due_send::Class;
    use campanile_core::number::DestinationNo;

    use super::*;

    fn lane(campaign: u32, destination: u32) -> Lane {
        Lane { campaign: CampaignNo(campaign), destination: DestinationNo(destination), class: Class::First }
    }

    fn word(flow: Flow, weight: u8) -> ControlWord {
        ControlWord { flow, apply_revision: 0, lease_secs: 45, weight, epoch: 1, bits: 0 }
    }

    fn check(ring: &Ring, in_turn: &[Lane]) {
        let found: Vec<Lane> = ring.in_turn(64).into_iter().map(|(lane, _)| lane).collect();
        assert_eq!(found, in_turn);
        assert_eq!(ring.has_more(), !in_turn.is_empty());
    }

    #[test]
    fn lanes_of_a_held_or_unknown_campaign_are_not_in_turn() {
        let mut ring = Ring::default();
        assert!(!ring.add(lane(1, 1), 3), "unknown, so nobody need wake");
        assert!(!ring.add(lane(1, 2), 3));
        check(&ring, &[]);
        assert!(ring.set_word(CampaignNo(1), word(Flow::Running, 1)));
        assert!(ring.add(lane(2, 1), 1) | ring.set_word(CampaignNo(2), word(Flow::Stopped, 1)));
        check(&ring, &[lane(1, 1), lane(1, 2), lane(2, 1)]);
        assert!(!ring.set_word(CampaignNo(1), word(Flow::Held, 1)));
        check(&ring, &[lane(2, 1)]);
        ring.take(&lane(1, 1), 1, 1);
        check(&ring, &[lane(2, 1)]);
        assert_eq!(ring.len(&lane(1, 1)), 2);
    }

    #[test]
    fn the_least_served_is_next_and_weight_counts() {
        let mut ring = Ring::default();
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        ring.set_word(CampaignNo(2), word(Flow::Running, 3));
        ring.add(lane(1, 1), 1_000);
        ring.add(lane(2, 1), 1_000);
        let mut taken = [0, 0];
        for _ in 0..40 {
            let (next, word) = ring.in_turn(1)[0];
            ring.take(&next, 8, word.weight);
            taken[next.campaign.0 as usize - 1] += 8;
        }
        assert_eq!(taken, [80, 240]);
    }

    #[test]
    fn who_was_held_or_away_is_owed_nothing() {
        let mut ring = Ring::default();
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        ring.add(lane(1, 1), 1_000);
        ring.add(lane(2, 1), 1_000);
        for _ in 0..10 {
            ring.take(&lane(1, 1), 50, 1);
        }
        ring.set_word(CampaignNo(2), word(Flow::Running, 1));
        ring.add(lane(1, 2), 1_000);
        let mut first = [0, 0];
        for _ in 0..30 {
            let (next, word) = ring.in_turn(1)[0];
            ring.take(&next, 10, word.weight);
            first[next.campaign.0 as usize - 1] += 1;
        }
        assert!(first[0] >= 10 && first[1] >= 5, "{first:?}");
    }

    #[test]
    fn a_parked_lane_is_not_in_turn_until_its_instant_whatever_happens_meanwhile() {
        let mut ring = Ring::default();
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        ring.add(lane(1, 1), 2);
        ring.add(lane(1, 2), 2);
        ring.park(&lane(1, 1), 1_000);
        ring.add(lane(1, 1), 1);
        check(&ring, &[lane(1, 2)]);
        assert_eq!(ring.next_unpark(), Some(1_000));
        ring.set_word(CampaignNo(1), word(Flow::Held, 1));
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        check(&ring, &[lane(1, 2)]);
        ring.unpark(999);
        check(&ring, &[lane(1, 2)]);
        ring.park(&lane(1, 1), 2_000);
        ring.unpark(1_999);
        check(&ring, &[lane(1, 2)]);
        ring.unpark(2_000);
        check(&ring, &[lane(1, 1), lane(1, 2)]);
        assert_eq!((ring.len(&lane(1, 1)), ring.next_unpark()), (3, None));
        ring.park(&lane(1, 1), 3_000);
        ring.set_word(CampaignNo(1), word(Flow::Held, 1));
        ring.unpark(3_000);
        check(&ring, &[]);
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        check(&ring, &[lane(1, 1), lane(1, 2)]);
        ring.park(&lane(1, 2), 9_000);
        ring.forget(&lane(1, 2));
        assert_eq!(ring.next_unpark(), None);
    }

    #[test]
    fn an_empty_lane_is_forgotten() {
        let mut ring = Ring::default();
        ring.set_word(CampaignNo(1), word(Flow::Running, 1));
        ring.add(lane(1, 1), 2);
        ring.take(&lane(1, 1), 2, 1);
        check(&ring, &[]);
        assert!(ring.add(lane(1, 1), 1), "empty to non-empty");
        ring.forget(&lane(1, 1));
        check(&ring, &[]);
        ring.take(&lane(1, 1), usize::MAX, 0);
    }
}
