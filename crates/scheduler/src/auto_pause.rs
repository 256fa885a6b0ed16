//! Campaigns that pause themselves: most of their last sends failed for good, or could not be rendered or addressed.
//!
//! Counters say whether it is worth looking; the log of sends says how the last ones ended. Only sends that ended since somebody last
//! let the campaign go are looked at, so that one who resumes it gets another hundred.

use std::collections::{BTreeMap, HashMap};

use campanile_core::campaign_record::{BY_ITSELF, CampaignRecord, State};
use campanile_core::counter::Counter;
use campanile_core::limits;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Store, StoreError};
use campanile_core::reason::Suppression;
use campanile_core::sends_query::SendsQuery;
use jiff::Timestamp;

use crate::campaigns::{Campaigns, Known};
use crate::shards::{self, Troubles};

/// Campaigns looked at in one pass, one after the other.
const LOOKS_MAX: usize = 16;
/// Pages of the log that one look reads: attempts that will be made again stand between the ends.
const PAGES_MAX: usize = 4;

/// What was seen so far, and whose turn is next.
#[derive(Default)]
pub struct Watch {
    bad: HashMap<CampaignNo, i64>,
    last: Option<CampaignNo>,
}

/// Answers the campaigns that were paused.
pub async fn pass(
    store: &dyn Store,
    campaigns: &Campaigns,
    watch: &mut Watch,
    now: Timestamp,
    troubles: &mut Troubles,
) -> Result<Vec<CampaignRecord>, StoreError> {
    watch.bad.retain(|no, _| campaigns.get(*no).is_some_and(may_pause));
    let mut turn: Vec<&Known> = campaigns.iter().filter(|known| may_pause(known)).collect();
    let first = turn.iter().position(|known| Some(known.record.no) > watch.last).unwrap_or(0);
    turn.rotate_left(first);
    let mut paused = Vec::new();
    for known in turn.into_iter().take(LOOKS_MAX) {
        watch.last = Some(known.record.no);
        let looked = look(store, known, watch, now).await;
        let place = format_args!("auto-pause of campaign {}", known.record.id);
        paused.extend(shards::aside(looked, place, troubles)?.flatten());
    }
    Ok(paused)
}

/// `None`: nothing is wrong, or somebody else changed the record.
async fn look(
    store: &dyn Store,
    known: &Known,
    watch: &mut Watch,
    now: Timestamp,
) -> Result<Option<CampaignRecord>, StoreError> {
    let record = &known.record;
    let counters = store.stats(record.no).await?;
    let bad: i64 = counters.iter().filter(|(counter, _)| is_bad_counter(*counter)).map(|(_, n)| n).sum();
    let before = watch.bad.insert(record.no, bad).unwrap_or_default();
    if bad == before || bad * 2 <= limits::AUTO_PAUSE_SENDS as i64 {
        return Ok(None);
    }
    let since = record.transitions.iter().rev().find(|t| t.to == State::Active).map(|t| t.at);
    let mut query =
        SendsQuery { campaign: Some(record.no), since, limit: limits::PAGE_MAX, ..Default::default() };
    let mut last = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = store.sends(&query).await?;
        last.extend(
            page.rows
                .into_iter()
                .map(|row| row.row)
                .filter(|row| !matches!(row.ended, Ended::Retrying | Ended::Skipped | Ended::Missed)),
        );
        if last.len() >= limits::AUTO_PAUSE_SENDS || page.next.is_empty() {
            break;
        }
        query.page = page.next;
    }
    last.truncate(limits::AUTO_PAUSE_SENDS);
    let Some(why) = wrong(&last) else { return Ok(None) };
    let mut record = record.clone();
    record.move_to(State::Paused, now, BY_ITSELF, &why);
    store.save_campaign(record).await
}

fn may_pause(known: &Known) -> bool {
    known.record.state == State::Active && known.record.draft.limits.auto_pause != Some(false)
}

/// Why a campaign whose last sends ended so is paused, the newest first; none while it is not.
fn wrong(last: &[LogRow]) -> Option<String> {
    let bad: Vec<&LogRow> = last.iter().filter(|row| is_bad(row.ended)).collect();
    if last.len() < limits::AUTO_PAUSE_SENDS || bad.len() * 2 <= last.len() {
        return None;
    }
    let mut texts = BTreeMap::<&str, usize>::new();
    for row in &bad {
        *texts.entry(row.text.as_str()).or_default() += 1;
    }
    let (text, n) = texts.into_iter().max_by_key(|(_, n)| *n).unwrap_or_default();
    Some(format!(
        "paused by itself: {} of the last {} sends came to nothing, {n} of them: {text}",
        bad.len(),
        last.len()
    ))
}

fn is_bad(ended: Ended) -> bool {
    match ended {
        Ended::Failed(_) => true,
        Ended::Suppressed(reason) => is_bad_reason(reason),
        Ended::Delivered | Ended::Retrying | Ended::Skipped | Ended::Missed => false,
    }
}

fn is_bad_counter(counter: Counter) -> bool {
    match counter {
        Counter::Failed(_) => true,
        Counter::Suppressed(_, reason) => is_bad_reason(reason),
        _ => false,
    }
}

/// What its author has to mend. Other suppressions are as they should be.
fn is_bad_reason(reason: Suppression) -> bool {
    matches!(
        reason,
        Suppression::TemplateMissingValue
            | Suppression::TemplateAbort
            | Suppression::TemplateError
            | Suppression::BodyInvalid
            | Suppression::TargetForbidden
    )
}

#[cfg(test)]
mod tests {
    use campanile_core::number::UserNo;
    use campanile_core::reason::Failure;

    use super::*;

    fn row(ended: Ended, text: &str) -> LogRow {
        LogRow {
            ended,
            campaign: CampaignNo(1),
            user: UserNo(1),
            user_hash: [0; 3],
            key: 1,
            action: 0,
            due_at: Timestamp::UNIX_EPOCH,
            at: Timestamp::UNIX_EPOCH,
            revision: 1,
            attempts: 1,
            status: 0,
            took_ms: 0,
            text: text.to_owned(),
        }
    }

    fn check(ends: &[(Ended, usize)], expected: Option<&str>) {
        let rows: Vec<LogRow> = ends.iter().flat_map(|(ended, n)| vec![row(*ended, "why"); *n]).collect();
        assert_eq!(wrong(&rows).as_deref(), expected, "{ends:?}");
    }

    #[test]
    fn more_than_half_of_the_last_hundred_must_have_come_to_nothing() {
        let failed = Ended::Failed(Failure::Final);
        let missing = Ended::Suppressed(Suppression::TemplateMissingValue);
        let told = "paused by itself: 51 of the last 100 sends came to nothing, 51 of them: why";
        check(&[(failed, 51), (Ended::Delivered, 49)], Some(told));
        check(&[(failed, 20), (missing, 31), (Ended::Delivered, 49)], Some(told));
        check(&[(failed, 50), (Ended::Delivered, 50)], None);
        check(&[(failed, 99)], None);
        check(&[(Ended::Suppressed(Suppression::AudienceLeft), 60), (failed, 40)], None);
        check(&[(Ended::Suppressed(Suppression::Expired), 100)], None);
    }

    #[test]
    fn the_most_frequent_cause_is_told() {
        let mut rows = vec![row(Ended::Failed(Failure::Final), "answered 404"); 60];
        rows.extend(vec![row(Ended::Failed(Failure::Final), "answered 400"); 40]);
        let told = wrong(&rows).unwrap();
        assert!(
            told.ends_with("100 of the last 100 sends came to nothing, 60 of them: answered 404"),
            "{told}"
        );
    }
}
