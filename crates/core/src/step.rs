//! Pure. An action's place in a campaign of several: when it is its turn, for whom, and what its failure means.
//!
//! Before: `draft::Action`. After: `scheduler::inside` works out what comes next for an entry; the sender asks `condition` at the due instant.

use jiff::SignedDuration;

use crate::campaign_fields::expression;
use crate::delay::Delay;
use crate::draft::{self, DelayFrom};
use crate::event_rule::EventRule;
use crate::expression::{Expression, Scope};
use crate::fault::Faults;
use crate::limits;

#[derive(Debug, Default)]
pub struct Step {
    /// None: at once.
    pub delay: Option<Delay>,
    pub from: Since,
    /// False: the action is passed over.
    pub condition: Option<Expression>,
    pub wait: Option<Wait>,
    pub continue_on_failure: bool,
}

/// What a delay is measured from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    Entry,
    /// The first POST of the action before; where it was never posted, its end.
    #[default]
    PreviousSent,
    /// The end of the action before, which is its delivery unless it failed.
    PreviousDelivered,
}

/// Its turn comes with an event, or not at all.
#[derive(Debug)]
pub struct Wait {
    pub rule: EventRule,
    pub at_most: SignedDuration,
}

impl Step {
    /// `path` is the action's own. Whether it comes after others says what it may use.
    pub(crate) fn read(written: &draft::Action, path: &str, is_first: bool, faults: &mut Faults) -> Step {
        let delay = written.delay.as_ref().map(|delay| Delay::read(delay, &format!("{path}.delay"), faults));
        let scope = if is_first { Scope::Trigger } else { Scope::Step };
        let condition = match written.condition.trim() {
            "" => None,
            _ => expression(&written.condition, scope, &format!("{path}.where"), faults),
        };
        if is_first {
            check_first(written, path, faults);
        } else if delay.as_ref().is_some_and(Delay::asks_event) {
            let text = "only an attribute of the user: the event is not at hand any more";
            faults.add(format!("{path}.delay.anchor"), text);
        }
        Step {
            delay,
            from: since(written, path, is_first, faults),
            condition,
            wait: wait(written, path, faults),
            continue_on_failure: written.continue_on_failure,
        }
    }

    /// Whether `condition` is asked when the action before has ended, and never again.
    pub fn is_decided_early(&self) -> bool {
        self.condition.as_ref().is_some_and(Expression::asks_previous_only)
    }
}

fn check_first(written: &draft::Action, path: &str, faults: &mut Faults) {
    if matches!(written.from, DelayFrom::PreviousSent | DelayFrom::PreviousDelivered) {
        faults
            .add(format!("{path}.from"), "the first action has none before it: its delay is from the entry");
    }
    if written.wait_for.is_some() {
        let text = "the first action waits for no event: make the event the trigger of the campaign";
        faults.add(format!("{path}.wait_for"), text);
    }
}

fn since(written: &draft::Action, path: &str, is_first: bool, faults: &mut Faults) -> Since {
    if written.from != DelayFrom::Unspecified && written.delay.is_none() {
        faults.add(format!("{path}.from"), "only with a delay");
    }
    match written.from {
        DelayFrom::Entry => Since::Entry,
        DelayFrom::PreviousSent => Since::PreviousSent,
        DelayFrom::PreviousDelivered => Since::PreviousDelivered,
        DelayFrom::Unspecified if is_first => Since::Entry,
        DelayFrom::Unspecified => Since::PreviousSent,
    }
}

fn wait(written: &draft::Action, path: &str, faults: &mut Faults) -> Option<Wait> {
    let at_most = written.wait_at_most;
    let Some(rule) = &written.wait_for else {
        if at_most.is_some() {
            faults.add(format!("{path}.wait_at_most"), "only with wait_for");
        }
        return None;
    };
    if written.delay.is_some() {
        faults.add(format!("{path}.delay"), "not with wait_for: the action is sent when the event comes");
    }
    match at_most {
        None => faults.add(format!("{path}.wait_at_most"), "is missing: for how long, such as 7d"),
        Some(most) if most.is_zero() || most > limits::DELAY_MAX => {
            faults.add(format!("{path}.wait_at_most"), "expected more than 0s and at most 400 days");
        }
        Some(_) => {}
    }
    let rule = EventRule::read(rule, &format!("{path}.wait_for"), faults);
    let at_most = SignedDuration::try_from(at_most.unwrap_or_default()).unwrap_or(SignedDuration::MAX);
    Some(Wait { rule, at_most })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::campaign::Campaign;
    use crate::campaign_delivery::When;
    use crate::draft::{
        Action, Delivery, Draft, EventMatch, IfPending, Kind, OneTime, Trigger, TriggerOn, Triggered,
    };
    use crate::triggered::Pending;
    use crate::webhook_draft::{Row, Webhook};

    fn action(name: &str) -> Action {
        let webhook = Some(Webhook { url: "https://hooks.example/in".to_owned(), ..Webhook::default() });
        Action { name: name.to_owned(), webhook, ..Action::default() }
    }

    fn delay(secs: u64) -> Option<draft::Delay> {
        Some(draft::Delay { after: Some(Duration::from_secs(secs)), ..draft::Delay::default() })
    }

    fn on(event: &str) -> Option<EventMatch> {
        Some(EventMatch { event: event.to_owned(), ..EventMatch::default() })
    }

    fn begins() -> Triggered {
        let on = TriggerOn::Event("begin".to_owned());
        Triggered { when: vec![Trigger { on, condition: String::new() }], ..Triggered::default() }
    }

    fn draft(actions: Vec<Action>) -> Draft {
        let delivery = Delivery { kind: Some(Kind::Triggered(begins())), ..Delivery::default() };
        let mut draft = Draft { id: "c".to_owned(), actions, delivery, ..Draft::default() };
        draft.audience.condition = "everyone".to_owned();
        draft
    }

    fn compiled(draft: Draft) -> Result<Campaign, Vec<String>> {
        let told = |faults: Faults| faults.0.into_iter().map(|fault| fault.field).collect();
        Campaign::compile_saved(draft, Timestamp::UNIX_EPOCH).map_err(told)
    }

    #[track_caller]
    fn check_refused(draft: Draft, fields: &[&str]) {
        assert_eq!(compiled(draft).map(drop).unwrap_err(), fields);
    }

    #[test]
    fn a_first_action_has_none_before_it_and_others_no_event() {
        let mut first = Action { from: DelayFrom::PreviousSent, ..action("a") };
        first.condition = "previous.status == 200".to_owned();
        first.wait_for = on("read");
        let row = Row { name: "x".to_owned(), value: "{{ previous.status }}".into() };
        first.webhook.as_mut().unwrap().data.push(row);
        let fields = [
            "actions[0].from",
            "actions[0].from",
            "actions[0].wait_at_most",
            "actions[0].wait_for",
            "actions[0]",
        ];
        let mut told = compiled(draft(vec![first, action("b")])).map(drop).unwrap_err();
        told.retain(|field| field != "actions[0].where");
        told.sort();
        let mut expected = fields.to_vec();
        expected.sort_unstable();
        assert_eq!(told, expected);
        let anchored = draft::Delay { anchor: "properties.at".to_owned(), ..delay(60).unwrap() };
        let later = Action { delay: Some(anchored), ..action("b") };
        check_refused(draft(vec![action("a"), later]), &["actions[1].delay.anchor"]);
    }

    #[test]
    fn what_waits_for_an_event_says_how_long_and_has_no_delay() {
        let waits = Action { wait_for: on("read"), delay: delay(5), ..action("b") };
        check_refused(draft(vec![action("a"), waits]), &["actions[1].delay", "actions[1].wait_at_most"]);
        let most = Action { wait_at_most: Some(Duration::from_secs(5)), ..action("b") };
        check_refused(draft(vec![action("a"), most]), &["actions[1].wait_at_most"]);
    }

    #[test]
    fn names_are_slugs_and_there_once_and_exits_need_several() {
        check_refused(
            draft(vec![action("a"), action("a"), action("B")]),
            &["actions[1].name", "actions[2].name"],
        );
        let mut exits = draft(vec![action("a")]);
        exits.exit_on.extend(on("x"));
        check_refused(exits, &["exit_on"]);
        check_refused(draft((0..33).map(|n| action(&format!("a{n}"))).collect()), &["actions"]);
    }

    #[test]
    fn a_user_is_inside_once() {
        let several = || draft(vec![action("a"), action("b")]);
        let Ok(Campaign { when: When::Triggered(triggered), .. }) = compiled(several()) else { panic!() };
        assert_eq!(triggered.if_pending, Pending::Ignore);
        let mut each = several();
        let triggered = Triggered { if_pending: IfPending::Each, ..begins() };
        each.delivery.kind = Some(Kind::Triggered(triggered));
        check_refused(each, &["delivery.triggered.if_pending"]);
    }

    #[test]
    fn the_delay_of_the_first_action_is_the_deliverys() {
        let first = || Action { delay: delay(7200), ..action("a") };
        let Ok(Campaign { when: When::Triggered(triggered), .. }) =
            compiled(draft(vec![first(), action("b")]))
        else {
            panic!()
        };
        assert_eq!(triggered.delay, Delay::After(SignedDuration::from_hours(2)));
        let mut twice = draft(vec![first(), action("b")]);
        twice.delivery.kind = Some(Kind::Triggered(Triggered { delay: delay(1), ..begins() }));
        check_refused(twice, &["actions[0].delay"]);
        let mut timed = draft(vec![first(), action("b")]);
        timed.delivery.kind = Some(Kind::OneTime(OneTime { at: "now".to_owned(), ..OneTime::default() }));
        check_refused(timed, &["actions[0].delay"]);
    }
}
