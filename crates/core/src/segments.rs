//! Pure. All segments and lists of a deployment, by name: a snapshot handed to saving, matching and explaining.
//!
//! A segment may name others, never in a circle; how deep and how many is bounded when it is saved (`check`), and bounded again when
//! it is matched, so that what two people saved at the same moment cannot run away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expression_explain::Explanation;
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;
use crate::segment::{Named, Segment};
use crate::user_list::UserList;

#[derive(Clone, Debug, Default)]
pub struct Segments {
    segments: BTreeMap<String, Arc<Segment>>,
    lists: BTreeMap<String, Arc<UserList>>,
    unchecked: bool,
}

static NONE: Segments = Segments { segments: BTreeMap::new(), lists: BTreeMap::new(), unchecked: false };

impl Segments {
    /// Where nothing names any.
    pub fn none() -> &'static Segments {
        &NONE
    }

    pub fn new(segments: Vec<Segment>, lists: Vec<Arc<UserList>>) -> Segments {
        Segments {
            segments: segments.into_iter().map(|s| (s.record.name.clone(), Arc::new(s))).collect(),
            lists: lists.into_iter().map(|list| (list.record.name.clone(), list)).collect(),
            unchecked: false,
        }
    }

    /// For reading a campaign that was checked when it was saved: whether what it names is still there is asked when it is matched.
    pub fn unchecked() -> Segments {
        Segments { unchecked: true, ..Segments::default() }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Segment>> {
        self.segments.get(name)
    }

    pub fn list(&self, name: &str) -> Option<&Arc<UserList>> {
        self.lists.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values().map(Arc::as_ref)
    }

    pub fn lists(&self) -> impl Iterator<Item = &UserList> {
        self.lists.values().map(Arc::as_ref)
    }

    /// With one segment put in its place.
    pub fn with(&self, segment: Segment) -> Segments {
        let mut all = self.clone();
        all.segments.insert(segment.record.name.clone(), Arc::new(segment));
        all
    }

    /// Whether the user belongs to the segment. None: there is no such segment.
    pub fn contains(&self, segment: &str, facts: &Facts<'_>) -> Option<bool> {
        Some(self.get(segment)?.expression.matches(&Facts { segments: self, ..*facts }))
    }

    /// Why the user does or does not belong to the segment. None: there is no such segment.
    pub fn explain(&self, segment: &str, facts: &Facts<'_>) -> Option<Explanation> {
        Some(self.get(segment)?.expression.explain(&Facts { segments: self, ..*facts }))
    }

    /// The first of these names that nothing stands for, in words.
    pub fn missing(&self, named: &Named) -> Option<String> {
        let segment = named.segments.iter().find(|name| !self.segments.contains_key(*name));
        let list = named.lists.iter().find(|name| !self.lists.contains_key(*name));
        let segment = segment.map(|name| format!("segment {name} does not exist"));
        segment.or_else(|| list.map(|name| format!("list {name} does not exist")))
    }

    /// The first name that nothing stands for, of what the segment asks to any depth, itself included; in words.
    pub fn missing_in(&self, segment: &str) -> Option<String> {
        self.gap_in(segment, 0)
    }

    fn gap_in(&self, name: &str, above: usize) -> Option<String> {
        let Some(segment) = self.get(name) else { return Some(format!("segment {name} does not exist")) };
        if above > limits::SEGMENT_DEPTH_MAX {
            return None;
        }
        let list = segment.named.lists.iter().find(|list| !self.lists.contains_key(*list));
        let list = list.map(|list| format!("list {list} does not exist"));
        list.or_else(|| segment.named.segments.iter().find_map(|inside| self.gap_in(inside, above + 1)))
    }

    /// Reports names that nothing stands for, and conditions that would cost too much, under `field`.
    pub fn check(&self, named: &Named, field: &str, faults: &mut Faults) {
        if self.unchecked {
            return;
        }
        for name in named.segments.iter().filter(|name| !self.segments.contains_key(*name)) {
            faults.add(field, unknown("segment", name, self.segments.keys()));
        }
        for name in named.lists.iter().filter(|name| !self.lists.contains_key(*name)) {
            faults.add(field, unknown("list", name, self.lists.keys()));
        }
        let weight = named.segments.iter().map(|name| self.weight(name, 0)).fold(0, usize::saturating_add);
        if weight > limits::SEGMENTS_ASKED_MAX {
            let most = limits::SEGMENTS_ASKED_MAX;
            faults.add(field, format!("asks more than {most} segments, those inside them counted"));
        }
    }

    /// Checks a segment that is about to be saved among these, in its new form.
    pub fn check_segment(&self, name: &str, faults: &mut Faults) {
        let Some(segment) = self.get(name) else { return };
        match self.circle(name) {
            Some(circle) => faults.add("where", format!("the segment would contain itself: {circle}")),
            None if self.depth(name, 0) > limits::SEGMENT_DEPTH_MAX => {
                let most = limits::SEGMENT_DEPTH_MAX;
                faults.add("where", format!("segments are at most {most} deep, this one would be deeper"));
            }
            None => self.check(&segment.named, "where", faults),
        }
    }

    /// How a segment leads back to itself: `a -> b -> a`.
    fn circle(&self, name: &str) -> Option<String> {
        let mut seen = BTreeSet::new();
        let mut path = vec![name];
        let found = self.leads_to(name, name, &mut path, &mut seen);
        found.then(|| path.join(" -> "))
    }

    fn leads_to<'a>(
        &'a self,
        from: &str,
        to: &'a str,
        path: &mut Vec<&'a str>,
        seen: &mut BTreeSet<&'a str>,
    ) -> bool {
        let Some(segment) = self.get(from) else { return false };
        for next in &segment.named.segments {
            if next == to {
                path.push(to);
                return true;
            }
            // Whoever saves checks the depth too, but only after this.
            if path.len() <= limits::SEGMENTS_MAX && seen.insert(next) {
                path.push(next);
                if self.leads_to(next, to, path, seen) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    fn depth(&self, name: &str, above: usize) -> usize {
        if above > limits::SEGMENT_DEPTH_MAX {
            return above;
        }
        let inside = self.get(name).map_or(&[][..], |segment| segment.named.segments.as_slice());
        inside.iter().map(|inside| self.depth(inside, above + 1)).max().unwrap_or(above + 1)
    }

    /// How many segments are asked to answer for one, itself included.
    fn weight(&self, name: &str, above: usize) -> usize {
        if above > limits::SEGMENT_DEPTH_MAX {
            return limits::SEGMENTS_ASKED_MAX;
        }
        let inside = self.get(name).map_or(&[][..], |segment| segment.named.segments.as_slice());
        let mut weight = 1_usize;
        for inside in inside {
            weight = weight.saturating_add(self.weight(inside, above + 1));
            if weight > limits::SEGMENTS_ASKED_MAX {
                break;
            }
        }
        weight
    }

    /// These names and all that the segments among them name, to any depth.
    pub fn through(&self, named: &Named) -> Named {
        let mut all = Named::default();
        let mut open = vec![named.clone()];
        while let Some(next) = open.pop() {
            let new = next.segments.iter().filter(|name| !all.segments.contains(name));
            open.extend(new.filter_map(|name| self.get(name)).map(|segment| segment.named.clone()));
            all.extend(next);
        }
        all
    }

    /// Whether time alone may change who belongs to the segment.
    pub fn looks_at_time(&self, segment: &str) -> bool {
        let named = Named { segments: vec![segment.to_owned()], ..Named::default() };
        let through = self.through(&named);
        through.segments.iter().filter_map(|name| self.get(name)).any(|s| s.expression.names().time)
    }

    /// Segments that name this one themselves.
    pub fn naming_segment<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |s| s.named.segments.iter().any(|n| n == name))
            .map(|s| s.record.name.as_str())
    }

    /// Segments that name this list themselves.
    pub fn naming_list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |s| s.named.lists.iter().any(|n| n == name)).map(|s| s.record.name.as_str())
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let slips = if name.chars().count() <= 4 { 1 } else { 2 };
    let near = known.map(|known| (strsim::osa_distance(name, known), known)).min();
    match near.filter(|(distance, _)| *distance <= slips) {
        Some((_, near)) => format!("there is no {what} {name:?}: did you mean {near}?"),
        None => format!("there is no {what} {name:?}"),
    }
}
