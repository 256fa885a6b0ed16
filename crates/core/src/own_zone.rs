//! Pure. Deliveries on each user's own clock: when a wall-clock occurrence begins somewhere on earth, when it is due for one user, and
//! what becomes of one whose time is already past.
//!
//! An occurrence is named by its wall clock read as UTC. `scheduler::occurrence` opens it ahead of the first place on earth,
//! `scheduler::plan` asks for each user, `sender::admit` asks again at the user's due instant: the user may have moved meanwhile.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::clock_changes::{Passes, first_instant};
use crate::draft::Late;
use crate::limits;

/// The first place on earth is this far ahead of UTC (Kiritimati), the last one this far behind (Baker Island).
const FIRST_PLACE: SignedDuration = SignedDuration::from_hours(14);
const LAST_PLACE: SignedDuration = SignedDuration::from_hours(12);
/// Time to walk everybody before the first place.
const WALK: SignedDuration = SignedDuration::from_hours(1);

/// When an occurrence is walked at the earliest.
pub fn opens_at(wall: Timestamp) -> Timestamp {
    wall.checked_sub(FIRST_PLACE + WALK).unwrap_or(Timestamp::MIN)
}

/// From here on nobody can be on time any more.
pub fn closes_at(wall: Timestamp) -> Timestamp {
    wall.checked_add(LAST_PLACE + late_after()).unwrap_or(Timestamp::MAX)
}

/// The wall clocks whose occurrences are open at `now` lie after the first of these, and not after the second.
pub fn open_walls(now: Timestamp) -> (Timestamp, Timestamp) {
    (
        now.checked_sub(LAST_PLACE + late_after()).unwrap_or(Timestamp::MIN),
        now.checked_add(FIRST_PLACE + WALK).unwrap_or(Timestamp::MAX),
    )
}

/// A wall clock as the instant that names it, and back.
pub fn wall_of(named: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(named)
}

pub fn name_of(wall: DateTime) -> Timestamp {
    TimeZone::UTC.to_timestamp(wall).unwrap_or(Timestamp::MAX)
}

fn late_after() -> SignedDuration {
    SignedDuration::try_from(limits::LATE_AFTER).unwrap_or(SignedDuration::MAX)
}

/// Whether something due at `due` is too late for it at `now`.
pub fn is_late(due: Timestamp, now: Timestamp) -> bool {
    now.duration_since(due) > late_after()
}

/// What an occurrence is to one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Due(Timestamp),
    /// It was due at this instant, which is too long ago.
    Late(Timestamp),
    /// The user's clock skips it, and its rule names every matching time rather than this one.
    Never,
}

/// An occurrence on its way to users.
#[derive(Clone, Copy, Debug)]
pub struct OwnOccurrence {
    /// The wall clock read as UTC.
    pub named: Timestamp,
    /// The wall clock of the occurrence after it, likewise.
    pub next: Option<Timestamp>,
    pub passes: Passes,
    pub late: Late,
}

impl OwnOccurrence {
    /// When the wall clock comes in `zone`.
    pub fn in_zone(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.wall_in(wall_of(self.named), zone)
    }

    fn wall_in(&self, wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
        let at = first_instant(zone, wall)?;
        (self.passes == Passes::First || zone.to_datetime(at) == wall).then_some(at)
    }

    /// At `now`, for a user in `zone` whom it did not reach.
    pub fn plan(&self, zone: &TimeZone, now: Timestamp) -> Own {
        let Some(base) = self.in_zone(zone) else { return Own::Never };
        if !is_late(base, now) {
            return Own::Due(base);
        }
        match self.late {
            Late::Unspecified | Late::Skip => Own::Late(base),
            // After a long outage a later occurrence is due as well: one is enough.
            Late::SendNow if self.has_next_come(zone, now) => Own::Late(base),
            Late::SendNow => Own::Due(now),
            Late::NextDay => match self.next_day(zone) {
                Some(due) if !is_late(due, now) => Own::Due(due),
                _ => Own::Late(base),
            },
        }
    }

    /// At `now`, for a send that was planned to be due at `due_at`: whether it still is, after its user may have moved.
    pub fn again(&self, zone: &TimeZone, due_at: Timestamp, now: Timestamp) -> Own {
        let Some(base) = self.in_zone(zone) else { return Own::Never };
        let next_day = || self.next_day(zone).filter(|_| self.late == Late::NextDay);
        if due_at == base || Some(due_at) == next_day() {
            return Own::Due(due_at);
        }
        if base > now {
            return Own::Due(base);
        }
        if !is_late(base, now) {
            return Own::Due(due_at.min(now));
        }
        match self.late {
            Late::Unspecified | Late::Skip => Own::Late(base),
            Late::SendNow => Own::Due(due_at.min(now)),
            Late::NextDay => next_day().map_or(Own::Late(base), Own::Due),
        }
    }

    fn has_next_come(&self, zone: &TimeZone, now: Timestamp) -> bool {
        let next = self.next.and_then(|next| self.wall_in(wall_of(next), zone));
        next.is_some_and(|next| next <= now)
    }

    /// The same wall clock a day later, unless an occurrence of its own is due then.
    fn next_day(&self, zone: &TimeZone) -> Option<Timestamp> {
        let wall = wall_of(self.named).checked_add(1.day()).ok()?;
        if self.next.is_some_and(|next| next <= name_of(wall)) {
            return None;
        }
        first_instant(zone, wall)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn occurrence(wall: &str, late: Late) -> OwnOccurrence {
        OwnOccurrence { named: at(&format!("{wall}Z")), next: None, passes: Passes::First, late }
    }

    #[track_caller]
    fn check(occurrence: &OwnOccurrence, zone: &str, now: &str, expected: Own) {
        assert_eq!(occurrence.plan(&TimeZone::get(zone).unwrap(), at(now)), expected);
    }

    #[test]
    fn everybody_has_the_same_wall_clock() {
        let nine = occurrence("2026-12-01T09:00", Late::Skip);
        let early = "2026-11-30T18:00Z";
        check(&nine, "Pacific/Kiritimati", early, Own::Due(at("2026-11-30T19:00Z")));
        check(&nine, "Europe/Berlin", early, Own::Due(at("2026-12-01T08:00Z")));
        check(&nine, "Pacific/Pago_Pago", early, Own::Due(at("2026-12-01T20:00Z")));
    }

    #[test]
    fn a_time_past_for_more_than_an_hour_is_late() {
        let nine = |late| occurrence("2026-12-01T09:00", late);
        let base = at("2026-12-01T08:00Z");
        check(&nine(Late::Skip), "Europe/Berlin", "2026-12-01T09:00Z", Own::Due(base));
        check(&nine(Late::Skip), "Europe/Berlin", "2026-12-01T09:00:00.001Z", Own::Late(base));
        check(&nine(Late::Unspecified), "Europe/Berlin", "2026-12-01T10:00Z", Own::Late(base));
        let now = "2026-12-01T10:00Z";
        check(&nine(Late::SendNow), "Europe/Berlin", now, Own::Due(at(now)));
        check(&nine(Late::NextDay), "Europe/Berlin", now, Own::Due(at("2026-12-02T08:00Z")));
        check(&nine(Late::NextDay), "Europe/Berlin", "2026-12-02T10:00Z", Own::Late(base));
    }

    #[test]
    fn nobody_is_sent_two_occurrences_at_once() {
        let daily = |late| OwnOccurrence {
            next: Some(at("2026-12-02T09:00Z")),
            ..occurrence("2026-12-01T09:00", late)
        };
        let base = at("2026-12-01T08:00Z");
        // The next day's own occurrence is due at the same time.
        check(&daily(Late::NextDay), "Europe/Berlin", "2026-12-01T12:00Z", Own::Late(base));
        let twelve = "2026-12-01T12:00Z";
        check(&daily(Late::SendNow), "Europe/Berlin", twelve, Own::Due(at(twelve)));
        check(&daily(Late::SendNow), "Europe/Berlin", "2026-12-02T08:00Z", Own::Late(base));
    }

    #[test]
    fn a_time_the_clock_skips_comes_after_the_gap_or_never() {
        let given = occurrence("2026-03-29T02:30", Late::Skip);
        check(&given, "Europe/Berlin", "2026-03-28T12:00Z", Own::Due(at("2026-03-29T01:00Z")));
        let matched = OwnOccurrence { passes: Passes::Every, ..given };
        check(&matched, "Europe/Berlin", "2026-03-28T12:00Z", Own::Never);
        check(&matched, "Europe/London", "2026-03-28T12:00Z", Own::Due(at("2026-03-29T01:30Z")));
    }

    #[test]
    fn a_user_who_moves_is_reached_once_on_the_new_clock() {
        let nine = |late| occurrence("2026-12-01T09:00", late);
        let (berlin, new_york) =
            (TimeZone::get("Europe/Berlin").unwrap(), TimeZone::get("America/New_York").unwrap());
        let in_berlin = at("2026-12-01T08:00Z");
        let in_new_york = at("2026-12-01T14:00Z");
        let skip = nine(Late::Skip);
        assert_eq!(skip.again(&berlin, in_berlin, in_berlin), Own::Due(in_berlin));
        // Westwards it waits; eastwards its time is past.
        assert_eq!(skip.again(&new_york, in_berlin, in_berlin), Own::Due(in_new_york));
        assert_eq!(skip.again(&new_york, in_new_york, in_new_york), Own::Due(in_new_york));
        assert_eq!(skip.again(&berlin, in_new_york, in_new_york), Own::Late(in_berlin));
        assert_eq!(nine(Late::SendNow).again(&berlin, in_new_york, in_new_york), Own::Due(in_new_york));
        let tomorrow = at("2026-12-02T08:00Z");
        assert_eq!(nine(Late::NextDay).again(&berlin, in_new_york, in_new_york), Own::Due(tomorrow));
        assert_eq!(nine(Late::NextDay).again(&berlin, tomorrow, tomorrow), Own::Due(tomorrow));
    }

    #[test]
    fn an_occurrence_is_open_from_the_first_place_to_the_last() {
        let named = at("2026-12-01T09:00Z");
        for zone in jiff::tz::db().available() {
            let zone = TimeZone::get(zone.as_str()).unwrap();
            for month in 1..=12 {
                let named =
                    named.to_zoned_datetime(TimeZone::UTC).with().month(month).build().unwrap().timestamp();
                let due = OwnOccurrence { named, next: None, passes: Passes::First, late: Late::Skip }
                    .in_zone(&zone);
                let due = due.unwrap();
                assert!(opens_at(named) < due && due < closes_at(named), "{zone:?}");
                let (after, until) = open_walls(due);
                assert!(after < named && named <= until, "{zone:?}");
            }
        }
    }

    proptest! {
        /// However often a send is looked at, and however often its user moves: a wait leads to an instant at which it may go.
        #[test]
        fn a_look_at_the_instant_it_named_says_go(
            hours in 0i64..48, from in 0usize..5, to in 0usize..5,
            late in prop::sample::select(vec![Late::Skip, Late::SendNow, Late::NextDay]),
        ) {
            const ZONES: [&str; 5] = ["Pacific/Kiritimati", "Europe/Berlin", "UTC", "America/New_York", "Pacific/Pago_Pago"];
            let (from, to) = (TimeZone::get(ZONES[from]).unwrap(), TimeZone::get(ZONES[to]).unwrap());
            let occurrence = occurrence("2026-12-01T09:00", late);
            let now = at("2026-11-30T12:00Z").checked_add(SignedDuration::from_hours(hours)).unwrap();
            let Own::Due(planned) = occurrence.plan(&from, now) else { return Ok(()) };
            let first_look = planned.max(now);
            if let Own::Due(due) = occurrence.again(&to, planned, first_look) {
                let second_look = due.max(first_look);
                prop_assert_eq!(occurrence.again(&to, due, second_look), Own::Due(due));
            }
        }
    }
}
