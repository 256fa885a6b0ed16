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
    pub segments: BTreeSet<String>,
    pub lists: BTreeSet<String>,
    /// Campaigns whose history it asks for.
    pub campaigns: BTreeSet<String>,
    /// Whether time alone can change the answer; of segments, their own conditions say.
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
            Source::Behaviour(_, event, window) => {
                names.time |= window.is_some();
                (&mut names.events, Some(event))
            }
            Source::InSegment(name) => (&mut names.segments, Some(name)),
            Source::InList(name) => (&mut names.lists, Some(name)),
            Source::History(_, campaign, window) => {
                names.time |= window.is_some();
                (&mut names.campaigns, Some(campaign))
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

pub(crate) fn asks_previous_only(node: &Node) -> bool {
    let is_fixed = |operand: &Operand| {
        matches!(
            operand.source,
            Source::Literal(_)
                | Source::List(_)
                | Source::Range(..)
                | Source::PreviousOutcome
                | Source::PreviousStatus
        )
    };
    let is_timeless = !matches!(
        node.condition,
        Condition::Is { test: Test::InLast(_) | Test::InNext(_) | Test::Anniversary, .. }
    );
    is_timeless
        && node.condition.operands().into_iter().all(is_fixed)
        && node.condition.parts().iter().all(asks_previous_only)
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
        (Source::Behaviour(a, a_event, a_window), Source::Behaviour(b, b_event, b_window)) => {
            a == b && a_event == b_event && a_window == b_window
        }
        (Source::FirstSeen, Source::FirstSeen) | (Source::LastSeen, Source::LastSeen) => true,
        (Source::EventValue, Source::EventValue) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::expression_examples::parsed;

    #[track_caller]
    fn check_warned(text: &str, expected: &[(usize, &str)]) {
        let warnings = parsed(text).warnings();
        let fits = warnings.len() == expected.len()
            && warnings
                .iter()
                .zip(expected)
                .all(|(w, (column, part))| w.column == *column && w.text.contains(part));
        assert!(fits, "{text} warned {warnings:?}, expected {expected:?}");
    }

    #[test]
    fn a_negation_that_a_missing_value_turns_is_warned_of() {
        let also_true = "also true where user.x is missing";
        let false_where = "false where user.x is missing";
        check_warned("not (user.x == 1)", &[(1, also_true)]);
        check_warned(
            "user.y == 1 and not (user.x == 1 or user.x in [2])",
            &[(17, also_true), (17, also_true)],
        );
        check_warned("not user.x is containing(\"a\")", &[(1, also_true)]);
        check_warned("not (user.x != 1)", &[(1, also_true)]);
        check_warned("not (last(\"a\") < ago(\"1d\"))", &[(1, "also true where last(\"a\") is missing")]);
        check_warned("user.x != 1", &[(1, false_where)]);
        check_warned("user.x not in [1]", &[(1, false_where)]);
        check_warned("user.x is not matching(\"a\")", &[(1, false_where)]);
        check_warned("not (not (user.x != 1))", &[(11, false_where)]);
        check_warned("user.y is set and user.x != 1", &[(19, false_where)]);
    }

    #[test]
    fn who_has_thought_of_the_missing_value_is_not_warned() {
        for text in [
            "user.x == 1",
            "user.x is not set",
            "not user.x",
            "not (user.x is set)",
            "not (user.x is empty)",
            "not (not (user.x == 1))",
            "user.x is set and not (user.x == 1)",
            "user.x is set and user.x != 1",
            "user.x is not empty and user[\"x\"] != 1",
            "user.x is not set or user.x != 1",
            "user.x != 1 or user.x is empty",
            "not (count(\"a\") == 1)",
            "user_id not in [\"a\"]",
            "not (bucket(\"\") in range(0, 5))",
        ] {
            check_warned(text, &[]);
        }
    }

    #[test]
    fn likely_slips_are_warned_of() {
        check_warned("user.vip and user.id == \"a\"", &[(14, "user_id")]);
        check_warned("user.x > \"2026-01-01\"", &[(1, "is before(...)")]);
        check_warned("user.x == \"2026-01-01\"", &[]);
        check_warned("last(\"a\") > \"2026-01-01\"", &[]);
    }

    #[test]
    fn an_expression_names_what_it_looks_at() {
        let text = "user.a.b == 1 and user[\"c d\"] in user.e and properties.t[0] > values.v and count(\"x\") > 0 or \
                    not (last(\"y\") is between(first(\"z\"), ago(\"1d\")))";
        let names = parsed(text).names();
        let list =
            |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        assert_eq!(list(&names.attributes), "a,c d,e");
        assert_eq!(list(&names.properties), "t");
        assert_eq!(list(&names.values), "v");
        assert_eq!(list(&names.events), "x,y,z");
        assert!(names.time);
        assert!(!parsed("user.x is before(\"2026-01-01\")").names().time);
        assert!(parsed("user.x is anniversary").names().time);
        assert_eq!(parsed("everyone").names(), Default::default());
    }

    #[test]
    fn a_bounded_set_of_ids_is_found() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let expression = parsed(text);
            let ids = expression.id_list().map(|ids| ids.into_iter().collect::<Vec<_>>());
            assert_eq!(ids.as_deref(), expected, "{text}");
        };
        check("user_id in [\"b\", \"a\", \"b\"]", Some(&["a", "b"]));
        check("user_id == \"a\"", Some(&["a"]));
        check("\"a\" == user_id and user.vip", Some(&["a"]));
        check("user_id in [\"a\", \"b\"] and user_id in [\"b\", \"c\"]", Some(&["b"]));
        check("user_id in [\"a\"] or user_id == \"b\"", Some(&["a", "b"]));
        check("user_id in []", Some(&[]));
        check("user_id in [\"a\"] or user.vip", None);
        check("not (user_id in [\"a\"])", None);
        check("user_id not in [\"a\"]", None);
        check("user_id != \"a\"", None);
        check("user_id > \"a\"", None);
        check("everyone", None);
    }
}
