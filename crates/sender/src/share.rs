//! Pure. How many of a sender's slots one destination may hold, so that a far end that does not answer leaves slots for the others.
//!
//! After the way switches share a buffer: a destination may hold no more than a multiple of what is free. However many of them stand
//! still, some slots stay free, and alone a quick one has nearly all. It is quick while its last answer came within a second; until it has
//! answered, and once it hangs, it is not.

use std::time::Duration;

/// An answer later than this is slow.
const QUICK_MAX: Duration = Duration::from_secs(1);
/// Slots held for each one that is free.
const QUICK: usize = 4;
const SLOW: usize = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) in_flight: usize,
    pub(crate) is_quick: bool,
}

impl Share {
    pub(crate) fn answered(&mut self, took: Duration) {
        self.is_quick = took <= QUICK_MAX;
    }

    /// How many more it may take while so many slots are free.
    pub(crate) fn room(&self, free: usize) -> usize {
        let held = if self.is_quick { QUICK } else { SLOW };
        (held * free).saturating_sub(self.in_flight).div_ceil(held + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills up what `share` may hold of `slots`, all others free.
    fn alone(mut share: Share, slots: usize) -> usize {
        loop {
            let room = share.room(slots - share.in_flight);
            if room == 0 {
                return share.in_flight;
            }
            share.in_flight += room;
        }
    }

    #[test]
    fn a_quick_destination_has_four_fifths_alone_and_a_slow_one_half() {
        for (slots, quick, slow) in [(256, 205, 128), (64, 52, 32), (2, 2, 1), (1, 1, 1)] {
            assert_eq!(alone(Share { in_flight: 0, is_quick: true }, slots), quick, "of {slots}");
            assert_eq!(alone(Share::default(), slots), slow, "of {slots}");
        }
    }

    #[test]
    fn it_is_quick_while_it_answers_within_a_second() {
        let mut share = Share::default();
        share.answered(Duration::from_millis(999));
        assert!(share.is_quick);
        share.answered(Duration::from_secs(30));
        assert!(!share.is_quick);
    }

    /// Destinations that never answer come one after the other.
    #[test]
    fn however_many_stand_still_each_new_one_finds_a_slot_while_there_is_one() {
        for slots in 1..600 {
            let mut free = slots;
            let mut still = 0;
            while free > 0 {
                let taken = Share::default().room(free);
                assert!((1..=free.div_ceil(2)).contains(&taken), "{taken} of {free}");
                free -= taken;
                still += 1;
            }
            assert!(1 << still > slots, "{slots} slots lasted for {still} of them");
        }
    }
}
