//! Pure. A valid campaign: everything its author wrote, read, checked and compiled once per revision. Afterwards always valid.
//!
//! Before: `draft`. After: the scheduler asks `when`, the sender renders `actions`; both ask `audience`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::bucket::bucket;
use crate::campaign_actions::{self, Action};
use crate::campaign_delivery::{self, When, Zones};
use crate::campaign_fields::{self, expression};
use crate::clock_changes::{Passes, first_instant};
use crate::conversion::Conversion;
use crate::delay::Delay;
use crate::draft::{self, Draft, Kind, Late};
use crate::event_rule::EventRule;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::{Fault, Faults};
use crate::limits;
use crate::network::Policy;
use crate::own_zone::{self, OwnOccurrence};
use crate::quiet_hours::QuietHours;
use crate::retry::RetrySchedule;
use crate::secret::Secrets;
use crate::segment::Named;
use crate::segments::Segments;
use crate::throttle::Throttle;
use crate::user::Profile;
use crate::value_path::ValuePath;
use crate::watch;

/// What a draft is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub policy: &'a Policy,
    pub secrets: &'a Secrets,
    /// What conditions may name.
    pub segments: &'a Segments,
    /// When it was written: what `now` means, and where `every 2 weeks` counts from.
    pub now: Timestamp,
}

/// A checked campaign.
#[derive(Debug)]
pub struct Campaign {
    pub draft: Draft,
    /// Who: its condition, narrowed by the segments it includes and excludes.
    pub audience: Expression,
    /// The condition of the audience as its author wrote it.
    condition: Expression,
    /// Segments and lists that its audience names itself: a send waits while one of them is not there.
    pub named: Named,
    pub when: When,
    /// Of the delivery's wall-clock times, and for users without a zone.
    pub zones: Zones,
    /// In order, at least one.
    pub actions: Vec<Action>,
    /// What ends an entry once its first action was sent.
    pub exit_on: Vec<EventRule>,
    pub retry: RetrySchedule,
    /// As the author wrote it.
    pub expiry: Option<Duration>,
    pub throttle: Option<Throttle>,
    /// Its own; the deployment's are another matter.
    pub quiet_hours: Option<QuietHours>,
    pub conversion: Option<Conversion>,
    /// Campaigns of which its conditions ask what the user had.
    pub looks_back: Vec<String>,
    /// Thousandths of the audience that enter and are never sent.
    holdback: u16,
    holdback_salt: String,
}

impl Campaign {
    /// All faults at once, with their paths.
    pub fn compile(draft: Draft, rules: &Rules<'_>) -> Result<Campaign, Faults> {
        let mut faults = Faults::default();
        campaign_fields::check(&draft, &mut faults);
        campaign_fields::refuse_later(&draft, &mut faults);
        let zones = Zones::read(&draft.delivery, &mut faults);
        let addresses_all = matches!(draft.delivery.kind, Some(Kind::OneTime(_) | Kind::Recurring(_)));
        let audience = audience(&draft.audience, addresses_all, "audience", rules.segments, &mut faults);
        let is_chain = draft.actions.len() > 1;
        let when = campaign_delivery::when(&draft.delivery, &zones, rules.now, is_chain, &mut faults);
        for (field, condition) in when.iter().flat_map(conditions) {
            rules.segments.check(&condition.named(), &field, &mut faults);
        }
        for (i, name) in draft.triggers().enumerate().filter_map(|(i, on)| Some((i, watch::named(on)?))) {
            let named = Named { segments: vec![name.to_owned()], ..Named::default() };
            rules.segments.check(&named, &format!("delivery.triggered.when[{i}]"), &mut faults);
        }
        let default = match draft.delivery.kind {
            Some(Kind::OneTime(_)) => RetrySchedule::long(),
            _ => RetrySchedule::short(),
        };
        let retry = RetrySchedule::of(&draft.limits.retry, default, &mut faults);
        let throttle = throttle(&draft.limits.throttle, &mut faults);
        let quiet_hours = draft.limits.quiet_hours.as_ref();
        let quiet_hours =
            quiet_hours.and_then(|hours| QuietHours::read(hours, "limits.quiet_hours", &mut faults));
        let conversion =
            draft.conversion.as_ref().map(|conversion| Conversion::read(conversion, &mut faults));
        let actions = campaign_actions::compile(&draft, rules, &mut faults);
        let exit_on = EventRule::read_all(&draft.exit_on, "exit_on", limits::EXITS_MAX, &mut faults);
        let (when, actions) = first_delay(&draft, when, actions, &mut faults);
        for (field, condition) in step_conditions(&exit_on, actions.as_deref().unwrap_or_default()) {
            rules.segments.check(&condition.named(), &field, &mut faults);
        }
        match (audience, when, actions) {
            (Some((audience, condition)), Some(when), Some(actions)) if faults.is_empty() => {
                let named = audience.named();
                let expiry = draft.limits.expiry;
                let holdback = (draft.audience.holdback_percent * 10.0).round() as u16;
                let holdback_salt = format!("holdback:{}", draft.id);
                let mut campaign = Campaign {
                    draft,
                    audience,
                    condition,
                    named,
                    when,
                    zones,
                    actions,
                    exit_on,
                    retry,
                    expiry,
                    throttle,
                    quiet_hours,
                    holdback,
                    holdback_salt,
                    conversion,
                    looks_back: Vec::new(),
                };
                campaign.looks_back = campaign.asked_back(&mut faults);
                if faults.is_empty() { Ok(campaign) } else { Err(faults) }
            }
            _ => Err(faults),
        }
    }

    /// As it was saved, at `since`. It was checked then; where it may send, and with which secrets, is asked when it is
    /// rendered.
    pub fn compile_saved(draft: Draft, since: Timestamp) -> Result<Campaign, Faults> {
        let (policy, secrets, segments) = (Policy::unchecked(), Secrets::unchecked(), Segments::unchecked());
        Campaign::compile(
            draft,
            &Rules { policy: &policy, secrets: &secrets, segments: &segments, now: since },
        )
    }

    /// Whether it has several messages.
    pub fn is_chain(&self) -> bool {
        self.actions.len() > 1
    }

    /// By the number its sends carry.
    pub fn action(&self, number: u8) -> Option<&Action> {
        self.actions.iter().find(|action| action.number == number)
    }

    /// The properties that any cancel or exit event, or one that is waited for, compares with the trigger's.
    pub fn compared(&self) -> impl Iterator<Item = &(String, ValuePath)> {
        let cancels = match &self.when {
            When::Triggered(triggered) => triggered.cancel_on.as_slice(),
            _ => &[],
        };
        let waits = self.actions.iter().filter_map(|action| action.step.wait.as_ref());
        cancels.iter().chain(&self.exit_on).chain(waits.map(|wait| &wait.rule)).flat_map(|rule| &rule.same)
    }

    /// Whether the user belongs to the audience.
    pub fn takes(&self, facts: &Facts<'_>) -> bool {
        self.audience.is_everyone() || self.audience.matches(facts)
    }

    /// Whether the user enters and is never sent, so that both arms can be compared. Hangs on user and campaign id alone.
    pub fn holds_back(&self, user_id: &str) -> bool {
        self.holdback > 0 && bucket(&self.holdback_salt, user_id) < self.holdback
    }

    /// Whether the audience is decided at entry only.
    pub fn is_sticky(&self) -> bool {
        self.draft.audience.sticky
    }

    /// After this the send is too old to be sent: what the author said, else 72 h, for a recurring campaign at most until its
    /// next occurrence.
    pub fn expires_at(&self, due_at: Timestamp, profile: &Profile) -> Timestamp {
        let after = |wait: Duration| due_at.checked_add(wait).unwrap_or(Timestamp::MAX);
        if let Some(expiry) = self.expiry {
            return after(expiry);
        }
        let next = match &self.when {
            When::Recurring(recurring) if self.zones.are_own => {
                let zone = self.zones.of(profile).unwrap_or_else(|| self.zones.fallback.clone());
                let shown = own_zone::name_of(zone.to_datetime(due_at));
                let next = recurring.recurrence.next(shown, 0);
                next.and_then(|next| first_instant(&zone, own_zone::wall_of(next)))
            }
            When::Recurring(recurring) => recurring.recurrence.next(due_at, 0),
            _ => None,
        };
        next.unwrap_or(Timestamp::MAX).min(after(limits::EXPIRY_DEFAULT))
    }

    /// An occurrence on its way to users, each by their own clock. `named` is its wall clock read as UTC.
    pub fn own_occurrence(&self, named: Timestamp) -> OwnOccurrence {
        let late = match &self.draft.delivery.kind {
            Some(Kind::OneTime(one_time)) => one_time.late,
            Some(Kind::Recurring(recurring)) => recurring.late,
            _ => Late::Unspecified,
        };
        let (next, passes) = match &self.when {
            When::Recurring(recurring) => {
                // Who skips the late does not ask what comes next.
                let is_asked = matches!(late, Late::SendNow | Late::NextDay);
                let next = if is_asked { recurring.recurrence.next(named, 0) } else { None };
                (next, recurring.recurrence.clock.passes())
            }
            _ => (None, Passes::First),
        };
        OwnOccurrence { named, next, passes, late }
    }

    /// What is allowed but probably not meant.
    pub fn warnings(&self) -> Vec<Fault> {
        let mut warnings: Vec<Fault> = Vec::new();
        let mut of =
            |field: String, expression: &Expression| {
                warnings.extend(expression.warnings().into_iter().map(|w| Fault {
                    field: field.clone(),
                    text: format!("column {}: {}", w.column, w.text),
                }));
            };
        for (field, expression) in self.expressions() {
            of(field, expression);
        }
        warnings
    }

    fn asked_back(&self, faults: &mut Faults) -> Vec<String> {
        let names = self.expressions().into_iter().flat_map(|(_, expression)| expression.names().campaigns);
        let asked: BTreeSet<String> = names.collect();
        if asked.len() > limits::HISTORIES_ASKED_MAX {
            let text = format!(
                "its conditions ask about {} campaigns, at most {}",
                asked.len(),
                limits::HISTORIES_ASKED_MAX
            );
            faults.add("campaign", text);
        }
        asked.into_iter().collect()
    }

    /// Every expression with the path of its field.
    pub fn expressions(&self) -> Vec<(String, &Expression)> {
        let mut all = Vec::new();
        if !self.draft.audience.condition.is_empty() {
            all.push(("audience.where".to_owned(), &self.condition));
        }
        if let Some(condition) = self.conversion.as_ref().and_then(|conversion| conversion.condition.as_ref())
        {
            all.push(("conversion.where".to_owned(), condition));
        }
        all.extend(conditions(&self.when));
        all.extend(step_conditions(&self.exit_on, &self.actions));
        all
    }

    /// Segments and lists that any of its conditions names.
    pub fn all_named(&self) -> Named {
        let mut named = self.named.clone();
        for (_, expression) in self.expressions() {
            named.extend(expression.named());
        }
        let segments = watch::watched(&self.draft).into_iter().map(str::to_owned).collect();
        named.extend(Named { segments, ..Named::default() });
        named
    }
}

/// The conditions of a delivery, with the paths of their fields.
fn conditions(when: &When) -> Vec<(String, &Expression)> {
    let When::Triggered(triggered) = when else { return Vec::new() };
    let triggers = triggered.triggers.iter().enumerate().filter_map(|(i, trigger)| {
        let condition = trigger.condition.as_ref()?;
        Some((format!("delivery.triggered.when[{i}].where"), condition))
    });
    let cancels = triggered.cancel_on.iter().enumerate().filter_map(|(i, rule)| {
        let condition = rule.condition.as_ref()?;
        Some((format!("delivery.triggered.cancel_on[{i}].where"), condition))
    });
    triggers.chain(cancels).collect()
}

/// The conditions on the way through several actions, with the paths of their fields.
fn step_conditions<'a>(exit_on: &'a [EventRule], actions: &'a [Action]) -> Vec<(String, &'a Expression)> {
    let mut all = Vec::new();
    for (i, rule) in exit_on.iter().enumerate() {
        all.extend(rule.condition.as_ref().map(|condition| (format!("exit_on[{i}].where"), condition)));
    }
    for (i, action) in actions.iter().enumerate() {
        let condition = action.step.condition.as_ref();
        all.extend(condition.map(|condition| (format!("actions[{i}].where"), condition)));
        let awaited = action.step.wait.as_ref().and_then(|wait| wait.rule.condition.as_ref());
        all.extend(awaited.map(|condition| (format!("actions[{i}].wait_for.where"), condition)));
    }
    all
}

/// The delay of the first action is the delivery's: from the trigger, or from the moment of entering by hand.
fn first_delay(
    draft: &Draft,
    mut when: Option<When>,
    mut actions: Option<Vec<Action>>,
    faults: &mut Faults,
) -> (Option<When>, Option<Vec<Action>>) {
    let first = actions.as_mut().and_then(|actions| actions.first_mut());
    if first.as_ref().is_none_or(|first| first.step.delay.is_none()) {
        return (when, actions);
    }
    let field = "actions[0].delay";
    match (&mut when, &draft.delivery.kind) {
        (_, Some(Kind::OneTime(_) | Kind::Recurring(_))) => {
            faults.add(field, "the first action is due at the time the delivery says");
        }
        (_, Some(Kind::Triggered(written))) if written.delay.is_some() => {
            faults.add(field, "the first action waits for delivery.triggered.delay: say only one of the two");
        }
        (Some(When::Triggered(triggered)), _) => {
            if let Some(delay) = first.and_then(|first| first.step.delay.take()) {
                triggered.delay = delay;
            }
        }
        (Some(When::Manual), _)
            if first.is_some_and(|first| first.step.delay.as_ref().is_some_and(Delay::asks_event)) =>
        {
            faults.add(
                format!("{field}.anchor"),
                "only an attribute of the user: nothing is entered by an event",
            );
        }
        _ => {}
    }
    (when, actions)
}

fn throttle(written: &str, faults: &mut Faults) -> Option<Throttle> {
    if written.is_empty() {
        return None;
    }
    Throttle::parse(written).map_err(|text| faults.add("limits.throttle", text)).ok()
}

/// An audience that is addressed as a whole, wherever it was written: everybody must be meant on purpose.
pub fn whole_audience(
    written: &draft::Audience,
    segments: &Segments,
    path: &str,
    faults: &mut Faults,
) -> Option<Expression> {
    audience(written, true, path, segments, faults).map(|(audience, _)| audience)
}

/// The audience, and its condition alone. Everybody is never the default where a whole audience is addressed.
fn audience(
    audience: &draft::Audience,
    addresses_all: bool,
    path: &str,
    segments: &Segments,
    faults: &mut Faults,
) -> Option<(Expression, Expression)> {
    let (include, exclude) = (&audience.include_segments, &audience.exclude_segments);
    let field = format!("{path}.where");
    let written = match audience.condition.trim() {
        "" if addresses_all && include.is_empty() => {
            faults.add(&field, "is missing: say who, or write everyone if everybody is meant");
            return None;
        }
        "" => "everyone",
        _ => &audience.condition,
    };
    for (names, what) in [(include, "include_segments"), (exclude, "exclude_segments")] {
        let named = Named { segments: names.clone(), ..Named::default() };
        segments.check(&named, &format!("{path}.{what}"), faults);
    }
    let condition = expression(written, Scope::Audience, &field, faults)?;
    segments.check(&condition.named(), &field, faults);
    if include.iter().chain(exclude).any(|name| campaign_fields::check_slug(name).is_err()) {
        return None;
    }
    match Expression::audience(written, include, exclude) {
        Ok(audience) => Some((audience, condition)),
        Err(wrong) => {
            wrong.into_iter().for_each(|fault| faults.add(&field, fault.text));
            None
        }
    }
}
