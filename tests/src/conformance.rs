//! One suite for every store: what the ports promise, asked of a fresh store through its verbs alone.

use campanile_core::access::AccessToken;
use campanile_core::counter::{Count, Counter};
use campanile_core::due_send::SendId;
use campanile_core::log_row::Ended;
use campanile_core::number::{CampaignNo, DestinationNo, Shard, UserNo};
use campanile_core::ports::{
    Advance, Advanced, Changed, EventCommit, NewEvent, OccurrenceKey, RefusedRow, Settle, Settlement, Store,
    StoredUser,
};
use campanile_core::reason::Refusal;
use campanile_core::secret::Secret;
use campanile_core::sends_query::SendsQuery;
use jiff::SignedDuration;

use crate::sample::{NO, entered, entry, past, record, row, run_campaign};

/// Makes every promise a test on the store that `$make` gives: what keeps it alive, the store, one of its shards.
#[macro_export]
macro_rules! conforms {
    ($make:path) => {
        $crate::conforms!($make, conformance:
            campaigns_and_secrets_are_kept_and_followed,
            access_tokens_are_kept_by_name,
            users_are_made_once_and_saved_by_version,
            events_become_sends_that_end_in_the_log,
            an_occurrence_is_walked_once_by_whoever_comes,
            a_fan_out_waits_while_its_lane_is_full,
        );
        $crate::conforms!($make, conformance_queue:
            a_request_adds_once,
            a_claim_leases_pins_and_passes_over_what_is_held,
            only_a_live_lease_settles,
            a_send_is_counted_under_its_variant_too,
            a_parked_lane_waits_for_its_instant_and_no_other_does,
            tokens_are_shared_and_never_given_faster_than_they_come,
            what_is_held_or_given_back_comes_again,
            a_lease_that_ran_out_is_taken_back_until_its_send_is_given_up,
            sends_wait_in_the_wheel_until_their_time,
            the_log_is_paged_filtered_and_followed,
            in_every_shard_the_counters_add_up,
            wake_ups_are_not_lost,
        );
        $crate::conforms!($make, conformance_histories:
            a_settle_notes_what_its_user_had,
            users_and_entries_are_counted_once,
            lateness_is_counted_of_first_requests,
            of_many_campaigns_the_quietest_are_forgotten,
            a_conversion_marks_the_last_send_and_no_other,
        );
        $crate::conforms!($make, conformance_races:
            of_racing_saves_one_wins,
            racing_event_passes_apply_each_event_once_and_in_order,
            racing_walkers_enter_everybody_once,
            racing_claimers_never_share_a_send,
            whatever_happens_a_send_is_in_one_place_and_ends_once,
        );
        $crate::conforms!($make, conformance_planned:
            a_send_that_ended_in_being_planned_is_only_logged,
            who_does_not_enter_after_all_was_never_counted,
            a_held_send_may_be_due_at_another_instant,
            who_came_since_is_walked_where_that_is_asked,
        );
        $crate::conforms!($make, conformance_records:
            a_delivery_record_is_written_only_over_what_was_read,
            a_claim_marks_the_entries_a_record_lists_and_a_settle_how_they_ended,
            what_was_taken_for_waiting_must_still_wait,
            a_send_waits_for_events_that_came_before_it_was_due,
        );
        $crate::conforms!($make, conformance_outcomes:
            an_outcome_is_told_once_and_only_where_somebody_listens,
            a_first_post_is_told_and_then_only_the_end,
            what_was_never_posted_is_told_too_behind_the_events_before_it,
        );
        $crate::conforms!($make, conformance_caps:
            settings_are_written_over_the_revision_that_was_read,
            caps_are_decided_by_the_rules_whatever_is_asked,
            racing_senders_never_exceed_a_cap,
            what_is_not_posted_gives_back_what_it_reserved,
        );
        $crate::conforms!($make, conformance_failed:
            a_failed_send_is_kept_and_sent_again_once,
        );
        $crate::conforms!($make, conformance_changes:
            a_change_and_what_it_makes_happen_are_one_step,
            a_change_is_refused_to_who_does_not_know_the_campaigns_of_now,
            what_nobody_listens_to_is_written_into_a_full_log_too,
        );
        $crate::conforms!($make, conformance_far:
            destinations_are_listed_by_name_and_followed_by_version,
            a_policy_and_a_breaker_are_written_only_over_what_was_read,
            places_are_shared_and_come_free_when_left_or_past_their_time,
            a_claim_takes_no_more_than_its_destinations_have_room_for,
            a_send_that_goes_elsewhere_is_parked_in_that_lane,
            tokens_of_a_destination_are_its_own,
        );
        $crate::conforms!($make, conformance_steps:
            a_send_that_ended_leaves_its_entry_open_with_what_it_keeps,
            what_is_passed_over_was_never_planned_and_is_told,
            an_overtaken_send_goes_without_a_trace_and_marks_nothing,
            what_is_sent_again_after_its_entry_had_ended_finishes_it,
        );
        $crate::conforms!($make, conformance_recent:
            the_latest_events_are_kept_in_order_and_bounded,
        );
        $crate::conforms!($make, conformance_segments:
            segments_are_kept_by_revision_and_followed,
            lists_are_put_whole_and_read_with_their_ids,
            the_largest_list_is_kept,
        );
        $crate::conforms!($make, conformance_bounds:
            a_full_event_log_refuses_and_stores_nothing,
            foreign_events_are_put_aside_with_the_rest_of_the_page,
            refusals_are_kept_newest_first_and_bounded,
            lanes_are_served_by_weight_and_none_starves,
            the_control_number_grows_with_every_word_that_changes,
            what_was_attempted_keeps_its_revision_and_its_class,
            what_was_never_attempted_takes_a_newer_revision,
            a_kept_request_goes_with_its_send_unless_it_failed,
            a_closed_occurrence_is_not_walked_anew,
            users_are_listed_page_by_page_each_once,
            a_cursor_nobody_gave_reads_all,
            nothing_is_known_of_a_campaign_nobody_made,
        );
    };
    ($make:path, $suite:ident: $($case:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (_alive, store, shard) = $make().await;
            $crate::$suite::$case(store.as_ref(), shard).await;
        })+
    };
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

pub async fn access_tokens_are_kept_by_name(store: &dyn Store, _shard: Shard) {
    let made = |name: &str, random: u8| {
        let scopes = ["read".to_owned()];
        AccessToken::make(name, &scopes, None, "5/s", jiff::Timestamp::UNIX_EPOCH, [random; 32])
            .expect("a token")
            .0
    };
    let (b, a, newer) = (made("b", 1), made("a", 2), made("b", 3));
    for token in [b.clone(), a.clone(), b.clone()] {
        store.put_token(token).await.expect("the store answers");
    }
    assert_eq!(store.tokens().await, Ok(vec![a.clone(), b]));
    store.put_token(newer.clone()).await.expect("the store answers");
    assert_eq!(store.tokens().await, Ok(vec![a.clone(), newer]));
    assert_eq!(store.delete_token("b").await, Ok(true));
    assert_eq!(store.delete_token("b").await, Ok(false));
    assert_eq!(store.tokens().await, Ok(vec![a]));
    assert!(store.secrets().await.expect("the store answers").is_empty(), "tokens are no secrets");
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
        ..EventCommit::default()
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
        variant: None,
        hops: 0,
        row: Some(row(&job.lease, Ended::Retrying, claimed.at, "answered 503")),
    };
    assert_eq!(store.settle(shard, &[retry]).await.expect("the store answers"), [true]);
    let again = store.claim(shard, 5).await.expect("the store answers").jobs.remove(0);
    assert_eq!((again.kept, again.lease.send.attempts), (Some(vec![8; 70_000]), 1));
    let mut last = row(&again.lease, Ended::Delivered, claimed.at, "");
    last.user_hash = campanile_core::due_send::user_hash(store.layout(), "ann");
    let id: SendId = last.send_id(store.layout(), shard);
    let done = Settlement {
        lease: again.lease,
        settle: Settle::Delivered,
        attempted: true,
        variant: None,
        hops: 0,
        row: Some(last),
    };
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
        let walk = store.walk(shard, occurrence, false, 10).await.expect("the store answers");
        assert_eq!((walk.begun, walk.last), (!walked.is_empty(), 25), "later users do not belong");
        let Some(last) = walk.users.last() else { break };
        let entries: Vec<_> = walk.users.iter().map(|user| entry(1, user.no.0, past())).collect();
        let counts = entered(entries.len() as i64);
        let advance =
            Advance { occurrence, from: walk.cursor, to: last.no.0, entries, ended: Vec::new(), counts };
        assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Moved));
        assert_eq!(store.advance(shard, &advance).await, Ok(Advanced::Elsewhere));
        walked.extend(walk.users.into_iter().map(|user| user.profile.id));
        store.open_users(shard, &["late".to_owned()], Some(past())).await.expect("the store answers");
    }
    assert_eq!(walked, ids);
    store.close_occurrence(shard, occurrence).await.expect("the store answers");
    assert!(
        store.walk(shard, occurrence, false, 10).await.expect("the store answers").begun,
        "the cursor stays for a while"
    );
    assert_eq!(store.claim(shard, 100).await.expect("the store answers").jobs.len(), 25);
}

pub async fn a_fan_out_waits_while_its_lane_is_full(store: &dyn Store, shard: Shard) {
    let mut from = 0;
    loop {
        let occurrence = OccurrenceKey { campaign: NO, at: past() };
        let entries = (from + 1..=from + 1000).map(|user| entry(1, user, past())).collect();
        let advance =
            Advance { occurrence, from, to: from + 1000, entries, ended: Vec::new(), counts: Vec::new() };
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
