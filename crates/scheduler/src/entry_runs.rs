//! Pure. A manual entry of a whole audience: from users of a run to due-sends. Who is asked is the run's audience; who of them enters,
//! `manual` decides as it does for users that are named.

use campanile_core::campaign_record::CampaignRecord;
use campanile_core::counter::{Count, Counter, RunCounter, summed};
use campanile_core::entry_run::EntryRun;
use campanile_core::expression::Expression;
use campanile_core::facts::Facts;
use campanile_core::limits;
use campanile_core::number::{Layout, Shard};
use campanile_core::ports::StoredUser;
use campanile_core::segments::Segments;
use jiff::Timestamp;

use crate::manual::{self, Asked, ManualPlan};
use crate::plan::{Plan, Planned};

/// Users that are walked at once: each entry may keep the run's values.
pub fn chunk(run: &EntryRun) -> usize {
    let bytes = serde_json::to_vec(&run.values).map_or(limits::VALUES_BYTES_MAX, |text| text.len());
    (limits::COMMIT_BYTES_MAX / bytes.max(1)).clamp(1, limits::ADVANCE_MAX)
}

/// Whether the run asks the user.
pub fn asks(
    run: &EntryRun,
    audience: &Expression,
    planned: &Planned<'_>,
    (segments, now): (&Segments, Timestamp),
    user: &StoredUser,
) -> bool {
    let facts = Facts {
        profile: &user.profile,
        event: None,
        values: Some(&run.values),
        previous: None,
        as_of: run.at,
        now,
        segments,
        fallback_zone: &planned.campaign.zones.fallback,
    };
    audience.is_everyone() || audience.matches(&facts)
}

/// Plans a run for a chunk of users of one shard. `audience` is the run's, read.
pub fn walk(
    record: &CampaignRecord,
    planned: &Planned<'_>,
    (layout, shard): (&Layout, Shard),
    (run, audience): (&EntryRun, &Expression),
    users: &[StoredUser],
    (segments, now): (&Segments, Timestamp),
) -> Plan {
    let asked: Vec<Asked> = users
        .iter()
        .filter(|user| asks(run, audience, planned, (segments, now), user))
        .map(|user| Asked {
            user_id: user.profile.id.clone(),
            user: Some(user.clone()),
            values: run.values.clone(),
        })
        .collect();
    let id = run.request();
    let request = manual::Request { id: &id, skip: run.skip, segments, now };
    let ManualPlan { entries, counts, .. } =
        manual::enter(record, planned, (layout, shard), &asked, &request);
    let count = |counter, n: usize| {
        let by = i64::try_from(n).unwrap_or(i64::MAX);
        Count { campaign: planned.no, counter: Counter::Run(run.slot, counter), by }
    };
    let of_run = [count(RunCounter::Asked, asked.len()), count(RunCounter::Entered, entries.len())];
    Plan { entries, ended: Vec::new(), counts: summed(counts.into_iter().chain(of_run)) }
}
