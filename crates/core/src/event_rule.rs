//! Pure. An event that does something to an entry that is there already: cancels it, ends it, or is what it waits for.
//!
//! Before: `draft::EventMatch`. After: `scheduler::standing` and `scheduler::inside` ask it of each event of its name.

use crate::campaign_fields::{check_name, expression};
use crate::draft;
use crate::event::Event;
use crate::expression::{Expression, Scope};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;
use crate::value_path::ValuePath;

#[derive(Debug)]
pub struct EventRule {
    pub event: String,
    pub condition: Option<Expression>,
    /// Properties that must equal the trigger's, by name.
    pub same: Vec<(String, ValuePath)>,
}

impl EventRule {
    /// Whether it is about this event; what must be the same is asked of each entry.
    pub fn fits(&self, event: &Event, facts: &Facts<'_>) -> bool {
        self.event == event.name && self.condition.as_ref().is_none_or(|holds| holds.matches(facts))
    }

    /// `path` is the field's own.
    pub(crate) fn read(written: &draft::EventMatch, path: &str, faults: &mut Faults) -> EventRule {
        check_name(&written.event, &format!("{path}.event"), faults);
        let condition = match written.condition.trim() {
            "" => None,
            _ => expression(&written.condition, Scope::Trigger, &format!("{path}.where"), faults),
        };
        if written.same.len() > limits::SAME_MAX {
            faults.add(format!("{path}.same"), format!("expected at most {} properties", limits::SAME_MAX));
        }
        let mut same = Vec::new();
        for (j, name) in written.same.iter().enumerate().take(limits::SAME_MAX) {
            match ValuePath::property(name) {
                Ok(found) => same.push((name.trim().to_owned(), found)),
                Err(text) => faults.add(format!("{path}.same[{j}]"), text),
            }
        }
        EventRule { event: written.event.clone(), condition, same }
    }

    /// At most `most` of them.
    pub(crate) fn read_all(
        written: &[draft::EventMatch],
        path: &str,
        most: usize,
        faults: &mut Faults,
    ) -> Vec<EventRule> {
        if written.len() > most {
            faults.add(path, format!("expected at most {most} events"));
        }
        let each = written.iter().enumerate().take(most);
        each.map(|(i, rule)| EventRule::read(rule, &format!("{path}[{i}]"), faults)).collect()
    }
}
