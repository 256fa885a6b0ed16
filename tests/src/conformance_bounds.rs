//! The fourth part of the suite of the ports: bounds and pages, what is kept and for how long, what moves and what never does.

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::counter::Counter;
use campanile_core::due_send::Class;
use campanile_core::limits;
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, Shard, UserNo};
use campanile_core::ports::{
    Add, Advance, Advanced, Changed, EventCommit, NewEvent, OccurrenceKey, RefusedRow, Settle, Store,
    StoreError,
};
use campanile_core::reason::{Failure, Refusal, Suppression};

use crate::sample::{NO, add, claim_one, entry, past, row, run_campaign, set_flow, settled, users};

fn event(n: u64) -> NewEvent {
    NewEvent { user_id: "ann".to_owned(), id_hash: n, accepted_at: past(), bytes: vec![1] }
}

pub async fn a_full_event_log_refuses_and_stores_nothing(store: &dyn Store, shard: Shard) {
    let mut accepted = 0;
    let refused = loop {
        let events: Vec<NewEvent> = (accepted..accepted + limits::ACCEPT_MAX as u64).map(event).collect();
        match store.accept_events(shard, &events).await {
            Ok(answers) => accepted += answers.len() as u64,
            Err(error) => break error,
        }
        assert!(accepted <= (limits::EVENT_LOG_MAX + limits::ACCEPT_MAX) as u64, "it is bounded");
    };
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert!(accepted >= limits::EVENT_LOG_MAX as u64, "{accepted}");
    let page = store.read_events(shard, 200).await.expect("the store answers");
    let commit = EventCommit { control: page.control, read: 200, ..Default::default() };
    assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
    let again: Vec<NewEvent> = (accepted..accepted + 100).map(event).collect();
    let answers = store.accept_events(shard, &again).await.expect("there is room again");
    assert_eq!(answers, vec![true; 100], "what was refused was not noted as seen");
}

pub async fn foreign_events_are_put_aside_with_the_rest_of_the_page(store: &dyn Store, shard: Shard) {
    store.accept_events(shard, &[event(1), event(2), event(3)]).await.expect("the store answers");
    let page = store.read_events(shard, 9).await.expect("the store answers");
    assert_eq!((page.events.len(), page.users.len()), (3, 1), "each user once");
    let commit = EventCommit { control: page.control, read: 2, foreign: vec![1], ..Default::default() };
    assert_eq!(store.commit_events(shard, &commit).await, Ok(true));
    let rest = store.read_events(shard, 9).await.expect("the store answers");
    assert_eq!((rest.head, rest.events.len()), (2, 1));
}

pub async fn refusals_are_kept_newest_first_and_bounded(store: &dyn Store, shard: Shard) {
    let refused = |n: usize| RefusedRow {
        campaign: NO,
        at: past(),
        user_id: format!("user-{n}"),
        reason: Refusal::NotInAudience,
        cause: "request".to_owned(),
        text: String::new(),
    };
    for call in 0..4_usize {
        let refused = (call * 500..(call + 1) * 500).map(refused).collect();
        let add = Add {
            request: [call as u8; 16],
            body: [0; 16],
            entries: Vec::new(),
            counts: Vec::new(),
            refused,
            answer: Vec::new(),
        };
        store.add(shard, &add).await.expect("the store answers");
    }
    let newest = store.refusals(NO, 3).await.expect("the store answers");
    let ids: Vec<&str> = newest.iter().map(|row| row.user_id.as_str()).collect();
    assert_eq!(ids, ["user-1999", "user-1998", "user-1997"]);
    let all = store.refusals(NO, 5_000).await.expect("the store answers").len();
    assert!((limits::REFUSED_MAX..2_000).contains(&all), "{all} are kept");
    assert_eq!(store.refusals(CampaignNo(7), 9).await, Ok(Vec::new()));
}

pub async fn lanes_are_served_by_weight_and_none_starves(store: &dyn Store, shard: Shard) {
    for (campaign, weight) in [(1, 1), (2, 3)] {
        let word =
            ControlWord { flow: Flow::Running, apply_revision: 0, lease_secs: 45, weight, epoch: 1, bits: 0 };
        store.set_control(shard, CampaignNo(campaign), word).await.expect("the store answers");
    }
    add(store, shard, 1, users(1, 1..=500)).await;
    add(store, shard, 2, users(2, 1..=500)).await;
    let mut served = [0, 0];
    for _ in 0..10 {
        for job in store.claim(shard, 32).await.expect("the store answers").jobs {
            served[job.lease.lane.campaign.0 as usize - 1] += 1;
        }
    }
    assert_eq!(served[0] + served[1], 320, "a claim is filled while there is work");
    assert!((40..=120).contains(&served[0]), "{served:?}, wanted about 80 and 240");
}

pub async fn the_control_number_grows_with_every_word_that_changes(store: &dyn Store, shard: Shard) {
    let number = async || store.read_events(shard, 1).await.expect("the store answers").control;
    let unknown = number().await;
    set_flow(store, shard, Flow::Running, 2, 45).await;
    let running = number().await;
    assert!(running > unknown);
    set_flow(store, shard, Flow::Held, 1, 45).await;
    assert_eq!(number().await, running, "an older word changes nothing");
    set_flow(store, shard, Flow::Held, 3, 45).await;
    assert!(number().await > running);
    let walk = store.walk(shard, OccurrenceKey { campaign: NO, at: past() }, false, 1).await;
    assert_eq!(walk.expect("the store answers").control, number().await, "the same number everywhere");
}

pub async fn what_was_attempted_keeps_its_revision_and_its_class(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    let mut resent = entry(1, 1, past());
    resent.due.lane.class = Class::Resent;
    add(store, shard, 1, vec![resent]).await;
    let first = claim_one(store, shard).await;
    let mut retry = settled(first.clone(), Settle::Retry { at: past(), kept: vec![1] });
    retry.attempted = true;
    assert_eq!(store.settle(shard, &[retry]).await, Ok(vec![true]));
    apply_to_pending(store, shard).await;
    let second = claim_one(store, shard).await;
    assert_eq!((second.lane.class, second.send.attempts), (Class::Resent, 1));
    assert_eq!(
        (second.send.revision, second.send.first_claim_at()),
        (first.send.revision, first.send.first_claim_at())
    );
    let hold = settled(second, Settle::Hold { at: past(), due_at: None });
    assert_eq!(store.settle(shard, &[hold]).await, Ok(vec![true]));
    let third = claim_one(store, shard).await;
    assert_eq!(third.send.revision, first.send.revision, "held, but attempted before");
}

pub async fn what_was_never_attempted_takes_a_newer_revision(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=2)).await;
    for settle in [Settle::Hold { at: past(), due_at: None }, Settle::Back] {
        let lease = claim_one(store, shard).await;
        assert_eq!(store.settle(shard, &[settled(lease, settle)]).await, Ok(vec![true]));
    }
    apply_to_pending(store, shard).await;
    for job in store.claim(shard, 9).await.expect("the store answers").jobs {
        assert_eq!((job.lease.send.revision, job.lease.lane.class), (9, Class::First));
    }
}

async fn apply_to_pending(store: &dyn Store, shard: Shard) {
    let word =
        ControlWord { flow: Flow::Running, apply_revision: 9, lease_secs: 45, weight: 1, epoch: 9, bits: 0 };
    store.set_control(shard, NO, word).await.expect("the store answers");
}

pub async fn a_kept_request_goes_with_its_send_unless_it_failed(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    add(store, shard, 1, users(1, 1..=3)).await;
    let failed = Settle::Failed { reason: Failure::Exhausted, kept: vec![9] };
    let ends = [Settle::Delivered, Settle::Suppressed(Suppression::Expired), failed];
    for (settle, stays) in ends.into_iter().zip([None, None, Some(vec![9])]) {
        let first = claim_one(store, shard).await;
        let id = row(&first, Ended::Retrying, past(), "").send_id(store.layout(), shard);
        let retry = settled(first, Settle::Retry { at: past(), kept: vec![4] });
        assert_eq!(store.settle(shard, &[retry]).await, Ok(vec![true]));
        let jobs = store.claim(shard, 9).await.expect("the store answers").jobs;
        let (again, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.kept.is_some());
        assert_eq!(again.len(), 1);
        assert_eq!(store.send(&id).await.expect("the store answers").kept, Some(vec![4]));
        let mut settlements = vec![settled(again[0].lease.clone(), settle)];
        settlements.extend(others.into_iter().map(|job| settled(job.lease, Settle::Back)));
        assert!(store.settle(shard, &settlements).await.expect("the store answers").iter().all(|live| *live));
        assert_eq!(store.send(&id).await.expect("the store answers").kept, stays);
    }
}

pub async fn a_closed_occurrence_is_not_walked_anew(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    store.open_users(shard, &["ann".to_owned()], Some(past())).await.expect("the store answers");
    let occurrence = OccurrenceKey { campaign: NO, at: past() };
    let advance = Advance {
        occurrence,
        from: 0,
        to: 1,
        entries: users(1, 1..=1),
        ended: Vec::new(),
        counts: Vec::new(),
    };
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
    store.close_occurrence(shard, occurrence).await.expect("the store answers");
    store.close_occurrence(shard, occurrence).await.expect("closing may be repeated");
    assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Elsewhere));
    assert_eq!(store.claim(shard, 9).await.expect("the store answers").jobs.len(), 1);
}

pub async fn users_are_listed_page_by_page_each_once(store: &dyn Store, shard: Shard) {
    let mut ids: Vec<String> = (0..20).map(|n| format!("user-{n}")).collect();
    ids.extend(["Grüße, Ünï-🦀 'q' \"d\" \\ %".to_owned(), "x".repeat(limits::USER_ID_BYTES_MAX)]);
    store.open_users(shard, &ids, Some(past())).await.expect("the store answers");
    let (mut after, mut listed) = (UserNo(0), Vec::new());
    loop {
        let page = store.list_users(shard, after, 7).await.expect("the store answers");
        assert!(page.windows(2).all(|pair| pair[0].no < pair[1].no));
        let is_last = page.len() < 7;
        after = page.last().map_or(after, |user| user.no);
        listed.extend(page.into_iter().map(|user| user.profile.id));
        if is_last {
            break;
        }
    }
    assert_eq!(listed, ids);
}

pub async fn a_cursor_nobody_gave_reads_all(store: &dyn Store, shard: Shard) {
    run_campaign(store, shard).await;
    for cursor in ["", "no cursor", "-1", "99999999999999999999999999", "\u{0}"] {
        let changes = store.changes(cursor).await.expect("the store answers");
        assert_eq!((changes.campaigns, changes.secrets), (Changed::All, true), "{cursor:?}");
    }
    let begin = store.changes("").await.expect("the store answers");
    let none = store.changes(&begin.cursor).await.expect("the store answers");
    assert_eq!((none.campaigns, none.secrets), (Changed::These(Vec::new()), false));
}

pub async fn nothing_is_known_of_a_campaign_nobody_made(store: &dyn Store, shard: Shard) {
    assert_eq!(store.campaign("nobody").await, Ok(None));
    assert_eq!(store.stats(CampaignNo(77)).await, Ok(Vec::<(Counter, i64)>::new()));
    assert_eq!(store.control(shard, &[CampaignNo(77)]).await, Ok(vec![None]));
    let mut record = crate::sample::record("nobody");
    (record.no, record.version) = (CampaignNo(77), 1);
    assert_eq!(store.save_campaign(record).await, Ok(None));
}
