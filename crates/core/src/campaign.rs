//! Pure. A valid campaign: everything its author wrote, read, checked and compiled once per revision. Afterwards always valid.
//!
//! Before: `draft`. After: the scheduler asks `when`, the sender renders `actions`; both ask `audience`.

use std::time::Duration;

use jiff::Timestamp;

use crate::bucket::bucket;
use crate::campaign_actions::{self, Action};
use crate::campaign_delivery::{self, When, Zones};
use crate::campaign_fields::{self, expression};
use crate::clock_changes::{Passes, first_instant};
use crate::draft::{Draft, Kind, Late};
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
    /// In order; exactly one until campaigns of several messages come.
    pub actions: Vec<Action>,
    pub retry: RetrySchedule,
    /// As the author wrote it.
    pub expiry: Option<Duration>,
    pub throttle: Option<Throttle>,
    /// Its own; the deployment's are another matter.
    pub quiet_hours: Option<QuietHours>,
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
        let audience = audience(&draft, rules.segments, &mut faults);
        let when = campaign_delivery::when(&draft.delivery, &zones, rules.now, &mut faults);
        for (field, condition) in when.iter().flat_map(conditions) {
            rules.segments.check(&condition.named(), &field, &mut faults);
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
        let actions = campaign_actions::compile(&draft, rules, &mut faults);
        match (audience, when, actions) {
            (Some((audience, condition)), Some(when), Some(actions)) if faults.is_empty() => {
                let named = audience.named();
                let expiry = draft.limits.expiry;
                let holdback = (draft.audience.holdback_percent * 10.0).round() as u16;
                let holdback_salt = format!("holdback:{}", draft.id);
                Ok(Campaign {
                    draft,
                    audience,
                    condition,
                    named,
                    when,
                    zones,
                    actions,
                    retry,
                    expiry,
                    throttle,
                    quiet_hours,
                    holdback,
                    holdback_salt,
                })
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

    /// Every expression with the path of its field.
    pub fn expressions(&self) -> Vec<(String, &Expression)> {
        let mut all = Vec::new();
        if !self.draft.audience.condition.is_empty() {
            all.push(("audience.where".to_owned(), &self.condition));
        }
        all.extend(conditions(&self.when));
        all
    }

    /// Segments and lists that any of its conditions names.
    pub fn all_named(&self) -> Named {
        let mut named = self.named.clone();
        for (_, expression) in self.expressions() {
            named.extend(expression.named());
        }
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

fn throttle(written: &str, faults: &mut Faults) -> Option<Throttle> {
    if written.is_empty() {
        return None;
    }
    Throttle::parse(written).map_err(|text| faults.add("limits.throttle", text)).ok()
}

/// The audience, and its condition alone. Everybody is never the default where a whole audience is addressed.
fn audience(draft: &Draft, segments: &Segments, faults: &mut Faults) -> Option<(Expression, Expression)> {
    let (include, exclude) = (&draft.audience.include_segments, &draft.audience.exclude_segments);
    let addresses_all = matches!(draft.delivery.kind, Some(Kind::OneTime(_) | Kind::Recurring(_)));
    let written = match draft.audience.condition.trim() {
        "" if addresses_all && include.is_empty() => {
            faults.add("audience.where", "is missing: say who, or write everyone if everybody is meant");
            return None;
        }
        "" => "everyone",
        _ => &draft.audience.condition,
    };
    for (names, field) in [(include, "audience.include_segments"), (exclude, "audience.exclude_segments")] {
        let named = Named { segments: names.clone(), ..Named::default() };
        segments.check(&named, field, faults);
    }
    let condition = expression(written, Scope::Audience, "audience.where", faults)?;
    segments.check(&condition.named(), "audience.where", faults);
    if include.iter().chain(exclude).any(|name| campaign_fields::check_slug(name).is_err()) {
        return None;
    }
    match Expression::audience(written, include, exclude) {
        Ok(audience) => Some((audience, condition)),
        Err(wrong) => {
            wrong.into_iter().for_each(|fault| faults.add("audience.where", fault.text));
            None
        }
    }
}
