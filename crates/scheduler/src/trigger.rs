//! Pure. From a page of events to due-sends, refusals and new profiles. The cost of an event grows with the campaigns that name it.
//!
//! An event counts into its user's behaviour before any trigger looks at it; events of one user apply in the order of the log.

use std::collections::HashMap;

use campanile_core::campaign_record::State;
use campanile_core::counter::{Count, Counter, summed};
use campanile_core::due_send::{EntryKind, Skip};
use campanile_core::event::{EntryData, Event, LogItem};
use campanile_core::facts::Facts;
use campanile_core::limits;
use campanile_core::number::{Layout, UserNo};
use campanile_core::ports::{EventCommit, EventPage, RefusedRow, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::user::Profile;
use jiff::{SignedDuration, Timestamp};

use crate::campaigns::{Campaigns, Known};
use crate::plan::{Planned, entry, entry_counts};

/// Everything one page leads to, to be committed as a whole.
pub fn decide(page: &EventPage, campaigns: &Campaigns, layout: &Layout, now: Timestamp) -> EventCommit {
    let mut commit = EventCommit {
        head: page.head,
        control: page.control,
        read: page.events.len(),
        users: page.users.clone(),
        ..Default::default()
    };
    let places: HashMap<UserNo, usize> =
        page.users.iter().enumerate().map(|(i, user)| (user.no, i)).collect();
    let mut counts = Vec::new();
    for (place, logged) in page.events.iter().enumerate() {
        let event = match LogItem::unpack(&logged.bytes) {
            Ok(LogItem::Event(event)) => event,
            Err(_) => {
                commit.foreign.push(place);
                continue;
            }
        };
        // A user that is gone took its events along.
        let Some(&user) = places.get(&logged.user) else { continue };
        commit.users[user].profile.count(&event);
        let mut met = Met { event: &event, accepted_at: logged.accepted_at, now, layout, packed: None };
        for known in campaigns.naming(&event.name) {
            met.meet(known, user, &mut commit, &mut counts);
        }
    }
    commit.counts = summed(counts);
    commit
}

/// An event that meets campaigns.
struct Met<'a> {
    event: &'a Event,
    accepted_at: Timestamp,
    now: Timestamp,
    layout: &'a Layout,
    /// The event as entries keep it, packed once.
    packed: Option<Vec<u8>>,
}

impl Met<'_> {
    fn meet(&mut self, known: &Known, user: usize, commit: &mut EventCommit, counts: &mut Vec<Count>) {
        let no = known.record.no;
        counts.push(Count { campaign: no, counter: Counter::Triggered, by: 1 });
        let StoredUser { no: user_no, profile, .. } = &commit.users[user];
        match self.decide(known, profile) {
            Err((reason, text)) => {
                counts.push(Count { campaign: no, counter: Counter::Refused(reason), by: 1 });
                commit.refused.push(RefusedRow {
                    campaign: no,
                    at: self.now,
                    user_id: profile.id.clone(),
                    reason,
                    cause: self.event.id.clone(),
                    text,
                });
            }
            Ok((planned, due_at)) => {
                let keep = planned.campaign.actions.iter().any(|action| action.webhook.needs_event());
                let kept = keep.then(|| self.packed().to_vec());
                let key = self.layout.hash64("event", &[self.event.id.as_bytes()]);
                let new = entry(&planned, EntryKind::Event, *user_no, key, due_at, Skip::default(), kept);
                commit.entries.push(new);
                counts.extend(entry_counts(no));
            }
        }
    }

    /// In the order in which refusals are told.
    fn decide<'k>(
        &self,
        known: &'k Known,
        profile: &Profile,
    ) -> Result<(Planned<'k>, Timestamp), (Refusal, String)> {
        let refuse = |reason| Err((reason, String::new()));
        match known.record.state {
            State::Active => {}
            State::Paused => return refuse(Refusal::Paused),
            State::Draft | State::Scheduled => return refuse(Refusal::BeforeStart),
            State::Finishing | State::Ended => return refuse(Refusal::AfterEnd),
        }
        let Some((planned, triggered)) = known.triggered() else { return refuse(Refusal::AfterEnd) };
        let age = self.accepted_at.duration_since(self.event.occurred_at);
        if age > SignedDuration::try_from(limits::EVENT_AGE_MAX).unwrap_or(SignedDuration::MAX) {
            let text =
                format!("it happened at {} and arrived at {}", self.event.occurred_at, self.accepted_at);
            return Err((Refusal::EventTooOld, text));
        }
        let facts = Facts {
            profile,
            event: Some(self.event),
            values: None,
            as_of: self.event.occurred_at,
            now: self.now,
            fallback_zone: &planned.campaign.fallback_zone,
        };
        let mut why = None;
        let fits =
            triggered.triggers.iter().filter(|trigger| trigger.event == self.event.name).any(|trigger| {
                match &trigger.condition {
                    Some(condition) if !condition.matches(&facts) => {
                        why.get_or_insert_with(|| {
                            condition.explain(&facts).first_false().unwrap_or_default()
                        });
                        false
                    }
                    _ => true,
                }
            });
        if !fits {
            return Err((Refusal::ConditionFalse, why.unwrap_or_default()));
        }
        if !planned.campaign.takes(&facts) {
            let text = planned.campaign.audience.explain(&facts).first_false().unwrap_or_default();
            return Err((Refusal::NotInAudience, text));
        }
        let due_at = self.event.occurred_at.checked_add(triggered.delay).unwrap_or(Timestamp::MAX);
        Ok((planned, due_at))
    }

    fn packed(&mut self) -> &[u8] {
        self.packed.get_or_insert_with(|| EntryData::Event(self.event.clone()).pack())
    }
}
