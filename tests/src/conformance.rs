//! One suite for every store: what the ports promise, asked of a fresh store through its verbs alone.

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::{Count, Counter};
use campanile_core::due_send::{Class, Lease, SendId};
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{
    Add, Added, Advance, Advanced, Changed, EndedFilter, EventCommit, NewEntry, NewEvent, OccurrenceKey,
    RefusedRow, SendsQuery, Settle, Settlement, Store, StoredUser, Work,
};
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::Secret;
use jiff::SignedDuration;

use crate::sample::{delivered, entry, past, record, row, users};
use crate::target::DEADLINE;

const NO: CampaignNo = CampaignNo(1);

/// Makes every promise a test on the store that `$make` gives: what keeps it alive, the store, one of its shards.
#[macro_export]
macro_rules! conforms {
    ($make:path) => {
        $crate::conforms!($make:
            campaigns_and_secrets_are_kept_and_followed,
            users_are_made_once_and_saved_by_version,
            events_become_sends_that_end_in_the_log,
            an_occurrence_is_walked_once_by_whoever_comes,
            a_fan_out_waits_while_its_lane_is_full,
            a_request_adds_once,
            a_claim_leases_pins_and_passes_over_what_is_held,
            only_a_live_lease_settles,
            what_is_held_or_given_back_comes_again,
            a_lease_that_ran_out_is_taken_back_until_its_send_is_given_up,
            sends_wait_in_the_wheel_until_their_time,
            the_log_is_paged_filtered_and_followed,
            in_every_shard_the_counters_add_up,
            wake_ups_are_not_lost,
        );
    };
    ($make:path: $($case:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (_alive, store, shard) = $make().await;
            $crate::conformance::$case(store.as_ref(), shard).await;
        })+
    };
}

async fn run_campaign(store: &dyn Store, shard: Shard) {
    set_flow(store, shard, Flow::Running, 1, 45).await;
}

async fn set_flow(store: &dyn Store, shard: Shard, flow: Flow, epoch: u64, lease_secs: u8) {
    let word = ControlWord { flow, apply_revision: 2, lease_secs, weight: 1, epoch };
    store.set_control(shard, NO, word).await.expect("the store answers");
}

fn entered(by: i64) -> Vec<Count> {
    [Counter::Entered, Counter::Open, Counter::Planned(0), Counter::Pending(0)]
        .map(|counter| Count { campaign: NO, counter, by })
        .to_vec()
}

async fn add(store: &dyn Store, shard: Shard, name: u8, entries: Vec<NewEntry>) -> Added {
    let counts = entered(entries.len() as i64);
    let add =
        Add { request: [name; 16], body: [0; 16], entries, counts, refused: Vec::new(), answer: vec![name] };
    store.add(shard, &add).await.expect("the store answers")
}

async fn claim_one(store: &dyn Store, shard: Shard) -> Lease {
    let mut claimed = store.claim(shard, 1).await.expect("the store answers");
    claimed.jobs.pop().expect("a send to claim").lease
}

fn settled(lease: Lease, settle: Settle) -> Settlement {
    Settlement { lease, settle, attempted: false, row: None }
}

pub async fn campaigns_and_secrets_are_kept_and_followed(store: &dyn Store, _shard: Shard) {
    let begin = store.changes("").await.expect("the store answers");
    assert_eq!((begin.campaigns, begin.secrets), (Changed::All, true));
    let first = store.create(record("b-first")).await.expect("the store answers").expect("the store answers");
    let second =
        store.create(record("a-second")).await.expect("the store answers").expect("the store answers");
    assert_eq!((first.no, second.no, first.version), (NO, CampaignNo(2), 1));
    assert_eq!(store.create(record("b-first")).await, Ok(None));
    let mut edited = first.clone();
    edited.revision = 2;
    edited.draft.title = "second edition".to_owned();
    let saved =
        store.save_campaign(edited.clone()).await.expect("the store answers").expect("the store answers");
    assert_eq!(saved.version, 2);
    assert_eq!(store.save_campaign(edited).await, Ok(None), "of the version before");
    assert_eq!(store.campaign("b-first").await, Ok(Some(saved.clone())));
    assert_eq!(store.revision(NO, 1).await, Ok(Some(first.draft)));
    assert_eq!(store.revision(NO, 2).await, Ok(Some(saved.draft.clone())));
    assert_eq!(store.revision(NO, 3).await, Ok(None));
    assert_eq!(
        store.campaigns(&[CampaignNo(2), CampaignNo(9), NO]).await.expect("the store answers"),
        [second.clone(), saved.clone()]
    );
    assert_eq!(store.list_campaigns("", 9).await.expect("the store answers"), [second, saved.clone()]);
    assert_eq!(store.list_campaigns("a-second", 9).await.expect("the store answers"), [saved]);
    let changes = store.changes(&begin.cursor).await.expect("the store answers");
    assert_eq!((changes.campaigns, changes.secrets), (Changed::These(vec![NO, CampaignNo(2)]), false));

    let secret =
        Secret { name: "URL".to_owned(), values: vec!["v".to_owned()], hosts: vec!["a.example".to_owned()] };
    store.put_secret(secret.clone()).await.expect("the store answers");
    assert_eq!(store.secrets().await.expect("the store answers"), [secret]);
    let changes = store.changes(&changes.cursor).await.expect("the store answers");
    assert_eq!((changes.campaigns, changes.secrets), (Changed::These(Vec::new()), true));
    assert_eq!(store.delete_secret("URL").await, Ok(true));
    assert_eq!(store.delete_secret("URL").await, Ok(false));
    assert!(store.changes(&changes.cursor).await.expect("the store answers").secrets);

    let names = ["https://a:443".to_owned(), "http://b:80".to_owned()];
    assert_eq!(
        store.destinations(&names).await.expect("the store answers"),
        [DestinationNo(1), DestinationNo(2)]
    );
    assert_eq!(store.destinations(&names[1..]).await.expect("the store answers"), [DestinationNo(2)]);
}

pub async fn events_become_sends_that_end_in_the_log(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let event = |user: &str, id| NewEvent {
        user_id: user.into(),
        id_hash: id,
        accepted_at: past(),
        bytes: vec![9, 9],
    };
    let events = [event("ann", u64::MAX), event("bob", 2), event("ann", 3), event("ann", 3)];
    assert_eq!(
        store.accept_events(shard, &events).await.expect("the store answers"),
        [true, true, true, false]
    );
    assert_eq!(store.accept_events(shard, &events[..1]).await.expect("the store answers"), [false]);
    let page = store.read_events(shard, 2).await.expect("the store answers");
    assert_eq!((page.head, page.events.len(), page.users.len()), (0, 2, 2));
    assert_eq!(page.events[1].user, UserNo(2));
    assert_eq!((page.events[0].accepted_at, page.events[0].bytes.clone()), (past(), vec![9, 9]));
    let mut ann = page.users[0].clone();
    ann.profile.attributes.insert("seen".to_owned(), true.into());
    let mut new = entry(1, 1, past());
    new.data = Some(vec![5]);
    new.due.send.has_data = true;
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
        EventCommit { users: vec![StoredUser { version: 9, ..ann.clone() }], ..commit.clone() },
    ] {
        assert_eq!(store.commit_events(shard, &stale).await, Ok(false));
    }
    assert_eq!(store.stats(NO).await.expect("the store answers"), []);
    assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
    assert_eq!(store.commit_events(shard, &commit).await, Ok(false));
    let rest = store.read_events(shard, 9).await.expect("the store answers");
    assert_eq!((rest.head, rest.events.len(), rest.users[0].version), (2, 1, ann.version + 1));
    assert_eq!(store.refusals(NO, 5).await.expect("the store answers"), [refused]);

    let claimed = store.claim(shard, 5).await.expect("the store answers");
    let job = &claimed.jobs[0];
    assert_eq!((job.profile.as_ref(), job.data.as_deref()), (Some(&ann.profile), Some(&[5u8][..])));
    assert_eq!((job.lease.send.revision, job.lease.send.pinned), (2, true));
    let retry = Settlement {
        lease: job.lease.clone(),
        settle: Settle::Retry { at: past(), kept: vec![8; 70_000] },
        attempted: true,
        row: Some(row(&job.lease, Ended::Retrying, claimed.at, "answered 503")),
    };
    assert_eq!(store.settle(shard, &[retry]).await.expect("the store answers"), [true]);
    let again = store.claim(shard, 5).await.expect("the store answers").jobs.remove(0);
    assert_eq!((again.kept, again.lease.send.attempts), (Some(vec![8; 70_000]), 1));
    let mut last = row(&again.lease, Ended::Delivered, claimed.at, "");
    last.user_hash = campanile_core::due_send::user_hash(store.layout(), "ann");
    let id: SendId = last.send_id(store.layout(), shard);
    let done = Settlement { lease: again.lease, settle: Settle::Delivered, attempted: true, row: Some(last) };
    assert_eq!(store.settle(shard, &[done]).await.expect("the store answers"), [true]);
    let stats = store.stats(NO).await.expect("the store answers");
    for counter in [
        (Counter::Delivered(0), 1),
        (Counter::Attempts(0), 2),
        (Counter::Retries(0), 1),
        (Counter::Finished, 1),
    ] {
        assert!(stats.contains(&counter), "{stats:?}");
    }
    let query = SendsQuery { user: Some((shard, UserNo(1))), limit: 9, ..SendsQuery::default() };
    let page = store.sends(&query).await.expect("the store answers");
    assert_eq!((page.rows.len(), page.next.as_str()), (2, ""));
    assert!(page.rows.iter().all(|row| row.user_id.as_deref() == Some("ann")));
    let trail = store.send(&id).await.expect("the store answers");
    assert_eq!((trail.rows.len(), trail.kept), (1, None), "the first row has another user hash");
}

pub async fn an_occurrence_is_walked_once_by_whoever_comes(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let ids: Vec<String> = (0..25).map(|n| format!("user-{n}")).collect();
    store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let mut walked = Vec::new();
    loop {
        let walk = store.walk(shard, occurrence, 10).await.expect("the store answers");
        assert_eq!((walk.begun, walk.last), (!walked.is_empty(), 25), "later users do not belong");
        let Some(last) = walk.users.last() else { break };
        let entries: Vec<_> = walk.users.iter().map(|user| entry(1, user.no.0, past())).collect();
        let counts = entered(entries.len() as i64);
        let advance = Advance { occurrence, from: walk.cursor, to: last.no.0, entries, counts };
        assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
        assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Elsewhere));
        walked.extend(walk.users.into_iter().map(|user| user.profile.id));
        store.open_users(shard, &["late".to_owned()], Some(past())).await.expect("the store answers");
    }
    assert_eq!(walked, ids);
    store.close_occurrence(shard, occurrence).await.expect("the store answers");
    assert!(
        store.walk(shard, occurrence, 10).await.expect("the store answers").begun,
        "the cursor stays for a while"
    );
    assert_eq!(store.claim(shard, 100).await.expect("the store answers").jobs.len(), 25);
}

pub async fn a_fan_out_waits_while_its_lane_is_full(store: &dyn Store, shard: Shard) {
    let mut from = 0;
    loop {
        let occurrence = OccurrenceKey { campaign: NO, at: past() };
        let entries = (from + 1..=from + 1000).map(|user| entry(1, user, past())).collect();
        let advance = Advance { occurrence, from, to: from + 1000, entries, counts: Vec::new() };
        match store.advance(shard, &advance).await.expect("the store answers") {
            Advanced::Moved => from += 1000,
            other => break assert_eq!((other, from), (Advanced::Busy, 5000)),
        }
    }
}

pub async fn users_are_made_once_and_saved_by_version(store: &dyn Store, shard: Shard) {
    let ids = ["ann".to_owned(), "bob".to_owned(), "ann".to_owned()];
    assert_eq!(store.open_users(shard, &ids, None).await, Ok(vec![None, None, None]));
    let opened = store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    let ann = opened[0].clone().expect("ann");
    assert_eq!((opened[2].clone(), ann.no, ann.profile.created_at), (opened[0].clone(), UserNo(1), past()));
    let again = store.open_users(shard, &ids, Some(past() + SignedDuration::from_secs(9))).await;
    assert_eq!(again, Ok(opened.clone()), "who is there is not made anew");
    let mut changed = ann.clone();
    changed.profile.attributes.insert("plan".to_owned(), "pro".into());
    let bob = opened[1].clone().expect("bob");
    let stale = StoredUser { version: bob.version + 7, ..bob.clone() };
    assert_eq!(store.save_users(shard, &[changed.clone(), stale]).await, Ok(vec![true, false]));
    let mut other = changed.clone();
    other.profile.attributes.insert("plan".to_owned(), "free".into());
    assert_eq!(store.save_users(shard, &[other]).await, Ok(vec![false]), "of the version before");
    let loaded = store.load_users(shard, &[bob.no, UserNo(99), ann.no]).await.expect("the store answers");
    assert_eq!((loaded[0].clone(), loaded[1].clone()), (Some(bob.clone()), None));
    assert_eq!(loaded[2].as_ref().map(|user| &user.profile), Some(&changed.profile));
    let listed = store.list_users(shard, ann.no, 9).await.expect("the store answers");
    assert_eq!(listed, [bob]);
}

pub async fn a_request_adds_once(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    assert_eq!(add(store, shard, 1, users(1, 1..=3)).await, Added::Now);
    assert_eq!(add(store, shard, 1, users(1, 1..=3)).await, Added::Before(vec![1]));
    let other = Add {
        request: [1; 16],
        body: [9; 16],
        entries: users(1, 4..=9),
        counts: entered(6),
        refused: Vec::new(),
        answer: Vec::new(),
    };
    assert_eq!(store.add(shard, &other).await, Ok(Added::OtherBody));
    assert_eq!(store.claim(shard, 100).await.expect("the store answers").jobs.len(), 3);
    assert!(store.stats(NO).await.expect("the store answers").contains(&(Counter::Entered, 3)));
}

pub async fn a_claim_leases_pins_and_passes_over_what_is_held(store: &dyn Store, shard: Shard) {
    add(store, shard, 1, users(1, 1..=5)).await;
    let without_word = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!((without_word.jobs.len(), without_word.more), (0, false), "a campaign nobody knows is held");
    set_flow(store, shard, Flow::Held, 1, 45).await;
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
    set_flow(store, shard, Flow::Running, 2, 45).await;
    set_flow(store, shard, Flow::Held, 1, 45).await;
    let words = store.control(shard, &[NO, CampaignNo(7)]).await.expect("the store answers");
    let epochs: Vec<_> = words.into_iter().map(|word| word.map(|word| word.epoch)).collect();
    assert_eq!(epochs, [Some(2), None], "an older word changes nothing");
    let first = store.claim(shard, 2).await.expect("the store answers");
    assert_eq!((first.jobs.len(), first.more), (2, true));
    let rest = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!((rest.jobs.len(), rest.more), (3, false));
    let all: Vec<&Lease> = first.jobs.iter().chain(&rest.jobs).map(|job| &job.lease).collect();
    let users: Vec<u64> = all.iter().map(|lease| lease.send.user.0).collect();
    assert_eq!(users, [1, 2, 3, 4, 5], "a lane is served in order");
    assert!(all.windows(2).all(|pair| pair[0].fence < pair[1].fence), "fences grow");
    for lease in all {
        assert_eq!((lease.send.pinned, lease.send.revision), (true, 2), "planned under 1, applied 2");
    }
    let first_claim = first.jobs[0].lease.send.first_claim_at();
    let late = first.at.duration_since(past()).as_millis();
    assert!(first_claim == first.at || late > i128::from(u32::MAX), "the instant of the first claim is kept");
    set_flow(store, shard, Flow::Stopped, 3, 45).await;
    add(store, shard, 2, users_of_one(6)).await;
    let stopped = store.claim(shard, 9).await.expect("the store answers");
    assert_eq!(stopped.jobs[0].control.flow, Flow::Stopped, "what is stopped is served, to end");
}

fn users_of_one(user: u64) -> Vec<NewEntry> {
    users(1, user..=user)
}

pub async fn only_a_live_lease_settles(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=2)).await;
    let (one, two) = (claim_one(store, shard).await, claim_one(store, shard).await);
    let wrong = Lease { fence: two.fence + 9, ..two.clone() };
    let at = past();
    let settlements = [delivered(one.clone(), at), delivered(one.clone(), at), delivered(wrong, at)];
    let answers = store.settle(shard, &settlements).await;
    assert_eq!(answers, Ok(vec![true, false, false]), "once, and by its holder only");
    assert_eq!(store.settle(shard, &[delivered(one, at)]).await, Ok(vec![false]));
    let failed = Settle::Failed { reason: campanile_core::reason::Failure::Final, kept: vec![4; 9] };
    let row = row(&two, Ended::Failed(campanile_core::reason::Failure::Final), at, "answered 404");
    let id = row.send_id(store.layout(), shard);
    let settlement = Settlement { lease: two, settle: failed, attempted: true, row: Some(row) };
    assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
    let trail = store.send(&id).await.expect("the store answers");
    assert_eq!((trail.rows.len(), trail.kept), (1, Some(vec![4; 9])), "a failed send keeps its request");
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
}

pub async fn what_is_held_or_given_back_comes_again(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=3)).await;
    let claimed = store.claim(shard, 3).await.expect("the store answers");
    let leases: Vec<Lease> = claimed.jobs.into_iter().map(|job| job.lease).collect();
    let backs: Vec<Settlement> = leases.iter().map(|lease| settled(lease.clone(), Settle::Back)).collect();
    assert_eq!(store.settle(shard, &backs).await, Ok(vec![true; 3]));
    let again = store.claim(shard, 1).await.expect("the store answers");
    let lease = again.jobs[0].lease.clone();
    assert_eq!((lease.send.user, lease.send.attempts), (UserNo(1), 0), "in the order they had");
    let hold = settled(lease, Settle::Hold { at: past() });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    let users: Vec<u64> = store
        .claim(shard, 9)
        .await
        .expect("the store answers")
        .jobs
        .iter()
        .map(|job| job.lease.send.user.0)
        .collect();
    assert_eq!(users, [2, 3, 1]);
}

pub async fn a_lease_that_ran_out_is_taken_back_until_its_send_is_given_up(store: &dyn Store, shard: Shard) {
    set_flow(store, shard, Flow::Running, 1, 1).await;
    add(store, shard, 1, users_of_one(1)).await;
    for redeliveries in 0..5 {
        let lease = claim_one(store, shard).await;
        assert_eq!((lease.send.redeliveries, lease.send.pinned), (redeliveries, true));
        let taken = tokio::time::timeout(DEADLINE, async {
            while store.reclaim(shard, 100).await.expect("the store answers") == 0 {
                // Leases end by the store's own clock, which tells nobody.
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            }
        });
        taken.await.expect("the lease runs out");
        assert_eq!(store.settle(shard, &[delivered(lease, past())]).await, Ok(vec![false]));
    }
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0);
    let stats = store.stats(NO).await.expect("the store answers");
    assert!(stats.contains(&(Counter::Failed(0), 1)), "{stats:?}");
    let query = SendsQuery { ended: Some(EndedFilter::Failed), limit: 9, ..Default::default() };
    assert_eq!(store.sends(&query).await.expect("the store answers").rows.len(), 1);
}

pub async fn sends_wait_in_the_wheel_until_their_time(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users_of_one(9)).await;
    let now = store.claim(shard, 1).await.expect("the store answers").at;
    let soon = now + SignedDuration::from_millis(300);
    let later = now + SignedDuration::from_hours(24 * 40);
    add(store, shard, 2, vec![entry(1, 1, soon), entry(1, 2, later)]).await;
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 0, "nothing is due");
    let released = store.release(shard, 100).await.expect("the store answers");
    assert!(released.next_at.is_some_and(|at| at <= soon), "{released:?}");
    let jobs = tokio::time::timeout(DEADLINE, async {
        loop {
            store.release(shard, 100).await.expect("the store answers");
            let claimed = store.claim(shard, 9).await.expect("the store answers");
            if !claimed.jobs.is_empty() {
                return claimed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let claimed = jobs.await.expect("it comes");
    assert_eq!((claimed.jobs.len(), claimed.jobs[0].lease.send.user), (1, UserNo(1)));
    assert!(claimed.at >= soon, "never early");
    assert_eq!(claimed.jobs[0].lease.lane.class, Class::First);
}

pub async fn the_log_is_paged_filtered_and_followed(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let from = store.sends_after("", 9).await.expect("the store answers");
    assert_eq!(from.rows.len(), 0, "only where the log ends");
    add(store, shard, 1, users(1, 1..=10)).await;
    for i in 0..10 {
        let lease = claim_one(store, shard).await;
        let (ended, settle) = match i % 2 {
            0 => (Ended::Delivered, Settle::Delivered),
            _ => (Ended::Suppressed(Suppression::Expired), Settle::Suppressed(Suppression::Expired)),
        };
        let row = Some(row(&lease, ended, past(), ""));
        let settlement = Settlement { lease, settle, attempted: false, row };
        assert_eq!(store.settle(shard, &[settlement]).await, Ok(vec![true]));
    }
    let mut query = SendsQuery { campaign: Some(NO), limit: 4, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.sends(&query).await.expect("the store answers");
        seen.extend(page.rows.iter().map(|row| row.row.user.0));
        query.page = page.next;
        if query.page.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1], "newest first, each once");
    let suppressed = SendsQuery { ended: Some(EndedFilter::Suppressed), limit: 99, ..Default::default() };
    assert_eq!(store.sends(&suppressed).await.expect("the store answers").rows.len(), 5);
    let other = SendsQuery { campaign: Some(CampaignNo(7)), limit: 99, ..Default::default() };
    assert_eq!(store.sends(&other).await.expect("the store answers").rows.len(), 0);
    let (mut after, mut told) = (from.next, Vec::new());
    while told.len() < 10 {
        let page = store.sends_after(&after, 3).await.expect("the store answers");
        told.extend(page.rows.iter().map(|row| row.row.user.0));
        after = page.next;
    }
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "oldest first, each once");
}

pub async fn in_every_shard_the_counters_add_up(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=6)).await;
    let at = past();
    let retry = Settle::Retry { at: past() + SignedDuration::from_hours(24 * 365 * 60), kept: vec![1] };
    let failed = Settle::Failed { reason: campanile_core::reason::Failure::Exhausted, kept: vec![1] };
    let settles =
        [Settle::Delivered, failed, Settle::Suppressed(Suppression::AudienceLeft), retry, Settle::Back];
    for settle in settles {
        let lease = claim_one(store, shard).await;
        let attempted = matches!(settle, Settle::Delivered | Settle::Failed { .. } | Settle::Retry { .. });
        let row = attempted.then(|| row(&lease, Ended::Retrying, at, ""));
        let answers = store.settle(shard, &[Settlement { lease, settle, attempted, row }]).await;
        assert_eq!(answers, Ok(vec![true]));
        let stats = store.stats(NO).await.expect("the store answers");
        let of = |wanted: &dyn Fn(&Counter) -> bool| {
            stats.iter().filter(|(counter, _)| wanted(counter)).map(|(_, n)| n).sum::<i64>()
        };
        let ends = |c: &Counter| {
            matches!(
                c,
                Counter::Pending(_) | Counter::Delivered(_) | Counter::Failed(_) | Counter::Suppressed(..)
            )
        };
        assert_eq!(of(&|c| matches!(c, Counter::Planned(_))), of(&ends), "{stats:?}");
        let inside = |c: &Counter| matches!(c, Counter::Open | Counter::Finished);
        assert_eq!(of(&|c| *c == Counter::Entered), of(&inside), "{stats:?}");
    }
    let stats = store.stats(NO).await.expect("the store answers");
    for expected in [
        (Counter::Pending(0), 3),
        (Counter::Delivered(0), 1),
        (Counter::Failed(0), 1),
        (Counter::Suppressed(0, Suppression::AudienceLeft), 1),
        (Counter::Attempts(0), 3),
        (Counter::Retries(0), 1),
        (Counter::Finished, 3),
        (Counter::Open, 3),
    ] {
        assert!(stats.contains(&expected), "{expected:?} in {stats:?}");
    }
}

pub async fn wake_ups_are_not_lost(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let seen = store.woken(Work::Send, u64::MAX).await;
    add(store, shard, 1, users_of_one(1)).await;
    // It came before anybody waited for it.
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Send, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
    let seen = store.woken(Work::Schedule, u64::MAX).await;
    let event = NewEvent { user_id: "ann".to_owned(), id_hash: 1, accepted_at: past(), bytes: vec![1] };
    store.accept_events(shard, &[event]).await.expect("the store answers");
    let woken = tokio::time::timeout(DEADLINE, store.woken(Work::Schedule, seen)).await;
    assert_ne!(woken.expect("it wakes"), seen);
}
