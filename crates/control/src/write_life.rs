//! Pure. How a campaign came to where it is, and what is to come: transitions and the schedule, to wire.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_record::{CampaignRecord, State, Transition};
use campanile_proto::v1 as wire;
use campanile_scheduler::occurrence::first_due;
use jiff::Timestamp;

use crate::write_campaign::{state, timestamp};

/// At most `wanted` occurrences; of a draft those it would have if it were activated at `now`.
pub fn write_schedule(record: &CampaignRecord, wanted: usize, now: Timestamp) -> wire::CampaignSchedule {
    let schedule = &record.schedule;
    let next_at = if wanted == 0 { Vec::new() } else { next(record, wanted, now) };
    wire::CampaignSchedule {
        next_at: next_at.into_iter().map(timestamp).collect(),
        fired: i64::try_from(schedule.fired).unwrap_or(i64::MAX),
        missed: i64::try_from(schedule.missed).unwrap_or(i64::MAX),
        last_missed_at: schedule.last_missed_at.map(timestamp),
    }
}

/// The one that the schedule waits for, and those that follow it.
fn next(record: &CampaignRecord, wanted: usize, now: Timestamp) -> Vec<Timestamp> {
    if record.state == State::Ended || record.state == State::Finishing {
        return Vec::new();
    }
    let Ok(campaign) = Campaign::compile_saved(record.draft.clone(), record.created_at) else {
        return Vec::new();
    };
    let first = match record.state {
        State::Draft => first_due(&campaign, now).ok().and_then(|due| due.next_at),
        _ => record.schedule.next_at,
    };
    let Some(first) = first else { return Vec::new() };
    let mut all = vec![first];
    if let When::Recurring(recurring) = &campaign.when {
        let fired = record.schedule.fired.saturating_add(1);
        all.extend(recurring.recurrence.occurrences(first, fired).take(wanted - 1));
    }
    all
}

pub fn write_transition(transition: &Transition) -> wire::Transition {
    wire::Transition {
        at: Some(timestamp(transition.at)),
        state: state(transition.to) as i32,
        by: transition.by.clone(),
        note: transition.note.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_campaign::read_campaign;
    use campanile_core::campaign_record::Schedule;
    use campanile_core::number::CampaignNo;

    fn check(delivery: &str, from: State, wanted: usize, expected: &[&str]) {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let text = format!(
            "id: a\naudience: everyone\ndelivery: {delivery}\nwebhook: {{url: \"https://a.example/\"}}\n"
        );
        let file = campanile_proto::campaign_file::read(text.as_bytes()).unwrap().remove(0);
        let draft = read_campaign(&file.campaign).unwrap();
        let due = || first_due(&Campaign::compile_saved(draft.clone(), now).unwrap(), now).unwrap();
        let next_at = if from == State::Draft { None } else { due().next_at };
        let record = CampaignRecord {
            no: CampaignNo(1),
            id: "a".to_owned(),
            state: from,
            revision: 1,
            apply_revision: 0,
            epoch: 1,
            version: 1,
            created_at: now,
            updated_at: now,
            schedule: Schedule { next_at, ..Default::default() },
            dropped_until: None,
            history: false,
            emitted: false,
            heard: false,
            cancelled: Default::default(),
            deleted_at: None,
            steps: false,
            action_names: Vec::new(),
            runs: Vec::new(),
            notices: Vec::new(),
            looks: Default::default(),
            transitions: Vec::new(),
            last_request: None,
            draft,
        };
        let written = write_schedule(&record, wanted, now);
        let told: Vec<String> = written
            .next_at
            .iter()
            .map(|at| Timestamp::from_second(at.seconds).unwrap().to_string())
            .collect();
        assert_eq!(told, expected, "{delivery} {from:?}");
    }

    #[test]
    fn the_next_occurrences_are_told_as_many_as_asked_for() {
        let daily = "{recurring: \"0 9 * * *\"}";
        let two = ["2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z"];
        check(daily, State::Active, 2, &two);
        check(daily, State::Draft, 2, &two);
        check(daily, State::Active, 0, &[]);
        check(daily, State::Ended, 2, &[]);
        check("{recurring: {cron: \"0 9 * * *\", max_occurrences: 1}}", State::Active, 5, &two[..1]);
        check("{one_time: \"2026-12-01T09:00\"}", State::Scheduled, 5, &["2026-12-01T09:00:00Z"]);
        check("{triggered: bought}", State::Active, 5, &[]);
        check("{manual: {}}", State::Active, 5, &[]);
    }
}
