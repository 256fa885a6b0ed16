//! Pure. Who comes into a segment and who leaves it, for the campaigns whose triggers name it.
//!
//! Each user carries a mark for every watch of a live campaign whose segment the user was last seen in. Whoever changes a user looks at the
//! watches in the same write and tells what crossed; the scheduler looks at everybody when a campaign begins, once a day where time alone
//! moves people, and when a segment or a list it asks was changed. So each crossing is told once, and none that somebody saw is missed.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::campaign_record::{CampaignRecord, OpenOccurrence, State};
use crate::draft::{Draft, TriggerOn};
use crate::event::Event;
use crate::facts::Facts;
use crate::happening::Happening;
use crate::number::CampaignNo;
use crate::segment::Named;
use crate::segments::Segments;
use crate::user::Profile;

/// How long after a look everybody is looked at again, where time alone moves people.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How long after a look the next one begins at the earliest, however often lists change.
const APART: SignedDuration = SignedDuration::from_secs(10);

/// A segment that a live campaign's triggers name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub campaign: CampaignNo,
    pub segment: String,
    /// The mark of who was last seen in it.
    pub mark: u32,
    /// Everybody was looked at once: who has no mark was outside.
    pub is_settled: bool,
}

/// A user who came into a segment or left it, as one campaign sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub campaign: CampaignNo,
    pub segment: String,
    pub entered: bool,
}

/// When everybody was looked at for a campaign, and what is being looked at now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Looks {
    /// By segment.
    pub done: BTreeMap<String, Looked>,
    pub open: Option<OpenLook>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    pub at: Timestamp,
    /// What the segment, and all that it asks, was then.
    pub stamp: u64,
}

/// A look on its way over the users, as an open occurrence of its campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLook {
    pub at: Timestamp,
    pub stamps: BTreeMap<String, u64>,
}

impl Looks {
    pub fn is_default(&self) -> bool {
        *self == Looks::default()
    }
}

/// The segment that a trigger names.
pub fn named(on: &TriggerOn) -> Option<&str> {
    match on {
        TriggerOn::SegmentEntered(name) | TriggerOn::SegmentLeft(name) => Some(name),
        _ => None,
    }
}

/// The segments that a definition's triggers name, each once.
pub fn watched(draft: &Draft) -> Vec<&str> {
    let mut names: Vec<&str> = draft.triggers().filter_map(named).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What a campaign watches; nothing unless it is live.
pub fn watches(record: &CampaignRecord) -> Vec<Watch> {
    if matches!(record.state, State::Draft | State::Finishing | State::Ended) {
        return Vec::new();
    }
    let watch = |segment: &str| Watch {
        campaign: record.no,
        segment: segment.to_owned(),
        mark: mark(record.no, segment),
        is_settled: record.looks.done.contains_key(segment),
    };
    watched(&record.draft).into_iter().map(watch).collect()
}

fn mark(campaign: CampaignNo, segment: &str) -> u32 {
    let mut sha = Sha256::new();
    sha.update(campaign.0.to_be_bytes());
    sha.update(segment);
    let [a, b, c, d, ..] = <[u8; 32]>::from(sha.finalize());
    u32::from_be_bytes([a, b, c, d])
}

/// Marks the user as it is now, and says what it crossed. `before`: as it was before the change that is looked at; none where nothing
/// changed but time.
pub fn look<'w>(
    watches: impl IntoIterator<Item = &'w Watch>,
    before: Option<&Profile>,
    user: &mut Profile,
    segments: &Segments,
    now: Timestamp,
) -> Vec<Crossing> {
    let mut crossed = Vec::new();
    for watch in watches {
        let Some(is_in) = is_in(&watch.segment, user, segments, now) else { continue };
        let marked = user.inside.binary_search(&watch.mark);
        let was_in = match (&marked, watch.is_settled) {
            (Ok(_), _) => Some(true),
            (Err(_), true) => Some(false),
            (Err(_), false) => before.and_then(|before| self::is_in(&watch.segment, before, segments, now)),
        };
        match (marked, is_in) {
            (Ok(place), false) => drop(user.inside.remove(place)),
            (Err(place), true) => user.inside.insert(place, watch.mark),
            _ => {}
        }
        if was_in.is_some_and(|was_in| was_in != is_in) {
            let segment = watch.segment.clone();
            crossed.push(Crossing { campaign: watch.campaign, segment, entered: is_in });
        }
    }
    crossed
}

/// Takes away the marks of what nobody watches any more.
pub fn forget(watches: &[Watch], user: &mut Profile) {
    user.inside.retain(|mark| watches.iter().any(|watch| watch.mark == *mark));
}

/// None: there is no such segment.
fn is_in(segment: &str, profile: &Profile, segments: &Segments, now: Timestamp) -> Option<bool> {
    let fallback_zone = &TimeZone::UTC;
    let facts = Facts {
        profile,
        event: None,
        values: None,
        previous: None,
        as_of: now,
        now,
        segments,
        fallback_zone,
    };
    segments.contains(segment, &facts)
}

impl Crossing {
    /// As the log and the campaign read it. `cause` tells the crossings of one user apart.
    pub fn event(&self, cause: &str, at: Timestamp) -> Event {
        let happening = match self.entered {
            true => Happening::SegmentEntered(self.campaign.0),
            false => Happening::SegmentLeft(self.campaign.0),
        };
        let mut properties = serde_json::Map::new();
        properties.insert("segment".to_owned(), self.segment.as_str().into());
        Event {
            name: happening.name().to_owned(),
            value: None,
            properties,
            occurred_at: at,
            id: format!("{}/{}/{}/{cause}", happening.name(), self.segment, self.campaign.0),
            happening: Some(happening),
            collected: Vec::new(),
        }
    }
}

/// What a segment, and all that it asks, is now: another number after any change. None: there is no such segment.
fn stamp(segments: &Segments, name: &str) -> Option<u64> {
    segments.get(name)?;
    let named = Named { segments: vec![name.to_owned()], ..Named::default() };
    let Named { segments: mut inside, mut lists } = segments.through(&named);
    inside.sort_unstable();
    lists.sort_unstable();
    let mut sha = Sha256::new();
    for name in inside {
        let revision = segments.get(&name).map_or(0, |segment| segment.record.revision);
        sha.update(format!("segment {name} {revision};"));
    }
    for name in lists {
        let revision = segments.list(&name).map_or(0, |list| list.record.revision);
        sha.update(format!("list {name} {revision};"));
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(sha.finalize());
    Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// What comes next for a campaign that watches segments.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Not before then; none: not until something changes.
    Wait(Option<Timestamp>),
    /// Everybody is to be looked at: the record with the look begun.
    Look(Box<CampaignRecord>),
}

/// Whether everybody is to be looked at.
pub fn next(record: &CampaignRecord, segments: &Segments, now: Timestamp) -> Next {
    let names = watched(&record.draft);
    if names.is_empty() || record.state != State::Active || record.looks.open.is_some() {
        return Next::Wait(None);
    }
    let mut wait: Option<Timestamp> = None;
    let mut is_due = false;
    let mut stamps = BTreeMap::new();
    for name in names {
        let Some(stamp) = stamp(segments, name) else { continue };
        stamps.insert(name.to_owned(), stamp);
        let after = |looked: Looked, time| looked.at.checked_add(time).unwrap_or(Timestamp::MAX);
        let due_at = match record.looks.done.get(name) {
            None => Some(now),
            Some(looked) if looked.stamp != stamp => Some(after(*looked, APART)),
            Some(looked) if segments.looks_at_time(name) => Some(after(*looked, EVERY)),
            Some(_) => None,
        };
        is_due |= due_at.is_some_and(|due_at| due_at <= now);
        wait = wait.into_iter().chain(due_at).min();
    }
    if !is_due {
        return Next::Wait(wait);
    }
    let mut record = record.clone();
    let mut at = now;
    while record.schedule.open.iter().any(|open| open.at == at) {
        at = at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at);
    }
    let revision = record.revision;
    record.schedule.open.push(OpenOccurrence { at, revision });
    record.looks.open = Some(OpenLook { at, stamps });
    Next::Look(Box::new(record))
}

impl CampaignRecord {
    /// Whether an open occurrence is a look at everybody.
    pub fn is_look(&self, at: Timestamp) -> bool {
        self.looks.open.as_ref().is_some_and(|look| look.at == at)
    }

    /// Everybody was looked at, if the occurrence was a look. Whoever changes users is told where that settles something.
    pub fn close_look(&mut self, at: Timestamp) {
        if !self.is_look(at) {
            return;
        }
        let Some(look) = self.looks.open.take() else { return };
        let names: Vec<String> = watched(&self.draft).into_iter().map(str::to_owned).collect();
        self.looks.done.retain(|name, _| names.contains(name));
        for (name, stamp) in look.stamps.into_iter().filter(|(name, _)| names.contains(name)) {
            let before = self.looks.done.insert(name, Looked { at: look.at, stamp });
            self.epoch += u64::from(before.is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::draft::{Delivery, Kind, Trigger, Triggered};
    use crate::fault::Faults;
    use crate::segment::{Segment, SegmentRecord};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn segments(conditions: &[(&str, &str, u32)]) -> Segments {
        let read = |(name, condition, revision): &(&str, &str, u32)| {
            let record = SegmentRecord {
                name: (*name).to_owned(),
                title: String::new(),
                condition: (*condition).to_owned(),
                revision: *revision,
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
            };
            Segment::read(record, &mut Faults::default()).unwrap()
        };
        Segments::new(conditions.iter().map(read).collect(), Vec::new())
    }

    fn record(state: State) -> CampaignRecord {
        let when = vec![
            Trigger { on: TriggerOn::SegmentEntered("pros".to_owned()), ..Trigger::default() },
            Trigger { on: TriggerOn::SegmentLeft("pros".to_owned()), ..Trigger::default() },
        ];
        let triggered = Triggered { when, ..Triggered::default() };
        let draft = Draft {
            delivery: Delivery { kind: Some(Kind::Triggered(triggered)), ..Delivery::default() },
            ..Draft::default()
        };
        CampaignRecord { no: CampaignNo(7), state, ..CampaignRecord::new(draft, Timestamp::UNIX_EPOCH) }
    }

    fn person(attributes: serde_json::Value) -> Profile {
        let mut profile = Profile::new("mary", Timestamp::UNIX_EPOCH);
        profile.attributes = attributes.as_object().unwrap().clone();
        profile
    }

    #[test]
    fn a_crossing_is_told_once_and_nothing_that_was_so_before_anybody_looked() {
        let segments = segments(&[("pros", r#"user.plan == "pro""#, 1)]);
        let now = at("2026-11-24T08:00:00Z");
        let watch = |is_settled| {
            let mut record = record(State::Active);
            if is_settled {
                record.looks.done.insert("pros".to_owned(), Looked { at: now, stamp: 1 });
            }
            watches(&record)
        };
        let (free, pro) = (person(json!({"plan": "free"})), person(json!({"plan": "pro"})));
        let check = |settled: bool, before: Option<&Profile>, user: &Profile, expected: &[bool]| {
            let mut user = user.clone();
            let crossed = look(&watch(settled), before, &mut user, &segments, now);
            let entered: Vec<bool> = crossed.iter().map(|crossing| crossing.entered).collect();
            assert_eq!(entered, expected, "{user:?}");
            assert_eq!(look(&watch(settled), None, &mut user, &segments, now), [], "it is told once");
            user
        };
        let inside = check(false, None, &pro, &[]);
        assert_eq!(inside.inside.len(), 1, "the first look at everybody only marks");
        check(false, Some(&free), &pro, &[true]);
        check(false, Some(&pro), &pro, &[]);
        check(true, None, &pro, &[true]);
        check(true, Some(&pro), &free, &[]);
        let left = Profile { attributes: free.attributes.clone(), ..inside };
        let outside = check(true, None, &left, &[false]);
        assert!(outside.inside.is_empty());
    }

    #[test]
    fn only_live_campaigns_watch_and_marks_of_others_are_forgotten() {
        assert_eq!(watches(&record(State::Active)).len(), 1, "each segment once");
        assert_eq!(watches(&record(State::Paused)).len(), 1);
        for state in [State::Draft, State::Finishing, State::Ended] {
            assert!(watches(&record(state)).is_empty());
        }
        let mut user = person(json!({}));
        let kept = watches(&record(State::Active));
        user.inside = vec![1, kept[0].mark];
        user.inside.sort_unstable();
        forget(&kept, &mut user);
        assert_eq!(user.inside, [kept[0].mark]);
    }

    #[test]
    fn everybody_is_looked_at_first_then_daily_where_time_moves_people_and_after_changes() {
        let now = at("2026-11-24T08:00:00Z");
        let still = segments(&[("pros", r#"user.plan == "pro""#, 1)]);
        let Next::Look(mut looked) = next(&record(State::Active), &still, now) else { panic!("at first") };
        assert!(looked.is_look(now) && looked.schedule.open.len() == 1);
        assert_eq!(next(&looked, &still, now), Next::Wait(None), "one at a time");
        let epoch = looked.epoch;
        looked.schedule.open.clear();
        looked.close_look(now);
        assert_eq!(looked.epoch, epoch + 1, "whoever changes users hears that it is settled");
        assert_eq!(next(&looked, &still, at("2027-11-24T08:00:00Z")), Next::Wait(None));
        let changed = segments(&[("pros", r#"user.plan in ["pro"]"#, 2)]);
        assert_eq!(next(&looked, &changed, now), Next::Wait(Some(at("2026-11-24T08:00:10Z"))));
        assert!(matches!(next(&looked, &changed, at("2026-11-24T08:00:10Z")), Next::Look(_)));

        let moving =
            segments(&[("pros", r#"in_segment("new")"#, 1), ("new", "user.at is in_last(\"3d\")", 1)]);
        let Next::Look(mut looked) = next(&record(State::Active), &moving, now) else { panic!("at first") };
        looked.schedule.open.clear();
        looked.close_look(now);
        assert_eq!(next(&looked, &moving, now), Next::Wait(Some(at("2026-11-25T08:00:00Z"))));
        for state in [State::Draft, State::Scheduled, State::Paused, State::Ended] {
            assert_eq!(next(&record(state), &moving, now), Next::Wait(None), "{state:?}");
        }
    }
}
