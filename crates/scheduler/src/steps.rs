//! Pure. Entries of campaigns of several messages: what comes next when a send has ended, which events end them, and what they wait for.
//!
//! `trigger` calls it for every outcome and event of a page; what it decides is part of the same commit. An entry has one waiting send at a time.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_actions::Action;
use campanile_core::counter::{Count, Counter};
use campanile_core::delivery_record::{OpenEntry, Status};
use campanile_core::due_send::{EntryKind, user_hash};
use campanile_core::event::Event;
use campanile_core::event_rule::EventRule;
use campanile_core::facts::Facts;
use campanile_core::inside::{Inside, Previous, PreviousOutcome};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::CampaignNo;
use campanile_core::own_zone;
use campanile_core::ports::StoredUser;
use campanile_core::reason::{EntryEnd, Suppression};
use campanile_core::send_outcome::SendOutcome;
use campanile_core::step::{Since, Step};
use jiff::Timestamp;

use crate::campaigns::Known;
use crate::plan::{Planned, entry};
use crate::standing;
use crate::trigger::{Deciding, facts, kept};

/// What an entry does next.
#[derive(Debug)]
pub enum Next<'a> {
    /// Its action's send is due then.
    Send(&'a Action, Timestamp),
    /// Its action's send goes out when an event comes, until then.
    Wait(&'a Action, Timestamp),
    /// The time that its action's delay hangs on is past by too much.
    Late(&'a Action, Timestamp),
    End(EntryEnd),
}

/// The first action after the one numbered `after` whose turn comes, and those passed over, with why. `facts` are as of the moment that one ended.
pub fn next<'a>(
    campaign: &'a Campaign,
    after: u8,
    entered_at: Timestamp,
    facts: &Facts<'_>,
) -> (Next<'a>, Vec<(&'a Action, String)>) {
    let mut passed_over = Vec::new();
    for action in campaign.actions.iter().skip(place_after(campaign, after)) {
        let step = &action.step;
        if let Some(condition) = step.condition.as_ref().filter(|_| step.is_decided_early())
            && !condition.matches(facts)
        {
            let why = condition.explain(facts).first_false().unwrap_or_default();
            passed_over.push((action, why));
            continue;
        }
        if let Some(wait) = &step.wait {
            let until = facts.as_of.checked_add(wait.at_most).unwrap_or(Timestamp::MAX);
            return (Next::Wait(action, until), passed_over);
        }
        match due_at(campaign, step, entered_at, facts) {
            Ok(due_at) if is_late(step, due_at, facts.as_of) => {
                return (Next::Late(action, due_at), passed_over);
            }
            // The time it was measured from may be past: then it is due at once.
            Ok(due_at) => return (Next::Send(action, due_at.max(facts.as_of)), passed_over),
            Err(missing) => passed_over.push((action, missing)),
        }
    }
    (Next::End(EntryEnd::Completed), passed_over)
}

/// Where an action stood that was taken away, what is newer follows.
fn place_after(campaign: &Campaign, number: u8) -> usize {
    let actions = &campaign.actions;
    let here = actions.iter().position(|action| action.number == number);
    here.or_else(|| actions.iter().rposition(|action| action.number < number)).map_or(0, |place| place + 1)
}

fn due_at(
    campaign: &Campaign,
    step: &Step,
    entered_at: Timestamp,
    facts: &Facts<'_>,
) -> Result<Timestamp, String> {
    let Some(delay) = &step.delay else { return Ok(facts.as_of) };
    let ended_at = facts.previous.map_or(facts.as_of, |previous| previous.ended_at);
    let since = match step.from {
        Since::Entry => entered_at,
        Since::PreviousSent => facts.previous.and_then(|previous| previous.sent_at).unwrap_or(ended_at),
        Since::PreviousDelivered => ended_at,
    };
    let zone = campaign.zones.of(facts.profile).unwrap_or_else(|| campaign.zones.fallback.clone());
    delay.due_at(since, &zone, facts.profile, None)
}

/// Only what hangs on a time of the user can be late: a delay from what happened here has just been waited for.
fn is_late(step: &Step, due_at: Timestamp, now: Timestamp) -> bool {
    step.delay.as_ref().is_some_and(|delay| delay.is_anchored()) && own_zone::is_late(due_at, now)
}

/// Whether the next action follows; else how the entry ends.
fn goes_on(campaign: &Campaign, number: u8, ended: Ended) -> Result<(), EntryEnd> {
    let is_lenient = campaign.action(number).is_some_and(|action| action.step.continue_on_failure);
    let is_last = place_after(campaign, number) >= campaign.actions.len();
    let failed = if is_last { EntryEnd::Completed } else { EntryEnd::PreviousFailed };
    match ended {
        Ended::Delivered | Ended::Skipped | Ended::Retrying => Ok(()),
        Ended::Missed => Err(EntryEnd::StepMissed),
        Ended::Suppressed(Suppression::Exited) => Err(EntryEnd::Exited),
        Ended::Suppressed(Suppression::CampaignEnded | Suppression::UserDeleted) => {
            Err(EntryEnd::CampaignEnded)
        }
        // They are about the entry, not about this message.
        Ended::Suppressed(
            Suppression::Holdback
            | Suppression::OptedOut
            | Suppression::CancelledByEvent
            | Suppression::Superseded
            | Suppression::Cancelled
            | Suppression::Loop,
        ) => Err(failed),
        Ended::Failed(_) | Ended::Suppressed(_) if is_lenient => Ok(()),
        Ended::Failed(_) | Ended::Suppressed(_) => Err(failed),
    }
}

/// What the next action is told of this one. None: this one was passed over.
fn previous(outcome: &SendOutcome, posted_at: Option<Timestamp>) -> Option<Previous> {
    let row = &outcome.row;
    let kind = match row.ended {
        Ended::Delivered => PreviousOutcome::Delivered,
        Ended::Failed(_) => PreviousOutcome::Failed,
        Ended::Suppressed(_) => PreviousOutcome::Suppressed,
        Ended::Retrying | Ended::Skipped | Ended::Missed => return None,
    };
    let sent_at = posted_at.or(outcome.is_first_post.then_some(row.at));
    Some(Previous { outcome: kind, status: row.status, sent_at, ended_at: row.at })
}

/// An entry that was made without a delivery record: by an occurrence or by hand, or before the campaign had several messages.
fn unlisted(row: &LogRow) -> OpenEntry {
    let inside = Inside { action: row.action, has_data: true, ..Inside::default() };
    OpenEntry {
        key: row.key,
        narrow: 0,
        due_at: row.due_at,
        looked_at: row.due_at,
        since: row.due_at,
        entered_at: row.due_at,
        status: Status::Pending,
        same: Vec::new(),
        collected: 0,
        collected_kib: 0,
        inside: Some(inside),
    }
}

impl Deciding<'_> {
    /// A send ended, or was posted for the first time. Its entry goes on, or ends.
    pub(crate) fn step(&mut self, outcome: &SendOutcome, accepted_at: Timestamp, user: Option<&StoredUser>) {
        let row = &outcome.row;
        let Some(known) = self.campaigns.get(row.campaign).filter(|_| outcome.is_open) else { return };
        let Some(user) = user else {
            if row.ended != Ended::Retrying {
                self.count_end(row.campaign, EntryEnd::CampaignEnded);
            }
            return;
        };
        let kept = kept(&mut self.records, user.no, row.campaign);
        let listed = kept.entry(row.key).cloned();
        let mut listed = listed.filter(|entry| entry.inside.is_some()).unwrap_or_else(|| unlisted(row));
        let Some(inside) = &mut listed.inside else { return };
        inside.is_reached |= outcome.is_first_post;
        if row.ended == Ended::Retrying {
            inside.posted_at = Some(row.at);
            return kept.put(listed);
        }
        kept.fold_mark(row.key);
        inside.has_failed |= matches!(row.ended, Ended::Failed(_));
        inside.previous = previous(outcome, inside.posted_at.take()).or(inside.previous);
        let end = match (listed.status, known.planned()) {
            (Status::Exited, _) => EntryEnd::Exited,
            (_, None) => EntryEnd::CampaignEnded,
            (_, Some(planned)) => match goes_on(planned.campaign, row.action, self.ended(known, row, user)) {
                Err(end) => end,
                Ok(()) => {
                    match self.go_on(known, &planned, row.action, listed.clone(), (user, accepted_at)) {
                        Some(end) => end,
                        None => return,
                    }
                }
            },
        };
        self.end(user, row.campaign, listed, end);
    }

    /// Cancelling what is planned of a campaign ends an entry also where its send was just being posted.
    fn ended(&self, known: &Known, row: &LogRow, user: &StoredUser) -> Ended {
        let shard = self.layout.shard_of(&user.profile.id);
        match known.record.cancelled.covers(shard, user.no, row.revision) {
            true => Ended::Suppressed(Suppression::Cancelled),
            false => row.ended,
        }
    }

    /// Plans the next send; or says how the entry ends.
    fn go_on(
        &mut self,
        known: &Known,
        planned: &Planned<'_>,
        after: u8,
        mut listed: OpenEntry,
        (user, at): (&StoredUser, Timestamp),
    ) -> Option<EntryEnd> {
        let mut inside = listed.inside.take()?;
        let mut after = after;
        loop {
            let facts = Facts {
                profile: &user.profile,
                event: None,
                values: None,
                previous: inside.previous.as_ref(),
                as_of: at,
                now: self.now,
                segments: self.campaigns.segments.as_ref(),
                fallback_zone: &planned.campaign.zones.fallback,
            };
            let (next, passed_over) = next(planned.campaign, after, listed.entered_at, &facts);
            for (action, why) in passed_over {
                let row = self.row(planned, user, &listed, (action.number, at), (Ended::Skipped, why));
                self.commit.ended.push(row);
            }
            let (action, due_at, waits) = match next {
                Next::End(end) => return Some(end),
                Next::Send(action, due_at) => (action, due_at, false),
                Next::Wait(action, until) => (action, until, true),
                Next::Late(action, due_at) => {
                    let (number, reason) = (action.number, Suppression::Late);
                    let why = format!("it was due at {due_at}, and its turn came at {at}");
                    let ended = (Ended::Suppressed(reason), why);
                    self.commit.ended.push(self.row(planned, user, &listed, (number, due_at), ended));
                    self.tally(
                        planned.no,
                        [(Counter::Planned(number), 1), (Counter::Suppressed(number, reason), 1)],
                    );
                    if let Err(end) = goes_on(planned.campaign, number, Ended::Suppressed(reason)) {
                        return Some(end);
                    }
                    let outcome = PreviousOutcome::Suppressed;
                    inside.previous = Some(Previous { outcome, status: 0, sent_at: None, ended_at: at });
                    after = number;
                    continue;
                }
            };
            (inside.action, inside.waits) = (action.number, waits);
            (listed.due_at, listed.looked_at) = (due_at, due_at);
            listed.inside = Some(inside);
            self.tally(
                planned.no,
                [(Counter::Planned(action.number), 1), (Counter::Pending(action.number), 1)],
            );
            self.send(known, planned, user, &listed);
            kept(&mut self.records, user.no, planned.no).put(listed);
            return None;
        }
    }

    /// Into the wheel, for the action that the entry is at.
    fn send(&mut self, known: &Known, planned: &Planned<'_>, user: &StoredUser, listed: &OpenEntry) {
        let Some(inside) = &listed.inside else { return };
        let planned = Planned { destination: known.destination_of(inside.action), ..*planned };
        let mut new =
            entry(&planned, EntryKind::Chain, user.no, listed.key, listed.due_at, inside.skip, None);
        new.due.send.action = inside.action;
        new.due.send.has_data = inside.has_data;
        self.commit.entries.push(new);
    }

    /// An event that may end entries inside, or be what they wait for.
    pub(crate) fn step_event(
        &mut self,
        known: &Known,
        event: &Event,
        accepted_at: Timestamp,
        user: &StoredUser,
    ) {
        let Some(planned) = known.planned() else { return };
        let of = (&planned, self.campaigns.segments.as_ref());
        let facts = facts(of, event, accepted_at, user, self.now);
        let (layout, campaign) = (self.layout, planned.campaign);
        for listed in kept(&mut self.records, user.no, planned.no).inside() {
            let Some(inside) = &listed.inside else { continue };
            // One that was not listed when it was claimed has no mark.
            let is_begun = inside.posted_at.is_some()
                || kept(&mut self.records, user.no, planned.no).is_begun(listed.key);
            let fits = |rule: &EventRule| {
                rule.fits(event, &facts) && standing::is_same(layout, rule, &facts, &listed)
            };
            if facts.as_of < listed.since {
                continue;
            }
            let awaited = campaign.action(inside.action).and_then(|action| action.step.wait.as_ref());
            if (is_begun || !inside.is_at_first()) && campaign.exit_on.iter().any(fits) {
                self.exit(&planned, listed, is_begun, (event, user));
            } else if inside.waits
                && !is_begun
                && accepted_at < listed.looked_at
                && awaited.is_some_and(|wait| fits(&wait.rule))
            {
                let inside = Inside { waits: false, ..inside.clone() };
                let (due_at, inside) = (accepted_at, Some(inside));
                let listed = OpenEntry { due_at, looked_at: due_at, inside, ..listed };
                self.send(known, &planned, user, &listed);
                let kept = kept(&mut self.records, user.no, planned.no);
                kept.must_wait(listed.key);
                kept.put(listed);
            }
        }
    }

    /// At once; only what is being sent ends with its send.
    fn exit(
        &mut self,
        planned: &Planned<'_>,
        listed: OpenEntry,
        is_begun: bool,
        (event, user): (&Event, &StoredUser),
    ) {
        let kept = kept(&mut self.records, user.no, planned.no);
        if is_begun {
            return kept.put(OpenEntry { status: Status::Exited, ..listed });
        }
        kept.must_wait(listed.key);
        let Some(number) = listed.inside.as_ref().map(|inside| inside.action) else { return };
        let reason = Suppression::Exited;
        let ended = (Ended::Suppressed(reason), format!("the user did {}", event.name));
        let row = self.row(planned, user, &listed, (number, listed.due_at), ended);
        self.commit.ended.push(row);
        self.tally(planned.no, [(Counter::Pending(number), -1), (Counter::Suppressed(number, reason), 1)]);
        self.end(user, planned.no, listed, EntryEnd::Exited);
    }

    fn end(&mut self, user: &StoredUser, no: CampaignNo, listed: OpenEntry, end: EntryEnd) {
        self.count_end(no, end);
        kept(&mut self.records, user.no, no).close(&listed);
    }

    fn count_end(&mut self, no: CampaignNo, end: EntryEnd) {
        self.tally(no, [(Counter::Open, -1), (Counter::Finished, 1), (Counter::Ended(end), 1)]);
    }

    fn tally(&mut self, campaign: CampaignNo, counters: impl IntoIterator<Item = (Counter, i64)>) {
        self.counts.extend(counters.into_iter().map(|(counter, by)| Count { campaign, counter, by }));
    }

    /// What the log says of a send that ended without being claimed.
    fn row(
        &self,
        planned: &Planned<'_>,
        user: &StoredUser,
        listed: &OpenEntry,
        (action, due_at): (u8, Timestamp),
        (ended, text): (Ended, String),
    ) -> LogRow {
        LogRow {
            ended,
            campaign: planned.no,
            user: user.no,
            user_hash: user_hash(self.layout, &user.profile.id),
            key: listed.key,
            action,
            due_at,
            at: self.now,
            revision: planned.revision,
            attempts: 0,
            status: 0,
            took_ms: 0,
            text,
        }
    }
}
