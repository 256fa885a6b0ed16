//! Pure. From a page of events to due-sends, refusals and new profiles. The cost of an event grows with the campaigns that name it.
//!
//! An event counts into its user's behaviour before any trigger looks at it; events of one user apply in the order of the log.
//! `event_pass` reads the page and commits what is decided here, as a whole or not at all.

use std::collections::HashMap;

use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::State;
use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{EntryKind, Skip};
use campanile_core::event::{EntryData, Event, LogItem};
use campanile_core::limits;
use campanile_core::number::{Layout, UserNo};
use campanile_core::ports::{EventCommit, EventPage, NewEntry, RefusedRow, StoredUser};
use campanile_core::webhook::CompiledWebhook;
use jiff::{SignedDuration, Timestamp};

use crate::campaigns::{Campaigns, Known};
use crate::entering::{Entering, refused};
use crate::plan::{Planned, ended_counts, ended_row, entry, entry_counts};

/// How long an ended campaign still says that it has ended.
const ENDED_SAYS_SO: SignedDuration = SignedDuration::from_hours(24);

/// What the first events of a page lead to, to be committed as a whole: as many events as fit into one commit, at least one.
pub fn decide(page: EventPage, campaigns: &Campaigns, layout: &Layout, now: Timestamp) -> EventCommit {
    let mut commit = EventCommit { head: page.head, control: page.control, ..Default::default() };
    let places: HashMap<UserNo, usize> =
        page.users.iter().enumerate().map(|(i, user)| (user.no, i)).collect();
    let mut users: Vec<(StoredUser, bool)> = page.users.into_iter().map(|user| (user, false)).collect();
    let mut deciding = Deciding { campaigns, layout, now, commit: &mut commit, counts: Vec::new(), bytes: 0 };
    for (place, logged) in page.events.iter().enumerate() {
        if deciding.is_full() {
            break;
        }
        deciding.commit.read = place + 1;
        let (event, fires) = match LogItem::unpack(&logged.bytes) {
            Err(_) => {
                deciding.commit.foreign.push(place);
                continue;
            }
            Ok(LogItem::Event(event)) => (event, true),
            Ok(LogItem::Imported(event)) => (event, false),
        };
        // A user that is gone took its events along.
        let found = places.get(&logged.user).and_then(|place| users.get_mut(*place));
        let Some((user, is_changed)) = found else {
            continue;
        };
        user.profile.count(&event, logged.accepted_at);
        *is_changed = true;
        if fires {
            deciding.event(&event, logged.accepted_at, user);
        }
    }
    commit.counts = summed(deciding.counts);
    commit.users = users.into_iter().filter(|(_, is_changed)| *is_changed).map(|(user, _)| user).collect();
    commit
}

struct Deciding<'a> {
    campaigns: &'a Campaigns,
    layout: &'a Layout,
    now: Timestamp,
    commit: &'a mut EventCommit,
    counts: Vec<Count>,
    /// Of what entries keep.
    bytes: usize,
}

/// An event on its way to campaigns. What its entries have in common is made once.
struct Met<'a> {
    event: &'a Event,
    accepted_at: Timestamp,
    key: Option<u64>,
    packed: Option<Vec<u8>>,
}

impl Met<'_> {
    /// The same event of the same user makes the same send id, however often it comes.
    fn key(&mut self, layout: &Layout) -> u64 {
        let event = self.event;
        *self.key.get_or_insert_with(|| layout.hash64("event", &[event.id.as_bytes()]))
    }
}

impl Deciding<'_> {
    /// One commit is one step of the store, which holds up everybody else meanwhile.
    fn is_full(&self) -> bool {
        self.commit.entries.len() + self.commit.ended.len() + self.commit.refused.len() >= limits::MOVE_MAX
            || self.bytes >= limits::COMMIT_BYTES_MAX
    }

    fn event(&mut self, event: &Event, accepted_at: Timestamp, user: &StoredUser) {
        let campaigns = self.campaigns;
        let mut met = Met { event, accepted_at, key: None, packed: None };
        for known in campaigns.naming(&event.name) {
            let record = &known.record;
            let is_forgotten =
                record.state == State::Ended && self.now.duration_since(record.updated_at) > ENDED_SAYS_SO;
            let is_unreadable = record.state != State::Ended && known.compiled.is_none();
            if !is_forgotten && !is_unreadable {
                self.meet(known, &mut met, user);
            }
        }
    }

    fn meet(&mut self, known: &Known, met: &mut Met<'_>, user: &StoredUser) {
        let no = known.record.no;
        self.counts.push(Count { campaign: no, counter: Counter::Triggered, by: 1 });
        let planned = known.planned();
        let of = (&known.record, planned.map(|planned| planned.campaign), known.began_at);
        let entering = Entering::by_event(of, met.event, met.accepted_at, Some(&user.profile), self.now);
        match (refused(&entering), planned) {
            (None, Some(planned)) => match entering.ends_at_once() {
                None => {
                    let entry = self.enter(&planned, met, user.no, entering.due_at);
                    self.commit.entries.push(entry);
                    self.counts.extend(entry_counts(no));
                }
                Some((reason, text)) => {
                    let (key, due_at) = (met.key(self.layout), entering.due_at);
                    let new = entry(&planned, EntryKind::Event, user.no, key, due_at, Skip::default(), None);
                    let row = ended_row(self.layout, &new, &user.profile.id, (reason, text), self.now);
                    self.commit.ended.push(row);
                    self.counts.extend(ended_counts(no, reason));
                }
            },
            (Some((gate, reason)), _) => {
                self.counts.push(Count { campaign: no, counter: Counter::Refused(reason), by: 1 });
                self.commit.refused.push(RefusedRow {
                    campaign: no,
                    at: self.now,
                    user_id: user.profile.id.clone(),
                    reason,
                    cause: met.event.id.clone(),
                    text: (gate.saw)(&entering),
                });
            }
            // The first gate refuses what cannot be planned.
            (None, None) => {}
        }
    }

    fn enter(
        &mut self,
        planned: &Planned<'_>,
        met: &mut Met<'_>,
        user: UserNo,
        due_at: Timestamp,
    ) -> NewEntry {
        let (event, key) = (met.event, met.key(self.layout));
        let keeps =
            planned.campaign.actions.iter().flat_map(Action::webhooks).any(CompiledWebhook::needs_event);
        let kept =
            keeps.then(|| met.packed.get_or_insert_with(|| EntryData::Event(event.clone()).pack()).clone());
        self.bytes += kept.as_ref().map_or(0, Vec::len);
        entry(planned, EntryKind::Event, user, key, due_at, Skip::default(), kept)
    }
}
