//! Every verb of the ports on a cluster of one node, which refuses a script that leaves its slot: one walk from a campaign to its log.

use std::sync::Arc;

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::due_send::SendId;
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{
    Advance, Advanced, Campaigns, Changed, EventCommit, Events, Ledger, NewEvent, OccurrenceKey, Occurrences,
    Queue, RefusedRow, Secrets, SendsQuery, Settle, Settlement, Store, Users,
};
use campanile_core::reason::Refusal;
use campanile_core::secret::Secret;
use campanile_redis::store::RedisStore;
use campanile_tests::redis_server::RedisServer;
use campanile_tests::store_clock::StoreClock;

use crate::redis_rig::{entry, past, record, row};

const SHARD: Shard = Shard(2);
const NO: CampaignNo = CampaignNo(1);

async fn cluster() -> (RedisServer, RedisStore) {
    let server = RedisServer::start_cluster();
    let store =
        RedisStore::connect(&server.url(), Arc::new(StoreClock::new()), [3; 19], Some(4)).await.unwrap();
    (server, store)
}

async fn run_campaign(store: &RedisStore) {
    let word = ControlWord { flow: Flow::Running, apply_revision: 2, lease_secs: 45, weight: 1, epoch: 1 };
    store.set_control(SHARD, NO, word).await.unwrap();
}

fn entered(by: i64) -> Vec<Count> {
    [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)]
        .map(|counter| Count { campaign: NO, counter, by })
        .to_vec()
}

#[tokio::test]
async fn campaigns_and_secrets_are_kept_and_followed() {
    let (_server, store) = cluster().await;
    let begin = store.changes("").await.unwrap();
    assert_eq!((begin.campaigns, begin.secrets), (Changed::All, true));
    let first = store.create(record("b-first")).await.unwrap().unwrap();
    let second = store.create(record("a-second")).await.unwrap().unwrap();
    assert_eq!((first.no, second.no, first.version), (NO, CampaignNo(2), 1));
    assert_eq!(store.create(record("b-first")).await, Ok(None));
    let mut edited = first.clone();
    edited.revision = 2;
    edited.draft.title = "second edition".to_owned();
    let saved = store.save_campaign(edited.clone()).await.unwrap().unwrap();
    assert_eq!(saved.version, 2);
    assert_eq!(store.save_campaign(edited).await, Ok(None), "of the version before");
    assert_eq!(store.campaign("b-first").await, Ok(Some(saved.clone())));
    assert_eq!(store.revision(NO, 1).await, Ok(Some(first.draft)));
    assert_eq!(store.revision(NO, 2).await, Ok(Some(saved.draft.clone())));
    assert_eq!(store.revision(NO, 3).await, Ok(None));
    assert_eq!(
        store.campaigns(&[CampaignNo(2), CampaignNo(9), NO]).await.unwrap(),
        [second.clone(), saved.clone()]
    );
    assert_eq!(store.list_campaigns("", 9).await.unwrap(), [second, saved.clone()]);
    assert_eq!(store.list_campaigns("a-second", 9).await.unwrap(), [saved]);
    let changes = store.changes(&begin.cursor).await.unwrap();
    assert_eq!((changes.campaigns, changes.secrets), (Changed::These(vec![NO, CampaignNo(2)]), false));

    let secret =
        Secret { name: "URL".to_owned(), values: vec!["v".to_owned()], hosts: vec!["a.example".to_owned()] };
    store.put_secret(secret.clone()).await.unwrap();
    assert_eq!(store.secrets().await.unwrap(), [secret]);
    let changes = store.changes(&changes.cursor).await.unwrap();
    assert_eq!((changes.campaigns, changes.secrets), (Changed::These(Vec::new()), true));
    assert_eq!(store.delete_secret("URL").await, Ok(true));
    assert_eq!(store.delete_secret("URL").await, Ok(false));
    assert!(store.changes(&changes.cursor).await.unwrap().secrets);

    let names = ["https://a:443".to_owned(), "http://b:80".to_owned()];
    assert_eq!(store.destinations(&names).await.unwrap(), [DestinationNo(1), DestinationNo(2)]);
    assert_eq!(store.destinations(&names[1..]).await.unwrap(), [DestinationNo(2)]);
}

#[tokio::test]
async fn events_become_sends_that_end_in_the_log() {
    let (_server, store) = cluster().await;
    run_campaign(&store).await;
    let event = |user: &str, id| NewEvent {
        user_id: user.into(),
        id_hash: id,
        accepted_at: past(),
        bytes: vec![9, 9],
    };
    let events = [event("ann", u64::MAX), event("bob", 2), event("ann", 3), event("ann", 3)];
    assert_eq!(store.accept_events(SHARD, &events).await.unwrap(), [true, true, true, false]);
    assert_eq!(store.accept_events(SHARD, &events[..1]).await.unwrap(), [false]);
    let page = store.read_events(SHARD, 2).await.unwrap();
    assert_eq!((page.head, page.events.len(), page.users.len()), (0, 2, 2));
    assert_eq!(page.events[1].user, UserNo(2));
    assert_eq!((page.events[0].accepted_at, page.events[0].bytes.clone()), (past(), vec![9, 9]));
    let mut ann = page.users[0].clone();
    ann.profile.attributes.insert("seen".to_owned(), true.into());
    let mut new = entry(1, 1, past());
    new.data = Some(vec![5]);
    let refused = RefusedRow {
        campaign: NO,
        at: past(),
        user_id: "bob".to_owned(),
        reason: Refusal::ConditionFalse,
        cause: "e2".to_owned(),
        text: "user.plan == \"pro\"".to_owned(),
    };
    let mut counts = entered(1);
    counts.push(Count { campaign: NO, counter: Counter::Refused(Refusal::ConditionFalse), by: 1 });
    let commit = EventCommit {
        head: 0,
        control: page.control,
        read: 2,
        users: vec![ann.clone()],
        entries: vec![new],
        counts,
        refused: vec![refused.clone()],
        foreign: Vec::new(),
    };
    for stale in [
        EventCommit { head: 1, ..commit.clone() },
        EventCommit { control: page.control + 1, ..commit.clone() },
        EventCommit {
            users: vec![campanile_core::ports::StoredUser { version: 9, ..ann.clone() }],
            ..commit.clone()
        },
    ] {
        assert_eq!(store.commit_events(SHARD, &stale).await, Ok(false));
    }
    assert_eq!(store.stats(NO).await.unwrap(), []);
    assert_eq!(store.commit_events(SHARD, &commit).await, Ok(true));
    assert_eq!(store.commit_events(SHARD, &commit).await, Ok(false));
    let rest = store.read_events(SHARD, 9).await.unwrap();
    assert_eq!((rest.head, rest.events.len(), rest.users[0].version), (2, 1, ann.version + 1));
    assert_eq!(store.refusals(NO, 5).await.unwrap(), [refused]);

    let claimed = store.claim(SHARD, 5).await.unwrap();
    let job = &claimed.jobs[0];
    assert_eq!((job.profile.as_ref(), job.data.as_deref()), (Some(&ann.profile), Some(&[5u8][..])));
    assert_eq!((job.lease.send.revision, job.lease.send.pinned), (2, true));
    let retry = Settlement {
        lease: job.lease.clone(),
        settle: Settle::Retry { at: past(), kept: vec![8; 70_000] },
        attempted: true,
        row: Some(row(&job.lease, Ended::Retrying, claimed.at, "answered 503")),
    };
    assert_eq!(store.settle(SHARD, &[retry]).await.unwrap(), [true]);
    let again = store.claim(SHARD, 5).await.unwrap().jobs.remove(0);
    assert_eq!((again.kept, again.lease.send.attempts), (Some(vec![8; 70_000]), 1));
    let mut last = row(&again.lease, Ended::Delivered, claimed.at, "");
    last.user_hash = campanile_core::due_send::user_hash(store.layout(), "ann");
    let id: SendId = last.send_id(store.layout(), SHARD);
    let done = Settlement { lease: again.lease, settle: Settle::Delivered, attempted: true, row: Some(last) };
    assert_eq!(store.settle(SHARD, &[done]).await.unwrap(), [true]);
    let stats = store.stats(NO).await.unwrap();
    for counter in [
        (Counter::Delivered(0), 1),
        (Counter::Attempts(0), 2),
        (Counter::Retries(0), 1),
        (Counter::Finished, 1),
    ] {
        assert!(stats.contains(&counter), "{stats:?}");
    }
    let query = SendsQuery { user: Some((SHARD, UserNo(1))), limit: 9, ..SendsQuery::default() };
    let page = store.sends(&query).await.unwrap();
    assert_eq!((page.rows.len(), page.next.as_str()), (2, ""));
    assert!(page.rows.iter().all(|row| row.user_id.as_deref() == Some("ann")));
    let trail = store.send(&id).await.unwrap();
    assert_eq!((trail.rows.len(), trail.kept), (1, None), "the first row has another user hash");
}

#[tokio::test]
async fn an_occurrence_is_walked_once_by_whoever_comes() {
    let (_server, store) = cluster().await;
    run_campaign(&store).await;
    let ids: Vec<String> = (0..25).map(|n| format!("user-{n}")).collect();
    store.open_users(SHARD, &ids, Some(past())).await.unwrap();
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let mut walked = Vec::new();
    loop {
        let walk = store.walk(SHARD, occurrence, 10).await.unwrap();
        assert_eq!((walk.begun, walk.last), (!walked.is_empty(), 25), "later users do not belong");
        let Some(last) = walk.users.last() else { break };
        let entries: Vec<_> = walk.users.iter().map(|user| entry(1, user.no.0, past())).collect();
        let counts = entered(entries.len() as i64);
        let advance = Advance { occurrence, from: walk.cursor, to: last.no.0, entries, counts };
        assert_eq!(store.advance(SHARD, &advance).await, Ok(Advanced::Moved));
        assert_eq!(store.advance(SHARD, &advance).await, Ok(Advanced::Elsewhere));
        walked.extend(walk.users.into_iter().map(|user| user.profile.id));
        store.open_users(SHARD, &["late".to_owned()], Some(past())).await.unwrap();
    }
    assert_eq!(walked, ids);
    store.close_occurrence(SHARD, occurrence).await.unwrap();
    assert!(store.walk(SHARD, occurrence, 10).await.unwrap().begun, "the cursor stays for a while");
    assert_eq!(store.claim(SHARD, 100).await.unwrap().jobs.len(), 25);
}

#[tokio::test]
async fn a_fan_out_waits_while_its_lane_is_full() {
    let (_server, store) = cluster().await;
    let mut from = 0;
    loop {
        let occurrence = OccurrenceKey { campaign: NO, at: past() };
        let entries = (from + 1..=from + 1000).map(|user| entry(1, user, past())).collect();
        let advance = Advance { occurrence, from, to: from + 1000, entries, counts: Vec::new() };
        match store.advance(SHARD, &advance).await.unwrap() {
            Advanced::Moved => from += 1000,
            other => break assert_eq!((other, from), (Advanced::Busy, 5000)),
        }
    }
}
