//! Pure. From an occurrence and some users to due-sends: who of them belongs to the audience enters, once.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::{Count, Counter};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip};
use campanile_core::number::{CampaignNo, DestinationNo, UserNo, millis};
use campanile_core::ports::{NewEntry, OccurrenceKey, StoredUser};
use campanile_core::reason::Refusal;
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

/// Entries and how they are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub entries: Vec<NewEntry>,
    pub counts: Vec<Count>,
}

/// Plans an occurrence for a chunk of users. Conditions are judged as of the occurrence's instant.
pub fn plan(
    record: &CampaignRecord,
    planned: &Planned<'_>,
    occurrence: OccurrenceKey,
    users: &[StoredUser],
    now: Timestamp,
) -> Plan {
    let key = millis(occurrence.at);
    let enters = |user: &&StoredUser| {
        let profile = Some(&user.profile);
        refused(&Entering::by_occurrence(record, planned.campaign, occurrence.at, profile, now)).is_none()
    };
    let entries: Vec<NewEntry> = users
        .iter()
        .filter(enters)
        .map(|user| entry(planned, EntryKind::Occurrence, user.no, key, occurrence.at, Skip::default(), None))
        .collect();
    let (entered, seen) = (entries.len() as i64, users.len() as i64);
    let count = |counter, by| Count { campaign: planned.no, counter, by };
    let mut counts = vec![
        count(Counter::Triggered, seen),
        count(Counter::Refused(Refusal::NotInAudience), seen - entered),
    ];
    counts.extend(entry_counts(planned.no).map(|c| Count { by: entered, ..c }));
    counts.retain(|count| count.by != 0);
    Plan { entries, counts }
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
        action: 0,
        due_at,
        revision: planned.revision,
        attempts: 0,
        redeliveries: 0,
        first_claim_after_ms: 0,
    };
    let lane = Lane { campaign: planned.no, destination: planned.destination, class: Class::First };
    NewEntry { due: DueEntry { at: due_at, lane, send }, data }
}

/// How one entry with its first send is counted.
pub fn entry_counts(no: CampaignNo) -> impl Iterator<Item = Count> {
    [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)]
        .into_iter()
        .map(move |counter| Count { campaign: no, counter, by: 1 })
}
