//! Pure. From a page of events to due-sends, refusals and new profiles. The cost of an event grows with the campaigns that name it.
//!
//! An event counts into its user's behaviour before any trigger looks at it; events of one user apply in the order of the log.
//! `event_pass` reads the page and commits what is decided here, as a whole or not at all.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use campanile_core::campaign_actions::Action;
use campanile_core::campaign_delivery::When;
use campanile_core::campaign_history::Arm;
use campanile_core::campaign_record::State;
use campanile_core::conversion::Converted;
use campanile_core::counter::{Count, Counter, VariantCounter, summed};
use campanile_core::delivery_record::StoredRecord;
use campanile_core::due_send::{EntryKind, Skip};
use campanile_core::event::{EntryData, Event, LogItem, digest, digested};
use campanile_core::facts::Facts;
use campanile_core::happening::{Happening, of_outcome};
use campanile_core::inside::Inside;
use campanile_core::limits;
use campanile_core::number::{CampaignNo, Layout, UserNo};
use campanile_core::ports::{EventCommit, EventPage, NewEntry, RefusedRow, StoredUser};
use campanile_core::reason::Suppression;
use campanile_core::recent_event::{self, Decided, RecentRow};
use campanile_core::segments::Segments;
use campanile_core::triggered::{Pending, Triggered};
use campanile_core::user::Profile;
use campanile_core::watch;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::campaigns::{Campaigns, Known};
use crate::entering::{Entering, refused};
use crate::histories::{self, Wanted};
use crate::plan::{Planned, ended_counts, ended_row, entry, entry_counts};
use crate::standing::{self, Kept, NewTrigger};

/// How long an ended campaign still says that it has ended.
const ENDED_SAYS_SO: SignedDuration = SignedDuration::from_hours(24);

/// The version of a profile that nobody has written since its user was made.
const MADE: u64 = 1;

/// The delivery records of a page's users that deciding needs, by user and campaign.
pub type Records = HashMap<(UserNo, CampaignNo), Kept>;

/// Whose delivery records `decide` needs. Most campaigns keep none.
pub fn wanted(page: &EventPage, campaigns: &Campaigns) -> Vec<(UserNo, CampaignNo)> {
    let mut wanted = BTreeSet::new();
    let made: BTreeSet<UserNo> =
        page.users.iter().filter(|user| user.version == MADE).map(|user| user.no).collect();
    for logged in &page.events {
        let Ok(item) = LogItem::unpack(&logged.bytes) else { continue };
        if let LogItem::Outcome(outcome) = &item
            && outcome.is_open
        {
            wanted.insert((logged.user, outcome.row.campaign));
        }
        let made = makes(&item).filter(|_| made.contains(&logged.user)).map(created);
        for event in fired(&item, campaigns).iter().chain(&made) {
            wanted.extend(stepping(campaigns, event).map(|known| (logged.user, known.record.no)));
            let concerned = campaigns.naming(event).chain(cancelled(campaigns, event));
            wanted.extend(
                concerned
                    .filter(|known| keeping(known).is_some())
                    .map(|known| (logged.user, known.record.no)),
            );
        }
        if makes(&item).is_some() {
            let watching = campaigns.watches().iter().filter_map(|watch| campaigns.get(watch.campaign));
            let watching = watching.filter(|known| keeping(known).is_some());
            wanted.extend(watching.map(|known| (logged.user, known.record.no)));
        }
    }
    wanted.into_iter().collect()
}

/// What users had of other campaigns, as far as `decide` will ask. Most campaigns ask nothing.
pub fn looked_back(page: &EventPage, campaigns: &Campaigns) -> Vec<Wanted> {
    let mut all = BTreeSet::new();
    for logged in &page.events {
        let Ok(item) = LogItem::unpack(&logged.bytes) else { continue };
        if let LogItem::Outcome(outcome) = &item
            && outcome.is_open
            && let Some(known) = campaigns.get(outcome.row.campaign)
        {
            all.extend(histories::wanted(known, campaigns, logged.user));
        }
        for event in fired(&item, campaigns).iter() {
            let concerned = campaigns.naming(event).chain(cancelled(campaigns, event));
            let concerned = concerned.chain(stepping(campaigns, event));
            all.extend(concerned.flat_map(|known| histories::wanted(known, campaigns, logged.user)));
            for known in converted(campaigns, event) {
                all.extend(histories::wanted(known, campaigns, logged.user));
                all.insert(histories::own(known, logged.user));
            }
        }
    }
    all.into_iter().collect()
}

/// What sets campaigns off, of an item of the log. The outcome of a send may be two things: its first POST, and its end.
fn fired<'i>(item: &'i LogItem, campaigns: &Campaigns) -> Cow<'i, [Event]> {
    match item {
        LogItem::Event(event) => Cow::Borrowed(std::slice::from_ref(event)),
        LogItem::Imported(_) => Cow::Borrowed(&[]),
        LogItem::Outcome(outcome) => Cow::Owned(match campaigns.get(outcome.row.campaign) {
            Some(known) if known.record.heard => {
                let actions = known.compiled.as_ref().map(|compiled| &compiled.campaign.actions);
                let number = outcome.row.action;
                let action =
                    actions.and_then(|actions| actions.iter().find(|action| action.number == number));
                of_outcome(outcome, &known.record.id, action.map(|action| action.name.as_str()))
            }
            _ => Vec::new(),
        }),
    }
}

/// The event that may have made its user.
fn makes(item: &LogItem) -> Option<&Event> {
    match item {
        LogItem::Event(event) if event.happening.is_none() => Some(event),
        _ => None,
    }
}

/// What an event that made its user is besides.
fn created(event: &Event) -> Event {
    let happening = Happening::UserCreated;
    let (name, id) = (happening.name().to_owned(), format!("{}/", happening.name()));
    let occurred_at = event.occurred_at;
    Event {
        name,
        value: None,
        properties: Default::default(),
        occurred_at,
        id,
        happening: Some(happening),
        collected: Vec::new(),
    }
}

/// The segments that the user came into or left by an event that was counted.
fn cross(
    campaigns: &Campaigns,
    before: &Profile,
    user: &mut Profile,
    event: &Event,
    now: Timestamp,
) -> Vec<Event> {
    let watches = campaigns.watches();
    let crossed = watch::look(watches, Some(before), user, &campaigns.segments, now);
    watch::forget(watches, user);
    crossed.iter().map(|crossing| crossing.event(&event.id, event.occurred_at)).collect()
}

/// The campaigns whose pending entries it may end. Only what a user did does.
fn cancelled<'c>(campaigns: &'c Campaigns, event: &Event) -> impl Iterator<Item = &'c Known> + use<'c> {
    let name = event.happening.is_none().then(|| event.name.clone());
    name.into_iter().flat_map(|name| campaigns.cancelled_by(&name).collect::<Vec<_>>())
}

/// The campaigns whose entries it may end on their way, or send on. Only what a user did does.
fn stepping<'c>(campaigns: &'c Campaigns, event: &Event) -> impl Iterator<Item = &'c Known> + use<'c> {
    let name = event.happening.is_none().then(|| event.name.clone());
    name.into_iter().flat_map(|name| campaigns.stepping(&name).collect::<Vec<_>>())
}

/// The campaigns that it may be a success of. Only what a user did is.
fn converted<'c>(campaigns: &'c Campaigns, event: &Event) -> impl Iterator<Item = &'c Known> + use<'c> {
    let name = event.happening.is_none().then(|| event.name.clone());
    name.into_iter().flat_map(|name| campaigns.converted_by(&name).collect::<Vec<_>>())
}

/// The delivery of a campaign that keeps delivery records.
fn keeping(known: &Known) -> Option<&Triggered> {
    match &known.planned()?.campaign.when {
        When::Triggered(triggered) if triggered.keeps_records() => Some(triggered),
        _ => None,
    }
}

/// What the first events of a page lead to, to be committed as a whole: as many events as fit into one commit, at least one.
pub fn decide(
    page: EventPage,
    records: Records,
    campaigns: &Campaigns,
    layout: &Layout,
    now: Timestamp,
) -> EventCommit {
    let mut commit = EventCommit { head: page.head, control: page.control, ..Default::default() };
    let places: HashMap<UserNo, usize> =
        page.users.iter().enumerate().map(|(i, user)| (user.no, i)).collect();
    let mut users: Vec<(StoredUser, bool)> = page.users.into_iter().map(|user| (user, false)).collect();
    let mut deciding = Deciding {
        campaigns,
        layout,
        now,
        commit: &mut commit,
        records,
        counts: Vec::new(),
        bytes: 0,
        met: Vec::new(),
    };
    for (place, logged) in page.events.iter().enumerate() {
        if deciding.is_full() {
            break;
        }
        deciding.commit.read = place + 1;
        let Ok(item) = LogItem::unpack(&logged.bytes) else {
            deciding.commit.foreign.push(place);
            continue;
        };
        if let LogItem::Outcome(outcome) = &item {
            let user = places.get(&logged.user).and_then(|place| users.get(*place));
            deciding.step(outcome, logged.accepted_at, user.map(|(user, _)| user));
        }
        // A user that is gone took its events along.
        let found = places.get(&logged.user).and_then(|place| users.get_mut(*place));
        let Some((user, is_changed)) = found else {
            continue;
        };
        let made = makes(&item).filter(|_| user.version == MADE && !*is_changed).map(created);
        let mut crossed = Vec::new();
        if let LogItem::Event(event) | LogItem::Imported(event) = &item
            && event.happening.is_none()
        {
            let before = (!campaigns.watches().is_empty()).then(|| user.profile.clone());
            user.profile.count(event, logged.accepted_at);
            *is_changed = true;
            if let Some(before) = before {
                crossed = cross(campaigns, &before, &mut user.profile, event, now);
            }
        }
        deciding.met.clear();
        let fired = fired(&item, campaigns);
        for event in made.iter().chain(fired.iter()) {
            deciding.event(event, logged.accepted_at, user);
        }
        let met_itself = deciding.met.len();
        if matches!(item, LogItem::Event(_)) {
            crossed.iter().for_each(|event| deciding.event(event, logged.accepted_at, user));
        }
        let number = page.head + place as u64;
        // What nobody met but by what it led to is told as that.
        let led_to = crossed.last().filter(|_| met_itself == 0 && !deciding.met.is_empty());
        let kept = match (&item, fired.last().filter(|_| led_to.is_none())) {
            (LogItem::Event(_), None) if led_to.is_some() => {
                led_to.map(|event| LogItem::Event(event.clone())).map(|item| (item.pack(), item))
            }
            (LogItem::Outcome(_), Some(event)) if !deciding.met.is_empty() => {
                let item = LogItem::Event(event.clone());
                Some((item.pack(), item))
            }
            (LogItem::Outcome(_), _) => None,
            _ => Some((logged.bytes.clone(), item)),
        };
        deciding.commit.recent.extend(kept.map(|(packed, item)| {
            let of = (packed.as_slice(), &item);
            let bytes = recent_event::encode(number, logged.accepted_at, user.no, of, &deciding.met);
            RecentRow { number, bytes }
        }));
    }
    let Deciding { counts, records, .. } = deciding;
    commit.counts = summed(counts);
    commit.records = records.into_values().filter_map(Kept::change).collect();
    commit.users = users.into_iter().filter(|(_, is_changed)| *is_changed).map(|(user, _)| user).collect();
    commit
}

pub(crate) struct Deciding<'a> {
    pub(crate) campaigns: &'a Campaigns,
    pub(crate) layout: &'a Layout,
    pub(crate) now: Timestamp,
    pub(crate) commit: &'a mut EventCommit,
    pub(crate) records: Records,
    pub(crate) counts: Vec<Count>,
    /// Of what entries keep.
    bytes: usize,
    /// What campaigns decided about the event in hand.
    met: Vec<recent_event::Met>,
}

/// An event on its way to campaigns. What its entries have in common is made once.
struct Met<'a> {
    event: &'a Event,
    accepted_at: Timestamp,
    key: Option<u64>,
    packed: Option<Vec<u8>>,
}

/// What a trigger of a campaign that keeps delivery records is compared by.
struct Keeping<'k> {
    triggered: &'k Triggered,
    narrow: u64,
    same: Vec<(u32, u64)>,
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
        for known in cancelled(campaigns, event) {
            self.cancel(known, event, accepted_at, user);
        }
        for known in stepping(campaigns, event) {
            self.step_event(known, event, accepted_at, user);
        }
        for known in converted(campaigns, event) {
            self.convert(known, event, accepted_at, user);
        }
        let mut met = Met { event, accepted_at, key: None, packed: None };
        for known in campaigns.naming(event) {
            let record = &known.record;
            let is_forgotten =
                record.state == State::Ended && self.now.duration_since(record.updated_at) > ENDED_SAYS_SO;
            let is_unreadable = record.state != State::Ended && known.compiled.is_none();
            if !is_forgotten && !is_unreadable {
                self.meet(known, &mut met, user);
            }
        }
    }

    /// What came before the event, and is not sent yet, may be ended by it.
    fn cancel(&mut self, known: &Known, event: &Event, accepted_at: Timestamp, user: &StoredUser) {
        let (Some(planned), Some(triggered)) = (known.planned(), keeping(known)) else { return };
        let facts = facts((&planned, &self.campaigns.segments), event, accepted_at, user, self.now);
        kept(&mut self.records, user.no, known.record.no).cancel(triggered, event, &facts, self.layout);
    }

    /// Counts the last send as a success, in its arm.
    fn convert(&mut self, known: &Known, event: &Event, accepted_at: Timestamp, user: &StoredUser) {
        let (Some(conversion), no) = (&known.conversion, known.record.no) else { return };
        let Some(history) = user.profile.histories.of(&known.record.id) else { return };
        let (planned, utc) = (known.planned(), TimeZone::UTC);
        let fallback_zone = planned.map_or(&utc, |planned| &planned.campaign.zones.fallback);
        let as_of = event.occurred_at.min(accepted_at);
        let (profile, now, segments) = (&user.profile, self.now, self.campaigns.segments.as_ref());
        let event = Some(event);
        let facts =
            Facts { profile, event, values: None, previous: None, as_of, now, segments, fallback_zone };
        let Some(last) = conversion.of(history, &facts, as_of) else { return };
        let (key, action) = (last.key, last.action);
        let converted = Converted { user: user.no, campaign: no, key, action };
        // An earlier event of the page may have converted it.
        if self.commit.converted.contains(&converted) {
            return;
        }
        self.commit.converted.push(converted);
        let of_variant = |name| Counter::Variant(action, name, VariantCounter::Converted);
        let counters = match last.arm {
            Arm::HeldBack => [Some(Counter::ConvertedHeldBack(action)), None],
            Arm::Sent(variant) => [Some(Counter::Converted(action)), variant.map(of_variant)],
        };
        self.counts.extend(counters.into_iter().flatten().map(|counter| Count {
            campaign: no,
            counter,
            by: 1,
        }));
    }

    fn meet(&mut self, known: &Known, met: &mut Met<'_>, user: &StoredUser) {
        let no = known.record.no;
        self.counts.push(Count { campaign: no, counter: Counter::Triggered, by: 1 });
        let planned = known.planned();
        let keeping = planned.zip(keeping(known)).map(|(planned, triggered)| {
            let of = (&planned, self.campaigns.segments.as_ref());
            let facts = facts(of, met.event, met.accepted_at, user, self.now);
            let same = standing::values(self.layout, planned.campaign.compared(), &facts);
            Keeping { triggered, narrow: standing::narrow(self.layout, triggered, &facts), same }
        });
        let standing =
            keeping.as_ref().map(|keeping| kept(&mut self.records, user.no, no).standing(keeping.narrow));
        let of = (&known.record, planned.map(|planned| planned.campaign), known.began_at);
        let segments = &self.campaigns.segments;
        let entering =
            Entering::by_event(of, segments, met.event, met.accepted_at, Some(&user.profile), self.now);
        let entering = entering.with(standing);
        let due_at = entering.due_at;
        match (refused(&entering), planned) {
            (None, Some(planned)) => {
                let ends = entering.ends_at_once();
                let key = self.open(&planned, met, (user, due_at), ends, keeping);
                self.met.push(recent_event::Met { campaign: no, decided: Decided::Entered { key, due_at } });
            }
            (Some((gate, reason)), _) => {
                self.counts.push(Count { campaign: no, counter: Counter::Refused(reason), by: 1 });
                let text = (gate.saw)(&entering);
                let decided = Decided::Refused(reason, text.clone());
                self.met.push(recent_event::Met { campaign: no, decided });
                self.commit.refused.push(RefusedRow {
                    campaign: no,
                    at: self.now,
                    user_id: user.profile.id.clone(),
                    reason,
                    cause: met.event.id.clone(),
                    text,
                });
            }
            // The first gate refuses what cannot be planned.
            (None, None) => {}
        }
    }

    /// Makes an entry, or gives its due instant and data to the one that is pending; answers the entry's key.
    fn open(
        &mut self,
        planned: &Planned<'_>,
        met: &mut Met<'_>,
        (user, due_at): (&StoredUser, Timestamp),
        ends: Option<(Suppression, String)>,
        keeping: Option<Keeping<'_>>,
    ) -> u64 {
        let (no, key) = (planned.no, met.key(self.layout));
        if let Some(ends) = ends {
            if let Some(Keeping { triggered, narrow, .. }) = keeping {
                kept(&mut self.records, user.no, no).supersede(triggered, narrow);
            }
            let new = entry(planned, EntryKind::Event, user.no, key, due_at, Skip::default(), None);
            self.counts.extend(ended_counts(planned, ends.0));
            self.commit.ended.push(ended_row(self.layout, &new, &user.profile.id, ends, self.now));
            return key;
        }
        let restarts = keeping.as_ref().is_some_and(|of| of.triggered.if_pending == Pending::Restart);
        let mut new = self.enter(planned, met, (user.no, due_at), restarts);
        let continued = keeping.and_then(|Keeping { triggered, narrow, same }| {
            let since = met.event.occurred_at.min(met.accepted_at);
            let further = (triggered.if_pending == Pending::Collect && new.data.is_some()).then(|| {
                new.data = Some(digest(met.event));
                digested(met.event)
            });
            let kib =
                further.as_ref().map_or(0, |further| further.len().div_ceil(1024).min(64 * 1024 - 1) as u16);
            let inside = planned.campaign.is_chain().then(|| Inside {
                action: new.due.send.action,
                has_data: new.due.send.has_data,
                ..Inside::default()
            });
            let entered_at = met.accepted_at;
            let trigger = NewTrigger { key, narrow, due_at, since, entered_at, same, kib, inside };
            let data = further.as_deref().or(new.data.as_deref());
            kept(&mut self.records, user.no, no).enter(triggered, trigger, data)
        });
        if continued.is_none() {
            self.commit.entries.push(new);
            self.counts.extend(entry_counts(planned));
        }
        continued.unwrap_or(key)
    }

    /// `keeps`: also where no action asks for the event, as a newer one may take its place. So is one that says how many campaigns led to it.
    fn enter(
        &mut self,
        planned: &Planned<'_>,
        met: &mut Met<'_>,
        (user, due_at): (UserNo, Timestamp),
        keeps: bool,
    ) -> NewEntry {
        let (event, key) = (met.event, met.key(self.layout));
        let keeps = keeps || event.hops() > 0 || planned.campaign.actions.iter().any(Action::needs_event);
        let kept =
            keeps.then(|| met.packed.get_or_insert_with(|| EntryData::Event(event.clone()).pack()).clone());
        self.bytes += kept.as_ref().map_or(0, Vec::len);
        entry(planned, EntryKind::Event, user, key, due_at, Skip::default(), kept)
    }
}

/// One that was not read is taken for empty; if it is not, the commit is refused and done again.
pub(crate) fn kept(records: &mut Records, user: UserNo, campaign: CampaignNo) -> &mut Kept {
    let new = || Kept::open(user, campaign, StoredRecord::default());
    records.entry((user, campaign)).or_insert_with(new)
}

pub(crate) fn facts<'a>(
    (planned, segments): (&Planned<'a>, &'a Segments),
    event: &'a Event,
    accepted_at: Timestamp,
    user: &'a StoredUser,
    now: Timestamp,
) -> Facts<'a> {
    let (as_of, fallback_zone) = (event.occurred_at.min(accepted_at), &planned.campaign.zones.fallback);
    let (profile, event) = (&user.profile, Some(event));
    Facts { profile, event, values: None, previous: None, as_of, now, segments, fallback_zone }
}
