//! Pure. From an occurrence and some users to due-sends: who of them belongs to the audience enters, once.
//!
//! In users' own zones everybody is given a place at their own due instant, and `sender::admit` decides there who enters.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip, user_hash};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, Layout, UserNo, millis};
use campanile_core::own_zone::Own;
use campanile_core::ports::{NewEntry, OccurrenceKey, StoredUser};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::segments::Segments;
use jiff::Timestamp;

use crate::entering::{Entering, refused};

/// What is known of a campaign to plan under one revision of it.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub no: CampaignNo,
    pub revision: u32,
    pub destination: DestinationNo,
    pub campaign: &'a Campaign,
}

/// Users of an occurrence, a chunk of them.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    pub occurrence: OccurrenceKey,
    pub users: &'a [StoredUser],
    /// Who has a number above it came after the walk began.
    pub last: u64,
}

/// Entries, sends that ended in being planned, and how they are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub entries: Vec<NewEntry>,
    pub ended: Vec<LogRow>,
    pub counts: Vec<Count>,
}

/// Plans an occurrence for a chunk of users. Conditions are judged as of the occurrence's instant.
pub fn plan(
    record: &CampaignRecord,
    planned: &Planned<'_>,
    (layout, segments): (&Layout, &Segments),
    chunk: Chunk<'_>,
    now: Timestamp,
) -> Plan {
    let enters = |user: &StoredUser, due_at| {
        let profile = Some(&user.profile);
        let of = (record, planned.campaign, segments);
        refused(&Entering::by_occurrence(of, due_at, profile, now)).is_none()
    };
    if planned.campaign.zones.are_own {
        return plan_own(planned, layout, chunk, now, enters);
    }
    let Chunk { occurrence, users, .. } = chunk;
    let key = millis(occurrence.at);
    let entries: Vec<NewEntry> = users
        .iter()
        .filter(|user| enters(user, occurrence.at))
        .map(|user| entry(planned, EntryKind::Occurrence, user.no, key, occurrence.at, Skip::default(), None))
        .collect();
    let (entered, seen) = (entries.len() as i64, users.len() as i64);
    let count = |counter, by| Count { campaign: planned.no, counter, by };
    let mut counts = vec![
        count(Counter::Triggered, seen),
        count(Counter::Refused(Refusal::NotInAudience), seen - entered),
    ];
    counts.extend(entry_counts(planned).map(|c| Count { by: entered, ..c }));
    counts.retain(|count| count.by != 0);
    Plan { entries, ended: Vec::new(), counts }
}

/// The audience is asked only about those whose send ends here: theirs will not be claimed.
fn plan_own(
    planned: &Planned<'_>,
    layout: &Layout,
    chunk: Chunk<'_>,
    now: Timestamp,
    enters: impl Fn(&StoredUser, Timestamp) -> bool,
) -> Plan {
    let mut plan = Plan::default();
    let Chunk { occurrence, users, last } = chunk;
    let own = planned.campaign.own_occurrence(occurrence.at);
    let key = millis(occurrence.at);
    let count = |counter| Count { campaign: planned.no, counter, by: 1 };
    for user in users {
        let zone = planned.campaign.zones.of(&user.profile);
        let (due_at, ends) = match zone.map(|zone| own.plan(&zone, now)) {
            None => (now, Some((Suppression::NoTimeZone, "the user has no time zone".to_owned()))),
            Some(Own::Due(due_at)) => (due_at, None),
            // Was not there when it was due.
            Some(Own::Late(_)) if user.no.0 > last => continue,
            Some(Own::Late(due_at)) => (due_at, Some((Suppression::Late, format!("it was due at {due_at}")))),
            Some(Own::Never) => continue,
        };
        plan.counts.push(count(Counter::Triggered));
        let new = entry(planned, EntryKind::Occurrence, user.no, key, due_at, Skip::default(), None);
        match ends {
            None => {
                plan.entries.push(new);
                plan.counts.extend(entry_counts(planned));
            }
            Some(_) if !enters(user, due_at) => {
                plan.counts.push(count(Counter::Refused(Refusal::NotInAudience)));
            }
            Some((reason, text)) => {
                plan.counts.extend(ended_counts(planned, reason));
                plan.ended.push(ended_row(layout, &new, &user.profile.id, (reason, text), now));
            }
        }
    }
    plan.counts = summed(plan.counts);
    plan
}

/// The first due-send of a new entry.
pub fn entry(
    planned: &Planned<'_>,
    kind: EntryKind,
    user: UserNo,
    key: u64,
    due_at: Timestamp,
    skip: Skip,
    data: Option<Vec<u8>>,
) -> NewEntry {
    let send = DueSend {
        pinned: false,
        has_data: data.is_some(),
        has_request: false,
        skip,
        kind,
        user,
        key,
        action: first_action(planned),
        due_at,
        revision: planned.revision,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    };
    let lane = Lane { campaign: planned.no, destination: planned.destination, class: Class::First };
    NewEntry { due: DueEntry { at: due_at, lane, send }, data }
}

/// The number of its first action.
fn first_action(planned: &Planned<'_>) -> u8 {
    planned.campaign.actions.first().map_or(0, |first| first.number)
}

/// How one entry with its first send is counted.
pub fn entry_counts(planned: &Planned<'_>) -> impl Iterator<Item = Count> + use<> {
    let (no, first) = (planned.no, first_action(planned));
    [Counter::Entered, Counter::Open, Counter::Planned(first), Counter::Pending(first)]
        .into_iter()
        .map(move |counter| Count { campaign: no, counter, by: 1 })
}

/// How one entry is counted whose first send ended in being planned.
pub fn ended_counts(planned: &Planned<'_>, reason: Suppression) -> impl Iterator<Item = Count> + use<> {
    let (no, first) = (planned.no, first_action(planned));
    [Counter::Entered, Counter::Finished, Counter::Planned(first), Counter::Suppressed(first, reason)]
        .into_iter()
        .map(move |counter| Count { campaign: no, counter, by: 1 })
}

/// What the log says of a send that ended in being planned.
pub fn ended_row(
    layout: &Layout,
    new: &NewEntry,
    user_id: &str,
    (reason, text): (Suppression, String),
    now: Timestamp,
) -> LogRow {
    let send = &new.due.send;
    LogRow {
        ended: Ended::Suppressed(reason),
        campaign: new.due.lane.campaign,
        user: send.user,
        user_hash: user_hash(layout, user_id),
        key: send.key,
        action: send.action,
        due_at: send.due_at,
        at: now,
        revision: send.revision,
        attempts: 0,
        status: 0,
        took_ms: 0,
        text,
    }
}
