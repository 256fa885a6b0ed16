//! Pure. The gates about the entry that a send belongs to, as the delivery record lists it: whether it still stands, and where it is in a campaign of
//! several messages.
//!
//! `admit` has their places in its list.

use campanile_core::delivery_record::Status;
use campanile_core::due_send::{Class, EntryKind};
use campanile_core::reason::{Refusal, Suppression};

use crate::admit::{Decision, Given};

/// Inside a campaign of several messages: an event that came early made a send of its own, or ended the entry.
pub(crate) fn overtaken(given: &Given<'_>) -> Option<Decision> {
    let is_later = given.send.kind == EntryKind::Chain && given.class != Class::Resent;
    if !is_later || given.others.is_none() || given.profile.is_none() {
        return None;
    }
    let is_its_send = given.opened.is_some_and(|opened| opened.is_its_send(given.send));
    (!is_its_send).then_some(Decision::Drop)
}

/// It came out of the wheel before its event came.
pub(crate) fn awaited(given: &Given<'_>) -> Option<Decision> {
    let opened = given.opened.filter(|opened| opened.status == Status::Pending)?;
    let waits = opened.inside.as_ref()?.waits && given.class != Class::Resent;
    let event = given.action()?.step.wait.as_ref().map_or("the event", |wait| wait.rule.event.as_str());
    waits.then(|| Decision::Miss(format!("{event} did not come until {}", opened.looked_at)))
}

/// Who is inside a campaign of several messages enters it again only after the last one. What an event opens is told so when it comes.
pub(crate) fn inside(given: &Given<'_>) -> Option<Decision> {
    let is_first = matches!(given.send.kind, EntryKind::Occurrence | EntryKind::Request);
    let is_asked = is_first && given.send.next_attempt() == 1 && given.class != Class::Resent;
    let other = given.others?.iter().find(|entry| {
        entry.inside.is_some() && entry.status == Status::Pending && entry.key != given.send.key
    });
    let other = other.filter(|_| is_asked)?;
    Some(Decision::Refuse(Refusal::Pending, format!("an entry of {} is not through yet", other.entered_at)))
}

/// As of the due instant. What hangs on the action before alone was decided when that one ended.
pub(crate) fn condition(given: &Given<'_>) -> Option<Decision> {
    if given.class == Class::Resent || given.kept.is_some() {
        return None;
    }
    let condition = given.action()?.step.condition.as_ref()?;
    let facts = given.facts()?;
    if condition.matches(&facts) {
        return None;
    }
    Some(Decision::Skip(condition.explain(&facts).first_false().unwrap_or_default()))
}

pub(crate) fn saw_condition(given: &Given<'_>) -> String {
    let condition = given.action().and_then(|action| action.step.condition.as_ref());
    match condition.zip(given.facts()) {
        Some((condition, facts)) if given.class != Class::Resent => condition.explain(&facts).saw(),
        _ => String::new(),
    }
}

/// An exit event came while the send was under way.
pub(crate) fn exit(given: &Given<'_>) -> Option<Decision> {
    let is_out = given.opened?.status == Status::Exited && given.class != Class::Resent;
    let text = || "an exit event of the user came".to_owned();
    is_out.then(|| Decision::Suppress(Suppression::Exited, text()))
}

pub(crate) fn cancel(given: &Given<'_>) -> Option<Decision> {
    let is_cancelled = given.opened?.status == Status::Cancelled && given.class != Class::Resent;
    let text = || "an event of the user came in between".to_owned();
    is_cancelled.then(|| Decision::Suppress(Suppression::CancelledByEvent, text()))
}

/// A newer trigger may have given its entry another due instant.
pub(crate) fn due(given: &Given<'_>) -> Option<Decision> {
    let opened = given.opened.filter(|opened| opened.status == Status::Pending)?;
    let is_moved = opened.due_at != given.send.due_at && given.send.next_attempt() == 1;
    (is_moved && given.class != Class::Resent).then_some(Decision::Later(opened.due_at))
}

/// A newer trigger may have taken its place.
pub(crate) fn still_current(given: &Given<'_>) -> Option<Decision> {
    let opened = given.opened.filter(|_| given.class != Class::Resent)?;
    let text = || "a newer trigger took its place".to_owned();
    (opened.status == Status::Superseded).then(|| Decision::Suppress(Suppression::Superseded, text()))
}

pub(crate) fn saw_still_current(given: &Given<'_>) -> String {
    given.opened.map_or_else(String::new, |opened| format!("its entry of {} stands", opened.entered_at))
}
