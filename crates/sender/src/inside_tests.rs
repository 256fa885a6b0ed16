//! Sends of campaigns of several messages at the gates: overtaken, in vain, passed over, ended by an exit event.

use std::time::Duration;

use campanile_core::delivery_record::{OpenEntry, Status};
use campanile_core::draft::Action;
use campanile_core::due_send::EntryKind;
use campanile_core::inside::{Inside, Previous, PreviousOutcome};
use campanile_core::reason::{Refusal, Suppression};

use crate::admit::Decision;
use crate::admit_tests::{World, check_sent, check_suppressed, decide};
use crate::sample::now;

/// The send of the second of two actions, after a first one that was answered `status`.
fn second(world: &mut World, condition: &str, status: u16) {
    let webhook = world.record.draft.webhook.take();
    let action = |name: &str, condition: &str| Action {
        name: name.to_owned(),
        condition: condition.to_owned(),
        webhook: webhook.clone(),
        ..Action::default()
    };
    world.record.draft.actions = vec![action("one", ""), action("two", condition)];
    (world.send.action, world.send.kind) = (1, EntryKind::Chain);
    let outcome = PreviousOutcome::Delivered;
    let previous = Some(Previous { outcome, status, sent_at: Some(now()), ended_at: now() });
    let inside = Some(Inside { action: 1, is_reached: true, previous, ..Inside::default() });
    let due_at = world.send.due_at;
    list(
        world,
        OpenEntry { key: world.send.key, due_at, looked_at: due_at, inside, ..opened(Status::Pending) },
    );
}

fn list(world: &mut World, entry: OpenEntry) {
    world.others = Some(vec![entry.clone()]);
    world.opened = Some(entry).filter(|entry| entry.key == world.send.key);
}

fn change(world: &mut World, change: impl FnOnce(&mut OpenEntry)) {
    let mut entry = world.opened.clone().expect("an entry");
    change(&mut entry);
    list(world, entry);
}

#[test]
fn a_later_message_is_sent_if_its_condition_holds_and_passed_over_if_not() {
    for (condition, status, is_sent) in [
        ("", 202, true),
        ("previous.status == 202 and previous.outcome == \"delivered\"", 202, true),
        ("previous.status == 202", 204, false),
        ("user_id == \"nobody\"", 202, false),
    ] {
        let (decision, _) = decide(|w| second(w, condition, status));
        match decision {
            Decision::Send(_) => assert!(is_sent, "{condition}"),
            Decision::Skip(why) => assert!(!is_sent && !why.is_empty(), "{condition}: {why}"),
            other => panic!("{condition}: {other:?}"),
        }
    }
}

#[test]
fn only_the_send_that_its_entry_waits_for_is_sent() {
    let at = |secs| now() + Duration::from_secs(secs);
    for overtaken in [
        |w: &mut World| change(w, |entry| (entry.due_at, entry.looked_at) = (now(), now())),
        |w: &mut World| change(w, |entry| entry.inside.as_mut().expect("inside").action = 2),
        |w: &mut World| (w.opened, w.others) = (None, Some(Vec::new())),
    ] {
        let decision = decide(|w| {
            second(w, "", 202);
            w.send.due_at = at(5);
            w.now = at(5);
            change(w, |entry| (entry.due_at, entry.looked_at) = (at(5), at(5)));
            overtaken(w);
        });
        assert_eq!(decision.0, Decision::Drop);
    }
    let gone = decide(|w| {
        second(w, "", 202);
        (w.opened, w.others, w.profile) = (None, Some(Vec::new()), None);
    });
    assert!(matches!(gone.0, Decision::Suppress(Suppression::UserDeleted, _)), "{gone:?}");
}

#[test]
fn what_waited_in_vain_is_missed_and_what_an_exit_event_ended_is_exited() {
    let (missed, _) = decide(|w| {
        second(w, "", 202);
        change(w, |entry| entry.inside.as_mut().expect("inside").waits = true);
    });
    assert!(matches!(missed, Decision::Miss(_)), "{missed:?}");
    let (exited, _) = decide(|w| {
        second(w, "", 202);
        change(w, |entry| entry.status = Status::Exited);
    });
    assert!(matches!(exited, Decision::Suppress(Suppression::Exited, _)), "{exited:?}");
}

#[test]
fn who_is_inside_is_not_let_in_by_an_occurrence() {
    let (decision, _) = decide(|w| {
        second(w, "", 202);
        (w.send.action, w.send.kind, w.send.key) = (0, EntryKind::Request, 77);
        change(w, |entry| entry.key = 1);
    });
    assert!(matches!(decision, Decision::Refuse(Refusal::Pending, _)), "{decision:?}");
}

/// An entry of now, as its user's delivery record lists it.
pub(crate) fn opened(status: Status) -> OpenEntry {
    OpenEntry {
        collected: 0,
        collected_kib: 0,
        key: 99,
        narrow: 0,
        due_at: now(),
        looked_at: now(),
        since: now(),
        entered_at: now(),
        status,
        same: Vec::new(),
        inside: None,
    }
}

#[test]
fn an_entry_is_asked_whether_it_still_stands() {
    check_sent(|w| w.opened = Some(opened(Status::Pending)));
    check_suppressed(Suppression::CancelledByEvent, "event", |w| w.opened = Some(opened(Status::Cancelled)));
    check_suppressed(Suppression::Superseded, "newer", |w| w.opened = Some(opened(Status::Superseded)));
    let later = now() + Duration::from_secs(60);
    let restarted = |w: &mut World| w.opened = Some(OpenEntry { due_at: later, ..opened(Status::Pending) });
    assert_eq!(decide(restarted).0, Decision::Later(later));
    // What was attempted goes on, unless a newer one took its place.
    check_sent(|w| {
        restarted(w);
        w.send.attempts = 1;
    });
    check_suppressed(Suppression::Superseded, "", |w| {
        w.opened = Some(opened(Status::Superseded));
        w.send.attempts = 1;
    });
}
