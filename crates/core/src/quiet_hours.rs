//! Pure. Hours of a user's day without sends.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::calendar_text::read_time;
use crate::clock_changes::first_instant;
use crate::draft;
use crate::fault::Faults;

/// From one time of day to another; one that ends before it begins ends the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    pub from: Time,
    /// No longer quiet.
    pub to: Time,
    /// What is due inside is not sent at all, rather than held.
    pub drop: bool,
}

impl QuietHours {
    /// `path` is where it stands. None if a fault was added.
    pub fn read(written: &draft::QuietHours, path: &str, faults: &mut Faults) -> Option<QuietHours> {
        let mut time = |text: &str, name: &str| match read_time(text) {
            Ok(time) => Some(time),
            Err(why) => {
                faults.add(format!("{path}.{name}"), why);
                None
            }
        };
        let (from, to) = (time(&written.from, "from"), time(&written.to, "to"));
        let (from, to) = (from?, to?);
        if from == to {
            faults.add(
                format!("{path}.to"),
                "is the same as from: quiet hours end at another time than they begin",
            );
            return None;
        }
        Some(QuietHours { from, to, drop: written.drop })
    }

    /// When they end, if `now` lies inside them in `zone`. A clock change inside them moves nothing but the hours it skips or repeats.
    pub fn end(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let wall = zone.to_datetime(now);
        let time = wall.time();
        let overnight = self.to < self.from;
        let inside = if overnight {
            time >= self.from || time < self.to
        } else {
            (self.from..self.to).contains(&time)
        };
        if !inside {
            return None;
        }
        let day = if overnight && time >= self.from { wall.date().tomorrow().ok()? } else { wall.date() };
        let end = first_instant(zone, day.to_datetime(self.to))?;
        // In an autumn overlap the wall clock passes the end twice: the second pass is quiet no longer.
        (end > now).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(from: &str, to: &str) -> QuietHours {
        let written = draft::QuietHours { from: from.to_owned(), to: to.to_owned(), drop: false };
        let mut faults = Faults::default();
        QuietHours::read(&written, "limits.quiet_hours", &mut faults).unwrap_or_else(|| panic!("{faults}"))
    }

    fn check(from: &str, to: &str, zone: &str, now: &str, end: Option<&str>) {
        let zone = TimeZone::get(zone).unwrap();
        assert_eq!(hours(from, to).end(at(now), &zone), end.map(at), "{from} to {to} at {now}");
    }

    #[test]
    fn they_end_at_their_time_in_the_users_zone() {
        let berlin = "Europe/Berlin";
        check("21:00", "08:00", berlin, "2026-11-24T19:59:59Z", None);
        check("21:00", "08:00", berlin, "2026-11-24T20:00:00Z", Some("2026-11-25T07:00:00Z"));
        check("21:00", "08:00", berlin, "2026-11-25T06:59:59Z", Some("2026-11-25T07:00:00Z"));
        check("21:00", "08:00", berlin, "2026-11-25T07:00:00Z", None);
        check("21:00", "08:00", "Asia/Kolkata", "2026-11-24T20:00:00Z", Some("2026-11-25T02:30:00Z"));
        check("12:00", "13:30", "UTC", "2026-11-24T12:30:00Z", Some("2026-11-24T13:30:00Z"));
        check("12:00", "13:30", "UTC", "2026-11-24T13:30:00Z", None);
        check("00:00", "06:00", "UTC", "2026-11-24T00:00:00Z", Some("2026-11-24T06:00:00Z"));
    }

    #[test]
    fn a_clock_change_inside_them_is_counted_by_the_wall_clock() {
        let berlin = "Europe/Berlin";
        // Spring: 02:30 does not exist, so they end when the clock jumps past it.
        check("21:00", "02:30", berlin, "2026-03-28T21:00:00Z", Some("2026-03-29T01:00:00Z"));
        check("21:00", "08:00", berlin, "2026-03-28T21:00:00Z", Some("2026-03-29T06:00:00Z"));
        // Autumn: 02:30 comes twice, they end at the first.
        check("21:00", "02:30", berlin, "2026-10-24T20:00:00Z", Some("2026-10-25T00:30:00Z"));
        check("21:00", "02:30", berlin, "2026-10-25T01:15:00Z", None);
        check("21:00", "08:00", berlin, "2026-10-25T00:30:00Z", Some("2026-10-25T07:00:00Z"));
    }

    #[test]
    fn wrong_times_are_told_by_field() {
        for (from, to, field) in [
            ("", "08:00", "from"),
            ("25:00", "08:00", "from"),
            ("21:00", "x", "to"),
            ("08:00", "08:00", "to"),
        ] {
            let written = draft::QuietHours { from: from.to_owned(), to: to.to_owned(), drop: false };
            let mut faults = Faults::default();
            assert_eq!(QuietHours::read(&written, "q", &mut faults), None);
            assert_eq!(faults.0[0].field, format!("q.{field}"), "{faults}");
        }
    }

    proptest! {
        /// Held until their end, a send is outside; and the end is within a day and an hour.
        #[test]
        fn at_their_end_they_are_over(
            now in 1_700_000_000i64..1_900_000_000,
            from in 0i8..24,
            to in 0i8..24,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
        ) {
            prop_assume!(from != to);
            let zone = TimeZone::get(zone).unwrap();
            let hours = hours(&format!("{from:02}:00"), &format!("{to:02}:00"));
            let now = Timestamp::from_second(now).unwrap();
            if let Some(end) = hours.end(now, &zone) {
                prop_assert!(end > now && end.duration_since(now).as_hours() <= 25);
                prop_assert_eq!(hours.end(end, &zone), None);
            }
        }
    }
}
