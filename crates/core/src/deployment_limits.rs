//! Pure. The deployment's settings, read and checked: which caps concern a campaign, what they ask of a store, and what is told of one
//! that stands against a send. Afterwards always valid.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::campaign_fields::{check_name, check_slug};
use crate::caps::{CapRule, Scope, Since};
use crate::clock_changes::first_instant;
use crate::draft::Draft;
use crate::duration_text;
use crate::fault::Faults;
use crate::limits;
use crate::quiet_hours::QuietHours;
use crate::reason::Suppression;
use crate::settings::{CapPeriod, DeliveryCap, INTERNAL, MinimumGap, Settings};

/// What every send of the deployment is held to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentLimits {
    /// In the order written, the minimum gap last.
    caps: Vec<Cap>,
    pub quiet_hours: Option<QuietHours>,
    never_send: Option<String>,
}

/// A cap, or the minimum gap: one send in that time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cap {
    at_most: u32,
    time: Time,
    /// Sorted.
    tags: Vec<String>,
    scope: Scope,
    is_gap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    Rolling(Duration),
    Calendar(CapPeriod),
}

impl DeploymentLimits {
    /// All faults at once, with their paths in the settings.
    pub fn read(settings: &Settings) -> Result<DeploymentLimits, Faults> {
        let mut faults = Faults::default();
        if settings.caps.len() > limits::CAPS_MAX {
            faults.add("caps", format!("expected at most {} caps", limits::CAPS_MAX));
        }
        let mut caps = Vec::new();
        for (i, cap) in settings.caps.iter().enumerate().take(limits::CAPS_MAX) {
            caps.extend(Cap::read(cap, &format!("caps[{i}]"), &mut faults));
        }
        caps.extend(settings.min_gap.as_ref().and_then(|gap| Cap::read_gap(gap, &mut faults)));
        let quiet_hours = settings.quiet_hours.as_ref();
        let quiet_hours = quiet_hours.and_then(|hours| QuietHours::read(hours, "quiet_hours", &mut faults));
        let never_send = Some(&settings.never_send).filter(|name| !name.is_empty()).cloned();
        if let Some(Err(text)) = never_send.as_deref().map(check_slug) {
            faults.add("never_send", text);
        }
        faults.or(DeploymentLimits { caps, quiet_hours, never_send })
    }

    /// The caps that a campaign's sends are counted by.
    pub fn caps_of<'a>(&'a self, draft: &'a Draft) -> impl Iterator<Item = &'a Cap> {
        self.caps.iter().filter(|cap| !draft.limits.ignore_caps && cap.counts(&draft.tags))
    }

    /// The segment of the people whom the campaign sends nothing. None: it may send to everybody.
    pub fn never_send_of(&self, draft: &Draft) -> Option<&str> {
        let name = self.never_send.as_deref()?;
        draft.tags.iter().all(|tag| tag != INTERNAL).then_some(name)
    }

    /// The segment that no campaign is to send to, but for the internal ones.
    pub fn never_send(&self) -> Option<&str> {
        self.never_send.as_deref()
    }

    /// Quiet hours of a campaign that has none of its own.
    pub fn quiet_hours_of(&self, draft: &Draft) -> Option<&QuietHours> {
        self.quiet_hours.as_ref().filter(|_| !draft.limits.ignore_quiet_hours)
    }
}

impl Cap {
    fn read(written: &DeliveryCap, path: &str, faults: &mut Faults) -> Option<Cap> {
        let before = faults.0.len();
        if written.at_most == 0 || written.at_most > limits::CAP_SENDS_MAX {
            faults.add(format!("{path}.at_most"), format!("expected 1 to {}", limits::CAP_SENDS_MAX));
        }
        let time = match (written.within, written.per) {
            (Some(within), None) => {
                if within < limits::CAP_TIME_MIN || within > limits::CAP_TIME_MAX {
                    faults.add(format!("{path}.within"), "expected 1m to 31d");
                }
                Some(Time::Rolling(within))
            }
            (None, Some(period)) => Some(Time::Calendar(period)),
            _ => {
                faults.add(path, "expected one of within (such as 24h) and per (day or week)");
                None
            }
        };
        check_tags(&written.tags, &format!("{path}.tags"), faults);
        let time = time.filter(|_| faults.0.len() == before)?;
        Some(Cap::new(written.at_most, time, &written.tags, false))
    }

    fn read_gap(written: &MinimumGap, faults: &mut Faults) -> Option<Cap> {
        let before = faults.0.len();
        if written.gap < limits::MIN_GAP_MIN || written.gap > limits::CAP_TIME_MAX {
            faults.add("min_gap.gap", "expected 1s to 31d");
        }
        check_tags(&written.tags, "min_gap.tags", faults);
        (faults.0.len() == before).then(|| Cap::new(1, Time::Rolling(written.gap), &written.tags, true))
    }

    fn new(at_most: u32, time: Time, tags: &[String], is_gap: bool) -> Cap {
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        let scope = scope(&tags);
        Cap { at_most, time, tags, scope, is_gap }
    }

    fn counts(&self, tags: &[String]) -> bool {
        match self.tags.is_empty() {
            true => tags.iter().all(|tag| tag != INTERNAL),
            false => tags.iter().any(|tag| self.tags.contains(tag)),
        }
    }

    /// What it asks of a store about a user whose clock is `zone`.
    pub fn rule(&self, now: Timestamp, zone: &TimeZone) -> CapRule {
        let since = match self.time {
            Time::Rolling(time) => Since::Ago(time),
            Time::Calendar(period) => Since::At(begin(period, now, zone)),
        };
        CapRule { scope: self.scope, since, at_most: self.at_most }
    }

    pub fn reason(&self) -> Suppression {
        if self.is_gap { Suppression::MinGap } else { Suppression::Capped }
    }

    /// In words: `at most 3 webhooks within 24h`.
    pub fn text(&self) -> String {
        let webhooks = if self.at_most == 1 { "webhook" } else { "webhooks" };
        let n = self.at_most;
        let what = match self.time {
            Time::Rolling(time) if self.is_gap => {
                format!("at least {} between two webhooks", duration_text::show(time))
            }
            Time::Rolling(time) => format!("at most {n} {webhooks} within {}", duration_text::show(time)),
            Time::Calendar(CapPeriod::Day) => format!("at most {n} {webhooks} on a day of the user's"),
            Time::Calendar(CapPeriod::Week) => format!("at most {n} {webhooks} in a week of the user's"),
        };
        match self.tags.is_empty() {
            true => what,
            false => format!("{what}, of campaigns tagged {}", self.tags.join(" or ")),
        }
    }
}

/// Caps of the same tags count together. 0 is kept for those without.
fn scope(sorted: &[String]) -> Scope {
    if sorted.is_empty() {
        return 0;
    }
    let mut sha = Sha256::new();
    for tag in sorted {
        sha.update((tag.len() as u64).to_be_bytes());
        sha.update(tag);
    }
    let [a, b, c, d, ..] = <[u8; 32]>::from(sha.finalize());
    u32::from_be_bytes([a, b, c, d]).max(1)
}

/// The last millisecond before the user's day or week.
fn begin(period: CapPeriod, now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = zone.to_datetime(now).date();
    let days = match period {
        CapPeriod::Day => 0,
        CapPeriod::Week => i64::from(today.weekday().since(Weekday::Monday)),
    };
    let first = today.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(today);
    let midnight = first_instant(zone, first.to_datetime(jiff::civil::Time::midnight())).unwrap_or(now);
    midnight.checked_sub(SignedDuration::from_millis(1)).unwrap_or(midnight)
}

fn check_tags(tags: &[String], path: &str, faults: &mut Faults) {
    if tags.len() > limits::TAGS_MAX {
        faults.add(path, format!("expected at most {} tags", limits::TAGS_MAX));
    }
    for (i, tag) in tags.iter().enumerate().take(limits::TAGS_MAX) {
        check_name(tag, &format!("{path}[{i}]"), faults);
        if tags[..i].contains(tag) {
            faults.add(format!("{path}[{i}]"), format!("{tag:?} is there twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft;

    fn cap(at_most: u32, within: Option<u64>, per: Option<CapPeriod>, tags: &[&str]) -> DeliveryCap {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        DeliveryCap { at_most, within: within.map(Duration::from_secs), per, tags }
    }

    fn tagged(tags: &[&str]) -> Draft {
        Draft { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Draft::default() }
    }

    fn texts(settings: &Settings, draft: &Draft) -> Vec<String> {
        DeploymentLimits::read(settings).unwrap().caps_of(draft).map(Cap::text).collect()
    }

    #[test]
    fn a_cap_counts_the_campaigns_with_its_tags_or_all_that_are_not_internal() {
        let settings = Settings {
            caps: vec![
                cap(3, Some(86_400), None, &[]),
                cap(1, None, Some(CapPeriod::Week), &["promo", "news"]),
            ],
            min_gap: Some(MinimumGap { gap: Duration::from_secs(7_200), tags: Vec::new() }),
            ..Settings::default()
        };
        let (day, week) = (
            "at most 3 webhooks within 1d",
            "at most 1 webhook in a week of the user's, of campaigns tagged news or promo",
        );
        let gap = "at least 2h between two webhooks";
        assert_eq!(texts(&settings, &tagged(&[])), [day, gap]);
        assert_eq!(texts(&settings, &tagged(&["promo"])), [day, week, gap]);
        assert_eq!(texts(&settings, &tagged(&["internal"])), [""; 0]);
        assert_eq!(texts(&settings, &tagged(&["internal", "news"])), [week]);
        let mut ignoring = tagged(&["promo"]);
        ignoring.limits.ignore_caps = true;
        assert_eq!(texts(&settings, &ignoring), [""; 0]);
        let reasons: Vec<_> =
            DeploymentLimits::read(&settings).unwrap().caps.iter().map(Cap::reason).collect();
        assert_eq!(reasons, [Suppression::Capped, Suppression::Capped, Suppression::MinGap]);
    }

    #[test]
    fn caps_of_the_same_tags_count_together_in_whatever_order() {
        let one =
            Cap::new(1, Time::Rolling(Duration::from_secs(60)), &["a".to_owned(), "b".to_owned()], false);
        let other = Cap::new(9, Time::Calendar(CapPeriod::Day), &["b".to_owned(), "a".to_owned()], false);
        let third = Cap::new(1, one.time, &["ab".to_owned()], false);
        assert_eq!(one.scope, other.scope);
        assert_ne!(one.scope, third.scope);
        assert_eq!(one.scope, 0x3c9d_5910, "stored with every reservation, so it never changes");
    }

    #[test]
    fn a_day_and_a_week_begin_by_the_users_clock() {
        let check = |period, zone: &str, now: &str, first: &str| {
            let zone = TimeZone::get(zone).unwrap();
            let begins = begin(period, now.parse().unwrap(), &zone);
            let first: Timestamp = first.parse().unwrap();
            assert_eq!(begins.checked_add(SignedDuration::from_millis(1)).unwrap(), first, "{now}");
        };
        use CapPeriod::{Day, Week};
        check(Day, "UTC", "2026-11-24T08:00:00Z", "2026-11-24T00:00:00Z");
        check(Day, "America/New_York", "2026-11-24T04:59:00Z", "2026-11-23T05:00:00Z");
        check(Day, "Pacific/Kiritimati", "2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z");
        // 2026-11-24 is a Tuesday.
        check(Week, "UTC", "2026-11-24T08:00:00Z", "2026-11-23T00:00:00Z");
        check(Week, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z");
        check(Week, "Europe/Berlin", "2026-11-22T23:00:00Z", "2026-11-22T23:00:00Z");
        // Midnight does not exist that day: it begins where the clock jumps to.
        check(Day, "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let settings = Settings {
            caps: vec![
                cap(0, Some(59), None, &["", "a", "a"]),
                cap(501, None, None, &[]),
                cap(1, Some(60), Some(CapPeriod::Day), &[]),
                cap(1, Some(32 * 86_400), None, &[]),
            ],
            min_gap: Some(MinimumGap::default()),
            quiet_hours: Some(draft::QuietHours {
                from: "x".to_owned(),
                to: "08:00".to_owned(),
                drop: false,
            }),
            never_send: "No Slug".to_owned(),
            ..Settings::default()
        };
        let faults = DeploymentLimits::read(&settings).unwrap_err();
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "caps[0].at_most",
                "caps[0].within",
                "caps[0].tags[0]",
                "caps[0].tags[2]",
                "caps[1].at_most",
                "caps[1]",
                "caps[2]",
                "caps[3].within",
                "min_gap.gap",
                "quiet_hours.from",
                "never_send"
            ]
        );
        let many = Settings { caps: vec![cap(1, Some(60), None, &[]); 17], ..Settings::default() };
        assert_eq!(DeploymentLimits::read(&many).unwrap_err().0[0].field, "caps");
    }
}
