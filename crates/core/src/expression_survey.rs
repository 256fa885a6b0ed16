//! Pure. What an expression looks at, whom it can hold for, and what is allowed in it but probably not meant.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::expression::FaultList;
use crate::expression_parser::{Comparison, Step};
use crate::expression_tree::{Condition, Node, Operand, Root, Source, Test};
use crate::time_value::TimeValue;

/// The names an expression mentions; of a path, the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub attributes: BTreeSet<String>,
    pub properties: BTreeSet<String>,
    pub values: BTreeSet<String>,
    /// Events whose behaviour it asks for.
    pub events: BTreeSet<String>,
    /// Whether time alone can change the answer.
    pub time: bool,
}

pub(crate) fn names(node: &Node) -> Names {
    let mut names = Names::default();
    gather(node, &mut names);
    names
}

fn gather(node: &Node, names: &mut Names) {
    if let Condition::Is { test: Test::InLast(_) | Test::InNext(_) | Test::Anniversary, .. } = node.condition
    {
        names.time = true;
    }
    for operand in node.condition.operands() {
        let (set, name) = match &operand.source {
            Source::Path(Root::User, steps) => (&mut names.attributes, first_name(steps)),
            Source::Path(Root::Properties, steps) => (&mut names.properties, first_name(steps)),
            Source::Path(Root::Values, steps) => (&mut names.values, first_name(steps)),
            Source::Count(event) | Source::First(event) | Source::Last(event) => {
                (&mut names.events, Some(event))
            }
            Source::Ago(_) => {
                names.time = true;
                continue;
            }
            _ => continue,
        };
        set.extend(name.cloned());
    }
    for part in node.condition.parts() {
        gather(part, names);
    }
}

fn first_name(steps: &[Step]) -> Option<&String> {
    match steps.first() {
        Some(Step::Name(name)) => Some(name),
        _ => None,
    }
}

/// The only user ids the condition can hold for. None: it does not bound them.
pub(crate) fn id_list(node: &Node) -> Option<BTreeSet<&str>> {
    match &node.condition {
        Condition::All(parts) => parts.iter().filter_map(id_list).reduce(|a, b| &a & &b),
        Condition::Any(parts) => {
            let lists = parts.iter().map(id_list).collect::<Option<Vec<_>>>()?;
            Some(lists.into_iter().flatten().collect())
        }
        Condition::Compare { comparison: Comparison::Equal, left, right, .. } => {
            match (&left.source, &right.source) {
                (Source::UserId, Source::Literal(id)) | (Source::Literal(id), Source::UserId) => {
                    Some(id.as_str().into_iter().collect())
                }
                _ => None,
            }
        }
        Condition::In { needle, haystack, negated: false } => match (&needle.source, &haystack.source) {
            (Source::UserId, Source::List(list)) => {
                Some(list.written.iter().filter_map(Value::as_str).collect())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Adds what is probably not meant.
pub(crate) fn warn(node: &Node, text: &str, warnings: &mut FaultList<'_>) {
    let mut watch = Watch { text, warnings, guarded: Vec::new() };
    watch.node(node, None, false);
}

struct Watch<'n, 't, 'w, 'l> {
    text: &'t str,
    warnings: &'w mut FaultList<'l>,
    /// Operands whose absence the author has thought of, beside the condition looked at.
    guarded: Vec<&'n Operand>,
}

impl<'n> Watch<'n, '_, '_, '_> {
    /// `not_at`: where the innermost `not` around it begins. `turned`: whether an odd number of them is around it.
    fn node(&mut self, node: &'n Node, not_at: Option<usize>, turned: bool) {
        match &node.condition {
            Condition::Not(inner) => self.node(inner, Some(node.span.start), !turned),
            Condition::All(parts) | Condition::Any(parts) => {
                let before = self.guarded.len();
                let by_and = matches!(node.condition, Condition::All(_));
                self.guarded.extend(parts.iter().filter_map(|part| guarded(part, by_and)));
                for part in parts {
                    self.node(part, not_at, turned);
                }
                self.guarded.truncate(before);
            }
            single => {
                self.missing(node, not_at.filter(|_| turned));
                for operand in single.operands() {
                    self.attribute_id(operand);
                }
                self.texts_as_times(single, node.span.start);
            }
        }
    }

    /// A missing value makes a condition false and its `not` true, and neither is always meant.
    fn missing(&mut self, node: &Node, turned_at: Option<usize>) {
        let Some(negative) = negative(&node.condition) else {
            return;
        };
        let guarded = |operand: &Operand| self.guarded.iter().any(|known| same(known, operand));
        let mut open = node.condition.operands().into_iter().filter(|o| o.may_be_missing() && !guarded(o));
        let Some(operand) = open.next() else {
            return;
        };
        let name = operand.span.of(self.text);
        match turned_at {
            Some(at) => {
                let text = format!(
                    "also true where {name} is missing: write {name} is set and ... if these are not meant"
                );
                self.warnings.add(at, text);
            }
            None if negative => {
                let text = format!(
                    "false where {name} is missing: write ... or {name} is not set if these are meant too"
                );
                self.warnings.add(node.span.start, text);
            }
            None => {}
        }
    }

    fn attribute_id(&mut self, operand: &Operand) {
        let Source::Path(Root::User, steps) = &operand.source else {
            return;
        };
        if *steps == [Step::Name("id".to_owned())] {
            self.warnings
                .add(operand.span.start, "user.id is an attribute named id: the user's own id is user_id");
        }
    }

    fn texts_as_times(&mut self, condition: &Condition, at: usize) {
        let Condition::Compare { comparison, left, right, times: false } = condition else {
            return;
        };
        let named_time = |operand: &Operand| match &operand.source {
            Source::Literal(Value::String(text)) => TimeValue::read_text(text).is_some(),
            _ => false,
        };
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if ordered && (named_time(left) || named_time(right)) {
            self.warnings
                .add(at, "texts are compared here, not times: write is before(...) or is after(...)");
        }
    }
}

/// Whether a condition that a missing value makes false says what is not so. None: it sees missing values itself.
fn negative(condition: &Condition) -> Option<bool> {
    match condition {
        Condition::Compare { comparison, .. } => Some(*comparison == Comparison::NotEqual),
        Condition::In { negated, .. } => Some(*negated),
        Condition::Is { test: Test::Set | Test::Empty, .. } => None,
        Condition::Is { negated, .. } => Some(*negated),
        // `not user.vip` reads as meant: who has no vip is not vip.
        _ => None,
    }
}

/// The operand whose absence `part` decides: `x is set and ...`, `x is not set or ...`.
fn guarded(part: &Node, by_and: bool) -> Option<&Operand> {
    match &part.condition {
        Condition::Is { subject, test: Test::Set, negated } if *negated != by_and => Some(subject),
        Condition::Is { subject, test: Test::Empty, negated } if *negated == by_and => Some(subject),
        _ => None,
    }
}

fn same(a: &Operand, b: &Operand) -> bool {
    match (&a.source, &b.source) {
        (Source::Path(a, a_steps), Source::Path(b, b_steps)) => a == b && a_steps == b_steps,
        (Source::First(a), Source::First(b)) | (Source::Last(a), Source::Last(b)) => a == b,
        (Source::FirstSeen, Source::FirstSeen) | (Source::LastSeen, Source::LastSeen) => true,
        (Source::EventValue, Source::EventValue) => true,
        _ => false,
    }
}
