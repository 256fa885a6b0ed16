//! Part of the suite of the ports: what settlements note in the histories of users, and count from it.

use campanile_core::campaign_history::{Arm, CampaignHistory, LastSend};
use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::conversion::Converted;
use campanile_core::counter::{Counter, VariantCounter};
use campanile_core::due_send::Lease;
use campanile_core::latency;
use campanile_core::limits;
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{EventCommit, NewEntry, Settle, Settlement, Store};
use campanile_core::reason::{Failure, Suppression};
use campanile_core::slug::Slug;

use crate::sample::{NO, add, claim_one, entry, past, row, run_campaign, settled, users};

fn attempted(lease: Lease, settle: Settle) -> Settlement {
    Settlement { attempted: true, ..settled(lease, settle) }
}

fn failed() -> Settle {
    Settle::Failed { reason: Failure::Final, kept: vec![1] }
}

async fn settle(store: &dyn Store, shard: Shard, settlement: Settlement) {
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
}

async fn history(store: &dyn Store, shard: Shard, user: u64, campaign: CampaignNo) -> CampaignHistory {
    let histories = store.histories(shard, &[(UserNo(user), campaign)]).await.expect("the store answers");
    histories.into_iter().next().expect("an answer for each")
}

async fn claim_all(store: &dyn Store, shard: Shard) -> impl Iterator<Item = Lease> {
    let claimed = store.claim(shard, limits::CLAIM_MAX).await.expect("the store answers");
    claimed.jobs.into_iter().map(|job| job.lease)
}

async fn count(store: &dyn Store, counter: Counter) -> i64 {
    let stats = store.stats(NO).await.expect("the store answers");
    stats.into_iter().find(|(found, _)| *found == counter).map_or(0, |(_, n)| n)
}

pub async fn a_settle_notes_what_its_user_had(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=6)).await;
    let bold = Slug::new("bold");
    let begun = claim_one(store, shard).await;
    let since = begun.send.first_claim_at();
    settle(store, shard, Settlement { variant: bold, ..attempted(begun, Settle::Delivered) }).await;
    settle(store, shard, attempted(claim_one(store, shard).await, failed())).await;
    let held_back = Settle::Suppressed(Suppression::Holdback);
    settle(store, shard, settled(claim_one(store, shard).await, held_back)).await;
    let expired = Settle::Suppressed(Suppression::Expired);
    settle(store, shard, settled(claim_one(store, shard).await, expired)).await;
    let retry = Settle::Retry { at: past(), kept: vec![1] };
    settle(store, shard, attempted(claim_one(store, shard).await, retry)).await;
    settle(store, shard, settled(claim_one(store, shard).await, Settle::Back)).await;

    let sent = history(store, shard, 1, NO).await;
    let at = sent.delivered_at.expect("delivered");
    assert!(at >= since, "by the store's clock");
    let last = LastSend { at, key: 1, action: 0, arm: Arm::Sent(bold), is_converted: false };
    assert_eq!((sent.failed_at, sent.last, sent.is_posted), (None, Some(last), true));
    let lost = history(store, shard, 2, NO).await;
    assert!(lost.failed_at.is_some() && lost.delivered_at.is_none() && lost.last.is_none(), "{lost:?}");
    let spared = history(store, shard, 3, NO).await;
    assert_eq!((spared.delivered_at, spared.is_posted), (None, false));
    assert_eq!(spared.last.map(|last| (last.arm, last.key)), Some((Arm::HeldBack, 3)));
    let nothing = CampaignHistory::default();
    assert_eq!(history(store, shard, 4, NO).await, nothing, "who was suppressed had nothing");
    let waits = history(store, shard, 5, NO).await;
    assert_eq!((waits.is_posted, waits.posted_key, waits.delivered_at), (true, 5, None));
    assert_eq!(history(store, shard, 6, NO).await, nothing);
    let asked = [(UserNo(2), NO), (UserNo(1), CampaignNo(9)), (UserNo(3), NO)];
    let answered = store.histories(shard, &asked).await.expect("the store answers");
    assert_eq!(answered.len(), 3, "one for each, in the order asked");
    assert!(answered[0].failed_at.is_some() && answered[1] == nothing && answered[2].last.is_some());
}

fn of_user(key: u64, user: u64) -> NewEntry {
    let mut entry = entry(1, user, past());
    entry.due.send.key = key;
    entry
}

pub async fn users_and_entries_are_counted_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let both = async || (count(store, Counter::Users).await, count(store, Counter::Reached).await);
    add(store, shard, 1, vec![of_user(11, 1), of_user(12, 1), of_user(21, 2)]).await;
    let mut leases = claim_all(store, shard).await;
    let mut next = || leases.next().expect("three were claimed");
    let retry = Settle::Retry { at: past(), kept: vec![1] };
    settle(store, shard, attempted(next(), retry)).await;
    assert_eq!(both().await, (1, 1));
    settle(store, shard, attempted(next(), Settle::Delivered)).await;
    assert_eq!(both().await, (1, 2), "another entry of the same user");
    settle(store, shard, attempted(next(), failed())).await;
    assert_eq!(both().await, (2, 3), "also one that failed was reached");
    // The retry of the first.
    settle(store, shard, attempted(claim_one(store, shard).await, Settle::Delivered)).await;
    assert_eq!(both().await, (2, 3));
    let stale = attempted(claim_none(), Settle::Delivered);
    assert_eq!(store.settle(shard, &[stale]).await, Ok(vec![false]));
    assert_eq!(both().await, (2, 3), "what is not settled counts nowhere");
}

/// A lease that nobody was given.
fn claim_none() -> Lease {
    let NewEntry { due, .. } = of_user(99, 9);
    Lease { fence: 77, lane: due.lane, send: due.send }
}

pub async fn lateness_is_counted_of_first_requests(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=2)).await;
    let bold = Slug::new("bold");
    let mut leases = claim_all(store, shard).await;
    let mut next = || leases.next().expect("two were claimed");
    let lease = next();
    // Its request began 100 ms late and took 5 ms.
    let at = past() + jiff::SignedDuration::from_millis(105);
    let row_of = |lease: &Lease| Some(row(lease, Ended::Retrying, at, ""));
    let retry = Settle::Retry { at: past(), kept: vec![1] };
    let first = Settlement { row: row_of(&lease), variant: bold, ..attempted(lease, retry) };
    settle(store, shard, first).await;
    let lease = next();
    let unsent = Settle::Suppressed(Suppression::Expired);
    settle(store, shard, Settlement { row: row_of(&lease), ..settled(lease, unsent) }).await;
    let lease = claim_one(store, shard).await;
    settle(store, shard, Settlement { row: row_of(&lease), ..attempted(lease, Settle::Delivered) }).await;
    let stats = store.stats(NO).await.expect("the store answers");
    let late: Vec<_> = stats.iter().filter(|(counter, _)| matches!(counter, Counter::Latency(..))).collect();
    let bucket = latency::bucket(100);
    assert_eq!(late, [&(Counter::Latency(0, bucket), 1)], "not the second attempt, not what was not sent");
    let of_variant = Counter::Variant(0, bold.expect("a name"), VariantCounter::Latency(bucket));
    assert!(stats.contains(&(of_variant, 1)), "{stats:?}");
}

pub async fn of_many_campaigns_the_quietest_are_forgotten(store: &dyn Store, shard: Shard) {
    let max = limits::HISTORIES_MAX as u32;
    for no in 1..=max + 1 {
        let word = ControlWord {
            flow: Flow::Running,
            apply_revision: 1,
            lease_secs: 45,
            weight: 1,
            epoch: 1,
            bits: 0,
        };
        store.set_control(shard, CampaignNo(no), word).await.expect("the store answers");
        add(store, shard, no as u8, vec![entry(no, 1, past())]).await;
        settle(store, shard, attempted(claim_one(store, shard).await, Settle::Delivered)).await;
    }
    let asked: Vec<_> = (1..=max + 1).map(|no| (UserNo(1), CampaignNo(no))).collect();
    let histories = store.histories(shard, &asked).await.expect("the store answers");
    let kept: Vec<bool> = histories.iter().map(|history| history.delivered_at.is_some()).collect();
    assert_eq!(
        kept.iter().filter(|is_kept| **is_kept).count(),
        max as usize + 1 - limits::HISTORIES_FORGOTTEN
    );
    assert!(kept.ends_with(&[true; 9]) && !kept[0], "the latest are kept: {kept:?}");
    // Others are forgotten for others only: a second user has its own.
    add(store, shard, 200, vec![entry(1, 2, past())]).await;
    settle(store, shard, attempted(claim_one(store, shard).await, Settle::Delivered)).await;
    assert!(history(store, shard, 2, NO).await.delivered_at.is_some());
}

pub async fn a_conversion_marks_the_last_send_and_no_other(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, vec![of_user(11, 1), of_user(12, 1)]).await;
    let mut leases = claim_all(store, shard).await;
    let mut deliver = async || {
        let lease = leases.next().expect("two were claimed");
        let bold = Slug::new("bold");
        settle(store, shard, Settlement { variant: bold, ..attempted(lease, Settle::Delivered) }).await;
    };
    let convert = async |key: u64| {
        let page = store.read_events(shard, 9).await.expect("the store answers");
        let converted = vec![Converted { user: UserNo(1), campaign: NO, key, action: 0 }];
        let commit = EventCommit { head: page.head, control: page.control, converted, ..Default::default() };
        assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
        let before = history(store, shard, 1, NO).await;
        before.last.map(|last| (last.key, last.is_converted, last.arm))
    };
    assert_eq!(convert(11).await, None, "nothing was sent yet");
    deliver().await;
    let bold = Arm::Sent(Slug::new("bold"));
    assert_eq!(convert(12).await, Some((11, false, bold)), "not the last send");
    assert_eq!(convert(11).await, Some((11, true, bold)));
    assert_eq!(convert(11).await, Some((11, true, bold)), "again is nothing new");
    deliver().await;
    assert_eq!(convert(11).await, Some((12, false, bold)), "a newer send is not converted by the older one");
    assert_eq!(convert(12).await, Some((12, true, bold)));
}
